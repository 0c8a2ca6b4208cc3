"""
The fence around a trial: calls to the outside world raise an error that names the place.

The wall clock, real sockets, child processes, threads and unseeded randomness would make two runs
of one tape differ; real files written by a host would survive the power cuts of its world.  The
functions are replaced while a trial runs, including aliases imported by modules of the project;
sockets, processes and files are intercepted by an audit hook.
"""

from __future__ import annotations

import _thread
import asyncio
import copyreg
import datetime as dt
import os
import random
import stat
import sys
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, FunctionType, ModuleType
from typing import Any

from .process import PROCESS
from .refusal import OURS, STANDARD, is_installed, refused

__all__ = ["REPLACED", "fenced"]

_EXEMPT = frozenset(("assertlib", "logging", "warnings", "traceback", "linecache", "importlib"))
"""Packages that may read the clock, since the store does not see the result."""

_CLOCKS = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
    "process_time", "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime",
    "clock_gettime_ns", "localtime", "gmtime", "ctime", "asctime", "strftime",
)  # fmt: skip
_WITH_TIME = {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
"""Functions that read the clock only if called with fewer arguments than this."""

_EVENTS = {
    "socket.__new__": "opens a real socket; asyncio's streams go through the simulated network",
    "socket.gethostbyname": "queries a real name server; use host names as addresses",
    "socket.getaddrinfo": "queries a real name server; use host names as addresses",
    "subprocess.Popen": "starts a process; make it a host of the world",
    "os.posix_spawn": "starts a process; make it a host of the world",
    "os.system": "starts a process; make it a host of the world",
    "os.exec": "replaces this process; make it a host of the world",
    "os.fork": "starts a process; make it a host of the world",
    "os.forkpty": "starts a process; make it a host of the world",
}

_WRITES = (
    "writes a real file, which a simulated power cut does not affect;"
    " write through assertlib.disk and pass Host.disk to the store"
)
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAY_WRITE = (
    "assertlib.recording", "assertlib.telemetry", "coverage", "importlib", "logging", "_pytest",
)  # fmt: skip
"""Packages that may write files: records, logs and compiled modules are no data of the store."""


_Alias = tuple[object, str, object, object]
"""Owner, attribute, value during a trial, and value otherwise."""


REPLACED: list[tuple[Any, str, object, object]] = []
"""Replacements registered by other modules: owner, attribute, real value, value in a trial."""


class _Fence:
    """
    The replaced functions and the audit hook of running trials.

    Attributes:
        depth: Number of running trials; at 0 the fence is inactive.
    """

    def __init__(self) -> None:
        self.depth = 0
        self._is_seeded = False
        self._aliases: list[_Alias] = []
        self._put: list[_Alias] = []
        self._seen: dict[str, ModuleType] = {}
        self._owner = 0
        self.real_datetime = dt.datetime
        self._pairs = [*self._replaced(), *REPLACED]
        # By identity, since the values of a module may be unhashable or define equality.
        self._guards = {id(real): guard for _, _, real, guard in self._pairs}
        # An audit hook cannot be removed, so a process has only one fence; `depth` disarms it.
        sys.addaudithook(self._audit)

    def _replaced(self) -> Iterator[tuple[Any, str, object, object]]:
        for name in _CLOCKS:
            real = getattr(time, name)
            yield time, name, real, self._clock(f"time.{name}", real, _WITH_TIME.get(name, 0))
        yield (
            time,
            "sleep",
            time.sleep,
            self._never("time.sleep", "blocks all hosts; use asyncio.sleep", time.sleep),
        )
        yield dt, "datetime", dt.datetime, _datetime_without_now(self)
        start = threading.Thread.start
        yield threading.Thread, "start", start, self._thread(start)
        # The functions of the module are bound methods of one shared generator.
        shared = random.seed.__self__  # type: ignore[attr-defined]
        for name, real in list(vars(random).items()):
            if getattr(real, "__self__", None) is shared and name != "seed":
                yield random, name, real, self._dice(f"random.{name}", real)
        yield random, "seed", random.seed, self._seeding(random.seed)
        yield random.Random, "seed", random.Random.seed, self._seed(random.Random.seed)
        yield asyncio, "as_completed", asyncio.as_completed, _as_completed(asyncio.as_completed)
        # Linux only.
        if hasattr(os, "getrandom"):
            yield os, "getrandom", os.getrandom, self._entropy("os.getrandom", os.getrandom)
        yield os, "times", os.times, self._clock("os.times", os.times, 0)
        yield (
            uuid,
            "uuid1",
            uuid.uuid1,
            self._never("uuid.uuid1", "reads the wall clock; use assertlib.random", uuid.uuid1),
        )
        # Thread.start has bound this function at import, so this covers only direct callers.
        begin = _thread.start_new_thread
        yield (
            _thread,
            "start_new_thread",
            begin,
            self._never("start_new_thread", "starts a thread; use asyncio.to_thread", begin),
        )
        yield os, "urandom", os.urandom, self._entropy("os.urandom", os.urandom)
        # SystemRandom, and with it `secrets`, calls os.urandom by this name.
        yield random, "_urandom", os.urandom, self._entropy("os.urandom", os.urandom)

    # -- replacements -----------------------------------------------------------------------

    def _clock(self, name: str, real: Callable[..., Any], given: int) -> Callable[..., Any]:
        def guarded(*args: Any) -> Any:
            if len(args) >= given > 0 and args[given - 1] is not None:
                return real(*args)
            if self._is_other() or _is_exempt(sys._getframe(1)):
                return real(*args)
            raise refused(
                name,
                "reads the wall clock; take a clock as an argument: the loop's or the host's",
            )

        return guarded

    def _is_other(self) -> bool:
        """Whether the caller is another thread than the trial's, or no trial is running."""
        # Objects and modules of a trial may keep a replacement and call it afterwards.
        return not self.depth or threading.get_ident() != self._owner

    def _never(self, name: str, why: str, real: Any = None) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if real is not None and self._is_other():
                return real(*args, **kwargs)
            raise refused(name, why)

        return guarded

    def _thread(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def start(thread: threading.Thread) -> None:
            if self._is_other() or _is_exempt(sys._getframe(1)):
                real(thread)
                return
            raise refused("Thread.start", "starts a thread; use asyncio.to_thread")

        return start

    def _dice(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        # Once the trial has seeded the shared generator, its numbers are reproducible.
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self._is_seeded or self._is_other():
                return real(*args, **kwargs)
            raise refused(
                name, "is unseeded randomness; use assertlib.random, or a random.Random with a seed"
            )

        return guarded

    def _seeding(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def seed(a: Any = None, version: int = 2) -> None:
            if a is None and not self._is_other():
                raise refused("random.seed()", "is unseeded randomness; pass a seed")
            real(a, version)
            # Another thread's seed makes nothing in the trial reproducible.
            self._is_seeded = self._is_seeded or not self._is_other()

        return seed

    def _seed(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            if a is None and not (self._is_other() or _is_copied() or _is_exempt(sys._getframe(1))):
                raise refused(
                    "random.Random()",
                    "is unseeded randomness; pass a seed, or use assertlib.random",
                )
            real(generator, a, version)

        return seed

    def _entropy(self, name: str, real: Callable[..., bytes]) -> Callable[..., bytes]:
        def guarded(*args: Any, **named: Any) -> bytes:
            if self._is_other() or _is_exempt(sys._getframe(1)):
                return real(*args, **named)
            raise refused(name, "is unseeded randomness; use assertlib.random")

        return guarded

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        # Runs for every audit event of the process, so the cheapest tests come first.
        if not self.depth or threading.get_ident() != self._owner:
            return
        if event in _EVENTS:
            raise refused(event, _EVENTS[event])
        if event in _FILE_EVENTS and _is_in_host() and _writes_file(event, args):
            raise refused(event, _WRITES)

    # -- installation -----------------------------------------------------------------------

    def _find_aliases(self) -> None:
        """Collect the names under which modules of the project hold the real functions."""
        # A module is searched once, and again only if another one has taken its name.  Modules
        # imported during a trial keep the replacements, which pass calls on outside trials.
        for name, module in list(sys.modules.items()):
            if self._seen.get(name) is module:
                continue
            self._seen[name] = module
            file = getattr(module, "__file__", None) or ""
            if file.startswith((OURS, STANDARD)) or is_installed(file) or not file:
                continue
            for attribute, value in list(vars(module).items()):
                self._take_alias(module, attribute, value)
                if isinstance(value, type) and value.__module__ == name:
                    for inner, held in list(vars(value).items()):
                        self._take_alias(value, inner, held)

    def _take_alias(self, owner: object, name: str, value: object) -> None:
        guards = self._guards
        real = value.__func__ if isinstance(value, staticmethod) else value
        if id(real) in guards:
            # Builtin functions do not become methods when stored in a class; a guard, which is a
            # Python function, would.
            in_class = isinstance(owner, type) and not isinstance(real, type)
            guard = staticmethod(guards[id(real)]) if in_class else guards[id(real)]  # type: ignore[arg-type]
            self._aliases.append((owner, name, guard, value))
        elif isinstance(value, FunctionType):
            defaults, named = value.__defaults__ or (), value.__kwdefaults__ or {}
            if any(id(each) in guards for each in defaults):
                guarded = tuple(guards.get(id(each), each) for each in defaults)
                self._aliases.append((value, "__defaults__", guarded, defaults))
            if any(id(each) in guards for each in named.values()):
                by_name = {key: guards.get(id(each), each) for key, each in named.items()}
                self._aliases.append((value, "__kwdefaults__", by_name, named))

    def install(self) -> None:
        """Replace the functions, unless a trial is already running."""
        self.depth += 1
        if self.depth > 1:
            return
        self._owner = threading.get_ident()
        self._find_aliases()
        self._is_seeded = False
        self._state = random.getstate()
        for owner, name, _, guard in self._pairs:
            setattr(owner, name, guard)
        # A module may have rebound a name since it was searched, as tests do that patch a clock.
        self._put = [each for each in self._aliases if _held(each[0], each[1]) is each[3]]
        for owner, name, guard, _ in self._put:
            setattr(owner, name, guard)
        copyreg.pickle(self.real_datetime, _reduced)

    def uninstall(self) -> None:
        """Restore everything that `install` changed, at the end of the outermost trial."""
        self.depth -= 1
        if self.depth:
            return
        copyreg.dispatch_table.pop(self.real_datetime, None)
        for owner, name, _, real in self._put:
            setattr(owner, name, real)
        for owner, name, real, _ in self._pairs:
            setattr(owner, name, real)
        # A trial that seeds the shared generator must not affect what runs after it.
        if self._is_seeded:
            random.setstate(self._state)


def _as_completed(real: Any) -> Any:
    def as_completed(fs: Any, *, timeout: float | None = None) -> Any:
        # asyncio makes a set of its arguments, and coroutines hash by address; tasks do not.
        if not (asyncio.isfuture(fs) or asyncio.iscoroutine(fs)):
            fs = [asyncio.ensure_future(each) for each in dict.fromkeys(fs)]
        return real(fs, timeout=timeout)

    return as_completed


def _held(owner: object, name: str) -> object:
    """Return the current value of *name* in *owner*."""
    # Through `vars`, since getattr would unwrap a staticmethod.
    if isinstance(owner, ModuleType | type):
        return vars(owner).get(name)
    return getattr(owner, name)


def _is_exempt(frame: FrameType) -> bool:
    """Whether the calling frame may use the clock, or serves logging."""
    # A formatter of the project may format the time of a record.
    caller = frame.f_back
    return _is_of(frame, _EXEMPT) or (caller is not None and _is_of(caller, ("logging",)))


def _is_of(frame: FrameType, packages: Container[str]) -> bool:
    name = frame.f_globals.get("__name__")
    return (
        isinstance(name, str)
        and name.partition(".")[0] in packages
        # The loop calls functions of the store in the place of a thread.
        and name != "assertlib.sim.loop"
    )


def _is_in_host() -> bool:
    """Whether the running code belongs to a host; a scenario may write real files."""
    process = PROCESS.get(None)
    return process is not None and process.is_host


def _may_write(frame: FrameType | None) -> bool:
    """Whether the write comes from a package that may, directly or through the standard library."""
    # The first frame outside the standard library decides: a store does not get permission from
    # whatever called it.
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if any(module == each or module.startswith(f"{each}.") for each in _MAY_WRITE):
            return True
        name = frame.f_code.co_filename
        if is_installed(name) or not name.startswith((STANDARD, "<frozen")):
            return False
        frame = frame.f_back
    return False


def _writes_file(event: str, args: tuple[Any, ...]) -> bool:
    """Whether the audit *event* is a forbidden write to a real file."""
    return _FILE_EVENTS[event](*args) and not _may_write(sys._getframe(2))


def _opens_to_write(path: object, mode: str | None, flags: int) -> bool:
    writes = flags & _TO_WRITE or any(letter in (mode or "") for letter in "wax+")
    return bool(writes) and not _is_no_file(path)


def _is_no_file(path: Any) -> bool:
    """Whether *path*, or a descriptor, is a character device, a pipe or a socket."""
    with suppress(OSError, ValueError, TypeError):
        mode = os.stat(path).st_mode
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return False


def _opens_database(database: object) -> bool:
    name = os.fsdecode(database) if isinstance(database, str | bytes | os.PathLike) else ""
    in_memory = (
        name in ("", ":memory:") or "mode=memory" in name or name.startswith("file::memory:")
    )
    return not in_memory and not (name.startswith("file:") and "mode=ro" in name)


_FILE_EVENTS: dict[str, Callable[..., bool]] = {
    "open": _opens_to_write,
    "sqlite3.connect": _opens_database,
    **dict.fromkeys(
        ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"),
        lambda *_: True,
    ),
}
"""Predicates by audit event: whether its arguments write a real file."""


def _is_copied() -> bool:
    """Whether a generator is created as a copy, which gets the state of another one."""
    # The frame that calls the constructor of random.Random, which calls `seed`, which calls this.
    frame = sys._getframe(3)
    return frame.f_globals.get("__name__") in ("copy", "copyreg", "pickle")


def _reduced(value: Any) -> Any:
    # pickle refuses a class to which its name no longer refers, such as the real datetime here.
    return dt.datetime, value.__reduce_ex__(4)[1]


def _datetime_without_now(fence: _Fence) -> type:
    real = fence.real_datetime
    why = "reads the wall clock; derive it from the clock of the host"

    # The class replaces datetime by name, so instances of the real one must count as its own.
    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    class Fenced(real, metaclass=Meta):  # type: ignore[misc, valid-type]
        # The name is looked up when pickling: after the trial it refers to the real class.
        def __reduce_ex__(self, protocol: Any) -> Any:
            return dt.datetime, super().__reduce_ex__(protocol)[1]

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            if fence._is_other():
                return real.now(tz)
            raise refused("datetime.now", why)

        @classmethod
        def utcnow(cls) -> Any:
            if fence._is_other():
                return real.utcnow()
            raise refused("datetime.utcnow", why)

        @classmethod
        def today(cls) -> Any:
            if fence._is_other():
                return real.today()
            raise refused("datetime.today", why)

    Fenced.__module__ = "datetime"
    Fenced.__name__ = Fenced.__qualname__ = "datetime"
    return Fenced


_fence: _Fence | None = None


@contextmanager
def fenced() -> Iterator[None]:
    """Isolate the block from the outside world; blocks may be nested."""
    global _fence
    if _fence is None:
        _fence = _Fence()
    _fence.install()
    try:
        yield
    finally:
        _fence.uninstall()
