"""
The tables of the hot path: the hits that are counted without any further work.

For each kind there is one table of true and one of false hits, which map a message to its cell.  A
message is published in a table once its first hits have been written, and all tables are emptied
when the counters change (fork, `configure`).  A hit that is in no table takes the slow path.

Two implementations count by these tables: the functions in Python, and the accelerator
``assertlib._speed``, which counts the calls that it supports and leaves all others to Python.
"""

from __future__ import annotations

from ..forms import Form
from ..model import KINDS, Kind
from . import interrupts
from .accelerator import speed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])
    Bind = Callable[[bool, "Cell | None"], None]

    class Slot(Protocol):
        """The counters of an assertion; see `slots`."""

        cells: memoryview[int]
        index: int

    class Evaluation(Protocol):
        """An evaluation that is counted; see `evaluation`."""

        condition: bool
        count: int | None


Pair = tuple["memoryview[int]", int]
"""A counter: the memory that holds it, and its index there."""

PythonCell = list
"""
A pair as calls use it in pure Python.

A list, so that a forked child can redirect the cells of its parent in place, even those that an
interrupted call holds.
"""

Cell = object
"""A counter as calls use it: a ``PythonCell``, or a ``_speed.Cell`` of the accelerator."""


def _pair(cells: memoryview[int], index: int) -> Cell:
    return [cells, index]


def _add(cell: PythonCell[Any]) -> None:
    # One line: a tracer may switch threads or fork between lines.  Within the line, the interpreter
    # does not give up the GIL between load and store.
    cells, index = cell; cells[index] += 1  # fmt: skip  # noqa: E702


def _add_noted(slot: Slot, column: int, evaluation: Evaluation) -> None:
    # One line: an interrupt comes before both assignments or after both.  The cells are taken from
    # the slot here, not by the caller: a child forked in between has redirected those of the slot.
    slot.cells[slot.index + column] = evaluation.count = slot.cells[slot.index + column] + 1


def _take(cell: PythonCell[Any]) -> int:
    # No lock: threads that race may shift the samples that follow.  No counter of hits is wrong by
    # that, since evaluated conditions are counted elsewhere.
    cells, index = cell
    calls: int = cells[index]
    cells[index] = calls + 1
    return calls


def _increment_unless_power_of_two(cell: PythonCell[Any]) -> bool:
    cells: memoryview[int]
    index: int
    # One line, as in `_add`.  A sum that would be a power of two is left to the slow path, which
    # counts it and writes its record.
    cells, index = cell; cells[index] = total = (seen := cells[index]) + ((seen + 1) & seen != 0)  # fmt: skip  # noqa: E702
    return total != seen


make_cell: Callable[[memoryview[int], int], Cell] = _pair if speed is None else speed.Cell
"""Make the cell at an index of some counters."""

add: Callable[[Any], None] = _add if speed is None else speed.add
"""Count one hit in a cell."""

_take_one: Callable[[Any], int] = _take if speed is None else speed.take

add_noted: Callable[[Slot, int, Evaluation], None] = (
    _add_noted if speed is None else speed.add_noted
)
"""Count an evaluation and note the sum in it; no interrupt can come in between."""

increment_unless_power_of_two: Callable[[Any], bool] = (
    _increment_unless_power_of_two if speed is None else speed.increment_unless_power_of_two
)
"""Count one hit unless the sum, as a power of two, needs a record; returns whether it counted."""

guard: Callable[[memoryview[int]], None] = (lambda _: None) if speed is None else speed.guard
"""Keep a hit in mapped memory from killing the process when its file is truncated.

Pure Python cannot; there the process is killed by SIGBUS.
"""

# The accelerator holds on to these dicts, so they are cleared, never replaced.
true_tables: dict[Kind, dict[str, Cell]] = {kind: {} for kind in KINDS}
false_tables: dict[Kind, dict[str, Cell]] = {kind: {} for kind in KINDS}

marks: dict[str, float] = {}
"""The extreme of each rich assertion; only values beyond it are guidance."""

_samples: dict[Kind, dict[str, Cell]] = {kind: {} for kind in KINDS}
"""Calls of each assertion with a sampled condition, by message."""

# It starts beyond every power of two, whose records the slow path would write.
SCRATCH: Cell = (
    make_cell(memoryview(bytearray(bytes(7) + b"\x80")).cast("Q"), 0)
    if speed is None
    else speed.SCRATCH
)
"""The cell of hits that count nowhere: all of them while recording is off.

The accelerator calls no condition whose message has this cell.
"""

_binders: dict[tuple[Kind, str], list[Bind]] = {}
"""Called with an outcome and its cell for each bound assertion; None withdraws the cell."""


def counted(kind: Kind, outcome: bool, message: str) -> bool:
    """Count a hit of *kind*, *outcome* and *message* if it is published; returns whether it was."""
    try:
        if outcome:
            add(true_tables[kind][message])
            return True
        return increment_unless_power_of_two(false_tables[kind][message])
    except (KeyError, TypeError):
        # Not published, or not even hashable: the slow path reports such a message.
        return False
    except Exception as error:
        # A message whose class defines `__hash__` or `__eq__`; its failure is reported as well.
        interrupts.reraise(error)
        return False


def is_sampled(kind: Kind, message: str, every: int) -> bool:
    """Whether this call, of *kind* and *message*, is one of those that *every* selects."""
    if type(message) is not str:
        return True
    samples = _samples[kind]
    cell = samples.get(message)
    if cell is None:
        cell = samples[message] = make_cell(memoryview(bytearray(8)).cast("Q"), 0)
    return _take_one(cell) % every == 0


