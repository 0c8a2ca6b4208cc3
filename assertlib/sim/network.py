"""
The simulated network: streams, datagrams and mailboxes between hosts.

Streams deliver bytes in order and exactly once, as TCP does: loss appears as delay, a partition as
silence until it is healed, and a reset as an error.  Datagrams and mailbox messages may be lost,
duplicated and reordered.  Hosts are addressed by name.  ``127.0.0.1``, ``localhost``, ``0.0.0.0``
and an empty name denote the host itself for a server; for a client they denote the own host or, if
nothing listens there, any host that listens on the port.

The module is over 500 lines because transports and network share the state of each connection.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from .conditions import KERNEL_BUFFER, Conditions
from .datagrams import Endpoint, Mailbox
from .loop import SimLoop
from .names import LOOPBACK, text_of
from .payload import shown
from .process import DEAD, PROCESS, Handle, Process
from .receiving import ignore, receiver
from .sockets import SimSocket
from .transport_socket import TransportSocket

if TYPE_CHECKING:
    from .tape import Tape

__all__ = ["Network"]

_MOST_RETRIES = 20
_FIRST_PORT, _LAST_PORT = 32769, 60999
"""The ports that are handed out, about those of Linux."""
_NO_ANSWER_AFTER = 1.0
"""Seconds until a connection attempt through a partition times out."""


class Network:
    """
    All links between hosts; see the module docstring.

    Attributes:
        usual: Conditions without faults; a scenario may change them at its start.
        conditions: Current conditions.
        names: The names and addresses of all hosts.
        sockets: The open sockets that programs have created, by descriptor.
    """

    def __init__(self, loop: SimLoop, tape: Tape) -> None:
        self.usual = self.conditions = Conditions()
        self._loop = loop
        self._tape = tape
        self.names = loop.names
        self.sockets: dict[int, SimSocket] = {}
        self._reserved: dict[tuple[str, Any], SimSocket] = {}
        self._listeners: dict[tuple[str, Any], _Server] = {}
        self._endpoints: dict[tuple[str, int], Endpoint] = {}
        self._mailboxes: dict[tuple[str, int], Mailbox] = {}
        # Both ends of each connection, in the order of creation, in which faults visit them.
        self._connections: dict[_Transport, None] = {}
        # Blocked directions, each with those who block it: cut while there is one.
        self._cut: dict[tuple[str, str], set[object]] = {}
        # Those whose peer has ended behind a partition.
        self._held_up: dict[_Transport, None] = {}
        self._ports = _FIRST_PORT - 1

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
            self._cut.setdefault(way, set()).add(holder)

    def _release(self, holder: object) -> None:
        held = [way for way, holders in self._cut.items() if holder in holders]
        for way in held:
            self._cut[way].discard(holder)
        if free := [way for way in held if not self._cut[way]]:
            self.heal(free)

    def heal(self, ways: Iterable[tuple[str, str]] | None = None) -> None:
        """Unblock all directions, or *ways*, for all who block them; buffered data is sent."""
        if self._cut:
            self._loop.note("the network heals")
        for way in list(self._cut) if ways is None else list(ways):
            self._cut.pop(way, None)
        # Unsent data waits at its writer, and data in transit at its reader.
        for transport in list(self._connections):
            transport.flush()
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
        for table in (self._listeners, self._endpoints, self._mailboxes):
            for address in [at for at, each in table.items() if each.process is process]:
                del table[address]
        for owned in [each for each in self.sockets.values() if each.process is process]:
            owned.forget()
        for transport in [each for each in self._connections if each.process is process]:
            self._connections.pop(transport, None)
            transport.is_dead = True
            peer = transport.peer
            if peer is not None and not peer.is_dead:
                self._loop.at(self._loop.now + after, Handle(self._break, (peer,), None))

    def _break(self, transport: _Transport) -> None:
        """Reset *transport*, whose peer has ended; a partition holds up the reset."""
        if self.is_cut(transport.remote[0], transport.local[0]):
            self._held_up[transport] = None
        else:
            transport.lose(ConnectionResetError("Connection reset by peer"))

    def close(self) -> None:
        """Mark all connections dead, so that none counts as left open."""
        for transport in self._connections:
            transport.is_dead = True
        self._connections.clear()

    def worsen(self) -> Conditions:
        """Return the current conditions for degrading them; `usual` stays intact."""
        # The first fault makes the copy, and all faults of a trial accumulate in it.
        if self.conditions is self.usual:
            self.conditions = copy(self.usual)
        return self.conditions

    def is_cut(self, sender: str, receiver: str) -> bool:
        """Whether traffic from *sender* to *receiver* is blocked."""
        return (sender, receiver) in self._cut

    # -- streams ----------------------------------------------------------------------------

    def listen(
        self,
        factory: Callable[[], Any],
        host: str | None,
        port: Any,
        *,
        is_serving: bool = True,
        listening: SimSocket | None = None,
    ) -> _Server:
        """
        Listen on *port* of the calling host, a number, a path, or None for a free one; *host* is
        ignored.  *factory* creates a protocol per connection; if not *is_serving*, connections are
        refused.  *listening* is its socket, if the program has created one.
        """
        process = PROCESS.get()
        address = (process.name, _number(port) or self._free_port(process.name))
        _refuse_second(self._listeners, address)
        server = _Server(self, process, address, factory, is_serving=is_serving)
        if listening is not None:
            listening.server, server.sockets = server, (listening,)
        self._listeners[address] = server
        return server

    def unlisten(self, server: _Server) -> None:
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
            name = PROCESS.get(self._loop.outside).name
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
        await asyncio.sleep(self.delay())
        server = self._listeners.get((name, port))
        # A handshake needs both directions.
        is_unknown = not self.names.has(name)
        if is_unknown or self.is_cut(local[0], name) or self.is_cut(name, local[0]):
            await asyncio.sleep(_NO_ANSWER_AFTER)
            raise TimeoutError(110, f"no answer from {name}:{port}")
        if server is None or server.process.state == DEAD or not server.is_serving():
            self._loop.note(f"is refused by {name}:{port}")
            raise ConnectionRefusedError(111, f"nothing is listening on {name}:{port}")
        near = _Transport(self, process, local, server.address)
        far = _Transport(self, server.process, server.address, local)
        near.peer, far.peer = far, near
        self._connections[near] = self._connections[far] = None
        protocol = factory()
        # The client's end is open before the server accepts, as with the backlog of a kernel: a
        # paused server accepts once it is resumed, since `accept` runs in its process.
        near.begin(protocol)
        self._loop.call_soon(server.accept, far, context=server.context)
        self._loop.note(f"connects to {name}:{port}")
        return near, protocol

    def drop(self, transport: _Transport) -> None:
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

    def delay(self) -> float:
        """Return the delay of a message in seconds, including retransmissions."""
        now = self.conditions
        delay = self._tape.between(*now.latency)
        # Bounded, since a loss of 1.0 would retransmit forever.
        for _ in range(_MOST_RETRIES if now.loss else 0):
            if not self._tape.strikes("loss", now.loss):
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
            self._loop, process, address, remote, self.send, self.address_of, self._unbind
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
        box = Mailbox(self._loop, process, (process.name, port), self.post)
        self._mailboxes[box.address] = box
        return box

    def post(self, sender: tuple[str, int], to: tuple[str, int], message: object) -> None:
        """Send *message* from *sender* to mailbox *to*; it may be lost, duplicated or overtaken."""
        loop, conditions = self._loop, self.conditions
        now = loop.time()
        if to[0] in LOOPBACK:
            to = (self._nearest(self._mailboxes, sender[0], to[1]), to[1])
        # Without faults, `_ways` would only draw the latency: the choices are the same either way.
        if self._cut or conditions.loss or conditions.duplication:
            ways = self._ways(sender[0], to[0])
        else:
            ways = (self._tape.between(*conditions.latency),)
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
        if box is not None and (sender[0], to[0]) not in self._cut:
            box.put((message, sender))

    def send(self, sender: tuple[str, int], to: Any, data: bytes) -> None:
        """Send *data* as a datagram from *sender* to *to*."""
        host, port = text_of(to[0]), _number(to[1])
        if host in LOOPBACK:
            to = (self._nearest(self._endpoints, sender[0], port), port)
        else:
            to = (self.names.name(host), port)
        now, ways = self._loop.time(), self._ways(sender[0], to[0])
        if self._loop.keep_log:
            arrivals = ", ".join(f"{now + delay:.6f}" for delay in ways) or "never"
            self._loop.note(f"sends {shown(data)} to {to[0]}:{to[1]}, to arrive at {arrivals}")
        for delay in ways:
            self._loop.at(now + delay, Handle(self._hand, (to, data, sender), None))

    def _hand(self, to: tuple[str, int], data: bytes, sender: tuple[str, int]) -> None:
        endpoint = self._endpoints.get(to)
        if endpoint is not None and not self.is_cut(sender[0], to[0]):
            endpoint.receive(data, sender)

    def _ways(self, sender: str, receiver: str) -> tuple[float, ...]:
        now = self.conditions
        if (sender, receiver) in self._cut or (now.loss and self._tape.strikes("loss", now.loss)):
            return ()
        way = self._tape.between(*now.latency)
        # The duplicate has its own latency, so it may also arrive first, or much later.
        if now.duplication and self._tape.strikes("duplication", now.duplication):
            begin = len(self._tape.values)
            ways = way, self._tape.between(*now.latency)
            self._tape.label("duplication", begin)
            return ways
        return (way,)


def _number(port: Any) -> Any:
    """A port as a number, also if it is given as digits; a path as it is."""
    return int(port) if isinstance(port, str) and port.isdigit() else port


def _refuse_second(table: Mapping[tuple[str, Any], object], address: tuple[str, Any]) -> None:
    if address in table:
        raise OSError(98, f"Address already in use: {address}")


class _Server(asyncio.AbstractServer):
    """A listening port."""

    def __init__(
        self,
        network: Network,
        process: Process,
        address: tuple[str, int],
        factory: Callable[[], Any],
        *,
        is_serving: bool,
    ) -> None:
        self.process = process
        self.address = address
        self.context = contextvars.copy_context()
        shown = network.address_of(address)
        number = network._loop.next_number()
        self.sockets: tuple[Any, ...] = (TransportSocket(socket.SOCK_STREAM, shown, None, number),)
        self._network = network
        self._factory = factory
        self._is_serving = is_serving
        self._forever: asyncio.Future[None] | None = None

    def accept(self, transport: _Transport) -> None:
        """Begin the server's end of a connection, or reset it if the server has closed."""
        if self._is_serving:
            transport.begin(self._factory())
        else:
            transport.reset()

    def close(self) -> None:
        self._is_serving = False
        self.sockets = ()
        self._network.unlisten(self)
        if self._forever is not None:
            self._forever.cancel()

    def is_serving(self) -> bool:
        return self._is_serving

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network._loop

    async def start_serving(self) -> None:
        """Accept connections, unless the server is closed."""
        self._is_serving = bool(self.sockets)

    async def serve_forever(self) -> None:
        if not self.sockets:
            raise RuntimeError(f"server {self!r} is closed")
        await self.start_serving()
        self._forever = self._network._loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()

    async def wait_closed(self) -> None:
        """Return at once: Python 3.11 does not wait for connections either."""


