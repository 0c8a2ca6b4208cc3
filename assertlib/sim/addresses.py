"""
Processes whose memory is laid out alike, so that hashes by address are, too.

``hash(None)`` is an address before Python 3.12, and so is that of each object whose class defines
none.  Linux randomises addresses at exec, unless the personality of the thread that starts the
process says otherwise: ``ADDR_NO_RANDOMIZE``, personality(2).  Some sandboxes refuse the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["are_fixed", "fixed"]

_NO_RANDOMIZE = 0x0040000
_QUERY = 0xFFFFFFFF


@cache
def _personality() -> Callable[[int], int]:
    """The system call: the personality before, or -1 where it is refused or missing."""
    try:
        call = ctypes.CDLL(None).personality
    except (OSError, AttributeError, TypeError):
        return lambda _: -1
    call.argtypes, call.restype = [ctypes.c_ulong], ctypes.c_int
    return lambda persona: int(call(persona))


def are_fixed() -> bool:
    """Whether the memory of this process is laid out as in each other that is started so."""
    persona = _personality()(_QUERY)
    return persona >= 0 and bool(persona & _NO_RANDOMIZE)


@contextmanager
def fixed() -> Iterator[None]:
    """Lay out alike the processes that this thread starts in the block, where that is allowed."""
    call = _personality()
    before = call(_QUERY)
    is_changed = before >= 0 and call(before | _NO_RANDOMIZE) >= 0
    try:
        yield
    finally:
        if is_changed:
            call(before)
