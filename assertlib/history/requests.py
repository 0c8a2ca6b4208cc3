r"""
Requests to a store and its responses, as plain data.

Keys and values are text.  Ranges are half open and ordered by the keys' UTF-8 bytes, which is
the order of their code points.  An empty `end` stands for the single key, ``"\0"`` for no upper
bound.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

NO_END = "\0"
"""The `end` of a range without an upper bound, as in etcd."""


# -- any store -----------------------------------------------------------------------


# Unions are discriminated by `op` and `answer`: types with equal fields must not be confused.
@dataclass(frozen=True, slots=True)
class Get:
    """Read *key*; the response is a `Value`."""

    key: str
    op: Literal["get"] = "get"


@dataclass(frozen=True, slots=True)
class Put:
    """Write *value* under *key*, attached to *lease* unless that is 0."""

    key: str
    value: str
    lease: int = 0
    op: Literal["put"] = "put"


@dataclass(frozen=True, slots=True)
class Append:
    """Append *value* to the value of *key*."""

    key: str
    value: str
    op: Literal["append"] = "append"


@dataclass(frozen=True, slots=True)
class Swap:
    """Replace *expected* under *key* by *value*; None stands for a missing key."""

    key: str
    expected: str | None
    value: str
    op: Literal["swap"] = "swap"


@dataclass(frozen=True, slots=True)
class Value:
    """The response to a `Get`; None if the key does not exist."""

    value: str | None
    answer: Literal["value"] = "value"


@dataclass(frozen=True, slots=True)
class Done:
    """The response to a write without further data."""

    answer: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Swapped:
    """The response to a `Swap`: whether the key had the expected value."""

    succeeded: bool
    answer: Literal["swapped"] = "swapped"


# -- etcd-like stores ------------------------------------------------------------------


# A tuple sorts by key, its first field, and comparisons address the other fields by position.
class KeyValue(NamedTuple):
    """A key with its value, the revisions that created and last changed it, version and lease."""

    key: str
    value: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """
    The keys from *key* to *end*.

    Attributes:
        end: End of the range, as described in the module.
        revision: The revision to read at; 0 is the current one.
        limit: Maximum number of keys to return; 0 is unlimited.
        serializable: Whether a stale response is acceptable.
    """

    key: str
    end: str = ""
    revision: int = 0
    limit: int = 0
    serializable: bool = False
    op: Literal["range"] = "range"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the keys from *key* to *end*."""

    key: str
    end: str = ""
    op: Literal["delete"] = "delete"


@dataclass(frozen=True, slots=True)
class Compare:
    """
    A condition: *target* of every key from *key* to *end* has the *relation* to *operand*.

    If no key exists, revisions, version and lease compare as 0, and no comparison of values holds.
    Source: etcd server/etcdserver/apply.go, applyCompare.

    Raises:
        ValueError: A value is compared with a number, or another target with a text.
    """

    key: str
    target: Literal["value", "version", "create", "mod", "lease"]
    relation: Literal["=", "!=", "<", ">"]
    operand: int | str
    end: str = ""

    def __post_init__(self) -> None:
        # Rejected here, because the model would fail on the comparison later.
        if (self.target == "value") != isinstance(self.operand, str):
            raise ValueError(f"{self.target} cannot be compared with {self.operand!r}")


# The changes inside a transaction; unlike requests, they cannot be nested.
Change = Annotated[Range | Put | Delete, Field(discriminator="op")]


@dataclass(frozen=True, slots=True)
class Txn:
    """Apply *then* if all *compares* hold, else *otherwise*, atomically in one revision."""

    compares: tuple[Compare, ...]
    then: tuple[Change, ...]
    otherwise: tuple[Change, ...] = ()
    op: Literal["txn"] = "txn"


@dataclass(frozen=True, slots=True)
class Grant:
    """Create the lease with the id *lease* and a time to live of *ttl* seconds."""

    lease: int
    ttl: int
    op: Literal["grant"] = "grant"


@dataclass(frozen=True, slots=True)
class Revoke:
    """End *lease* and delete the keys attached to it."""

    lease: int
    op: Literal["revoke"] = "revoke"


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Renew *lease* for its time to live."""

    lease: int
    op: Literal["keep-alive"] = "keep-alive"


@dataclass(frozen=True, slots=True)
class Compact:
    """Discard values that were overwritten or deleted up to *revision*."""

    revision: int
    op: Literal["compact"] = "compact"


@dataclass(frozen=True, slots=True)
class Ranged:
    """
    The response to a `Range`.

    Attributes:
        revision: The store's revision at the time of the read.
        kvs: The pairs in the range, up to the limit.
        count: Number of pairs in the range, regardless of the limit.
    """

    revision: int
    kvs: tuple[KeyValue, ...]
    count: int
    answer: Literal["ranged"] = "ranged"


@dataclass(frozen=True, slots=True)
class Deleted:
    """The result of a `Delete` inside a `Txn`: the number of deleted keys."""

    count: int
    answer: Literal["deleted"] = "deleted"


Result = Annotated[Ranged | Deleted | Done, Field(discriminator="answer")]


@dataclass(frozen=True, slots=True)
class Committed:
    """
    The response to a `Put`, a `Delete` or a `Txn`.

    Attributes:
        revision: The store's revision immediately afterwards.
        succeeded: Whether all comparisons held.
        results: One result for each change of the branch that was taken.
    """

    revision: int
    succeeded: bool = True
    results: tuple[Result, ...] = ()
    answer: Literal["committed"] = "committed"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The response to requests on leases and to compactions: the store's *revision*."""

    revision: int
    answer: Literal["acknowledged"] = "acknowledged"


