"""
The contents of a shard, as they are read back.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..model import Kind, Location
    from .hits import Hit
    from .trials import Trial

Record = dict[str, object]


class SlotRecord(NamedTuple):
    """
    An assertion as a shard declares it, or as the scan supplies it for counters without names.

    Attributes:
        hash: Hash of its message, as by `counters.message_hash`; 0 if it is unknown.
        message: Its name; None if only its counters are left.
        invariant: Id of the invariant that it cites; None if it cites none.
        location: Where it was declared; None if that is unknown, or no longer needed.
    """

    kind: Kind
    hash: int
    message: str | None = None
    invariant: str | None = None
    location: Location | None = None


class TrialRecord:
    """
    A trial that this shard began.

    Attributes:
        begin: Nanoseconds since 1970, for display only.
        began, ended: Readings of the boot-time clock in nanoseconds; None if unknown or still open.
        surviving_shards: Names of the shards whose processes were alive when it ended.
        features: Features that were enabled or disabled when it began; None if not recorded.
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
    """True and false hits by slot that belong to one trial, or, if it is None, to no trial."""

    __slots__ = ("false", "trial", "true")

    def __init__(self, trial: str | None, true: Sequence[int], false: Sequence[int]) -> None:
        self.trial = trial
        self.true = true
        self.false = false


class FaultRecord:
    """
    The faults injected from one moment on.

    Attributes:
        trial: Id of the open trial; None if there was none.
        clock: That moment, in nanoseconds of the boot-time clock; None if unknown.
        line: Number of its line in the shard, from 1.
        active: Names of the faults.
        breaks: Assumptions that they break.
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
    """The catch of a seeded defect by an assertion, at a commit."""

    __slots__ = ("commit", "defect", "message")

    def __init__(self, defect: str, message: str, commit: str | None) -> None:
        self.defect = defect
        self.message = message
        self.commit = commit


def added(rows: Sequence[Sequence[int]]) -> list[int]:
    """The sum of *rows* by column; shorter rows are padded with zeros."""
    # Padded only if needed: there may be millions of rows, and most are equally long.
    size = max((len(row) for row in rows), default=0)
    if any(len(row) != size for row in rows):
        rows = [[*row, *[0] * (size - len(row))] for row in rows]
    return list(map(sum, zip(*rows, strict=True)))


def _minus(whole: list[int], parts: list[int]) -> list[int]:
    # At least zero: in a damaged shard the parts can exceed the whole.
    padded = parts + [0] * (len(whole) - len(parts))
    return [max(0, all - part) for all, part in zip(whole, padded, strict=False)]


class Details:
    """
    The assertions and hits of a shard, one by one.

    Attributes:
        slots: The assertions by number.
        hits: The recorded hits, in the order of their lines.
        guidance: The last guidance record of each rich assertion, by its message.
    """

    def __init__(self) -> None:
        self.slots: list[SlotRecord] = []
        self.hits: list[Hit] = []
        self.guidance: dict[str, Record] = {}


class Shard:
    """
    Everything that one process recorded.

    Attributes:
        name: ``<pid>-<token>``; adding a shard of the same name again changes no evidence.
        header: Body of its header; empty if the header is missing.
        true, false: Hits by slot, exact even after a kill.
        deltas_written: Their parts by trial, as far as the process wrote them before it ended.
        open_trial: Id of the trial that the rest belongs to; None if it belongs to none.
        base: The trial that the process was started or forked in; None if there was none.
        start: When the process began to record, in nanoseconds since 1970, for display only.
        clock: The same in nanoseconds of the boot-time clock; None if unknown.
        clock_id: Identifies readings of that clock that are comparable; empty if none are.
        identities: Hash of the message and code of the kind by slot, from the counters; None if
            they are missing or damaged.
        damage: Files that are missing or contradict each other, as text; if there are any, counts
            are lower bounds.
        durable: Whether all counters were in a file.
        exited: Whether the process ended regularly.
        torn: Whether its last line is incomplete.
    """

    def __init__(self, name: str, details: Callable[[], Details] = Details) -> None:
        """
        Args:
            name: Name of the shard.
            details: Reads its assertions and hits, at the first access.
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
        """The hits by trial, including those of a trial that was open when the process ended."""
        # Hits beyond the deltas that were written belong to the trial that was open at the end.
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
        # Most readers need the counts only, and details are most of a shard.
        if self._details is None:
            self._details = self._read_details()
        return self._details

    @property
    def has_details(self) -> bool:
        """Whether `details` have been read."""
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
