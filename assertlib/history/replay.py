"""
The store's past as it has to have been: every revision with what it changed.

It is put together from writes that were acknowledged, each at the revision its answer named,
and, where a revision belongs to none of them, from what the store says it holds there.
What watches were sent is never used: it is what the replay judges.
Source: etcd tests/robustness/model/replay.go.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .etcd import State, apply, as_txn, deletion, ranged, writes
from .operations import Operation, Outcome
from .requests import (
    Acknowledged,
    Committed,
    Delete,
    Event,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Request,
    Revoke,
    Txn,
    covers,
    written,
)


class Replay:
    """
    What each revision changed.

    Attributes:
        last: The highest revision that is known of.
        unknown: Revisions that nothing is known of; what comes after one cannot be relied on.
        forked: Revisions that more than one acknowledged write made.
    """

    def __init__(
        self, operations: Iterable[Operation], found: Mapping[int, Sequence[Event]]
    ) -> None:
        past = _Past(operations, found)
        self.last = past.last
        self.unknown = past.unknown()
        self.forked = past.forked
        self._events: dict[int, tuple[Event, ...]] = {}
        self._versions: dict[str, tuple[list[int], list[KeyValue | None]]] = {}
        for before, after in past.states():
            self._enter(after.revision, _changes(before, after))

    def _enter(self, revision: int, events: list[Event]) -> None:
        self._events[revision] = tuple(events)
        for event in events:
            revisions, values = self._versions.setdefault(event.kv.key, ([], []))
            revisions.append(revision)
            values.append(event.kv if event.kind == "put" else None)

    def kv(self, key: str, revision: int) -> KeyValue | None:
        """What was under *key* as of *revision*."""
        revisions, values = self._versions.get(key, ((), ()))
        at = bisect_right(revisions, revision)
        return values[at - 1] if at else None

    def range(self, request: Range, revision: int) -> Ranged:
        """The answer that *request* should have got as of *revision*."""
        keys = [request.key] if not request.end else sorted(self._versions)
        found = [
            kv
            for key in keys
            if covers(request.key, request.end, key) and (kv := self.kv(key, revision)) is not None
        ]
        return ranged(found, request, revision)

    def events(self, first: int, last: int) -> Iterator[Event]:
        """All changes from revision *first* to *last*, both included, in order."""
        for revision in range(max(first, 1), min(last, self.last) + 1):
            yield from self._events.get(revision, ())


class _Past:
    """What is known to have made which revision."""

    def __init__(
        self, operations: Iterable[Operation], found: Mapping[int, Sequence[Event]]
    ) -> None:
        self.found = found
        self.made: dict[int, Operation] = {}
        self.forked: set[int] = set()
        self._quiet: dict[int, list[Operation]] = defaultdict(list)
        revokes = [each for each in operations if self._file(each)]
        for operation in revokes:
            assert isinstance(operation.response, Acknowledged)
            at = operation.response.revision
            # It made a revision if it deleted keys; else it stands beside the one that made it.
            if at == 1 or at in self.made or at in found:
                self._quiet[at].append(operation)
            else:
                self.made[at] = operation
        self.last = max((1, *self.made, *found))

    def _file(self, operation: Operation) -> bool:
        """Put *operation* where it belongs, unless it is a revocation that has to wait."""
        revision = operation.revision
        match operation.request, operation.response:
            case Revoke(), Acknowledged():
                return True
            case _, Acknowledged(at):
                self._quiet[at].append(operation)
                return False
            case (Put() | Delete() | Txn()) as request, Committed() as answer:
                revision = answer.revision if writes(as_txn(request), answer) else None
        if revision is not None:
            if revision in self.made:
                self.forked.add(revision)
            self.made[revision] = operation
        return False

    def unknown(self) -> list[int]:
        """Revisions that nothing is known of."""
        revisions = range(2, self.last + 1)
        return [at for at in revisions if at not in self.made and at not in self.found]

    def states(self) -> Iterator[tuple[State, State]]:
        """The states before and after each revision."""
        state = State(1, -1, {}, frozenset(), 0)
        for revision in range(1, self.last + 1):
            if revision > 1:
                before, state = state, self._next(state, revision)
                yield before, state
            for operation in self._quiet.get(revision, ()):
                state, _ = apply(state, operation.request)

    def _next(self, before: State, revision: int) -> State:
        after = before
        if revision in self.made:
            after, _ = apply(before, self.made[revision].request)
        elif revision in self.found:
            kvs = dict(before.kvs)
            for event in self.found[revision]:
                kvs.pop(event.kv.key, None)
                if event.kind == "put":
                    kvs[event.kv.key] = event.kv
            after = before._replace(kvs=kvs)
        return after._replace(revision=revision)


def _changes(before: State, after: State) -> list[Event]:
    """What changed between two states of adjacent revisions, in the order of keys."""
    old, new = before.kvs, after.kvs
    found = [
        Event("put", kv, old.get(key))
        for key, kv in new.items()
        if kv.mod_revision == after.revision
    ]
    if len(old) + sum(event.previous is None for event in found) != len(new):
        found += [
            Event("delete", deletion(key, after.revision), kv)
            for key, kv in old.items()
            if key not in new
        ]
    return sorted(found, key=lambda event: event.kv.key)


def resolve(
    operations: Sequence[Operation], found: Mapping[int, Sequence[Event]]
) -> list[Operation]:
    """
    *operations*, with what became of those without an answer as far as the store's past tells.

    If just one of them would have changed what a revision changed, it made that revision.  If
    the content of all revisions is known and none holds a value that only one of them writes,
    that one was not applied.
    Source: etcd tests/robustness/validate/patch_history.go, which reads the WAL for that.
    """
    resolved = {each.id: each for each in operations}
    unanswered = [each for each in operations if each.outcome is Outcome.UNKNOWN]
    past = _Past(operations, found)
    for before, after in past.states() if unanswered else ():
        if after.revision in found and after.revision not in past.made:
            able = [each for each in unanswered if _leads_to(before, each, after)]
            if len(able) == 1:
                resolved[able[0].id] = replace(able[0], revision=after.revision)
    if not past.unknown():
        for each in _not_applied(operations, unanswered, found):
            resolved[each.id] = replace(each, outcome=Outcome.NOT_APPLIED)
    return list(resolved.values())


def _leads_to(before: State, operation: Operation, after: State) -> bool:
    if isinstance(operation.request, Range | KeepAlive):
        return False
    state, _ = apply(before, operation.request)
    return state.revision == after.revision and state.kvs == after.kvs


def _not_applied(
    operations: Iterable[Operation],
    unanswered: Iterable[Operation],
    found: Mapping[int, Sequence[Event]],
) -> Iterator[Operation]:
    writers = Counter(value for each in operations for value in written(each.request))
    there = {event.kv.value for events in found.values() for event in events}
    for operation in unanswered:
        own = {value for value in _always_written(operation.request) if writers[value] == 1}
        if own and not own & there:
            yield operation


def _always_written(request: Request) -> set[str]:
    """Values that are in the store if *request* changed anything at all."""
    if isinstance(request, Txn):
        for branch in (request.then, request.otherwise):
            kinds = {type(each) for each in branch}
            if Delete in kinds and Put not in kinds:
                return set()
    return written(request)