Reason = Literal["lease-not-found", "lease-exists", "compacted", "future-revision"]


@dataclass(frozen=True, slots=True)
class Refused:
    """The store rejected the request, for a *reason* that depends on its state."""

    reason: Reason
    answer: Literal["refused"] = "refused"


# A watch is not a request here: it has no single response and is recorded apart.
Request = Annotated[
    Get | Put | Append | Swap | Range | Delete | Txn | Grant | Revoke | KeepAlive | Compact,
    Field(discriminator="op"),
]
Response = Annotated[
    Value | Done | Swapped | Ranged | Committed | Acknowledged | Refused,
    Field(discriminator="answer"),
]


# -- watches ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """
    Watch the keys from *key* to *end*.

    Attributes:
        end: End of the range, as described in the module.
        revision: The first revision to deliver; 0 starts with the next one.
        prev_kv: Whether events should include the previous pair.
        progress_notify: Whether to send progress notifications.
        filters: Kinds of events to omit.
    """

    key: str
    end: str = ""
    revision: int = 0
    prev_kv: bool = False
    progress_notify: bool = False
    filters: tuple[Literal["put", "delete"], ...] = ()


class Event(NamedTuple):
    """
    One change of one key.

    Attributes:
        kv: The new pair; for a deletion, only its key and revision.
        previous: The replaced pair, if it was requested and is not compacted away.
    """

    kind: Literal["put", "delete"]
    kv: KeyValue
    previous: KeyValue | None = None

    @property
    def is_create(self) -> bool:
        """Whether the event claims that the key did not exist before."""
        # Derived, because events of etcd have no field for it.
        return self.kind == "put" and self.kv.version == 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One delivery to a watch.

    Attributes:
        revision: The store's revision in the delivery.
        events: The events; a delivery without any may be a progress notification.
        cancelled: Whether the store ended the watch.
        compacted: If the watch was cancelled because its start was compacted away, the first
            revision that is still available; otherwise 0.
        created: Whether the delivery confirms the creation of the watch.
    """

    revision: int
    events: tuple[Event, ...] = ()
    cancelled: bool = False
    compacted: int = 0
    created: bool = False


def covers(key: str, end: str, other: str) -> bool:
    """Whether *other* is in the range from *key* to *end*."""
    if not end:
        return other == key
    # Python compares text by code points, which orders it like its UTF-8 bytes.
    return key <= other and (end == NO_END or other < end)


def written(request: Request) -> set[str]:
    """Return the values that *request* may write."""
    # Both branches of a transaction count: which one was taken may be unknown.
    match request:
        case Put(_, value) | Append(_, value) | Swap(_, _, value):
            return {value}
        case Txn(_, then, otherwise):
            return {each.value for each in (*then, *otherwise) if isinstance(each, Put)}
    return set()


def expected(request: Request) -> set[str]:
    """Return the values that *request* compares with."""
    match request:
        case Swap(_, str() as value, _):
            return {value}
        case Txn(compares):
            # Operands of any other target are numbers.
            return {each.operand for each in compares if isinstance(each.operand, str)}
    return set()


def shown(response: Response | None) -> Iterator[KeyValue]:
    """Yield the pairs contained in *response*."""
    match response:
        case Ranged(_, kvs):
            yield from kvs
        case Committed(_, _, results):
            for each in results:
                if isinstance(each, Ranged):
                    yield from each.kvs


def seen(response: Response | None) -> set[str]:
    """Return the values contained in *response*."""
    if isinstance(response, Value):
        return set() if response.value is None else {response.value}
    return {kv.value for kv in shown(response)}


def prefix_end(prefix: str) -> str:
    """Return the `end` of the range of all keys that begin with *prefix*."""
    # No character follows the last one, so a prefix that ends in it ends with the one before.
    rest = prefix.rstrip(_LAST_CHARACTER)
    return rest[:-1] + _next_character(rest[-1]) if rest else NO_END


_LAST_CHARACTER = chr(sys.maxunicode)


def _next_character(character: str) -> str:
    # The surrogates in between are no characters: UTF-8 cannot encode them.
    return "\ue000" if character == "\ud7ff" else chr(ord(character) + 1)
