"""
The smallest part of an illegal history that is illegal by itself.

An answered operation outside the part is relaxed rather than left out: its effect may come at any
time or never, at the revision it named if it named one, and its answer is ignored.  Relaxing never
makes a legal history illegal, so the part explains the whole; it is minimal if relaxing any one of
its operations makes the rest legal.

What is returned was found illegal by a complete search with all others relaxed.  Alone it is
illegal as well, for a relaxed operation need not take effect.
Source: Zeller and Hildebrandt 2002 for the way candidates shrink (ddmin).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Generic, TypeVar

from .joining import Joined
from .linearizability import Linearization
from .model import ILLEGAL, Model, Step
from .operations import Operation, Outcome
from .requests import Event, Swapped, expected, seen, shown, written
from .search import Search, Verdict

S = TypeVar("S")

SECONDS = 20.0
"""How long the search for the smallest part may take."""
WINDOW = 64
"""How many operations before the stuck one are looked at first where states have versions."""
_SLICE = 2_000
_SHARE = 8
"""One search may take this fraction of the time that is left; then it counts as legal."""
_EARLIEST = -(2**63)


@dataclass(frozen=True, slots=True)
class Core:
    """
    Operations that no order explains, whatever became of all others.

    Attributes:
        is_minimal: Whether each of them was shown to be needed.
        related: Others that claim a revision that these claim, showed the one before it, or
            wrote what was seen.
        revisions: Those that the core needs, and the one that no order gets to.
    """

    operations: tuple[Operation, ...]
    is_minimal: bool
    related: tuple[Operation, ...] = ()
    revisions: tuple[int, ...] = ()


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
    The core of *operations*, which *found* says are illegal.

    Args:
        contents: What revisions changed, as read from the store; used to find what is related.
        seconds: After this time the smallest part that was confirmed so far is returned.
    """
    until = time.monotonic() + seconds
    if len(found.partitions) > 1:
        joined = Joined(model, operations, found.partitions)
        return _Reduction(joined, joined.operations, found, until).core(contents)
    part = dict(model.partitions(operations))[found.partitions[0]]
    return _Reduction(model, part, found, until).core(contents)


@dataclass(frozen=True, slots=True)
class _World(Generic[S]):
    """
    What a part is held against.

    Attributes:
        state: The state at the beginning.
        operations: All that can take effect after it.
        given: What led to that state; empty if this is the whole partition.  Otherwise there are
            fewer ways to explain a part, so what is illegal here may be legal.
    """

    state: S
    operations: Sequence[Operation]
    given: Sequence[Operation] = ()


