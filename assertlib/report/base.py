"""
The report protocol and the available formats.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from ..evidence.summary import Summary
from . import html_format, json_format, markdown, text


class Reporter(Protocol):
    """Renders the report of a judged run."""

    def __call__(self, summary: Summary) -> str:
        """Return the report, ending in a newline."""


class Format(StrEnum):
    """Available report formats."""

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
