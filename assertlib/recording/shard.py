"""
The file one process leaves in a run directory: whole lines, or nothing.

Each record is one ``os.write``, so that what was written survives a SIGKILL
and a reader never meets half a record but at the very end.
"""

from __future__ import annotations

import fcntl
import os

from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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
TROUBLE = "assertlib_trouble"
PROOF = "assertlib_proof"
LIMIT = "assertlib_limit"
EXIT = "assertlib_exit"


class ShardWriter:
    """Appends lines to one file and never raises."""

    def __init__(self, path: str) -> None:
        """
        Raises:
            OSError: The file cannot be created.
        """
        # The name appears only once the lock is held, so that whoever sees the
        # file can tell from the lock whether its process lives.
        hidden = f"{path}.new"
        self._fd = system.open(
            hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        try:
            system.flock(self._fd, fcntl.LOCK_EX)
            system.rename(hidden, path)
        except OSError:
            system.close(self._fd)
            raise
        self.path = path
        self._identity = identity_of(self._fd)
        self._end = 0
        self._is_torn = False

    def write(self, lines: Iterable[str]) -> bool:
        """Append whole *lines* in one write; False when they could not all be written."""
        data = "".join(lines).encode("ascii", "backslashreplace")
        if not data:
            return True
        # Whoever daemonises closes all descriptors, and the number may be a file of the
        # store's by now.
        if self._identity is None or identity_of(self._fd) != self._identity:
            return False
        if self._is_torn and not self._cut_back():
            return False
        try:
            written = system.write(self._fd, data)
        except OSError:
            written = 0
        if written == len(data):
            self._end += written
            return True
        self._is_torn = True
        self._cut_back()
        return False

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._end

    def _cut_back(self) -> bool:
        """Take half a line away; until that works, nothing may be written behind it."""
        try:
            system.ftruncate(self._fd, self._end)
        except OSError:
            return False
        self._is_torn = False
        return True

    def close(self) -> None:
        """Give the descriptor, and with it the lock, back."""
        close_own(self._fd, self._identity)


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
        fd = system.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        system.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        system.close(fd)
    return False
