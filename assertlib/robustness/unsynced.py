"""
A file of which what is not synced is in memory only.
"""

from __future__ import annotations

import errno
import os

PAGE = 4096
"""Bytes that are kept together."""


class File:
    """
    A regular file.

    Attributes:
        descriptor: What is durable of it, which is never longer than the file is.
        handles: How often it is open.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self.key = key(status)
        self.size = status.st_size
        self.handles = 0
        self._pages: dict[int, bytearray] = {}

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to forget with it."""
        status = os.fstat(self.descriptor)
        is_dirty = bool(self._pages) or status.st_size != self.size
        return self.handles > 0 or (is_dirty and status.st_nlink > 0)

    def read(self, size: int, offset: int) -> bytes:
        """What is at *offset*, synced or not; less than *size* only at the end."""
        end = min(offset + size, self.size)
        if end <= offset:
            return b""
        data = bytearray(os.pread(self.descriptor, end - offset, offset).ljust(end - offset, b"\0"))
        for number in range(offset // PAGE, -(-end // PAGE)) if self._pages else ():
            page = self._pages.get(number)
            if page is not None:
                begin = number * PAGE
                first, last = max(offset, begin), min(end, begin + PAGE)
                data[first - offset : last - offset] = page[first - begin : last - begin]
        return bytes(data)

    def write(self, data: bytes, offset: int) -> None:
        """Put *data* into memory."""
        rest, at = memoryview(data), offset
        while rest:
            number, begin = divmod(at, PAGE)
            part = rest[: PAGE - begin]
            self._page(number)[begin : begin + len(part)] = part
            self.size = max(self.size, at + len(part))
            rest, at = rest[len(part) :], at + len(part)
        os.utime(self.descriptor)

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            page = bytearray(self.read(PAGE, number * PAGE).ljust(PAGE, b"\0"))
            self._pages[number] = page
        return page

    def truncate(self, length: int) -> None:
        """Shrink it for good, or let it grow in memory."""
        if length < os.fstat(self.descriptor).st_size:
            os.ftruncate(self.descriptor, length)
        if length < self.size:
            self._pages = {n: page for n, page in self._pages.items() if n * PAGE < length}
            if (last := self._pages.get(length // PAGE)) is not None:
                last[length % PAGE :] = bytes(PAGE - length % PAGE)
        self.size = length
        os.utime(self.descriptor)

    def sync(self) -> None:
        """Make all of it durable."""
        times = os.fstat(self.descriptor)
        for number, page in sorted(self._pages.items()):
            begin = number * PAGE
            part = memoryview(page)[: self.size - begin]
            if os.pwrite(self.descriptor, part, begin) != len(part):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._pages.clear()
        if times.st_size < self.size:
            os.ftruncate(self.descriptor, self.size)
        os.utime(self.descriptor, ns=(times.st_atime_ns, times.st_mtime_ns))


def key(status: os.stat_result) -> tuple[int, int]:
    """The identity of a file, independent of its names."""
    return status.st_dev, status.st_ino
