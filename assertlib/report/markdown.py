"""
The report as CommonMark with pipe tables, for job summaries and review comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum, auto
from typing import NamedTuple

from ..evidence.summary import Summary
from ..evidence.text import counted, in_markdown, one_line
from .content import REACHED, Content, content_of


class Worth(IntEnum):
    """How long a part of the report is kept where space is limited, the longest first."""

    FRAME = auto()
    VIOLATION = auto()
    GAP = auto()
    FINDING = auto()
    NAMES = auto()
    REACHED = auto()


class _Part(NamedTuple):
    """Lines that are kept or left out together."""

    worth: Worth
    text: str


def render(summary: Summary, limit: int | None = None) -> str:
    """
    Render the report as Markdown.

    Args:
        summary: The judged run.
        limit: Bytes of UTF-8 that the report may take, None for any number.  What matters least
            is left out first, from the end: reached states, lists of names, findings, gaps.
            GitHub accepts 1,048,576 bytes of a job summary and 65,536 characters of a comment.
    """
    parts = list(_parts(content_of(summary)))
    text = _joined(parts)
    if limit is None or len(text.encode()) <= limit:
        return text
    return _shortened(parts, limit)


def _joined(parts: list[_Part]) -> str:
    return "".join(part.text + "\n" for part in parts)


def _shortened(parts: list[_Part], limit: int) -> str:
    note = "{} left out; `assertlib report -v` shows everything."
    free = limit - len(note.format(counted(len(parts), "line"))) - 2
    # The most important first, and within one worth the earlier: the last ones are left out.
    order = sorted(range(len(parts)), key=lambda index: (parts[index].worth, index))
    kept = set()
    for index in order:
        size = len(parts[index].text.encode()) + 1
        if size > free:
            break
        free -= size
        kept.add(index)
    left_out = sum(
        part.text.count("\n") + 1 for index, part in enumerate(parts) if index not in kept
    )
    shown = [part for index, part in enumerate(parts) if index in kept]
    return _joined([*shown, _Part(Worth.FRAME, note.format(counted(left_out, "line")))])


def _parts(content: Content) -> Iterator[_Part]:
    """The report in its order: each part is a line, but for an explanation, which stays whole."""
    yield from _frame("# Assertion report", "", in_markdown(content.title), "")
    if content.items:
        yield from _frame(*_table("", "invariant", "evidence", "more"))
        for item in content.items:
            more = "<br>".join(in_markdown(line) for line in item.more)
            row = f"| {item.label} | {in_markdown(item.subject)} | {in_markdown(item.text)} | {more} |"
            worth = Worth.VIOLATION if item.is_violation else Worth.GAP
            yield _Part(worth, one_line(row))
        yield from _frame("")
    yield from _frame(in_markdown(" · ".join(content.counts)), "")
    for label, names in content.named:
        yield _Part(Worth.NAMES, one_line(f"- {label}: {in_markdown(', '.join(names))}"))
    if content.named:
        yield from _frame("")
    if content.states:
        yield from _frame("## Sometimes", "", *_table("", "state", "evidence", "invariant"))
        for state in content.states:
            is_reached = state.mark == REACHED
            mark = state.mark if is_reached else f"**{state.mark}**"
            cells = map(in_markdown, (state.message, state.text, state.owner))
            worth = Worth.REACHED if is_reached else Worth.GAP
            yield _Part(worth, one_line(f"| {mark} | {' | '.join(cells)} |"))
        yield from _frame("")
    if content.findings:
        yield from _frame("## Findings", "")
        for finding in content.findings:
            yield _Part(Worth.FINDING, one_line(f"- {in_markdown(finding)}"))
        yield from _frame("")
    yield from _explanations(content)


def _frame(*lines: str) -> Iterator[_Part]:
    return (_Part(Worth.FRAME, one_line(line)) for line in lines)


def _explanations(content: Content) -> Iterator[_Part]:
    if not content.explanations:
        return
    yield from _frame("## Explanations")
    for explanation in content.explanations:
        fence = "`" * (3 + longest_run(explanation, "`"))
        lines = ["", f"{fence}text", *explanation.splitlines(), fence]
        yield _Part(Worth.VIOLATION, "\n".join(map(one_line, lines)))
    yield from _frame("")


def longest_run(text: str, character: str) -> int:
    """Length of the longest run of *character* in *text*."""
    runs = re.findall(f"{re.escape(character)}+", text)
    return max(map(len, runs), default=0)


def _table(*heads: str) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
