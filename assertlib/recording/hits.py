"""
One recorded evaluation of an assertion, as it is written, passed to subscribers and raised.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..model import Kind, Location

    class Where(Protocol):
        """The caller of an assertion, examined only when a record is written."""

        def location(self) -> Location:
            """Its location in the source."""

        def captured(self) -> Captured | None:
            """Condition and values at this moment; None if they are unavailable."""


class Elsewhere:
    """A location that the caller passes, instead of one found on the stack."""

    __slots__ = ("_location",)

    def __init__(self, location: Location) -> None:
        self._location = location

    def location(self) -> Location:
        """The location that was passed."""
        return self._location

    def captured(self) -> None:
        """None: without a frame there are no condition and values."""


class Captured:
    """
    The condition of a false hit as it is written in the source, and the values of its names.

    Attributes:
        source: Text of the condition.
        values: Bounded ``repr`` of the value of each name or expression.
    """

    __slots__ = ("source", "values")

    def __init__(self, source: str, values: dict[str, str]) -> None:
        self.source = source
        self.values = values


class Hit:
    """
    One recorded hit, as it happens or as it was read back.

    Attributes:
        condition: The outcome of the evaluation.
        count: Hits with this outcome in this process so far, including this one.
        time: Nanoseconds since 1970, for display only.
        clock: When it was evaluated, in nanoseconds of the boot-time clock; None if unknown.
        line: Number of its line in the shard, from 1; 0 before it is read back.
        nth: Its number among the violations of its assertion by this process in this trial, from
            1; 0 if it is not a violation.
        trial: Id of the trial it belongs to; None if there is none.
        seed: Seed of that trial; None if it has none.
        details: JSON text of the details; a ``repr`` if they cannot be serialised, None without.
        captured: Condition and values of a false hit; None if they are unavailable.
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
        """Text of the condition; None if it was not captured."""
        return None if self.captured is None else self.captured.source

    @property
    def values(self) -> dict[str, str]:
        """The values of the names in the condition; empty if it was not captured."""
        return {} if self.captured is None else self.captured.values

    @property
    def is_violation(self) -> bool:
        """Whether it violates its assertion."""
        return self.kind.violated_by_false and not self.condition

    def __repr__(self) -> str:
        return f"<Hit {self.condition} of {self.kind.name} {self.message!r}>"
