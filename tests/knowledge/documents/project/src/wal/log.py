"""Append-only log (Python port)."""

import os
import struct
import zlib

HEADER = struct.Struct("<IIQ")
SEGMENT_LIMIT = 64 * 1024 * 1024


class SealedError(RuntimeError):
    """Raised when a sealed segment is written to."""


class Log:
    """One directory of numbered segments."""

    def __init__(self, path):
        self.path = path
        self.lsn = 0
        self.segment = None
        self.sealed = set()

    def open_segment(self, number):
        name = os.path.join(self.path, "%08d.seg" % number)
        self.segment = open(name, "ab", buffering=0)
        fsync_dir(self.path)
        return self.segment

    def append_record(self, payload, sync=True):
        """Append one record; durable on return if sync is true."""
        if self.segment is None:
            raise RuntimeError("no open segment")
        if self.segment.name in self.sealed:
            raise SealedError(self.segment.name)
        self.lsn += 1
        header = HEADER.pack(len(payload), zlib.crc32(payload), self.lsn)
        self.segment.write(header + payload)
        if sync:
            os.fsync(self.segment.fileno())
        return self.lsn

    def tell(self):
        return self.segment.tell()

    def should_rotate(self):
        return self.tell() >= SEGMENT_LIMIT

    def rotate(self, number):
        self.seal_segment()
        return self.open_segment(number)

    def records(self):
        """Yield (lsn, payload) of all segments in order."""
        for name in sorted(os.listdir(self.path)):
            if not name.endswith(".seg"):
                continue
            with open(os.path.join(self.path, name), "rb") as f:
                while True:
                    head = f.read(HEADER.size)
                    if len(head) < HEADER.size:
                        break
                    size, crc, lsn = HEADER.unpack(head)
                    payload = f.read(size)
                    if len(payload) < size:
                        break
                    if zlib.crc32(payload) != crc:
                        break
                    yield lsn, payload

    def first_lsn(self):
        for lsn, _ in self.records():
            return lsn
        return None

    def last_lsn(self):
        last = None
        for lsn, _ in self.records():
            last = lsn
        return last

    # Sealing is one way: there is no unseal.

    def seal_segment(self):
        """Make the current segment read-only for ever."""
        os.fsync(self.segment.fileno())
        os.chmod(self.segment.name, 0o400)
        self.sealed.add(self.segment.name)
        self.segment.close()

    def close(self):
        if self.segment is not None and not self.segment.closed:
            os.fsync(self.segment.fileno())
            self.segment.close()


def fsync_dir(path):
    """Directory entries are only durable after this."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
