"""
The simulated network: streams, datagrams and mailboxes between hosts.

Streams deliver bytes in order and exactly once, as TCP does: loss appears as delay, a partition as
silence until it is healed, and a reset as an error.  Datagrams and mailbox messages may be lost,
duplicated and reordered.  Hosts are addressed by name.  ``127.0.0.1``, ``localhost``, ``0.0.0.0``
and an empty name denote the host itself for a server; for a client they denote the own host or, if
nothing listens there, any host that listens on the port.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from .conditions import Conditions
from .datagrams import Endpoint, Mailbox
from .loop import SimLoop
from .names import LOOPBACK, text_of
from .pace import Pace
from .payload import shown
from .process import DEAD, PROCESS, Handle, Process
from .sockets import SimSocket
from .streams import Server, Transport

if TYPE_CHECKING:
    from .tape import Tape

__all__ = ["Network"]

_MOST_RETRIES = 20
_FIRST_PORT, _LAST_PORT = 32769, 60999
"""The ports that are handed out, about those of Linux."""
_MTU = 1472
"""Bytes of a datagram that Ethernet carries in one piece: 1,500 without the headers."""
_NO_ANSWER_AFTER = 1.0
"""Seconds until a connection attempt without an answer times out."""


class Network:
    """
    All links between hosts; see the module docstring.

    Attributes:
        usual: Conditions without faults; a scenario may change them at its start.
        conditions: Current conditions.
        loop, tape: Those of the trial.
        pace: Draws latencies.
        blocked: Blocked directions, as sender and receiver, each with those who block it.
        names: The names and addresses of all hosts.
        sockets: The open sockets that programs have created, by descriptor.
    """

    def __init__(self, loop: SimLoop, tape: Tape) -> None:
        self.usual = self.conditions = Conditions()
        self.loop = loop
        self.tape = tape
        self.pace = Pace(tape)
        self.names = loop.names
        self.sockets: dict[int, SimSocket] = {}
        self._reserved: dict[tuple[str, Any], SimSocket] = {}
        self._listeners: dict[tuple[str, Any], Server] = {}
        self._endpoints: dict[tuple[str, int], Endpoint] = {}
        self._mailboxes: dict[tuple[str, int], Mailbox] = {}
        # Both ends of each connection, in the order of creation, in which faults visit them.
        self._connections: dict[Transport, None] = {}
        self.blocked: dict[tuple[str, str], set[object]] = {}
        # Those whose peer has ended behind a partition.
        self._held_up: dict[Transport, None] = {}
        self._ports = _FIRST_PORT - 1
        # Hosts without power, and the ends of connections that were lost with it.
        self._off: set[str] = set()
        self._lost: dict[Transport, None] = {}

    # -- faults -----------------------------------------------------------------------------

    def cut(self, sender: str, receiver: str) -> None:
        """Block all traffic from host *sender* to host *receiver* until it is healed."""
        self._hold([(sender, receiver)], self)

    def cut_until_released(self, ways: Iterable[tuple[str, str]]) -> Callable[[], None]:
        """
        Block *ways*, pairs of sender and receiver, until the returned call.

        The call leaves blocked what others have blocked as well.
        """
        holder = object()
        self._hold(ways, holder)
        return lambda: self._release(holder)

    def _hold(self, ways: Iterable[tuple[str, str]], holder: object) -> None:
        for way in ways:
            self.blocked.setdefault(way, set()).add(holder)

    def _release(self, holder: object) -> None:
        held = [way for way, holders in self.blocked.items() if holder in holders]
        for way in held:
            self.blocked[way].discard(holder)
        if free := [way for way in held if not self.blocked[way]]:
            self.heal(free)

    def heal(self, ways: Iterable[tuple[str, str]] | None = None) -> None:
        """Unblock all directions, or *ways*, for all who block them; buffered data is sent."""
        if self.blocked:
            self.loop.note("the network heals")
        for way in list(self.blocked) if ways is None else list(ways):
            self.blocked.pop(way, None)
        # Unsent data waits at its writer, and data in transit at its reader.
        for transport in list(self._connections):
            transport.flush()
        for transport in [*self._connections, *self._lost]:
            transport.await_arrivals()
        held_up, self._held_up = self._held_up, {}
        for transport in held_up:
            self._break(transport)

    def reset(self, host: str) -> int:
        """Reset all connections of *host* at both ends; return their number."""
        broken = [each for each in self._connections if host in (each.local[0], each.remote[0])]
        for transport in broken:
            transport.lose(ConnectionResetError("Connection reset by peer"))
        # Both ends of a connection have the same two addresses.
        return len({frozenset((each.local, each.remote)) for each in broken})

    def forget(self, process: Process, after: float) -> None:
        """Free the ports of *process*, which ended; its peers are reset *after* so many seconds."""
        for transport in self._remove(process):
            peer = transport.peer
            if peer is not None and not peer.is_dead:
                self.loop.at(self.loop.now + after, Handle(self._break, (peer,), None))

    def lose(self, process: Process) -> None:
        """Free the ports of *process*, whose host lost power; its peers receive nothing."""
        self._off.add(process.name)
        for transport in self._remove(process):
            if transport.peer is not None and not transport.peer.is_dead:
                self._lost[transport] = None
                transport.leave_half_open()

    def power_on(self, host: str) -> None:
        """Let *host* answer again: it resets connections that it does not know."""
        self._off.discard(host)

    def is_off(self, host: str) -> bool:
        """Whether *host* has lost power and not booted since."""
        return host in self._off

    def end_lost(self, transport: Transport) -> None:
        """Remove an end of a connection that was lost with the power, as its peer has noticed."""
        self._lost.pop(transport, None)

    def _remove(self, process: Process) -> list[Transport]:
        """Free the ports of *process*, and return the ends of its connections."""
        for table in (self._listeners, self._endpoints, self._mailboxes):
            for address in [at for at, each in table.items() if each.process is process]:
                del table[address]
        for owned in [each for each in self.sockets.values() if each.process is process]:
            owned.forget()
        ends = [each for each in self._connections if each.process is process]
        for transport in ends:
            self._connections.pop(transport, None)
            transport.is_dead = True
        return ends

    def _break(self, transport: Transport) -> None:
        """Reset *transport*, whose peer has ended; a partition holds up the reset."""
        if self.is_cut(transport.remote[0], transport.local[0]):
            self._held_up[transport] = None
        else:
            transport.lose(ConnectionResetError("Connection reset by peer"))

    def close(self) -> None:
        """Mark all connections dead, so that none counts as left open."""
        for transport in self._connections:
            transport.abandon()
        self._connections.clear()

    def worsen(self) -> Conditions:
        """Return the current conditions for degrading them; `usual` stays intact."""
        # The first fault makes the copy, and all faults of a trial accumulate in it.
        if self.conditions is self.usual:
            self.conditions = copy(self.usual)
        return self.conditions

    def is_cut(self, sender: str, receiver: str) -> bool:
        """Whether traffic from *sender* to *receiver* is blocked."""
        return (sender, receiver) in self.blocked

    # -- streams ----------------------------------------------------------------------------

    def listen(
        self,
        factory: Callable[[], Any],
        host: str | None,
        port: Any,
        *,
        is_serving: bool = True,
        listening: SimSocket | None = None,
    ) -> Server:
        """
        Listen on *port* of the calling host, a number, a path, or None for a free one; *host* is
        ignored.  *factory* creates a protocol per connection; if not *is_serving*, connections are
        refused.  *listening* is its socket, if the program has created one.
        """
        process = PROCESS.get()
        address = (process.name, _number(port) or self._free_port(process.name))
        _refuse_second(self._listeners, address)
        server = Server(self, process, address, factory, is_serving=is_serving)
        if listening is not None:
            listening.server, server.sockets = server, (listening,)
        self._listeners[address] = server
        return server

    def unlisten(self, server: Server) -> None:
        """Stop accepting connections."""
        if self._listeners.get(server.address) is server:
            del self._listeners[server.address]

    def reserve(self, holder: SimSocket, address: Any) -> tuple[str, Any]:
        """
        Bind *holder* to the port in *address*, or to a free one.

        Raises:
            OSError: The port is in use.
        """
        process = holder.process
        port = address if isinstance(address, str | bytes) else _number(address[1])
        local = (process.name, port or self._free_port(process.name))
        table = self._listeners if holder.type == socket.SOCK_STREAM else self._endpoints
        _refuse_second(table, local)
        if holder.type == socket.SOCK_STREAM:
            _refuse_second(self._reserved, local)
            self._reserved[local] = holder
        return local

    def release(self, holder: SimSocket) -> None:
        """Free the port that *holder* is bound to."""
        for local in [at for at, each in self._reserved.items() if each is holder]:
            del self._reserved[local]

    def address_of(self, place: tuple[Any, Any]) -> Any:
        """Return the address that programs see for a host, or its address, and a port."""
        name, port = place[:2]
        if name in LOOPBACK:
            name = PROCESS.get(self.loop.outside).name
        return (self.names.address(name), port) if isinstance(port, int) else port

    async def connect(
        self,
        factory: Callable[[], Any],
        host: Any,
        port: Any,
        local: tuple[str, Any] | None = None,
    ) -> Any:
        """
        Connect the calling host to *port* of *host*; *factory* creates the protocol of its end.
        *local* is the place that the connection comes from; None for a free port.

        Raises:
            socket.gaierror: No host has that name.
            TimeoutError: A partition separates the hosts, or no host has that address.
            ConnectionRefusedError: Nothing listens there.
        """
        process = PROCESS.get()
        port = _number(port)
        name = self._resolve(process.name, host, port)
        local = local or (process.name, self._free_port(process.name))
        await asyncio.sleep(self.delay((local[0], name)))
        server = self._listeners.get((name, port))
        # A handshake needs both directions.
        is_unknown = not self.names.has(name)
        if (
            is_unknown
            or self.is_off(name)
            or self.is_cut(local[0], name)
            or self.is_cut(name, local[0])
        ):
            await asyncio.sleep(_NO_ANSWER_AFTER)
            raise TimeoutError(110, f"no answer from {name}:{port}")
        if server is None or server.process.state == DEAD or not server.is_serving():
            self.loop.note(f"is refused by {name}:{port}")
            raise ConnectionRefusedError(111, f"nothing is listening on {name}:{port}")
        near = Transport(self, process, local, server.address)
        far = Transport(self, server.process, server.address, local)
        near.peer, far.peer = far, near
        self._connections[near] = self._connections[far] = None
        protocol = factory()
        # The client's end is open before the server accepts, as with the backlog of a kernel: a
        # paused server accepts once it is resumed, since `accept` runs in its process.
        near.begin(protocol)
        self.loop.call_soon(server.accept, far, context=server.context)
        self.loop.note(f"connects to {name}:{port}")
        return near, protocol

    def drop(self, transport: Transport) -> None:
        """Remove a closed connection."""
        self._connections.pop(transport, None)

    def _resolve(self, own: str, host: Any, port: Any) -> str:
        host = text_of(host)
        if host not in LOOPBACK:
            return self.names.name(host)
        return self._nearest(self._listeners, own, port)

    def _nearest(self, table: Mapping[tuple[str, int], object], own: str, port: int) -> str:
        """Return the host that a loopback name resolves to."""
        # Clients written for a single machine thus reach a server on another host.
        if (own, port) in table:
            return own
        return next((name for name, at in table if at == port), own)

    def _free_port(self, host: str) -> int:
        """Return the next port that *host* does not use, for streams or for datagrams."""
        for _ in range(_FIRST_PORT, _LAST_PORT + 1):
            self._ports = _FIRST_PORT if self._ports >= _LAST_PORT else self._ports + 1
            if not self._is_in_use((host, self._ports)):
                return self._ports
        raise OSError(
            98, f"Address already in use: no port on {host} is free; close some connections"
        )

    def _is_in_use(self, address: tuple[str, int]) -> bool:
        return (
            address in self._listeners
            or address in self._reserved
            or address in self._endpoints
            or any(each.local == address for each in self._connections)
        )

    def delay(self, link: tuple[str, str]) -> float:
        """Return the delay of a message over *link* in seconds, including retransmissions."""
        now = self.conditions
        delay = self.pace.latency(*now.latency, link)
        # Bounded, since a loss of 1.0 would retransmit forever.
        for _ in range(_MOST_RETRIES if now.loss else 0):
            if not self.tape.strikes("loss", now.loss):
                break
            delay += now.retransmit
        return delay

    # -- datagrams and mailboxes ------------------------------------------------------------

    def endpoint(
        self,
        factory: Callable[[], Any],
        local: tuple[str, int] | None,
        remote: tuple[str, int] | None,
    ) -> Any:
        """
        Open a socket for datagrams on the calling host; *factory* creates its protocol.
        *local* gives its port, None for a free one; *remote* is its default destination.
        """
        process = PROCESS.get()
        address = (process.name, (local[1] if local else 0) or self._free_port(process.name))
        _refuse_second(self._endpoints, address)
        if remote is not None:
            self._resolve(process.name, remote[0], None)
        endpoint = Endpoint(
            self.loop, process, address, remote, self.send, self.address_of, self._unbind
        )
        self._endpoints[address] = endpoint
        protocol = factory()
        endpoint.begin(protocol)
        return endpoint, protocol

    def _unbind(self, endpoint: Endpoint) -> None:
        """Free the port of *endpoint*."""
        # The next process of a host may have opened the port again.
        if self._endpoints.get(endpoint.address) is endpoint:
            del self._endpoints[endpoint.address]

    def mailbox(self, port: int) -> Mailbox:
        """Create a mailbox of the calling host, addressed as (host, *port*)."""
        process = PROCESS.get()
        _refuse_second(self._mailboxes, (process.name, port))
        box = Mailbox(self.loop, process, (process.name, port), self.post)
        self._mailboxes[box.address] = box
        return box

    def post(self, sender: tuple[str, int], to: tuple[str, int], message: object) -> None:
        """Send *message* from *sender* to mailbox *to*; it may be lost, duplicated or overtaken."""
        loop, conditions = self.loop, self.conditions
        now = loop.time()
        if to[0] in LOOPBACK:
            to = (self._nearest(self._mailboxes, sender[0], to[1]), to[1])
        # Without faults, `_ways` would only draw the latency: the choices are the same either way.
        is_plain = not (self.blocked or conditions.loss or conditions.duplication)
        if is_plain and self.pace.is_each:
            ways: tuple[float, ...] = (self.tape.between(*conditions.latency),)
        else:
            ways = self._ways(sender[0], to[0])
        if loop.keep_log:
            arrivals = ", ".join(f"{now + delay:.6f}" for delay in ways) or "never"
            loop.note(
                f"sends a {type(message).__name__} to {to[0]}:{to[1]}, to arrive at {arrivals}"
            )
        # Without a context, a delivery belongs to the world: it outlives the sender.
        for delay in ways:
            loop.at(now + delay, Handle(self._put, (to, message, sender), None))

    def _put(self, to: tuple[str, int], message: object, sender: tuple[str, int]) -> None:
        box = self._mailboxes.get(to)
        # A partition also drops messages that are on their way.
        if box is not None and (sender[0], to[0]) not in self.blocked:
            box.put((message, sender))

    def send(self, sender: tuple[str, int], to: Any, data: bytes) -> None:
        """Send *data* as a datagram from *sender* to *to*."""
        host, port = text_of(to[0]), _number(to[1])
        if host in LOOPBACK:
            to = (self._nearest(self._endpoints, sender[0], port), port)
        else:
            to = (self.names.name(host), port)
        now, ways = self.loop.time(), self._ways(sender[0], to[0], len(data))
        if self.loop.keep_log:
            arrivals = ", ".join(f"{now + delay:.6f}" for delay in ways) or "never"
            self.loop.note(f"sends {shown(data)} to {to[0]}:{to[1]}, to arrive at {arrivals}")
        for delay in ways:
            self.loop.at(now + delay, Handle(self._hand, (to, data, sender), None))

    def _hand(self, to: tuple[str, int], data: bytes, sender: tuple[str, int]) -> None:
        endpoint = self._endpoints.get(to)
        if endpoint is not None and not self.is_cut(sender[0], to[0]):
            endpoint.receive(data, sender)

    def _ways(self, sender: str, receiver: str, size: int = 0) -> tuple[float, ...]:
        """Return the delays of the copies that arrive of a message of *size* bytes."""
        now = self.conditions
        if (sender, receiver) in self.blocked:
            return ()
        # A large datagram travels in fragments; if one is lost, so is all of it.
        fragments = max(1, -(-size // _MTU))
        if now.loss and self.tape.strikes("loss", 1 - (1 - now.loss) ** fragments):
            return ()
        way = self.pace.latency(*now.latency, (sender, receiver))
        # The duplicate has its own latency, so it may also arrive first, or much later.
        if now.duplication and self.tape.strikes("duplication", now.duplication):
            begin = len(self.tape.values)
            ways = way, self.pace.latency(*now.latency, (sender, receiver))
            self.tape.label("duplication", begin)
            return ways
        return (way,)


def _number(port: Any) -> Any:
    """A port as a number, also if it is given as digits; a path as it is."""
    return int(port) if isinstance(port, str) and port.isdigit() else port


def _refuse_second(table: Mapping[tuple[str, Any], object], address: tuple[str, Any]) -> None:
    if address in table:
        raise OSError(98, f"Address already in use: {address}")
