"""
The reconstructed past of the store: every revision with its changes.

The replay is built from acknowledged writes, each at the revision named in its response; the
changes of other revisions were read from the store.  Watch deliveries are never used, because they
are validated against the replay.
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

    Args:
        operations: All operations of the history, after `resolve`.
        found: The changes of revisions as read from the store, by revision.

    Attributes:
        last: The highest revision up to which the replay is complete.
        unknown: The first revision with unknown changes, where the replay ends; None if there
            is none.
        forked: Revisions that more than one write claims to have created.
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
        # Entered in ascending order, so the revisions of a key stay sorted for `kv`.
        for event in events:
            revisions, values = self._versions.setdefault(event.kv.key, ([], []))
            revisions.append(revision)
            values.append(event.kv if event.kind == "put" else None)

    def kv(self, key: str, revision: int) -> KeyValue | None:
        """Return the pair under *key* as of *revision*; None if the key did not exist."""
        revisions, values = self._versions.get(key, ((), ()))
        at = bisect_right(revisions, revision)
        return values[at - 1] if at else None

    def range(self, request: Range, revision: int) -> Ranged:
        """Return the correct response to *request* as of *revision*."""
        keys = [request.key] if not request.end else sorted(self._versions)
        found = [
            kv
            for key in keys
            if covers(request.key, request.end, key) and (kv := self.kv(key, revision)) is not None
        ]
        return ranged(found, request, revision)

    def events(self, first: int, last: int) -> Iterator[Event]:
        """Yield the changes from revision *first* to *last*, both included, in order."""
        # Bounds come from responses and may be wild numbers; only known revisions are visited.
        for revision in range(max(first, 1), min(last, self.last) + 1):
            yield from self._events.get(revision, ())


class _Past:
    """
    The operations that are known to have created revisions.

    Attributes:
        made: The creator of each revision; with several claims, the last one.
        forked: Revisions with several claims.
        last: The highest revision named anywhere.
        unknown: The first revision with unknown changes; set by iterating over `states`.
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
                # The response names the revision at that time: a revocation may have created it,
                # or it took effect after the operation that did.
                self._beside[at].append(operation)
            # A transaction that changed nothing names a revision that it did not create.
            case (Put() | Delete() | Txn()) as request, Committed() as answer:
                revision = answer.revision if writes(as_txn(request), answer) else None
        if revision is not None:
            if revision in self.made:
                self.forked.add(revision)
            self.made[revision] = operation

    def revocations(self, before: State) -> list[Operation]:
        """Return the acknowledged revocations that may have created the next revision."""
        return [
            each
            for each in self._beside.get(before.revision + 1, ())
            if isinstance(each.request, Revoke)
            and _applied(before, each.request).revision > before.revision
        ]

    def states(self) -> Iterator[tuple[State, State]]:
        """Yield the states before and after each revision, up to the first unknown one."""
        # Ends at the first gap, so a response with an absurdly high revision costs nothing.
        state = State(1, -1, {}, frozenset(), 0)
        for revision in range(1, self.last + 1):
            if revision > 1:
                before, after = state, self._next(state, revision)
                if after is None:
                    self.unknown = revision
                    return
                state = after
                yield before, state
            # The revision is pinned: these operations did not create it, or are in it already.
            for operation in self._beside.get(revision, ()):
                state = apply(state, operation.request)[0]._replace(revision=revision)

    def _next(self, before: State, revision: int) -> State | None:
        # The store's record only fills in for revisions without an acknowledged write.
        maker = self.made.get(revision)
        if maker is None and revision in self.found:
            kvs = dict(before.kvs)
            for event in self.found[revision]:
                kvs.pop(event.kv.key, None)
                if event.kind == "put":
                    kvs[event.kv.key] = event.kv
            return before._replace(kvs=kvs, revision=revision)
        # Several revocations would explain it equally well; none is picked.
        if maker is None and len(able := self.revocations(before)) == 1:
            (maker,) = able
        if maker is None:
            return None
        return _applied(before, maker.request)._replace(revision=revision)


def _applied(before: State, request: Request) -> State:
    """Apply *request*, assuming that its leases exist: their grants may be unanswered."""
    if isinstance(request, Put | Txn | Revoke):
        before = before._replace(leases=before.leases | leases_of(request))
    after, _ = apply(before, request)
    return after


def _changes(before: State, after: State) -> list[Event]:
    """Return the changes between the states of two adjacent revisions, sorted by key."""
    old, new = before.kvs, after.kvs
    found = [
        Event("put", kv, old.get(key))
        for key, kv in new.items()
        if kv.mod_revision == after.revision
    ]
    # Without deletions the number of keys grows by the created ones; the old keys are scanned
    # only if it does not.
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
    Infer the outcomes of unanswered operations from the store's past states.

    If exactly one operation can have made the changes of a revision, it created that revision.  If
    the changes of all revisions are known, an operation that fits none of them was not applied.
    Source: etcd tests/robustness/validate/patch_history.go, which reads the WAL instead.

    Args:
        operations: All operations of the history.
        found: The changes of revisions as read from the store, by revision.
        newest: The highest revision seen by any watch; up to there the past must be known before
            an operation counts as not applied.

    Returns:
        The operations in the same order, with inferred revisions and outcomes.
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
        # An operation called after the revision was known to a client cannot have created it.
        able = [
            each
            for each in (*unanswered.values(), *past.revocations(before))
            if _leads_to(before, each, after)
            and (each.outcome is Outcome.OK or known.newest(each.call) < revision)
        ]
        # Each of several candidates may have been applied, so none of them is idle.
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
    # Reads and keep-alives create no revisions, and the model cannot apply a read.
    if isinstance(operation.request, Range | KeepAlive):
        return False
    state = _applied(before, operation.request)
    return state.revision == after.revision and state.kvs == after.kvs


def _can_be_noticed(idle: Operation, operations: Sequence[Operation]) -> bool:
    """Whether an operation that created no revision may have had an observable effect."""
    match idle.request:
        case Compact():
            return True
        case Grant(lease) | Revoke(lease):
            # An operation that returned before the call cannot depend on its effect.
            return any(
                lease in leases_of(each.request)
                for each in operations
                if each is not idle and (each.returned is None or each.returned >= idle.call)
            )
    return False
