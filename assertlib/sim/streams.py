"""
Streams of the simulated network: the two ends of a connection, and listening ports.

The module is over 500 lines because one class has to implement the whole interface of a transport,
whose two ends share the state of the connection.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import sys
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Protocol

from .conditions import KERNEL_BUFFER, Conditions
from .loop import SimLoop
from .pace import Pace
from .payload import shown
from .process import DEAD, Handle, Process
from .receiving import ignore, receiver
from .tape import FINE, Tape
from .tls import abandon, is_tls
from .transport_socket import TransportSocket

__all__ = ["Server", "Transport"]

_FIRST_RETRY, _LAST_RETRY = 0.2, 120.0
"""Seconds until data without an answer is sent again, as in Linux."""
_LAST_TRY = 924.6
"""Seconds after which data without an answer is given up, as in Linux with its 15 retries."""
_USER_TIMEOUT = (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", 18))
"""The option for another time, in milliseconds."""
_KEEPALIVE = (
    ((socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 4)), 7200.0),
    ((socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 5)), 75.0),
    ((socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 6)), 9),
)
"""Options of keepalive, and their values in Linux: seconds until a probe, between probes, probes."""


class Links(Protocol):
    """The network, as far as its streams need it."""

    loop: SimLoop
    tape: Tape
    conditions: Conditions
    pace: Pace

    @property
    def blocked(self) -> Collection[tuple[str, str]]:
        """Pairs of sender and receiver between which nothing arrives."""

    def is_off(self, host: str) -> bool:
        """Whether *host* has lost power and not booted since."""

    def delay(self, link: tuple[str, str]) -> float:
        """Return the delay of a message over *link* in seconds, including retransmissions."""

    def address_of(self, place: tuple[Any, Any]) -> Any:
        """Return the address that programs see for a host and a port."""

    def drop(self, transport: Transport) -> None:
        """Remove a closed connection."""

    def end_lost(self, transport: Transport) -> None:
        """Remove an end of a connection that was lost with the power, as its peer has noticed."""

    def unlisten(self, server: Server) -> None:
        """Stop accepting connections."""


class Server(asyncio.AbstractServer):
    """A listening port."""

    def __init__(
        self,
        network: Links,
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
        number = network.loop.next_number()
        self.sockets: tuple[Any, ...] = (TransportSocket(socket.SOCK_STREAM, shown, None, number),)
        self._network = network
        self._factory = factory
        self._is_serving = is_serving
        # The ends of its connections that are still open.
        self._open: dict[Transport, None] = {}
        self._closed: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None

    def accept(self, transport: Transport) -> None:
        """Begin the server's end of a connection, or reset it if the server has closed."""
        if self._is_serving:
            self._open[transport] = None
            transport.on_lost = self._forget
            transport.begin(self._factory())
        else:
            transport.reset()

    def _forget(self, transport: Transport) -> None:
        self._open.pop(transport, None)
        self._wake()

    def _wake(self) -> None:
        if not (self._open or self.sockets):
            for waiter in self._closed:
                if not waiter.done():
                    waiter.set_result(None)
            self._closed.clear()

    def close_clients(self) -> None:
        """Close all connections that the server has accepted."""
        for transport in list(self._open):
            transport.close()

    def abort_clients(self) -> None:
        """Close all connections that the server has accepted at once; unsent data is lost."""
        for transport in list(self._open):
            transport.abort()

    def close(self) -> None:
        self._is_serving = False
        self.sockets = ()
        self._network.unlisten(self)
        if self._forever is not None:
            self._forever.cancel()
        self._wake()

    def is_serving(self) -> bool:
        return self._is_serving

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop

    async def start_serving(self) -> None:
        """Accept connections, unless the server is closed."""
        self._is_serving = bool(self.sockets)

    async def serve_forever(self) -> None:
        """
        Accept connections until the task is cancelled or the server is closed.

        Raises:
            RuntimeError: The server is closed.
        """
        if not self.sockets:
            raise RuntimeError(f"server {self!r} is closed")
        await self.start_serving()
        self._forever = self._network.loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()

    async def wait_closed(self) -> None:
        """Wait until the server and, since Python 3.12, all its connections are closed."""
        if sys.version_info >= (3, 12) and (self._open or self.sockets):
            waiter = self._network.loop.create_future()
            self._closed.append(waiter)
            await waiter