def publish(kind: Kind, message: str, outcome: bool, cell: Cell, mark: float | None = None) -> None:
    """
    Let the fast path count hits of *kind*, *message* and *outcome* in *cell*.

    Only for a message that is exactly a str: looking up another would run code of its class.  Call
    it under the recorder's lock.  *mark*, if any, is the extreme of the assertion's guidance.
    """
    if type(message) is not str:
        return
    if mark is not None:
        marks[message] = mark
    (true_tables if outcome else false_tables)[kind][message] = cell
    for bind in _binders.get((kind, message), ()):
        bind(outcome, cell)


def disown() -> None:
    """
    Redirect all cells to private memory, in a forked child whose calls may hold its parent's.

    A call of the accelerator holds none, since it looks up and counts without an interruption.
    """
    if speed is not None:
        return
    for table in (*true_tables.values(), *false_tables.values()):
        for cell in list(table.values()):
            cell[:] = SCRATCH  # type: ignore[index]


def reset() -> None:
    """Withdraw every cell; like `publish`, only under the recorder's lock."""
    for table in (*true_tables.values(), *false_tables.values()):
        table.clear()
    marks.clear()
    for binders in _binders.values():
        for bind in binders:
            # Bound assertions keep their cells outside the tables.
            bind(True, None)
            bind(False, None)


# -- the accelerator -----------------------------------------------------------

# Passed to the accelerator as indices: shapes into its table, relations as `Py_LT` to `Py_GE`.
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
    """The table that a function in Python counts by; empty if the accelerator counts instead."""
    table: Any = (true_tables if outcome else false_tables)[kind]
    return table if speed is None else {}


def accelerated(form: Form) -> Callable[[F], F]:
    """Decorate the function of *form* so that the accelerator, if built, counts its plain calls."""

    def accelerate(function: F) -> F:
        return function if speed is None else _accelerated(function, form.shape, form.kind, form)

    return accelerate


def accelerated_method(function: F, form: Form, owner: type) -> F:
    """
    Put the accelerator, if it was built, in front of a method.

    Args:
        function: The method in Python.
        form: The form that it evaluates.
        owner: Its class.
    """
    if speed is None:
        return function
    return _accelerated(function, form.shape, form.kind, form, owner)


def _accelerated(
    function: F, shape: str, kind: Kind, form: Form | None = None, owner: type | None = None
) -> F:
    assert speed is not None
    relation = "eq" if form is None else form.relation or "eq"
    direction = 0 if form is None or form.guidance is None else 1 if form.maximize else -1
    counting: F = speed.accelerate(
        function,
        function.__name__,
        function.__module__,
        _text_signature(function, "self" if owner else None),
        () if owner else _reduced(function),
        false_tables[kind],
        true_tables[kind],
        marks,
        _samples[kind],
        _SHAPES.index(shape),
        _RELATIONS.index(relation),
        direction,
        owner,
    )
    return counting


Evaluated: type[Any] | None = None if speed is None else speed.Evaluated
"""What a condition returned or raised that the accelerator has called; None without it."""


def result_of(evaluated: Any) -> object:
    """Return what a condition returned, or raise what it raised; only once."""
    result: object = evaluated.result()
    return result


def twin_of(function: object) -> object:
    """The Python function behind an accelerated *function*; *function* itself if it is not one."""
    if speed is None:
        return function
    if isinstance(function, speed.Method):
        return function.slow_path
    behind = getattr(function, "__self__", None)
    return behind.slow_path if isinstance(behind, speed.Assertion) else function


def _reduced(function: Callable[..., object]) -> tuple[Callable[..., object], tuple[object, ...]]:
    """How pickle restores the object that *function* is an attribute of."""
    owner = getattr(function, "__self__", None)
    return (_module, (function.__module__,)) if owner is None else owner.__reduce__()


def _module(name: str) -> object:
    import sys

    return sys.modules.get(name) or __import__(name, fromlist=["_"])


_texts: dict[tuple[object, str], str] = {}


def _text_signature(function: Callable[..., object], receiver: str | None) -> str:
    """Signature and docstring in the form of a builtin; *receiver* is the first of a method."""
    # By code and name: thousands of bound assertions share the text of one method, and functions
    # from a factory share their code.
    key = function.__code__, function.__name__
    text = _texts.get(key)
    if text is None:
        signature = _signature(function)
        if receiver is not None:
            # The mark of a parameter that a bound method lacks.
            signature = signature.replace(f"({receiver}", f"(${receiver}", 1)
        text = _texts[key] = f"{signature}\n--\n\n{function.__doc__ or ''}"
    return text


def _signature(function: Callable[..., object]) -> str:
    # By hand, since importing `inspect` would more than double the import time of assertlib.
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
    Make a bound assertion from its Python function.

    Args:
        shape: ``bound condition`` or ``bound point``.
        kind: The kind of the assertion.
        message: The message that it is bound to.
        function: Evaluates the assertion in Python.
        bind: Gives an outcome and its cell to that function, or None to withdraw the cell.

    Returns:
        *function*, or the accelerated function in front of it.
    """
    # Never published, so never bound: such a message may not even be hashable.
    if type(message) is not str:
        return function
    binders = _binders.setdefault((kind, message), [])
    if speed is None:
        binders.append(bind)
        return function
    counting, give = _accelerated(function, shape, kind), speed.bind
    binders.append(lambda outcome, cell: give(counting, outcome, cell))
    return counting
