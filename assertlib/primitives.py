"""
The public calls: always, sometimes, reachable and their kin.

Rules common to all of them, and to the Antithesis SDKs whose names and
argument order they share:

* *message* is the assertion's name: literal, constant, at one call site only.
* *details* is a mapping, or a callable that returns one; it is serialised, or
  called, only when a record is written.
* They return the condition as a bool and, in mode ``record``, never raise.
* *condition* may be a lambda or a local function without arguments.  It is not
  called when recording is off, and with ``every=1000`` only at the first and
  at each thousandth call.  A call that did not evaluate it returns True.

Meaning of the kinds: Antithesis, "Assertions in Antithesis" (properties and
assertions), and ``assertlib.model``.
"""

from __future__ import annotations

import sys

from . import capture
from .model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    REACHABLE,
    SOMETIMES,
    UNREACHABLE,
    Kind,
)
from .recording import fast_path, interrupts
from .recording.recorder import recorder
from .recording.reprs import bounded_repr
from .recording.settings import OFF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType
    from typing import Any, Protocol, TypeVar

    from .recording.fast_path import PythonCell
    from .recording.hits import Hit, Where

    F = TypeVar("F", bound=Callable[..., object])

    Details = Mapping[str, object] | Callable[[], Mapping[str, object]]
    Condition = object
    """A bool or anything with a truth value, or a lambda that returns one."""

    class BoundCondition(Protocol):
        """An assertion whose name is fixed, for hot code."""

        def __call__(self, condition: Condition, details: Details | None = None) -> bool:
            """Evaluate it."""

    class BoundPoint(Protocol):
        """A reachable or unreachable whose name is fixed."""

        def __call__(self, details: Details | None = None) -> bool:
            """Say that this point was reached."""


# A cell is taken and counted on one line, so that a fork under a tracer comes before or after.
_always_true = fast_path.pairs(ALWAYS, True)
_always_or_unreachable_true = fast_path.pairs(ALWAYS_OR_UNREACHABLE, True)
_sometimes_true = fast_path.pairs(SOMETIMES, True)
_sometimes_false = fast_path.pairs(SOMETIMES, False)
_reachable_true = fast_path.pairs(REACHABLE, True)


class InvariantViolation(AssertionError):  # noqa: N818 (the name of the contract)
    """
    An assertion came out false in mode ``raise``.

    Attributes:
        message: Name of the assertion.
        invariant: Id of the invariant it protects, if it names one.
    """

    def __init__(self, hit: Hit) -> None:
        super().__init__(hit.message)
        self.message = hit.message
        self.invariant = hit.invariant
        self._hit = hit
        self._text: str | None = None

    def __str__(self) -> str:
        if self._text is None:
            self._text = recorder.explain(self._hit) or brief(self._hit)
        return self._text

    def __reduce__(self) -> tuple[object, tuple[str, str, str | None]]:
        return _restored, (str(self), self.message, self.invariant)


def _restored(text: str, message: str, invariant: str | None) -> InvariantViolation:
    violation = InvariantViolation.__new__(InvariantViolation, message)
    violation.message = message
    violation.invariant = invariant
    violation._text = text
    return violation


def brief(hit: Hit) -> str:
    """What the process itself knows of a violation, in a few lines."""
    lines = [f"{hit.kind.name} {hit.message!r} is violated at {hit.location}"]
    if hit.invariant is not None:
        lines.append(f"  invariant: {hit.invariant}")
    if hit.captured is not None:
        lines.append(f"  condition: {hit.captured.source}")
        lines += [f"    {name} = {value}" for name, value in hit.captured.values.items()]
    if hit.details is not None:
        lines.append(f"  details: {hit.details}")
    if hit.trial is not None:
        seed = "" if hit.seed is None else f" (seed {hit.seed})"
        lines.append(f"  trial: {hit.trial}{seed}")
    # Only here: a store that raises for nothing starts faster without.
    from .control_characters import escaped

    return escaped("\n".join(lines))


# -- the caller --------------------------------------------------------------

_internal_files: set[str] = {__file__}
_wrappers: set[CodeType] = set()


def wrapper(function: F) -> F:
    """
    Mark a function that passes its own ``message`` parameter on to an assertion.

    The callers of the function then are the sites of the assertion, for the
    scanner and in every record; each must give a literal message.
    """
    code: CodeType | None = getattr(function, "__code__", None)
    if code is not None:
        _wrappers.add(code)
    return function


def internal(file: str) -> None:
    """Leave the module at *file* out when looking for an assertion's caller."""
    _internal_files.add(file)


