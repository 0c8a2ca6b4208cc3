"""
Comparisons and named propositions, which also record how close
they came.

Source of names and meaning: the Antithesis SDKs.
"""

from __future__ import annotations

import operator

from . import primitives
from .model import ALWAYS, SOMETIMES, Kind
from .primitives import caller, count, merged, refuse, truths
from .recording import fast_path, interrupts
from .recording.guidance import BOOLEAN, NUMERIC
from .recording.recorder import recorder
from .recording.reprs import bounded_repr
from .recording.settings import OFF

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
        # After the assertion: readers of the wire give guidance to one they know.
        _guide_gap(message, left, right, maximize=maximize)


def _guide_gap(message: str, left: object, right: object, *, maximize: bool) -> None:
    """Note ``left - right`` if it is a new extreme; operands without a difference have none."""
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
        # Not numbers, or a message that can't be a key: the comparison counts without guidance.
        return


def _is_extreme(message: str, value: float, *, maximize: bool) -> bool:
    best = fast_path.marks.get(message)
    return best is None or (value > best if maximize else value < best)


def _is_finite(value: object) -> bool:
    number = float(value)  # type: ignore[arg-type]
    return number - number == 0.0


@fast_path.accelerated("comparison", ALWAYS, relation="gt", maximize=False)
def always_greater_than(
    left: object,
    right: object,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """`always` ``left > right``; records how close it came."""
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
    """`always` ``left >= right``; records how close it came."""
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
    """`always` ``left < right``; records how close it came."""
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
    """`always` ``left <= right``; records how close it came."""
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
    """`sometimes` ``left > right``; records how near it came."""
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
    """`sometimes` ``left >= right``; records how near it came."""
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
    """`sometimes` ``left < right``; records how near it came."""
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
    """`sometimes` ``left <= right``; records how near it came."""
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
    try:
        named = truths(named_bools)
    except Exception as error:
        interrupts.reraise(error)
        return refuse(message, f"its propositions have no truth by name: {bounded_repr(error)}")
    outcome = together(named.values())
    if recorder.mode == OFF:
        return outcome
    try:
        return count(kind, outcome, message, lambda: merged(details, named), invariant)
    finally:
        _guide_frontier(message, named, maximize=maximize)


def _guide_frontier(message: str, named: Mapping[str, bool], *, maximize: bool) -> None:
    """Note how many propositions are true at once if there were never more (or fewer)."""
    if not isinstance(message, str):
        return
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
    """`always` at least one of the propositions, which are shown by name."""
    return _combine(ALWAYS, any, named_bools, message, details, invariant, maximize=False)


@fast_path.accelerated("propositions", SOMETIMES, relation="eq", maximize=True)
def sometimes_all(
    named_bools: Mapping[str, Condition],
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """`sometimes` all of the propositions at once, which are shown by name."""
    return _combine(SOMETIMES, all, named_bools, message, details, invariant, maximize=True)
