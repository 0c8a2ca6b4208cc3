"""
A network between processes of this machine that can be degraded, without root.

Each process is reached through a port of the proxy.  The kernel's socket table identifies the
caller, so bytes can be held up by sender and receiver, independently in each direction.
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
_AT_ONCE = struct.pack("ii", 1, 0)
_WAITING = 64
RETRANSMIT = 0.2
"""Seconds that a lost packet holds up what comes after it: the least that Linux waits."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    The treatment of bytes in one direction.

    Attributes:
        delay: Delay in seconds.
        jitter: Maximum deviation from the delay, in seconds.
        loss: Share of packets that are retransmitted, which holds up those behind them.
        is_cut: Whether bytes wait until the link is restored, as behind a dead link.
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
UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one process: what arrives at *port* is for 127.0.0.1:*target*."""

    name: str
    port: int
    target: int


class Network:
    """
    Connections between processes, each way with a rule of its own.  A context manager, which
    listens, and breaks all connections at its end.

    Args:
        routes: How each process is reached.
        pids: The processes that may call, by name, as they are now.
        rng: Decides about jitter and loss.

    Attributes:
        carried: Bytes that were sent on each way; a caller that is in none of *pids* is
            `UNKNOWN`.
        affected: Those of them that a rule held up, delayed or threw away.
        waiting: How many new connections a rule held up.
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
        for route in self._routes:
            self._servers.append(
                await asyncio.start_server(self._accepting(route), "127.0.0.1", route.port)
            )
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
        # What was accepted before gets its transport in the next turn.  asyncio leaks the socket
        # if the server is closed by then (3.11).
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()

    def rule(self, way: Way) -> Rule:
        """The rule that is in force from ``way[0]`` to ``way[1]``."""
        return self._rules.get(way, WHOLE)

    async def set(self, ways: Iterable[Way], rule: Rule) -> None:
        """Let *rule* be in force on *ways*, for connections there are and those to come."""
        for way in ways:
            before = self._rules.get(way, WHOLE)
            self._rules[way] = rule
            if before.is_lost and not rule.is_lost:
                self._abort(way)
        async with self._changed:
            self._changed.notify_all()

    def reset(self, name: str) -> int:
        """Break all connections of the process *name*; how many there were."""
        broken = [each for each in self._connections if name in each.ways[0]]
        for connection in broken:
            connection.abort()
        return len(broken)

    def why_idle(self, ways: Sequence[Way]) -> str:
        """Why a rule on *ways* had nothing to act on."""
        if not self.carried:
            return "no bytes passed through the proxy; does the adapter use peer_address?"
        callers = {to for caller, to in self.carried if caller == UNKNOWN}
        if not any(self.carried[way] for way in ways) and callers:
            return f"{', '.join(sorted(callers))} was called by processes of no member"
        return "the members exchanged nothing while it lasted"

    def _abort(self, way: Way) -> None:
        for connection in list(self._connections):
            if way in connection.ways:
                connection.abort()

    def late(self, way: Way, size: int) -> float | None:
        """Count so many bytes on *way*; by how many seconds they are late, None if forever."""
        rule = self.rule(way)
        delay = self.delay(way)
        self.carried[way] += size
        if rule.is_cut or rule.is_lost or delay:
            self.affected[way] += size
        return None if rule.is_lost else delay

    async def passable(self, way: Way) -> None:
        """Wait until *way* is not cut."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.rule(way).is_cut)

    def delay(self, way: Way) -> float:
        """By how many seconds the next bytes on *way* come later."""
        rule = self.rule(way)
        late = rule.delay + self._rng.uniform(-rule.jitter, rule.jitter)
        while self._rng.random() < rule.loss:
            late += RETRANSMIT
        return max(late, 0.0)

    def _accepting(
        self, route: Route
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peername")
            # The caller may be gone by now, and connections accepted before the end arrive after.
            if peer is None or self._is_closed:
                writer.transport.abort()
                return
            # Registered before its task runs: a task that is cancelled first never runs.
            connection = _Connection(self, (self._caller(peer[1]), route.name), writer)
            self._connections.add(connection)
            task = asyncio.ensure_future(connection.serve(reader, route.target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: self._connections.discard(connection))

        return accept

    def _caller(self, port: int) -> str:
        """Whose socket has the local *port*; all processes are listed only if it is a new one."""
        caller = owner_of(port, self._known)
        if caller is None:
            self._known = self._pids()
            caller = owner_of(port, self._known)
        return caller or UNKNOWN


class _Connection:
    """
    One connection from a caller to a process.

    Attributes:
        ways: From the caller, and back.
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
            # Whoever cannot be reached must not notice that somebody listens in his place.
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
        """Break it: both sides are sent a reset."""
        for writer in self._writers:
            if not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE
                )
            writer.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING)
        delivery = asyncio.create_task(self._deliver(queue, writer, way))
        now = asyncio.get_running_loop().time
        due = 0.0
        try:
            while data := await reader.read(_CHUNK):
                late = self._network.late(way, len(data))
                if late is not None:
                    # What was sent later does not arrive earlier.
                    due = max(due, now() + late)
                    await queue.put((due, data))
            await queue.join()
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
            await self._network.passable(way)
            if not writer.is_closing():
                with suppress(OSError):
                    writer.write(data)
                    await writer.drain()
            queue.task_done()


# -- whose socket is it? ----------------------------------------------------------------------

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def owner_of(port: int, pids: Mapping[str, Collection[int]]) -> str | None:
    """
    Whose processes hold the socket with the local *port*; None if none do.

    Source: proc(5), /proc/net/tcp and /proc/PID/fd.
    """
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    for name, each in pids.items():
        if not inodes.isdisjoint(chain.from_iterable(map(_sockets, each))):
            return name
    return None


def _inodes(port: int) -> Iterable[str]:
    wanted = f":{port:04X}"
    for table in _TABLES:
        with suppress(OSError), open(table, encoding="ascii") as lines:
            next(lines, None)
            for line in lines:
                fields = line.split()
                if fields[1].endswith(wanted):
                    yield fields[9]


def _sockets(pid: int) -> Iterable[str]:
    directory = f"/proc/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(directory):
            with suppress(OSError):
                yield os.readlink(f"{directory}/{name}")
