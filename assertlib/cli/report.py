"""
``assertlib report``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import NoDataError
from ..report.base import FORMATS, Format
from ..report.html_format import render as in_html
from ..report.questions import answer
from .common import ProjectOption, TargetOption, command, configuration, put, verdict_code
from .judging import judged
from .report_context import report_context
from .verdict_metrics import send


@command
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Ids or directories; the newest run if none."),
    ] = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = (
        Format.TEXT
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, - for the terminal.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--compare-to", metavar="RUN", help="Run to compare with, in HTML."),
    ] = None,
    assertion: Annotated[
        str | None,
        typer.Option("--assertion", metavar="MESSAGE", help="Tell of this one alone: what hit it."),
    ] = None,
    invariant: Annotated[
        str | None,
        typer.Option("--invariant", metavar="ID", help="Tell of its assertions alone."),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test", metavar="TEXT", help="Tell what trials with that in their name hit."
        ),
    ] = None,
    otel: Annotated[
        bool,
        typer.Option(
            "--otel", help="Also send verdicts as metrics to the collector that OTEL_* names."
        ),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Tell what runs proved, what was violated and what never happened.

    Several runs are judged together.  Exit code 1 only if an assertion was
    violated, 2 if what was recorded is damaged, 3 if there is no data.
    With --assertion, --invariant or --test it answers that question, in text.

    Example: assertlib report --format markdown -o report.md
    """
    config = configuration(project)
    evidence, summary = judged(config, runs or [], target)
    if summary.is_empty and not summary.undeclared and not summary.damage:
        raise NoDataError(
            f"no assertion was hit in {', '.join(summary.runs)}; record a run with"
            " `assertlib run -- CMD` or `pytest --assertlib`"
        )
    if assertion or invariant or test:
        put(answer(evidence, summary, assertion, invariant, test), output)
    elif format is Format.HTML:
        put(in_html(summary, report_context(config, evidence, summary, against)), output)
    else:
        put(FORMATS[format](summary), output)
    if otel:
        send(summary)
    return verdict_code(summary)
