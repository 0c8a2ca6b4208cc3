"""
The journal: writes the history of a campaign while it runs.

Calls and faults are recorded before they take effect.  Each record is a single write to the file,
so killing the campaign loses at most the record that is being written.
"""

from __future__ import annotations

import errno
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
    """
    The history of one campaign, as it is written.  A context manager that closes the file.

    Args:
        directory: The directory that receives the file.
        header: The first record.

    Raises:
        OSError: The file exists already, or cannot be created.
    """

    def __init__(self, directory: Path, header: Header) -> None:
        # O_EXCL: appending to the history of another campaign would make both unreadable.
        # O_CLOEXEC: members must not keep the file open after the campaign.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(directory / FILE, flags, 0o644)
        # A step of the wall clock must not reorder operations.
        self._began = time.monotonic_ns()
        # One sequence of numbers for operations and watches.
        self._ids = itertools.count(1)
        # Readers require the header as the first record.
        self.write(header)

    def now(self) -> int:
        """Return the time in nanoseconds since the history began."""
        return time.monotonic_ns() - self._began

    def write(self, record: Record) -> None:
        """
        Append *record*.

        Raises:
            OSError: The disk is full.
        """
        # Unbuffered: a killed campaign loses no record that was written before.
        data = line(record)
        written = os.write(self._descriptor, data)
        if written < len(data):
            # The next record would be joined to half of this one, and neither could be read.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), FILE)

    def call(self, client: ClientId, request: Request, endpoint: str) -> int:
        """
        Record that a request is about to be sent.

        Args:
            client: The client that sends it.
            request: The request.
            endpoint: Name of the member that receives it.

        Returns:
            The number of the operation.
        """
        number = next(self._ids)
        self.write(Call(number, client, self.now(), request, endpoint))
        return number

    def answered(self, number: int, response: Response) -> None:
        """
        Record *response* as the response to operation *number*.

        Raises:
            TypeError: *response* is not a response.
            ValueError: *response* contains a value that cannot be serialized.
        """
        # Every response has the discriminator field `answer`; None and foreign objects lack it.
        if response is None or not hasattr(response, "answer"):
            raise TypeError("not a response")
        self.write(Return(number, self.now(), Outcome.OK, response))

    def ended(self, number: int, outcome: Outcome, error: BaseException) -> None:
        """
        Record the end of an operation that got no response.

        Args:
            number: The number of the operation.
            outcome: Whether the request may have been applied.
            error: The exception that ended it.
        """
        text = f"{type(error).__name__}: {error}"
        # Bounded: an error message can be of any length, and every failure adds a record.
        self.write(Return(number, self.now(), outcome, error=text[:300]))

    def opened(self, client: ClientId, request: Watch, endpoint: str) -> int:
        """
        Record that a watch is about to be requested.

        Args:
            client: The client that watches.
            request: The watch.
            endpoint: Name of the member that serves it.

        Returns:
            The number of the watch.
        """
        number = next(self._ids)
        self.write(WatchOpened(number, client, self.now(), request, endpoint))
        return number

    def delivered(self, watch: int, delivery: Delivery) -> None:
        """Record a *delivery* to the watch with the number *watch*."""
        self.write(Delivered(watch, self.now(), delivery))

    def closed(self, watch: int, error: str) -> None:
        """Record the end of *watch*, with the *error* that ended it or an empty text."""
        self.write(WatchClosed(watch, self.now(), error))

    def fault_begins(self, name: str, targets: tuple[str, ...], breaks: tuple[str, ...]) -> None:
        """
        Record that a fault is about to be injected.

        Args:
            name: Name of the fault.
            targets: Names of the affected members.
            breaks: IDs of the assumptions that it breaks.
        """
        self.write(Fault(self.now(), name, "begin", targets, breaks))

    def fault_ends(self, name: str, targets: tuple[str, ...], effect: int, measured: str) -> Fault:
        """
        Record that a fault was undone.

        Args:
            name: Name of the fault.
            targets: Names of the affected members, as at its beginning.
            effect: Size of the measured effect; 0 for none.
            measured: The quantity that was measured, or why there was no effect.

        Returns:
            The record.
        """
        # Only the record of the beginning lists the broken assumptions.
        record = Fault(self.now(), name, "end", targets, effect=effect, measured=measured)
        self.write(record)
        return record

    def note(self, name: str, **details: str | float | bool | None) -> None:
        """Record any other event called *name*, with plain *details*."""
        self.write(Note(self.now(), name, dict(details)))

    def close(self) -> None:
        """Close the file; nothing can be recorded afterwards."""
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
