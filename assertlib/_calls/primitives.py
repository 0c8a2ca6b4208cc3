"""
The public calls: always, sometimes, reachable and their kin.

Rules common to all of them, and to the Antithesis SDKs whose names and argument order they share:

* *message* is the name of the assertion: literal, constant, and used at one call site only.
* *details* is a mapping, or a callable that returns one; it is serialized, or called, only when a
  record is written.
* They return the condition as a bool and, in mode ``record``, never raise.
* *condition* may be a lambda or a local function without arguments.  It is not called when
  recording is off, and with ``every=1000`` only at the first call and at each thousandth after
  it.  A call that did not evaluate its condition returns True.

Meaning of the kinds: Antithesis, "Assertions in Antithesis" (properties and assertions), and
``assertlib.model``.

Over 500 lines, since the docstrings of the calls are the reference of the SDK, and the calls share
the slow path below them.
"""

from __future__ import annotations

import sys

from .._capture import caller as capture
from ..forms import FORMS
from ..model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    REACHABLE,
    SOMETIMES,
    UNREACHABLE,
    Kind,
)
from ..recording import fast_path, interrupts
from ..recording.recorder import recorder
from ..recording.reprs import bounded_repr
from ..recording.settings import OFF
from ..recording.trials import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType
    from typing import Any, Protocol, TypeVar

    from ..recording.fast_path import PythonCell
    from ..recording.hits import Hit, Where

    F = TypeVar("F", bound=Callable[..., object])

    Details = Mapping[str, object] | Callable[[], Mapping[str, object]]
    Condition = object
    """A bool or any object with a truth value, or a lambda that returns one."""

    class BoundCondition(Protocol):
        """An always, always_or_unreachable or sometimes with a fixed name, for hot code."""

        def __call__(self, condition: Condition, details: Details | None = None) -> bool:
            """Evaluate the assertion; parameters and result are those of `always`."""

    class BoundPoint(Protocol):
        """A reachable or unreachable with a fixed name."""

        def __call__(self, details: Details | None = None) -> bool:
            """Record that this point was reached; see `reachable` and `unreachable`."""


# Counters of the fast path, by message.  With the accelerator these stay empty, since its cells
# cannot be unpacked in Python; the calls that it hands over are counted by `count`.
#
# Each use takes and counts a cell on one line.  A tracer may fork between lines, and a child forked
# between the two steps would count in memory of its parent.
_always_true = fast_path.pairs(ALWAYS, True)
_always_or_unreachable_true = fast_path.pairs(ALWAYS_OR_UNREACHABLE, True)
_sometimes_true = fast_path.pairs(SOMETIMES, True)
_sometimes_false = fast_path.pairs(SOMETIMES, False)
_reachable_true = fast_path.pairs(REACHABLE, True)


class InvariantViolation(AssertionError):  # noqa: N818 (the name of the contract)
    """
    A violated assertion, raised in mode ``raise`` after it was recorded.

    Under pytest it is raised only in the thread that runs the test; a violation in another thread
    is recorded and fails the test when it ends.

    Attributes:
        message: Name of the assertion.
        invariant: Id of the invariant that the assertion protects; None if it cites none.
    """

    # The name to catch it by, which a traceback shows.
    __module__ = "assertlib"

    def __init__(self, hit: Hit) -> None:
        super().__init__(hit.message)
        self.message = hit.message
        self.invariant = hit.invariant
        self._hit = hit
        self._text: str | None = None

    def __str__(self) -> str:
        # The explanation reads the catalog.  A store that catches the exception and goes on does
        # not pay for it.
        if self._text is None:
            self._text = recorder.explain(self._hit) or brief(self._hit)
        return self._text

    def __reduce__(self) -> tuple[object, tuple[str, str, str | None]]:
        # As text, since the process that receives it may have neither the catalog nor the tools.
        return _restored, (str(self), self.message, self.invariant)


def _restored(text: str, message: str, invariant: str | None) -> InvariantViolation:
    violation = InvariantViolation.__new__(InvariantViolation, message)
    violation.message = message
    violation.invariant = invariant
    violation._text = text
    return violation


