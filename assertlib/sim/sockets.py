"""
Sockets of the simulated network: what stands for `socket.socket` during a trial.

They are non-blocking, for programs of asyncio that create their own: they connect, accept, send and
receive through the loop's ``sock_`` methods and readers, or are handed over to transports.

Over 500 lines, since a single class has to have the whole interface of `socket.socket`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from .fence import REPLACED
from .loop_network import LoopNetwork
from .process import PROCESS, Process
from .refusal import refused

__all__ = ["SimSocket"]

_real = socket.socket
_FIRST = 1 << 20
"""Descriptors start above those of real files."""


def _running() -> Any:
    """The loop of the running trial, if the caller is one of its steps."""
    loop = asyncio._get_running_loop()
    return loop if isinstance(loop, LoopNetwork) else None


class SimSocket(_real):
    """
    A socket; outside trials, and for a given descriptor, the class creates real ones.

    Attributes:
        transport: The connection or datagram endpoint; None before there is one.
        server: The listening port; None unless it listens.
    """

    def __new__(
        cls, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> Any:
        if fileno is not None or _running() is None:
            return _real(family, type, proto, fileno)
        return super().__new__(cls)

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        # Without the initialisation of the real class, which would open a real socket.
        loop = _running()
        assert loop is not None
        self._loop: Any = loop
        self._network = loop.network
        self._process = PROCESS.get()
        self._family = socket.AF_INET if family == -1 else socket.AddressFamily(family)
        self._kind = socket.SOCK_STREAM if type == -1 else socket.SocketKind(type & 0xF)
        self._number = _FIRST + self._loop.next_number()
        self._timeout: float | None = None
        self._options: dict[tuple[int, int], Any] = {}
        self._local: tuple[Any, Any] | None = None
        self.transport: Any = None
        self.server: Any = None
        self._received: deque[Any] = deque()
        self._is_ended = False
        self._is_lost = False
        self._is_full = False
        self._error: Exception | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._watchers: dict[str, Callable[[], object]] = {}
        self._scheduled: set[str] = set()
        self._is_closed = False
        self._network.sockets[self._number] = self

    # -- identity and options ---------------------------------------------------------------

    @property
    def family(self) -> socket.AddressFamily:
        return self._family

    @property
    def type(self) -> socket.SocketKind:
        return self._kind

    @property
    def proto(self) -> int:
        return socket.IPPROTO_TCP if self._kind == socket.SOCK_STREAM else socket.IPPROTO_UDP

    @property
    def process(self) -> Process:
        """The process that created it."""
        return self._process

    @property
    def timeout(self) -> float | None:
        return self._timeout

    def fileno(self) -> int:
        return -1 if self._is_closed else self._number

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def settimeout(self, value: float | None) -> None:
        self._timeout = value

    def gettimeout(self) -> float | None:
        return self._timeout

    def getblocking(self) -> bool:
        return self._timeout != 0

    def setsockopt(self, level: int, option: int, value: Any, *_: Any) -> None:
        """Remember *value* for *option* of *level*; it has no effect on the network."""
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """Return *option* of *level*, as *size* bytes if that is not zero."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            error, self._error = self._error, None
            return getattr(error, "errno", None) or 0
        if (level, option) == (socket.SOL_SOCKET, socket.SO_TYPE):
            return int(self._kind)
        return self._options.get((level, option), bytes(size) if size else 0)

    def set_inheritable(self, inheritable: bool) -> None:
        """Do nothing: there are no child processes."""

    def get_inheritable(self) -> bool:
        return False

    def getsockname(self) -> Any:
        if self.transport is not None:
            return self._shown(self.transport.get_extra_info("sockname"))
        if self._local is None:
            return self._shown(("0.0.0.0", 0))  # noqa: S104
        return self._shown(self._network.address_of(self._local))

    def getpeername(self) -> Any:
        """
        Return the address of the peer.

        Raises:
            OSError: The socket is not connected.
        """
        peer = None if self.transport is None else self.transport.get_extra_info("peername")
        if peer is None:
            raise _not_connected()
        return self._shown(peer)

    def _shown(self, address: Any) -> Any:
        if self._family != socket.AF_INET6:
            return address
        names = self._network.names
        return names.address(names.name(address[0]), is_v6=True), address[1], 0, 0

    # -- binding and connecting -------------------------------------------------------------

    def bind(self, address: Any) -> None:
        self._local = self._network.reserve(self, address)
        if self._kind == socket.SOCK_DGRAM:
            self._open_endpoint()

    def listen(self, backlog: int = 0) -> None:
        """Listen, unless a server does so already with this socket."""
        if self.server is None:
            self.bind(("", 0)) if self._local is None else None
            assert self._local is not None
            self.server = self._network.listen(self._accepted, None, self._local[1], listening=self)

    def bound_port(self) -> Any:
        """Return the port that it is bound to; None for a free one."""
        return None if self._local is None else self._local[1]

    def _accepted(self) -> asyncio.Protocol:
        accepted = SimSocket(self._family, self._kind)
        accepted.setblocking(False)
        return _Feed(accepted, on_made=lambda: self._take(accepted))

    def accept(self) -> tuple[Any, Any]:
        accepted = self._next("accept")
        return accepted, accepted.getpeername()

    def connect(self, address: Any) -> None:
        """
        Begin to connect to *address*.

        Raises:
            BlockingIOError: The connection is under way, as always for a stream.
        """
        if self.connect_ex(address):
            raise BlockingIOError(115, "Operation now in progress")

    def connect_ex(self, address: Any) -> int:
        if self._kind == socket.SOCK_DGRAM:
            self._open_endpoint(address)
            return 0
        self._check_blocking("connect")
        if self.transport is None and self._error is None:
            self._loop.create_task(self._connect_later(address))
        return 115

    async def _connect_later(self, address: Any) -> None:
        try:
            await self.connected(address)
        except OSError as error:
            self._error = error
        self.changed()

    async def connected(self, address: Any) -> None:
        """Connect to *address*."""
        if self._kind == socket.SOCK_DGRAM:
            self._open_endpoint(address)
            return
        local = self._local
        await self._network.connect(lambda: _Feed(self), address[0], address[1], local=local)

    def _open_endpoint(self, remote: Any = None) -> None:
        if self.transport is None:
            local = None if self._local is None else ("", self._local[1])
            self.transport, _ = self._network.endpoint(lambda: _Feed(self), local, remote)
        elif remote is not None:
            self.transport.connect(remote)

    # -- sending and receiving --------------------------------------------------------------

    def send(self, data: Any, flags: int = 0) -> int:
        """
        Send *data* as a whole, whatever the *flags*.

        Returns:
            The number of bytes.

        Raises:
            BlockingIOError: The send buffer is full.
        """
        self._check_blocking("send")
        self._check_sending()
        if self._is_full:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.put(data)
        return len(memoryview(data).cast("B"))

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.send(data)

    def sendto(self, data: Any, *rest: Any) -> int:
        self._open_endpoint()
        self.transport.send(bytes(data), rest[-1])
        return len(data)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send *buffers* as one to *address*; *ancdata* and *flags* have no effect."""
        data = b"".join(map(bytes, buffers))
        if self._kind == socket.SOCK_STREAM:
            return self.send(data)
        self._open_endpoint()
        self.transport.send(data, address)
        return len(data)

    def put(self, data: Any) -> None:
        """Send *data* whether or not there is room for it."""
        self._check_sending()
        if self._kind == socket.SOCK_STREAM:
            self.transport.write(bytes(data))
        else:
            self.transport.send(bytes(data))

    def _check_sending(self) -> None:
        if self._error is not None:
            raise self._error
        if self.transport is None or self._is_closed:
            raise OSError(32, "Broken pipe")

    def recv(self, size: int, flags: int = 0) -> bytes:
        """
        Receive at most *size* bytes; of *flags*, ``MSG_PEEK`` has an effect.

        Raises:
            BlockingIOError: Nothing has arrived.
        """
        if self._kind == socket.SOCK_DGRAM:
            return bytes(self._next("recv")[0][:size])
        self._check_blocking("recv")
        if not self.is_readable:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return self.take(size, peek=bool(flags & socket.MSG_PEEK))

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """Receive into *buffer*, at most *size* bytes if that is not zero, with *flags*."""
        data = self.recv(size or len(memoryview(buffer).cast("B")), flags)
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        data, sender = self._next("recvfrom")
        return bytes(data[:size]), self._shown(sender)

    def recvmsg(self, size: int, ancillary: int = 0, flags: int = 0) -> Any:
        """
        Receive a datagram of at most *size* bytes with its *ancillary* data.

        Args:
            size: Bytes after which it is cut off.
            ancillary: Has no effect: the data are returned as a whole.
            flags: With ``MSG_ERRQUEUE``, nothing is ever received.

        Raises:
            BlockingIOError: Nothing has arrived.
        """
        # No error is ever queued.
        if flags & getattr(socket, "MSG_ERRQUEUE", 0x2000):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        data, sender = self.recvfrom(size)
        return data, self._received_at(), 0, sender

    def _received_at(self) -> list[tuple[int, int, bytes]]:
        """The ancillary data of a datagram: the address that it was sent to, if asked for."""
        if not self._options.get((socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)):
            return []
        own = ipaddress.ip_address(self.getsockname()[0]).packed
        info = own.rjust(16, b"\0") + (1).to_bytes(4, sys.byteorder)
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]

    def take(self, size: int, *, peek: bool = False) -> bytes:
        """Return what was received, at most *size* bytes; nothing at the end of the stream."""
        if not self._received:
            if self._error is not None:
                raise self._error
            return b""
        data = self._received.popleft()
        rest = data if peek else data[size:]
        if rest:
            self._received.appendleft(rest)
        return bytes(data[:size])

    def _next(self, what: str) -> Any:
        self._check_blocking(what)
        if not self._received:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return self._received.popleft()

    def _check_blocking(self, what: str) -> None:
        if self._timeout != 0:
            raise refused(f"socket.{what}", "blocks the event loop; use asyncio's streams")

    # -- waiting ----------------------------------------------------------------------------

    @property
    def is_readable(self) -> bool:
        """Whether a call to receive or accept would return something or raise."""
        return bool(self._received) or self._is_ended or self._error is not None

    @property
    def is_writable(self) -> bool:
        """Whether a call to send would accept data or raise."""
        is_connected = self._kind == socket.SOCK_DGRAM or self.transport is not None
        return (is_connected and not self._is_full) or self._error is not None

    async def wait(self, is_ready: Callable[[], bool]) -> None:
        """Wait for a change after which *is_ready* holds."""
        while not is_ready():
            future = self._loop.create_future()
            self._waiters.append(future)
            await future

    def watch(self, what: str, callback: Callable[[], object] | None) -> bool:
        """
        Call *callback* whenever the socket is ready.

        Args:
            what: "read" or "write".
            callback: The function to call; None to stop.

        Returns:
            Whether there was another one before.
        """
        had = self._watchers.pop(what, None) is not None
        if callback is not None:
            self._watchers[what] = callback
            self._schedule(what)
        return had

    def _schedule(self, what: str) -> None:
        if what not in self._scheduled:
            self._scheduled.add(what)
            self._loop.call_soon(self._call, what)

    def _call(self, what: str) -> None:
        # Level-triggered, as readers of asyncio are: called again as long as the socket is ready.
        self._scheduled.discard(what)
        is_ready = self.is_readable if what == "read" else self.is_writable
        callback = self._watchers.get(what)
        if callback is not None and is_ready:
            callback()
            self._schedule(what)

    def changed(self) -> None:
        """Wake everything that waits for the socket."""
        for future in self._waiters:
            if not future.done():
                future.set_result(None)
        self._waiters.clear()
        for what in self._watchers:
            self._schedule(what)

    def _take(self, received: Any) -> None:
        self._received.append(received)
        self.changed()

    # -- handing over and closing -----------------------------------------------------------

    def hand_over(self, protocol: Any) -> Any:
        """
        Connect its transport to *protocol*, which gets what was received so far.

        Returns:
            The transport.

        Raises:
            OSError: The socket is not connected.
        """
        if self._kind == socket.SOCK_DGRAM:
            self._open_endpoint()
        if self.transport is None:
            raise _not_connected()
        transport = self.transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        while self._received:
            transport.deliver(self._received.popleft())
        # What has happened to the connection before must not be lost to the protocol.
        if self._is_lost:
            protocol.connection_lost(self._error)
        elif self._is_ended and not protocol.eof_received():
            transport.close()
        return transport

    def shutdown(self, how: int) -> None:
        """
        End the stream to the peer, unless *how* is ``SHUT_RD``.

        Raises:
            OSError: The socket is not connected.
        """
        if self.transport is None:
            raise _not_connected()
        if how != socket.SHUT_RD and self.transport.can_write_eof():
            self.transport.write_eof()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._network.sockets.pop(self._number, None)
        self._watchers.clear()
        if self.server is not None:
            self.server.close()
        if self.transport is not None:
            self.transport.close()
        self._network.release(self)

    def share_options(self) -> None:
        """Let the connection have the options that are set, now and later."""
        if self.type == socket.SOCK_STREAM and self.transport is not None:
            self.transport.options = self._options

    def forget(self) -> None:
        """Close it without a word to its peer, as its process has ended."""
        self._is_closed = True
        self._network.sockets.pop(self._number, None)
        self._network.release(self)

    def detach(self) -> int:
        self._is_closed = True
        number: int = self._number
        return number

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<socket {self._number} {self._local or ''} of {self._process.name}>"


def _not_connected() -> OSError:
    return OSError(107, "Transport endpoint is not connected")


class _Feed(asyncio.Protocol, asyncio.DatagramProtocol):
    """Passes what a transport receives to the socket that it belongs to."""

    def __init__(self, owner: SimSocket, on_made: Callable[[], object] = lambda: None) -> None:
        self._owner = owner
        self._on_made = on_made

    def connection_made(self, transport: Any) -> None:
        self._owner.transport = transport
        self._owner.share_options()
        self._owner.changed()
        self._on_made()

    def data_received(self, data: bytes) -> None:
        self._owner._take(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._owner._take((data, addr))

    def eof_received(self) -> bool:
        self._owner._is_ended = True
        self._owner.changed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner._is_ended = self._owner._is_lost = True
        self._owner._error = exc
        self._owner.changed()

    def pause_writing(self) -> None:
        self._owner._is_full = True

    def resume_writing(self) -> None:
        self._owner._is_full = False
        self._owner.changed()


def _socketpair(*options: Any) -> Any:
    if _running() is None:
        return _pair(*options)
    raise refused("socket.socketpair", "opens real sockets; use asyncio's streams")


_pair = socket.socketpair
REPLACED += [
    (socket, "socket", _real, SimSocket),
    (socket, "socketpair", _pair, _socketpair),
]
