"""
Prints the report of a run to the terminal.
"""

from __future__ import annotations

import shutil
import sys

from ..evidence.summary import Summary
from ..report import brief

_WIDEST = 120
"""Columns; longer lines are hard to read on wider terminals."""

_STYLES = {
    "VIOLATED": "bold red",
    "OUT OF MODEL": "bold yellow",
    "GAPS": "bold yellow",
    "FINDING": "yellow",
    "next:": "bold",
}


def print_report(summary: Summary) -> None:
    """Print the brief report, as wide as the terminal and in colour where it has any."""
    if not sys.stdout.isatty():
        sys.stdout.write(brief.render(summary))
        return
    width = min(shutil.get_terminal_size((brief.WIDTH, brief.LINES)).columns, _WIDEST)
    _print_styled(brief.render(summary, width))


def _print_styled(text: str) -> None:
    # Imported late: a report that is piped costs a third less without.
    from rich.console import Console
    from rich.text import Text

    # rich heeds NO_COLOR and TERM=dumb.  The text was escaped line by line when it was rendered.
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    for line in text.splitlines():
        label = next((each for each in _STYLES if line.startswith(each)), "")
        styled = Text(line)
        if label:
            styled.stylize(_STYLES[label], 0, len(label))
        console.print(styled)
