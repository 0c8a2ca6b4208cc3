"""
Room for code that nests deeply: a chain of some hundred calls is ordinary in generated code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_FRAMES = 4000
"""A few for each of the thousand levels or so that Python's own parser takes; some MB of stack."""


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let functions call themselves more often than usual in here."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
