"""
``assertlib knowledge``.
"""

from __future__ import annotations

import json
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..knowledge.survey import Question, survey, trend
from ..knowledge.survey_text import as_dict, as_markdown, as_text
from .common import OK, ProjectOption, TargetOption, command, configuration, put


class KnowledgeFormat(StrEnum):
    """Available formats for a survey."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


@command
def knowledge(
    departure: Annotated[
        list[str] | None,
        typer.Option(
            "--departure", metavar="NAME", help="Show the result as if this person had left."
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="DATE", help="Show the state on an earlier day, such as 2026-03-31."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE", help="Leave out contributions before this day."),
    ] = None,
    points: Annotated[
        int,
        typer.Option(
            "--trend", metavar="N", min=0, help="Number of earlier dates to compare with."
        ),
    ] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List all invariants.")] = False,
    format: Annotated[
        KnowledgeFormat, typer.Option("--format", "-f", help="Output format.")
    ] = KnowledgeFormat.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file; - for stdout.")
    ] = None,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Show which invariants are still known to somebody, from git history and evidence.

    Each invariant is alive (two active people know it), fading (several active people
    contributed, but long ago), at risk (one active person) or lost.  The most urgent come first.
    It is about promises, not about people: git shows who wrote and reviewed lines, not who
    understands them.

    Example: assertlib knowledge --departure "Ann Smith"
    """
    config = configuration(project)
    names = config.target_names(target)
    question = Question(_date(as_of, "--as-of"), _date(since, "--since"), departure or [])
    if points and format not in (KnowledgeFormat.JSON, KnowledgeFormat.HTML):
        raise UsageError("--trend needs --format json or html")
    found = survey(config, names, question)
    earlier = trend(config, names, points) if points else []
    if format is KnowledgeFormat.JSON:
        text = json.dumps(as_dict(found, earlier), indent=2, ensure_ascii=False) + "\n"
    elif format is KnowledgeFormat.HTML:
        from ..knowledge.page import as_html

        text = as_html(found, earlier)
    elif format is KnowledgeFormat.MARKDOWN:
        text = as_markdown(found)
    else:
        text = as_text(found, is_complete=verbose)
    put(text, output)
    return OK


def _date(text: str | None, option: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: not a date; write it as 2026-03-31") from None
