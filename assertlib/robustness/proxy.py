"""
A proxy between processes of this machine, which degrades their network without root.

Each process is reached through a port of the proxy.  The kernel's socket table identifies the
caller, so traffic can be degraded by sender and receiver, independently in each direction.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Self

_CHUNK = 65_536
# SO_LINGER with a timeout of 0 s: closing the socket sends a reset and discards buffered data.
_AT_ONCE = struct.pack("ii", 1, 0)
_WAITING = 64
"""Chunks in transit in each direction of a connection, after which its sender is not read."""
RETRANSMIT = 0.2
"""Seconds by which a lost packet delays those behind it: the minimum timeout of Linux."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    The treatment of bytes in one direction.

    Attributes:
        delay: Delay in seconds.
        jitter: Maximum deviation from the delay, in seconds.
        loss: Share of packets that are lost and retransmitted, which delays those behind them.
        is_cut: Whether bytes wait until the link is restored.
        is_lost: Whether bytes are dropped; the connection breaks when the link is restored.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    is_cut: bool = False
    is_lost: bool = False


WHOLE = Rule()
CUT = Rule(is_cut=True)
BLACKHOLE = Rule(is_lost=True)

Way = tuple[str, str]
"""One direction of traffic: names of the sender and of the receiver."""
UNKNOWN = "?"
"""Name of a caller that is none of the processes."""


@dataclass(frozen=True, slots=True)
class Route:
    """The route to the process *name*: from *port* of the proxy to 127.0.0.1:*target*."""

    name: str
    port: int
    target: int


