"""
Counters that stay exact when the process is killed.

A counter file is a sequence of 64-bit unsigned integers in the byte order of
the machine: a header of `HEADER_CELLS`, then one *slot* of `SLOT_CELLS` for
each assertion: hash of its message, code of its kind, true hits, false hits.
It is mapped into memory, so a hit is one addition and the kernel keeps the
sum whatever happens to the process.

The accelerator adds to a cell atomically.  Python's ``cells[i] += 1`` on a
memoryview is exact for threads under the GIL: between its load and its store
the interpreter never gives the GIL away.
"""

from __future__ import annotations

import mmap
import os

from .hot import Pair
from .shard import close_own, identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = int.from_bytes(b"ALCOUNTS", "little")
VERSION = 1

HEADER_CELLS = 8
(
    MAGIC_CELL,
    VERSION_CELL,
    SLOTS_CELL,
    LOST_CELL,
    TROUBLE_CELL,
    TRUNCATED_CELL,
    VOLATILE_CELL,
    DROPPED_CELL,
) = range(HEADER_CELLS)

SLOT_CELLS = 4
HASH_CELL, KIND_CELL, TRUE_CELL, FALSE_CELL = range(SLOT_CELLS)

CELL_BYTES = 8
_LARGEST_CHUNK_BYTES = 1 << 20


def message_hash(message: str) -> int:
    """The 64-bit name of *message* in a counter file."""
    import hashlib

    encoded = message.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")


class Counters:
    """
    The counters of one process, in a file if there is one, else in memory.

    They grow by whole chunks that never move, so an index that was handed out
    stays good.  A chunk is allocated on disk before it is mapped: writing to a
    page that the file system cannot back is a SIGBUS.  Where that fails, the
    chunk is memory and `durable` turns false.
    """

    def __init__(self, path: str | None) -> None:
        self.durable = False
        self._fd: int | None = None
        self._maps: list[mmap.mmap] = []
        self._chunks: list[memoryview[int]] = []
        self._bytes = 0
        self._identity: tuple[int, int] | None = None
        self._free: Iterator[tuple[int, Pair]] = iter(())
        self._slots: list[Pair] = []
        self._used = 0
        if path is not None:
            self._open(path)
        self._grow()
        self._header = self._chunks[0]
        self._header[VERSION_CELL] = VERSION
        self._header[MAGIC_CELL] = MAGIC

    def _open(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError:
            return
        self._identity = identity_of(self._fd)
        self.durable = self._identity is not None

    def _grow(self) -> None:
        size = min(max(mmap.ALLOCATIONGRANULARITY, self._bytes), _LARGEST_CHUNK_BYTES)
        chunk = self._map(size) if self.durable else None
        if chunk is None:
            chunk = memoryview(bytearray(size)).cast("Q")
            if self._chunks:
                self._chunks[0][VOLATILE_CELL] = 1
            self.durable = False
        first = 0 if self._chunks else HEADER_CELLS
        self._chunks.append(chunk)
        self._bytes += size
        known = len(self._slots)
        self._slots += [
            (chunk, index) for index in range(first, len(chunk) - SLOT_CELLS + 1, SLOT_CELLS)
        ]
        self._free = iter(list(enumerate(self._slots))[known:])

    def _map(self, size: int) -> memoryview[int] | None:
        if self._fd is None or identity_of(self._fd) != self._identity:
            return None
        try:
            os.posix_fallocate(self._fd, self._bytes, size)
            mapped = mmap.mmap(self._fd, size, offset=self._bytes)
        except (OSError, ValueError):
            return None
        self._maps.append(mapped)
        return memoryview(mapped).cast("Q")

    def add_slot(self, hashed: int, kind_code: int) -> tuple[int, Pair]:
        """
        Take the next slot; returns its number and its first cell.

        The number is its place in the file, so that an exception in between (a
        Ctrl-C) can waste a slot but not shift the others.
        """
        slot = next(self._free, None)
        if slot is None:
            self._grow()
            slot = next(self._free)
        number, (cells, index) = slot
        cells[index + KIND_CELL] = kind_code
        cells[index + HASH_CELL] = hashed
        self._used = max(self._used, number + 1)
        self._header[SLOTS_CELL] = self._used
        return number, (cells, index)

    def bump(self, cell: int) -> None:
        """Add one to a cell of the header."""
        self._header[cell] += 1

    def header(self, cell: int) -> int:
        """Value of a cell of the header."""
        return self._header[cell]

    def totals(self) -> tuple[list[int], list[int]]:
        """True and false hits by slot."""
        used = self._slots[: self._used]
        true = [cells[index + TRUE_CELL] for cells, index in used]
        false = [cells[index + FALSE_CELL] for cells, index in used]
        return true, false

    def close(self) -> None:
        """
        Give the descriptor back.  The memory stays mapped, because a hit may
        still be on its way.
        """
        if self._fd is not None:
            close_own(self._fd, self._identity)
            self._fd = None


class CounterFile:
    """What a counter file holds, read back."""

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            ValueError: *data* is no counter file, or one of another version.
        """
        whole = len(data) - len(data) % CELL_BYTES
        cells = memoryview(data)[:whole].cast("Q")
        if len(cells) < HEADER_CELLS or cells[MAGIC_CELL] != MAGIC:
            msg = "not a counter file of assertlib (or cut inside its header)"
            raise ValueError(msg)
        if cells[VERSION_CELL] != VERSION:
            msg = f"counter file of version {cells[VERSION_CELL]}, this assertlib reads {VERSION}"
            raise ValueError(msg)
        self.lost_records = cells[LOST_CELL]
        self.troubles = cells[TROUBLE_CELL]
        self.truncated_details = cells[TRUNCATED_CELL]
        self.dropped_records = cells[DROPPED_CELL]
        self.durable = not cells[VOLATILE_CELL]
        present = (len(cells) - HEADER_CELLS) // SLOT_CELLS
        self.is_whole = cells[SLOTS_CELL] <= present
        used = min(cells[SLOTS_CELL], present)
        # The first chunk is the header and whole slots, so all slots are contiguous.
        columns = (
            cells[HEADER_CELLS + column : HEADER_CELLS + used * SLOT_CELLS : SLOT_CELLS].tolist()
            for column in range(SLOT_CELLS)
        )
        self.slots: list[tuple[int, int, int, int]] = list(zip(*columns, strict=True))
