"""
One evaluation of an assertion, from the call to its lines in the shard.
"""

from __future__ import annotations

from ..model import NOWHERE, assert_record
from . import shard
from .encode import line, line_with_details
from .hits import Hit
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model import Kind, Location
    from .encode import Encoded
    from .hits import Captured, Where
    from .slots import Slot
    from .trials import Trial


class Evaluation:
    """
    One evaluation of an assertion on its way to its record.

    Each step notes its result here as it takes effect.  An evaluation can therefore be resumed
    wherever it was interrupted, and is counted, numbered and written once.

    Attributes:
        details: The details that are still to be serialised; None once that has begun.
        where: The caller, as long as its frame is needed; None once values have been captured.
        clock: When it was evaluated, in nanoseconds of the boot-time clock.
        process: Identifies the process; a forked child ignores evaluations of its parent.
        owner: The thread that resumes it; 0 if none does.
        slot: The counters of the assertion; None until it is counted.
        count: Hits with this outcome, including this one; None until it is counted.
        nth: Its number among the violations of its assertion in the trial; 0 if it is not one.
        trial: The trial that received it; None if there is none.
        is_wanted: Whether a record is due; None until that is decided.
        hit: The record, once it has been made.
        lines: The lines of the record that are still to be written.
        is_published: Whether it was passed to the sinks.
    """

    __slots__ = (
        "_location",
        "clock",
        "condition",
        "count",
        "details",
        "hit",
        "invariant",
        "is_published",
        "is_wanted",
        "kind",
        "lines",
        "message",
        "nth",
        "owner",
        "process",
        "slot",
        "trial",
        "where",
    )

    def __init__(
        self,
        kind: Kind,
        condition: bool,
        message: str,
        details: object,
        invariant: str | None,
        where: Where,
        clock: int,
        process: object,
    ) -> None:
        self.kind = kind
        self.condition = condition
        self.message = message
        self.details = details
        self.invariant = invariant
        self.where: Where | None = where
        self.clock = clock
        self.process = process
        self.owner = 0
        self._location: Location | None = None
        self.slot: Slot | None = None
        self.count: int | None = None
        self.nth = 0
        self.trial: Trial | None = None
        self.is_wanted: bool | None = None
        self.hit: Hit | None = None
        self.lines: list[str] = []
        self.is_published = False

    @property
    def is_violation(self) -> bool:
        """Whether it violates its assertion."""
        return self.kind.violated_by_false and not self.condition

    def captured(self) -> Captured | None:
        """Condition and values of a false hit; None at any further call."""
        # Taken first, so that code of the store that was interrupted does not run again.
        where = self.where
        self.leave_frame()
        return None if self.condition or where is None else where.captured()

    def as_hit(self, details: str | None, captured: Captured | None) -> Hit:
        """The record of this evaluation, which must have been counted."""
        assert self.slot is not None
        assert self.count is not None
        # The wall clock is read now and only displayed; `clock`, read at the call, decides order.
        trial = self.trial
        return Hit(
            kind=self.kind,
            message=self.message,
            invariant=self.slot.invariant,
            condition=self.condition,
            count=self.count,
            time=system.wall_clock(),
            trial=None if trial is None else trial.id,
            seed=None if trial is None else trial.seed,
            location=self.location,
            details=details,
            captured=captured,
            clock=self.clock,
            nth=self.nth,
        )

    @property
    def location(self) -> Location:
        """The location of the assertion."""
        if self._location is None:
            self._location = NOWHERE if self.where is None else self.where.location()
        return self._location

    def leave_frame(self) -> None:
        """Keep the location, and release the frame."""
        # In this order: the location is read from the frame.  A frame that is kept would keep the
        # locals of the store alive.
        self._location, self.where = self.location, None

    def claim(self, thread: int) -> bool:
        """Let *thread* resume it, unless another thread does; under the recorder's lock."""
        if self.owner:
            # Two threads would take the same step twice.
            return False
        self.owner = thread
        return True

    def release(self, thread: int) -> None:
        """Let any thread resume it again, if *thread* has claimed it."""
        if self.owner == thread:
            self.owner = 0


def lines_of(evaluation: Evaluation, hit: Hit, encoded: Encoded) -> list[str]:
    """
    The lines of a record: diagnostics of its details, the record of the wire, and assertlib's own.

    Args:
        evaluation: The evaluation, once counted.
        hit: Its record.
        encoded: The details, serialised.
    """
    # They are one write, since the reader takes the location and the details of a hit from the
    # line before it.
    record = assert_record(hit.kind, hit.message, hit.location, hit=True, condition=hit.condition)
    body = line_with_details("antithesis_assert", record, "details", encoded.text)
    key = shard.VIOLATION if hit.nth else shard.HIT
    return [*encoded.diagnostics, body, line(key, _extra(evaluation, hit, encoded.fallback))]


def _extra(evaluation: Evaluation, hit: Hit, fallback: str | None) -> dict[str, object]:
    # A record of its own: wire records get no new keys, and other readers treat this one as
    # a user event.
    body: dict[str, object] = {
        "slot": None if evaluation.slot is None else evaluation.slot.number,
        "id": hit.message,
        "condition": hit.condition,
        "count": hit.count,
        "time": hit.time,
        "clock": hit.clock,
        "trial": hit.trial,
        "seed": hit.seed,
        "nth": hit.nth,
    }
    if hit.captured is not None:
        body["source"] = hit.captured.source
        body["values"] = hit.captured.values
    if fallback is not None:
        body["details_repr"] = fallback
    return body
