"""
The deterministic half of the store: the same commands in the same order give the same state.

No files, no clock, no randomness: what is random or timed is decided before a command is logged,
so that a restart, or a replica, gets to the same state from the log alone.
"""

import hashlib
from dataclasses import dataclass, field

from assertlib import Invariant

from . import txn as rules
from .codec import Codec
from .errors import (
    BadRequestError,
    CompactedError,
    FutureRevisionError,
    LeaseExistsError,
    LeaseNotFoundError,
)
from .index import KeyIndex
from .model import (
    Command,
    Compact,
    CompactResult,
    Compare,
    DeleteRange,
    DeleteResult,
    Event,
    KeyRange,
    KeyValue,
    LeaseGrant,
    LeaseResult,
    LeaseRevoke,
    Op,
    OpResult,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
    RevokeResult,
    Txn,
    TxnResult,
)

__all__ = ["Changed", "Image", "LeaseImage", "State"]

APPLIED = Invariant("wal.applied-index-monotonic")
REVISION = Invariant("kv.revision-monotonic")
ONE_REVISION = Invariant("kv.one-revision-per-mutation")
MOD_REVISION = Invariant("kv.modrev-equals-revision")
FUTURE = Invariant("kv.future-revision-error")
COMPACTED = Invariant("kv.compacted-error")
COMPACT_LE_CURRENT = Invariant("kv.compact-le-current")
TXN_ATOMIC = Invariant("txn.atomic")
NO_DUPLICATE = Invariant("txn.no-duplicate-key")
COMPARE = Invariant("txn.compare-atomic")
ELSE_BRANCH = Invariant("txn.compare-atomic#else-branch")
EXPIRY = Invariant("lease.expiry-deletes-all")
TWO_KEYS = Invariant("lease.expiry-deletes-all#two-keys")
SINGLE_LEASE = Invariant("lease.single-lease-per-key")
UNKNOWN_LEASE = Invariant("lease.unknown-lease-rejected")
DELETE_MOD = Invariant("watch.delete-modrev")

_next_index = APPLIED.declare_always("each applied index is one above the last")
_forward = REVISION.declare_always("a change has a higher revision than every recorded one")
_newest_goes = REVISION.declare_sometimes("the newest revision, a deletion, is compacted")
_one_revision = ONE_REVISION.declare_always(
    "a command raises the revision by one iff it changed a key"
)
_mod_is_revision = MOD_REVISION.declare_always("changed keys carry the revision of the change")
_keys_once = NO_DUPLICATE.declare_always("a revision changes each key once")
_not_future = FUTURE.declare_always("an answered read is not from the future")
_not_compacted = COMPACTED.declare_always("an answered read is not below the compacted revision")


@dataclass(frozen=True, slots=True)
class Changed:
    """The keys that one revision changed, in the order of its operations."""

    revision: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaseImage:
    """A lease without its keys, which the versions tell; *ttl* in seconds."""

    lease: int
    ttl: float


@dataclass(frozen=True, slots=True)
class Image:
    """The whole state as a value, for snapshots and digests."""

    revision: int
    compacted: int
    applied_index: int
    versions: tuple[KeyValue, ...]
    changed: tuple[Changed, ...]
    leases: tuple[LeaseImage, ...]


@dataclass(slots=True)
class _Lease:
    ttl: float
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Change:
    """One revision in the making."""

    revision: int
    keys: list[str] = field(default_factory=list)


_CODEC = Codec(Image, Changed, LeaseImage, KeyValue)


