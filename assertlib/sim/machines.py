"""
Clock, entropy and identity of simulated machines, as the standard library presents them.

While a trial runs, these functions replace those of the real machine for every caller: the store,
its libraries and the standard library.  A host has a clock with its own skew, a process id that
changes at each boot, and random numbers that one choice on the tape determines.

C code that reads the clock or draws entropy itself is not affected.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .names import Names
from .process import PROCESS, Process
from .refusal import refused
from .threads import Threads
from .threads import current as current_thread

__all__ = ["EPOCH", "Machines", "datetime_of", "replacements"]

EPOCH = 1_000_000_000
"""The wall clock of a host without skew when a trial begins, in seconds since 1970."""

_FIRST_PID = 1000
_NANO = 10**9
_ELAPSED = ("monotonic", "perf_counter", "process_time", "thread_time")
_WITH_TIME = {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
"""Functions that read the clock only if called with fewer arguments than this."""


class Replacement(NamedTuple):
    """A function or value of the standard library, and what stands for it during a trial."""

    owner: Any
    name: str
    real: Any
    virtual: Any


class Machines:
    """
    The machines of one trial; which of them a call refers to depends on the calling process.

    Args:
        elapsed: Returns the virtual seconds since the trial began, for the calling process.
        word: Draws an integer of 64 bits from the tape.
        outside: The process of code outside all hosts.
        names: The names and addresses of all hosts.
        threads: The simulated threads.
    """

    def __init__(
        self,
        elapsed: Callable[[], float],
        word: Callable[[], int],
        outside: Process,
        names: Names,
        threads: Threads,
    ) -> None:
        self.elapsed = elapsed
        self.names = names
        self.threads = threads
        self._word = word
        self._outside = outside
        self._root: int | None = None
        self._processes: dict[Process, tuple[int, random.Random, random.Random]] = {}

    @property
    def process(self) -> Process:
        """The calling process."""
        return PROCESS.get(self._outside)

    def wall_ns(self) -> int:
        """Return the wall clock of the calling process, in nanoseconds since 1970."""
        return EPOCH * _NANO + round((self.elapsed() + self.process.skew) * _NANO)

    def wall(self) -> float:
        """Return the wall clock of the calling process, in seconds since 1970."""
        return EPOCH + self.elapsed() + self.process.skew

    def sleep(self, seconds: float) -> None:
        """
        Block the calling thread.

        Raises:
            NotSimulatedError: It is the thread of the event loop.
        """
        thread = current_thread()
        if thread is None:
            raise refused("time.sleep", "blocks the event loop; use asyncio.sleep")
        thread.sleep(seconds)

    @property
    def pid(self) -> int:
        """The id of the calling process."""
        return self._own()[0]

    @property
    def shared(self) -> random.Random:
        """The generator behind the functions of `random` in the calling process."""
        return self._own()[1]

    @property
    def entropy(self) -> random.Random:
        """The source of entropy of the calling process."""
        return self._own()[2]

    def _own(self) -> tuple[int, random.Random, random.Random]:
        process = self.process
        if process not in self._processes:
            pid = _FIRST_PID + len(self._processes)
            # One choice for all processes, made when the first of them needs it: a tape grows by
            # no more than that, however many random numbers a store draws.
            if self._root is None:
                self._root = self._word()
            seed = f"{self._root} {process.name} {pid}"
            self._processes[process] = pid, random.Random(seed), random.Random(f"{seed} entropy")
        return self._processes[process]


def replacements(
    current: Callable[[], Machines], virtual: Callable[[Any, Any], Any]
) -> Iterator[Replacement]:
    """
    Yield everything that stands for a part of the real machine during a trial.

    Args:
        current: Returns the machines of the running trial.
        virtual: Combines a real function and its virtual one into one that calls the latter if the
            caller belongs to a trial.
    """

    def replaced(owner: Any, name: str, function: Callable[..., Any]) -> Replacement:
        real = getattr(owner, name)
        return Replacement(owner, name, real, virtual(real, function))

    yield from _clocks(current, replaced)
    yield from _random(current, replaced)
    yield from _identity(current, replaced)


_Replaced = Callable[[Any, str, Callable[..., Any]], Replacement]


def _clocks(current: Callable[[], Machines], replaced: _Replaced) -> Iterator[Replacement]:
    yield replaced(time, "time", lambda: current().wall())
    yield replaced(time, "time_ns", lambda: current().wall_ns())
    for name in _ELAPSED:
        yield replaced(time, name, lambda: current().elapsed())
        yield replaced(time, f"{name}_ns", lambda: round(current().elapsed() * _NANO))
    real_time = time.CLOCK_REALTIME
    yield replaced(
        time,
        "clock_gettime",
        lambda clock: current().wall() if clock == real_time else current().elapsed(),
    )
    yield replaced(
        time,
        "clock_gettime_ns",
        lambda clock: current().wall_ns() if clock == real_time
        else round(current().elapsed() * _NANO),
    )  # fmt: skip
    for name, given in _WITH_TIME.items():
        yield replaced(time, name, _at(current, getattr(time, name), given))
    yield replaced(time, "sleep", lambda seconds: current().sleep(seconds))
    yield replaced(os, "times", lambda: os.times_result((*4 * [0.0], current().elapsed())))


def _at(
    current: Callable[[], Machines], real: Callable[..., Any], given: int
) -> Callable[..., Any]:
    """A function that formats the current time, unless it is called with another one."""
    localtime = time.localtime
    takes_seconds = real.__name__ in ("localtime", "gmtime", "ctime")

    def at(*args: Any) -> Any:
        if len(args) >= given and args[given - 1] is not None:
            return real(*args)
        now = current().wall()
        return real(*args[: given - 1], now if takes_seconds else localtime(now))

    return at


def _random(current: Callable[[], Machines], replaced: _Replaced) -> Iterator[Replacement]:
    # The functions of the module are bound methods of one generator.
    shared = random.seed.__self__  # type: ignore[attr-defined]
    for name, real in list(vars(random).items()):
        if getattr(real, "__self__", None) is shared:
            yield replaced(random, name, _of_shared(current, name))
    yield replaced(random.Random, "seed", _seed(current, random.Random.seed))

    def entropy(size: int, *_: object, **__: object) -> bytes:
        return current().entropy.randbytes(size)

    yield replaced(os, "urandom", entropy)
    # SystemRandom, and with it `secrets`, calls os.urandom by this name.
    yield replaced(random, "_urandom", entropy)
    # Linux only.
    if hasattr(os, "getrandom"):
        yield replaced(os, "getrandom", entropy)
    yield replaced(ssl, "RAND_bytes", entropy)


def _of_shared(current: Callable[[], Machines], name: str) -> Callable[..., Any]:
    return lambda *args, **named: getattr(current().shared, name)(*args, **named)


def _seed(current: Callable[[], Machines], real: Callable[..., None]) -> Callable[..., None]:
    def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
        real(generator, current().entropy.getrandbits(64) if a is None else a, version)

    return seed


def _identity(current: Callable[[], Machines], replaced: _Replaced) -> Iterator[Replacement]:
    yield replaced(os, "getpid", lambda: current().pid)
    yield replaced(os, "getppid", lambda: 1)
    yield replaced(socket, "gethostname", lambda: current().process.name)
    yield replaced(socket, "getfqdn", lambda name="": name or current().process.name)
    yield replaced(socket, "getaddrinfo", _getaddrinfo(current))
    yield replaced(socket, "getnameinfo", lambda address, _=0: current().names.info(*address[:2]))
    yield replaced(socket, "gethostbyname", lambda name: current().names.resolve(name, 0)[0][4][0])
    uname = os.uname

    def named() -> os.uname_result:
        system, _, *rest = uname()
        return os.uname_result((system, current().process.name, *rest))

    yield replaced(os, "uname", named)
    # 48 bits, of which the multicast bit marks an address that no network card has.
    yield replaced(
        uuid,
        "getnode",
        lambda: random.Random(current().process.name).getrandbits(48) | 1 << 40,
    )
    # What makes `uuid` read the clock in C, and what it remembers of the clock.
    for name, value in list(vars(uuid).items()):
        if name == "_generate_time_safe" or name.startswith("_last_"):
            yield Replacement(uuid, name, value, 0 if name.startswith("_last_counter") else None)


def _getaddrinfo(current: Callable[[], Machines]) -> Callable[..., Any]:
    def getaddrinfo(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        return current().names.resolve(host, port, family, type, flags)

    return getaddrinfo


def datetime_of(current: Callable[[], Machines | None]) -> type:
    """
    Make the class that stands for `datetime.datetime`, which is written in C, during trials.

    Args:
        current: Returns the machines of the running trial; None if the caller belongs to none.
    """
    real = dt.datetime

    # The class replaces datetime by name, so instances of the real one must count as its own.
    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    class Virtual(real, metaclass=Meta):  # type: ignore[misc, valid-type]
        def __new__(cls, *args: Any, **named: Any) -> Any:
            # Its instances are of the real class, which C code may insist on.
            return real.__new__(real if cls is Virtual else cls, *args, **named)

        # The name is looked up when pickling: after the trial it refers to the real class.
        def __reduce_ex__(self, protocol: Any) -> Any:
            return dt.datetime, super().__reduce_ex__(protocol)[1]

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            machine = current()
            return cls.fromtimestamp(machine.wall(), tz) if machine else _as_real(cls).now(tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    def _as_real(cls: Any) -> Any:
        return real if cls is Virtual else super(Virtual, cls)

    Virtual.__module__ = "datetime"
    Virtual.__name__ = Virtual.__qualname__ = "datetime"
    return Virtual
