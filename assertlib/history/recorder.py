"""
Record a history while it happens, and judge it: in a test, or in a trial of the simulator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .history import History, assembled
from .linearizability import BUDGET
from .operations import Outcome
from .records import Call, Header, Record, Return, line
from .requests import Request, Response
from .validation import LINEARIZABLE, Status, validate

__all__ = ["Pending", "Recorder"]


class Pending:
    """An operation under way; what is not answered has an unknown outcome."""

    def __init__(self) -> None:
        self.outcome = Outcome.UNKNOWN
        self.response: Response | None = None

    def ok(self, response: Response) -> None:
        """Note the store's *response*."""
        self.outcome, self.response = Outcome.OK, response

    def not_applied(self) -> None:
        """Note that the operation is certain to have no effect."""
        self.outcome = Outcome.NOT_APPLIED


class Recorder:
    """
    A history that is being recorded.

    Args:
        model: The model that the store is compared with, such as ``kv``.
        clock: Returns nanoseconds of a clock that never steps back; by default that of the process,
            which in a simulated trial is a virtual one.
        about: A description of the run.

    Attributes:
        records: The records so far.
    """

    def __init__(
        self, model: str = "kv", clock: Callable[[], int] | None = None, **about: Any
    ) -> None:
        # Looked up now: in a trial, the simulator has replaced the clock by a virtual one.
        self._clock = clock or time.monotonic_ns
        self._began = self._clock()
        self._header = Header(model, about)
        self._number = 0
        self.records: list[Record] = []

    @contextmanager
    def operation(self, client: str | int, request: Request) -> Iterator[Pending]:
        """
        Record an operation of *client*, which does *request* in the block.

        An exception leaves the outcome unknown, unless the block has noted another one.

        Yields:
            The operation, which takes the response.
        """
        self._number += 1
        number, pending, error = self._number, Pending(), ""
        self.records.append(Call(number, client, self._now(), request))
        try:
            yield pending
        except BaseException as raised:
            error = repr(raised)
            raise
        finally:
            self.records.append(
                Return(number, self._now(), pending.outcome, pending.response, error)
            )

    def _now(self) -> int:
        return self._clock() - self._began

    def history(self) -> History:
        """Return the history so far."""
        return assembled(self._header, self.records)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of its file, which ``assertlib history check`` judges."""
        yield from map(line, [self._header, *self.records])

    def complaint(self, budget: int = BUDGET) -> str:
        """
        Judge the history; whatever is not proved to be linearizable is a complaint.

        Args:
            budget: Steps of the search after which the result is unknown.

        Returns:
            Why it is not linearizable, with the smallest part that no order explains; empty if it
            is.
        """
        found = validate(self.history(), budget=budget)
        if found.status is Status.SUCCESS:
            return ""
        complaints = [each.text for check in found.checks for each in check.complaints]
        # Nothing to judge is not a pass, but only for the check that this is about.
        open_ones = (
            each
            for each in found.checks
            if each.status in (Status.UNKNOWN, Status.NOT_CHECKED) or each.name == LINEARIZABLE
        )
        reasons = [f"{each.name}: {each.reason}" for each in open_ones if each.reason]
        return "\n".join([*complaints, *reasons]) or str(found.status)

    def __repr__(self) -> str:
        return f"<Recorder of {self._number} operations>"