class State:
    """
    Keys, leases and history.

    Attributes:
        revision: The revision of the last change; 1 before the first.
        compacted: Reads and watches below it are refused; 0 before the first compaction.
        applied_index: The log index of the last applied command.
    """

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.applied_index = 0
        self._index = KeyIndex()
        self._changed: dict[int, tuple[str, ...]] = {}
        self._leases: dict[int, _Lease] = {}

    def apply(self, index: int, command: Command) -> Result:
        """
        Carry out the command at log *index*.

        Raises:
            KvError: The command is refused and, but for the index, changed nothing.
        """
        _next_index(index == self.applied_index + 1, lambda: {"last": self.applied_index})
        self.applied_index = index
        before = self.revision
        result = self._dispatch(command)
        recorded = self.revision > before and self.revision in self._changed
        _one_revision(self.revision - before == int(recorded), lambda: {"before": before})
        return result

    def range(self, op: Range) -> RangeResult:
        """
        Read.

        Raises:
            CompactedError: The revision is below the compacted one.
            FutureRevisionError: The revision has not happened.
        """
        self._check_revision(op.revision)
        return self._range(op, self.revision)

    def events_at(self, revision: int) -> tuple[Event, ...]:
        """The changes of one revision that is not compacted, in order."""
        return tuple(self._event(key, revision) for key in self._changed.get(revision, ()))

    def leases(self) -> dict[int, float]:
        """The time to live of each lease, in seconds."""
        return {lease: held.ttl for lease, held in self._leases.items()}

    def image(self) -> Image:
        """The state as a value."""
        return Image(
            self.revision,
            self.compacted,
            self.applied_index,
            tuple(self._index.versions()),
            tuple(Changed(revision, keys) for revision, keys in self._changed.items()),
            tuple(LeaseImage(lease, held.ttl) for lease, held in self._leases.items()),
        )

    def digest(self) -> str:
        """A hash of everything; equal for states that went through the same log."""
        return hashlib.sha256(_CODEC.encode(self.image())).hexdigest()

    @classmethod
    def restore(cls, image: Image) -> "State":
        """The state that *image* was taken of."""
        state = cls()
        state.revision, state.compacted = image.revision, image.compacted
        state.applied_index = image.applied_index
        state._changed = {changed.revision: changed.keys for changed in image.changed}
        state._leases = {held.lease: _Lease(held.ttl) for held in image.leases}
        for kv in image.versions:
            state._index.append(kv)
        for kv in state._index.range_at(KeyRange.everything(), state.revision):
            if kv.lease:
                state._leases[kv.lease].keys.add(kv.key)
        return state

    def _dispatch(self, command: Command) -> Result:
        match command:
            case Put():
                self._check_ops((command,))
                change = self._begin()
                put = self._put(change, command)
                self._finish(change)
                return put
            case DeleteRange():
                change = self._begin()
                deleted = self._delete_range(change, command)
                self._finish(change)
                return deleted
            case Txn():
                return self._txn(command)
            case Compact():
                return self._compact(command.revision)
            case LeaseGrant():
                return self._grant(command)
            case LeaseRevoke():
                return self._revoke(command)

    def _begin(self) -> _Change:
        return _Change(self.revision + 1)

    def _finish(self, change: _Change) -> None:
        if not change.keys:
            return
        newest = next(reversed(self._changed), self.revision)
        _forward(change.revision > newest, lambda: {"change": change.revision, "newest": newest})
        _keys_once(len(set(change.keys)) == len(change.keys), lambda: {"keys": change.keys})
        mods = [self._mod_revision(key) for key in change.keys]
        _mod_is_revision(set(mods) == {change.revision}, lambda: {"mods": mods})
        self.revision = change.revision
        self._changed[change.revision] = tuple(change.keys)

    def _mod_revision(self, key: str) -> int:
        kv = self._index.version_at(key, self.revision + 1)
        return kv.mod_revision if kv else 0

    def _put(self, change: _Change, op: Put) -> PutResult:
        old = self._index.living_at(op.key, change.revision)
        create, version = (old.create_revision, old.version + 1) if old else (change.revision, 1)
        self._index.append(KeyValue(op.key, op.value, create, change.revision, version, op.lease))
        change.keys.append(op.key)
        self._attach(op.key, old.lease if old else 0, op.lease)
        return PutResult(change.revision, old if op.prev_kv else None)

    def _delete_range(self, change: _Change, op: DeleteRange) -> DeleteResult:
        doomed = self._index.range_at(op.span, change.revision)
        for kv in doomed:
            self._delete(change, kv)
        revision = change.revision if change.keys else self.revision
        return DeleteResult(revision, len(doomed), doomed if op.prev_kv else ())

    def _delete(self, change: _Change, kv: KeyValue) -> None:
        self._index.append(KeyValue(kv.key, "", 0, change.revision, 0))
        change.keys.append(kv.key)
        self._attach(kv.key, kv.lease, 0)

    def _attach(self, key: str, old: int, new: int) -> None:
        if old:
            self._leases[old].keys.discard(key)
        if new:
            self._leases[new].keys.add(key)
            SINGLE_LEASE.always(
                lambda: [at for at, held in self._leases.items() if key in held.keys] == [new],
                "a key is attached to the lease of its last put and to no other",
                lambda: {"key": key, "old": old, "new": new},
            )
            SINGLE_LEASE.sometimes(0 < old != new, "a put moves a key from one lease to another")

    def _txn(self, txn: Txn) -> TxnResult:
        rules.check(txn)
        before = self.revision
        succeeded = self._compare(txn.compares, before)
        branch = txn.success if succeeded else txn.failure
        ELSE_BRANCH.sometimes_both(succeeded, "the compares hold and the success branch runs")
        self._check_ops(branch)
        change = self._begin()
        results = tuple(self._run(change, op) for op in branch)
        self._finish(change)
        COMPARE.always(
            self._compare(txn.compares, before) == succeeded,
            "the branch that ran is the one that the state before it selects",
            lambda: {"compares": txn.compares, "before": before, "succeeded": succeeded},
        )
        TXN_ATOMIC.always(
            rules.put_keys(branch) <= set(self._changed.get(change.revision, ())),
            "every write of the branch is in its one revision",
            lambda: {"revision": change.revision, "keys": change.keys},
        )
        return TxnResult(self.revision, succeeded, results)

    def _compare(self, compares: tuple[Compare, ...], revision: int) -> bool:
        return all(
            rules.holds(compare, self._index.living_at(compare.key, revision))
            for compare in compares
        )

    def _run(self, change: _Change, op: Op) -> OpResult:
        match op:
            case Put():
                return self._put(change, op)
            case DeleteRange():
                return self._delete_range(change, op)
            case Range():
                return self._range(op, change.revision)

    def _check_ops(self, ops: tuple[Op, ...]) -> None:
        """Refuse before anything is written, so that a refused command changes nothing."""
        for op in ops:
            if isinstance(op, Range):
                self._check_revision(op.revision)
            elif isinstance(op, Put) and op.lease and op.lease not in self._leases:
                UNKNOWN_LEASE.reachable("a put with an unknown lease is refused")
                raise LeaseNotFoundError(f"lease {op.lease}")

    def _check_revision(self, revision: int) -> None:
        if revision > self.revision:
            FUTURE.reachable("a read at a future revision is refused")
            raise FutureRevisionError(f"revision {revision}, the store is at {self.revision}")
        if revision and revision < self.compacted:
            COMPACTED.reachable("a read below the compacted revision is refused")
            raise CompactedError(f"revision {revision}, compacted at {self.compacted}")

    def _range(self, op: Range, newest: int) -> RangeResult:
        revision = op.revision or newest
        kvs = self._index.range_at(op.span, revision)
        _not_future(revision <= newest, lambda: {"revision": revision, "newest": newest})
        _not_compacted(revision >= self.compacted, lambda: {"compacted": self.compacted})
        return RangeResult(self.revision, kvs[: op.limit or None], len(kvs))

    def _compact(self, revision: int) -> CompactResult:
        if revision > self.revision:
            raise FutureRevisionError(f"revision {revision}, the store is at {self.revision}")
        if revision <= self.compacted:
            raise CompactedError(f"revision {revision}, compacted at {self.compacted}")
        dropped = self._index.compact(revision)
        _newest_goes(revision == self.revision and self._is_deletion(revision))
        self._changed = {at: keys for at, keys in self._changed.items() if at >= revision}
        self.compacted = revision
        COMPACT_LE_CURRENT.always_less_than_or_equal_to(
            self.compacted,
            max(self._changed, default=self.revision),
            "the compacted revision is at most the newest recorded one",
        )
        return CompactResult(self.revision, dropped)

    def _is_deletion(self, revision: int) -> bool:
        changed = self._changed.get(revision, ())
        return any(self._index.living_at(key, revision) is None for key in changed)

    def _grant(self, grant: LeaseGrant) -> LeaseResult:
        if not (grant.lease > 0 and grant.ttl > 0):
            raise BadRequestError(f"lease {grant.lease} with ttl {grant.ttl}")
        if grant.lease in self._leases:
            raise LeaseExistsError(f"lease {grant.lease}")
        self._leases[grant.lease] = _Lease(grant.ttl)
        return LeaseResult(self.revision, grant.lease, grant.ttl)

    def _revoke(self, revoke: LeaseRevoke) -> RevokeResult:
        held = self._leases.get(revoke.lease)
        if held is None:
            raise LeaseNotFoundError(f"lease {revoke.lease}")
        keys = sorted(held.keys)
        change = self._begin()
        for key in keys:
            kv = self._index.living_at(key, self.revision)
            if kv is not None:
                self._delete(change, kv)
        self._finish(change)
        del self._leases[revoke.lease]
        EXPIRY.always(
            lambda: not self._keys_on(revoke.lease),
            "no key outlives its lease",
            lambda: {"lease": revoke.lease, "left": self._keys_on(revoke.lease)},
        )
        TWO_KEYS.sometimes(
            revoke.expired and len(keys) >= 2, "a lease with two or more keys expires"
        )
        return RevokeResult(self.revision, tuple(keys))

    def _keys_on(self, lease: int) -> list[str]:
        living = self._index.range_at(KeyRange.everything(), self.revision)
        return [kv.key for kv in living if kv.lease == lease]

    def _event(self, key: str, revision: int) -> Event:
        kv = self._index.version_at(key, revision)
        DELETE_MOD.always(
            kv is not None and kv.mod_revision == revision,
            "the history contains exactly the version that was written at the event's revision",
            lambda: {"key": key, "revision": revision, "found": kv},
        )
        assert kv is not None
        before = self._index.living_at(key, revision - 1)
        return Event("delete" if kv.is_tombstone else "put", kv, before)
