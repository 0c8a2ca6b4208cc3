"""
Names and addresses of simulated hosts.

A host has its name, an IPv4 and an IPv6 address, by the order in which hosts were created.  Inside
the simulator a host is identified by its name; programs see addresses.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

__all__ = ["LOOPBACK", "Names", "port_of", "text_of"]

LOOPBACK = frozenset((None, "", "localhost", "127.0.0.1", "0.0.0.0", "::", "::1"))  # noqa: S104
"""What denotes the calling host itself."""

_V4 = int(ipaddress.IPv4Address("10.0.0.0"))
_V6 = int(ipaddress.IPv6Address("fd00::"))
_TYPES = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}

Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""An entry that `socket.getaddrinfo` returns."""


def text_of(host: Any) -> str | None:
    """Return a host as programs pass it, as text."""
    return bytes(host).decode("idna") if isinstance(host, (bytes, bytearray)) else host


def port_of(port: Any) -> int:
    """
    Return the number of a port.

    Args:
        port: A number, its text, the name of a service, or None for 0.

    Raises:
        socket.gaierror: No service has that name.
    """
    text = port.decode() if isinstance(port, bytes) else str(port or 0)
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except OSError:
        raise socket.gaierror(
            socket.EAI_SERVICE, f"Servname not supported for ai_socktype: {text!r}"
        ) from None


class Names:
    """The names of all hosts of a world."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._by_address: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Give *name* its addresses."""
        if name not in self._numbers:
            self._numbers[name] = len(self._numbers) + 1
            for is_v6 in (False, True):
                self._by_address[self.address(name, is_v6=is_v6)] = name

    def has(self, name: str) -> bool:
        """Whether a host has that *name*."""
        return name in self._numbers

    def address(self, name: str, *, is_v6: bool = False) -> str:
        """Return the address of host *name*; an address without a host is its own."""
        number = self._numbers.get(name)
        if number is None:
            return name
        return str(
            ipaddress.IPv6Address(_V6 + number) if is_v6 else ipaddress.IPv4Address(_V4 + number)
        )

    def name(self, host: Any) -> str:
        """
        Return the name of the host that *host*, a name or an address, denotes.

        Returns:
            The name; an address that no host has is returned as it is.

        Raises:
            socket.gaierror: No host has that name.
        """
        text = str(text_of(host))
        if text in self._numbers:
            return text
        found = self._by_address.get(text)
        if found is not None:
            return found
        try:
            return str(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            raise socket.gaierror(
                socket.EAI_NONAME, f"Name or service not known: no host is named {text!r}"
            ) from None

    def resolve(
        self, host: Any, port: Any, family: int = 0, type: int = 0, flags: int = 0
    ) -> list[Info]:
        """
        Resolve a name as `socket.getaddrinfo` does.

        Args:
            host: A name or an address; None for the calling host.
            port: A number, its text, the name of a service, or None.
            family: ``AF_INET``, ``AF_INET6``, or 0 for both.
            type: ``SOCK_STREAM``, ``SOCK_DGRAM``, or 0 for both.
            flags: Only ``AI_PASSIVE`` has an effect.

        Raises:
            socket.gaierror: No host has that name, or no service.
        """
        number = port_of(port)
        found: list[Info] = []
        for is_v6 in (False, True):
            kind = socket.AF_INET6 if is_v6 else socket.AF_INET
            address = self._shown(text_of(host), is_v6=is_v6, flags=flags)
            if family not in (0, kind) or address is None:
                continue
            place = (address, number, 0, 0) if is_v6 else (address, number)
            found += [(kind, each, _TYPES[each], "", place) for each in _TYPES if type in (0, each)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"no address of {host!r} in that family")
        return found

    def _shown(self, host: str | None, *, is_v6: bool, flags: int) -> str | None:
        """The address of *host* in one family; None if it has none there."""
        if host in (None, ""):
            if flags & socket.AI_PASSIVE:
                return "::" if is_v6 else "0.0.0.0"  # noqa: S104
            return "::1" if is_v6 else "127.0.0.1"
        try:
            given = ipaddress.ip_address(str(host).partition("%")[0])
        except ValueError:
            if host == "localhost":
                return "::1" if is_v6 else "127.0.0.1"
            return self.address(self.name(host), is_v6=is_v6)
        return str(given) if (given.version == 6) == is_v6 else None

    def info(self, host: Any, port: Any) -> tuple[str, str]:
        """Return name and service of an address, as `socket.getnameinfo` does."""
        return self.name(host), str(port)
