"""
A client that says what it does not know.

A mutation is sent at most once.  If the answer does not come, the caller gets `OutcomeUnknownError`
and decides; the client never sends the request again by itself.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TypeVar

from assertlib import Invariant

from .errors import BadRequestError, ConnectionLostError, KvError, OutcomeUnknownError, refusal
from .model import (
    Command,
    Compact,
    CompactResult,
    Compare,
    DeleteRange,
    DeleteResult,
    KeyRange,
    LeaseGrant,
    LeaseResult,
    LeaseRevoke,
    Op,
    Put,
    PutResult,
    Range,
    RangeResult,
    RevokeResult,
    Txn,
    TxnResult,
)
from .store import Status
from .watch import WatchResponse, WatchSpec
from .wire import (
    Answer,
    CancelWatch,
    GetStatus,
    KeepAlive,
    Question,
    Refusal,
    Request,
    RequestProgress,
    Response,
    Watching,
    frame,
    read_message,
)

__all__ = ["Client", "Watch"]

_KEEPALIVE = {
    "TCP_KEEPIDLE": 1,
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 3000,
}
"""
Seconds until a probe of a silent server, seconds between probes, and probes; milliseconds until
requests that nothing confirms are given up.
"""

NO_RETRY = Invariant("kv.no-silent-retry")
AMBIGUOUS = Invariant("kv.ambiguous-all-or-nothing")

_sent_once = NO_RETRY.declare_always("an answer belongs to a request that is waiting for one")
_unknown = AMBIGUOUS.declare_sometimes("a mutation remains unanswered")

A = TypeVar("A")


class Watch:
    """
    The responses of one watch, in order; iterate over it.

    The iteration ends after the response that says the watch is cancelled.
    """

    def __init__(self, client: "Client", watch: int, queue: "_Responses") -> None:
        self.watch = watch
        self._client = client
        self._queue = queue

    async def __aiter__(self) -> AsyncIterator[WatchResponse]:
        while True:
            response = await self._queue.get()
            if response is None:
                raise ConnectionLostError("the watch ended with its connection")
            yield response
            if response.cancelled:
                return

    async def request_progress(self) -> None:
        """Ask for a bookmark."""
        await self._client.call(RequestProgress(self.watch), Watching)

    async def cancel(self) -> None:
        """Ask the server to end the watch."""
        await self._client.call(CancelWatch(self.watch), Watching)


_Responses = asyncio.Queue[WatchResponse | None]


class Client:
    """
    One connection to a server; use `connect`.

    Every call raises the `KvError` that the server answered with, `ConnectionLostError` when the
    request was not sent or only reads, and `OutcomeUnknownError` when a mutation may have happened.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last_id = 0
        self._waiting: dict[int, tuple[Question, asyncio.Future[Answer]]] = {}
        self._watches: dict[int, _Responses] = {}
        self._is_lost = False
        self._receiver = asyncio.create_task(self._receive())

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> "Client":
        """
        Connect to a server; a server that disappears is noticed within a few seconds.

        Raises:
            OSError: Nobody answers there.
        """
        reader, writer = await asyncio.open_connection(host, port)
        link = writer.get_extra_info("socket")
        # A server that lost power sends nothing, and a watch may never send anything to it.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            # Not every system has all of them.
            if hasattr(socket, option):
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return cls(reader, writer)

    async def put(self, key: str, value: str, lease: int = 0, prev_kv: bool = False) -> PutResult:
        """Write *key*."""
        return await self.call(Put(key, value, lease, prev_kv), PutResult)

    async def delete(self, span: KeyRange, prev_kv: bool = False) -> DeleteResult:
        """Delete the keys of *span*."""
        return await self.call(DeleteRange(span, prev_kv), DeleteResult)

    async def range(self, span: KeyRange, revision: int = 0, limit: int = 0) -> RangeResult:
        """Read the keys of *span*."""
        return await self.call(Range(span, revision, limit), RangeResult)

    async def txn(
        self,
        compares: tuple[Compare, ...],
        success: tuple[Op, ...],
        failure: tuple[Op, ...] = (),
    ) -> TxnResult:
        """Compare and then run one of two branches, in one revision."""
        return await self.call(Txn(compares, success, failure), TxnResult)

    async def compact(self, revision: int) -> CompactResult:
        """Forget what only reads below *revision* can see."""
        return await self.call(Compact(revision), CompactResult)

    async def grant(self, ttl: float, lease: int = 0) -> LeaseResult:
        """Begin a lease of *ttl* seconds; its id is the server's choice when *lease* is 0."""
        return await self.call(LeaseGrant(lease, ttl), LeaseResult)

    async def revoke(self, lease: int) -> RevokeResult:
        """End *lease* and delete its keys."""
        return await self.call(LeaseRevoke(lease), RevokeResult)

    async def keep_alive(self, lease: int) -> LeaseResult:
        """Let *lease* live its ttl from now on."""
        return await self.call(KeepAlive(lease), LeaseResult)

    async def status(self) -> Status:
        """Where the store stands."""
        return await self.call(GetStatus(), Status)

    async def watch(self, spec: WatchSpec) -> Watch:
        """Begin a watch."""
        watching = await self.call(spec, Watching)
        return Watch(self, watching.watch, self._watches[watching.watch])

    async def close(self) -> None:
        """Hang up; calls that wait for an answer fail."""
        self._receiver.cancel()
        await asyncio.gather(self._receiver, return_exceptions=True)
        self._writer.close()

    async def call(self, question: Question, expected: type[A]) -> A:
        """Send *question* once and wait for its answer, which must be an *expected*."""
        if self._is_lost:
            raise ConnectionLostError("not sent: the connection is gone")
        self._last_id += 1
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[self._last_id] = (question, future)
        self._writer.write(frame(Request(self._last_id, question)))
        answer = await future
        if isinstance(answer, Refusal):
            raise refusal(answer.code, answer.message)
        if not isinstance(answer, expected):
            raise BadRequestError(f"{type(answer).__name__} in answer to {question!r}")
        return answer

    async def _receive(self) -> None:
        try:
            while True:
                self._dispatch(await read_message(self._reader))
        except (asyncio.IncompleteReadError, OSError, KvError):
            pass
        finally:
            self._lose()

    def _dispatch(self, message: object) -> None:
        match message:
            case Response(number, answer):
                known = number in self._waiting
                _sent_once(known, lambda: {"response": message})
                if known:
                    self._resolve(number, answer)
            case WatchResponse(watch):
                self._queue_of(watch).put_nowait(message)

    def _resolve(self, number: int, answer: Answer) -> None:
        _, future = self._waiting.pop(number)
        if isinstance(answer, Watching):
            self._queue_of(answer.watch)
        if not future.done():
            future.set_result(answer)

    def _queue_of(self, watch: int) -> _Responses:
        return self._watches.setdefault(watch, asyncio.Queue())

    def _lose(self) -> None:
        self._is_lost = True
        for question, future in self._waiting.values():
            mutates = isinstance(question, Command)
            _unknown(mutates)
            if not future.done():
                future.set_exception(_loss(mutates))
        self._waiting.clear()
        for queue in self._watches.values():
            queue.put_nowait(None)


def _loss(mutates: bool) -> KvError:
    if mutates:
        return OutcomeUnknownError("the connection was closed before the answer arrived")
    return ConnectionLostError("the connection was closed before the answer arrived")
