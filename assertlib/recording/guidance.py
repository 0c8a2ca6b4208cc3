"""
How close an assertion came: watermarks of rich assertions.

The wire wants a guidance record at each new extreme of ``left - right`` (or
of the number of true propositions).  A value that grows with every call would
write one at every call, so after the first ten only every power of two is
written, and the last extreme is kept until it is flushed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import Location


def worth_writing(count: int) -> bool:
    """Thinning of repeated records: the first ten, then the powers of two."""
    return count <= 10 or count & (count - 1) == 0


class Watermark:
    """
    The most extreme value seen for one assertion.

    Attributes:
        best: The extreme, as a gap or a number of true propositions.
        pending: Data of an extreme that was not written yet.
    """

    __slots__ = ("best", "extremes", "maximize", "pending", "type")

    def __init__(self, type: str, *, maximize: bool) -> None:
        self.type = type
        self.maximize = maximize
        self.best: float | None = None
        self.extremes = 0
        self.pending: Mapping[str, object] | None = None

    def improves(self, value: float) -> bool:
        """Whether *value* tells something new."""
        if self.best is None:
            return True
        return value > self.best if self.maximize else value < self.best

    def move(self, value: float, data: Mapping[str, object]) -> bool:
        """Take a new extreme; True when it should be written now."""
        self.best = value
        self.extremes += 1
        due = worth_writing(self.extremes)
        self.pending = None if due else data
        return due

    def record(
        self, message: str, location: Location, *, hit: bool, data: Mapping[str, object] | None
    ) -> dict[str, object]:
        """Body of an ``antithesis_guidance`` record."""
        body: dict[str, object] = {
            "guidance_type": self.type,
            "id": message,
            "message": message,
            "location": location.wire(),
            "maximize": self.maximize,
            "hit": hit,
        }
        if data is not None:
            body["guidance_data"] = dict(data)
        return body
