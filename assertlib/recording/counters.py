"""
Counters that stay exact when the process is killed.

A counter file is a sequence of 64-bit unsigned integers in the byte order of the machine: a header
of `HEADER_CELLS`, then one *slot* of `SLOT_CELLS` for each assertion: hash of its message, its
kind, true hits, false hits.  It is mapped into memory, so a hit is one addition, and the kernel
preserves the sum whatever happens to the process.

The cell of the kind also records which outcomes have been seen.  These bits are set on the slow
path, before the first hit is counted, so they cost the hot path nothing.  A count that was zeroed,
or appeared from a flipped bit, then contradicts the file itself.

The accelerator adds to a cell atomically.  In pure Python, ``cells[i] += 1`` on a memoryview is
exact for threads under the GIL: the interpreter never gives it up between the load and the store.
"""

from __future__ import annotations

import mmap
import os

from .fast_path import Pair, guard
from .settings import file_mode
from .shard import close_own, identity_of
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

MAGIC = int.from_bytes(b"ALCOUNTS", "little")
VERSION = 1

HEADER_CELLS = 8
(
    MAGIC_CELL,
    VERSION_CELL,
    SLOTS_CELL,
    LOST_CELL,
    ERROR_CELL,
    TRUNCATED_CELL,
    VOLATILE_CELL,
    DROPPED_CELL,
) = range(HEADER_CELLS)

SLOT_CELLS = 4
HASH_CELL, KIND_CELL, TRUE_CELL, FALSE_CELL = range(SLOT_CELLS)
KIND_BITS = 0xFF
SEEN_TRUE, SEEN_FALSE = 1 << 8, 1 << 9
"""Bits of the cell of the kind: its code, and the outcomes that have been seen."""


IN_MEMORY = bytes(1)
"""Content of the counter file of a process that had to keep its counters in memory."""


def seen_bit(condition: bool) -> int:
    """The bit that marks an outcome as seen."""
    return SEEN_TRUE if condition else SEEN_FALSE


CELL_BYTES = 8
LARGEST_CHUNK_BYTES = 1 << 20


_hashlib: ModuleType | None = None


def load_hashing() -> ModuleType:
    """The module hashlib, kept loaded: a finaliser at interpreter exit cannot import it."""
    global _hashlib
    if _hashlib is None:
        import hashlib

        _hashlib = hashlib
    return _hashlib


def message_hash(message: str) -> int:
    """The 64-bit name of *message* in a counter file."""
    try:
        encoded = message.encode()
    except UnicodeEncodeError:
        # A pair of lone surrogates becomes one character when it is written as JSON and read back,
        # and its hash must not change with that.
        joined = message.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        encoded = joined.encode("utf-8", "surrogatepass")
    return int.from_bytes(load_hashing().blake2b(encoded, digest_size=8).digest(), "little")