class Transport(asyncio.Transport):
    """
    One end of a connection.

    Written data waits in ``_unsent`` while the link is cut or the peer's buffer is full, travels in
    the peer's ``_travelling``, and waits in its ``_arrived`` while its protocol has paused reading.
    The stream ends with an empty entry in the first and None in the others; errors are resets.
    """

    def __init__(
        self, network: Links, process: Process, local: tuple[str, int], remote: tuple[str, int]
    ) -> None:
        super().__init__()
        self.process = process
        self.local = local
        self.remote = remote
        self.peer: Transport | None = None
        self.is_dead = False
        self._number = network.loop.next_number()
        self._network = network
        self._loop = network.loop
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
        # Without power, seconds until what was sent to it is sent again.
        self._again = _FIRST_RETRY
        # The time at which its peer gives up sending again; None before it has begun to.
        self._gives_up: float | None = None
        self.options: dict[tuple[int, int], Any] = {}
        self.on_lost: Callable[[Transport], None] = ignore
        self._is_secure = False

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
        """
        Send *data*, or keep it while the link is cut or the peer's buffer is full.

        Raises:
            RuntimeError: The end of the stream has been written.
        """
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
            and not (self._unsent or network.blocked or conditions.fragmentation)
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
        if peer is None or (network.blocked and (self.local[0], self.remote[0]) in network.blocked):
            return
        unsent, room = self._unsent, network.conditions.buffer
        # Whole writes are sent, so the last one may exceed the buffer.
        while unsent and self._at_peer < room:
            data = unsent.popleft()
            if data:
                self._unsent_bytes -= len(data)
                self._at_peer += len(data)
                fragmentation = network.conditions.fragmentation
                tape = network.tape
                if (
                    fragmentation
                    and len(data) > 1
                    and tape.strikes("narrow-network", fragmentation)
                ):
                    begin = len(tape.values)
                    # The size of a TLS record may vary, so the choice does not depend on it.
                    if self._is_secure:
                        at = 1 + tape.choose(FINE) * (len(data) - 1) // FINE
                    else:
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
            self.on_lost(self)
            self._loop.call_soon(self._protocol.connection_lost, error, context=self._context())

    def _travel(self, data: bytes | Exception | None) -> None:
        # Each message passes here: no calls that a comparison can replace.  See benchmarks/sim.py.
        network, loop = self._network, self._loop
        when, busy_until = loop.now, self.process.busy_until
        # A process that a sync blocks sends only afterwards.
        if busy_until > when:  # noqa: PLR1730 a call of max() takes longer
            when = busy_until
        conditions = network.conditions
        if conditions.loss:
            when += network.delay((self.local[0], self.remote[0]))
        elif network.pace.is_each:
            low, high = conditions.latency
            when += network.tape.between(low, high)
        else:
            when += network.pace.latency(*conditions.latency, (self.local[0], self.remote[0]))
        peer = self.peer
        assert peer is not None
        travelling = peer._travelling
        # A stream never reorders: a short latency waits for the longer one before it.
        if travelling and when < travelling[-1][0]:
            when = travelling[-1][0]
        if loop.keep_log:
            host, port = self.remote
            loop.note(f"sends {self._shown(data)} to {host}:{port}, to arrive at {when:.6f}")
        travelling.append((when, data))
        if not peer._is_awaited:
            peer.await_arrivals()

    def _shown(self, data: bytes | Exception | None) -> str:
        if data is None:
            return "the end"
        if isinstance(data, Exception):
            return "a reset"
        return "TLS records" if self._is_secure else shown(data)

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
        if network.blocked and (self.remote[0], self.local[0]) in network.blocked:
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

    # -- without power ----------------------------------------------------------------------

    def leave_half_open(self) -> None:
        """Leave the peer alone with the connection: what it sends reaches nobody."""
        # Without a context, since the process that it had is dead.
        self._arrival = Handle(self._reach_nobody, (), None)
        self._is_awaited = False
        self._arrived.clear()
        self._unsent.clear()
        self._unsent_bytes = 0
        self.await_arrivals()
        peer = self.peer
        if peer is not None and peer.options.get((socket.SOL_SOCKET, socket.SO_KEEPALIVE)):
            idle, pause, count = (peer.options.get(each, usual) for each, usual in _KEEPALIVE)
            self._loop.at(self._loop.now + idle, Handle(self._probe, (pause, count), None))

    def _reach_nobody(self) -> None:
        """Answer what the peer has sent: by nothing, or by a reset once the host is up again."""
        self._is_awaited = False
        if not self._travelling or self._is_noticed() or self._answers():
            return
        assert self._arrival is not None
        assert self.peer is not None
        now = self._loop.now
        if self._gives_up is None:
            self._gives_up = now + (self.peer.options.get(_USER_TIMEOUT, 0) / 1000 or _LAST_TRY)
        if now >= self._gives_up:
            self.peer.lose(TimeoutError(110, "Connection timed out"))
            return
        # TCP sends again after a time that doubles.
        self._is_awaited = True
        self._loop.at(min(now + self._again, self._gives_up), self._arrival)
        self._again = min(2 * self._again, _LAST_RETRY)

    def _probe(self, pause: float, left: int) -> None:
        """Receive a keepalive probe of the peer, which sends *left* more of them."""
        if self._is_noticed() or self._answers():
            return
        # Linux sends no probes while data is unconfirmed: that is sent again instead.
        if self._travelling:
            self._loop.at(self._loop.now + pause, Handle(self._probe, (pause, left), None))
            return
        if left <= 0:
            assert self.peer is not None
            self.peer.lose(TimeoutError(110, "Connection timed out"))
            return
        self._loop.at(self._loop.now + pause, Handle(self._probe, (pause, left - 1), None))

    def _is_noticed(self) -> bool:
        """Whether the peer has ended its side as well."""
        is_over = self.peer is None or self.peer.is_dead
        if is_over:
            self._network.end_lost(self)
        return is_over

    def _answers(self) -> bool:
        """Reset the connection if the host is up again and can be reached; return whether it is."""
        network = self._network
        if network.is_off(self.local[0]) or (self.remote[0], self.local[0]) in network.blocked:
            return False
        self._travelling.clear()
        self._send_last(ConnectionResetError("Connection reset by peer"))
        network.end_lost(self)
        return True

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

    def _force_close(self, error: Exception | None) -> None:
        """End the connection at once, as asyncio's TLS does after an error."""
        self.lose(error)
        self._send_last(None)

    def abandon(self) -> None:
        """Mark the connection dead at the end of the trial, so that it does not count as open."""
        self.is_dead = True
        abandon(self._protocol)

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
            shown = TransportSocket(socket.SOCK_STREAM, own, peer, self._number)
            shown.options = self.options
            return shown
        return {"peername": peer, "sockname": own}.get(name, default)

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._is_secure = is_tls(protocol)
        self.deliver = receiver(protocol)

    def __repr__(self) -> str:
        return f"<connection {self.local} to {self.remote}>"
