"""
The search for one order of all operations that explains every response.

The algorithm of Wing and Gong (1993) with the memoization of Lowe (2017): operations are placed
one after the other, each between its call and its return, and known configurations are skipped.
Further pruning:

- *Just in time*: an operation is placed no later than its return, so before each return only the
  other operations that it needs are placed.
- *Eager reads*: a read that fits the state is placed immediately, which never excludes a solution.
- *Versions*: an operation whose response names the version that it found is tried in that version
  only, and an operation of unknown outcome cannot have created a version whose creator is known.
- *No waste*: an effect that is overwritten before anybody observes it need not have happened, so an
  operation of unknown outcome is never directly followed by a blind write.
- *No use*: an effect that no response can reveal need not have happened either; the steps of the
  model leave such effects out.
- *Dominance*: an operation of unknown outcome need never be placed, so a configuration is pruned if
  an otherwise equal one has used only a subset of them.

Clocks may be coarse.  Operations of different clients overlap if their stamps are equal, while
those of one client keep their order in the history: a call at the stamp of the previous return
follows it.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from .model import ILLEGAL, Model, Step
from .operations import Operation, Outcome, predecessors

S = TypeVar("S")

NEVER = sys.maxsize
"""The `last` of an operation without a return."""


class Verdict(StrEnum):
    """The result of a search."""

    OK = "ok"
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


class _Item(Generic[S]):
    """
    An operation in the search.

    Attributes:
        first: Number of the first return that does not precede its call.
        last: Number of its own return, or `NEVER`.
        bit: Its bit in the masks of configurations; reused after its return.
        follows: The operation of the same client that returned at the stamp of its call.
    """

    __slots__ = (
        "after",
        "apply",
        "before",
        "bit",
        "first",
        "follows",
        "is_blind",
        "is_read",
        "keeps_version",
        "last",
        "operation",
    )

    def __init__(self, operation: Operation, step: Step[S], first: int, last: int) -> None:
        self.operation = operation
        self.apply = step.apply
        self.is_read = step.is_read
        self.is_blind = step.is_blind
        self.before = step.before
        self.after = step.after
        self.keeps_version = step.keeps_version
        self.first = first
        self.last = last
        self.bit = 0
        self.follows: _Item[S] | None = None


_Trail = tuple[_Item[S], "_Trail[S]"] | None


@dataclass(slots=True)
class _Configuration(Generic[S]):
    """
    A partial order with the state that it leads to.

    Attributes:
        at: Number of the next return.
        state: The state after the last operation.
        placed: Bits of the operations that are in the order and have not returned yet.
        used: Bits of the operations without a return that are in the order.
        trail: The order as a linked list, beginning with the last operation.
        length: Number of operations in the order.
    """

    at: int
    state: S
    placed: int
    used: int
    trail: _Trail[S]
    length: int


class Search(Generic[S]):
    """
    The resumable search through one partition.

    Attributes:
        steps: Number of operations tried so far, summed over states.
    """

    def __init__(
        self, model: Model[S], operations: Sequence[Operation], start: S | None = None
    ) -> None:
        """
        Args:
            model: The sequential specification of the store.
            operations: The operations of one partition.
            start: The initial state; None for that of a new store.
        """
        self.steps = 0
        self._model = model
        self._limit = 0
        self._lay_out(operations)
        self._seen: dict[Hashable, list[int]] = {}
        # Explicit, for the order may be longer than the recursion limit, and a search can pause.
        self._stack: list[Iterator[_Configuration[S] | None]] = []
        self._best: tuple[int, int, _Trail[S]] = (0, 0, None)
        first = _Configuration(0, model.initial() if start is None else start, 0, 0, None, 0)
        self._now: _Configuration[S] | None = first
        if self._returning:
            self._settle(first, self._open_reads[0])

    # -- preparation -------------------------------------------------------------------

    def _lay_out(self, operations: Sequence[Operation]) -> None:
        steps = list(zip(operations, self._model.steps(operations), strict=True))
        known = [(each, step) for each, step in steps if step and each.outcome is Outcome.OK]
        known.sort(key=lambda pair: _returned(pair[0]))
        ends = [_returned(each) for each, _ in known]

        def item(operation: Operation, step: Step[S], last: int) -> _Item[S]:
            # A call at the stamp of a return precedes it, so that the two overlap.
            return _Item(operation, step, bisect_left(ends, operation.call), last)

        self._returning = [item(each, step, last) for last, (each, step) in enumerate(known)]
        # Sorted by call, so that loops over them can stop at the first one that is too late.
        # Unanswered reads have neither effect nor observation.
        unreturned = [
            item(each, step, NEVER)
            for each, step in sorted(steps, key=lambda pair: pair[0].call)
            if step and each.outcome is Outcome.UNKNOWN and not step.is_read
        ]
        for number, each in enumerate(unreturned):
            each.bit = 1 << number
        items = {each.operation.id: each for each in (*self._returning, *unreturned)}
        # Operations without a step are left out, since they are never placed.
        follows = predecessors([each for each, step in steps if step])
        for number, before in follows.items():
            if number in items:
                items[number].follows = items[before.id]
        self._has_followers = bool(follows)
        self._at: dict[int, list[_Item[S]]] = defaultdict(list)
        self._made: set[int] = set()
        for each in (*self._returning, *unreturned):
            if each.before is not None and not each.is_read:
                self._at[each.before].append(each)
                if each.after != each.before:
                    self._made.add(each.before)
        self._guesses = [each for each in unreturned if each.before is None]
        self._quiet_guesses = [each for each in self._guesses if each.keeps_version]
        self._seeing_guesses = [each for each in self._guesses if not each.is_blind]
        self._lay_out_events()

    def _lay_out_events(self) -> None:
        """Compute the operations that are open at each return."""
        calls: dict[int, list[_Item[S]]] = defaultdict(list)
        for each in self._returning:
            calls[each.first].append(each)
        free: list[int] = []
        reads: tuple[_Item[S], ...] = ()
        writes: tuple[_Item[S], ...] = ()
        bits = 0
        self._new_reads: list[tuple[_Item[S], ...]] = []
        self._open_reads: list[tuple[_Item[S], ...]] = []
        self._open_writes: list[tuple[_Item[S], ...]] = []
        for at, returning in enumerate(self._returning):
            new = calls[at]
            # Freed bits are reused, which keeps masks as narrow as the history is concurrent.
            for each in new:
                if free:
                    each.bit = free.pop()
                else:
                    each.bit = 1 << bits
                    bits += 1
            new_reads = tuple(each for each in new if each.is_read)
            reads += new_reads
            # Writes with a version are looked up by it instead.
            writes += tuple(each for each in new if not each.is_read and each.before is None)
            self._new_reads.append(new_reads)
            self._open_reads.append(reads)
            self._open_writes.append(writes)
            if returning.is_read:
                reads = tuple(each for each in reads if each is not returning)
            elif returning.before is None:
                writes = tuple(each for each in writes if each is not returning)
            free.append(returning.bit)

    @property
    def answered(self) -> list[Operation]:
        """The operations whose responses an order must explain."""
        return [each.operation for each in self._returning]

    # -- search ----------------------------------------------------------------------------

    def run(self, more: int) -> Verdict | None:
        """Take about *more* steps; return None if the search is not finished by then."""
        self._limit = self.steps + more
        while True:
            if self._now is None:
                if not self._stack:
                    return Verdict.ILLEGAL
                self._take(self._stack[-1])
            elif self._now.at == len(self._returning):
                self._note(self._now)
                return Verdict.OK
            else:
                self._advance(self._now)
            if self.steps >= self._limit:
                return None

    def order(self) -> tuple[Operation, ...]:
        """Return the longest order found so far."""
        found, trail = [], self._best[2]
        while trail is not None:
            found.append(trail[0].operation)
            trail = trail[1]
        return tuple(reversed(found))

    @property
    def stuck(self) -> Operation:
        """The operation whose return no order gets past."""
        return self._returning[self._best[0]].operation

    def _take(self, others: Iterator[_Configuration[S] | None]) -> None:
        """Continue with the next configuration of an open choice."""
        # A None from it pauses the search: `run` returns, and comes back here on its next turn.
        try:
            self._now = next(others)
        except StopIteration:
            self._stack.pop()

    def _advance(self, now: _Configuration[S]) -> None:
        """Let the next operation return, or place operations until it can."""
        returning = self._returning[now.at]
        if now.placed & returning.bit:
            self._let_return(now, returning)
            return
        self._note(now)
        # Without an open choice no other path leads here, and remembering it would waste memory.
        if self._stack and self._met(now):
            self._now = None
            return
        choices = self._choices(now, returning)
        # A single choice needs neither a branch nor a copy.
        if len(choices) == 1 and self._place(now, choices[0]):
            return
        if len(choices) > 1:
            self._stack.append(self._placements(now, returning))
        self._now = None

    def _note(self, now: _Configuration[S]) -> None:
        """Remember *now* if it is the furthest configuration so far."""
        if (now.at, now.length) > self._best[:2]:
            self._best = (now.at, now.length, now.trail)

    def _let_return(self, now: _Configuration[S], returning: _Item[S]) -> None:
        now.placed ^= returning.bit
        now.at += 1
        # The state is the same, so only newly called reads can have become placeable.
        if now.at < len(self._returning):
            self._settle(now, self._new_reads[now.at])

    def _place(self, now: _Configuration[S], item: _Item[S]) -> bool:
        """Append *item* to the order; return False and change nothing if it does not fit."""
        self.steps += 1
        state = item.apply(now.state)
        if state is ILLEGAL:
            return False
        now.state = state
        now.trail = (item, now.trail)
        now.length += 1
        if item.last == NEVER:
            now.used |= item.bit
        else:
            now.placed |= item.bit
        self._settle(now, self._open_reads[now.at])
        return True

    def _settle(self, now: _Configuration[S], reads: tuple[_Item[S], ...]) -> None:
        """Place the *reads* that fit the state."""
        version = self._model.version(now.state) if reads else None
        for read in reads:
            if now.placed & read.bit or read.before not in (None, version):
                continue
            if read.follows is not None and not self._is_in(now, read.follows):
                continue
            self.steps += 1
            if read.apply(now.state) is not ILLEGAL:
                now.placed |= read.bit
                now.trail = (read, now.trail)
                now.length += 1

    def _choices(self, now: _Configuration[S], returning: _Item[S]) -> list[_Item[S]]:
        """List the operations that may be placed next, the returning one first."""
        version = self._model.version(now.state)
        # Versions never decrease, so the one that the returning operation needs is gone.
        if returning.before is not None and version is not None and version > returning.before:
            return []
        # A read that fits would have been placed already.
        found = [] if returning.is_read or returning.before not in (None, version) else [returning]
        found += [
            each
            for each in self._open_writes[now.at]
            if each is not returning and not now.placed & each.bit
        ]
        if version is not None:
            found += [
                each
                for each in self._at.get(version, ())
                if each is not returning and each.first <= now.at and not self._is_in(now, each)
            ]
        # The last operation has an unknown outcome and was not observed: no waste.
        is_unseen = now.trail is not None and now.trail[0].last == NEVER
        if is_unseen:
            found = [each for each in found if not each.is_blind]
        # If the creator of the next version is known, no guess can create it.
        if version is not None and version in self._made:
            guesses = self._quiet_guesses
        else:
            guesses = self._seeing_guesses if is_unseen else self._guesses
        for each in guesses:
            if each.first > now.at:
                break
            if not now.used & each.bit:
                found.append(each)
        if self._has_followers:
            return [
                each for each in found if each.follows is None or self._is_in(now, each.follows)
            ]
        return found

    def _is_in(self, now: _Configuration[S], item: _Item[S]) -> bool:
        """Whether *item* is already in the order."""
        # After its return the bit may belong to another operation, so the number comes first.
        if item.last == NEVER:
            return bool(now.used & item.bit)
        return item.last < now.at or bool(now.placed & item.bit)

    def _placements(
        self, start: _Configuration[S], returning: _Item[S]
    ) -> Iterator[_Configuration[S] | None]:
        """
        Yield the configurations in which *returning* is placed, those with fewest others first.

        Yields None whenever the steps of the current turn are used up.
        """
        # Breadth first: shorter orders use fewer operations of unknown outcome, so they tend to
        # dominate the longer ones.
        queue = deque([start])
        while queue:
            now = queue.popleft()
            for item in self._choices(now, returning):
                # Placing modifies the configuration, which other choices start from as well.
                then = replace(now)
                if self._place(then, item):
                    if then.placed & returning.bit:
                        yield then
                    elif not self._met(then):
                        queue.append(then)
                if self.steps >= self._limit:
                    yield None

    def _met(self, now: _Configuration[S]) -> bool:
        """Whether *now*, or a configuration that dominates it, was visited before."""
        # The trail is not part of the key: only the state matters for what may follow.
        key = (now.at, self._model.key(now.state), now.placed)
        met = self._seen.setdefault(key, [])
        if any(used & now.used == used for used in met):
            return True
        met.append(now.used)
        return False


def _returned(operation: Operation) -> int:
    assert operation.returned is not None, (
        f"operation {operation.id} has the outcome ok but no return"
    )
    return operation.returned
