"""
The words of the store as plain values: keys, events, commands and their results.

A *command* changes the store and therefore goes through the write-ahead log; a `Range` reads and
does not.  Revisions count changes of the store, from 1 for the empty one.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Command",
    "Compact",
    "CompactResult",
    "Compare",
    "DeleteRange",
    "DeleteResult",
    "Event",
    "KeyRange",
    "KeyValue",
    "LeaseGrant",
    "LeaseResult",
    "LeaseRevoke",
    "Op",
    "OpResult",
    "Put",
    "PutResult",
    "Range",
    "RangeResult",
    "Result",
    "RevokeResult",
    "Txn",
    "TxnResult",
]

EVERY_KEY_FROM = "\0"


@dataclass(frozen=True, slots=True)
class KeyRange:
    """
    The keys in ``[key, end)``: the single *key* when *end* is empty, all from *key* when it is
    ``"\\0"``.
    """

    key: str
    end: str = ""

    @classmethod
    def prefix(cls, prefix: str) -> "KeyRange":
        """All keys that begin with *prefix*, which must not be empty."""
        return cls(prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))

    @classmethod
    def everything(cls) -> "KeyRange":
        """All keys."""
        return cls("", EVERY_KEY_FROM)

    def __contains__(self, key: str) -> bool:
        if self.end == "":
            return key == self.key
        return key >= self.key and (self.end == EVERY_KEY_FROM or key < self.end)


@dataclass(frozen=True, slots=True)
class KeyValue:
    """
    A key as one revision left it.

    Attributes:
        create_revision: The revision that began this generation of the key; 0 in a tombstone.
        mod_revision: The revision that wrote (or deleted) it.
        version: Writes in this generation, from 1; 0 in a tombstone.
        lease: The lease that the key lives on, 0 for none.
    """

    key: str
    value: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0

    @property
    def is_tombstone(self) -> bool:
        """Whether this revision deleted the key."""
        return self.version == 0


@dataclass(frozen=True, slots=True)
class Event:
    """A change of one key; *prev* is the pair just before, where history still holds it."""

    kind: Literal["put", "delete"]
    kv: KeyValue
    prev: KeyValue | None = None

    @property
    def is_create(self) -> bool:
        """Whether the key did not exist just before."""
        return self.kind == "put" and self.kv.version == 1


@dataclass(frozen=True, slots=True)
class Put:
    """Write *value*; the key then lives on *lease*, or on none when that is 0."""

    key: str
    value: str
    lease: int = 0
    prev_kv: bool = False


@dataclass(frozen=True, slots=True)
class DeleteRange:
    """Delete every key of *span*."""

    span: KeyRange
    prev_kv: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Read the keys of *span* as *revision* left them (0: the newest), at most *limit* (0: all)."""

    span: KeyRange
    revision: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition on one key; an absent key has version, create and mod 0, and value ``""``."""

    key: str
    target: Literal["version", "create", "mod", "value"]
    relation: Literal["=", "!=", "<", ">"]
    operand: int | str


Op = Put | DeleteRange | Range


@dataclass(frozen=True, slots=True)
class Txn:
    """Run *success* when all *compares* hold and *failure* otherwise, in one revision."""

    compares: tuple[Compare, ...] = ()
    success: tuple[Op, ...] = ()
    failure: tuple[Op, ...] = ()


@dataclass(frozen=True, slots=True)
class Compact:
    """Forget what no read at *revision* or later can see."""

    revision: int


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """Begin *lease*, which lives *ttl* seconds beyond its last keepalive."""

    lease: int
    ttl: float


@dataclass(frozen=True, slots=True)
class LeaseRevoke:
    """End *lease* and delete its keys; *expired* tells the clock's decision from a client's."""

    lease: int
    expired: bool = False


Command = Put | DeleteRange | Txn | Compact | LeaseGrant | LeaseRevoke


@dataclass(frozen=True, slots=True)
class PutResult:
    """The revision of the write, and the pair before it if that was asked for."""

    revision: int
    prev: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """How many keys were deleted; *revision* is that of the store afterwards."""

    revision: int
    deleted: int
    prev: tuple[KeyValue, ...] = ()


@dataclass(frozen=True, slots=True)
class RangeResult:
    """The pairs in key order; *count* is without the limit, *revision* that of the store."""

    revision: int
    kvs: tuple[KeyValue, ...]
    count: int


OpResult = PutResult | DeleteResult | RangeResult


@dataclass(frozen=True, slots=True)
class TxnResult:
    """Which branch ran (*succeeded*: the first), and one result for each of its operations."""

    revision: int
    succeeded: bool
    results: tuple[OpResult, ...]


@dataclass(frozen=True, slots=True)
class CompactResult:
    """The store's revision; what *versions* were forgotten is counted."""

    revision: int
    versions: int


@dataclass(frozen=True, slots=True)
class LeaseResult:
    """A lease as granted or kept alive; *ttl* in seconds."""

    revision: int
    lease: int
    ttl: float


@dataclass(frozen=True, slots=True)
class RevokeResult:
    """The keys that ended with the lease."""

    revision: int
    keys: tuple[str, ...]


Result = PutResult | DeleteResult | TxnResult | CompactResult | LeaseResult | RevokeResult