def brief(hit: Hit) -> str:
    """Describe a violation in a few lines, without the catalog."""
    lines = [f"{hit.kind.name} {hit.message!r} is violated at {hit.location}"]
    if hit.invariant is not None:
        lines.append(f"  invariant: {hit.invariant}")
    if hit.captured is not None:
        lines.append(f"  condition: {hit.captured.source}")
        lines += [f"    {name} = {value}" for name, value in hit.captured.values.items()]
    if hit.details is not None:
        lines.append(f"  details: {hit.details}")
    if hit.trial is not None:
        lines.append(f"  trial: {describe(hit.trial, hit.seed)}")
    # Imported at the first violation: a store without one starts faster.
    from .._text.control_characters import escaped

    return escaped("\n".join(lines))


# -- the caller --------------------------------------------------------------

_internal_files: set[str] = {__file__}
# Code objects, since a frame has no reference to its function.
_wrappers: set[CodeType] = set()


def wrapper(function: F) -> F:
    """
    Mark a function that passes its own ``message`` parameter on to an assertion.

    The callers of the function then are the sites of the assertion, for the scanner and in every
    record; each must pass a literal message.

    Returns:
        The function itself, unchanged.  Only Python functions can be marked.
    """
    code: CodeType | None = getattr(function, "__code__", None)
    if code is not None:
        _wrappers.add(code)
    return function


def internal(file: str) -> None:
    """Skip the frames of the module at *file* in the search for the caller of an assertion."""
    _internal_files.add(file)


def caller(*, captures: bool = True) -> capture.Caller:
    """
    Find the nearest frame that belongs neither to the SDK nor to a wrapper.

    Args:
        captures: Whether the frame is at a call with a condition, which can be captured from it.
    """
    frame: FrameType = sys._getframe(1)
    # A thread may start in an assertion, as in ``start_new_thread(always, ...)``.  Then each frame
    # is one of the SDK, and the outermost stands in.
    while frame.f_back is not None and _is_passed_over(frame.f_code):
        frame = frame.f_back
    return capture.Caller(frame, recorder.root, capture=captures)


def _is_passed_over(code: CodeType) -> bool:
    return code.co_filename in _internal_files or code in _wrappers


# -- the slow path -----------------------------------------------------------


def slow_path(
    kind: Kind,
    condition: Condition,
    message: str,
    details: Details | None,
    invariant: str | None,
    every: int = 1,
) -> bool:
    """
    Evaluate an assertion whose hit could not be counted on the fast path.

    Args:
        kind: The claim of the assertion.
        condition: As for `always`; a constant for a point.
        message: As for `always`; so are *details*, *invariant*, *every* and the result.
    """
    # Before anything is evaluated: with recording off, callables do not run.  What the accelerator
    # has called is judged all the same.
    if recorder.mode == OFF and type(condition) is not fast_path.Evaluated:
        return _unrecorded(kind, condition, message)
    # The cost of a plain value has been paid when it gets here: skipping it would save nothing,
    # and could lose a violation.
    if callable(condition) and every != 1 and not _is_sampled(kind, message, every):
        return True
    outcome = evaluate(condition, message)
    if outcome is None:
        return False
    # A condition may switch recording off.
    if recorder.mode == OFF:
        return _unrecorded(kind, outcome, message)
    return count(kind, outcome, message, details, invariant)


def evaluate(condition: Condition, message: str) -> bool | None:
    """
    Return the truth of a condition; None if it has none.

    In that case an error is recorded for the assertion *message*.
    """
    if condition is True or condition is False:
        return condition
    try:
        if type(condition) is fast_path.Evaluated:
            return _truth(fast_path.result_of(condition))
        # Both lines may run code of the store: `__qualname__` and `__bool__` can be anything.
        reason = _why_not_callable(condition) if callable(condition) else None
        if reason is None:
            return _truth(condition() if callable(condition) else condition)
    except Exception as error:
        # A time limit that a signal handler raised here belongs to the store.  The same holds
        # wherever exceptions are caught in these modules.
        interrupts.reraise(error)
        reason = f"its condition raised {bounded_repr(error)}"
        # The search for an interrupt has left this frame with a copy of its locals, which holds the
        # error: a cycle that would keep the frames of the store until they are collected.
        error.__traceback__ = None
    refuse(message, reason)
    return None


