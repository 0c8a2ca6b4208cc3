"""
The fence around a trial: the outside world is replaced by the simulated one, or refused.

The wall clock and unseeded randomness would make two runs of one tape differ, so that functions of
`machines` replace them, under every name that a module holds them by, and those of `threads`,
`sockets` and `files` replace real threads, sockets and files.  Child processes raise an error that
names the place, as do real files that a host writes past these functions, which would survive the
power cuts of its world.  An audit hook intercepts them, and every real socket.
"""

from __future__ import annotations

import asyncio
import copyreg
import datetime as dt
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import get_ident as _ident
from types import FrameType, FunctionType, ModuleType
from typing import Any

from .._calls.derived import within
from . import file_calls, threads
from .files import Files, is_no_file, is_simulated
from .machines import Machines, datetime_of, replacements
from .process import calling
from .refusal import OURS, STANDARD, is_installed, refused

__all__ = ["REPLACED", "fenced"]

_EVENTS = {
    "socket.__new__": "opens a real socket; asyncio's streams go through the simulated network",
    "socket.gethostbyname": "queries a real name server; use the names of hosts",
    "socket.gethostbyaddr": "queries a real name server; use the names of hosts",
    "socket.getaddrinfo": "queries a real name server; use the names of hosts",
    "subprocess.Popen": "starts a process; make it a host of the world",
    "os.posix_spawn": "starts a process; make it a host of the world",
    "os.system": "starts a process; make it a host of the world",
    "os.exec": "replaces this process; make it a host of the world",
    "os.fork": "starts a process; make it a host of the world",
    "os.forkpty": "starts a process; make it a host of the world",
}

_WRITES = (
    "writes a real file, which a simulated power cut does not affect;"
    " write through open(), os or assertlib.disk, which use the disk of the host"
)
_PAST = "opens a real file past the disk of the host; open it with open() or os.open()"
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAY_WRITE = (
    "assertlib._capture", "assertlib.recording", "assertlib.telemetry", "coverage", "importlib",
    "inspect", "linecache", "logging", "_pytest", "traceback",
)  # fmt: skip
"""Packages that use real files: source, records, logs and compiled modules are no state of a store."""

_REPLACED_IN = (__file__, file_calls.__file__)
"""Modules whose functions stand for real ones."""

_Alias = tuple[object, str, object, object]
"""Owner, attribute, value during a trial, and value otherwise."""


REPLACED: list[tuple[Any, str, object, object]] = []
"""Replacements registered by other modules: owner, attribute, real value, value in a trial."""


