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

_binders: dict[tuple[Kind, str], list[Callable[[Cell | None], None]]] = {}


def on_change(kind: Kind, message: str, bind: Callable[[Cell | None], None]) -> None:
    """Have *bind* called with the counter of true hits of *message*, or None, as it changes."""
    _binders.setdefault((kind, message), []).append(bind)


def publish(kind: Kind, message: str, condition: bool, cell: Cell) -> None:
    """Let hits like this one be counted in *cell* without a second look."""
    if not condition:
        false_tables[kind][message] = cell
        return
    true_tables[kind][message] = cell
    for bind in _binders.get((kind, message), ()):
        bind(cell)


def reset() -> None:
    """Forget every counter; like `publish`, only under the recorder's lock."""
    for table in (*true_tables.values(), *false_tables.values()):
        table.clear()
    for binders in _binders.values():
        for bind in binders:
            bind(None)
