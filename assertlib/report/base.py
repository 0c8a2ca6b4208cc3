"""
The protocol of report formats, and the formats there are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from ..evidence.summary import Summary
from . import html_format, json_format, markdown, text


class Reporter(Protocol):
    """Writes a judged run down."""

    def __call__(self, summary: Summary) -> str:
        """The report, ending in a newline."""


class Format(StrEnum):
    """The formats there are."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


FORMATS: dict[Format, Reporter] = {
    Format.TEXT: text.render,
    Format.MARKDOWN: markdown.render,
    Format.JSON: json_format.render,
    Format.HTML: html_format.render,
}
