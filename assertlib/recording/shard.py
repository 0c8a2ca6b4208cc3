"""
The file that one process writes into a run directory: whole lines, or nothing.

Each record is one ``pwrite``, so it survives a SIGKILL once it is written, and half a record can
only be the last line of the file.
"""

from __future__ import annotations

import fcntl
import os

from .settings import file_mode
from .system import system

SCHEMA = 2
"""Version of assertlib's own records in a shard."""

SUFFIX = ".jsonl"
COUNTS_SUFFIX = ".counts"

# Keys of assertlib's own records, which are user events to all other readers.
HEADER = "assertlib_shard"
SLOT = "assertlib_slot"
HIT = "assertlib_hit"
VIOLATION = "assertlib_violation"
TRIAL = "assertlib_trial"
DELTA = "assertlib_delta"
FAULTS = "assertlib_faults"
FEATURES = "assertlib_features"
ERROR = "assertlib_error"
PROOF = "assertlib_proof"
LIMIT = "assertlib_limit"
EXIT = "assertlib_exit"


class ShardWriter:
    """
    Appends lines to one file and never raises.

    Lines are taken from the caller in one step and written at a fixed offset.  A write that is
    interrupted after that step is repeated by the next one, with the same bytes at the same
    offset, so no line is lost and none is written twice.
    """

    def __init__(self, path: str, descriptors: list[int], process: int) -> None:
        """
        Args:
            path: The file to create.
            descriptors: Holds its descriptor until it is closed, even if the constructor is
                interrupted: its lock would otherwise make the shard look alive.
            process: Id of the process that may create it; a child forked in between may not.

        Raises:
            OSError: The file cannot be created.
        """
        self.path = path
        self._descriptors = descriptors
        self._identity: tuple[int, int] | None = None
        self._end = 0
        self._under_way = b""
        self._is_torn = False
        self._spacious_until = 0
        # The file gets its name only once the lock is held, so that a reader who finds it can infer
        # from the lock whether its process is alive.
        hidden = f"{path}.new"
        try:
            # Left by an attempt that was interrupted.
            system.unlink(hidden)
        except FileNotFoundError:
            pass
        system.create_into(descriptors, hidden, os.O_WRONLY, file_mode(), process)
        self._fd = descriptors[-1]
        try:
            system.flock(self._fd, fcntl.LOCK_EX)
            status = system.fstat(self._fd)
            self._identity = status.st_dev, status.st_ino
            self._rename(hidden, path)
        except OSError:
            # A child that was forked in between leaves the file to its parent.
            if system.getpid() == process:
                system.close(self._fd)
                descriptors.remove(self._fd)
                try:
                    system.unlink(hidden)
                except OSError:
                    pass
            raise

    def _rename(self, hidden: str, path: str) -> None:
        try:
            system.rename(hidden, path)
        except FileNotFoundError:
            # A child that was forked in between may have renamed it already.
            status = system.stat(path)
            if (status.st_dev, status.st_ino) != self._identity:
                raise

    def write(self, lines: list[str]) -> bool:
        """Append whole *lines* and empty the list; False if they cannot all be written."""
        self._finish()
        data = "".join(lines).encode("ascii", "backslashreplace")
        # One line: from here on the lines are written, whatever interrupts.
        lines[:], self._under_way = (), data
        return self._finish()

    def _finish(self) -> bool:
        """Write the lines that were taken; False if they cannot be written."""
        data, start = self._under_way, self._end
        if not data:
            return True
        # A daemon may have closed all descriptors, and the number may be a file of the store's by
        # now.
        is_own = self._identity is not None and identity_of(self._fd) == self._identity
        written = self._put(data, start) if is_own else 0
        # A signal handler that wrote meanwhile has finished this write, and moved the end itself.
        if self._under_way is data: self._end, self._under_way = start + written, b""  # fmt: skip  # noqa: E701
        return written == len(data)

    def _put(self, data: bytes, start: int) -> int:
        """Write all of *data* or nothing; returns the number of bytes written."""
        if self._is_torn and not self._cut_back(start):
            return 0
        try:
            if system.pwrite(self._fd, data, start) == len(data):
                return len(data)
        except OSError:
            pass
        self._is_torn = True
        self._cut_back(start)
        return 0

    def has_space(self, size: int) -> bool:
        """Whether the file system has *size* bytes left; checked again when a quarter is used."""
        if self._end + size <= self._spacious_until:
            return True
        try:
            status = system.fstatvfs(self._fd)
        except OSError:
            return False
        free = status.f_bavail * status.f_frsize
        self._spacious_until = self._end + free // 4
        return free >= size

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._end

    def _cut_back(self, end: int) -> bool:
        """Cut off half a line; until that succeeds, nothing may be written behind it."""
        try:
            system.ftruncate(self._fd, end)
        except OSError:
            return False
        self._is_torn = False
        return True

    def close(self) -> None:
        """Close the descriptor, which releases the lock."""
        if self._fd in self._descriptors:
            close_own(self._fd, self._identity)
            self._descriptors.remove(self._fd)
        # In a child, a write that the fork interrupted goes on, and by then the number may be that
        # of another file.
        self._fd = -1


def identity_of(fd: int) -> tuple[int, int] | None:
    """Device and inode behind a descriptor; None if it is closed."""
    try:
        status = system.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def close_own(fd: int, identity: tuple[int, int] | None) -> None:
    """Close *fd* unless it refers to another file than *identity* by now."""
    if identity is not None and identity_of(fd) == identity:
        system.close(fd)


def is_alive(path: str) -> bool:
    """Whether the process that writes the file at *path* is alive, which it shows by a lock."""
    try:
        fd = system.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        system.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        system.close(fd)
    return False
