"""
Reads counter files back; ``recording/counters.py`` describes their layout.
"""

from __future__ import annotations

from itertools import islice

from .._text.inputs import MOST_COUNT, MOST_SLOTS
from ..model import KINDS
from .counters import (
    CELL_BYTES,
    DROPPED_CELL,
    ERROR_CELL,
    HEADER_CELLS,
    KIND_BITS,
    LARGEST_CHUNK_BYTES,
    LOST_CELL,
    MAGIC,
    MAGIC_CELL,
    SEEN_FALSE,
    SEEN_TRUE,
    SLOT_CELLS,
    SLOTS_CELL,
    TRUNCATED_CELL,
    VERSION,
    VERSION_CELL,
    VOLATILE_CELL,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BROKEN_BY_FALSE = frozenset(kind.code for kind in KINDS if kind.violated_by_false)
_PAGE = 4096
"""Bytes; the page size of every machine is a multiple of it, and so is the size of a file."""

_MOST_DAMAGE = 10
"""Contradictions that are listed for one file."""

LARGEST_COUNTER_FILE = (HEADER_CELLS + MOST_SLOTS * SLOT_CELLS) * CELL_BYTES + LARGEST_CHUNK_BYTES


class CounterFile:
    """
    The contents of a counter file.

    Attributes:
        lost_records: Records that could not be written.
        troubles: Assertions that could not be evaluated.
        truncated_details: Details that were truncated.
        dropped_records: Records dropped by limits.
        durable: Whether all counters were in the file.
        slots: Hash of the message, code of the kind, true hits and false hits.
        named: Number of slots that name an assertion.
        damage: Contradictions found in the file, as text; its counts are then lower bounds.
    """

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            ValueError: *data* is not a counter file, is truncated within its header, or has
                another version.
        """
        # A truncated file may end inside a cell.
        whole = len(data) - len(data) % CELL_BYTES
        cells = memoryview(data)[:whole].cast("Q")
        if len(cells) < HEADER_CELLS or cells[MAGIC_CELL] != MAGIC:
            raise ValueError("not a counter file, or truncated within its header")
        if cells[VERSION_CELL] != VERSION:
            raise ValueError(
                f"version {cells[VERSION_CELL]}, but this version of assertlib reads {VERSION}"
            )
        self.lost_records, self.troubles, self.truncated_details, self.dropped_records = (
            min(cells[cell], MOST_COUNT)
            for cell in (LOST_CELL, ERROR_CELL, TRUNCATED_CELL, DROPPED_CELL)
        )
        self.durable = not cells[VOLATILE_CELL]
        present = (len(cells) - HEADER_CELLS) // SLOT_CELLS
        # The first chunk is the header and whole slots, so all slots are contiguous.
        hashes, kinds, true, false = (
            cells[HEADER_CELLS + column : HEADER_CELLS + present * SLOT_CELLS : SLOT_CELLS].tolist()
            for column in range(SLOT_CELLS)
        )
        used = cells[SLOTS_CELL]
        found = self._damage(len(data), used, present, kinds, true, false)
        self.damage = list(islice(found, _MOST_DAMAGE))
        if self.damage:
            # The header may be wrong as well: hits beyond its count must not disappear.
            used = max(used, *(n + 1 for n in range(present) if true[n] or false[n]), 0)
        del hashes[used:], kinds[used:], true[used:], false[used:]
        true, false = ([min(count, MOST_COUNT) for count in row] for row in (true, false))
        codes = [kind & KIND_BITS for kind in kinds]
        # A violation that was marked as seen counts, even if a kill came before its count, or the
        # count is gone.  A true outcome that was marked but not counted does not count: both are
        # the stricter reading.
        for number, code in enumerate(codes):
            if kinds[number] & SEEN_FALSE and not false[number] and code in _BROKEN_BY_FALSE:
                false[number] = 1
        self.named = sum(map(bool, codes))
        self.slots: list[tuple[int, int, int, int]] = list(
            zip(hashes, codes, true, false, strict=True)
        )

    def _damage(
        self,
        size: int,
        used: int,
        present: int,
        kinds: list[int],
        true: list[int],
        false: list[int],
    ) -> Iterator[str]:
        if size % _PAGE or (used > present and self.durable):
            yield f"truncated to {size:,} bytes"
        if used > MOST_SLOTS:
            yield f"more than {MOST_SLOTS:,} assertions"
        if any(true[used:]) or any(false[used:]):
            yield f"hits of more assertions than the {used} in its header"
        for number in range(min(used, present)):
            kind, counted = kinds[number], true[number] or false[number]
            # A slot of zeros is valid: an exception came between taking and naming it.
            if kind >= SEEN_FALSE << 1 or kind & KIND_BITS > len(KINDS) or (counted and not kind):
                yield f"slot {number} has no kind"
            elif true[number] > MOST_COUNT or false[number] > MOST_COUNT:
                yield f"slot {number} counts more than {MOST_COUNT:,}"
            elif (true[number] and not kind & SEEN_TRUE) or (
                false[number] and not kind & SEEN_FALSE
            ):
                yield f"slot {number} counts an outcome that was never seen"