class Counters:
    """
    The counters of one process, in a file if possible, otherwise in memory.

    They grow by whole chunks that never move, so a cell that was handed out stays valid.  A chunk
    is allocated on disk before it is mapped, because a write to a page that the file system cannot
    back is a SIGBUS.  If the allocation fails, the chunk is private memory and `durable` turns
    false.

    Attributes:
        durable: Whether all counters are in the file.
    """

    def __init__(self, path: str | None, descriptors: list[int], process: int) -> None:
        """
        Args:
            path: The file to create; None to count in memory only.
            descriptors: Holds its descriptor until it is closed.
            process: Id of the process that may create it; a child forked in between may not.
        """
        self.durable = False
        self._descriptors = descriptors
        self._fd: int | None = None
        self._chunks: list[memoryview[int]] = []
        self._bytes = self._mapped = 0
        self._identity: tuple[int, int] | None = None
        self._free: Iterator[tuple[int, Pair]] = iter(())
        self._slots: list[Pair] = []
        self._used = 0
        if path is not None:
            self._open(path, process)
        self._grow()
        self._header = self._chunks[0]
        # The magic number comes last: until then, readers see a file that has just begun.
        self._header[VERSION_CELL] = VERSION
        self._header[MAGIC_CELL] = MAGIC

    def _open(self, path: str, process: int) -> None:
        try:
            system.create_into(self._descriptors, path, os.O_RDWR, file_mode(), process)
        except OSError:
            return
        self._fd = self._descriptors[-1]
        # A daemon may close all descriptors, and their numbers may then name files of the store.
        self._identity = identity_of(self._fd)
        self.durable = self._identity is not None

    @property
    def growth(self) -> int:
        """Size of the next chunk in bytes: each doubles the file, up to the largest chunk."""
        return min(max(mmap.ALLOCATIONGRANULARITY, self._bytes), LARGEST_CHUNK_BYTES)

    def _grow(self) -> None:
        size = self.growth
        mapped = self._map(size) if self.durable else None
        if mapped is None:
            self._mark_volatile()
        chunk = memoryview(bytearray(size) if mapped is None else mapped).cast("Q")
        if mapped is not None:
            guard(chunk)
        # New lists instead of appends, so that all of them can be exchanged on one line below.
        first = 0 if self._chunks else HEADER_CELLS
        known = len(self._slots)
        slots = self._slots + [
            (chunk, index) for index in range(first, len(chunk) - SLOT_CELLS + 1, SLOT_CELLS)
        ]
        chunks, end = [*self._chunks, chunk], self._bytes + size
        free = iter(list(enumerate(slots))[known:])
        # One line: after an exception in between, two chunks would claim the same slots.
        self._chunks, self._bytes, self._slots, self._free = chunks, end, slots, free
        self._mapped = self._mapped if mapped is None else end

    def _mark_volatile(self) -> None:
        if not self._chunks:
            self._leave_mark()
        elif not self.is_cut():
            # A file that was cut is left alone: readers must find that it is too short.
            self._chunks[0][VOLATILE_CELL] = 1
        self.durable = False

    def _leave_mark(self) -> None:
        """Leave the mark of counts in memory only: a hole, which needs no space on a full disk."""
        if self._fd is not None and identity_of(self._fd) == self._identity:
            try:
                system.ftruncate(self._fd, len(IN_MEMORY))
            except OSError:
                pass

    def _map(self, size: int) -> mmap.mmap | None:
        if self._fd is None or identity_of(self._fd) != self._identity or self.is_cut():
            return None
        try:
            system.posix_fallocate(self._fd, self._bytes, size)
            return system.mmap(self._fd, size, offset=self._bytes)
        except (OSError, ValueError):
            # A ValueError: the file was cut after the allocation, and is shorter than the mapping.
            return None

    def take_slot(self) -> tuple[int, Pair]:
        """
        Take the next slot, which has no name yet.

        Returns:
            Its number and its first cell.  The number is its place in the file, so an exception in
            between, such as Ctrl-C, can waste a slot but not shift the others.
        """
        # One C call, so that an interrupt cannot make two assertions share a slot.
        slot = next(self._free, None)
        if slot is None:
            self._grow()
            slot = next(self._free)
        return slot

    def name_slot(self, number: int, hashed: int, kind_code: int) -> None:
        """
        Write the name of a slot that was taken; may be repeated before its first hit.

        Args:
            number: Number of the slot.
            hashed: Hash of the message, as by `message_hash`.
            kind_code: Code of the kind, as in `Kind.code`.
        """
        # In the header last: a kill in between leaves a slot that readers do not count yet.
        cells, index = self._slots[number]
        cells[index + KIND_CELL] |= kind_code
        cells[index + HASH_CELL] = hashed
        self._used = max(self._used, number + 1)
        self._header[SLOTS_CELL] = self._used

    def bump(self, cell: int) -> None:
        """Add one to a cell of the header; under the recorder's lock."""
        self._header[cell] += 1

    def is_cut(self) -> bool:
        """Whether the file is shorter than what was mapped, so that counts are lost."""
        if self._fd is None:
            return False
        try:
            return system.fstat(self._fd).st_size < self._mapped
        except OSError:
            return False

    def header(self, cell: int) -> int:
        """Value of a cell of the header."""
        return self._header[cell]

    def totals(self) -> tuple[list[int], list[int]]:
        """True and false hits by slot."""
        used = self._slots[: self._used]
        # Hits of other threads may be counted meanwhile: each count is exact, their sum is not one
        # moment's.
        true = [cells[index + TRUE_CELL] for cells, index in used]
        false = [cells[index + FALSE_CELL] for cells, index in used]
        return true, false

    def disown(self) -> None:
        """Become private memory in a forked child, where calls under way may hold the counters."""
        # As many slots as before, though all are the same: such a call still uses their numbers.
        private = Counters(None, [], 0)
        self.durable = False
        self._chunks, self._header, self._free = private._chunks, private._header, private._free
        self._slots, self._used = [private._slots[0]] * len(self._slots), 0

    def close(self) -> None:
        """
        Close the descriptor.  The memory stays mapped, since hits may still be under way.
        """
        if self._fd in self._descriptors:
            close_own(self._fd, self._identity)
            self._descriptors.remove(self._fd)
            self._fd = None
