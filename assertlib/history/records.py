"""
The lines of a history file: one JSON object each, in the order in which events were observed.

A call is written before its request is sent, so an operation without a return record has an
unknown outcome.  Times are nanoseconds since the start of the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ..errors import DataError
from .operations import ClientId, Outcome
from .requests import Delivery, Event, Request, Response, Watch

SCHEMA = 1
LATEST = 2**63 - 1
"""The latest valid time, in nanoseconds: about 292 years."""


@dataclass(frozen=True, slots=True)
class Header:
    """
    The first line.

    Attributes:
        model: Name of the model the store is validated against.
        about: Parameters of the campaign: store, version, members, traffic, seed.
        started: Start time, in seconds since 1970.
    """

    model: str
    about: dict[str, str | int | float] = field(default_factory=dict)
    started: float = 0.0
    schema: int = SCHEMA
    type: Literal["history"] = "history"


@dataclass(frozen=True, slots=True)
class Call:
    """A request is about to be sent."""

    id: int
    client: ClientId
    time: int
    request: Request
    endpoint: str = ""
    type: Literal["call"] = "call"


@dataclass(frozen=True, slots=True)
class Return:
    """The operation *id* ended."""

    id: int
    time: int
    outcome: Outcome
    response: Response | None = None
    error: str = ""
    type: Literal["return"] = "return"


@dataclass(frozen=True, slots=True)
class WatchOpened:
    """A watch is about to be requested."""

    watch: int
    client: ClientId
    time: int
    request: Watch
    endpoint: str = ""
    type: Literal["watch"] = "watch"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery to the watch."""

    watch: int
    time: int
    delivery: Delivery
    type: Literal["delivery"] = "delivery"


@dataclass(frozen=True, slots=True)
class WatchClosed:
    """The watch ended, closed by its client or because of *error*."""

    watch: int
    time: int
    error: str = ""
    type: Literal["watch-closed"] = "watch-closed"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A fault begins or ends.

    Attributes:
        targets: The affected members.
        breaks: IDs of the assumptions it breaks, as in the catalog.
        effect: Size of the measured effect, in the end record; 0 if none was measured.
        measured: The quantity that was counted, or why there was no effect.
    """

    time: int
    name: str
    phase: Literal["begin", "end"]
    targets: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    effect: int = 0
    measured: str = ""
    type: Literal["fault"] = "fault"


@dataclass(frozen=True, slots=True)
class Hashed:
    """
    A hash that a member reported for its data.

    Attributes:
        group: Number of the comparison; hashes of one group were taken while nothing was written
            and must be equal.
        revision: The revision of the hashed data.
        compacted: The revision of the member's last compaction; -1 if there was none.
    """

    time: int
    group: int
    member: str
    revision: int
    compacted: int
    hash: int
    type: Literal["hash"] = "hash"


@dataclass(frozen=True, slots=True)
class Found:
    """The changes of *revision*: *member* was read at that revision and at the previous one."""

    time: int
    revision: int
    events: tuple[Event, ...]
    member: str = ""
    type: Literal["found"] = "found"


@dataclass(frozen=True, slots=True)
class Note:
    """Any other information about the run, as *name* and *details*."""

    time: int
    name: str
    details: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    type: Literal["note"] = "note"


# The discriminator selects one type, so that an error concerns that type instead of all ten.
Record = Annotated[
    Header | Call | Return | WatchOpened | Delivered | WatchClosed | Fault | Hashed | Found | Note,
    Field(discriminator="type"),
]

_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


class HistoryError(DataError, ValueError):
    """A history file is invalid; the message names file, line and problem."""


def line(record: Record) -> bytes:
    """Serialize *record* as a line, including the line break."""
    # Defaults are written as well: `type`, which identifies the record, is one of them.
    return _RECORD.dump_json(record, exclude_defaults=False) + b"\n"


def read_records(lines: Iterable[bytes], name: str) -> Iterator[Record]:
    """
    Parse *lines* of the file *name* one by one.

    An incomplete last line was cut off when its writer was killed, and is ignored.

    Raises:
        HistoryError: The file is empty or has a newer schema, or a line is not a valid record.
    """
    number = 0
    # One by one: a history need not fit into memory as lines and records at once.
    for number, text in enumerate(lines, 1):
        try:
            record = _RECORD.validate_json(text)
        except ValidationError as error:
            # Only the last line can lack its line break.  If it is valid JSON it was written
            # completely, so that it is an error like any other.
            if not text.endswith(b"\n") and _is_cut(error):
                continue
            raise HistoryError(f"{name}:{number}: not a history record: {_first(error)}") from None
        if isinstance(record, Header) and record.schema != SCHEMA:
            raise HistoryError(
                f"{name}:{number}: schema {record.schema}, but this version of assertlib reads"
                f" {SCHEMA}; update assertlib"
            )
        # A second header means that files were concatenated: numbers and times would collide.
        if (number == 1) != isinstance(record, Header):
            raise HistoryError(f"{name}:{number}: the first line, and no other, must be the header")
        # Integers in JSON have no bounds, so a damaged or hostile line may hold any number.
        if not isinstance(record, Header) and not 0 <= record.time <= LATEST:
            raise HistoryError(
                f"{name}:{number}: time {record.time}: times must be nanoseconds since the history"
                f" began, from 0 to {LATEST}"
            )
        yield record
    if not number:
        raise HistoryError(f"{name}: the file is empty")


def _is_cut(error: ValidationError) -> bool:
    """Whether the text is not valid JSON; a proper prefix of an object never is."""
    return error.errors(include_url=False)[0]["type"] == "json_invalid"


def _first(error: ValidationError) -> str:
    # One problem is enough: a value of the wrong type can cause an error for each of its parts.
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
