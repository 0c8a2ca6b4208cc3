"""
Log records of the store in the log of a trial.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

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
        text = re.sub("0x[0-9a-f]{6,}", "0x...", text)[:_MOST_LOGGED]
        self._loop.note(f"log: {record.levelname} {record.name}: {text}")


@contextmanager
def logged(loop: SimLoop) -> Iterator[None]:
    """Put log records into the log of *loop* during the block, if it keeps one."""
    if not loop.keep_log:
        yield
        return
    notes = _Notes(loop)
    root = logging.getLogger()
    root.addHandler(notes)
    try:
        yield
    finally:
        root.removeHandler(notes)