def _unrecorded(kind: Kind, condition: Condition, message: str) -> bool:
    """Return the truth of *condition* with recording off, and move its message to the fast path."""
    try:
        # A callable does not run, and passes.
        outcome = callable(condition) or bool(condition)
        # With recording off, the tables hold a scratch cell for each message seen: later calls
        # cost one lookup, and their hits are counted nowhere.
        if not fast_path.counted(kind, outcome, message):
            recorder.ignore(kind, message, outcome)
    except Exception as error:
        interrupts.reraise(error)
        return False
    return outcome


def _is_sampled(kind: Kind, message: str, every: int) -> bool:
    try:
        if isinstance(every, int) and every >= 1:
            return fast_path.is_sampled(kind, message, every)
        # Evaluated all the same: a skipped condition could hide a violation.
        refuse(message, f"every={bounded_repr(every)} is not a positive integer")
    except Exception as error:
        interrupts.reraise(error)
    return True


_Function = type(lambda: None)


def _why_not_callable(condition: object) -> str | None:
    """Return why *condition* must not be called; None for a lambda or a local function."""
    condition = fast_path.twin_of(condition)
    # `inspect.CO_COROUTINE` and so on; the base package does without the import of `inspect`.
    coroutine, generator, async_generator = 0x80, 0x20, 0x200
    # A method or a module's function as condition, as in ``always(store.is_open, ...)``, is most
    # likely one whose parentheses were forgotten.  It is true as an object, which must not pass,
    # and a call could have effects of its own.
    if not isinstance(condition, _Function):
        return f"its condition is {_described(condition)}, not a truth value: call it"
    code = condition.__code__
    if code.co_flags & (coroutine | generator | async_generator):
        return "its condition is a coroutine or generator function, which has no truth value"
    if condition.__name__ != "<lambda>" and "<locals>" not in condition.__qualname__:
        return f"its condition is the function {condition.__qualname__}, which was not called"
    # Keyword-only arguments without a default are left to the call, which then raises a TypeError
    # that is reported as well.
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
    Return the truth of *value*.

    Raises:
        TypeError: The value is true whatever it stands for: an awaitable or a callable.
    """
    if value is True or value is False:
        return value
    if hasattr(value, "__await__"):
        raise TypeError(f"{_described(value)} is awaitable but was not awaited")
    if callable(value):
        raise TypeError(f"{_described(value)} was not called")
    return bool(value)


def truths(named: Mapping[str, Condition]) -> dict[str, bool]:
    """
    Return the truth of each proposition in *named*, by name.

    Raises:
        TypeError: A proposition has no truth value, such as a function that was not called.
    """
    return {name: _truth(value) for name, value in named.items()}


def refuse(message: object, reason: str) -> bool:
    """Record the *reason* why an assertion could not be evaluated; False, as it is never a pass."""
    recorder.record_error(message, reason, caller())
    return False


def count(
    kind: Kind, outcome: bool, message: str, details: Details | None, invariant: str | None
) -> bool:
    """
    Count a hit of *kind* with *outcome*, on the fast path where possible, and return *outcome*.

    The name of the assertion, *message*, its *details* and its *invariant* are those of `always`.
    """
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
    """
    Record a hit of *kind* with *outcome* at the place *where*, and return *outcome*.

    The name of the assertion, *message*, its *details* and its *invariant* are those of `always`.

    Raises:
        InvariantViolation: The hit is a violation, in mode ``raise``.
    """
    # Checked here, once for all calls: only plain strings get into the tables of the fast path,
    # so that a call with any other message ends up here.
    if not isinstance(message, str):
        recorder.record_error(message, "its message is not a string", where)
        return outcome
    try:
        hit = recorder.hit(kind, outcome, message, details, invariant, where)
    except Exception as error:
        interrupts.reraise(error)
        recorder.record_error(message, f"it could not be recorded: {bounded_repr(error)}", where)
        return outcome
    # In mode ``raise`` each violation has a record.  The one exception is an assertion in a signal
    # handler or finalizer that interrupted the recorder: it is deferred, and cannot raise.
    if hit is not None and hit.is_violation and recorder.raises_here:
        raise InvariantViolation(hit)
    return outcome


def merged(details: Details | None, extra: Mapping[str, object]) -> Mapping[str, object]:
    """
    Return *details*, called if they are callable, with the keys of *extra* over them.

    Details that are not a mapping are kept under the key ``value``.
    """
    given = details() if callable(details) else details
    if given is None:
        return extra
    return {**(given if hasattr(given, "keys") else {"value": given}), **extra}


# -- plain assertions --------------------------------------------------------


@fast_path.accelerated(FORMS["always"])
def always(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
    every: int = 1,
) -> bool:
    """
    Assert that *condition* holds on every evaluation.

    One false evaluation violates the assertion.  The call must also be reached: an `always` that a
    full run never evaluates is reported as unreached.  Use `always_or_unreachable` for code that
    may legitimately not run.

    Args:
        condition: A bool, any object with a truth value, or a lambda or local function without
            required arguments that returns one.  A callable runs only when it is evaluated: not
            with recording off, and as often as *every* allows.  Any other callable, an awaitable,
            or a condition that raises is recorded as an error, and counts as no evaluation.
        message: A string literal, used at this call site only.  It names the assertion in reports
            and identifies it across files and versions.
        details: A mapping with context, such as the values compared, or a callable that returns
            one.  It is serialized, or called, only when a record is written, so it adds next to
            nothing to most calls.  None, the default, records no details.
        invariant: Id of the catalog entry that the assertion protects, as ``area.name`` or
            ``area.name#clause``.  The evidence then counts for that entry.  None, the default,
            cites no entry.
        every: Sampling interval of a callable condition, as a number of evaluations.  1, the
            default, evaluates each call; 1000 evaluates the first call and each thousandth after
            it, and skips the others.  Conditions that are not callables are never skipped.

    Returns:
        The truth of the condition.  A condition that was skipped, by *every* or with recording
        off, returns True; one that could not be evaluated returns False.

    Raises:
        InvariantViolation: The condition is false, in mode ``raise``.  In mode ``record``, the
            default, a violation is recorded and the call returns False.

    Example:
        >>> acked, synced = 6, 6
        >>> always(acked <= synced, "acknowledged entries are synced", {"acked": acked})
        True
    """
    # Compared by identity, which runs no code of the store: other true values, whose `__bool__`
    # might, take the slow path.
    if condition is True:
        try:
            cells, index = _always_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        except (KeyError, TypeError):
            pass
        except Exception as error:
            interrupts.reraise(error)
    return slow_path(ALWAYS, condition, message, details, invariant, every)


@fast_path.accelerated(FORMS["always_or_unreachable"])
def always_or_unreachable(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
    every: int = 1,
) -> bool:
    """
    Assert that *condition* holds on every evaluation, if there is any.

    One false evaluation violates the assertion, as for `always`.  A run that never evaluates it
    satisfies it, so it fits error paths and optional features.

    Args:
        condition: A bool, any object with a truth value, or a lambda or local function without
            required arguments that returns one.  A callable runs only when it is evaluated: not
            with recording off, and as often as *every* allows.  Any other callable, an awaitable,
            or a condition that raises is recorded as an error, and counts as no evaluation.
        message: A string literal, used at this call site only.  It names the assertion in reports
            and identifies it across files and versions.
        details: A mapping with context, or a callable that returns one.  It is serialized, or
            called, only when a record is written.  None, the default, records no details.
        invariant: Id of the catalog entry that the assertion protects, as ``area.name`` or
            ``area.name#clause``.  None, the default, cites no entry.
        every: Sampling interval of a callable condition, as a number of evaluations.  1, the
            default, evaluates each call; 1000 evaluates the first call and each thousandth after
            it, and skips the others.  Conditions that are not callables are never skipped.

    Returns:
        The truth of the condition.  A condition that was skipped, by *every* or with recording
        off, returns True; one that could not be evaluated returns False.

    Raises:
        InvariantViolation: The condition is false, in mode ``raise``.  In mode ``record``, the
            default, a violation is recorded and the call returns False.

    Example:
        >>> size = 100
        >>> always_or_unreachable(size < 1000, "a snapshot is small", lambda: {"size": size})
        True
    """
    if condition is True:
        try:
            cells, index = _always_or_unreachable_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        except (KeyError, TypeError):
            pass
        except Exception as error:
            interrupts.reraise(error)
    return slow_path(ALWAYS_OR_UNREACHABLE, condition, message, details, invariant, every)


@fast_path.accelerated(FORMS["sometimes"])
def sometimes(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
    every: int = 1,
) -> bool:
    """
    Assert that *condition* holds at least once in a run.

    A false evaluation is not a violation.  A full run in which the condition never held reports the
    assertion as never true, or as unreached if it was not evaluated at all: the workload misses a
    state that the store has to cope with.

    Args:
        condition: A bool, any object with a truth value, or a lambda or local function without
            required arguments that returns one.  A callable runs only when it is evaluated: not
            with recording off, and as often as *every* allows.  Any other callable, an awaitable,
            or a condition that raises is recorded as an error, and counts as no evaluation.
        message: A string literal, used at this call site only.  It names the assertion in reports
            and identifies it across files and versions.
        details: A mapping with context, or a callable that returns one.  It is serialized, or
            called, only when a record is written.  None, the default, records no details.
        invariant: Id of the catalog entry that the assertion puts to the test, as ``area.name``,
            ``area.name#clause`` or ``area.name#state``.  None, the default, cites no entry.
        every: Sampling interval of a callable condition, as a number of evaluations.  1, the
            default, evaluates each call; 1000 evaluates the first call and each thousandth after
            it, and skips the others, which can miss a rare state.  Conditions that are not
            callables are never skipped.

    Returns:
        The truth of the condition.  A condition that was skipped, by *every* or with recording
        off, returns True; one that could not be evaluated returns False.  A false condition raises
        in no mode.

    Example:
        >>> queued, limit = 61, 64
        >>> sometimes(queued > limit, "the queue overflows")
        False
    """
    try:
        if condition is True:
            cells, index = _sometimes_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        # False hits are the rule here.  Those whose sum is a power of two are left to the slow
        # path, which writes a record of them.
        if condition is False and fast_path.increment_unless_power_of_two(
            _sometimes_false[message]
        ):
            return False
    except (KeyError, TypeError):
        pass
    except Exception as error:
        interrupts.reraise(error)
    return slow_path(SOMETIMES, condition, message, details, invariant, every)


@fast_path.accelerated(FORMS["reachable"])
def reachable(
    message: str, details: Details | None = None, *, invariant: str | None = None
) -> bool:
    """
    Assert that this line is reached at least once in a run.

    A full run that does not get here reports the assertion as unreached.

    Args:
        message: A string literal, used at this call site only.  It names the assertion in reports
            and identifies it across files and versions.
        details: A mapping with context, or a callable that returns one.  It is serialized, or
            called, only when a record is written.  None, the default, records no details.
        invariant: Id of the catalog entry that the assertion puts to the test, as ``area.name``,
            ``area.name#clause`` or ``area.name#state``.  None, the default, cites no entry.

    Returns:
        True.  The call raises in no mode.

    Example:
        >>> reachable("recovery found a torn tail")
        True
    """
    try:
        cells, index = _reachable_true[message]; cells[index] += 1  # fmt: skip  # noqa: E702
        return True
    except (KeyError, TypeError):
        pass
    except Exception as error:
        interrupts.reraise(error)
    return slow_path(REACHABLE, True, message, details, invariant)


# Not accelerated: each hit is a violation, and takes the slow path anyway.
def unreachable(
    message: str, details: Details | None = None, *, invariant: str | None = None
) -> bool:
    """
    Assert that this line is never reached.

    Each call is a violation.  A run that never gets here satisfies the assertion.

    Args:
        message: A string literal, used at this call site only.  It names the assertion in reports
            and identifies it across files and versions.
        details: A mapping with context, or a callable that returns one.  It is serialized, or
            called, only when a record is written.  None, the default, records no details.
        invariant: Id of the catalog entry that the assertion protects, as ``area.name`` or
            ``area.name#clause``.  None, the default, cites no entry.

    Returns:
        False, so that ``return unreachable(...)`` reads as a failed check.

    Raises:
        InvariantViolation: The line was reached, in mode ``raise``.  In mode ``record``, the
            default, the violation is recorded and the call returns False.

    Example:
        >>> revision, previous = 6, 5
        >>> if revision < previous:
        ...     unreachable("the revision went backwards")
    """
    return slow_path(UNREACHABLE, False, message, details, invariant)


# -- bound assertions --------------------------------------------------------


class _Bound:
    """
    An assertion whose name is fixed, with the cells of its hits.

    Callers get its methods.  A plain function that is stored as an attribute of a class would turn
    into a method there, and take the instance for its condition; a bound method stays as it is.
    """

    __slots__ = ("_false", "_invariant", "_kind", "_message", "_true")

    def __init__(self, kind: Kind, message: str, invariant: str | None) -> None:
        self._kind = kind
        self._message = message
        self._invariant = invariant
        self._true: PythonCell[Any] | None = None
        self._false: PythonCell[Any] | None = None

    def __reduce__(self) -> tuple[type[_Bound], tuple[Kind, str, str | None]]:
        # Without the cells: they are memory of this process.
        return _Bound, (self._kind, self._message, self._invariant)

    def bind(self, outcome: bool, cell: PythonCell[Any] | None) -> None:
        """Take the cell of hits with that *outcome*, or give it up if *cell* is None."""
        if outcome:
            self._true = cell
        else:
            self._false = cell

    def check(self, condition: Condition, details: Details | None = None) -> bool:
        """Evaluate this assertion; *condition*, *details* and the result are those of `always`."""
        # The cell is read once, since `bind` may withdraw it between a test and its use.
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
        """Record that this point was reached; *details* are those of `reachable`."""
        # An unreachable gets no such cell: its hits are false.
        if (pair := self._true) is not None:
            cells, index = pair; cells[index] += 1  # fmt: skip  # noqa: E702
            return True
        outcome = self._kind is not UNREACHABLE
        return slow_path(self._kind, outcome, self._message, details, self._invariant)


def _declare(kind: Kind, message: str, invariant: str | None) -> None:
    try:
        recorder.declare(kind, message, invariant, caller(captures=False))
    except Exception as error:
        interrupts.reraise(error)
        refuse(message, f"it could not be declared: {bounded_repr(error)}")


def bind_condition(kind: Kind, message: str, invariant: str | None) -> BoundCondition:
    """
    Declare an assertion with a condition and a fixed name, for hot code.

    Args:
        kind: Always, always_or_unreachable or sometimes.
        message: Name of the assertion.
        invariant: Id of the catalog entry that the assertion cites; None for none.
    """
    # Declared at once, so that the record of a run lists the assertion even if it is never hit.
    _declare(kind, message, invariant)
    bound = _Bound(kind, message, invariant)
    return fast_path.bound("bound condition", kind, message, bound.check, bound.bind)


def bind_point(kind: Kind, message: str, invariant: str | None) -> BoundPoint:
    """Declare a point of *kind* with the fixed name *message* that cites *invariant*, if any."""
    _declare(kind, message, invariant)
    bound = _Bound(kind, message, invariant)
    return fast_path.bound("bound point", kind, message, bound.reach, bound.bind)


# -- assertions that stand elsewhere -------------------------------------------


def hit_at(
    where: Where,
    kind: Kind,
    condition: bool,
    message: str,
    details: Details | None,
    extra: Mapping[str, object] | None,
) -> bool:
    """
    Record a hit at a place that the caller passes.

    Args:
        where: The place of the assertion.
        kind: The claim of the assertion.
        condition: The truth of its condition, which is also the result.
        message: Name of the assertion.
        details: As for `always`.
        extra: Facts that replace details with the same key; None adds nothing.
    """
    if recorder.mode == OFF:
        return condition
    combined = details if extra is None else lambda: merged(details, extra)
    return record_at(where, kind, condition, message, combined, None)
