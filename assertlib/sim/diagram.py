"""
A trace as an HTML page: a lane for each host, an arrow for each message, and the curve of `why`.

The page is self-contained, and shows all texts as text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .._text import html_page
from .trace_lines import LOOP, TraceLine, parsed
from .why import Point, Why

__all__ = ["diagram"]

_MOST = 5_000
"""Lines shown; of a longer trace, the last ones, which end with the failure."""


class Arrow(NamedTuple):
    """
    A message.

    Attributes:
        begin, end: The rows of its sending and of its arrival.
    """

    begin: int
    end: int


def diagram(trace: Sequence[str], title: str, found: Why | None = None) -> str:
    """
    Render the HTML page of a trace.

    Args:
        trace: Its lines.
        title: The failure or state that it shows.
        found: The curve of its failure; None for none.
    """
    first = max(0, len(trace) - _MOST)
    lines = [_line(each) for each in trace[first:]]
    lanes = list(dict.fromkeys(line.host for line in lines if line.host))
    data = {
        "title": title,
        "left": first,
        "lanes": lanes,
        "rows": [
            [line.time, lanes.index(line.host) if line.host else -1, line.text, line.kind]
            for line in lines
        ],
        "arrows": list(_arrows(lines)),
        "rates": [] if found is None else list(_rates(found.points, found.made[first:])),
        "marked": _marked(found, first),
    }
    return html_page.render(__package__, "diagram.html", data)


def _line(text: str) -> TraceLine:
    return parsed(text) or TraceLine(0.0, "", text)


def _arrows(lines: Sequence[TraceLine]) -> Iterator[Arrow]:
    """
    Yield the messages that a step of the receiver follows at the time of their arrival.

    A message that is lost, held up by a partition, or sent to a host that is paused or down has none.
    """
    rows: dict[tuple[str, float], list[int]] = defaultdict(list)
    for row, line in enumerate(lines):
        if line.host and line.kind != LOOP:
            rows[line.host, line.time].append(row)
    for row, line in enumerate(lines):
        receiver, times = line.arrivals()
        for time in times:
            later = rows.get((receiver, time), ())
            at = bisect_right(later, row)
            if at < len(later):
                yield Arrow(row, later[at])


def _rates(points: Sequence[Point], made: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield row, failed and all continuations of each prefix, at the first line after it."""
    for point in points:
        row = next((row for row, count in enumerate(made) if count >= point.choices), None)
        if row is not None:
            yield row, point.failed, point.trials


def _marked(found: Why | None, first: int) -> list[int]:
    if found is None or found.jump is None:
        return []
    begin, end = found.jump.lines
    return [begin - first, end - first] if end >= first else []
