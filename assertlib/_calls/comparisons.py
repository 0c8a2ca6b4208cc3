"""
Comparisons and named propositions: assertions that also record how close they came.

The record is *guidance* on the wire: the extreme of ``left - right``, or of the number of
propositions that held at once.  Reports show it, and guided search builds on the trials that came
closest.

Source of names and meaning: the Antithesis SDKs.
"""

from __future__ import annotations

import operator

from ..model import ALWAYS, SOMETIMES, Kind
from ..recording import fast_path, interrupts
from ..recording.guidance import BOOLEAN, NUMERIC
from ..recording.recorder import recorder
from ..recording.reprs import bounded_repr
from ..recording.settings import OFF
from . import primitives
from .primitives import caller, count, merged, refuse, truths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from .primitives import Condition, Details

primitives.internal(__file__)

# -- comparisons -------------------------------------------------------------


def _compare(
    kind: Kind,
    holds: Callable[[Any, Any], object],
    left: object,
    right: object,
    message: str,
    details: Details | None,
    invariant: str | None,
    *,
    maximize: bool,
) -> bool:
    # Compared in each mode, since the result is returned even with recording off.
    try:
        outcome = bool(holds(left, right))
    except Exception as error:
        interrupts.reraise(error)
        return refuse(message, f"its operands cannot be compared: {bounded_repr(error)}")
    if recorder.mode == OFF:
        return outcome
    data = {"left": left, "right": right}
    try:
        return count(kind, outcome, message, lambda: merged(details, data), invariant)
    finally:
        # After the hit, since readers of the wire attach guidance to an assertion that has been
        # declared; and in a `finally`, so that a violation that raises is followed by its guidance.
        _guide_gap(message, left, right, maximize=maximize)


def _guide_gap(message: str, left: object, right: object, *, maximize: bool) -> None:
    """Record ``left - right`` if it is a new extreme; some operands have no difference."""
    # Such a message has been reported as an error by then.
    if not isinstance(message, str):
        return
    try:
        gap = float(left - right)  # type: ignore[operator]
        if not _is_extreme(message, gap, maximize=maximize):
            return
        if not (_is_finite(left) and _is_finite(right)):
            recorder.warn_not_finite(message)
            return
        data = {"left": left, "right": right}
        recorder.guide(message, NUMERIC, gap, data, caller(), maximize=maximize)
    except Exception as error:
        interrupts.reraise(error)
        # Texts and other operands without a numeric gap, or one beyond all floats: the comparison
        # counts without guidance.
        return


def _is_extreme(message: str, value: float, *, maximize: bool) -> bool:
    # A filter without the lock.  A mark that is out of date costs a call of the recorder, which
    # compares again under its lock.
    best = fast_path.marks.get(message)
    return best is None or (value > best if maximize else value < best)


def _is_finite(value: object) -> bool:
    number = float(value)  # type: ignore[arg-type]
    # For infinities and NaN the difference is NaN.
    return number - number == 0.0


# The recorded extreme is the one that matters: for an always, the gap nearest to a violation, and
# for a sometimes, the gap nearest to success.  So `always_greater_than` minimizes ``left - right``,
# and `sometimes_greater_than` maximizes it.
#
# The decorator repeats relation and direction of the body, since the accelerator counts by them
# without calling it; tests/accelerator compares both.


