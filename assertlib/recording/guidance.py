"""
Guidance: the watermark of each rich assertion, which shows how close a sometimes came to success,
or an always to a violation.

The protocol expects a guidance record at each new extreme of ``left - right``, or of the number of
true propositions.  A value that grows with every call would cause a record at every call.
Therefore the first ten extremes are written, then each one whose number is a power of two, and the
last one is kept until it is flushed.
"""

from __future__ import annotations

from ..model import NOWHERE, Location
from . import fast_path
from .encode import NON_FINITE_OPERAND, DetailsEncoder, line, line_with_details
from .limits import worth_writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .hits import Where

NUMERIC, BOOLEAN = "numeric", "boolean"


def closeness(data: Mapping[str, object]) -> float:
    """``left - right``, or the number of propositions that hold; -inf for anything else."""
    # First, since booleans are integers to Python: propositions named left and right are no gap.
    if all(isinstance(value, bool) for value in data.values()):
        return float(sum(map(bool, data.values())))
    left, right = data.get("left"), data.get("right")
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return float("-inf")
    try:
        gap = float(left - right)
    except OverflowError:
        # Integers may be of any size.
        gap = float("inf") if left > right else float("-inf")
    # Only NaN is unequal to itself; it would compare false with every later extreme.
    return gap if gap == gap else float("-inf")  # noqa: PLR0124


class Watermark:
    """
    The most extreme value seen for one assertion.

    Attributes:
        type: ``numeric`` or ``boolean``.
        maximize: Whether larger values are more extreme.
        best: The extreme, as a gap or a number of true propositions; None before the first.
        extremes: Number of extremes so far.
        pending: Data of an extreme that is still unwritten.
    """

    __slots__ = ("best", "extremes", "maximize", "pending", "type")

    def __init__(self, type: str, *, maximize: bool) -> None:
        self.type = type
        self.maximize = maximize
        self.best: float | None = None
        self.extremes = 0
        self.pending: Mapping[str, object] | None = None

    def improves(self, value: float) -> bool:
        """Whether *value* is more extreme than any before."""
        if self.best is None:
            return True
        return value > self.best if self.maximize else value < self.best

    def move(self, value: float, data: Mapping[str, object]) -> bool:
        """Move to the extreme *value*, computed from *data*; whether to write it now."""
        # Extremes are counted, not calls, so that a slow approach to the goal is thinned out too.
        self.best = value
        self.extremes += 1
        due = worth_writing(self.extremes)
        self.pending = None if due else data
        return due


class Guide:
    """The watermarks of one session, and how they are written."""

    def __init__(
        self, encoder: DetailsEncoder, write: Callable[[list[str]], None], *, whole: bool
    ) -> None:
        """
        Args:
            encoder: Serialises the data.
            write: Writes whole lines.
            whole: Whether every extreme is written, and propositions at every call, as on the
                platform of Antithesis.
        """
        self._marks: dict[str, Watermark] = {}
        self._encoder = encoder
        self._write = write
        self._whole = whole

    def note(
        self,
        message: str,
        type: str,
        value: float,
        data: Mapping[str, object],
        where: Where,
        *,
        maximize: bool,
    ) -> None:
        """
        Take the value of an evaluation, and write a record if it is due; under the recorder's lock.

        Args:
            message: Name of the rich assertion.
            type: ``numeric`` or ``boolean``.
            value: The gap, or the number of true propositions.
            data: Plain operands or propositions, for the record.
            where: The caller.
            maximize: Whether larger values are more extreme.
        """
        mark = self._marks.get(message)
        if mark is None:
            # A declaration, with ``hit`` false, precedes the first guidance.
            mark = self._marks[message] = Watermark(type, maximize=maximize)
            self._write(
                [line("antithesis_guidance", _body(message, mark, where.location(), False))]
            )
        # On the platform, propositions are written at every call, whether they are extreme or not.
        is_wanted = self._whole and type == BOOLEAN
        if (mark.improves(value) and (mark.move(value, data) or self._whole)) or is_wanted:
            mark.pending = None
            self._write_mark(message, mark, data, where.location())
        # From here on the fast path passes over values that do not exceed the mark.
        if mark.best is not None and not is_wanted:
            fast_path.marks[message] = float(mark.best)

    def extremes(self) -> dict[str, float]:
        """The extreme of each assertion, with a sign such that larger is closer."""
        return {
            message: mark.best if mark.maximize else -mark.best
            for message, mark in self._marks.items()
            if mark.best is not None
        }

    def warn_not_finite(self, message: str) -> None:
        """Write one diagnostic that *message* has no guidance: an operand is not finite."""
        lines = self._encoder.warning(NON_FINITE_OPERAND, message)
        if lines:
            self._write(lines)

    def flush(self) -> None:
        """Write the extremes that are still unwritten."""
        for message, mark in self._marks.items():
            # Taken off before it is written, so that an interrupt cannot cause a second record.
            # The caller is gone by now, and with it the location.
            data, mark.pending = mark.pending, None
            if data is not None:
                self._write_mark(message, mark, data, NOWHERE)

    def _write_mark(
        self, message: str, mark: Watermark, data: Mapping[str, object], location: Location
    ) -> None:
        encoded = self._encoder.encode(data, message)
        if encoded.text is not None:
            body = _body(message, mark, location, True)
            text = line_with_details("antithesis_guidance", body, "guidance_data", encoded.text)
            self._write([text])


def _body(message: str, mark: Watermark, location: Location, hit: bool) -> dict[str, object]:
    """
    Body of an ``antithesis_guidance`` record, without data.

    Source: the Antithesis Python SDK 0.4.0 on the wire, protocol 1.1.0.
    """
    return {
        "guidance_type": mark.type,
        "id": message,
        "message": message,
        "location": location.wire(),
        "maximize": mark.maximize,
        "hit": hit,
    }
