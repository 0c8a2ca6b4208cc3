"""
A small file protocol with an implementation on the real disk, for stores that use a simulated disk
in tests.

A store that reaches its files only through a `Disk` runs on the real disk in production, and in
tests on one that loses unsynced writes.  Both count the bytes *written* and *synced*, so that an
assertion can compare an acknowledgement with what would survive a power cut.  A missing fsync is
invisible to ``kill -9``, because the page cache survives the process.
"""

import os
from typing import Protocol

__all__ = ["Disk", "File", "RealDisk"]


class File(Protocol):
    """A file that is read, written, synced and truncated."""

    @property
    def written(self) -> int:
        """Bytes handed to the operating system."""

    @property
    def synced(self) -> int:
        """Bytes that survive a power cut: the size at the last `sync`."""

    def append(self, data: bytes) -> None:
        """
        Write all of *data* at the end.

        Raises:
            OSError: The disk is full or broken; part of *data* may be written.
        """

    def read_at(self, offset: int, size: int) -> bytes:
        """
        Read up to *size* bytes at *offset*; fewer at the end of the file.

        Raises:
            OSError: The disk is broken.
        """

    def write_at(self, offset: int, data: bytes) -> None:
        """
        Write all of *data* at *offset*; a gap before it is filled with zeros.

        Bytes in the place of synced ones are not synced, and neither are those behind them.

        Raises:
            OSError: The disk is full or broken; part of *data* may be written.
        """

    def sync(self) -> None:
        """
        Make everything written so far durable (``fsync``).

        Raises:
            OSError: The sync failed; nothing may be assumed about what is durable.
        """

    def truncate(self, size: int) -> None:
        """Cut the file to *size* bytes."""

    def close(self) -> None:
        """Close the file without syncing it."""


class Disk(Protocol):
    """The calls that a store may make on its directory."""

    def open(self, path: str) -> File:
        """Open *path* for appending; a missing file is created."""

    def read(self, path: str) -> bytes:
        """
        The whole content of *path*.

        Raises:
            FileNotFoundError: The file does not exist.
        """

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory at *path*."""

    def list(self, directory: str) -> list[str]:
        """The names in *directory*, sorted."""

    def make_directory(self, path: str) -> None:
        """Create *path* and its parents; does nothing if it exists."""

    def rename(self, source: str, target: str) -> None:
        """Move *source* over *target*; the new name is durable only after `sync_directory`."""

    def remove(self, path: str) -> None:
        """Delete the file; durable only after `sync_directory`."""

    def sync_directory(self, path: str) -> None:
        """Make the names in directory *path* durable (``fsync`` of the directory)."""

    def unsynced_names(self, directory: str) -> frozenset[str]:
        """Names created, renamed or removed in *directory* since its last `sync_directory`."""


class _RealFile:
    """A descriptor with its written and synced sizes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # Linux appends whatever is written to a descriptor that appends, at any offset.
        self._direct = -1
        self.written = os.fstat(self._fd).st_size
        # Whoever wrote the present bytes may not have synced them.
        self.synced = 0

    def append(self, data: bytes) -> None:
        # A short write, or one before an error, counts as far as it went.
        rest = memoryview(data)
        while rest:
            count = os.write(self._fd, rest)
            self.written += count
            rest = rest[count:]

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def write_at(self, offset: int, data: bytes) -> None:
        if self._direct < 0:
            # By descriptor, since the path may name another file by now.
            path = f"/proc/self/fd/{self._fd}"
            self._direct = os.open(
                path if os.path.exists(path) else self._path, os.O_WRONLY | os.O_CLOEXEC
            )
        self.synced = min(self.synced, offset)
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._direct, rest, offset)
            offset += count
            self.written = max(self.written, offset)
            rest = rest[count:]

    def sync(self) -> None:
        # An append from another thread during the fsync is not covered by it.
        end = self.written
        os.fsync(self._fd)
        # The fsync of another thread may have begun later, and covered more.
        self.synced = max(self.synced, end)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self.written = size
        # Bytes appended in the place of synced ones are not synced.
        self.synced = min(self.synced, size)

    def close(self) -> None:
        os.close(self._fd)
        if self._direct >= 0:
            os.close(self._direct)


class RealDisk:
    """The disk of this machine."""

    def __init__(self) -> None:
        # Names by the absolute path of their directory, which a caller may spell in several ways.
        self._unsynced: dict[str, set[str]] = {}

    def _touch(self, path: str) -> None:
        directory, name = os.path.split(os.path.abspath(path))
        self._unsynced.setdefault(directory, set()).add(name)

    def open(self, path: str) -> File:
        """Open *path* for appending; a missing file is created."""
        # A name that exists already is durable, or is listed from when it was made.
        is_new = not os.path.exists(path)
        file = _RealFile(path)
        if is_new:
            self._touch(path)
        return file

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def list(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def make_directory(self, path: str) -> None:
        """Create *path* and its parents; does nothing if it exists."""
        # Each directory that is created is a new name in its own parent.
        missing = []
        parent = os.path.abspath(path)
        while not os.path.exists(parent):
            missing.append(parent)
            parent = os.path.dirname(parent)
        os.makedirs(path, exist_ok=True)
        for made in missing:
            self._touch(made)

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)
        self._touch(source)
        self._touch(target)

    def remove(self, path: str) -> None:
        os.remove(path)
        self._touch(path)

    def sync_directory(self, path: str) -> None:
        """Make the names in directory *path* durable."""
        # Names that are created during the fsync stay unsynced.
        names = self.unsynced_names(path)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        self._unsynced.get(os.path.abspath(path), set()).difference_update(names)

    def unsynced_names(self, directory: str) -> frozenset[str]:
        return frozenset(self._unsynced.get(os.path.abspath(directory), ()))
