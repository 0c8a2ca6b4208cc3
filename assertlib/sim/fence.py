"""
Keeps the outside world out of a trial: whatever it must not ask raises, and says where.

The wall clock, real sockets, child processes, threads and unseeded randomness would make two runs
of one tape differ.  The functions are replaced while a trial runs, also under the names that
modules of the project imported them by; sockets and processes are caught by an audit hook.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType, FunctionType
from typing import Any, NoReturn

__all__ = ["NotSimulatedError", "call_site", "fenced"]

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = os.sep + "site-packages" + os.sep

_MAY_ASK = frozenset(("assertlib", "logging", "warnings", "traceback", "linecache", "importlib"))
"""Packages whose use of the clock is none of the store's business."""

_CLOCKS = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
    "process_time", "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime",
    "clock_gettime_ns", "localtime", "gmtime", "ctime", "asctime", "strftime",
)  # fmt: skip
_WITH_TIME = {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
"""Functions that ask the clock only when they get fewer arguments than this."""

_EVENTS = {
    "socket.__new__": "opens a real socket; asyncio's streams go through the simulated network",
    "socket.getaddrinfo": "asks a real name server; the names of hosts are addresses here",
    "subprocess.Popen": "starts a process; make it a host of the world",
    "os.posix_spawn": "starts a process; make it a host of the world",
    "os.system": "starts a process; make it a host of the world",
    "os.exec": "replaces this process; make it a host of the world",
    "os.fork": "starts a process; make it a host of the world",
    "os.forkpty": "starts a process; make it a host of the world",
}


_Alias = tuple[Callable[[object], None], object, object]
"""How to change what a name stands for, what it shall stand for in a trial, and what it does."""


class NotSimulatedError(RuntimeError):
    """Code of a trial reached for what the simulator does not decide; the text names the place."""


def call_site() -> str:
    """File and line of the innermost code that is neither ours nor a library's."""
    frame: FrameType | None = sys._getframe(1)
    first = None
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_OURS, "<frozen")):
            first = first or frame
            if not name.startswith(_STANDARD) and _INSTALLED not in name:
                return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?" if first is None else f"{first.f_code.co_filename}:{first.f_lineno}"


