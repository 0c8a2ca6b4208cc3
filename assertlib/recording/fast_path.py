"""
The tables of the hot path: what may be counted without a second look.

For each kind there is one table for true and one for false hits, from the
message to its cell.  A message gets in once its first hits have been written,
and everything is taken out again when counters change hands (fork,
`configure`), so that whatever is not in a table takes the slow_path way.

Two twins count by these tables: the functions in Python, and the accelerator
``assertlib._speed``, which does the same for the calls it knows and leaves the
rest to them.
"""

from __future__ import annotations

from ..model import KINDS, Kind
from .accelerator import speed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .evaluation import Evaluation
    from .session import Slot

    F = TypeVar("F", bound=Callable[..., Any])
    Bind = Callable[[bool, "Cell | None"], None]

Pair = tuple["memoryview[int]", int]
"""A counter: the memory it stands in and its index there."""

PythonCell = list
"""
A pair in pure Python, as calls use it.

A list, since a forked child redirects the cells of its parent, whichever call holds them.
"""

Cell = object
"""A counter as calls use it: a ``PythonCell`` or a ``_speed.Cell``."""


def _pair(cells: memoryview[int], index: int) -> Cell:
    return [cells, index]


def _add(cell: PythonCell[Any]) -> None:
    # One line: a Python tracer may switch threads, or fork, between lines.
    cells, index = cell; cells[index] += 1  # fmt: skip  # noqa: E702


def _add_noted(slot: Slot, column: int, evaluation: Evaluation) -> None:
    # One line: what interrupts comes before both or after both.  A fork may have interrupted the
    # call, and its child has taken the cells of its parent out of the slot.
    slot.cells[slot.index + column] = evaluation.count = slot.cells[slot.index + column] + 1


def _increment_unless_power_of_two(cell: PythonCell[Any]) -> bool:
    cells: memoryview[int]
    index: int
    # One line, as in `_add`.
    cells, index = cell; cells[index] = total = (seen := cells[index]) + ((seen + 1) & seen != 0)  # fmt: skip  # noqa: E702
    return total != seen


make_cell: Callable[[memoryview[int], int], Cell] = _pair if speed is None else speed.Cell
"""The cell at an index of counters."""

add: Callable[[Any], None] = _add if speed is None else speed.add
"""Count one hit in a cell."""

add_noted: Callable[[Slot, int, Evaluation], None] = (
    _add_noted if speed is None else speed.add_noted
)
"""Count an evaluation, and note the sum in it: nothing that interrupts can come in between."""

increment_unless_power_of_two: Callable[[Any], bool] = (
    _increment_unless_power_of_two if speed is None else speed.increment_unless_power_of_two
)
"""Count one hit, unless the sum is a power of two and so worth a record; whether it was."""

guard: Callable[[memoryview[int]], None] = (lambda _: None) if speed is None else speed.guard
"""Keep a hit in mapped memory from killing the process when its file is cut.

Python alone cannot: there, the process ends by SIGBUS.
"""

true_tables: dict[Kind, dict[str, Cell]] = {kind: {} for kind in KINDS}
false_tables: dict[Kind, dict[str, Cell]] = {kind: {} for kind in KINDS}

marks: dict[str, float] = {}
"""The extreme of each rich assertion: what does not go beyond it gives no guidance."""

SCRATCH: Cell = make_cell(memoryview(bytearray(8)).cast("Q"), 0)
"""Where hits are counted that nobody wants: with recording off, all of them."""

_binders: dict[tuple[Kind, str], list[Bind]] = {}
"""Called with each outcome and cell of a bound assertion; None withdraws the cell."""


def counted(kind: Kind, outcome: bool, message: str) -> bool:
    """Count a hit if that needs no second look."""
    try:
        if outcome:
            add(true_tables[kind][message])
            return True
        return increment_unless_power_of_two(false_tables[kind][message])
    except (KeyError, TypeError):
        return False


def publish(kind: Kind, message: str, outcome: bool, cell: Cell) -> None:
    """
    Let hits like this one be counted in *cell* without a second look.

    Only under a plain text: looking up another would run code of its class.
    """
    if type(message) is not str:
        return
    (true_tables if outcome else false_tables)[kind][message] = cell
    for bind in _binders.get((kind, message), ()):
        bind(outcome, cell)


