"""
TLS over simulated streams, by asyncio's own implementation.

Handshakes and records depend on entropy that OpenSSL draws itself, so that their bytes differ from
run to run.  Logs mention them without bytes and sizes, and no choice depends on them, except that the
size of a record decides whether it still fits into a buffer.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping
from typing import Any

__all__ = ["abandon", "app_transport", "is_tls", "secured"]

_TIMEOUTS = ("ssl_handshake_timeout", "ssl_shutdown_timeout")


def secured(
    loop: asyncio.AbstractEventLoop,
    protocol: Any,
    options: Mapping[str, Any],
    done: asyncio.Future[None] | None = None,
    *,
    hostname: str | None = None,
    is_server: bool = False,
    is_connected: bool = False,
) -> SSLProtocol:
    """
    Put TLS between a transport and a protocol.

    Args:
        loop: The loop of the trial.
        protocol: What reads and writes the plain text.
        options: Those of the call in asyncio: ``ssl`` is a context, or True for the default one, and
            the timeouts have their usual effect, in virtual seconds.
        done: Set when the handshake is over; None for nothing.
        hostname: The name that the certificate of the server must have; None for any.
        is_server: Whether it is the server's end.
        is_connected: Whether *protocol* is connected to a transport already.

    Returns:
        The protocol to connect to the transport.
    """
    context = options["ssl"]
    return SSLProtocol(
        loop,
        protocol,
        None if context is True else context,  # type: ignore[arg-type]
        done,  # type: ignore[arg-type]
        is_server,
        hostname,
        not is_connected,
        **{name: options[name] for name in _TIMEOUTS if name in options},
    )


def app_transport(secure: SSLProtocol) -> Any:
    """Return the transport that *secure* offers to its protocol."""
    return secure._app_transport


def is_tls(protocol: object) -> bool:
    """Whether what *protocol* writes is encrypted."""
    return isinstance(protocol, SSLProtocol)


def abandon(protocol: object) -> None:
    """Keep a connection that is left open by the end of a trial from warning about that."""
    if isinstance(protocol, SSLProtocol) and app_transport(protocol) is not None:
        app_transport(protocol)._closed = True