class _Reduction(Generic[S]):
    """
    One search for a core.

    Candidates grow from the stuck operation until they are illegal, then shrink.  Where states
    have versions the way to the stuck operation is long, so that happens in a window before it,
    after what the order had come to by then.  What is found there is held against the whole, and
    the window grows until it stands.
    """

    def __init__(
        self, model: Model[S], part: Sequence[Operation], found: Linearization, until: float
    ) -> None:
        assert found.stuck is not None
        self._model = model
        self._part = part
        self._order = found.order
        self._stuck = found.stuck
        self._until = until
        self._steps = {each.id: model.step(each) for each in part}
        self._answered = self._by_nearness()
        # Illegal as a whole: that is what was found.
        self._confirmed = self._answered
        self._overhead = 0.0
        start = model.initial()
        self._whole = _World(start, part)
        self._states: dict[int, S] = {}
        if model.version(start) is not None:
            self._states = self._look_back(start)
        self._reached = model.version(self._states.get(len(self._order), start))
        self._relevant = [each for each in part if self._may_explain(each)]

    def core(self, contents: Mapping[int, Sequence[Event]]) -> Core:
        """The smallest part that was confirmed in time."""
        is_minimal = False
        with suppress(_OutOfTimeError):
            is_minimal = self._reduce()
        best = self._confirmed
        steps = [step for each in best if (step := self._steps[each.id])]
        before = {step.before for step in steps if step.before is not None}
        if self._reached is not None:
            before.add(self._reached + 1)
        claimed = {step.after for step in steps if not step.is_read}
        related = self._related(best, claimed, before, contents)
        return Core(
            self._in_order(best), is_minimal, self._in_order(related), tuple(sorted(before))
        )

    def _look_back(self, state: S) -> dict[int, S]:
        """The states at the beginning of each window and at the end, by length of the order."""
        count = len(self._order)
        wanted, window = {count}, WINDOW
        while window < count:
            wanted.add(count - window)
            window *= 8
        found = {0: state}
        for at, operation in enumerate(self._order, 1):
            step = self._steps[operation.id]
            after = state if step is None else step.apply(state)
            assert after is not ILLEGAL, f"{operation} does not fit the order it is in"
            state = after
            if at in wanted:
                found[at] = state
        return found

    def _by_nearness(self) -> list[Operation]:
        """
        The answered operations, the stuck one first.

        Then come those about the same values and those that returned at about the same time;
        last the swaps that failed, which say no more than what the state was not.
        """
        values, end = _about(self._stuck), self._stuck.returned or 0

        def distance(each: Operation) -> tuple[bool, bool, bool, int]:
            return (
                each.id != self._stuck.id,
                each.response == Swapped(False),
                _about(each).isdisjoint(values),
                abs(end - (each.returned or 0)),
            )

        return sorted(
            (
                each
                for each in self._part
                if each.outcome is Outcome.OK and self._steps[each.id] is not None
            ),
            key=distance,
        )

    # -- candidates ------------------------------------------------------------------------

    def _reduce(self) -> bool:
        """Look for smaller parts; whether the smallest that was confirmed is minimal."""
        for world in self._worlds():
            kept, is_minimal = self._shrunk(self._grown(world), world)
            if not world.given:
                return is_minimal
            verdict = self._verdict(kept, self._whole, share=2)
            if verdict is Verdict.ILLEGAL:
                _, is_minimal = self._shrunk(kept, self._whole, share=max(len(kept), 2))
                return is_minimal
            if verdict is Verdict.UNKNOWN:
                given = {each.id for each in world.given}
                self._verdict([*kept, *(e for e in self._answered if e.id in given)], self._whole)
        return False

    def _worlds(self) -> Iterator[_World[S]]:
        for count in sorted(self._states, reverse=True):
            if 0 < count < len(self._order):
                given = self._order[:count]
                ids = {each.id for each in given}
                rest = [each for each in self._relevant if each.id not in ids]
                yield _World(self._states[count], rest, given)
        yield self._whole

    def _may_explain(self, each: Operation) -> bool:
        """Whether *each* was called in time, or leaves no room for another one's revision."""
        if each.call <= (self._stuck.returned or 0):
            return True
        step = self._steps[each.id]
        if step is None or step.is_read or step.before is None or self._reached is None:
            return False
        return step.before <= self._reached

    def _grown(self, world: _World[S]) -> list[Operation]:
        """The nearest operations, twice as many until they are illegal in *world*."""
        there = {each.id for each in world.operations}
        answered = [each for each in self._answered if each.id in there]
        size = 1
        while size < len(answered) and self._verdict(answered[:size], world) is not Verdict.ILLEGAL:
            size *= 2
        return answered[:size]

    def _shrunk(
        self, kept: list[Operation], world: _World[S], share: int = _SHARE
    ) -> tuple[list[Operation], bool]:
        """
        *kept* without what is not needed in *world*, tried in chunks that get smaller.

        Returns:
            What is left, and whether each of it is certain to be needed.
        """
        size = max(len(kept) // 2, 1)
        while True:
            at, before, is_certain = 0, len(kept), True
            # The stuck operation stands first; it goes only if it is not needed at all.
            first = min(size - 1, 1)
            while at < len(kept) - first:
                fewer = kept[: max(len(kept) - at - size, first)] + kept[len(kept) - at :]
                verdict = self._verdict(fewer, world, share) if fewer else Verdict.OK
                if verdict is Verdict.ILLEGAL:
                    kept = fewer
                else:
                    at += size
                    is_certain = is_certain and verdict is Verdict.OK
            if size == 1 and len(kept) == before:
                return kept, is_certain
            size = max(size // 2, 1)

    def _verdict(self, kept: Sequence[Operation], world: _World[S], share: int = _SHARE) -> Verdict:
        """
        Judge *kept* in *world* with all others relaxed.

        Args:
            share: Beyond this fraction of the time that is left the verdict is unknown.

        Raises:
            _OutOfTimeError: There is none left, or not enough to prepare another search.
        """
        began = time.monotonic()
        if began + self._overhead >= self._until:
            raise _OutOfTimeError
        search = Search(self._model, self._bound(kept, world), world.state)
        if not world.given:
            self._overhead = time.monotonic() - began
        until = began + (self._until - began) / share
        while (verdict := search.run(_SLICE)) is None:
            if time.monotonic() >= until:
                return Verdict.UNKNOWN
        is_smaller = len(kept) < len(self._confirmed)
        if verdict is Verdict.ILLEGAL and is_smaller and not world.given:
            self._confirmed = list(kept)
        return verdict

    def _bound(self, kept: Sequence[Operation], world: _World[S]) -> list[Operation]:
        """All of *world*, with those that are not *kept* relaxed."""
        held = {each.id for each in kept}
        found = [
            each if each.id in held else relaxed(each, self._steps[each.id])
            for each in world.operations
        ]
        return [each for each in found if each is not None]

    # -- what is shown with it -------------------------------------------------------------

    def _in_order(self, operations: Sequence[Operation]) -> tuple[Operation, ...]:
        held = {each.id for each in operations}
        found = [each for each in self._part if each.id in held]
        return tuple(sorted(found, key=lambda each: each.call))

    def _related(
        self,
        core: Sequence[Operation],
        claimed: set[int | None],
        before: set[int],
        contents: Mapping[int, Sequence[Event]],
    ) -> list[Operation]:
        """Claims of the same revisions, sights of the one before, and writes of what was seen."""
        witnesses: dict[int, int] = {}
        held = {each.id for each in core}
        values = {value for each in core for value in seen(each.response)}
        values |= {event.kv.value for at in before for event in contents.get(at, ())}
        for each in self._answered:
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

    def _claims(self, operation: Operation, revisions: set[int | None]) -> bool:
        step = self._steps[operation.id]
        if step is None or step.is_read or step.after is None:
            return False
        return step.after in revisions


def _about(operation: Operation) -> set[str]:
    request = operation.request
    return written(request) | expected(request) | seen(operation.response)


def relaxed(operation: Operation, step: Step[S] | None) -> Operation | None:
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
