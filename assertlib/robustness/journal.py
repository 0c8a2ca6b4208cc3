"""
Writes the history of a campaign; each record is written before anything depends on it.

Each record is one write to the file, so killing the writer loses at most the record being written.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ..history.operations import ClientId, Outcome
from ..history.records import (
    Call,
    Delivered,
    Fault,
    Header,
    Note,
    Record,
    Return,
    WatchClosed,
    WatchOpened,
    line,
)
from ..history.requests import Delivery, Request, Response, Watch

FILE = "history.jsonl"


class Journal:
    """The growing history of one campaign."""

    def __init__(self, directory: Path, header: Header) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(directory / FILE, flags, 0o644)
        self._began = time.monotonic_ns()
        self._ids = itertools.count(1)
        self.write(header)

    def now(self) -> int:
        """Nanoseconds since the history began."""
        return time.monotonic_ns() - self._began

    def write(self, record: Record) -> None:
        """Add *record*."""
        os.write(self._descriptor, line(record))

    def call(self, client: ClientId, request: Request, endpoint: str) -> int:
        """A request is about to be sent; returns the number of the operation."""
        number = next(self._ids)
        self.write(Call(number, client, self.now(), request, endpoint))
        return number

    def answered(self, number: int, response: Response) -> None:
        """
        The operation was answered.

        Raises:
            TypeError: It was not.
            ValueError: The answer holds what cannot be written down.
        """
        if response is None or not hasattr(response, "answer"):
            raise TypeError("not a response")
        self.write(Return(number, self.now(), Outcome.OK, response))

    def ended(self, number: int, outcome: Outcome, error: BaseException) -> None:
        """The operation ended without an answer."""
        text = f"{type(error).__name__}: {error}"
        self.write(Return(number, self.now(), outcome, error=text[:300]))

    def opened(self, client: ClientId, request: Watch, endpoint: str) -> int:
        """A watch is about to be asked for; returns its number."""
        number = next(self._ids)
        self.write(WatchOpened(number, client, self.now(), request, endpoint))
        return number

    def delivered(self, watch: int, delivery: Delivery) -> None:
        """A watch was sent something."""
        self.write(Delivered(watch, self.now(), delivery))

    def closed(self, watch: int, error: str) -> None:
        """A watch is over."""
        self.write(WatchClosed(watch, self.now(), error))

    def fault_begins(self, name: str, targets: tuple[str, ...], breaks: tuple[str, ...]) -> None:
        """A fault is about to be injected."""
        self.write(Fault(self.now(), name, "begin", targets, breaks))

    def fault_ends(self, name: str, targets: tuple[str, ...], effect: int, measured: str) -> Fault:
        """A fault was taken back; returns the record."""
        record = Fault(self.now(), name, "end", targets, effect=effect, measured=measured)
        self.write(record)
        return record

    def note(self, name: str, **details: str | float | bool | None) -> None:
        """Anything else worth knowing."""
        self.write(Note(self.now(), name, dict(details)))

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
