"""The store behind a TCP port of this machine."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

from .errors import BadRequestError, KvError
from .model import (
    Command,
    Compact,
    DeleteRange,
    LeaseGrant,
    LeaseRevoke,
    Put,
    Range,
    Txn,
)
from .store import Store
from .watch import Watcher, WatchSpec
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

__all__ = ["Server"]

HOST = "127.0.0.1"

_ID_BITS = 20
"""Of the id of a lease, those that are random."""

_HANG_UPS = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError, BadRequestError)


class Server:
    """
    Answers the clients of one store.

    Args:
        rng: Chooses the ids of leases.
        tick: Seconds between two looks at the leases.
    """

    def __init__(self, store: Store, rng: random.Random, tick: float = 0.05) -> None:
        self._store = store
        self._rng = rng
        self._tick = tick
        self._connections: set[asyncio.Task[None]] = set()
        self._promised: set[int] = set()

    async def run(self, port: int, started: asyncio.Future[int], stop: asyncio.Event) -> None:
        """
        Serve until *stop* is set or the disk fails.

        Args:
            port: 0 for any free one.
            started: Receives the port once clients can connect.
            stop: Ends the service from outside.
        """
        listener = await asyncio.start_server(self._connected, HOST, port)
        async with listener:
            started.set_result(int(listener.sockets[0].getsockname()[1]))
            while not (stop.is_set() or self._store.has_failed):
                await _wait(stop, self._tick)
                self._store.expire_leases()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._store.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        connection = _Connection(self._store, self._rng, self._promised, writer)
        try:
            await connection.serve(reader)
        except _HANG_UPS:
            pass
        finally:
            connection.close()
            self._connections.discard(task)


class _Connection:
    """
    One client: its requests in flight and its watches.

    Args:
        promised: The ids of leases that are on their way to the log, of all connections.
    """

    def __init__(
        self,
        store: Store,
        rng: random.Random,
        promised: set[int],
        writer: asyncio.StreamWriter,
    ) -> None:
        self._store = store
        self._rng = rng
        self._promised = promised
        self._writer = writer
        self._ready = asyncio.Event()
        self._watchers: dict[int, Watcher] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer requests, each in a task of its own, until the client is gone."""
        self._spawn(asyncio.create_task(self._pump_watches()))
        while True:
            message = await read_message(reader)
            if not isinstance(message, Request):
                raise BadRequestError(f"not a request: {message!r}")
            self._spawn(asyncio.create_task(self._answer(message)))

    def close(self) -> None:
        """Stop what still runs for the client."""
        for watcher in self._watchers.values():
            self._store.watches.cancel(watcher.watch)
        for task in self._tasks:
            task.cancel()
        self._writer.close()

    def _spawn(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._carry_out(request.body)
        except KvError as error:
            answer = Refusal(error.code, str(error))
        await self._send(frame(Response(request.id, answer)))

    async def _carry_out(self, question: Question) -> Answer:
        match question:
            case LeaseGrant(lease=0):
                return await self._grant(question)
            case Put() | DeleteRange() | Txn() | Compact() | LeaseGrant() | LeaseRevoke():
                return await self._store.propose(self._settle(question))
            case Range():
                return self._store.range(question)
            case KeepAlive(lease):
                return self._store.keep_alive(lease)
            case WatchSpec():
                return self._watch(question)
            case CancelWatch(watch):
                if watch in self._watchers:
                    self._store.watches.cancel(watch)
                return Watching(watch)
            case RequestProgress(watch):
                if watch in self._watchers:
                    self._store.watches.request_progress(watch)
                return Watching(watch)
            case GetStatus():
                return self._store.status()

    def _settle(self, command: Command) -> Command:
        """Decide, before *command* is logged, what is the server's to decide."""
        return replace(command, expired=False) if isinstance(command, LeaseRevoke) else command

    async def _grant(self, grant: LeaseGrant) -> Answer:
        lease = self._free_lease()
        self._promised.add(lease)
        try:
            return await self._store.propose(replace(grant, lease=lease))
        finally:
            self._promised.discard(lease)

    def _free_lease(self) -> int:
        """An id that no lease has or had: the log has grown since one that is gone was granted."""
        taken = self._store.leases | self._promised
        first = (self._store.applied_index + 1) << _ID_BITS
        while True:
            lease = first + self._rng.randrange(1 << _ID_BITS)
            if lease not in taken:
                return lease

    def _watch(self, spec: WatchSpec) -> Watching:
        watcher = self._store.watch(spec, self._ready.set)
        self._watchers[watcher.watch] = watcher
        return Watching(watcher.watch)

    async def _pump_watches(self) -> None:
        """Send what watches have queued; a client that does not read stops it here."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            for watcher in tuple(self._watchers.values()):
                await self._pump(watcher)

    async def _pump(self, watcher: Watcher) -> None:
        while taken := watcher.take():
            await self._send(b"".join(frame(response) for response in taken))
            if taken[-1].cancelled:
                del self._watchers[watcher.watch]
            self._store.watches.serve(watcher)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        # Whoever reads finds the connection broken, too, and ends all that runs for the client.
        with suppress(ConnectionError):
            await self._writer.drain()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
