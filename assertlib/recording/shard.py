"""
The file one process leaves in a run directory: whole lines, or nothing.

Each record is one ``pwrite``, so that what was written survives a SIGKILL
and a reader never meets half a record but at the very end.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from .settings import file_mode
from .system import system

SCHEMA = 2
"""Version of assertlib's own records in a shard."""

SUFFIX = ".jsonl"
COUNTS_SUFFIX = ".counts"

# Keys of assertlib's own records: user events to every other reader.
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
    interrupted after that step is repeated by whatever writes next, with the same bytes at the
    same place, so that nothing is lost and nothing stands there twice.
    """

    def __init__(self, path: str, descriptors: list[int], process: int) -> None:
        """
        Args:
            process: Which process it is to be made in.
            descriptors: Where its descriptor is kept until it is closed.  It outlives a writer
                whose making is interrupted, whose lock would pass for a live process.

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
        # The name appears only once the lock is held, so that whoever sees the
        # file can infer from the lock whether its process lives.
        hidden = f"{path}.new"
        with suppress(FileNotFoundError):
            # Of an attempt that was interrupted.
            system.unlink(hidden)
        system.create_into(descriptors, hidden, os.O_WRONLY, file_mode(), process)
        self._fd = descriptors[-1]
        try:
            system.flock(self._fd, fcntl.LOCK_EX)
            status = system.fstat(self._fd)
            self._identity = status.st_dev, status.st_ino
            self._rename(hidden, path)
        except OSError:
            # A child that was forked in the middle leaves the file to its parent.
            if system.getpid() == process:
                system.close(self._fd)
                descriptors.remove(self._fd)
                with suppress(OSError):
                    system.unlink(hidden)
            raise

    def _rename(self, hidden: str, path: str) -> None:
        try:
            system.rename(hidden, path)
        except FileNotFoundError:
            # A child that was forked in the middle may have renamed it.
            status = system.stat(path)
            if (status.st_dev, status.st_ino) != self._identity:
                raise

    def write(self, lines: list[str]) -> bool:
        """Append whole *lines* and empty the list; False when they cannot all be written."""
        self._finish()
        data = "".join(lines).encode("ascii", "backslashreplace")
        # One line: from here on they are written, whatever interrupts.
        lines[:], self._under_way = (), data
        return self._finish()

    def _finish(self) -> bool:
        """Write what was taken; False if it cannot be written."""
        data, start = self._under_way, self._end
        if not data:
            return True
        # Whoever daemonises closes all descriptors, and the number may be a file of the
        # store's by now.
        is_own = self._identity is not None and identity_of(self._fd) == self._identity
        written = self._put(data, start) if is_own else 0
        # A signal handler may have written meanwhile, and finished this write.
        if self._under_way is data: self._end, self._under_way = start + written, b""  # fmt: skip  # noqa: E701
        return written == len(data)

    def _put(self, data: bytes, start: int) -> int:
        """Write all or nothing; returns how many bytes."""
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
        """Whether the file system has *size* bytes left; asked again when a quarter is used."""
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
        """Take half a line away; until that works, nothing may be written behind it."""
        try:
            system.ftruncate(self._fd, end)
        except OSError:
            return False
        self._is_torn = False
        return True

    def close(self) -> None:
        """Give the descriptor, and with it the lock, back."""
        if self._fd in self._descriptors:
            close_own(self._fd, self._identity)
            self._descriptors.remove(self._fd)
        # What a fork interrupted in the middle goes on in the child, with a number that may be
        # another file's by then.
        self._fd = -1


def identity_of(fd: int) -> tuple[int, int] | None:
    """Device and inode behind a descriptor; None if it is closed."""
    try:
        status = system.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def close_own(fd: int, identity: tuple[int, int] | None) -> None:
    """Close *fd* unless it is no longer the file it was."""
    if identity is not None and identity_of(fd) == identity:
        system.close(fd)


def is_alive(path: str) -> bool:
    """Whether the process that writes the shard at *path* still runs."""
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
