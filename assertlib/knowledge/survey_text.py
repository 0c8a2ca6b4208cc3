"""
A survey as text for a terminal, as Markdown, and as data.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from ..evidence.text import counted, in_markdown, one_line
from .status import Known, Status, by_area
from .survey import Survey

_WIDTH = 96
_SHOWN = 8
_URGENT = (Status.AT_RISK, Status.LOST, Status.FADING, Status.UNKNOWN)
Trend = Sequence[tuple[date, dict[Status, int]]]


def as_text(survey: Survey, *, is_complete: bool = False) -> str:
    """
    Render a survey for a terminal.

    Args:
        survey: The survey.
        is_complete: Whether all invariants are listed, not only the most urgent ones.
    """
    lines = [_title(survey), _counts(survey), *survey.notes]
    if survey.departed:
        lines.append(f"Without {', '.join(survey.departed)}.")
    urgent = [each for each in survey.known if is_complete or each.status in _URGENT]
    shown = urgent if is_complete else urgent[:_SHOWN]
    for each in shown:
        level = each.level or "no run"
        lines += ["", one_line(f"{each.status.upper():8} {each.entry.id}  ({level})")]
        lines.append(one_line(f"    {each.entry.invariant.title}"))
        for reason in each.reasons:
            lines += textwrap.wrap(
                one_line(reason), _WIDTH, initial_indent="    ", subsequent_indent="      "
            )
    if len(urgent) > len(shown):
        lines += ["", f"{len(urgent) - len(shown)} more; -v shows all"]
    return "\n".join([*lines, ""])


def as_markdown(survey: Survey) -> str:
    """Render a survey in Markdown, with all invariants by area."""
    lines = ["# Who knows the invariants", "", f"{_title(survey)}.", f"{_counts(survey)}."]
    lines += [*survey.notes, ""]
    for area, mine in by_area(survey.known).items():
        lines += [f"## {area}", "", "| invariant | status | evidence | why |", "|---|---|---|---|"]
        for each in mine:
            reasons = in_markdown("; ".join(each.reasons))
            lines.append(
                f"| {each.entry.id} | {each.status} | {each.level or 'no run'} | {reasons} |"
            )
        lines.append("")
    lines += ["## What this cannot show", "", *LIMITS, ""]
    return "\n".join(lines)


LIMITS = (
    "- Git shows who wrote and reviewed lines, not who understands them.",
    "- Discussions, incidents and reviews without a trailer leave no trace.",
    "- A person with several names counts several times, unless `.mailmap` joins them.",
    "- A squash merge keeps only the people whom its trailers name.",
    "- This is about promises: it does not measure people, and is not meant for that.",
)
"""What a survey cannot show, as items of a Markdown list."""


def as_dict(survey: Survey, trend: Trend = ()) -> dict[str, Any]:
    """Return a survey as plain data for JSON."""
    return {
        "as_of": _day(survey.now),
        "commit": survey.head,
        "departed": list(survey.departed),
        "notes": list(survey.notes),
        "counts": {str(status): count for status, count in survey.counts().items()},
        "invariants": [_row(each) for each in survey.known],
        "trend": [
            {"date": day.isoformat(), "counts": {str(status): n for status, n in counts.items()}}
            for day, counts in trend
        ],
    }


def _row(each: Known) -> dict[str, Any]:
    # Names only where somebody has to act: whom to pair with, whom to ask.
    named = each.status in (Status.AT_RISK, Status.LOST, Status.FADING)
    return {
        "id": each.entry.id,
        "title": each.entry.invariant.title,
        "area": each.entry.area,
        "status": str(each.status),
        "level": each.level or None,
        "exercised": each.is_exercised,
        "reasons": list(each.reasons),
        "known_to": len(each.knowers),
        "active": [*each.knowers, *each.fading] if named else [],
        "former": list(each.former) if named else [],
    }


def _title(survey: Survey) -> str:
    count = counted(len(survey.known), "active invariant")
    return f"{count} at {survey.head[:10]}, as of {_day(survey.now)}"


def _counts(survey: Survey) -> str:
    counts = survey.counts()
    order = (Status.LOST, Status.AT_RISK, Status.FADING, Status.ALIVE, Status.UNKNOWN)
    return " · ".join(f"{counts[status]} {status}" for status in order if counts[status])


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")
