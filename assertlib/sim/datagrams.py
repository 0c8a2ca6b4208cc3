"""
Ends of the simulated network for datagrams and messages; the network itself is in `network`.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from .loop import SimLoop
from .process import DEAD, Process
from .transport_socket import TransportSocket

__all__ = ["Endpoint", "Mailbox"]

Address = tuple[str, int]
"""Host and port."""

_LARGEST = 65507
"""Bytes of the largest datagram over IPv4: 65,535 without the headers of IP and UDP; RFC 768."""


class Mailbox:
    """
    Messages received by one host, each with its sender.

    Attributes:
        address: Host and port that others send to.
    """

    def __init__(
        self,
        loop: SimLoop,
        process: Process,
        address: Address,
        post: Callable[[Address, Address, object], None],
    ) -> None:
        """
        Args:
            loop: The loop of the world.
            process: The process that it belongs to.
            address: Host and port that others send to.
            post: Called with sender, receiver and message to send one.
        """
        self.address = address
        self.process = process
        self._post = post
        self._loop = loop
        self._letters: deque[tuple[Any, Address]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def send(self, to: Address, message: object) -> None:
        """Send *message*, which must not be modified afterwards, to the mailbox at *to*."""
        if self.process.state != DEAD:
            self._post(self.address, to, message)

    async def receive(self) -> tuple[Any, Address]:
        """Wait for the next message; return it and the address of its sender."""
        while not self._letters:
            future = self._loop.create_future()
            self._waiting.append(future)
            try:
                await future
            except asyncio.CancelledError:
                # Woken for a message and cancelled before running: the next waiter must take it.
                if self._letters and future.done() and not future.cancelled():
                    self._wake()
                raise
        return self._letters.popleft()

    def put(self, letter: tuple[object, Address]) -> None:
        """Add *letter*, a message and its sender, and wake one waiter."""
        self._letters.append(letter)
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return


class Endpoint(asyncio.DatagramTransport):
    """A socket for datagrams."""

    def __init__(
        self,
        loop: SimLoop,
        process: Process,
        address: Address,
        remote: Address | None,
        send: Callable[[Address, Any, bytes], None],
        shown: Callable[[Address], Address],
        unbind: Callable[[Endpoint], None],
    ) -> None:
        """
        Args:
            loop: The loop of the world.
            process: The process that it belongs to.
            address: Host and port that others send to.
            remote: The default destination; None for none.
            send: Called with sender, receiver and data to send a datagram.
            shown: Returns the address that programs see for a host and a port.
            unbind: Called with the endpoint when it is closed, to free its port.
        """
        super().__init__()
        self.process = process
        self.address = address
        self._loop = loop
        self._send = send
        self._shown = shown
        self._unbind = unbind
        self._remote = remote
        self._is_closing = False
        self.number = loop.next_number()
        self._protocol: Any = None
        self._context: Any = None

    def begin(self, protocol: Any) -> None:
        """Deliver datagrams to *protocol*, in the context of the caller."""
        self._protocol = protocol
        self._context = contextvars.copy_context()
        protocol.connection_made(self)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """
        Send *data* to *addr*, a host and a port, or to the default destination.

        A datagram that is too large is reported to the protocol, as in asyncio.

        Raises:
            ValueError: There is neither an address nor a default destination.
        """
        try:
            self.send(data, addr)
        except OSError as error:
            self._protocol.error_received(error)

    def send(self, data: Any, addr: Any = None) -> None:
        """
        Send *data* as `sendto` does.

        Raises:
            OSError: It is too large for a datagram.
            ValueError: There is neither an address nor a default destination.
        """
        to = addr or self._remote
        if to is None:
            raise ValueError("a datagram needs an address")
        if len(data) > _LARGEST:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        if not self._is_closing and self.process.state != DEAD:
            self._send(self.address, to, bytes(data))

    def connect(self, remote: Any) -> None:
        """Set the default destination, a host and a port."""
        self._remote = remote

    def receive(self, data: bytes, sender: Address) -> None:
        """Pass a datagram to the protocol, in its process."""
        if not self._is_closing:
            self._loop.call_soon(
                self._protocol.datagram_received, data, self._shown(sender), context=self._context
            )

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def deliver(self, received: tuple[bytes, Address]) -> None:
        """Pass a datagram and its sender, as programs see it, to the protocol at once."""
        self._protocol.datagram_received(*received)

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._unbind(self)
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self._is_closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        own = self._shown(self.address)
        peer = None if self._remote is None else self._shown(self._remote)
        if name == "socket":
            return TransportSocket(socket.SOCK_DGRAM, own, peer, self.number)
        return {"sockname": own, "peername": peer}.get(name, default)
