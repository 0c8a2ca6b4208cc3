"""
``assertlib ingest``.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ..errors import NoDataError
from ..evidence.foreign import ingest as take
from ..evidence.gather import read_evidence
from ..evidence.runs import describe_run, find_runs, finish_run, new_run, read_info
from ..evidence.summary import summarise
from ..recording.foreign import IngestStats
from .common import (
    OK,
    USAGE,
    WRONG,
    ProjectOption,
    TargetOption,
    check_readable,
    command,
    configuration,
)
from .ingest_stats import describe
from .run_command import one_line


@command
def ingest(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Files named by ANTITHESIS_SDK_LOCAL_OUTPUT, or sdk.jsonl.",
        ),
    ],
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="RUN", help="Run to add to; default: a new run."),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="The files are meant to cover everything, so report what never happened."
        ),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Import the local output of any Antithesis SDK as shards of a run.

    The catalog, reports and gates then work for stores written in Go, Rust, Java, C++, .NET or
    JavaScript. These SDKs write only the first hit of each outcome, so counts are shown as "at
    least". Every record is accounted for: either understood, or listed as unknown with a count.
    Exit code 1 if an assertion was violated, 2 if a line could not be read, 3 if there are no
    assertions.

    Example: assertlib ingest node-*.jsonl
    """
    config = configuration(project)
    checked = check_readable(config, target)
    run = new_run(config) if into is None else find_runs(config, [into])[0]
    try:
        if into is None:
            describe_run(run, checked, config, ["assertlib", "ingest", *map(str, files)])
        stats = list(take(files, run))
        if not any(each.names for each in stats):
            raise NoDataError(_no_assertions(stats))
    except BaseException:
        # An empty run would be the newest one, which other commands take by default.
        if into is None:
            shutil.rmtree(run)
        raise
    # Files that are added to a full run leave it full.
    finish_run(run, full=full or read_info(run).full)
    print("\n".join(describe(stats)))
    evidence = read_evidence([run])
    summary = summarise(evidence, checked.catalog, checked.name, checked.scan.sites)
    print(one_line(run.name, summary), file=sys.stderr)
    if any(each.unreadable_count for each in stats):
        return USAGE
    return WRONG if summary.is_violated else OK


def _no_assertions(stats: Iterable[IngestStats]) -> str:
    lines = "\n".join(describe(stats))
    return f"no assertions in these files; are they the output of an Antithesis SDK?\n{lines}"
