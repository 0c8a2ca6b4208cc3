"""
The socket that a transport shows, as asyncio's own transports do.
"""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["TransportSocket"]


class TransportSocket:
    """
    A view of a connection, a listening port or a datagram endpoint; it cannot send or receive.

    Args:
        kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
        local: Its own address.
        remote: The address of its peer; None without one.
        number: Its file descriptor, which no real file has.
    """

    def __init__(
        self, kind: int, local: tuple[Any, ...], remote: tuple[Any, ...] | None, number: int
    ) -> None:
        self.family = socket.AF_INET if isinstance(local, tuple) else socket.AF_UNIX
        self.type = kind
        self.proto = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
        self._local = local
        self._remote = remote
        self._number = number
        self.options: dict[tuple[int, int], Any] = {}

    def getsockname(self) -> tuple[Any, ...]:
        return self._local

    def getpeername(self) -> tuple[Any, ...]:
        """
        Raises:
            OSError: It is not connected.
        """
        if self._remote is None:
            raise OSError(107, "Transport endpoint is not connected")
        return self._remote

    def setsockopt(self, level: int, option: int, value: Any = None, *_: Any) -> None:
        """Set *option* of *level* to *value*; of all options only keepalive has an effect."""
        self.options[level, option] = value

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """Return *option* of *level*, as *size* bytes if that is not zero."""
        value = self.options.get((level, option), 0)
        return (
            value if not size or isinstance(value, bytes) else int(value).to_bytes(size, "little")
        )

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        """
        Accept only False for *flag*, as asyncio's transports do.

        Raises:
            ValueError: It is True.
        """
        if flag:
            raise ValueError("setblocking(): transport sockets cannot be blocking")

    def settimeout(self, value: float | None) -> None:
        """
        Accept only 0 for *value*, as asyncio's transports do.

        Raises:
            ValueError: It is another one.
        """
        if value != 0:
            raise ValueError("settimeout(): only 0 timeout is allowed on transport sockets")

    def gettimeout(self) -> float:
        return 0.0

    def shutdown(self, how: int) -> None:
        """Do nothing: transports are closed, not their sockets."""

    def dup(self) -> Any:
        """
        Raises:
            OSError: Always: only the transport can be used.
        """
        raise OSError(22, "a socket of the simulated network cannot be duplicated")

    def __repr__(self) -> str:
        return f"<socket {self._local} to {self._remote}>"
