"""
Which functions of the standard library stand for those of real files during a trial.
"""

from __future__ import annotations

import builtins
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

from .files import WRITES, Files, is_no_file, is_simulated
from .machines import Replacement
from .refusal import refused

__all__ = ["replacements"]

_Decides = Callable[..., bool]


class _Deciders:
    """Whether a call concerns the real machine; by what the first argument is."""

    def __init__(self, current: Callable[[], Files]) -> None:
        self._current = current

    def descriptor(self, fd: Any, *_: Any, **__: Any) -> bool:
        number = getattr(fd, "fileno", None)
        return not is_simulated(number() if number else fd)

    def read(self, path: Any, *_: Any, **__: Any) -> bool:
        return self._current().is_real(path)

    def written(self, path: Any, *_: Any, **__: Any) -> bool:
        return isinstance(path, int) and not is_simulated(path)

    def file(self, file: Any, mode: Any = "r", *_: Any, **__: Any) -> bool:
        return self._opened(file, bool(set(mode) & set("wax+")))

    def opened(self, path: Any, flags: int, *_: Any, **__: Any) -> bool:
        return self._opened(path, bool(flags & (WRITES | os.O_CREAT | os.O_TRUNC)))

    def _opened(self, path: Any, writes: bool) -> bool:
        if isinstance(path, int):
            return not is_simulated(path)
        return is_no_file(path) or (not writes and self._current().is_real(path))

    def never(self, *_: Any, **__: Any) -> bool:
        return False


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise refused(f"os.{name}", "is not simulated for the files of a host; read and write them")

    return refuse


_DESCRIPTORS = (
    "close", "read", "pread", "write", "pwrite", "writev", "lseek", "fsync", "ftruncate", "fstat",
    "posix_fallocate",
)  # fmt: skip
_REFUSED = (
    "dup", "readv", "preadv", "pwritev", "fchdir", "fstatvfs", "fpathconf",
)  # fmt: skip
_UNCHANGED = ("chmod", "chown", "utime", "lchown", "lchmod", "setxattr", "removexattr")

_CALLS: tuple[tuple[Any, str, Callable[..., Any], str], ...] = (
    (builtins, "open", Files.open_file, "file"),
    (io, "open", Files.open_file, "file"),
    (os, "open", Files.open, "opened"),
    *((os, name, getattr(Files, name), "descriptor") for name in _DESCRIPTORS),
    (os, "fdatasync", Files.fsync, "descriptor"),
    *(
        (os, name, getattr(Files, name), "read")
        for name in ("stat", "listdir", "scandir", "access")
    ),
    (os, "lstat", Files.stat, "read"),
    *(
        (os, name, getattr(Files, name), "written")
        for name in ("truncate", "mkdir", "rmdir", "rename", "remove")
    ),
    (os, "replace", Files.rename, "written"),
    (os, "unlink", Files.remove, "written"),
    *((os, name, Files.unchanged, "written") for name in _UNCHANGED),
    (os, "listxattr", Files.no_attributes, "written"),
    *(
        (os, name, Files.nothing, "descriptor")
        for name in ("fchmod", "fchown", "posix_fadvise", "set_inheritable")
    ),
    (os, "sendfile", Files.unsupported, "descriptor"),
    (os, "copy_file_range", Files.unsupported, "descriptor"),
    *((os, name, _refusing(name), "descriptor") for name in _REFUSED),
    *((os, name, _refusing(name), "never") for name in ("mkfifo", "mknod")),
    # A host has one process, which never waits for its own locks.
    (fcntl, "flock", Files.nothing, "descriptor"),
    (fcntl, "lockf", Files.nothing, "descriptor"),
)
"""Owner and name of each function, what stands for it, and what decides about a call."""


def replacements(
    current: Callable[[], Files],
    virtual: Callable[[Any, Any], Any],
    is_in_host: Callable[[], bool],
) -> Iterator[Replacement]:
    """
    Yield the functions that stand for those of real files during a trial.

    Args:
        current: Returns the files of the running trial.
        virtual: Combines a real function and its virtual one into one that calls the latter if the
            caller belongs to a trial.
        is_in_host: Whether the calling code belongs to a host, and not to a package that may write
            real files.
    """
    deciders = _Deciders(current)

    def standing_for(real: Any, function: Callable[..., Any], decides: _Decides) -> Any:
        def called(*args: Any, **named: Any) -> Any:
            if not is_in_host():
                return real(*args, **named)
            # The first parameter has a different name in each function.
            if not args:
                args = (named.pop(next(iter(named))),) if named else (".",)
            args, named = _resolved(current(), args, named)
            if decides(*args, **named):
                return real(*args, **named)
            return function(current(), *args, **named)

        return called

    for owner, name, function, decides in _CALLS:
        # Not every system has all of them.
        if hasattr(owner, name):
            real = getattr(owner, name)
            called = standing_for(real, function, getattr(deciders, decides))
            yield Replacement(owner, name, real, virtual(real, called))


def _resolved(
    files: Files, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make paths that are relative to a directory of a host absolute."""
    for name, at in (("dir_fd", 0), ("src_dir_fd", 0), ("dst_dir_fd", 1)):
        directory = named.get(name)
        if directory is not None and is_simulated(directory):
            del named[name]
            path = args[at] if at < len(args) else named.pop("dst")
            args = (*args[:at], files.below(directory, path), *args[at + 1 :])
        elif directory is None:
            named.pop(name, None)
    return args, named
