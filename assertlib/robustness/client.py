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
"""Seconds after which a client stops waiting for an answer."""


class Client:
    """
    One client, connected to one member at a time.

    Attributes:
        id: Its name in the history.
        member: The member it is connected to.
    """

    def __init__(self, id: ClientId, store: Store, member: Member, journal: Journal) -> None:
        self.id = id
        self.member = member
        self._store = store
        self._journal = journal
        self._connection: Connection | None = None

    async def connection(self) -> Connection:
        """The connection to its member."""
        if self._connection is None:
            self._connection = await self._store.connect(self.member)
        return self._connection

    async def do(self, request: Request, within: float = REQUEST_TIMEOUT) -> Response | None:
        """The answer to *request*; None if none came in *within* seconds, for whatever reason."""
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
            # What could not even be connected was never sent.
            outcome = Outcome.UNKNOWN if sent else Outcome.NOT_APPLIED
            self._journal.ended(number, outcome, error)
            await self.close()
        else:
            self._keep(number, request, response)
            return response
        return None

    def _keep(self, number: int, request: Request, response: Response) -> None:
        try:
            self._journal.answered(number, response)
        except (ValueError, TypeError) as error:
            raise AdapterError(
                f"the adapter of {self._store.name} answered {request!r} with {response!r},"
                f" which is none of the answers in assertlib.history.requests: {error}"
            ) from None

    async def watch(self, request: Watch) -> AsyncIterator[Delivery]:
        """What a watch is sent, until it ends; an error ends it too."""
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
            self._journal.closed(number, error)

    async def close(self) -> None:
        """Give up the connection; the next request makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
