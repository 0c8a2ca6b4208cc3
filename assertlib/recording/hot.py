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


Table = dict[str, "Cell"]

true_tables: dict[Kind, Table] = {kind: {} for kind in KINDS}
false_tables: dict[Kind, Table] = {kind: {} for kind in KINDS}

SCRATCH: Cell = (memoryview(bytearray(8)).cast("Q"), 0)
"""Where hits are counted that nobody wants: with recording off, all of them."""

_bound_resets: list[Callable[[], None]] = []


def on_reset(forget: Callable[[], None]) -> None:
    """Have *forget* called when counters change hands."""
    _bound_resets.append(forget)


def reset() -> None:
    """Forget every counter."""
    for table in (*true_tables.values(), *false_tables.values()):
        table.clear()
    for forget in _bound_resets:
        forget()
