"""
What client and server say to each other: frames of JSON, each behind its length in four bytes.

The client sends a `Request` and gets the `Response` of the same id, in any order; a
`WatchResponse` comes unasked.
"""

import asyncio
import struct
from dataclasses import dataclass

from . import model
from .codec import Codec
from .errors import BadRequestError
from .store import Status
from .watch import WatchResponse, WatchSpec

__all__ = [
    "Answer",
    "CancelWatch",
    "GetStatus",
    "KeepAlive",
    "Question",
    "Refusal",
    "Request",
    "RequestProgress",
    "Response",
    "Watching",
    "frame",
    "read_message",
]

LONGEST_FRAME = 16 * 1024 * 1024
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Let *lease* live its ttl from now on."""

    lease: int


@dataclass(frozen=True, slots=True)
class CancelWatch:
    """Send no more on *watch*."""

    watch: int


@dataclass(frozen=True, slots=True)
class RequestProgress:
    """Send a bookmark on *watch* once it is in sync."""

    watch: int


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Ask where the store stands."""


@dataclass(frozen=True, slots=True)
class Watching:
    """The id of the new watch, or of the one that was spoken of."""

    watch: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no result; *code* is that of a `KvError`."""

    code: str
    message: str


Question = (
    model.Command | model.Range | WatchSpec | KeepAlive | CancelWatch | RequestProgress | GetStatus
)
Answer = model.Result | model.RangeResult | Status | Watching | Refusal


@dataclass(frozen=True, slots=True)
class Request:
    """One question of a client; *id* is the client's to choose."""

    id: int
    body: Question


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the request of the same *id*."""

    id: int
    body: Answer


Message = Request | Response | WatchResponse

_CODEC = Codec(
    Request,
    Response,
    Refusal,
    KeepAlive,
    CancelWatch,
    RequestProgress,
    GetStatus,
    Watching,
    WatchSpec,
    WatchResponse,
    Status,
    model.KeyRange,
    model.KeyValue,
    model.Event,
    model.Put,
    model.DeleteRange,
    model.Range,
    model.Compare,
    model.Txn,
    model.Compact,
    model.LeaseGrant,
    model.LeaseRevoke,
    model.PutResult,
    model.DeleteResult,
    model.RangeResult,
    model.TxnResult,
    model.CompactResult,
    model.LeaseResult,
    model.RevokeResult,
)


def frame(message: Message) -> bytes:
    """*message* as it goes over the wire."""
    payload = _CODEC.encode(message)
    return _LENGTH.pack(len(payload)) + payload


async def read_message(reader: asyncio.StreamReader) -> object:
    """
    The next message.

    Raises:
        IncompleteReadError: The other side has closed the connection.
        BadRequestError: What came is no message.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > LONGEST_FRAME:
        raise BadRequestError(f"a frame of {length} bytes")
    return _CODEC.decode(await reader.readexactly(length))
