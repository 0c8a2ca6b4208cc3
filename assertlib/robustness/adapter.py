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


# A type of its own, so that an unknown outcome is the default: a false claim that a request had no
# effect makes a correct store fail.
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
        peer_port: Port on 127.0.0.1 on which it listens for other members.
        peer_address: ``host:port`` at which other members reach it.  Differs from *peer_port* if
            a proxy injects network faults.
        uid: User ID of its processes; None for the user that runs the campaign.
        failpoints: Port of the gofail endpoint; None if the campaign fires no failpoints.
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
        """``host:port`` at which clients reach the member."""
        # Never the address of the proxy: clients have to reach a member that is cut off from the
        # others, and their requests must not be delayed or lost by the harness.
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Status:
    """
    The state of a member; fields that the store does not expose keep their defaults.

    Attributes:
        revision: The last applied revision; None if the store has no revisions.
        compacted: The revision of the last compaction; -1 if there was none.
        hash: Hash of the data at *revision*; None if the store has no hash.
        is_leader: Whether the member leads the cluster.
    """

    # Replicas are compared only if a store reports both revision and hash.  Without them, the
    # members count as equal, since all report None.
    revision: int | None = None
    compacted: int = -1
    hash: int | None = None
    is_leader: bool = False


class Connection(ABC):
    """A client's connection to one member."""

    @abstractmethod
    async def do(self, request: Request) -> Response:
        """
        Send *request* at most once and return the response.

        Raises:
            NotAppliedError: The request had no effect and never will.
            Exception: Any other exception leaves the outcome unknown.
        """

    async def status(self) -> Status:
        """
        Return the state of the member; a response means that the member serves clients.

        Raises:
            Exception: The member does not serve clients.
        """
        # A store without a status request is ready as soon as `Store.connect` succeeds.
        return Status()

    # A plain function: an async generator that overrides it returns its iterator without an await.
    def watch(self, request: Watch) -> AsyncIterator[Delivery]:
        """
        Yield the deliveries to the watch *request* until it ends; a broken watch is not resumed.

        Raises:
            NotImplementedError: The store has no watches.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support watches")

    async def close(self) -> None:
        """Close the connection; the default does nothing."""
        return


class Store(ABC):
    """
    The adapter of a store.

    Attributes:
        name: Name of the store in reports.
        model: Name of the model that validates it; see ``assertlib robustness list``.
        profile: Name of the default traffic profile.
    """

    name: str
    model: str
    profile: str

    @abstractmethod
    def command(self, member: Member, members: Sequence[Member]) -> list[str]:
        """Return the command line that starts *member* of *members*, also after a crash."""

    @abstractmethod
    async def connect(self, member: Member) -> Connection:
        """
        Return a new connection to *member*.

        Raises:
            Exception: The member cannot be reached.
        """

    def version(self) -> str:
        """Return the version of the store; empty if it is not available."""
        return ""
