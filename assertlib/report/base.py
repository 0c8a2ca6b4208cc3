"""
The protocol of report formats, and the formats there are.
"""

from __future__ import annotations

from typing import Protocol

from ..evidence.summary import Summary
from . import json_format, markdown, text


class Reporter(Protocol):
    """Writes a judged run down."""

    def __call__(self, summary: Summary) -> str:
        """The report, ending in a newline."""


FORMATS: dict[str, Reporter] = {
    "text": text.render,
    "markdown": markdown.render,
    "json": json_format.render,
}
