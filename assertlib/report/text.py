"""
The report for a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence.summary import Summary
from ..evidence.text import one_line
from .content import Content, Item, content_of

_INDENT = " " * 11


def render(summary: Summary) -> str:
    """The report as plain text."""
    return "\n".join(map(one_line, _lines(content_of(summary)))) + "\n"


def _lines(content: Content) -> Iterator[str]:
    yield content.title
    for item in content.items:
        yield from _item(item)
    yield " · ".join(content.counts)
    for label, names in content.named:
        yield f"{label:<10} {', '.join(names)}"
    if content.states:
        yield "SOMETIMES"
        for state in content.states:
            yield f"  {state.mark:<7}  {state.message}  {state.text}   {state.owner}".rstrip()
    for finding in content.findings:
        yield f"FINDING    {finding}"
    for explanation in content.explanations:
        yield ""
        yield from explanation.splitlines()


def _item(item: Item) -> Iterator[str]:
    gap = "  " if item.text.startswith('"') else "   "
    yield f"{item.label + '  ':<11}{item.subject}{gap}{item.text}"
    for line in item.more:
        yield f"{_INDENT}{line}"
