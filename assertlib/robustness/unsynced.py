"""
A file whose unsynced data is in memory only.
"""

from __future__ import annotations

import errno
import os

PAGE = 4096
"""Size in bytes of the units in which unsynced data is kept."""


class File:
    """
    A regular file.

    Args:
        descriptor: Descriptor of the durable file, open for reading and, if possible, writing.

    Attributes:
        descriptor: The same; the durable file is never longer than this one.
        key: The identity of the file.
        size: Size in bytes, including unsynced growth.
        handles: How often it is open.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self.key = key(status)
        self.size = status.st_size
        self.handles = 0
        # Whole pages with unsynced data, by number; they take precedence over the durable file.
        self._pages: dict[int, bytearray] = {}

    @property
    def is_needed(self) -> bool:
        """Whether the file is open, or has unsynced data that can still be reached by a name."""
        status = os.fstat(self.descriptor)
        is_dirty = bool(self._pages) or status.st_size != self.size
        return self.handles > 0 or (is_dirty and status.st_nlink > 0)

    def read(self, size: int, offset: int) -> bytes:
        """Return *size* bytes at *offset*, synced or not; fewer only at the end of the file."""
        end = min(offset + size, self.size)
        if end <= offset:
            return b""
        # Zeros where the file has grown beyond the durable one, and no page covers the growth.
        data = bytearray(os.pread(self.descriptor, end - offset, offset).ljust(end - offset, b"\0"))
        for number in range(offset // PAGE, -(-end // PAGE)) if self._pages else ():
            page = self._pages.get(number)
            if page is not None:
                begin = number * PAGE
                first, last = max(offset, begin), min(end, begin + PAGE)
                data[first - offset : last - offset] = page[first - begin : last - begin]
        return bytes(data)

    def write(self, data: bytes, offset: int) -> None:
        """Write *data* at *offset*, in memory only."""
        rest, at = memoryview(data), offset
        while rest:
            number, begin = divmod(at, PAGE)
            part = rest[: PAGE - begin]
            self._page(number)[begin : begin + len(part)] = part
            self.size = max(self.size, at + len(part))
            rest, at = rest[len(part) :], at + len(part)
        # Nothing was written to the durable file, so its time has to be set explicitly.
        os.utime(self.descriptor)

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            page = bytearray(self.read(PAGE, number * PAGE).ljust(PAGE, b"\0"))
            self._pages[number] = page
        return page

    def truncate(self, length: int) -> None:
        """Set the size to *length* bytes: shrinking is durable at once, growth once synced."""
        if length < os.fstat(self.descriptor).st_size:
            os.ftruncate(self.descriptor, length)
        if length < self.size:
            self._pages = {n: page for n, page in self._pages.items() if n * PAGE < length}
            # Bytes that were cut off must not reappear when the file grows again.
            if (last := self._pages.get(length // PAGE)) is not None:
                last[length % PAGE :] = bytes(PAGE - length % PAGE)
        self.size = length
        os.utime(self.descriptor)

    def sync(self) -> None:
        """
        Make all data durable.

        Raises:
            OSError: There is no space left; nothing is lost, and the sync can be tried again.
        """
        times = os.fstat(self.descriptor)
        for number, page in sorted(self._pages.items()):
            begin = number * PAGE
            part = memoryview(page)[: self.size - begin]
            if os.pwrite(self.descriptor, part, begin) != len(part):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # Dropped only after all were written, since reads need the pages after a failure.
        self._pages.clear()
        # Growth at the end can lack pages, after a truncation to a greater length.
        if times.st_size < self.size:
            os.ftruncate(self.descriptor, self.size)
        # Writing to the durable file has changed its time, which a sync must not do.
        os.utime(self.descriptor, ns=(times.st_atime_ns, times.st_mtime_ns))


def key(status: os.stat_result) -> tuple[int, int]:
    """Return the identity of the file with *status*, which is independent of its names."""
    return status.st_dev, status.st_ino