class _Fence:
    """
    The replaced functions and the audit hook of running trials.

    Attributes:
        machines: The machines of the running trials, innermost last; empty outside trials.
    """

    def __init__(self) -> None:
        self.machines: list[Machines] = []
        self._files: list[Files] = []
        self._aliases: list[_Alias] = []
        self._put: list[_Alias] = []
        self._seen: dict[str, ModuleType] = {}
        self.real_datetime = dt.datetime
        self._pairs = [*self._replaced(), *REPLACED]
        # By identity, since the values of a module may be unhashable or define equality.
        self._guards = {id(real): guard for _, _, real, guard in self._pairs if callable(real)}
        # Of assertlib itself, only this one measures virtual time.
        self._take_alias(within, "__init__", within.__init__)
        # An audit hook cannot be removed, so a process has only one fence, disarmed outside trials.
        sys.addaudithook(self._audit)

    def _replaced(self) -> Iterator[tuple[Any, str, object, object]]:
        yield from replacements(lambda: self.machines[-1], self._virtual)
        mine = datetime_of(lambda: None if self._is_other() else self.machines[-1])
        yield dt, "datetime", dt.datetime, mine
        yield from threads.replacements(lambda: self.machines[-1].threads, self._virtual)
        yield from file_calls.replacements(lambda: self._files[-1], self._virtual, _is_store)
        # Names of temporary files would go on where those of the previous trial ended.
        tempfile.gettempdir()
        yield tempfile, "_name_sequence", None, None
        if hasattr(tempfile, "_O_TMPFILE_WORKS"):
            yield tempfile, "_O_TMPFILE_WORKS", tempfile._O_TMPFILE_WORKS, False
        yield asyncio, "as_completed", asyncio.as_completed, _as_completed(asyncio.as_completed)

    # -- replacements -----------------------------------------------------------------------

    def _virtual(self, real: Callable[..., Any], virtual: Callable[..., Any]) -> Callable[..., Any]:
        def function(*args: Any, **named: Any) -> Any:
            return real(*args, **named) if self._is_other() else virtual(*args, **named)

        return function

    def _is_other(self) -> bool:
        """Whether the caller is another thread than the trial's, or no trial is running."""
        # Objects and modules of a trial may keep a replacement and call it afterwards.
        # One read of the list: another thread may ask just as the trial ends.
        running = self.machines[-1:]
        return not running or _ident() not in running[0].threads.idents

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        # Runs for every audit event of the process, so the cheapest tests come first.
        if self._is_other():
            return
        if event in _EVENTS:
            raise refused(event, _EVENTS[event])
        if event == "mmap.__new__" and is_simulated(args[0]):
            raise refused("mmap", "maps a file of the simulated disk, which has no pages; read it")
        if event in _FILE_EVENTS and _is_in_host() and _writes_file(event, args):
            raise refused(event, _WRITES)
        if event == "open" and _is_in_host() and self._gets_past(args[0]):
            raise refused(event, _PAST)

    def _gets_past(self, path: object) -> bool:
        """Whether the file opened is on the disk of the host, or would be."""
        if not isinstance(path, str | bytes | os.PathLike) or _may_write(sys._getframe(2)):
            return False
        return not self._files[-1].is_real(path)

    # -- installation -----------------------------------------------------------------------

    def _find_aliases(self) -> None:
        """Collect the names under which modules hold the real functions."""
        # A module is searched once, and again only if another one has taken its name.  Modules
        # imported during a trial keep the replacements, which pass calls on outside trials.
        for name, module in list(sys.modules.items()):
            if self._seen.get(name) is module:
                continue
            self._seen[name] = module
            # What assertlib records is measured by the real clock.
            file = getattr(module, "__file__", None) or ""
            if file.startswith(OURS) or not isinstance(module, ModuleType):
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
            # A wrapper holds the function that it wraps in a cell.
            for cell in value.__closure__ or ():
                with suppress(ValueError):
                    if id(cell.cell_contents) in guards:
                        held = cell.cell_contents
                        self._aliases.append((cell, "cell_contents", guards[id(held)], held))
            defaults, named = value.__defaults__ or (), value.__kwdefaults__ or {}
            if any(id(each) in guards for each in defaults):
                guarded = tuple(guards.get(id(each), each) for each in defaults)
                self._aliases.append((value, "__defaults__", guarded, defaults))
            if any(id(each) in guards for each in named.values()):
                by_name = {key: guards.get(id(each), each) for key, each in named.items()}
                self._aliases.append((value, "__kwdefaults__", by_name, named))

    def install(self, machines: Machines, opened: Files) -> None:
        """Replace the functions, unless a trial is already running; use *machines* and *opened*."""
        if not self.machines:
            self._replace()
        self._files.append(opened)
        self.machines.append(machines)

    def _replace(self) -> None:
        self._find_aliases()
        for owner, name, _, guard in self._pairs:
            setattr(owner, name, guard)
        # A module may have rebound a name since it was searched, as tests do that patch a clock.
        self._put = [each for each in self._aliases if _held(each[0], each[1]) is each[3]]
        for owner, name, guard, _ in self._put:
            setattr(owner, name, guard)
        copyreg.pickle(self.real_datetime, _reduced)

    def uninstall(self) -> None:
        """Restore everything that `install` changed, at the end of the outermost trial."""
        self.machines.pop()
        self._files.pop()
        if self.machines:
            return
        copyreg.dispatch_table.pop(self.real_datetime, None)
        for owner, name, _, real in self._put:
            setattr(owner, name, real)
        for owner, name, real, _ in self._pairs:
            setattr(owner, name, real)


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


def _is_in_host() -> bool:
    """Whether the running code belongs to a host; a scenario may write real files."""
    process = calling()
    return process is not None and process.is_host


def _is_store() -> bool:
    """Whether the caller of a replaced function is the code of a host, or a library of it."""
    # Two frames belong to the replaced function.
    return _is_in_host() and not _may_write(sys._getframe(3))


def _may_write(frame: FrameType | None) -> bool:
    """Whether the write comes from a package that may, directly or through the standard library."""
    # The first frame outside the standard library decides: a store does not get permission from
    # whatever called it.
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if any(module == each or module.startswith(f"{each}.") for each in _MAY_WRITE):
            return True
        name = frame.f_code.co_filename
        # A replaced function calls the real one for those who may.
        if name not in _REPLACED_IN and (
            is_installed(name) or not name.startswith((STANDARD, "<frozen"))
        ):
            return False
        frame = frame.f_back
    return False


def _writes_file(event: str, args: tuple[Any, ...]) -> bool:
    """Whether the audit *event* is forbidden: a write to a real file, or an open past the disk."""
    return _FILE_EVENTS[event](*args) and not _may_write(sys._getframe(2))


def _opens_to_write(path: object, mode: str | None, flags: int) -> bool:
    writes = flags & _TO_WRITE or any(letter in (mode or "") for letter in "wax+")
    return bool(writes) and not is_no_file(path)


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
        (
            "os.rename",
            "os.remove",
            "os.mkdir",
            "os.rmdir",
            "os.truncate",
            "os.link",
            "os.symlink",
            "os.chmod",
            "os.chown",
            "os.utime",
            "os.setxattr",
            "os.removexattr",
            "os.chdir",
        ),
        lambda *_: True,
    ),
}
"""Predicates by audit event: whether its arguments write a real file."""


def _reduced(value: Any) -> Any:
    # pickle refuses a class to which its name no longer refers, such as the real datetime here.
    return dt.datetime, value.__reduce_ex__(4)[1]


_fence: _Fence | None = None


@contextmanager
def fenced(machines: Machines, opened: Files) -> Iterator[None]:
    """
    Replace the outside world in the block; blocks may be nested.

    Args:
        machines: Clocks, entropy and identities for the block.
        opened: The files of the hosts.
    """
    global _fence
    if _fence is None:
        _fence = _Fence()
    _fence.install(machines, opened)
    try:
        yield
    finally:
        _fence.uninstall()
