"""
``assertlib report``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..model import NoDataError
from ..report.base import FORMATS, Format
from .common import OK, WRONG, TargetOption, command, put
from .judging import judged


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
    target: TargetOption = None,
) -> int:
    """
    Tell what runs proved, what was violated and what never happened.

    Several runs are judged together.  Exit code 1 only if an assertion was
    violated, 3 if there is no data.

    Example: assertlib report --format markdown -o report.md
    """
    _, summary = judged(runs or [], target)
    if summary.is_empty:
        raise NoDataError(
            f"no assertion was hit in {', '.join(summary.runs)}; record a run with"
            " `assertlib run -- CMD` or `pytest --assertlib`"
        )
    put(FORMATS[format](summary), output)
    return WRONG if summary.is_violated else OK
