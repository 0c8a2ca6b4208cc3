"""
How protocols receive what a transport has for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["ignore", "receiver"]


def receiver(protocol: Any) -> Callable[[Any], None]:
    """How *protocol* receives data: as a whole, or through a buffer of its own."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        receive: Callable[[Any], None] = protocol.data_received
        return receive

    def fill(data: Any) -> None:
        while data:
            buffer = memoryview(protocol.get_buffer(len(data))).cast("B")
            size = min(len(buffer), len(data))
            if not size:
                raise RuntimeError("get_buffer() returned an empty buffer")
            buffer[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]

    return fill


def ignore(_: object) -> None:
    """Discard data; stands in until a protocol is connected."""
