"""
The tables of the hot path: what may be counted without a second look.

For each kind there is one table for true and one for false hits, from the
message to its counter.  A message gets in once its first hits have been
written, and everything is taken out again when counters change hands (fork,
`configure`), so that whatever is not in a table takes the careful way.
"""

from __future__ import annotations

from ..model import KINDS, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .counters import Cell


class Table(dict[str, "Cell"]):
    """Counters by message; with recording off, every message counts into a scratch cell."""

    scratch: Cell | None = None

    def __missing__(self, message: str) -> Cell:
        if self.scratch is None:
            raise KeyError(message)
        self[message] = self.scratch
        return self.scratch


true_tables: dict[Kind, Table] = {kind: Table() for kind in KINDS}
false_tables: dict[Kind, Table] = {kind: Table() for kind in KINDS}

_bound_resets: list[Callable[[], None]] = []


def on_reset(forget: Callable[[], None]) -> None:
    """Have *forget* called when counters change hands."""
    _bound_resets.append(forget)


def reset(*, off: bool) -> None:
    """Forget every counter; with *off*, hits go nowhere from now on."""
    scratch = (memoryview(bytearray(8)).cast("Q"), 0) if off else None
    for table in (*true_tables.values(), *false_tables.values()):
        table.clear()
        table.scratch = scratch
    for forget in _bound_resets:
        forget()
