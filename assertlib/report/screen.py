"""
Escapes terminal output: that of all commands through `Screen`, that of the pytest plugin through
`escaped`.

Reports and explanations already keep each text on one line (`one_line`); this is the last barrier
for control characters, for every command and every origin of a text.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TextIO, cast

from .._text.control_characters import escaped


class Screen:
    """
    A standard stream that shows control characters instead of emitting them.

    Attributes:
        rich_proxied_file: The underlying stream, for consoles of rich, which emit escape sequences
            of their own; their input is escaped beforehand.  A live display of rich must not
            redirect the standard streams: output printed meanwhile would bypass this class.
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
    """Wrap the standard streams of this process in a `Screen`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Output to an ASCII-only terminal must not fail.
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, Screen(sys.stdout))
    sys.stderr = cast(TextIO, Screen(sys.stderr))
