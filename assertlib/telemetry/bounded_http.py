"""
HTTP sessions for exporters in which an answer has a greatest size and a last moment.

Requests limits the time of each read and no size, so that a collector that answers for ever keeps a
program reading for ever.  Here the bytes of an answer, headers included, are counted where they
leave the socket.
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
"""Of one answer; those of collectors have some dozens, or an error message."""
_SECONDS = 10.0
"""For one answer, where the exporter sets no timeout: the one that OTLP exporters have."""


class _Bounded(io.RawIOBase):
    """The bytes of one answer."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw = raw
        self._socket = connection
        self._left = MOST_BYTES
        self._end = time.monotonic() + (connection.gettimeout() or _SECONDS)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """
        Read what has come.

        Raises:
            OSError: The answer is too long, or takes too long.
        """
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the answer of the collector does not end")
        if not self._left:
            raise OSError(f"the answer of the collector is longer than {MOST_BYTES:,} bytes")
        self._socket.settimeout(seconds)
        count: int | None = self._raw.readinto(memoryview(buffer)[: self._left])
        self._left -= count or 0
        return count

    def close(self) -> None:
        """Close it."""
        self._raw.close()
        super().close()


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
        # Nothing is unpacked: few bytes may become many.
        resp.headers.pop("content-encoding", None)
        return super().build_response(req, resp)


def bounded_session(environment: Mapping[str, str]) -> requests.Session | None:
    """A session whose answers end; None if *environment* names a provider of sessions."""
    if any(name.endswith("_CREDENTIAL_PROVIDER") for name in environment):
        return None
    session = requests.Session()
    for scheme in _POOLS:
        session.mount(f"{scheme}://", _Adapter())
    return session