@fast_path.accelerated("comparison", ALWAYS, relation="gt", maximize=False)
def always_greater_than(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left > right`` on every evaluation, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `always`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion protects; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.

    Raises:
        InvariantViolation: The comparison is false, in mode ``raise``.
    """
    return _compare(ALWAYS, operator.gt, left, right, message, details, invariant, maximize=False)


@fast_path.accelerated("comparison", ALWAYS, relation="ge", maximize=False)
def always_greater_than_or_equal_to(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left >= right`` on every evaluation, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `always`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion protects; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.

    Raises:
        InvariantViolation: The comparison is false, in mode ``raise``.
    """
    return _compare(ALWAYS, operator.ge, left, right, message, details, invariant, maximize=False)


@fast_path.accelerated("comparison", ALWAYS, relation="lt", maximize=True)
def always_less_than(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left < right`` on every evaluation, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `always`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion protects; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.

    Raises:
        InvariantViolation: The comparison is false, in mode ``raise``.
    """
    return _compare(ALWAYS, operator.lt, left, right, message, details, invariant, maximize=True)


@fast_path.accelerated("comparison", ALWAYS, relation="le", maximize=True)
def always_less_than_or_equal_to(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left <= right`` on every evaluation, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `always`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion protects; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.

    Raises:
        InvariantViolation: The comparison is false, in mode ``raise``.
    """
    return _compare(ALWAYS, operator.le, left, right, message, details, invariant, maximize=True)


@fast_path.accelerated("comparison", SOMETIMES, relation="gt", maximize=True)
def sometimes_greater_than(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left > right`` at least once in a run, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `sometimes`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion puts to the test; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.
    """
    return _compare(SOMETIMES, operator.gt, left, right, message, details, invariant, maximize=True)


@fast_path.accelerated("comparison", SOMETIMES, relation="ge", maximize=True)
def sometimes_greater_than_or_equal_to(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left >= right`` at least once in a run, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `sometimes`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion puts to the test; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.
    """
    return _compare(SOMETIMES, operator.ge, left, right, message, details, invariant, maximize=True)


@fast_path.accelerated("comparison", SOMETIMES, relation="lt", maximize=False)
def sometimes_less_than(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left < right`` at least once in a run, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `sometimes`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion puts to the test; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.
    """
    return _compare(
        SOMETIMES, operator.lt, left, right, message, details, invariant, maximize=False
    )


@fast_path.accelerated("comparison", SOMETIMES, relation="le", maximize=False)
def sometimes_less_than_or_equal_to(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that ``left <= right`` at least once in a run, and record how close it came.

    Args:
        left: The left operand; any object that compares with *right*.
        right: The right operand.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `sometimes`; ``left`` and ``right`` are added to them.
        invariant: Id of the catalog entry that the assertion puts to the test; None cites no entry.

    Returns:
        Whether the comparison holds.  One that raises is recorded as an error and returns False.
    """
    return _compare(
        SOMETIMES, operator.le, left, right, message, details, invariant, maximize=False
    )


# -- named propositions ------------------------------------------------------


def _combine(
    kind: Kind,
    together: Callable[[Collection[bool]], bool],
    named_bools: Mapping[str, Condition],
    message: str,
    details: Details | None,
    invariant: str | None,
    *,
    maximize: bool,
) -> bool:
    # Evaluated once, into a copy: outcome, details and guidance must agree, whatever the mapping
    # computes at each access.
    try:
        named = truths(named_bools)
    except Exception as error:
        interrupts.reraise(error)
        return refuse(message, f"its propositions have no truth values: {bounded_repr(error)}")
    outcome = together(named.values())
    if recorder.mode == OFF:
        return outcome
    try:
        return count(kind, outcome, message, lambda: merged(details, named), invariant)
    finally:
        _guide_frontier(message, named, maximize=maximize)


def _guide_frontier(message: str, named: Mapping[str, bool], *, maximize: bool) -> None:
    """Record how many propositions are true at once if there were never more, or fewer."""
    if not isinstance(message, str):
        return
    # An always_some fails when none holds, so its extreme is the fewest; a sometimes_all needs all
    # of them, so its extreme is the most.
    holding = sum(named.values())
    try:
        if not _is_extreme(message, holding, maximize=maximize):
            return
        recorder.guide(message, BOOLEAN, holding, named, caller(), maximize=maximize)
    except Exception as error:
        interrupts.reraise(error)


@fast_path.accelerated("propositions", ALWAYS, relation="gt", maximize=False)
def always_some(
    named_bools: Mapping[str, Condition],
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that at least one of several propositions holds on every evaluation.

    Args:
        named_bools: The propositions by name: bools or objects with a truth value, not callables.
            An empty mapping is false, as `any` is.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `always`; the propositions are added to them.
        invariant: Id of the catalog entry that the assertion protects; None cites no entry.

    Returns:
        Whether one holds.  Propositions without a truth value are recorded as an error and return
        False.

    Raises:
        InvariantViolation: None of them holds, in mode ``raise``.
    """
    return _combine(ALWAYS, any, named_bools, message, details, invariant, maximize=False)


@fast_path.accelerated("propositions", SOMETIMES, relation="eq", maximize=True)
def sometimes_all(
    named_bools: Mapping[str, Condition],
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that several propositions hold at the same time at least once in a run.

    Args:
        named_bools: The propositions by name: bools or objects with a truth value, not callables.
            An empty mapping is true, as `all` is.
        message: A string literal, used at this call site only: the name of the assertion.
        details: As for `sometimes`; the propositions are added to them.
        invariant: Id of the catalog entry that the assertion puts to the test; None cites no entry.

    Returns:
        Whether all hold.  Propositions without a truth value are recorded as an error and return
        False.
    """
    return _combine(SOMETIMES, all, named_bools, message, details, invariant, maximize=True)