def caller(*, captures: bool = True) -> capture.Caller:
    """The nearest frame that is neither ours nor a wrapper's."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and _is_passed_over(frame.f_code):
        frame = frame.f_back
    return capture.Caller(frame, recorder.root, capture=captures)


def _is_passed_over(code: CodeType) -> bool:
    return code.co_filename in _internal_files or code in _wrappers


# -- the careful way ---------------------------------------------------------

_sampled: dict[tuple[Kind, str], int] = {}


def slow_path(
    kind: Kind,
    condition: Condition,
    message: str,
    details: Details | None,
    invariant: str | None,
    every: int = 1,
) -> bool:
    """Everything but the happy path of an assertion with a condition."""
    if recorder.mode == OFF:
        return _unrecorded(kind, condition, message)
    if callable(condition) and every != 1 and not _is_sampled(kind, message, every):
        return True
    outcome = evaluate(condition, message)
    if outcome is None:
        return False
    return count(kind, outcome, message, details, invariant)


def evaluate(condition: Condition, message: str) -> bool | None:
    """The truth of *condition*; None, and a trouble recorded, if it has none."""
    if condition is True or condition is False:
        return condition
    try:
        reason = _why_not_callable(condition) if callable(condition) else None
        if reason is None:
            return _truth(condition() if callable(condition) else condition)
    except Exception as error:
        interrupts.reraise(error)
        reason = f"its condition raised {bounded_repr(error)}"
    refuse(message, reason)
    return None


def _unrecorded(kind: Kind, condition: Condition, message: str) -> bool:
    """The truth of *condition* with recording off; later hits like it take the hot path."""
    try:
        if callable(condition):
            return True
        outcome = bool(condition)
        if not fast_path.counted(kind, outcome, message):
            recorder.ignore(kind, message, outcome)
    except Exception as error:
        interrupts.reraise(error)
        return False
    return outcome


def _is_sampled(kind: Kind, message: str, every: int) -> bool:
    try:
        calls = _sampled.get((kind, message), 0)
        _sampled[kind, message] = calls + 1
        return every < 1 or calls % every == 0
    except TypeError:
        # The message is not a string, which is reported when it is counted, or `every` is not a number.
        return True


_Function = type(lambda: None)


def _why_not_callable(condition: object) -> str | None:
    """Why *condition* must not be called; None for a lambda or a local function."""
    condition = fast_path.twin_of(condition)
    coroutine, generator, async_generator = 0x80, 0x20, 0x200
    if not isinstance(condition, _Function):
        return f"its condition is {_described(condition)}, not a truth value: call it"
    code = condition.__code__
    if code.co_flags & (coroutine | generator | async_generator):
        return "its condition is a coroutine or generator function, which has no truth value"
    if condition.__name__ != "<lambda>" and "<locals>" not in condition.__qualname__:
        return f"its condition is the function {condition.__qualname__}, which was not called"
    if code.co_argcount - len(condition.__defaults__ or ()) > 0:
        return "its condition is a function that needs arguments"
    return None


def _described(value: object) -> str:
    value = fast_path.twin_of(value)
    name = getattr(value, "__qualname__", None)
    kind = type(value).__name__
    return f"the {kind} {name}" if isinstance(name, str) else f"of type {kind}"


def _truth(value: object) -> bool:
    """
    Raises:
        TypeError: It is something that would be true whatever it stands for.
    """
    if value is True or value is False:
        return value
    if hasattr(value, "__await__"):
        raise TypeError(f"{_described(value)} is awaitable and was not awaited")
    if callable(value):
        raise TypeError(f"{_described(value)} was not called")
    return bool(value)


def truths(named: Mapping[str, Condition]) -> dict[str, bool]:
    """
    The truth of each proposition.

    Raises:
        TypeError: One of them has none.
    """
    return {name: _truth(value) for name, value in named.items()}


def refuse(message: object, reason: str) -> bool:
    """Record that an assertion could not be evaluated; never a pass."""
    recorder.record_error(message, reason, caller())
    return False


def count(
    kind: Kind, outcome: bool, message: str, details: Details | None, invariant: str | None
) -> bool:
    """Count an outcome that took some work to find."""
    if fast_path.counted(kind, outcome, message):
        return outcome
    return _record(kind, outcome, message, details, invariant)


def _record(
    kind: Kind, outcome: bool, message: str, details: Details | None, invariant: str | None
) -> bool:
    where = caller()
    return record_at(where, kind, outcome, message, details, invariant)


def record_at(
    where: Where,
    kind: Kind,
    outcome: bool,
    message: str,
    details: Details | None,
    invariant: str | None,
) -> bool:
    """Record a hit at a known place, and raise for a violation where that is the mode."""
    if not isinstance(message, str):
        recorder.record_error(message, "its message is not a string", where)
        return outcome
    try:
        hit = recorder.hit(kind, outcome, message, details, invariant, where)
    except Exception as error:
        interrupts.reraise(error)
        recorder.record_error(message, f"it could not be recorded: {bounded_repr(error)}", where)
        return outcome
    if hit is not None and hit.is_violation and recorder.raises_here:
        raise InvariantViolation(hit)
    return outcome


def merged(details: Details | None, extra: Mapping[str, object]) -> Mapping[str, object]:
    """*details*, evaluated, with *extra* over them."""
    given = details() if callable(details) else details
    if given is None:
        return extra
    return {**(given if hasattr(given, "keys") else {"value": given}), **extra}


# -- plain assertions --------------------------------------------------------


@fast_path.accelerated("condition", ALWAYS)
def always(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
    every: int = 1,
) -> bool:
    """Claim that *condition* holds each time, and that this line is reached."""
    if condition is True:
        try:
            cells, index = _always_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        except (KeyError, TypeError):
            pass
    return slow_path(ALWAYS, condition, message, details, invariant, every)


@fast_path.accelerated("condition", ALWAYS_OR_UNREACHABLE)
def always_or_unreachable(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
    every: int = 1,
) -> bool:
    """Claim that *condition* holds each time; never reaching this line is fine."""
    if condition is True:
        try:
            cells, index = _always_or_unreachable_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        except (KeyError, TypeError):
            pass
    return slow_path(ALWAYS_OR_UNREACHABLE, condition, message, details, invariant, every)


@fast_path.accelerated("condition", SOMETIMES)
def sometimes(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
    every: int = 1,
) -> bool:
    """Claim that *condition* holds at least once in a run."""
    try:
        if condition is True:
            cells, index = _sometimes_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        if condition is False and fast_path.increment_unless_power_of_two(
            _sometimes_false[message]
        ):
            return False
    except (KeyError, TypeError):
        pass
    return slow_path(SOMETIMES, condition, message, details, invariant, every)


@fast_path.accelerated("point", REACHABLE)
def reachable(
    message: str, details: Details | None = None, *, invariant: str | None = None
) -> bool:
    """Claim that this line is reached at least once in a run."""
    try:
        cells, index = _reachable_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
        return True
    except (KeyError, TypeError):
        return slow_path(REACHABLE, True, message, details, invariant)


def unreachable(
    message: str, details: Details | None = None, *, invariant: str | None = None
) -> bool:
    """Claim that this line is never reached; returns False when it is."""
    return slow_path(UNREACHABLE, False, message, details, invariant)


# -- bound assertions --------------------------------------------------------


class _Bound:
    """
    An assertion whose name is fixed, with the cells of its hits.

    Its methods are what callers get: unlike functions, they stay what they are
    as attributes of a class.
    """

    __slots__ = ("_false", "_invariant", "_kind", "_message", "_true")

    def __init__(self, kind: Kind, message: str, invariant: str | None) -> None:
        self._kind = kind
        self._message = message
        self._invariant = invariant
        self._true: PythonCell[Any] | None = None
        self._false: PythonCell[Any] | None = None

    def __reduce__(self) -> tuple[type[_Bound], tuple[Kind, str, str | None]]:
        return _Bound, (self._kind, self._message, self._invariant)

    def bind(self, outcome: bool, cell: PythonCell[Any] | None) -> None:
        """Take the cell of hits with that *outcome*."""
        if outcome:
            self._true = cell
        else:
            self._false = cell

    def check(self, condition: Condition, details: Details | None = None) -> bool:
        """Evaluate this assertion, which is bound to its name."""
        if condition is True and (pair := self._true) is not None:
            cells, index = pair; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        if (
            condition is False
            and (pair := self._false) is not None
            and fast_path.increment_unless_power_of_two(pair)
        ):
            return False
        return slow_path(self._kind, condition, self._message, details, self._invariant)

    def reach(self, details: Details | None = None) -> bool:
        """Say that this point, which is bound to its name, was reached."""
        if (pair := self._true) is not None:
            cells, index = pair; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        outcome = self._kind is not UNREACHABLE
        return slow_path(self._kind, outcome, self._message, details, self._invariant)


def bind_condition(kind: Kind, message: str, invariant: str | None) -> BoundCondition:
    """An always, always_or_unreachable or sometimes with a fixed name, for hot code."""
    recorder.declare(kind, message, invariant, caller(captures=False))
    twin = _Bound(kind, message, invariant)
    return fast_path.bound("bound condition", kind, message, twin.check, twin.bind)


def bind_point(kind: Kind, message: str, invariant: str | None) -> BoundPoint:
    """A reachable or unreachable with a fixed name."""
    recorder.declare(kind, message, invariant, caller(captures=False))
    twin = _Bound(kind, message, invariant)
    return fast_path.bound("bound point", kind, message, twin.reach, twin.bind)


# -- assertions that stand elsewhere -------------------------------------------


def hit_at(
    where: Where,
    kind: Kind,
    condition: bool,
    message: str,
    details: Details | None,
    extra: Mapping[str, object] | None,
) -> bool:
    """Record a hit of an assertion whose place the caller passes."""
    if recorder.mode == OFF:
        return condition
    combined = details if extra is None else lambda: merged(details, extra)
    return record_at(where, kind, condition, message, combined, None)
