"""
Log records of the store, and what it prints, in the log of a trial.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .loop import SimLoop

__all__ = ["logged"]

_MOST_LOGGED = 200
"""Characters of a record in the log of a trial."""


class _Notes(logging.Handler):
    """Puts the log records of the store, its warnings included, into the log of the trial."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        """Note *record* in one line, without addresses, which differ between processes."""
        try:
            text = " ".join(record.getMessage().split())
        except Exception:
            # The arguments do not fit the message; logging itself reports that elsewhere.
            text = str(record.msg)
        self._loop.note(f"log: {record.levelname} {record.name}: {_shown(text)}")


class _Printed:
    """A standard stream that also puts each line written to it into the log of the trial."""

    def __init__(self, stream: Any, loop: SimLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._begun = ""

    def write(self, text: str) -> int:
        """Write *text*, and note the lines that it ends."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._loop.note(f"prints: {_shown(line)}")
        written: int = self._stream.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _shown(text: str) -> str:
    return re.sub("0x[0-9a-f]{6,}", "0x...", text)[:_MOST_LOGGED]


@contextmanager
def logged(loop: SimLoop) -> Iterator[None]:
    """
    Put log records and printed lines into the log of *loop* during the block, if it keeps one.

    What the store configures at the root logger is undone at the end.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    streams = sys.stdout, sys.stderr
    if loop.keep_log:
        root.addHandler(_Notes(loop))
        sys.stdout, sys.stderr = (_Printed(stream, loop) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        root.handlers[:] = handlers
        root.setLevel(level)
