"""
The interface of a store adapter: how to start a member, and how a client communicates with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..history.requests import Delivery, Request, Response, Watch


class NotAppliedError(Exception):
    """
    The request had no effect and never will.

    Any other exception raised by a connection leaves the outcome unknown.
    """


class AdapterError(UsageError):
    """An adapter violated its contract; the message names the adapter and the violation."""


@dataclass(frozen=True, slots=True)
class Member:
    """
    One process of a cluster.

    Attributes:
        data: Its data directory, which survives its process.
        port: Client port on 127.0.0.1.
        peer_port: Port on which it has to listen for other members.
        peer_address: ``host:port`` at which other members reach it; not the same if faults are
            put between.
        uid: The user it runs as; None is the one who runs the campaign.
        failpoints: The port on which a program built with gofail is to listen, if it is to.
    """

    name: str
    data: Path
    port: int
    peer_port: int
    peer_address: str
    uid: int | None = None
    failpoints: int | None = None

    @property
    def endpoint(self) -> str:
        """``host:port`` at which clients reach it."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Status:
    """
    The state of a member; fields that the store does not expose stay empty.

    Attributes:
        revision: The last applied revision.
        compacted: The revision of its last compaction.
        hash: Hash of its data at that revision.
    """

    revision: int | None = None
    compacted: int = -1
    hash: int | None = None
    is_leader: bool = False


class Connection(ABC):
    """A client's connection to one member."""

    @abstractmethod
    async def do(self, request: Request) -> Response:
        """
        The answer to *request*, which is sent at most once.

        Raises:
            NotAppliedError: It had no effect.
            Exception: Any other exception leaves the outcome unknown.
        """

    async def status(self) -> Status:
        """
        The state of the member; a response means that it serves clients.

        Raises:
            Exception: It does not.
        """
        return Status()

    def watch(self, request: Watch) -> AsyncIterator[Delivery]:
        """
        What the member sends about *request*, until the watch ends; never resumed by itself.

        Raises:
            NotImplementedError: The store has no watches.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support watches")

    async def close(self) -> None:
        """Close the connection; does nothing by default."""
        return


class Store(ABC):
    """
    The adapter of a store.

    Attributes:
        name: Its name in reports.
        model: Name of the model it is validated against; see ``assertlib robustness list``.
        profile: The default traffic profile.
    """

    name: str
    model: str
    profile: str

    @abstractmethod
    def command(self, member: Member, members: Sequence[Member]) -> list[str]:
        """The command line that starts *member*, for the first time or again."""

    @abstractmethod
    async def connect(self, member: Member) -> Connection:
        """
        A new connection to *member*.

        Raises:
            Exception: It cannot be reached.
        """

    def version(self) -> str:
        """The version of the store, if available."""
        return ""
