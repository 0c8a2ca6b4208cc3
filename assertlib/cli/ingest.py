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
from .ingest_stats import told
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
            help="What ANTITHESIS_SDK_LOCAL_OUTPUT named, or sdk.jsonl.",
        ),
    ],
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="RUN", help="A run to add to; a new one if none."),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="They cover all there is, so that absence means something."),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Take the local output of any Antithesis SDK as shards of a run.

    Go, Rust, Java, C++, .NET, JavaScript: the catalog, reports and gates then work for a store in
    any language.  These SDKs write the first hit of each outcome only, so counts are shown as
    "at least".  Every record is accounted for: understood, or listed as unknown with a count.
    Exit code 1 if an assertion was violated, 2 if a line could not be read, 3 if there was none.

    Example: assertlib ingest node-*.jsonl
    """
    config = configuration(project)
    checked = check_readable(config, target)
    run = new_run(config) if into is None else find_runs(config, [into])[0]
    try:
        if into is None:
            describe_run(run, checked, config, ["assertlib", "ingest", *map(str, files)])
        accounts = list(take(files, run))
        if not any(account.names for account in accounts):
            raise NoDataError(_nothing(accounts))
    except BaseException:
        if into is None:
            shutil.rmtree(run)
        raise
    finish_run(run, full=full or read_info(run).full)
    print("\n".join(told(accounts)))
    evidence = read_evidence([run])
    summary = summarise(evidence, checked.catalog, checked.name, checked.scan.sites)
    print(one_line(run.name, summary), file=sys.stderr)
    if any(account.unreadable_count for account in accounts):
        return USAGE
    return WRONG if summary.is_violated else OK


def _nothing(accounts: Iterable[IngestStats]) -> str:
    lines = "\n".join(told(accounts))
    return f"no assertion in these files; is it the output of an Antithesis SDK?\n{lines}"
