"""
The smallest part of an illegal history that is illegal on its own.

An answered operation outside the part is relaxed rather than removed: it may take effect at any
time or never, at the revision named in its response if there is one, and its response is otherwise
ignored.  Relaxing never makes a legal history illegal, so an illegal part explains why the whole is
illegal.  The part is minimal if relaxing any one of its operations makes the rest legal.

Every part that is returned was confirmed by a complete search with all other operations relaxed.
It is also illegal on its own, since a relaxed operation need not take effect.
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
"""Default time limit of the search for the smallest part, in seconds."""
WINDOW = 64
"""Size of the first window before the stuck operation, for models whose states have versions."""
_SLICE = 2_000
"""Steps between two looks at the clock."""
_SHARE = 8
"""A search may take one part in so many of the remaining time; then its verdict is unknown."""
_EARLIEST = -(2**63)


@dataclass(frozen=True, slots=True)
class Core:
    """
    Operations that no order explains, whatever the outcomes of all the others.

    Attributes:
        operations: The illegal part, by time of call.
        is_minimal: Whether each operation of the part was shown to be needed.
        related: Other operations that claim the same revisions, saw the previous ones, or
            wrote the values that were seen.
        revisions: The revisions that the part builds on, and the one that no order reaches.
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
    Find the smallest illegal part of *operations*.

    Args:
        model: The model that the operations were checked against.
        operations: The operations that were checked.
        found: The result of that check, which must be illegal.
        contents: The changes of revisions as read from the store, by revision; they only help
            to find related operations.
        seconds: Time limit; the smallest part confirmed by then is returned.

    Returns:
        The part with its related operations; all answered operations if nothing smaller was
        confirmed in time.
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
    The context in which a part is judged.

    Attributes:
        state: The state at the beginning.
        operations: The operations that can take effect after it.
        given: The operations that led to that state; empty for the whole partition.  Fixing them
            excludes explanations, so a part that is illegal in a window may still be legal.
    """

    state: S
    operations: Sequence[Operation]
    given: Sequence[Operation] = ()


class _Reduction(Generic[S]):
    """
    One search for a core.

    Candidates grow from the stuck operation until they are illegal, then shrink.  If states have
    versions, a search from the beginning is long, so candidates are first tried in a window that
    starts from a state shortly before the stuck operation.  A part found there is checked against
    the whole partition; unless it is confirmed, the window grows.
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
        # The check has already shown that all answered operations together are illegal.
        self._confirmed = self._answered
        # Seconds to prepare a search of the whole partition, which cannot be interrupted.
        self._overhead = 0.0
        start = model.initial()
        self._whole = _World(start, part)
        self._states: dict[int, S] = {}
        if model.version(start) is not None:
            self._states = self._look_back(start)
        self._reached = model.version(self._states.get(len(self._order), start))
        self._relevant = [each for each in part if self._may_explain(each)]

    def core(self, contents: Mapping[int, Sequence[Event]]) -> Core:
        """Return the smallest part that was confirmed in time."""
        is_minimal = False
        with suppress(_OutOfTimeError):
            is_minimal = self._reduce()
        best = self._confirmed
        steps = [step for each in best if (step := self._steps[each.id])]
        before = {step.before for step in steps if step.before is not None}
        # The order ends before this revision, so the operations that claim it may conflict.
        if self._reached is not None:
            before.add(self._reached + 1)
        claimed = {step.after for step in steps if not step.is_read}
        related = self._related(best, claimed, before, contents)
        return Core(
            self._in_order(best), is_minimal, self._in_order(related), tuple(sorted(before))
        )

    def _look_back(self, state: S) -> dict[int, S]:
        """Return the states where windows begin and at the end, by length of the order."""
        # Replayed once and forwards: steps cannot be undone, and keeping every state costs memory.
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
        Sort the answered operations by their distance from the stuck one, which comes first.

        Operations on the same values come before others, and of these the ones that returned at
        about the same time.  Failed swaps come last: they only show what the state was not.
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
        """Look for smaller parts; return whether the smallest confirmed one is minimal."""
        for world in self._worlds():
            kept, is_minimal = self._shrunk(self._grown(world), world)
            if not world.given:
                return is_minimal
            # All work in the window depends on this search, so it may take half of the time.
            verdict = self._verdict(kept, self._whole, share=2)
            if verdict is Verdict.ILLEGAL:
                # What the window cannot spare the whole cannot spare either, but searches that ran
                # out of time there are repeated here, with a share of the time for each operation.
                _, is_minimal = self._shrunk(kept, self._whole, share=max(len(kept), 2))
                return is_minimal
            if verdict is Verdict.UNKNOWN:
                # With the given operations bound as well, the search has fewer choices.  If it
                # ends, the part is confirmed, though larger.
                given = {each.id for each in world.given}
                self._verdict([*kept, *(e for e in self._answered if e.id in given)], self._whole)
        return False

    def _worlds(self) -> Iterator[_World[S]]:
        # From the smallest window to the whole partition.
        for count in sorted(self._states, reverse=True):
            if 0 < count < len(self._order):
                given = self._order[:count]
                ids = {each.id for each in given}
                rest = [each for each in self._relevant if each.id not in ids]
                yield _World(self._states[count], rest, given)
        yield self._whole

    def _may_explain(self, each: Operation) -> bool:
        """Whether *each* came before the stuck one, or claims a revision that an order needs."""
        if each.call <= (self._stuck.returned or 0):
            return True
        # A later operation can still be part of a contradiction: it holds a revision that an
        # earlier one needs.
        step = self._steps[each.id]
        if step is None or step.is_read or step.before is None or self._reached is None:
            return False
        return step.before <= self._reached

    def _grown(self, world: _World[S]) -> list[Operation]:
        """Return the nearest operations, doubling until they are illegal in *world*."""
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
        Remove operations that are not needed in *world* from *kept*, in ever smaller chunks.

        Args:
            kept: An illegal part, sorted by distance from the stuck operation.
            world: The context in which it is illegal.
            share: Passed on to `_verdict`.

        Returns:
            The remaining part, and whether each of its operations is certain to be needed.
        """
        size = max(len(kept) // 2, 1)
        while True:
            at, before, is_certain = 0, len(kept), True
            # The stuck operation comes first; only single removals try to do without it.
            first = min(size - 1, 1)
            # From the far end on: distant operations are the least likely to be needed.
            while at < len(kept) - first:
                fewer = kept[: max(len(kept) - at - size, first)] + kept[len(kept) - at :]
                verdict = self._verdict(fewer, world, share) if fewer else Verdict.OK
                if verdict is Verdict.ILLEGAL:
                    kept = fewer
                else:
                    at += size
                    is_certain = is_certain and verdict is Verdict.OK
            # Only a pass of single removals without success proves that all are needed.
            if size == 1 and len(kept) == before:
                return kept, is_certain
            size = max(size // 2, 1)

    def _verdict(self, kept: Sequence[Operation], world: _World[S], share: int = _SHARE) -> Verdict:
        """
        Judge *kept* in *world* with all other operations relaxed.

        Args:
            kept: The candidate.
            world: The context to judge it in.
            share: The verdict is unknown after one part in *share* of the remaining time.

        Raises:
            _OutOfTimeError: The time is up, or too short to prepare another search.
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
        # A verdict from a window confirms nothing.
        is_smaller = len(kept) < len(self._confirmed)
        if verdict is Verdict.ILLEGAL and is_smaller and not world.given:
            self._confirmed = list(kept)
        return verdict

    def _bound(self, kept: Sequence[Operation], world: _World[S]) -> list[Operation]:
        """Return the operations of *world*, relaxing those that are not *kept*."""
        held = {each.id for each in kept}
        found = [
            each if each.id in held else relaxed(each, self._steps[each.id])
            for each in world.operations
        ]
        return [each for each in found if each is not None]

    # -- presentation ----------------------------------------------------------------------

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
        """
        Find operations that help to understand the core.

        Args:
            core: The illegal part.
            claimed: Revisions that its operations created, by their responses.
            before: Revisions that it builds on.
            contents: The changes of revisions, by revision.
        """
        witnesses: dict[int, int] = {}
        held = {each.id for each in core}
        values = {value for each in core for value in seen(each.response)}
        values |= {event.kv.value for at in before for event in contents.get(at, ())}
        for each in self._answered:
            for kv in shown(each.response):
                # The nearest operation that shows a revision suffices.
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
    """
    Remove all constraints from *operation*.

    Args:
        operation: An operation with any outcome.
        step: The step of *operation* in its model.

    Returns:
        An operation of unknown outcome; None if it then has neither effect nor observation.
    """
    if operation.outcome is Outcome.UNKNOWN:
        # Its only constraint, that it took effect after its call, is kept.
        return operation
    if step is None or step.is_read:
        return None
    # An operation that created a revision keeps it, or others could take its place.  A step that
    # keeps the version, such as a grant, names a revision in its response that it did not create.
    made = operation.revision if step.after in (None, step.before) else step.after
    return replace(
        operation,
        call=_EARLIEST,
        returned=None,
        outcome=Outcome.UNKNOWN,
        response=None,
        revision=made,
    )
