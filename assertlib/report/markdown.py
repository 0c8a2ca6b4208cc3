"""
The report as CommonMark with pipe tables, for job summaries and review comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..evidence.summary import Summary
from ..evidence.text import in_markdown, one_line
from .content import REACHED, Content, content_of


def render(summary: Summary) -> str:
    """The report as Markdown."""
    return "\n".join(map(one_line, _lines(content_of(summary)))) + "\n"


def _lines(content: Content) -> Iterator[str]:
    yield "# Assertion report"
    yield ""
    yield in_markdown(content.title)
    yield ""
    if content.items:
        yield from _table("", "invariant", "evidence", "more")
        for item in content.items:
            more = "<br>".join(in_markdown(line) for line in item.more)
            yield f"| {item.label} | {in_markdown(item.subject)} | {in_markdown(item.text)} | {more} |"
        yield ""
    yield in_markdown(" · ".join(content.counts))
    yield ""
    for label, names in content.named:
        yield f"- {label}: {in_markdown(', '.join(names))}"
    if content.named:
        yield ""
    if content.states:
        yield "## Sometimes"
        yield ""
        yield from _table("", "state", "evidence", "invariant")
        for state in content.states:
            mark = state.mark if state.mark == REACHED else f"**{state.mark}**"
            cells = map(in_markdown, (state.message, state.text, state.owner))
            yield f"| {mark} | {' | '.join(cells)} |"
        yield ""
    if content.findings:
        yield "## Findings"
        yield ""
        for finding in content.findings:
            yield f"- {in_markdown(finding)}"
        yield ""
    yield from _explanations(content)


def _explanations(content: Content) -> Iterator[str]:
    if not content.explanations:
        return
    yield "## Explanations"
    for explanation in content.explanations:
        fence = "`" * (3 + longest_run(explanation, "`"))
        yield ""
        yield f"{fence}text"
        yield from explanation.splitlines()
        yield fence
    yield ""


def longest_run(text: str, character: str) -> int:
    """Length of the longest run of *character* in *text*."""
    runs = re.findall(f"{re.escape(character)}+", text)
    return max(map(len, runs), default=0)


def _table(*heads: str) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
