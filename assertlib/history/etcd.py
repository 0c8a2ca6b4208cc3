"""
The model of an etcd-like store: revisions, transactions, leases and compaction.

Every write atomically creates one revision, and each response names the store's revision.
Sources: etcd docs v3.6, learning/api.md and data_model.md; etcd tests/robustness/model.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from .model import ILLEGAL, Illegal, Step, UnsupportedRequestError
from .operations import Operation, Outcome
from .requests import (
    NO_END,
    Acknowledged,
    Change,
    Committed,
    Compact,
    Compare,
    Delete,
    Deleted,
    Done,
    Grant,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Refused,
    Request,
    Result,
    Revoke,
    Txn,
)


class State(NamedTuple):
    """
    The contents of a store at one moment.

    Attributes:
        revision: The store's revision; 1 if nothing was written.
        compacted: Revision of the last compaction; -1 if there was none.
        kvs: The existing keys.
        leases: The live leases.
        digest: Hash of *kvs* and *leases*, for fast comparison of states.
    """

    revision: int
    compacted: int
    kvs: Mapping[str, KeyValue]
    leases: frozenset[int]
    digest: int


class Etcd:
    """The sequential specification of etcd."""

    name = "etcd"

    def initial(self) -> State:
        return State(1, -1, {}, frozenset(), 0)

    def key(self, state: State) -> Hashable:
        """Return a hashable key that identifies *state*."""
        # The digest stands for keys and leases, whose number does not affect the cost of a step.
        return state.revision, state.compacted, state.digest

    def version(self, state: State) -> int | None:
        return state.revision

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        """Return the *operations* whose effect is observable as a single part."""
        # Keys share the revisions, and transactions span keys, so there is a single part.
        return [("", _can_matter(operations))]

    def step(self, operation: Operation) -> Step[State] | None:
        """
        Return the step of *operation*; None if it has neither effect nor observation.

        Raises:
            UnsupportedRequestError: The model does not support the request with this response.
        """
        if operation.outcome is Outcome.NOT_APPLIED:
            return None
        if operation.outcome is Outcome.UNKNOWN:
            return _unanswered(operation)
        match operation.request, operation.response:
            case (Range(revision=revision, serializable=stale), Ranged() | Refused()) if (
                revision or stale
            ):
                # Reads of the past are not linearizable; they are validated against the replay.
                return None
            case Range() as request, Ranged() as answer:
                return _read(request, answer)
            case ((Put() | Delete() | Txn()), Committed() as committed):
                return _committed(as_txn(operation.request), committed)
            case KeepAlive(), _:
                # The leader answers from memory, unordered with respect to revisions.
                return None
            case (Grant() | Revoke() | Compact()) as request, Acknowledged(revision):
                return _acknowledged(request, revision)
            case (Grant() | Revoke() | Compact()) as request, Refused(reason):
                return Step(_refused(request, reason), is_read=True)
            case ((Put() | Txn()), Refused("lease-not-found")):
                return Step(_without_lease(as_txn(operation.request)), is_read=True)
            # Rejected because of the revision of one of its reads, so nothing was applied.
            case Txn(), Refused():
                return None
        raise UnsupportedRequestError(
            f"operation {operation.id}: the model 'etcd' does not support {operation.request!r}"
            f" answered with {operation.response!r}"
        )

    def steps(self, operations: Sequence[Operation]) -> list[Step[State] | None]:
        return [self.step(each) for each in operations]


def as_txn(request: Request) -> Txn:
    """
    Return a put or a delete as a transaction without conditions.

    Raises:
        UnsupportedRequestError: *request* is not a put, a delete or a transaction.
    """
    match request:
        case Put() | Delete():
            return Txn((), (request,))
        case Txn():
            return request
    raise UnsupportedRequestError(f"{request!r} is not a transaction")


# -- effects of requests ------------------------------------------------------------------


def apply(state: State, request: Request) -> tuple[State, Committed | Acknowledged | Refused]:
    """
    Apply *request* to *state*.

    Returns:
        The next state, which is *state* itself if nothing changed, and the correct response.

    Raises:
        UnsupportedRequestError: The model cannot apply such a request.
    """
    match request:
        case Put() | Delete() | Txn():
            return _apply_txn(state, as_txn(request))
        case Grant(lease):
            if lease in state.leases:
                return state, Refused("lease-exists")
            state = _with_leases(state, state.leases | {lease})
            return state, Acknowledged(state.revision)
        case KeepAlive(lease):
            if lease not in state.leases:
                return state, Refused("lease-not-found")
            return state, Acknowledged(state.revision)
        case Revoke(lease):
            if lease not in state.leases:
                return state, Refused("lease-not-found")
            attached = [key for key, kv in state.kvs.items() if kv.lease == lease]
            state = _with_leases(state, state.leases - {lease})
            # All keys are deleted in one revision; without keys, none is created.
            if attached:
                state = _changed(state, dict.fromkeys(attached))
            return state, Acknowledged(state.revision)
        case Compact(revision):
            if revision <= state.compacted:
                return state, Refused("compacted")
            if revision > state.revision:
                return state, Refused("future-revision")
            return state._replace(compacted=revision), Acknowledged(state.revision)
    raise UnsupportedRequestError(f"the model 'etcd' does not support {request!r}")


def _apply_txn(state: State, txn: Txn) -> tuple[State, Committed | Refused]:
    succeeded = all(holds(state.kvs, compare) for compare in txn.compares)
    branch = txn.then if succeeded else txn.otherwise
    # Checked before any change is made: a transaction is applied completely or not at all.
    if any(isinstance(each, Put) and _lacks(state, each.lease) for each in branch):
        return state, Refused("lease-not-found")
    changes: dict[str, KeyValue | None] = {}
    results = [_change(state, each, changes) for each in branch]
    if changes:
        state = _changed(state, changes)
        # Reads inside a transaction that writes name the revision that it creates.
        results = [
            replace(result, revision=state.revision) if isinstance(result, Ranged) else result
            for result in results
        ]
    return state, Committed(state.revision, succeeded, tuple(results))


def _lacks(state: State, lease: int) -> bool:
    return lease != 0 and lease not in state.leases


def _change(state: State, change: Change, changes: dict[str, KeyValue | None]) -> Result:
    match change:
        case Put(key, value, lease):
            # A deletion earlier in the transaction left None, so that the key is created anew.
            old = changes[key] if key in changes else state.kvs.get(key)
            # All changes of a transaction share one revision.
            revision = state.revision + 1
            changes[key] = (
                KeyValue(key, value, old.create_revision, revision, old.version + 1, lease)
                if old
                else KeyValue(key, value, revision, revision, 1, lease)
            )
            return Done()
        case Delete(key, end):
            gone = [kv.key for kv in _found(state, changes, key, end)]
            changes.update(dict.fromkeys(gone))
            return Deleted(len(gone))
        case Range():
            return ranged(_found(state, changes, change.key, change.end), change, state.revision)


def _found(
    state: State, changes: Mapping[str, KeyValue | None], key: str, end: str
) -> list[KeyValue]:
    if not changes:
        return sorted(_found_in(state.kvs, key, end))
    changed = {**state.kvs, **changes}
    return sorted(_found_in({k: kv for k, kv in changed.items() if kv is not None}, key, end))


def ranged(found: Sequence[KeyValue], request: Range, revision: int) -> Ranged:
    """
    Build the response to a read.

    Args:
        found: All pairs in the range, sorted by key.
        request: The read, whose limit applies.
        revision: The revision that the response names.
    """
    # The count ignores the limit, as in etcd.
    kvs = found[: request.limit] if request.limit > 0 else found
    return Ranged(revision, tuple(kvs), len(found))


_RELATIONS: dict[str, Callable[..., bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_FIELDS = {"value": 1, "create": 2, "mod": 3, "version": 4, "lease": 5}


def holds(kvs: Mapping[str, KeyValue], compare: Compare) -> bool:
    """Whether *compare* holds for the keys in *kvs*."""
    relation, at = _RELATIONS[compare.relation], _FIELDS[compare.target]
    operand = compare.operand
    found = _found_in(kvs, compare.key, compare.end)
    if not found:
        # A missing key has no value to compare with; its other fields count as 0.
        return compare.target != "value" and relation(0, operand)
    return all(relation(kv[at], operand) for kv in found)


def _found_in(kvs: Mapping[str, KeyValue], key: str, end: str) -> list[KeyValue]:
    if end == NO_END:
        return [kv for name, kv in kvs.items() if name >= key]
    if end:
        return [kv for name, kv in kvs.items() if key <= name < end]
    found = kvs.get(key)
    return [] if found is None else [found]


def _with_leases(state: State, leases: frozenset[int]) -> State:
    # XOR is independent of order and its own inverse: the digest is updated by the changes alone.
    digest = state.digest
    for lease in leases ^ state.leases:
        digest ^= hash(str(lease))
    return state._replace(leases=leases, digest=digest)


def _changed(state: State, changes: Mapping[str, KeyValue | None]) -> State:
    kvs, digest = dict(state.kvs), state.digest
    for key, new in changes.items():
        old = kvs.pop(key, None)
        if old is not None:
            digest ^= _hash(old)
        if new is not None:
            kvs[key] = new
            digest ^= _hash(new)
    return State(state.revision + 1, state.compacted, kvs, state.leases, digest)


def _hash(kv: KeyValue) -> int:
    # Python hashes integers modulo 2**61 - 1, and lease ids can be that large.
    return hash((kv, str(kv.lease))) if kv.lease else hash(kv)


def deletion(key: str, revision: int) -> KeyValue:
    """Return the pair in a DELETE event: *key* and the *revision* of its deletion."""
    return KeyValue(key, "", 0, revision, 0)


# -- steps of operations -------------------------------------------------------------------


def _read(request: Range, answer: Ranged) -> Step[State]:
    def fits(state: State) -> State | Illegal:
        if state.revision != answer.revision:
            return ILLEGAL
        expected = ranged(_found(state, {}, request.key, request.end), request, state.revision)
        return state if expected == answer else ILLEGAL

    return Step(fits, is_read=True, before=answer.revision, after=answer.revision)


def writes(txn: Txn, answer: Committed) -> bool:
    """Whether *txn* changed anything according to *answer*."""
    # A deletion that found nothing creates no revision, unlike a put of the same value.
    branch = txn.then if answer.succeeded else txn.otherwise
    return any(
        isinstance(change, Put) or (isinstance(result, Deleted) and result.count > 0)
        for change, result in zip(branch, answer.results, strict=False)
    )


def _committed(txn: Txn, answer: Committed) -> Step[State]:
    branch = txn.then if answer.succeeded else txn.otherwise
    # No state explains a response with a missing or an extra result.
    if len(branch) != len(answer.results):
        return Step(lambda _: ILLEGAL, is_read=True)
    changes = writes(txn, answer)
    before = answer.revision - 1 if changes else answer.revision

    def fits(state: State) -> State | Illegal:
        if state.revision != before:
            return ILLEGAL
        after, expected = _apply_txn(state, txn)
        return after if expected == answer else ILLEGAL

    return Step(fits, is_read=not changes, before=before, after=answer.revision)


def _acknowledged(request: Request, revision: int) -> Step[State]:
    answer = Acknowledged(revision)

    def fits(state: State) -> State | Illegal:
        after, expected = apply(state, request)
        return after if expected == answer else ILLEGAL

    if isinstance(request, Revoke):
        # Whether it deleted keys and created a revision depends on the state.
        return Step(fits)
    return Step(fits, before=revision, after=revision)


def _refused(request: Request, reason: str) -> Callable[[State], State | Illegal]:
    def fits(state: State) -> State | Illegal:
        _, expected = apply(state, request)
        return state if isinstance(expected, Refused) and expected.reason == reason else ILLEGAL

    return fits


def _without_lease(txn: Txn) -> Callable[[State], State | Illegal]:
    def fits(state: State) -> State | Illegal:
        _, expected = _apply_txn(state, txn)
        return state if isinstance(expected, Refused) else ILLEGAL

    return fits


def _unanswered(operation: Operation) -> Step[State] | None:
    """Return the step of an operation of unknown outcome; None if it has no effect."""
    request, made = operation.request, operation.revision
    if isinstance(request, Range | KeepAlive):
        return None

    def effect(state: State) -> State | Illegal:
        after, _ = apply(state, request)
        # Without a change there is nothing to place; the search may leave the operation out.
        if after is state or made not in (None, after.revision):
            return ILLEGAL
        return after

    if made is not None:
        return Step(effect, before=made - 1, after=made)
    return Step(effect, keeps_version=isinstance(request, Grant | Revoke | Compact))


def _can_matter(operations: Sequence[Operation]) -> list[Operation]:
    """Filter out operations of unknown outcome whose effect no response can reveal."""
    mentions = Counter(lease for each in operations for lease in leases_of(each.request))
    compactions_fail = any(
        isinstance(each.request, Compact) and isinstance(each.response, Refused)
        for each in operations
    )

    def matters(operation: Operation) -> bool:
        if operation.outcome is not Outcome.UNKNOWN:
            return True
        match operation.request:
            # A lease that no other operation mentions has no keys and decides no response.
            case Grant(lease) | Revoke(lease):
                return mentions[lease] > 1
            # The order is checked for current reads only, which a compaction does not affect.
            case Compact():
                return compactions_fail
        return True

    return [each for each in operations if matters(each)]


def leases_of(request: Request) -> set[int]:
    """Return the leases that *request* depends on, creates or revokes."""
    match request:
        case Put(_, _, lease) | Grant(lease) | Revoke(lease):
            return {lease}
        case Txn(_, then, otherwise):
            return {each.lease for each in (*then, *otherwise) if isinstance(each, Put)}
    return set()
