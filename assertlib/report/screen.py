"""
The edge to a terminal: the output of all commands goes through `Screen`, that of the pytest plugin
through `escaped`.

Reports and explanations put each text on its line before (`one_line`); this is what no text passes,
whichever command prints it and wherever it comes from.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TextIO, cast

from ..control_characters import escaped


class Screen:
    """
    A standard stream that shows control characters instead of passing them on.

    Attributes:
        rich_proxied_file: The stream itself, for consoles of rich, which make escape sequences of
            their own; what is given to them is escaped before.  A live display of rich may not
            redirect the standard streams: what is printed meanwhile would go around this.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self.rich_proxied_file, name)

    def write(self, text: str) -> int:
        """Write *text*, escaped; returns its length."""
        self.rich_proxied_file.write(escaped(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write *lines*, escaped."""
        for line in lines:
            self.write(line)


def install() -> None:
    """Put a screen before the standard streams of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows only ASCII is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, Screen(sys.stdout))
    sys.stderr = cast(TextIO, Screen(sys.stderr))
