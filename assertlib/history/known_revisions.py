"""
The revisions that clients knew from responses at a given time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from .operations import Operation, Outcome
from .requests import Acknowledged, Compact


class KnownRevisions:
    """
    The highest revisions reported by responses, by time.

    Args:
        operations: The operations, in any order; only answered ones count.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        answered = [
            (each.returned, each)
            for each in operations
            if each.returned is not None and each.outcome is Outcome.OK
        ]
        answered.sort(key=lambda pair: pair[0])
        self._times = [time for time, _ in answered]
        revisions = [getattr(each.response, "revision", 0) for _, each in answered]
        # Entry n covers the first n answers, so that the result of bisect is an index into it.
        self._newest = [0, *accumulate(revisions, max)]
        self._compacted = [0, *accumulate((_compacted_by(each) for _, each in answered), max)]

    def newest(self, time: int) -> int:
        """Return the highest revision named by a response before *time*; 0 if there was none."""
        # A response at the very stamp of *time* may be concurrent, so it does not count.
        return self._newest[bisect_left(self._times, time)]

    def compacted(self, time: int) -> int:
        """Return the highest compaction revision acknowledged before *time*; 0 if none."""
        return self._compacted[bisect_left(self._times, time)]


def _compacted_by(operation: Operation) -> int:
    match operation.request, operation.response:
        case Compact(revision), Acknowledged():
            return revision
    return 0
