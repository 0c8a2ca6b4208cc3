"""
The records of a shard, read back.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..model import Kind, Location
    from .hits import Hit
    from .trials import Trial

Record = dict[str, object]


class SlotRecord:
    """An assertion as a shard declares it; nameless when only its counters are left."""

    __slots__ = ("hash", "invariant", "kind", "location", "message")

    def __init__(
        self,
        kind: Kind,
        hashed: int,
        message: str | None = None,
        invariant: str | None = None,
        location: Location | None = None,
    ) -> None:
        self.kind = kind
        self.hash = hashed
        self.message = message
        self.invariant = invariant
        self.location = location


class TrialRecord:
    """
    A trial that this shard began.

    Attributes:
        begin: Nanoseconds since the epoch, for people.
        began, ended: Readings of the boot-time clock; None where there is none.
    """

    __slots__ = ("began", "begin", "ended", "features", "surviving_shards", "trial")

    def __init__(self, trial: Trial, begin: int, began: int | None = None) -> None:
        self.trial = trial
        self.begin = begin
        self.began = began
        self.ended: int | None = None
        self.surviving_shards: frozenset[str] = frozenset()
        self.features: dict[str, bool] | None = None


class Delta:
    """Hits that belong to one trial, or to none, by slot."""

    __slots__ = ("false", "trial", "true")

    def __init__(self, trial: str | None, true: Sequence[int], false: Sequence[int]) -> None:
        self.trial = trial
        self.true = true
        self.false = false


class FaultRecord:
    """
    Faults that were injected from then on.

    Attributes:
        clock: When, by the boot-time clock; None if unknown.
        line: Its place in the file of its process, from 1.
    """

    __slots__ = ("active", "breaks", "clock", "line", "trial")

    def __init__(
        self,
        trial: str | None,
        clock: int | None,
        line: int,
        active: list[str],
        breaks: list[str],
    ) -> None:
        self.trial = trial
        self.clock = clock
        self.line = line
        self.active = active
        self.breaks = breaks


class ErrorRecord:
    """An assertion that could not be evaluated."""

    __slots__ = ("location", "message", "reason", "trial")

    def __init__(self, message: str, reason: str, location: Location, trial: str | None) -> None:
        self.message = message
        self.reason = reason
        self.location = location
        self.trial = trial


class ProofRecord:
    """A seeded defect was caught by an assertion, at a commit."""

    __slots__ = ("commit", "defect", "message")

    def __init__(self, defect: str, message: str, commit: str | None) -> None:
        self.defect = defect
        self.message = message
        self.commit = commit


def added(rows: Sequence[Sequence[int]]) -> list[int]:
    """The rows, which may have grown from one to the next, added up."""
    size = max((len(row) for row in rows), default=0)
    if any(len(row) != size for row in rows):
        rows = [[*row, *[0] * (size - len(row))] for row in rows]
    return list(map(sum, zip(*rows, strict=True)))


def _minus(whole: list[int], parts: list[int]) -> list[int]:
    padded = parts + [0] * (len(whole) - len(parts))
    return [max(0, all - part) for all, part in zip(whole, padded, strict=False)]


class Details:
    """
    Assertions and hits of a shard, one by one.

    Attributes:
        guidance: The last of each rich assertion, by its message.
    """

    def __init__(self) -> None:
        self.slots: list[SlotRecord] = []
        self.hits: list[Hit] = []
        self.guidance: dict[str, Record] = {}


class Shard:
    """
    All that one process left.

    Attributes:
        name: ``<pid>-<token>``; evidence is idempotent by it.
        true, false: Hits by slot, exact also after a kill.
        deltas_written: Their parts by trial, as far as the process wrote them before it ended.
        open_trial: What the rest belongs to.
        base: The trial the process was born in.
        exited: Whether it came to a regular end.
        identities: Hash of the message and code of the kind by slot, from the counters;
            None if there are no counters.
        clock: When the process began to record, by the boot-time clock; None if unknown.
        clock_id: What its readings of that clock may be compared with; empty if with none.
        damage: What is missing or contradicts itself, in words: counts are then lower bounds.
    """

    def __init__(self, name: str, details: Callable[[], Details] = Details) -> None:
        """
        Args:
            details: Reads the rest, when it is asked for.
        """
        self.name = name
        self._read_details = details
        self._details: Details | None = None
        self.identities: list[tuple[int, int]] | None = None
        self.header: Record = {}
        self.base: Trial | None = None
        self.start = 0
        self.clock: int | None = None
        self.clock_id = ""
        self.damage: list[str] = []
        self.true: list[int] = []
        self.false: list[int] = []
        self.deltas_written: list[Delta] = []
        self.open_trial: str | None = None
        self.trials: dict[str, TrialRecord] = {}
        self.faults: list[FaultRecord] = []
        self.features: dict[str | None, dict[str, bool]] = {}
        self.troubles: list[ErrorRecord] = []
        self.proofs: list[ProofRecord] = []
        self.lost_records = 0
        self.error_count = 0
        self.truncated_details = 0
        self.dropped_records = 0
        self.durable = False
        self.exited = False
        self.torn = False

    @property
    def deltas(self) -> list[Delta]:
        """The parts of the counts by trial, what was open at a kill included."""
        rest = Delta(
            self.open_trial,
            _minus(self.true, added([delta.true for delta in self.deltas_written])),
            _minus(self.false, added([delta.false for delta in self.deltas_written])),
        )
        return (
            [*self.deltas_written, rest]
            if any(rest.true) or any(rest.false)
            else self.deltas_written
        )

    @property
    def details(self) -> Details:
        if self._details is None:
            self._details = self._read_details()
        return self._details

    @property
    def has_details(self) -> bool:
        """Whether anybody has asked for them."""
        return self._details is not None

    @property
    def slots(self) -> list[SlotRecord]:
        return self.details.slots

    @property
    def hits(self) -> list[Hit]:
        return self.details.hits

    @property
    def guidance(self) -> dict[str, Record]:
        return self.details.guidance

    def __repr__(self) -> str:
        return f"<Shard {self.name}>"
