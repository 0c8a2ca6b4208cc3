"""
The functions of the operating system as they were when assertlib was imported.

Tests of a store patch ``open``, ``os.*`` and ``time.*``; pyfakefs and freezegun also replace every
module and function that a module holds as a global.  Recording, and everything that reads while a
test runs, therefore calls the attributes of one class, which no patch reaches.

Order is decided by the boot-time clock: it neither steps nor stands still, and all processes of one
boot share it.  The wall clock is only displayed.
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

# Only Linux has CLOCK_BOOTTIME; elsewhere the time that the machine is suspended is missing.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_TIME_NAMESPACE = "/proc/self/ns/time"


# Without the call, counters are kept in memory, as on a file system that cannot allocate.
def _not_supported(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


class system:
    """The functions that recording calls."""

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
        Create a file, and append its descriptor to a list.

        Both happen in one C call, so that no signal handler can raise in between and leak the
        descriptor.

        Args:
            descriptors: Receives the descriptor.
            path: The file to create.
            flags: Access mode; those for creating a new file are added.
            mode: Permissions before the umask.
            process: Id of the process that may create the file.

        Raises:
            OSError: The file exists or cannot be created, or this process is a child that was
                forked in between.
        """
        flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        before = len(descriptors)
        # One line: no fork can come between the test of the process and the creation.
        if system.getpid() == process: descriptors.extend(map(system.open, (path,), (flags,), (mode,)))  # fmt: skip  # noqa: E701
        if len(descriptors) == before:
            raise OSError(errno.ECHILD, f"the file must be created by process {process}", path)

    @staticmethod
    def clock() -> int:
        """Nanoseconds since boot, suspension included; comparable if `clock_id` is the same."""
        return system._gettime(_CLOCK)

    @staticmethod
    def clock_id() -> str:
        """
        Boot and time namespace, which identify the readings that `clock` is comparable with.

        Empty if the kernel does not provide them; the order across processes is unknown then.
        """
        try:
            return f"{system.read_text(_BOOT_ID).strip()} {system.readlink(_TIME_NAMESPACE)}"
        except (OSError, ValueError):
            # Without /proc, or without time namespaces, which came with Linux 5.6.
            return ""

    @staticmethod
    def open_binary(path: str, buffering: int = -1) -> IO[bytes]:
        """
        Open the file at *path* for reading bytes, with *buffering* as for `open`.

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
        Create the directory *path* and those above it; an existing one is left alone.

        Args:
            path: The directory to create.
            mode: Permissions of *path* before the umask; those above it get the default.

        Raises:
            OSError: It cannot be created.
        """
        # Not `os.makedirs`: its parts call functions of `os` and `os.path`, which may be patched.
        try:
            system.mkdir(path, mode)
        except FileNotFoundError:
            # The recursion accepts a parent that another process creates meanwhile.
            parent = os.path.dirname(path)
            if parent == path:
                raise
            system.makedirs(parent)
            try:
                system.mkdir(path, mode)
            except FileExistsError:
                # Another process has created it as well.
                pass
        except OSError as error:
            # EEXIST also for a file of that name: opening the shard in it then fails.
            if error.errno not in (errno.EEXIST, errno.EISDIR):
                raise

    @staticmethod
    def exists(path: str) -> bool:
        """Whether there is anything at *path*."""
        try:
            system.stat(path)
        except (OSError, ValueError):
            # A ValueError: the path holds a null character.
            return False
        return True
