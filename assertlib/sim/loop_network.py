"""
The part of asyncio's loop interface that reaches the network: connections, servers and sockets.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from .names import Names, port_of, text_of
from .process import PROCESS, Process
from .refusal import refused
from .tls import app_transport, secured

__all__ = ["LoopNetwork"]


class _Transports(Protocol):
    """The network, as far as asyncio's own interface reaches it; see `Network`."""

    sockets: dict[int, Any]
    names: Names

    def reserve(self, holder: Any, address: Any) -> tuple[str, Any]: ...

    def release(self, holder: Any) -> None: ...

    def address_of(self, place: tuple[Any, Any]) -> Any: ...

    async def connect(
        self,
        factory: Callable[[], Any],
        host: Any,
        port: Any,
        local: tuple[str, Any] | None = None,
    ) -> Any: ...

    def listen(
        self,
        factory: Callable[[], Any],
        host: str | None,
        port: Any,
        *,
        is_serving: bool = True,
        listening: Any = None,
    ) -> Any: ...

    def endpoint(
        self,
        factory: Callable[[], Any],
        local: tuple[str, int] | None,
        remote: tuple[str, int] | None,
    ) -> Any: ...


class LoopNetwork(asyncio.AbstractEventLoop):
    """
    The network methods of a loop.

    Attributes:
        network: The network of the world.
        outside: The process of code outside all hosts, such as the scenario.
        names: The names and addresses of all hosts.
    """

    network: _Transports
    outside: Process
    names: Names
    threads: Any

    # -- connections and servers ------------------------------------------------------------

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """
        Open a stream to a simulated host.

        Args:
            protocol_factory: Creates the protocol.
            host: Name or address of the host; see `names`.
            port: Port on the host.
            options: Options of asyncio: ``sock`` is a connected socket, ``local_addr`` the address
                to connect from, ``ssl`` and its timeouts have their usual effect, others none.

        Returns:
            The transport and the protocol.

        Raises:
            ValueError: With ``ssl``, neither *host* nor ``server_hostname`` is given.
            socket.gaierror: No service has the name that *port* is.
        """
        if options.get("sock") is None:
            port = port_of(port)
        return await self._connection(protocol_factory, host, port, options, text_of(host) or None)

    async def _connection(
        self,
        factory: Callable[[], Any],
        host: Any,
        port: Any,
        options: dict[str, Any],
        name: str | None,
    ) -> Any:
        """Connect to *port* of *host*, whose certificate has *name* unless an option differs."""
        if not options.get("ssl"):
            return await self._plain_connection(factory, host, port, options)
        # An empty name is one that is not verified, as in asyncio.
        given = options.get("server_hostname")
        hostname = name if given is None else given
        if hostname is None:
            raise ValueError("You must set server_hostname when using ssl without a host")
        return await self._secure_connection(factory, host, port, options, hostname=hostname)

    async def _plain_connection(
        self, factory: Callable[[], Any], host: Any, port: Any, options: dict[str, Any]
    ) -> Any:
        if options.get("sock") is not None:
            return _handed_over(options["sock"], factory, "create_connection")
        local = options.get("local_addr")
        place = (PROCESS.get(self.outside).name, local[1]) if local and local[1] else None
        return await self.network.connect(factory, host, port, place)

    async def _secure_connection(
        self,
        factory: Callable[[], Any],
        host: Any,
        port: Any,
        options: dict[str, Any],
        *,
        hostname: str | None,
        is_server: bool = False,
    ) -> Any:
        protocol, done = factory(), self.create_future()
        secure = secured(self, protocol, options, done, hostname=hostname, is_server=is_server)
        shown = app_transport(secure)
        transport, _ = await self._plain_connection(lambda: secure, host, port, options)
        try:
            await done
        except BaseException:
            transport.close()
            raise
        return shown, protocol

    async def connect_accepted_socket(
        self, protocol_factory: Any, sock: Any, **options: Any
    ) -> Any:
        """
        Connect an accepted socket to a protocol.

        Args:
            protocol_factory: Creates the protocol.
            sock: The socket.
            options: As for `create_connection`.

        Returns:
            The transport and the protocol.
        """
        options["sock"] = sock
        if options.get("ssl"):
            return await self._secure_connection(
                protocol_factory, None, None, options, hostname=None, is_server=True
            )
        return await self._plain_connection(protocol_factory, None, None, options)

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """
        Listen for streams on the calling host.

        Args:
            protocol_factory: Creates the protocol of each connection.
            host: Ignored: a server listens on all addresses of its host.
            port: Port; None or 0 for a free one.
            options: As for `create_connection`, where ``sock`` is a bound socket; ``start_serving``
                has its usual effect.

        Returns:
            The server.
        """
        factory = protocol_factory
        if options.get("ssl"):

            def factory() -> Any:
                return secured(self, protocol_factory(), options, is_server=True)

        sock = options.get("sock")
        if sock is not None:
            port = _simulated(sock, "create_server").bound_port()
            # The server takes the place of a socket that listens already.
            if sock.server is not None:
                sock.server.close()
        serves = options.get("start_serving", True)
        return self.network.listen(factory, host, port, is_serving=serves, listening=sock)

    async def create_unix_connection(
        self, protocol_factory: Any, path: Any = None, **options: Any
    ) -> Any:
        """
        Open a stream to a Unix socket of the calling host.

        Args:
            protocol_factory: Creates the protocol.
            path: Path that a server of the host listens on.
            options: As for `create_connection`.

        Returns:
            The transport and the protocol.
        """
        own = PROCESS.get(self.outside).name
        return await self._connection(protocol_factory, own, os.fsdecode(path), options, None)

    async def create_unix_server(
        self, protocol_factory: Any, path: Any = None, **options: Any
    ) -> Any:
        """
        Listen for streams on a Unix socket of the calling host.

        Args:
            protocol_factory: Creates the protocol of each connection.
            path: Path that clients of the host connect to; no file is made.
            options: As for `create_server`.

        Returns:
            The server.
        """
        return await self.create_server(protocol_factory, None, os.fsdecode(path), **options)

    async def create_datagram_endpoint(
        self, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        """
        Open a socket for datagrams on the calling host.

        Args:
            protocol_factory: Creates the protocol.
            local_addr: Host, which is ignored, and port; None for a free port.
            remote_addr: Default destination as host and port; None for none.
            options: As for `create_connection`.

        Returns:
            The transport and the protocol.
        """
        if options.get("sock") is not None:
            return _handed_over(options["sock"], protocol_factory, "create_datagram_endpoint")
        return self.network.endpoint(protocol_factory, local_addr, remote_addr)

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        **timeouts: Any,
    ) -> Any:
        """
        Encrypt a connection from now on.

        Args:
            transport: Its transport.
            protocol: Its protocol.
            sslcontext: The context.
            server_side: Whether it is the server's end.
            server_hostname: The name that the certificate of the server must have; None for any.
            timeouts: ``ssl_handshake_timeout`` and ``ssl_shutdown_timeout``.

        Returns:
            The transport that encrypts.
        """
        done, options = self.create_future(), {"ssl": sslcontext, **timeouts}
        secure = secured(
            self, protocol, options, done,
            hostname=server_hostname, is_server=server_side, is_connected=True,
        )  # fmt: skip
        shown = app_transport(secure)
        # Nothing is received before the handshake has begun.
        transport.pause_reading()
        transport.set_protocol(secure)
        steps = (
            self.call_soon(secure.connection_made, transport),
            self.call_soon(transport.resume_reading),
        )
        try:
            await done
        except BaseException:
            transport.close()
            for step in steps:
                step.cancel()
            raise
        return shown

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """
        Resolve a name as `socket.getaddrinfo` does.

        Args:
            host: A name or an address; None for the calling host.
            port: A number, its text, or None.
            family: ``AF_INET``, ``AF_INET6``, or 0 for both.
            type: ``SOCK_STREAM``, ``SOCK_DGRAM``, or 0 for both.
            proto: Has no effect.
            flags: Only ``AI_PASSIVE`` has an effect.
        """
        return self.names.resolve(host, port, family, type, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """Return name and service of an address."""
        return self.names.info(*sockaddr[:2])

    # -- sockets ----------------------------------------------------------------------------

    async def sock_connect(self, sock: Any, address: Any) -> None:
        await _simulated(sock, "sock_connect").connected(address)

    async def sock_accept(self, sock: Any) -> Any:
        await _simulated(sock, "sock_accept").wait(lambda: sock.is_readable)
        return sock.accept()

    async def sock_recv(self, sock: Any, nbytes: int) -> bytes:
        await _simulated(sock, "sock_recv").wait(lambda: sock.is_readable)
        return bytes(sock.recv(nbytes))

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        await _simulated(sock, "sock_recv_into").wait(lambda: sock.is_readable)
        return int(sock.recv_into(buf))

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> Any:
        await _simulated(sock, "sock_recvfrom").wait(lambda: sock.is_readable)
        return sock.recvfrom(bufsize)

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> Any:
        """Receive a datagram from *sock* into *buf*, at most *nbytes* if that is not zero."""
        await _simulated(sock, "sock_recvfrom_into").wait(lambda: sock.is_readable)
        data, sender = sock.recvfrom(nbytes or len(buf))
        buf[: len(data)] = data
        return len(data), sender

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        _simulated(sock, "sock_sendall").put(data)
        await sock.wait(lambda: sock.is_writable)

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> int:
        """Send *data* from *sock* to *address*."""
        return int(_simulated(sock, "sock_sendto").sendto(data, address))

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Call *callback* with *args* whenever *fd*, a simulated socket, can be read from."""
        self._socket(fd, "add_reader").watch("read", lambda: callback(*args))

    def remove_reader(self, fd: Any) -> bool:
        found = self._found(fd)
        return found is not None and found.watch("read", None)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Call *callback* with *args* whenever *fd*, a simulated socket, can be written to."""
        self._socket(fd, "add_writer").watch("write", lambda: callback(*args))

    def remove_writer(self, fd: Any) -> bool:
        found = self._found(fd)
        return found is not None and found.watch("write", None)

    def _found(self, fd: Any) -> Any:
        return self.network.sockets.get(fd if isinstance(fd, int) else fd.fileno())

    def _socket(self, fd: Any, what: str) -> Any:
        found = self._found(fd)
        if found is None:
            raise refused(f"loop.{what}()", "reaches outside the simulator")
        return found


def _simulated(sock: Any, what: str) -> Any:
    """Return *sock*, which must be of the simulated network."""
    if not hasattr(sock, "hand_over"):
        raise refused(f"loop.{what}()", "uses a real socket; create it inside the trial")
    return sock


def _handed_over(sock: Any, factory: Callable[[], Any], what: str) -> tuple[Any, Any]:
    """Connect the transport of *sock* to a new protocol; return both."""
    _simulated(sock, what)
    protocol = factory()
    return sock.hand_over(protocol), protocol


def _not_simulated(name: str) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise refused(f"loop.{name}()", "reaches outside the simulator")

    return refuse


# The inherited methods raise NotImplementedError, which names no place in the project.
for _name in (
    "subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe",
    "sock_sendfile", "sendfile",
):  # fmt: skip
    setattr(LoopNetwork, _name, _not_simulated(_name))
