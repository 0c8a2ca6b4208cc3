"""
HTTP sessions for exporters that limit the size and the duration of a response.

Requests only limits the time of each read, so a collector that never stops responding would keep
the program reading forever.  Here the bytes of a response, including its headers, are counted as
they are read from the socket.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_BYTES = 1 << 20
"""Maximum size of a response; collectors send a few dozen bytes or an error message."""
_SECONDS = 10.0
"""Maximum duration of a response if the exporter sets no timeout: the default of OTLP."""


class _Bounded(io.RawIOBase):
    """The bytes of one response."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw = raw
        self._socket = connection
        self._left = MOST_BYTES
        # The timeout of the socket is that of one read; here it limits the whole response.
        self._end = time.monotonic() + (connection.gettimeout() or _SECONDS)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """
        Read available bytes into *buffer*, and return their number.

        Raises:
            OSError: The response is too large or takes too long.
        """
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the collector's response does not end")
        if not self._left:
            raise OSError(f"the collector's response is larger than {MOST_BYTES:,} bytes")
        # A server that sends a byte now and then would restart a constant timeout with each one.
        self._socket.settimeout(seconds)
        count: int | None = self._raw.readinto(memoryview(buffer)[: self._left])
        self._left -= count or 0
        return count

    def close(self) -> None:
        """Close the underlying stream."""
        self._raw.close()
        super().close()


# The class of responses is reached through all layers: the adapter selects the pools, a pool the
# connection, and a connection the response.
class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Bounded(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        # Responses are not decompressed, since a few bytes could become very many.
        resp.headers.pop("content-encoding", None)
        return super().build_response(req, resp)


def bounded_session(environment: Mapping[str, str]) -> requests.Session | None:
    """Return a session with bounded responses; None if *environment* configures its own."""
    # A credential provider of the exporter supplies the session, and is only used without ours.
    if any(name.endswith("_CREDENTIAL_PROVIDER") for name in environment):
        return None
    session = requests.Session()
    for scheme in _POOLS:
        session.mount(f"{scheme}://", _Adapter())
    return session