class _Transport(asyncio.Transport):
    """
    One end of a connection.

    Written data waits in ``_unsent`` while the link is cut or the peer's buffer is full, travels in
    the peer's ``_travelling``, and waits in its ``_arrived`` while its protocol has paused reading.
    The stream ends with an empty entry in the first and None in the others; errors are resets.
    """

    def __init__(
        self, network: Network, process: Process, local: tuple[str, int], remote: tuple[str, int]
    ) -> None:
        super().__init__()
        self.process = process
        self.local = local
        self.remote = remote
        self.peer: _Transport | None = None
        self.is_dead = False
        self._number = network._loop.next_number()
        self._network = network
        self._loop = network._loop
        self._protocol: Any = None
        self.deliver: Callable[[Any], None] = ignore
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        # Bytes in transit or unread at the peer: what its kernel would have to buffer.
        self._at_peer = 0
        self._travelling: deque[tuple[float, bytes | Exception | None]] = deque()
        self._is_awaited = False
        self._arrived: deque[bytes | Exception | None] = deque()
        self._is_paused = False
        self._is_closing = False
        self._is_ended = False
        self._is_loss_reported = False
        self._has_reset = False
        self._error: Exception | None = None
        self._is_writing_paused = False
        self._high = network.conditions.high_water
        # One handle for all arrivals, since only one is scheduled at a time; None until `begin`.
        self._arrival: Handle | None = None

    def __hash__(self) -> int:
        return self._number

    def begin(self, protocol: Any) -> None:
        """Connect this end to *protocol*; called by the process that owns the end."""
        self.set_protocol(protocol)
        self._arrival = Handle(self._arrive, (), contextvars.copy_context())
        protocol.connection_made(self)
        # Reset before it was accepted: the protocol must see both the beginning and the end.
        if self.is_dead:
            self._is_closing = True
            self._report_lost(self._error)
        self.await_arrivals()

    # -- sending ----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_ended and not self._is_closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_closing or self.is_dead or self.process.state == DEAD or not data:
            return
        network = self._network
        conditions = network.conditions
        # Nothing waits, is cut or is fragmented: `flush` would send the data as it is.
        if (
            self._at_peer < conditions.buffer
            and self.peer is not None
            and not (self._unsent or network._cut or conditions.fragmentation)
        ):
            self._at_peer += len(data)
            self._travel(data if type(data) is bytes else bytes(data))
            return
        self._unsent.append(bytes(data))
        self._unsent_bytes += len(data)
        self.flush()
        if self._unsent_bytes > self._high and not self._is_writing_paused:
            self._is_writing_paused = True
            self._protocol.pause_writing()

    def flush(self) -> None:
        """Send unsent data as far as the link and the peer's buffer allow."""
        peer = self.peer
        network = self._network
        if peer is None or (network._cut and (self.local[0], self.remote[0]) in network._cut):
            return
        unsent, room = self._unsent, network.conditions.buffer
        # Whole writes are sent, so the last one may exceed the buffer.
        while unsent and self._at_peer < room:
            data = unsent.popleft()
            if data:
                self._unsent_bytes -= len(data)
                self._at_peer += len(data)
                fragmentation = network.conditions.fragmentation
                tape = network._tape
                if (
                    fragmentation
                    and len(data) > 1
                    and tape.strikes("narrow-network", fragmentation)
                ):
                    begin = len(tape.values)
                    at = 1 + tape.choose(len(data) - 1)
                    self._travel(data[:at])
                    tape.label("narrow-network", begin)
                    data = data[at:]
                self._travel(data)
            else:
                self._travel(None)
        # Closing completes when everything is sent; the peer may still be reading.
        if self._is_closing and not unsent:
            network.drop(self)
            self._report_lost(None)

    def _report_lost(self, error: Exception | None) -> None:
        if not self._is_loss_reported:
            self._is_loss_reported = True
            self._loop.call_soon(self._protocol.connection_lost, error, context=self._context())

    def _travel(self, data: bytes | Exception | None) -> None:
        network, when = self._network, self._loop.now
        # A process that a sync blocks sends only afterwards.
        when = max(when, self.process.busy_until)
        conditions = network.conditions
        if conditions.loss:
            when += network.delay()
        else:
            low, high = conditions.latency
            when += network._tape.between(low, high)
        peer = self.peer
        assert peer is not None
        travelling = peer._travelling
        # A stream never reorders: a short latency waits for the longer one before it.
        if travelling and when < travelling[-1][0]:
            when = travelling[-1][0]
        if self._loop.keep_log:
            what = (
                shown(data) if isinstance(data, bytes) else "the end" if data is None else "a reset"
            )
            host, port = self.remote
            self._loop.note(f"sends {what} to {host}:{port}, to arrive at {when:.6f}")
        travelling.append((when, data))
        if not peer._is_awaited:
            peer.await_arrivals()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not (self._is_closing or self.is_dead or self._is_ended):
            self._is_ended = True
            self._unsent.append(b"")
            self.flush()

    def get_write_buffer_size(self) -> int:
        return self._unsent_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._high // 4, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = KERNEL_BUFFER if high is None else high

    # -- receiving --------------------------------------------------------------------------

    def await_arrivals(self) -> None:
        """Schedule the next arrival, if data is in transit and none is scheduled."""
        if self._travelling and not self._is_awaited and self._arrival is not None:
            self._is_awaited = True
            self._loop.at(max(self._travelling[0][0], self._loop.now), self._arrival)

    def _arrive(self) -> None:
        """Receive what has arrived; several pieces at once are delivered as one."""
        self._is_awaited = False
        travelling, now = self._travelling, self._loop.now
        if self.is_dead:
            travelling.clear()
            return
        arrived, peer, network = self._arrived, self.peer, self._network
        # The data stays in transit until the network heals and schedules the arrival again.
        if network._cut and (self.remote[0], self.local[0]) in network._cut:
            return
        if (
            len(travelling) == 1
            and type(data := travelling[0][1]) is bytes
            and peer is not None
            and not (arrived or self._is_paused or self._is_closing)
            and not (peer._unsent or peer._is_writing_paused)
        ):
            # The common case: a single piece, with nothing buffered or paused at either end.
            travelling.clear()
            self.deliver(data)
            peer._at_peer -= len(data)
            return
        while travelling and travelling[0][0] <= now:
            arrived.append(travelling.popleft()[1])
        if not self._is_paused:
            self._hand_over()
        self.await_arrivals()

    def _hand_over(self) -> None:
        arrived = self._arrived
        while arrived and not self._is_paused and not self.is_dead:
            data = arrived.popleft()
            if data is None:
                self._take_end()
                continue
            if isinstance(data, Exception):
                self.lose(data)
                continue
            while arrived and type(arrived[0]) is bytes:
                data += arrived.popleft()  # type: ignore[operator]
            peer = self.peer
            if not self._is_closing:
                self.deliver(data)
            # Data for a closed end is answered by a reset, as in TCP, but not before its own data
            # is sent.
            elif not self._unsent and not self._has_reset and peer is not None:
                self._has_reset = True
                self._travel(ConnectionResetError("Connection reset by peer"))
            if peer is not None and not peer.is_dead:
                peer._at_peer -= len(data)
                if peer._unsent or peer._is_writing_paused:
                    # As a callback of the peer's process: a paused host sends nothing.
                    self._loop.call_soon(peer._make_room, context=peer._context())

    def _make_room(self) -> None:
        self.flush()
        # A quarter of the high-water mark is asyncio's default for the low one.
        if self._is_writing_paused and self._unsent_bytes <= self._high // 4:
            self._is_writing_paused = False
            self._protocol.resume_writing()

    def _take_end(self) -> None:
        if self._is_closing or not self._protocol.eof_received():
            self.close()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            # Deferred, since a protocol may resume reading within `data_received`.
            self._loop.call_soon(self._hand_over)

    def is_reading(self) -> bool:
        return not self._is_paused and not self._is_closing

    # -- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        if self._is_closing or self.is_dead:
            return
        self._is_closing = True
        if not self._is_ended:
            self._is_ended = True
            self._unsent.append(b"")
        self.flush()

    def abort(self) -> None:
        # After `close`, with everything sent, the end is on its way already.
        if self._is_closing and not self._unsent:
            return
        # A kernel resets a connection that is closed with unread data, and else ends it.
        if self._arrived:
            self.reset()
        else:
            self.lose(None)
            self._send_last(None)

    def reset(self) -> None:
        """End the connection at once, with an error for the peer."""
        self.lose(None)
        self._send_last(ConnectionResetError("Connection reset by peer"))

    def _send_last(self, what: Exception | None) -> None:
        # It travels like data, so that a partition holds it up as well.
        if self.peer is not None and not self.peer.is_dead:
            self._travel(what)

    def lose(self, error: Exception | None) -> None:
        """End the connection at this end at once; *error* is None for a local abort."""
        self._network.drop(self)
        if self.is_dead:
            return
        self.is_dead = True
        # Without a protocol yet, `begin` reports the error.
        if self._arrival is None:
            self._error = error
            return
        self._is_closing = True
        self._report_lost(error)

    def is_closing(self) -> bool:
        return self._is_closing or self.is_dead

    def _context(self) -> Any:
        assert self._arrival is not None
        return self._arrival._context

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        own, peer = map(self._network.address_of, (self.local, self.remote))
        if name == "socket":
            return TransportSocket(socket.SOCK_STREAM, own, peer, self._number)
        return {"peername": peer, "sockname": own}.get(name, default)

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self.deliver = receiver(protocol)

    def __repr__(self) -> str:
        return f"<connection {self.local} to {self.remote}>"
