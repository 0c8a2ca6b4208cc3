"""
What has to be written for a store so that it can be tested: how a member is started, and how a
client talks to it.
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
    The request had no effect, and never will have one.

    Anything else that a connection raises means that nobody knows.
    """


class AdapterError(UsageError):
    """An adapter does what adapters must not; the text names it and what that was."""


@dataclass(frozen=True, slots=True)
class Member:
    """
    One process of a cluster.

    Attributes:
        data: Its directory, which outlives its process.
        port: Where clients reach it, on 127.0.0.1.
        peer_port: Where it has to listen for other members.
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
    How a member is; a store that cannot tell leaves things out.

    Attributes:
        revision: The last revision that it has applied.
        compacted: The revision it was compacted at.
        hash: What its data hash to, at that revision.
    """

    revision: int | None = None
    compacted: int = -1
    hash: int | None = None
    is_leader: bool = False


class Connection(ABC):
    """One client's way to one member."""

    @abstractmethod
    async def do(self, request: Request) -> Response:
        """
        The answer to *request*, which is sent at most once.

        Raises:
            NotAppliedError: It had no effect.
            Exception: Anything else means that nobody knows.
        """

    async def status(self) -> Status:
        """
        How the member is; an answer means that it serves clients.

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
        raise NotImplementedError(f"{type(self).__name__} has no watches")

    async def close(self) -> None:
        """Give it up; nothing to do unless the store's way says otherwise."""
        return


class Store(ABC):
    """
    A store that can be tested.

    Attributes:
        name: What it is called in reports.
        model: Name of the model it is held to: see ``assertlib robustness list``.
        profile: The traffic it gets unless another is asked for.
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
        """Which version of the store it is, if that can be told."""
        return ""
