"""
Payloads of messages and writes, as a trace shows them.
"""

from __future__ import annotations

__all__ = ["shown"]

_MOST = 60
_PLAIN = bytes(range(32, 127)) + b"\r\n\t"


def shown(data: bytes) -> str:
    """
    Return the size of *data*, with its text if all of it is printable, and its beginning if long.

    Other payloads may be encrypted with entropy that no tape decides, and so stay out of the log.
    """
    size = f"{len(data):,} byte{'s' * (len(data) != 1)}"
    if data.translate(None, _PLAIN):
        return size
    text = data[:_MOST].decode("ascii")
    return f"{size} {text!r}{'...' * (len(data) > _MOST)}"
