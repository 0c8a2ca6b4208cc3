"""
The smallest part of an illegal history that is illegal by itself.

An operation that was answered is let off rather than left out: its effect may then come at any
time or never, at the revision it told if it told one, and nobody looks at its answer.  Letting one off never makes
a legal history illegal, so what is left explains the whole; and of what is left, none can be let
off without the rest being legal.
Source: Zeller and Hildebrandt 2002 for the search (ddmin).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Generic, TypeVar

from .linearizability import Linearization
from .model import ILLEGAL, Model, Step
from .operations import Operation, Outcome
from .requests import Event, expected, seen, shown, written
from .search import Search, Verdict

S = TypeVar("S")

SECONDS = 20.0
"""How long the search for the smallest part may take; a step may be cheap or dear."""
_SLICE = 2_000
WINDOW = 64
"""How many operations before the stuck one are looked at first."""
_EARLIEST = -(2**63)


@dataclass(frozen=True, slots=True)
class Core:
    """
    Operations that no order explains, whatever became of all others.

    Attributes:
        is_minimal: Whether it was found out that each of them is needed.
        among: All that were looked at: called before the end of the stuck operation, or claiming
            a revision that is needed for it.
        related: Others that claim a revision that these claim, showed the one before it, or
            wrote what was seen.
        revisions: Those that the core needs, and the one that no order gets to.
    """

    operations: tuple[Operation, ...]
    is_minimal: bool
    related: tuple[Operation, ...] = ()
    revisions: tuple[int, ...] = ()
    among: tuple[Operation, ...] = ()


class _OutOfTimeError(Exception):
    pass


def minimal(
    model: Model[S],
    operations: Sequence[Operation],
    found: Linearization,
    *,
    contents: Mapping[int, Sequence[Event]] = MappingProxyType({}),
    seconds: float = SECONDS,
) -> Core:
    """
    The core of *operations*, of which *found* says that they are illegal.

    Args:
        contents: What revisions changed, as read from the store; used to tell what is related.
        seconds: After this the best that was found has to do.
    """
    return _Reduction(model, operations, found, time.monotonic() + seconds).core(contents)


class _Reduction(Generic[S]):
    """
    One search for a core.

    It looks at a window before the place where the order got stuck, taking what was in the
    order before it as given.  That can only make more illegal than is, so a core found like
    that is held against the whole, and the window grows until it stands.
    """

    def __init__(
        self, model: Model[S], operations: Sequence[Operation], found: Linearization, until: float
    ) -> None:
        assert found.stuck is not None
        self._model = model
        self._order = found.order
        self._until = until
        self._stuck = found.stuck
        end = found.stuck.returned or 0
        part = dict(model.partitions(operations))[found.partitions[0]]
        self._steps = {each.id: model.step(each) for each in part}
        reached = model.version(self._after(found.order)[0])
        self._relevant = [
            each for each in part if each.call <= end or self._claims_up_to(each, reached)
        ]
        told = [
            each
            for each in self._relevant
            if each.outcome is Outcome.OK and self._steps[each.id] is not None
        ]
        told.sort(key=lambda each: (each.id != self._stuck.id, abs(end - (each.returned or end))))
        self._told = told

    def core(self, contents: Mapping[int, Sequence[Event]]) -> Core:
        """The smallest part that could be found."""
        best, is_minimal = self._told, False
        window, is_lean = WINDOW, True
        with suppress(_OutOfTimeError):
            while not is_minimal:
                state, given = self._after(self._order[:-window])
                best = self._reduced(state, given, is_lean=is_lean)
                is_minimal = self._is_illegal(self._bound(best, set()), self._model.initial())
                if not given and not is_lean:
                    break
                window, is_lean = window * 8, is_lean and bool(given)
        steps = [step for each in best if (step := self._steps[each.id])]
        before = {step.before for step in steps if step.before is not None}
        reached = self._model.version(self._after(self._order)[0])
        if reached is not None:
            before.add(reached + 1)
        claimed = {step.after for step in steps if not step.is_read}
        related = self._related(best, claimed, before, contents)
        return Core(
            _in_order(best),
            is_minimal,
            _in_order(related),
            tuple(sorted(before)),
            tuple(self._relevant),
        )

    def _after(self, order: Sequence[Operation]) -> tuple[S, set[int]]:
        """The state after *order*, and which operations led to it."""
        state, given = self._model.initial(), set()
        for operation in order:
            step = self._steps[operation.id]
            after = state if step is None else step.apply(state)
            if after is ILLEGAL:
                break
            state = after
            given.add(operation.id)
        return state, given

    def _reduced(self, state: S, given: set[int], *, is_lean: bool) -> list[Operation]:
        """Leave out what is not needed, in parts that get smaller."""
        kept = [each for each in self._told if each.id not in given]
        size = max(len(kept) // 2, 1)
        while True:
            at, before = 0, len(kept)
            while at < len(kept):
                # What is nearest to the stuck operation stands first, and goes last.
                fewer = kept[: max(len(kept) - at - size, 0)] + kept[len(kept) - at :]
                bound = self._bound(fewer, given)
                if fewer and self._is_illegal(_lean(bound, fewer) if is_lean else bound, state):
                    kept = fewer
                else:
                    at += size
            if size == 1 and len(kept) == before:
                return kept
            size = max(size // 2, 1)

    def _bound(self, kept: Sequence[Operation], given: set[int]) -> list[Operation]:
        """*kept*, and all others but the *given* ones let off."""
        held = {each.id for each in kept}
        rest = [
            each if each.id in held else let_off(each, self._steps[each.id])
            for each in self._relevant
            if each.id not in given
        ]
        return [each for each in rest if each is not None]

    def _is_illegal(self, operations: Sequence[Operation], state: S) -> bool:
        search = Search(self._model, operations, state)
        verdict = None
        while verdict is None:
            if time.monotonic() > self._until:
                raise _OutOfTimeError
            verdict = search.run(_SLICE)
        return verdict is Verdict.ILLEGAL

    def _related(
        self,
        core: Sequence[Operation],
        claimed: set[int | None],
        before: set[int],
        contents: Mapping[int, Sequence[Event]],
    ) -> list[Operation]:
        """Who claims the same revision, who showed the one before, and who wrote what was seen."""
        witnesses: dict[int, int] = {}
        held = {each.id for each in core}
        values = {value for each in core for value in seen(each.response)}
        values |= {event.kv.value for at in before for event in contents.get(at, ())}
        for each in self._told:
            for kv in shown(each.response):
                if kv.mod_revision in before and kv.mod_revision not in witnesses:
                    witnesses[kv.mod_revision] = each.id
                    values.add(kv.value)
        return [
            each
            for each in self._relevant
            if each.id not in held
            and (
                each.id in witnesses.values()
                or self._claims(each, claimed | before)
                or not written(each.request).isdisjoint(values)
            )
        ]

    def _claims_up_to(self, operation: Operation, reached: int | None) -> bool:
        """Whether *operation*, though called later, leaves no room for another one's revision."""
        step = self._steps[operation.id]
        if step is None or step.is_read or step.before is None or reached is None:
            return False
        return step.before <= reached

    def _claims(self, operation: Operation, revisions: set[int | None]) -> bool:
        step = self._steps[operation.id]
        if step is None or step.is_read or step.after is None:
            return False
        return step.after in revisions


def _lean(operations: Sequence[Operation], kept: Sequence[Operation]) -> list[Operation]:
    """
    *operations* without those that are let off and write what none of the *kept* is about.

    Like the window it can only make more illegal than is, and spares the search most of its way.
    """
    held = {each.id for each in kept}
    about = {value for each in kept for value in seen(each.response) | expected(each.request)}
    return [
        each
        for each in operations
        if each.id in held
        or each.call != _EARLIEST
        or each.revision is not None
        or not written(each.request).isdisjoint(about)
    ]


def let_off(operation: Operation, step: Step[S] | None) -> Operation | None:
    """*operation*, bound by nothing; None if there is nothing left of it."""
    if operation.outcome is Outcome.UNKNOWN:
        # All that binds it is that it came after its call.
        return operation
    if step is None or step.is_read:
        return None
    made = operation.revision if step.after in (None, step.before) else step.after
    return replace(
        operation,
        call=_EARLIEST,
        returned=None,
        outcome=Outcome.UNKNOWN,
        response=None,
        revision=made,
    )


def _in_order(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    return tuple(sorted(operations, key=lambda each: each.call))
