"""
Start processes with a fixed memory layout, so that address-based hashes are reproducible.

Before Python 3.12 ``hash(None)`` is derived from an address, as is the hash of every object whose
class does not define one.  Linux randomises addresses at exec unless the starting thread has the
personality ``ADDR_NO_RANDOMIZE``, see personality(2).  Some sandboxes refuse the call.
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
    """The system call; it returns the previous personality, or -1 if refused or missing."""
    # The symbol is missing outside Linux, and on Windows there is no library to search.
    try:
        call = ctypes.CDLL(None).personality
    except (OSError, AttributeError, TypeError):
        return lambda _: -1
    call.argtypes, call.restype = [ctypes.c_ulong], ctypes.c_int
    return lambda persona: int(call(persona))


def are_fixed() -> bool:
    """Whether this process runs with the fixed memory layout."""
    # The query value leaves the personality as it is.
    persona = _personality()(_QUERY)
    return persona >= 0 and bool(persona & _NO_RANDOMIZE)


@contextmanager
def fixed() -> Iterator[None]:
    """Fix the memory layout of processes that this thread starts in the block, if permitted."""
    call = _personality()
    before = call(_QUERY)
    is_changed = before >= 0 and call(before | _NO_RANDOMIZE) >= 0
    try:
        yield
    finally:
        # The personality belongs to the thread, which may start unrelated processes later.
        if is_changed:
            call(before)
