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
    """How an operation ended; an error that is not known to mean `NOT_APPLIED` is `UNKNOWN`."""

    OK = "ok"
    NOT_APPLIED = "not-applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One request and its outcome.

    Attributes:
        id: Its number in the history.
        client: The client; each client has at most one operation in flight.
        call: Time of the request, in nanoseconds from the start of the history.
        returned: Time of its return; None if it never returned.
        response: The response; None unless the outcome is ok.
        revision: The revision it created, if found out for an unknown outcome.
        endpoint: The member it was sent to.
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
        ended = self.outcome if self.response is None else response_in_words(self.response)
        at = f" at {self.endpoint}" if self.endpoint else ""
        return f"#{self.id} client {self.client}{at}: {request_in_words(self.request)} → {ended}"


def predecessors(operations: Iterable[Operation]) -> dict[int, Operation]:
    """
    Which answered operation of the same client each one follows without any time between them.

    Args:
        operations: Those of each client in the order in which it called them.

    Returns:
        The operation before, by the number of the one that was called at the very stamp of its
        return; operations that time stamps alone put in order are not in it.
    """
    last: dict[ClientId, Operation] = {}
    found: dict[int, Operation] = {}
    for operation in operations:
        before = last.get(operation.client)
        if before is not None and before.returned == operation.call:
            found[operation.id] = before
        if operation.outcome is Outcome.OK:
            last[operation.client] = operation
    return found
