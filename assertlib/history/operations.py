"""
Operations: one request of a client, with its call and return times and outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from .requests import Request, Response
from .text import request_in_words, response_in_words

ClientId: TypeAlias = int | str


class Outcome(StrEnum):
    """How an operation ended; an error is `UNKNOWN` unless it proves `NOT_APPLIED`."""

    OK = "ok"
    NOT_APPLIED = "not-applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One request and its outcome.

    Attributes:
        id: Number of the operation in its history.
        client: The client, which has at most one operation in flight.
        call: Time of the request, in nanoseconds from the start of the history.
        returned: Time of the return, in the same unit; None if there was none.
        response: The response; None unless the outcome is ok.
        revision: The revision that it created, if inferred for an unknown outcome.
        endpoint: The member that the request was sent to.
        error: The error message.
    """

    id: int
    client: ClientId
    request: Request
    call: int
    returned: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    response: Response | None = None
    revision: int | None = None
    endpoint: str = ""
    error: str = ""

    def __str__(self) -> str:
        # A response implies the outcome ok, so it stands for both.
        ended = self.outcome if self.response is None else response_in_words(self.response)
        at = f" at {self.endpoint}" if self.endpoint else ""
        return f"#{self.id} client {self.client}{at}: {request_in_words(self.request)} → {ended}"


def predecessors(operations: Iterable[Operation]) -> dict[int, Operation]:
    """
    Find operations that were called at the timestamp of their client's previous return.

    Args:
        operations: All operations; those of one client in the order of its calls.

    Returns:
        The previous answered operation, by the id of the later one.  Operations that are ordered
        by their timestamps alone are left out.
    """
    last: dict[ClientId, Operation] = {}
    found: dict[int, Operation] = {}
    for operation in operations:
        before = last.get(operation.client)
        # Different stamps order the two anyway; equal ones would count as overlapping.
        if before is not None and before.returned == operation.call:
            found[operation.id] = before
        # Without a response nothing has to wait for an operation: it may take effect later.  So
        # the next call of the client still follows the last answered one.
        if operation.outcome is Outcome.OK:
            last[operation.client] = operation
    return found
