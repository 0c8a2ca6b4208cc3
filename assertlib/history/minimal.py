"""
The smallest part of an illegal history that is illegal by itself.

An operation is let off rather than left out: its effect may then come at any time or never, at
the revision it told if it told one, and nobody looks at its answer.  Letting one off never makes a legal history illegal, so what is
left explains the whole; and of what is left, none can be let off without the rest being legal.
Source: Zeller and Hildebrandt 2002 for the search (ddmin).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from .linearizability import Verdict, check
from .model import Model, Step
from .operations import Operation, Outcome
from .requests import seen, written

S = TypeVar("S")

BUDGET = 5_000_000
"""Steps that all attempts together may take."""
_EARLIEST = -1


@dataclass(frozen=True, slots=True)
class Core:
    """
    Operations that no order explains, whatever became of all others.

    Attributes:
        is_minimal: Whether it was found out that each of them is needed.
        related: Others that wrote what these saw, or claim a revision that these claim.
    """

    operations: tuple[Operation, ...]
    is_minimal: bool
    related: tuple[Operation, ...] = ()


class _OutOfBudgetError(Exception):
    pass


def minimal(
    model: Model[S], operations: Sequence[Operation], stuck: Operation, *, budget: int = BUDGET
) -> Core:
    """
    The core of *operations*, which are illegal and get stuck at *stuck*.

    Args:
        budget: Steps after which the best that was found has to do.
    """
    assert stuck.returned is not None
    end = stuck.returned
    relevant = [each for each in operations if each.call <= end]
    steps = {each.id: model.step(each) for each in relevant}
    free = {
        each.id: _let_off(each, None if step is None or step.after == step.before else step.after)
        for each in relevant
        if (step := steps[each.id]) is None or not step.is_read
    }
    spent = 0

    def is_illegal(kept: Sequence[Operation]) -> bool:
        nonlocal spent
        held = {each.id for each in kept}
        rest = [each if each.id in held else free.get(each.id) for each in relevant]
        found = check(model, [each for each in rest if each is not None], budget=budget - spent)
        spent += found.steps
        if found.verdict is Verdict.UNKNOWN or spent >= budget:
            raise _OutOfBudgetError
        return found.verdict is Verdict.ILLEGAL

    told = [each for each in relevant if each.outcome is Outcome.OK and steps[each.id] is not None]
    told.sort(key=lambda each: (abs(end - (each.returned or end)), each.id != stuck.id))
    best = [told]
    try:
        best.append(_nearest(told, is_illegal))
        _reduce(best, is_illegal)
    except _OutOfBudgetError:
        is_minimal = False
    else:
        is_minimal = True
    core = best[-1]
    related = [each for each in relevant if each not in core and _is_related(each, core, steps)]
    return Core(_in_order(core), is_minimal, _in_order(related))


def _is_related(
    operation: Operation, core: Sequence[Operation], steps: Mapping[int, Step[S] | None]
) -> bool:
    step = steps[operation.id]
    if step is None or step.is_read:
        return False
    claimed = {other.after for each in core if (other := steps[each.id]) and not other.is_read}
    if step.after is not None and step.after in claimed:
        return True
    return not written(operation.request).isdisjoint(
        value for each in core for value in seen(each.response)
    )


def _let_off(operation: Operation, made: int | None) -> Operation:
    return replace(
        operation,
        call=_EARLIEST,
        returned=None,
        outcome=Outcome.UNKNOWN,
        response=None,
        revision=operation.revision if made is None else made,
    )


def _nearest(
    told: list[Operation], is_illegal: Callable[[Sequence[Operation]], bool]
) -> list[Operation]:
    """The operations around the place where it gets stuck, as many as are needed."""
    size = 2
    while size < len(told):
        if is_illegal(told[:size]):
            return told[:size]
        size *= 2
    return told


def _reduce(best: list[list[Operation]], is_illegal: Callable[[Sequence[Operation]], bool]) -> None:
    """Leave out what is not needed, in parts that get smaller; what was reached is kept in *best*."""
    size = max(len(best[-1]) // 2, 1)
    while True:
        kept, at, before = best[-1], 0, len(best[-1])
        while at < len(kept):
            fewer = kept[:at] + kept[at + size :]
            if fewer and is_illegal(fewer):
                kept = fewer
                best.append(kept)
            else:
                at += size
        if size == 1 and len(kept) == before:
            return
        size = max(size // 2, 1)


def _in_order(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    return tuple(sorted(operations, key=lambda each: each.call))
