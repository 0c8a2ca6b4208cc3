"""
The revisions known to clients from responses, by time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from .operations import Operation, Outcome
from .requests import Acknowledged, Compact


class KnownRevisions:
    """The highest revisions reported by responses, by time."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        answered = [
            (each.returned, each)
            for each in operations
            if each.returned is not None and each.outcome is Outcome.OK
        ]
        answered.sort(key=lambda pair: pair[0])
        self._times = [time for time, _ in answered]
        revisions = [getattr(each.response, "revision", 0) for _, each in answered]
        self._newest = [0, *accumulate(revisions, max)]
        self._compacted = [0, *accumulate((_compacted_by(each) for _, each in answered), max)]

    def newest(self, time: int) -> int:
        """The highest revision that an answer before *time* had spoken of."""
        return self._newest[bisect_left(self._times, time)]

    def compacted(self, time: int) -> int:
        """The highest revision at which compaction had been acknowledged before *time*."""
        return self._compacted[bisect_left(self._times, time)]


def _compacted_by(operation: Operation) -> int:
    match operation.request, operation.response:
        case Compact(revision), Acknowledged():
            return revision
    return 0