class Network:
    """
    Connections between processes, with a rule for each direction.

    A context manager, which listens on the ports of all routes, and breaks all connections at the
    end.

    Args:
        routes: The routes to the processes.
        pids: Returns the current process IDs of each caller, by its name.
        rng: Source of jitter and loss.

    Attributes:
        carried: Number of bytes received on each way; a caller that is not in *pids* is `UNKNOWN`.
        affected: Number of these bytes that a rule held up, delayed or dropped.
        waiting: Number of new connections that a rule held up.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        pids: Callable[[], Mapping[str, Collection[int]]],
        rng: random.Random,
    ) -> None:
        self.carried: Counter[Way] = Counter()
        self.affected: Counter[Way] = Counter()
        self.waiting: Counter[Way] = Counter()
        self._routes = list(routes)
        self._pids = pids
        self._known: Mapping[str, Collection[int]] = {}
        self._rng = rng
        self._rules: dict[Way, Rule] = {}
        self._changed = asyncio.Condition()
        self._servers: list[asyncio.Server] = []
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        try:
            for route in self._routes:
                self._servers.append(
                    await asyncio.start_server(self._accepting(route), "127.0.0.1", route.port)
                )
        except BaseException:
            # Without a context that was entered, `__aexit__` is not called.
            await self._stop_listening()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_closed = True
        await self._stop_listening()
        for connection in list(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _stop_listening(self) -> None:
        loop = asyncio.get_running_loop()
        for each in chain.from_iterable(server.sockets for server in self._servers):
            loop.remove_reader(each.fileno())
        # A connection that was already accepted gets its transport in the next iteration of the
        # loop.  asyncio leaks its socket if the server is closed by then (3.11).
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()

    def rule(self, way: Way) -> Rule:
        """Return the rule in force from ``way[0]`` to ``way[1]``."""
        return self._rules.get(way, WHOLE)

    async def set(self, ways: Iterable[Way], rule: Rule) -> None:
        """Apply *rule* to existing and new connections on *ways*."""
        for way in ways:
            before = self._rules.get(way, WHOLE)
            self._rules[way] = rule
            # The streams lack the dropped bytes, so nothing that is sent later can make sense.
            if before.is_lost and not rule.is_lost:
                self._abort(way)
        async with self._changed:
            self._changed.notify_all()

    def reset(self, name: str) -> int:
        """Break all connections of the process *name*, and return their number."""
        broken = [each for each in self._connections if name in each.ways[0]]
        for connection in broken:
            connection.abort()
        return len(broken)

    def why_idle(self, ways: Sequence[Way]) -> str:
        """Return why a rule on *ways* had no effect."""
        if not self.carried:
            return "no bytes passed through the proxy; does the adapter use peer_address?"
        # Unknown callers explain it only if no member was identified on these ways.
        called = {to for caller, to in self.carried if caller == UNKNOWN}
        if not any(self.carried[way] for way in ways) and called:
            return f"connections to {', '.join(sorted(called))} came from processes that belong to no member"
        return "the members exchanged nothing while it lasted"

    def _abort(self, way: Way) -> None:
        for connection in list(self._connections):
            if way in connection.ways:
                connection.abort()

    def late(self, way: Way, size: int) -> float | None:
        """Count *size* bytes on *way*; return their delay in seconds, or None if they are lost."""
        rule = self.rule(way)
        delay = self.delay(way)
        self.carried[way] += size
        # Counted on arrival, so bytes behind a cut are in the effect although they wait.
        if rule.is_cut or rule.is_lost or delay:
            self.affected[way] += size
        return None if rule.is_lost else delay

    async def passable(self, way: Way) -> None:
        """Wait until *way* is not cut."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.rule(way).is_cut)

    async def restored(self, way: Way) -> None:
        """Wait until nothing that is sent on *way* is held up or dropped."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: not (self.rule(way).is_cut or self.rule(way).is_lost)
            )

    def delay(self, way: Way) -> float:
        """Return a random delay in seconds for the next bytes on *way*."""
        rule = self.rule(way)
        late = rule.delay + self._rng.uniform(-rule.jitter, rule.jitter)
        # A retransmission can be lost as well.
        while self._rng.random() < rule.loss:
            late += RETRANSMIT
        return max(late, 0.0)

    def _accepting(
        self, route: Route
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peername")
            # The caller may be gone by now, and a connection that was accepted before the network
            # closed may arrive after it.
            if peer is None or self._is_closed:
                writer.transport.abort()
                return
            # Registered here, not in the task: one that is cancelled before its first step never
            # runs, and its connection would stay open.
            connection = _Connection(self, (self._caller(peer[1]), route.name), writer)
            self._connections.add(connection)
            task = asyncio.ensure_future(connection.serve(reader, route.target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: self._connections.discard(connection))

        return accept

    def _caller(self, port: int) -> str:
        """Return the name of the process whose socket has the local *port*."""
        # Listing the processes of all members takes long, so it is done for new processes only.
        caller = owner_of(port, self._known)
        if caller is None:
            self._known = self._pids()
            caller = owner_of(port, self._known)
        return caller or UNKNOWN


class _Connection:
    """
    One connection from a caller to a process.

    Attributes:
        ways: The way from the caller, and the way back.
    """

    def __init__(self, network: Network, way: Way, caller: asyncio.StreamWriter) -> None:
        self.ways: tuple[Way, Way] = (way, (way[1], way[0]))
        self._network = network
        self._writers = [caller]

    async def serve(self, reader: asyncio.StreamReader, target: int) -> None:
        """Carry bytes both ways until one side closes."""
        there, back = self.ways
        try:
            if self._network.rule(there).is_cut:
                self._network.waiting[there] += 1
            # The target must not see a connection through a cut link, nor the caller a refusal.
            await self._network.passable(there)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
            self._writers.append(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer, there))
                group.create_task(self._carry(far_reader, self._writers[0], back))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for writer in self._writers:
                writer.close()

    def abort(self) -> None:
        """Break the connection with a reset to both sides."""
        for writer in self._writers:
            if not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE
                )
            writer.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        # A separate task delivers, so that chunks are received while earlier ones are delayed:
        # each is delayed once, not by the sum of the delays before it.
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING)
        delivery = asyncio.create_task(self._deliver(queue, writer, way))
        now = asyncio.get_running_loop().time
        due = 0.0
        try:
            while data := await reader.read(_CHUNK):
                late = self._network.late(way, len(data))
                if late is not None:
                    # TCP keeps the order: with jitter, a chunk may have to wait for the one before.
                    due = max(due, now() + late)
                    await queue.put((due, data))
            await queue.join()
            # The end of the stream is a packet, too.
            await self._network.restored(way)
        finally:
            delivery.cancel()
        with suppress(OSError):
            writer.write_eof()

    async def _deliver(
        self,
        queue: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        way: Way,
    ) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - now())
            # A rule that was set in the meantime applies to bytes in transit, too.
            await self._network.passable(way)
            if not writer.is_closing():
                with suppress(OSError):
                    writer.write(data)
                    await writer.drain()
            # Also for bytes that could not be delivered, or `_carry` would wait for them forever.
            queue.task_done()


# -- the owner of a socket --------------------------------------------------------------------

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def owner_of(port: int, pids: Mapping[str, Collection[int]]) -> str | None:
    """
    Return the name in *pids* whose processes hold the socket with the local *port*.

    Returns:
        The name; None if none of the processes holds it.

    Source: proc(5), /proc/net/tcp and /proc/PID/fd.
    """
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    for name, each in pids.items():
        if not inodes.isdisjoint(chain.from_iterable(map(_sockets, each))):
            return name
    return None


def _inodes(port: int) -> Iterable[str]:
    # The local address comes before the remote one, with the port in hexadecimal digits.
    wanted = f":{port:04X}"
    for table in _TABLES:
        with suppress(OSError), open(table, encoding="ascii") as lines:
            next(lines, None)
            for line in lines:
                fields = line.split()
                if fields[1].endswith(wanted):
                    yield fields[9]


def _sockets(pid: int) -> Iterable[str]:
    # Processes end and descriptors are closed while they are listed.
    directory = f"/proc/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(directory):
            with suppress(OSError):
                yield os.readlink(f"{directory}/{name}")
