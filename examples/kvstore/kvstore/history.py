"""
What clients did and saw, kept apart from the store, so that it can be judged by it.

A `History` covers one trial, restarts included.  Its `Ledger` is the store's past put together
from every watch: the sources have to agree, and fill each other's gaps.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Literal

from .model import Event, KeyValue
from .watch import WatchResponse, WatchSpec

__all__ = ["Held", "History", "Ledger", "Read", "Swap", "WatchLog", "Write"]

Outcome = Literal["unknown", "done", "refused"]


@dataclass(slots=True)
class Write:
    """One call that puts *token*, a value of no other call, under each of *keys*."""

    token: str
    keys: tuple[str, ...]
    outcome: Outcome = "unknown"
    revision: int = 0


@dataclass(slots=True)
class Swap:
    """A put of *token* under *key* on condition that its mod revision is *expected*."""

    token: str
    key: str
    expected: int
    outcome: Outcome = "unknown"
    succeeded: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """What a read of all keys with *prefix* as of *revision* returned."""

    prefix: str
    revision: int
    kvs: tuple[KeyValue, ...]


@dataclass(slots=True)
class Held:
    """
    A lease in the hands of a client.

    Attributes:
        renewed: When the last answered grant or keepalive was sent, in seconds of the monotonic
            clock.
        keys: The keys known to live on it.
        is_revoked: Whether its client may have ended it.
    """

    lease: int
    ttl: float
    renewed: float
    keys: list[str] = field(default_factory=list)
    is_revoked: bool = False


@dataclass(slots=True)
class WatchLog:
    """
    Everything one watch sent, with the time of arrival in seconds of the monotonic clock.

    Attributes:
        resumes: The watch that a crash broke off and that this one goes on with.
    """

    spec: WatchSpec
    resumes: "WatchLog | None" = None
    responses: list[tuple[float, WatchResponse]] = field(default_factory=list)

    @property
    def is_cancelled(self) -> bool:
        """Whether the server said that it was over."""
        return bool(self.responses) and self.responses[-1][1].cancelled

    @property
    def next_revision(self) -> int:
        """Where a new watch has to start to go on without a gap; 0 when that is unknown."""
        last = self.responses[-1][1].revision + 1 if self.responses else 0
        return max(self.spec.start, last)

    def events(self) -> list[tuple[int, Event]]:
        """What was delivered, each with the revision of its response."""
        return [(r.revision, event) for _, r in self.responses for event in r.events]


class Ledger:
    """
    The changes of every revision that somebody saw.

    Attributes:
        arrived: When the first news of a revision came, in seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        self.arrived: dict[int, float] = {}
        self._events: dict[int, dict[str, Event]] = {}
        self._revisions: dict[str, list[int]] = {}
        self._puts: dict[str, set[tuple[str, int]]] = {}

    def add(self, when: float, revision: int, event: Event) -> bool:
        """Enter what a watch saw; False when it contradicts what is known."""
        self.arrived[revision] = min(when, self.arrived.get(revision, when))
        key = event.kv.key
        known = self.at(revision).get(key)
        if known is None:
            insort(self._revisions.setdefault(key, []), revision)
            self._puts.setdefault(event.kv.value, set()).add((key, revision))
        if known is None or known.prev is None:
            self._events.setdefault(revision, {})[key] = event
        return known is None or (known.kind == event.kind and known.kv == event.kv)

    def at(self, revision: int) -> dict[str, Event]:
        """The changes of *revision* by key."""
        return self._events.get(revision, {})

    def between(self, first: int, last: int) -> list[tuple[int, Event]]:
        """All changes from *first* to *last*, both included, in order."""
        revisions = range(first, last + 1)
        return [(at, event) for at in revisions for event in self.at(at).values()]

    def before(self, key: str, revision: int) -> Event | None:
        """The last known change of *key* below *revision*."""
        revisions = self._revisions.get(key, [])
        position = bisect_left(revisions, revision)
        return self.at(revisions[position - 1])[key] if position else None

    def whole_from(self, last: int) -> int:
        """The lowest revision from which on, up to *last*, every one is known."""
        while last in self._events:
            last -= 1
        return last + 1

    def puts_of(self, token: str) -> set[tuple[str, int]]:
        """The keys, with revisions, that *token* was put under."""
        return self._puts.get(token, set())

    def deletions_of(self, key: str) -> list[int]:
        """The revisions that deleted *key*."""
        return [at for at in self._revisions.get(key, []) if self.at(at)[key].kind == "delete"]


@dataclass(slots=True)
class History:
    """
    All that clients of one trial know.

    Attributes:
        newest: The highest revision that an answer spoke of.
        audited: The revision up to which a watch of everything got.
    """

    writes: list[Write] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    watches: list[WatchLog] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    newest: int = 1
    audited: int = 0

    def saw(self, revision: int) -> None:
        """Some answer spoke of *revision*."""
        self.newest = max(self.newest, revision)

    def forget_round(self) -> None:
        """What was told since the last restart is judged; the ledger and the leases stay."""
        for judged in (self.writes, self.swaps, self.reads, self.watches):
            judged.clear()
        self.audited = self.newest