class _Fence:
    """
    What stands in the way while a trial runs.

    Attributes:
        depth: How many trials are under way; none, and nothing is in the way.
    """

    def __init__(self) -> None:
        self.depth = 0
        self._is_seeded = False
        self._aliases: list[_Alias] = []
        self._seen: set[str] = set()
        self._pairs = list(self._replaced())
        self._guards = {id(real): guard for _, _, real, guard in self._pairs}
        sys.addaudithook(self._audit)

    def _replaced(self) -> Iterator[tuple[Any, str, object, object]]:
        for name in _CLOCKS:
            real = getattr(time, name)
            yield time, name, real, self._clock(f"time.{name}", real, _WITH_TIME.get(name, 0))
        yield (
            time,
            "sleep",
            time.sleep,
            self._never("time.sleep", "stops all hosts; use asyncio.sleep"),
        )
        yield os, "times", os.times, self._clock("os.times", os.times, 0)
        yield dt, "datetime", dt.datetime, _datetime_without_now(self)
        start = threading.Thread.start
        yield threading.Thread, "start", start, self._thread(start)
        shared = random.seed.__self__  # type: ignore[attr-defined]
        for name, real in list(vars(random).items()):
            if getattr(real, "__self__", None) is shared and name != "seed":
                yield random, name, real, self._dice(f"random.{name}", real)
        yield random, "seed", random.seed, self._seeding(random.seed)
        yield random.Random, "seed", random.Random.seed, self._seed(random.Random.seed)
        yield os, "urandom", os.urandom, self._entropy("os.urandom", os.urandom)
        yield random, "_urandom", os.urandom, self._entropy("os.urandom", os.urandom)

    # -- what is put in their place ---------------------------------------------------------

    def _clock(self, name: str, real: Callable[..., Any], given: int) -> Callable[..., Any]:
        def guarded(*args: Any) -> Any:
            is_given = len(args) >= given > 0 and args[given - 1] is not None
            if is_given or _may_ask(sys._getframe(1)):
                return real(*args)
            raise self.refused(
                name,
                "reads the wall clock; take a clock as an argument and give it the loop's or the host's",
            )

        return guarded

    def _never(self, name: str, why: str) -> Callable[..., Any]:
        def guarded(*_: Any, **__: Any) -> NoReturn:
            raise self.refused(name, why)

        return guarded

    def _thread(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def start(thread: threading.Thread) -> None:
            if _may_ask(sys._getframe(1)):
                real(thread)
                return
            raise self.refused("Thread.start", "starts a thread; use asyncio.to_thread")

        return start

    def _dice(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self._is_seeded:
                return real(*args, **kwargs)
            raise self.refused(
                name, "is unseeded randomness; use assertlib.random, or a random.Random with a seed"
            )

        return guarded

    def _seeding(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def seed(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            self._is_seeded = True

        return seed

    def _seed(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            if a is None and not _may_ask(sys._getframe(1)):
                raise self.refused(
                    "random.Random()",
                    "is unseeded randomness; give it a seed, or use assertlib.random",
                )
            real(generator, a, version)

        return seed

    def _entropy(self, name: str, real: Callable[[int], bytes]) -> Callable[[int], bytes]:
        def guarded(size: int) -> bytes:
            if _may_ask(sys._getframe(1)):
                return real(size)
            raise self.refused(name, "is unseeded randomness; use assertlib.random")

        return guarded

    def refused(self, name: str, why: str) -> NotSimulatedError:
        """The error that says where code has reached out."""
        return NotSimulatedError(f"{call_site()}: {name} {why}")

    def _audit(self, event: str, args: object) -> None:
        if self.depth and event in _EVENTS:
            raise self.refused(event, _EVENTS[event])

    # -- putting it there -------------------------------------------------------------------

    def _find_aliases(self) -> None:
        """Names that modules of the project hold the real functions by."""
        for name, module in list(sys.modules.items()):
            if name in self._seen:
                continue
            self._seen.add(name)
            file = getattr(module, "__file__", None) or ""
            if file.startswith((_OURS, _STANDARD)) or _INSTALLED in file or not file:
                continue
            for attribute, value in list(vars(module).items()):
                self._take_alias(module, attribute, value)
                if isinstance(value, type) and value.__module__ == name:
                    for inner, held in list(vars(value).items()):
                        self._take_alias(value, inner, held)

    def _take_alias(self, owner: object, name: str, value: object) -> None:
        real = getattr(value, "__func__", value)
        if id(real) in self._guards:
            guard = self._guards[id(real)]
            # In a class, the real functions are no methods either.
            kept = staticmethod(guard) if isinstance(owner, type) else guard  # type: ignore[arg-type]
            self._aliases.append((partial(setattr, owner, name), kept, value))
        elif isinstance(value, FunctionType):
            defaults, named = value.__defaults__ or (), value.__kwdefaults__ or {}
            guarded = tuple(self._guards.get(id(each), each) for each in defaults)
            by_name = {key: self._guards.get(id(each), each) for key, each in named.items()}
            if guarded != defaults:
                change = partial(setattr, value, "__defaults__")
                self._aliases.append((change, guarded, defaults))
            if by_name != named:
                change = partial(setattr, value, "__kwdefaults__")
                self._aliases.append((change, by_name, named))

    def put_up(self) -> None:
        """Let the fence stand."""
        self.depth += 1
        if self.depth > 1:
            return
        self._find_aliases()
        self._is_seeded = False
        self._state = random.getstate()
        for owner, name, _, guard in self._pairs:
            setattr(owner, name, guard)
        for change, guarded, _ in self._aliases:
            change(guarded)

    def take_down(self) -> None:
        """Let everything be as it was."""
        self.depth -= 1
        if self.depth:
            return
        for change, _, real in self._aliases:
            change(real)
        for owner, name, real, _ in self._pairs:
            setattr(owner, name, real)
        if self._is_seeded:
            random.setstate(self._state)


def _may_ask(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] in _MAY_ASK


def _datetime_without_now(fence: _Fence) -> type:
    real = dt.datetime
    why = "reads the wall clock; make it from the time of the host"

    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    class Fenced(real, metaclass=Meta):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: Any = None) -> NoReturn:  # noqa: ARG003
            raise fence.refused("datetime.now", why)

        @classmethod
        def utcnow(cls) -> NoReturn:
            raise fence.refused("datetime.utcnow", why)

        @classmethod
        def today(cls) -> NoReturn:
            raise fence.refused("datetime.today", why)

    Fenced.__name__ = Fenced.__qualname__ = "datetime"
    return Fenced


_fence: _Fence | None = None


@contextmanager
def fenced() -> Iterator[None]:
    """Keep the outside world out of the block."""
    global _fence
    if _fence is None:
        _fence = _Fence()
    _fence.put_up()
    try:
        yield
    finally:
        _fence.take_down()
