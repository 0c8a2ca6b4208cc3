"""
The assertions that a process has met, each with its counters and its declaration.
"""

from __future__ import annotations

from ..model import Kind, Location, assert_record
from . import fast_path, shard
from .counters import (
    CELL_BYTES,
    FALSE_CELL,
    KIND_CELL,
    SLOT_CELLS,
    TRUE_CELL,
    message_hash,
    seen_bit,
)
from .encode import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fast_path import Cell, Evaluation, Pair

# Where the slots of a parent's session point in its forked child: hits counted here are dropped.
_NOBODYS = memoryview(bytearray(SLOT_CELLS * CELL_BYTES)).cast("Q")


class Slot:
    """
    An assertion that this process has met, and its counters.

    Attributes:
        number: Its place in the counter file, which records name it by.
        cells: The counters, of which its own begin at *index*.
        declaration: The lines that declare it; empty once they are written.
    """

    __slots__ = (
        "cells",
        "declaration",
        "index",
        "invariant",
        "kind",
        "location",
        "message",
        "number",
    )

    def __init__(
        self,
        number: int,
        kind: Kind,
        message: str,
        invariant: str | None,
        location: Location,
        first: Pair,
    ) -> None:
        self.number = number
        self.kind = kind
        self.message = message
        self.invariant = invariant
        self.location = location
        self.cells, self.index = first
        self.declaration: list[str] = _declaration(self)

    def mark(self, condition: bool) -> None:
        """Mark an outcome as seen in the counter file; under the recorder's lock."""
        # The call comes before the cell is read.  A child forked between the read and the write
        # would write the old bits back, and erase an outcome that its parent has marked since.
        bit = seen_bit(condition)
        self.cells[self.index + KIND_CELL] |= bit

    def count(self, evaluation: Evaluation) -> None:
        """Count an evaluation, once; under the recorder's lock."""
        column = TRUE_CELL if evaluation.condition else FALSE_CELL
        if evaluation.count is None:
            fast_path.add_noted(self, column, evaluation)

    def cell(self, condition: bool) -> Cell:
        """The cell that counts hits with this outcome."""
        return fast_path.make_cell(
            self.cells, self.index + (TRUE_CELL if condition else FALSE_CELL)
        )

    def disown(self) -> None:
        """Count nowhere from now on, in a child whose parent owns the cells."""
        self.cells, self.index = _NOBODYS, 0


def _declaration(slot: Slot) -> list[str]:
    body = {
        "slot": slot.number,
        "id": slot.message,
        "kind": slot.kind.name,
        "invariant": slot.invariant,
        "hash": f"{message_hash(slot.message):016x}",
    }
    declared = assert_record(slot.kind, slot.message, slot.location, hit=False, condition=False)
    return [line("antithesis_assert", declared), line(shard.SLOT, body)]
