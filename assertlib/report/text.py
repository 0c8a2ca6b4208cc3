"""
The report for a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..evidence.summary import Summary
from ..evidence.text import one_line
from .content import Content, Item, content_of

_INDENT = " " * 11
_WIDTH = 100
"""Columns of lists of names; all other lines are as long as their text."""


def render(summary: Summary) -> str:
    """The report as plain text."""
    return "\n".join(map(one_line, _lines(content_of(summary)))) + "\n"


def _lines(content: Content) -> Iterator[str]:
    yield content.title
    for item in content.items:
        yield from _item(item)
    yield " · ".join(content.counts)
    for label, names in content.named:
        yield from _packed(f"{label:<10} ", names)
    if content.states:
        yield "SOMETIMES"
        for state in content.states:
            yield f"  {state.mark:<7}  {state.message}  {state.text}   {state.owner}".rstrip()
    for finding in content.findings:
        yield f"FINDING    {finding}"
    for explanation in content.explanations:
        yield ""
        yield from explanation.splitlines()


def _packed(head: str, names: Sequence[str]) -> Iterator[str]:
    """Separate *names* by commas, as many on a line as fit."""
    line = head + names[0]
    for name in names[1:]:
        if len(line) + len(name) + 3 > _WIDTH:
            yield f"{line},"
            line = " " * len(head) + name
        else:
            line += f", {name}"
    yield line


def _item(item: Item) -> Iterator[str]:
    gap = "  " if item.text.startswith('"') else "   "
    yield f"{item.label + '  ':<11}{item.subject}{gap}{item.text}"
    for line in item.more:
        yield f"{_INDENT}{line}"
