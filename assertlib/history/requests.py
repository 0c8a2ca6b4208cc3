r"""
Requests to a store and its responses, as plain data.

Keys and values are text; ranges are half open, in the order of the keys' UTF-8 bytes, which
is that of their code points.  An empty `end` means the one key, ``"\0"`` everything from it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

NO_END = "\0"


# -- of any store --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Get:
    """What is under *key*?  Answered by a `Value`."""

    key: str
    op: Literal["get"] = "get"


@dataclass(frozen=True, slots=True)
class Put:
    """Let *value* be under *key*, on *lease* if it is not 0."""

    key: str
    value: str
    lease: int = 0
    op: Literal["put"] = "put"


@dataclass(frozen=True, slots=True)
class Append:
    """Add *value* to what is under *key*."""

    key: str
    value: str
    op: Literal["append"] = "append"


@dataclass(frozen=True, slots=True)
class Swap:
    """Replace *expected* by *value* under *key*; None is a key that does not exist."""

    key: str
    expected: str | None
    value: str
    op: Literal["swap"] = "swap"


@dataclass(frozen=True, slots=True)
class Value:
    """The answer to a `Get`; None if there is no such key."""

    value: str | None
    answer: Literal["value"] = "value"


@dataclass(frozen=True, slots=True)
class Done:
    """The response to a write without further data."""

    answer: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Swapped:
    """The answer to a `Swap`: whether the expected value was there."""

    succeeded: bool
    answer: Literal["swapped"] = "swapped"


# -- of an etcd-like store -------------------------------------------------------------


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
        revision: As of which revision; 0 is now.
        limit: At most so many of them; 0 is all.
        serializable: Whether a stale answer will do.
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
    Whether *target* of each key from *key* to *end* stands in *relation* to *operand*.

    Where there is no key, revision, version and lease are 0, and no comparison of values holds.
    Source: etcd server/etcdserver/apply.go, applyCompare.
    """

    key: str
    target: Literal["value", "version", "create", "mod", "lease"]
    relation: Literal["=", "!=", "<", ">"]
    operand: int | str
    end: str = ""

    def __post_init__(self) -> None:
        if (self.target == "value") != isinstance(self.operand, str):
            raise ValueError(f"{self.target} cannot be compared with {self.operand!r}")


Change = Annotated[Range | Put | Delete, Field(discriminator="op")]


@dataclass(frozen=True, slots=True)
class Txn:
    """*then* if all *compares* hold, else *otherwise*; at once, as one revision."""

    compares: tuple[Compare, ...]
    then: tuple[Change, ...]
    otherwise: tuple[Change, ...] = ()
    op: Literal["txn"] = "txn"


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease of *ttl* seconds under the number *lease*."""

    lease: int
    ttl: int
    op: Literal["grant"] = "grant"


@dataclass(frozen=True, slots=True)
class Revoke:
    """End *lease* and delete its keys."""

    lease: int
    op: Literal["revoke"] = "revoke"


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Let *lease* live its ttl from now on."""

    lease: int
    op: Literal["keep-alive"] = "keep-alive"


@dataclass(frozen=True, slots=True)
class Compact:
    """Forget what was overwritten or deleted up to *revision*."""

    revision: int
    op: Literal["compact"] = "compact"


@dataclass(frozen=True, slots=True)
class Ranged:
    """The answer to a `Range`: what was found and how many there are, at which *revision*."""

    revision: int
    kvs: tuple[KeyValue, ...]
    count: int
    answer: Literal["ranged"] = "ranged"


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a `Delete` inside a `Txn` did."""

    count: int
    answer: Literal["deleted"] = "deleted"


Result = Annotated[Ranged | Deleted | Done, Field(discriminator="answer")]


@dataclass(frozen=True, slots=True)
class Committed:
    """
    The answer to a `Put`, a `Delete` or a `Txn`.

    Attributes:
        revision: The store's revision right after it.
        results: One for each change of the branch that was taken.
    """

    revision: int
    succeeded: bool = True
    results: tuple[Result, ...] = ()
    answer: Literal["committed"] = "committed"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The answer to anything about leases and compaction, at which *revision*."""

    revision: int
    answer: Literal["acknowledged"] = "acknowledged"


Reason = Literal["lease-not-found", "lease-exists", "compacted", "future-revision"]


@dataclass(frozen=True, slots=True)
class Refused:
    """The store rejected the request, for a *reason* that depends on its state."""

    reason: Reason
    answer: Literal["refused"] = "refused"


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
        revision: From which revision on; 0 is from now.
        filters: Kinds of events that are not wanted.
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
        kv: For a deletion, key and revision of it alone.
        previous: The pair it replaced, where it was asked for and is still known.
    """

    kind: Literal["put", "delete"]
    kv: KeyValue
    previous: KeyValue | None = None

    @property
    def is_create(self) -> bool:
        """Whether the event itself claims that the key did not exist before."""
        return self.kind == "put" and self.kv.version == 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One delivery to a watch.

    Attributes:
        revision: The store's revision that it came with.
        events: None of them makes it a progress notification.
        compacted: For a watch that was cancelled because its start is gone: the revision that
            it could start at.
    """

    revision: int
    events: tuple[Event, ...] = ()
    cancelled: bool = False
    compacted: int = 0
    created: bool = False


def covers(key: str, end: str, other: str) -> bool:
    """Whether *other* is a key from *key* to *end*."""
    if not end:
        return other == key
    return key <= other and (end == NO_END or other < end)


def written(request: Request) -> set[str]:
    """The values that *request* may write."""
    match request:
        case Put(_, value) | Append(_, value) | Swap(_, _, value):
            return {value}
        case Txn(_, then, otherwise):
            return {each.value for each in (*then, *otherwise) if isinstance(each, Put)}
    return set()


def expected(request: Request) -> set[str]:
    """The values that *request* makes a condition of."""
    match request:
        case Swap(_, str() as value, _):
            return {value}
        case Txn(compares):
            return {each.operand for each in compares if isinstance(each.operand, str)}
    return set()


def shown(response: Response | None) -> Iterator[KeyValue]:
    """The pairs that *response* shows."""
    match response:
        case Ranged(_, kvs):
            yield from kvs
        case Committed(_, _, results):
            for each in results:
                if isinstance(each, Ranged):
                    yield from each.kvs


def seen(response: Response | None) -> set[str]:
    """The values that *response* shows."""
    if isinstance(response, Value):
        return set() if response.value is None else {response.value}
    return {kv.value for kv in shown(response)}


def prefix_end(prefix: str) -> str:
    """The `end` of the range of all keys that begin with *prefix*."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else NO_END
