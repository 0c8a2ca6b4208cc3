"""
The operating system as it was when assertlib was imported.

Tests of a store patch ``open``, ``os.*`` and ``time.*``; pyfakefs and freezegun also replace every
module and function that a module holds as a global.  Recording, and whatever reads while a test
runs, therefore calls the attributes of one class, which no patch reaches.

The clock that decides an order is the boot-time clock: it neither steps nor stands still, and all
processes of one boot share it.  The wall clock is for people.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_TIME_NAMESPACE = "/proc/self/ns/time"


def _not_supported(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


class system:
    """The functions that recording needs."""

    _open_file: Callable[..., Any] = staticmethod(open)
    open = staticmethod(os.open)
    close = staticmethod(os.close)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    pwrite = staticmethod(os.pwrite)
    fstat = staticmethod(os.fstat)
    fstatvfs = staticmethod(os.fstatvfs)
    stat = staticmethod(os.stat)
    lstat = staticmethod(os.lstat)
    ftruncate = staticmethod(os.ftruncate)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    mkdir = staticmethod(os.mkdir)
    listdir = staticmethod(os.listdir)
    readlink = staticmethod(os.readlink)
    getcwd = staticmethod(os.getcwd)
    getpid = staticmethod(os.getpid)
    getppid = staticmethod(os.getppid)
    geteuid = staticmethod(os.geteuid)
    urandom = staticmethod(os.urandom)
    posix_fallocate = staticmethod(getattr(os, "posix_fallocate", _not_supported))
    flock = staticmethod(fcntl.flock)
    mmap = mmap.mmap
    wall_clock = staticmethod(time.time_ns)
    _gettime = staticmethod(time.clock_gettime_ns)

    @staticmethod
    def create_into(descriptors: list[int], path: str, flags: int, mode: int, process: int) -> None:
        """
        Create the file at *path*, and append its descriptor to *descriptors*.

        That happens in one C call, so that no signal handler can raise between the two and leak
        the descriptor.

        Args:
            process: Of which process it is; nothing is created in a child that was forked in the
                middle.

        Raises:
            OSError: It cannot be created, or exists.
        """
        flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        before = len(descriptors)
        # One line, for forks.
        if system.getpid() == process: descriptors.extend(map(system.open, (path,), (flags,), (mode,)))  # fmt: skip  # noqa: E701
        if len(descriptors) == before:
            raise OSError(errno.ECHILD, f"the file is to be made by process {process}", path)

    @staticmethod
    def clock() -> int:
        """Nanoseconds since boot, suspension included; comparable where `clock_id` is the same."""
        return system._gettime(_CLOCK)

    @staticmethod
    def clock_id() -> str:
        """
        What the readings of `clock` in this process may be compared with: boot and time namespace.

        Empty where the kernel names neither; then no order across processes is known.
        """
        try:
            return f"{system.read_text(_BOOT_ID).strip()} {system.readlink(_TIME_NAMESPACE)}"
        except (OSError, ValueError):
            return ""

    @staticmethod
    def open_binary(path: str, buffering: int = -1) -> IO[bytes]:
        """
        Open the file at *path* to read bytes.

        Raises:
            OSError: It cannot be read.
        """
        file: IO[bytes] = system._open_file(path, "rb", buffering)
        return file

    @staticmethod
    def read_text(path: str) -> str:
        """
        The text of the file at *path*.

        Raises:
            OSError: It cannot be read.
            UnicodeDecodeError: It is not UTF-8.
        """
        with system._open_file(path, encoding="utf-8") as file:
            text: str = file.read()
        return text

    @staticmethod
    def makedirs(path: str, mode: int = 0o777) -> None:
        """
        Make the directory *path* and those above it; one that exists is left alone.

        Args:
            mode: Permissions of *path* before the umask, not of those above it.

        Raises:
            OSError: It cannot be made.
        """
        try:
            system.mkdir(path, mode)
        except FileNotFoundError:
            parent = os.path.dirname(path)
            if parent == path:
                raise
            system.makedirs(parent)
            system.mkdir(path, mode)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.EISDIR):
                raise

    @staticmethod
    def exists(path: str) -> bool:
        """Whether there is anything at *path*."""
        try:
            system.stat(path)
        except (OSError, ValueError):
            return False
        return True
