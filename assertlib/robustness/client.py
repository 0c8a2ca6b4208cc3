"""
A client that sends one request at a time and records each in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..history.operations import ClientId, Outcome
from ..history.requests import Delivery, Request, Response, Watch
from .adapter import AdapterError, Connection, Member, NotAppliedError, Store
from .journal import Journal

REQUEST_TIMEOUT = 2.0
"""Seconds after which a client stops waiting for a response."""


class Client:
    """
    A client of one member, with at most one request in flight.

    Attributes:
        id: Identifies the client in the history.
        member: The member that receives its requests.
    """

    def __init__(self, id: ClientId, store: Store, member: Member, journal: Journal) -> None:
        self.id = id
        self.member = member
        self._store = store
        self._journal = journal
        self._connection: Connection | None = None

    async def connection(self) -> Connection:
        """Return the connection to the member, and establish it if necessary."""
        if self._connection is None:
            self._connection = await self._store.connect(self.member)
        return self._connection

    async def do(self, request: Request, within: float = REQUEST_TIMEOUT) -> Response | None:
        """
        Send *request* and record its outcome.

        Args:
            request: The request to send.
            within: Seconds to wait for the connection and the response together.

        Returns:
            The response; None if the request failed or timed out.

        Raises:
            AdapterError: The adapter returned something that is not a response.
        """
        # Recorded before the request is sent: if the campaign is killed in between, the history
        # contains an operation of unknown outcome rather than an effect without a cause.
        number = self._journal.call(self.id, request, self.member.name)
        sent = False
        try:
            async with asyncio.timeout(within):
                connection = await self.connection()
                sent = True
                response = await connection.do(request)
        except NotAppliedError as error:
            self._journal.ended(number, Outcome.NOT_APPLIED, error)
            await self.close()
        except asyncio.CancelledError as error:
            self._journal.ended(number, Outcome.UNKNOWN, error)
            raise
        except Exception as error:
            # Without a connection, nothing was sent.
            outcome = Outcome.UNKNOWN if sent else Outcome.NOT_APPLIED
            self._journal.ended(number, outcome, error)
            # The response may still arrive, and must not be taken for that of the next request.
            await self.close()
        else:
            self._record_response(number, request, response)
            return response
        return None

    def _record_response(self, number: int, request: Request, response: Response) -> None:
        try:
            self._journal.answered(number, response)
        except (ValueError, TypeError) as error:
            raise AdapterError(
                f"the adapter of {self._store.name} answered {request!r} with {response!r},"
                f" which is not one of the responses in assertlib.history.requests: {error}"
            ) from None

    async def watch(self, request: Watch) -> AsyncIterator[Delivery]:
        """
        Record and yield the deliveries to the watch *request* until it ends.

        An error ends the watch, and is recorded instead of raised.
        """
        number = self._journal.opened(self.id, request, self.member.name)
        error = ""
        try:
            stream = (await self.connection()).watch(request)
            async for delivery in stream:
                self._journal.delivered(number, delivery)
                yield delivery
        except asyncio.CancelledError:
            raise
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"[:300]
        finally:
            # Reached on cancellation, too: the campaign ends each watch by a timeout.
            self._journal.closed(number, error)

    async def close(self) -> None:
        """Close the connection; the next request establishes a new one."""
        # Detached first: if closing fails, the next request still gets a new connection.
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
