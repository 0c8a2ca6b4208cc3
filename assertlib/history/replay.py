"""
The reconstructed past of the store: every revision with its changes.

It is assembled from acknowledged writes, each at the revision named in its response; revisions
without an acknowledged write are read from the store.  Watch deliveries are never used, since the
replay validates them.
Source: etcd tests/robustness/model/replay.go.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .etcd import State, apply, as_txn, deletion, leases_of, ranged, writes
from .known_revisions import KnownRevisions
from .operations import Operation, Outcome
from .requests import (
    Acknowledged,
    Committed,
    Compact,
    Delete,
    Event,
    Grant,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Request,
    Revoke,
    Txn,
    covers,
)


class Replay:
    """
    The changes of each revision.

    Attributes:
        last: The highest revision up to which all is known.
        unknown: The first revision that nothing is known of, if there is one; what comes after
            it cannot be relied on.
        forked: Revisions that more than one acknowledged write made.
    """

    def __init__(
        self, operations: Iterable[Operation], found: Mapping[int, Sequence[Event]]
    ) -> None:
        past = _Past(operations, found)
        self.forked = past.forked
        self._events: dict[int, tuple[Event, ...]] = {}
        self._versions: dict[str, tuple[list[int], list[KeyValue | None]]] = {}
        for before, after in past.states():
            self._enter(after.revision, _changes(before, after))
        self.unknown = past.unknown
        self.last = past.last if past.unknown is None else past.unknown - 1

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
    """
    What is known to have made which revision.

    Attributes:
        last: The highest revision that is known of.
        unknown: The first one that nothing is known of, once `states` was gone through.
    """

    def __init__(
        self, operations: Iterable[Operation], found: Mapping[int, Sequence[Event]]
    ) -> None:
        self.found = found
        self.made: dict[int, Operation] = {}
        self.forked: set[int] = set()
        self.unknown: int | None = None
        self._beside: dict[int, list[Operation]] = defaultdict(list)
        newest = 1
        for operation in operations:
            self._file(operation)
            newest = max(newest, getattr(operation.response, "revision", 1))
        self.last = max((newest, *self.made, *found))

    def _file(self, operation: Operation) -> None:
        revision = operation.revision
        match operation.request, operation.response:
            case _, Acknowledged(at):
                # A revocation may have made this revision, or stand beside what did.
                self._beside[at].append(operation)
            case (Put() | Delete() | Txn()) as request, Committed() as answer:
                revision = answer.revision if writes(as_txn(request), answer) else None
        if revision is not None:
            if revision in self.made:
                self.forked.add(revision)
            self.made[revision] = operation

    def revocations(self, before: State) -> list[Operation]:
        """The acknowledged ones that can have made the revision after *before*."""
        return [
            each
            for each in self._beside.get(before.revision + 1, ())
            if isinstance(each.request, Revoke)
            and _applied(before, each.request).revision > before.revision
        ]

    def states(self) -> Iterator[tuple[State, State]]:
        """The states before and after each revision, up to the first that is unknown."""
        state = State(1, -1, {}, frozenset(), 0)
        for revision in range(1, self.last + 1):
            if revision > 1:
                before, after = state, self._next(state, revision)
                if after is None:
                    self.unknown = revision
                    return
                state = after
                yield before, state
            for operation in self._beside.get(revision, ()):
                state = apply(state, operation.request)[0]._replace(revision=revision)

    def _next(self, before: State, revision: int) -> State | None:
        maker = self.made.get(revision)
        if maker is None and revision in self.found:
            kvs = dict(before.kvs)
            for event in self.found[revision]:
                kvs.pop(event.kv.key, None)
                if event.kind == "put":
                    kvs[event.kv.key] = event.kv
            return before._replace(kvs=kvs, revision=revision)
        if maker is None and len(able := self.revocations(before)) == 1:
            (maker,) = able
        if maker is None:
            return None
        return _applied(before, maker.request)._replace(revision=revision)


def _applied(before: State, request: Request) -> State:
    """The state after *request*, whose leases are there: who granted them may never have heard."""
    if isinstance(request, Put | Txn | Revoke):
        before = before._replace(leases=before.leases | leases_of(request))
    after, _ = apply(before, request)
    return after


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
    operations: Sequence[Operation], found: Mapping[int, Sequence[Event]], newest: int = 1
) -> list[Operation]:
    """
    *operations*, with the outcomes of unanswered ones resolved as far as the store's past allows.

    If just one operation can have changed what a revision changed, it made that revision.  If
    the content of all revisions is known, up to the *newest* that anybody has seen, one that
    would have changed none of them just so was not applied.
    Source: etcd tests/robustness/validate/patch_history.go, which reads the WAL for that.
    """
    resolved = {each.id: each for each in operations}
    unanswered = {each.id: each for each in operations if each.outcome is Outcome.UNKNOWN}
    idle = dict(unanswered)
    past = _Past(operations, found)
    known = KnownRevisions(operations)
    for before, after in past.states():
        revision = after.revision
        if revision in past.made:
            continue
        able = [
            each
            for each in (*unanswered.values(), *past.revocations(before))
            if _leads_to(before, each, after)
            and (each.outcome is Outcome.OK or known.newest(each.call) < revision)
        ]
        for each in able:
            idle.pop(each.id, None)
        if len(able) == 1 and able[0].outcome is Outcome.UNKNOWN:
            resolved[able[0].id] = replace(able[0], revision=revision)
    is_complete = past.unknown is None and newest <= past.last
    for each in idle.values() if is_complete else ():
        if not _can_be_noticed(each, operations):
            resolved[each.id] = replace(each, outcome=Outcome.NOT_APPLIED)
    return list(resolved.values())


def _leads_to(before: State, operation: Operation, after: State) -> bool:
    if isinstance(operation.request, Range | KeepAlive):
        return False
    state = _applied(before, operation.request)
    return state.revision == after.revision and state.kvs == after.kvs


def _can_be_noticed(idle: Operation, operations: Sequence[Operation]) -> bool:
    """Whether an operation that made no revision can have had an effect that another one saw."""
    match idle.request:
        case Compact():
            return True
        case Grant(lease) | Revoke(lease):
            return any(
                lease in leases_of(each.request)
                for each in operations
                if each is not idle and (each.returned is None or each.returned >= idle.call)
            )
    return False