def disown() -> None:
    """
    Redirect all cells to memory of a forked child: calls under way may hold its parent's.

    A call of the accelerator holds none: it takes and counts a cell in one piece.
    """
    if speed is not None:
        return
    for table in (*true_tables.values(), *false_tables.values()):
        for cell in list(table.values()):
            cell[:] = SCRATCH  # type: ignore[index]


def reset() -> None:
    """Forget every cell; like `publish`, only under the recorder's lock."""
    for table in (*true_tables.values(), *false_tables.values()):
        table.clear()
    marks.clear()
    for binders in _binders.values():
        for bind in binders:
            bind(True, None)
            bind(False, None)


# -- the twins -----------------------------------------------------------------

# The accelerator knows shapes and relations by their number.
_SHAPES = (
    "condition",
    "point",
    "bound condition",
    "bound point",
    "comparison",
    "propositions",
)
_RELATIONS = ("lt", "le", "eq", "ne", "gt", "ge")


def pairs(kind: Kind, outcome: bool) -> dict[str, PythonCell[Any]]:
    """The table that a function in Python counts by: an empty one if the accelerator does it."""
    table: Any = (true_tables if outcome else false_tables)[kind]
    return table if speed is None else {}


def accelerated(
    shape: str,
    kind: Kind,
    *,
    relation: str = "eq",
    maximize: bool = False,
) -> Callable[[F], F]:
    """
    Let the accelerator count the plain calls of a function, where there is one.

    Args:
        shape: What the arguments of the function are, one of those above.
        kind: Whose hits it counts.
        relation: For comparisons, what holds between left and right; for
            propositions, ``eq`` if all of them must hold, ``gt`` if some.
        maximize: Whether larger is more extreme.
    """

    def accelerate(function: F) -> F:
        if speed is None:
            return function
        counting: F = speed.accelerate(
            function,
            function.__name__,
            function.__module__,
            _text_signature(function),
            _reduced(function),
            false_tables[kind],
            true_tables[kind],
            marks,
            _SHAPES.index(shape),
            _RELATIONS.index(relation),
            maximize,
        )
        return counting

    return accelerate


def twin_of(function: object) -> object:
    """The Python function behind *function*, if it is accelerated: both have one identity."""
    behind = getattr(function, "__self__", None)
    if speed is None or not isinstance(behind, speed.Assertion):
        return function
    return behind.slow_path


def _reduced(function: Callable[..., object]) -> tuple[Callable[..., object], tuple[object, ...]]:
    """How to come by what *function* is an attribute of, for pickle."""
    owner = getattr(function, "__self__", None)
    return (_module, (function.__module__,)) if owner is None else owner.__reduce__()


def _module(name: str) -> object:
    import sys

    return sys.modules.get(name) or __import__(name, fromlist=["_"])


_texts: dict[object, str] = {}


def _text_signature(function: Callable[..., object]) -> str:
    """Signature and docstring in the form of a builtin, one text for all bound assertions."""
    text = _texts.get(function.__code__)
    if text is None:
        text = f"{_signature(function)}\n--\n\n{function.__doc__ or ''}"
        _texts[function.__code__] = text
    return text


def _signature(function: Callable[..., object]) -> str:
    code = function.__code__
    defaults = function.__defaults__ or ()
    names = list(code.co_varnames[: code.co_argcount])
    for at, default in enumerate(defaults, len(names) - len(defaults)):
        names[at] += f"={default!r}"
    if hasattr(function, "__self__"):
        del names[0]
    if code.co_kwonlyargcount:
        named = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
        named_defaults = function.__kwdefaults__ or {}
        names += ["*", *(f"{name}={named_defaults[name]!r}" for name in named)]
    return f"{function.__name__}({', '.join(names)})"


def bound(
    shape: str, kind: Kind, message: str, function: F, bind: Callable[[bool, Any], None]
) -> F:
    """
    A bound assertion, made from the *function* of its Python twin.

    Args:
        bind: Takes the cells for the Python twin.
    """
    binders = _binders.setdefault((kind, message), [])
    if speed is None:
        binders.append(bind)
        return function
    counting, give = accelerated(shape, kind)(function), speed.bind
    binders.append(lambda outcome, cell: give(counting, outcome, cell))
    return counting
