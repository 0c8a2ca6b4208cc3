"""
``assertlib report``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import Config
from ..errors import NoDataError, UsageError
from ..evidence.combine import Evidence
from ..evidence.summary import Summary
from ..report import brief, markdown
from ..report.base import FORMATS, Format
from ..report.questions import answer
from .common import ProjectOption, TargetOption, command, configuration, put, verdict_code
from .judging import judged
from .terminal import print_report
from .verdict_metrics import send


def _in_html(config: Config, evidence: Evidence, summary: Summary, against: str | None) -> str:
    # Imported here, since only this format has trends, from the evidence store: SQLAlchemy takes
    # longer to import than everything else that a report needs.
    from ..report.html_format import render
    from .report_context import report_context

    return render(summary, report_context(config, evidence, summary, against))


@command
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Run ids or directories; default: the newest run."),
    ] = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="Output format.")] = (
        Format.TEXT
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file; - for stdout.")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show everything, not just one screen (text only)."),
    ] = False,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            min=4096,
            metavar="N",
            help="Limit the output to N bytes, keeping the most severe results (Markdown only);"
            " GitHub accepts up to 1048576.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--compare-to", metavar="RUN", help="Run to compare with (HTML only)."),
    ] = None,
    assertion: Annotated[
        str | None,
        typer.Option(
            "--assertion",
            metavar="MESSAGE",
            help="Limit the report to this assertion and its trials.",
        ),
    ] = None,
    invariant: Annotated[
        str | None,
        typer.Option("--invariant", metavar="ID", help="Limit the report to this invariant."),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test", metavar="TEXT", help="List the hits of trials whose name contains TEXT."
        ),
    ] = None,
    otel: Annotated[
        bool,
        typer.Option("--otel", help="Also send verdicts as metrics to the endpoint set by OTEL_*."),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Report what runs proved, what was violated, and which states never occurred.

    Several runs are judged together.  Exit code 1 only if an assertion was
    violated, 2 if a recording is damaged, 3 if there is no data.
    --assertion, --invariant and --test limit the report and always produce text.

    Example: assertlib report --format markdown -o report.md
    """
    if max_bytes is not None and format is not Format.MARKDOWN:
        raise UsageError("--max-bytes needs --format markdown")
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
        put(_in_html(config, evidence, summary, against), output)
    elif format is Format.MARKDOWN:
        put(markdown.render(summary, max_bytes), output)
    elif format is Format.TEXT and not verbose and output is None:
        print_report(summary)
    elif format is Format.TEXT and not verbose:
        put(brief.render(summary), output)
    else:
        put(FORMATS[format](summary), output)
    if otel:
        send(summary)
    return verdict_code(summary)
