"""
The context of a change as text for a terminal, and as Markdown for a review.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ..catalog.drafts import placeholders
from ..evidence.text import counted, in_markdown, one_line
from .context import Context, Item

DEFAULT_WORDS = 600
_NAMED = 12
"""Invariants that are named although the limit on words leaves no room for their text."""
_TICKED = 5
"""Invariants beyond that limit that are still in the list to tick."""
_SHOWN = 3
"""Assertions, reasons and functions that are listed before the rest is counted."""
_WIDTH = 96
_INDENT = "    "
MARK = "<!-- assertlib context -->"
"""Begins the Markdown form, so that CI can find and replace its comment."""


def as_text(context: Context, words: int = DEFAULT_WORDS) -> str:
    """
    Render a context for a terminal.

    Args:
        context: What is at stake.
        words: Maximum number of words, except that the first invariant is always complete.
    """
    lines = [*_warnings(context)]
    full, named = _split(context.items, words)
    if not context.items:
        return "\n".join([*lines, f"no invariant is at stake in {_subject(context)}", ""])
    count = counted(len(context.items), "invariant")
    lines += textwrap.wrap(f"{count} at stake in {_subject(context)}", _WIDTH)
    for number, item in enumerate(full, 1):
        entry = item.relevant.entry
        lines += ["", one_line(f"{number}. {entry.id}  {entry.invariant.title}")]
        for label, text in _parts(item):
            lines += textwrap.wrap(
                one_line(f"{label}: {text}" if label else text),
                _WIDTH,
                initial_indent=_INDENT,
                subsequent_indent=_INDENT + ("  " if label else ""),
            )
    if named:
        lines += ["", *_rest(named, "raise --words to see more")]
    return "\n".join([*lines, ""])


def as_markdown(context: Context, words: int = DEFAULT_WORDS) -> str:
    """
    Render a context as a comment for a pull request, with a list to tick.

    Args:
        context: What is at stake.
        words: Maximum number of words, except that the first invariant is always complete.
    """
    lines = [MARK, "### Invariants at stake", ""]
    lines += [f"> {in_markdown(text)}" for text in _warnings(context)]
    if not context.items:
        return "\n".join([*lines, f"None, in {in_markdown(_subject(context))}.", ""])
    lines += [
        f"This change touches {in_markdown(_subject(context))}.",
        "Tick each promise once you have checked that it still holds.",
        "",
    ]
    full, named = _split(context.items, words)
    for item in full:
        entry = item.relevant.entry
        lines.append(f"- [ ] **{entry.id}**: {in_markdown(entry.invariant.title)}")
        for label, text in _parts(item):
            lines.append(f"  - {label}: {in_markdown(text)}" if label else f"  {in_markdown(text)}")
    for item in named[:_TICKED]:
        entry = item.relevant.entry
        lines.append(f"- [ ] **{entry.id}**: {in_markdown(entry.invariant.title)}")
    if named[_TICKED:]:
        lines += ["", " ".join(_rest(named[_TICKED:], "see `assertlib context`"))]
    return "\n".join([*lines, ""])


AGENTS = """\
## Invariants

This project keeps what must hold in a catalog, and assertions in its code name the entries.
Before you change code, ask which promises the change touches:

    assertlib context path/to/file.py:10-40     # lines you are about to edit
    assertlib context --symbol Class.method     # a function or class
    assertlib context --diff HEAD               # the changes in the work tree
    assertlib catalog show ID                   # one invariant in full

After the change, run `assertlib check`.
If it reports that a reviewed assertion has changed, ask a person; never record a review yourself.
"""
"""A section for AGENTS.md: how to ask, since a list of invariants would soon be out of date."""


def _subject(context: Context) -> str:
    """The changed functions, or the files where no function is known."""
    names = [name.partition(": ")[2] for name in context.functions]
    names = [name for name in names if name != "<module>"] or list(context.files)
    rest = len(names) - 2 * _SHOWN
    shown = ", ".join(names[: 2 * _SHOWN])
    return f"{shown} and {rest} more" if rest > 0 else shown or "an empty change"


def _warnings(context: Context) -> Iterator[str]:
    for place in context.unplaced:
        yield one_line(
            f"{place}: these lines are in the file neither before nor after the change, so the"
            " changed function is unknown"
        )
    if context.outside:
        rest = len(context.outside) - _SHOWN
        names = ", ".join(context.outside[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
        yield one_line(f"not in the source of any target: {names}")


def _parts(item: Item) -> Iterator[tuple[str, str]]:
    """The paragraphs about one invariant, each with its label."""
    relevant, known = item.relevant, item.relevant.entry.invariant
    yield "", " ".join(known.statement.split())
    if known.status == "draft":
        yield "status", "draft, not enforced yet"
    if "why" not in placeholders(known):
        yield "why", " ".join(known.why.split())
    yield "listed because", _listed([reason.text for reason in relevant.reasons])
    if relevant.sites:
        places = [
            f"{site.origin!r} in {site.qualname} ({site.file}:{site.line})"
            for site in relevant.sites
        ]
        yield "enforced by", _listed(places)
    else:
        yield "enforced by", "no assertion"
    if item.evidence is not None:
        missing = f", missing {', '.join(item.evidence.missing)}" if item.evidence.missing else ""
        yield "evidence", f"{item.evidence.level} in run {item.evidence.run}{missing}"
    if item.incidents:
        yield "incidents", _listed([f"{each.ref} ({each.title})" for each in item.incidents])
    if known.owners:
        yield "owners", ", ".join(known.owners)
    for question in known.open_questions:
        yield "open question", " ".join(question.split())


def _listed(texts: Sequence[str]) -> str:
    rest = len(texts) - _SHOWN
    shown = "; ".join(texts[:_SHOWN])
    return f"{shown}; {rest} more" if rest > 0 else shown


def _split(items: Sequence[Item], words: int) -> tuple[Sequence[Item], Sequence[Item]]:
    """The items that are shown completely, and those that are only named."""
    used = 0
    for number, item in enumerate(items):
        used += sum(len(f"{label} {text}".split()) for label, text in _parts(item))
        used += len(item.relevant.entry.invariant.title.split()) + 2
        # The rest is named, which costs words as well.
        if number and used + min(len(items) - number, _NAMED) > words:
            return items[:number], items[number:]
    return items, ()


def _rest(items: Sequence[Item], hint: str) -> list[str]:
    names = ", ".join(item.relevant.entry.id for item in items[:_NAMED])
    rest = len(items) - _NAMED
    text = f"less relevant: {names}{f' and {rest} more' if rest > 0 else ''} ({hint})"
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
