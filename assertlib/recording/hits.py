"""
One evaluation of an assertion, in full: what is written, told to subscribers
and raised.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..model import Kind, Location
    from .session import Slot
    from .trials import Trial

    class Where(Protocol):
        """The caller of an assertion, looked at only when a record is written."""

        def location(self) -> Location:
            """Its place in the source."""

        def captured(self) -> Captured | None:
            """Condition and values at this moment; None when they can't be told."""


class Evaluation:
    """
    One evaluation of an assertion on its way into the record.

    Each step notes its result here as it takes effect.  So an evaluation that was interrupted
    anywhere can be resumed, and is counted, numbered and written once.

    Attributes:
        details: What is still to be serialised; None from the moment that begins.
        where: The place that is still to be looked at; None from the moment its values are taken.
        clock: When it was evaluated.
        process: Of which process; a forked child leaves the evaluations of its parent alone.
        owner: The thread that resumes it; 0 while none does.
        location: Where the assertion stands.
        slot: The counters of the assertion.
        count: How many hits with this outcome there are with it; None until it is counted.
        nth: Which violation of its trial it is; 0 if it is none.
        trial: The trial that got it.
        is_wanted: Whether a record is due; None until that is decided.
        hit: The record, once it is made.
        lines: The lines of the record that are still to be written.
        is_published: Whether sinks were called with it.
    """

    __slots__ = (
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
        "location",
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
        self.location = where.location()
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
        """Whether it breaks its assertion."""
        return self.kind.violated_by_false and not self.condition

    def claim(self, thread: int) -> bool:
        """Let *thread* resume it, unless another does; under the recorder's lock."""
        if self.owner:
            return False
        self.owner = thread
        return True

    def release(self, thread: int) -> None:
        """Let any thread resume it, if *thread* was to."""
        if self.owner == thread:
            self.owner = 0


class Elsewhere:
    """A place that is told instead of found."""

    __slots__ = ("_location",)

    def __init__(self, location: Location) -> None:
        self._location = location

    def location(self) -> Location:
        """The place told."""
        return self._location

    def captured(self) -> None:
        """Nothing is known of its condition."""


class Captured:
    """
    The condition of a false hit as it stands in the source, and what its names held.

    Attributes:
        source: Text of the condition.
        values: Bounded ``repr`` by expression.
    """

    __slots__ = ("source", "values")

    def __init__(self, source: str, values: dict[str, str]) -> None:
        self.source = source
        self.values = values


class Hit:
    """
    One recorded hit, as it happens or as it was read back.

    Attributes:
        condition: What it evaluated to.
        count: How many hits with this outcome this process has seen.
        time: Nanoseconds since the epoch, for people.
        clock: When it was evaluated, in nanoseconds of the boot-time clock; None if unknown.
        line: Its place in the file of its process, from 1; 0 before it is read back.
        nth: How many violations of it this process had seen in this trial, with this one; 0 if
            it is none.
        trial: Id of the trial it belongs to.
        seed: Seed of that trial.
        details: JSON text of the details, None without; a ``repr`` if they have no JSON.
        captured: Condition and values, for false hits.
    """

    __slots__ = (
        "captured",
        "clock",
        "condition",
        "count",
        "details",
        "invariant",
        "kind",
        "line",
        "location",
        "message",
        "nth",
        "seed",
        "time",
        "trial",
    )

    def __init__(
        self,
        *,
        kind: Kind,
        message: str,
        invariant: str | None,
        condition: bool,
        count: int,
        time: int,
        trial: str | None,
        seed: int | None,
        location: Location,
        details: str | None,
        captured: Captured | None,
        clock: int | None = None,
        line: int = 0,
        nth: int = 0,
    ) -> None:
        self.kind = kind
        self.message = message
        self.invariant = invariant
        self.condition = condition
        self.count = count
        self.time = time
        self.trial = trial
        self.seed = seed
        self.location = location
        self.details = details
        self.captured = captured
        self.clock = clock
        self.line = line
        self.nth = nth

    @property
    def source(self) -> str | None:
        """Text of the condition, if it was captured."""
        return None if self.captured is None else self.captured.source

    @property
    def values(self) -> dict[str, str]:
        """What the names of the condition held, if it was captured."""
        return {} if self.captured is None else self.captured.values

    @property
    def is_violation(self) -> bool:
        """Whether it breaks its assertion."""
        return self.kind.violated_by_false and not self.condition

    def __repr__(self) -> str:
        return f"<Hit {self.condition} of {self.kind.name} {self.message!r}>"
