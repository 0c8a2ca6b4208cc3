"""
Texts from outside, made fit to be shown: on one line, short enough, and shown
as they are.
"""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


def one_line(text: str, limit: int | None = None) -> str:
    """
    *text* without anything that a terminal or a reader's eye could be misled
    by, cut when it is longer than *limit* characters.
    """
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
    if limit is None or len(shown) <= limit:
        return shown
    return shown[: limit - 1] + "…"


def in_markdown(text: str) -> str:
    """*text* so that Markdown shows it as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", one_line(" ".join(text.split())))


def counted(number: int, thing: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def percent(rate: float) -> str:
    """*rate* in per cent, with a digit that is not zero."""
    return f"{100 * rate:.1f} %" if rate >= 0.001 else f"{100 * rate:.1g} %"
