"""
A higher recursion limit for deeply nested source; generated code chains hundreds of calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_FRAMES = 4000
"""A few for each of the thousand levels or so that Python's parser accepts; some MB of stack."""


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Raise the recursion limit inside the block."""
    before = sys.getrecursionlimit()
    # Never lowered: the caller may have raised it further.
    sys.setrecursionlimit(max(before, _FRAMES))
    # The limit applies to the whole interpreter, so it is restored for the code of the caller.
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
