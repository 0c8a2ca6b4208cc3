"""
Operations: what one client asked once, between which times, and how it ended.
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
    One request and what became of it.

    Attributes:
        id: Its number in the history.
        client: Who asked; one client asks one thing at a time.
        call: When it was sent, in nanoseconds from the beginning of the history.
        returned: When its end was known; None if that never came.
        response: What was answered; None unless the outcome is ok.
        revision: For an unknown outcome that was found out: the revision it made.
        endpoint: Which member it was sent to.
        error: What went wrong, in words.
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
