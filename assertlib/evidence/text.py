"""
Sanitising and formatting of text that is displayed: single-line, bounded, and literal.
"""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


def one_line(text: str, limit: int | None = None) -> str:
    """
    Escape everything in *text* that could mislead a terminal or a reader.

    Control characters, line breaks and bidirectional overrides become backslash escapes.  Results
    longer than *limit* characters are truncated and end in an ellipsis; None means no limit.
    """
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
    if limit is None or len(shown) <= limit:
        return shown
    return shown[: limit - 1] + "…"


def in_markdown(text: str) -> str:
    """Escape *text* so that Markdown renders it literally, on one line."""
    # Line breaks become spaces first; one_line would turn them into visible escapes.
    return _MARKDOWN.sub(r"\\\1", one_line(" ".join(text.split())))


def counted(number: int, thing: str, things: str = "") -> str:
    """*number* with the noun *thing* in agreement: ``1 file``, ``2 files``; *things* is its plural."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def percent(rate: float) -> str:
    """*rate* as a percentage with at least one significant digit."""
    # One decimal would show a rate below 0.05% as 0.0%, which reads as never.
    return f"{100 * rate:.1f}%" if rate >= 0.001 else f"{100 * rate:.1g}%"
