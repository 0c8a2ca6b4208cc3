"""
One evaluation of an assertion, in full: what is written, passed to subscribers
and raised.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..model import Kind, Location

    class Where(Protocol):
        """The caller of an assertion, looked at only when a record is written."""

        def location(self) -> Location:
            """Its place in the source."""

        def captured(self) -> Captured | None:
            """Condition and values at this moment; None when they are unavailable."""


class Elsewhere:
    """A place that the caller passes, instead of one found on the stack."""

    __slots__ = ("_location",)

    def __init__(self, location: Location) -> None:
        self._location = location

    def location(self) -> Location:
        """The place that was passed."""
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
