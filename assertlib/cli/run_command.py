"""
``assertlib run``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..evidence.foreign import still_running
from ..evidence.gather import read_evidence
from ..evidence.runs import describe_run, finish_run, new_run
from ..evidence.summary import Summary, summarise
from ..evidence.text import counted
from ..evidence.verdicts import Verdict
from ..recording.private import make_directory
from ..recording.settings import FEATURES_ENV, RUN_DIR_ENV
from .common import (
    OK,
    USAGE,
    ProjectOption,
    TargetOption,
    check_readable,
    command,
    configuration,
    recording_environment,
    verdict_code,
)
from .ingest_stats import problems
from .signals import SIGNALLED, supervised


@command
def run(
    cmd: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="Command to run.")],
    target: TargetOption = None,
    project: ProjectOption = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="CMD is meant to cover everything, so report what never happened."
        ),
    ] = False,
    feature: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=on|off", help="Declare a feature of the store to be on or off."),
    ] = None,
) -> int:
    """
    Run CMD and record the assertions in it and its child processes.

    The exit code is CMD's.  If CMD succeeds: 1 if an assertion was violated, 2 if
    the output of an SDK is unreadable, 3 if no assertion was hit.
    TERM, HUP, INT and QUIT are forwarded; processes still running 10 s later are
    killed, and everything recorded up to then is judged.

    Example: assertlib run --full -- python -m kvstore.torture --seconds 20
    """
    # Checked before a run is created.
    for setting in feature or []:
        if setting.partition("=")[2] not in ("on", "off"):
            print(
                f"assertlib: --feature takes NAME=on or NAME=off, not {setting!r}", file=sys.stderr
            )
            return USAGE
    config = configuration(project)
    checked = check_readable(config, target)
    # Below another `assertlib run`, everything is recorded into the outer run.
    given = os.environ.get(RUN_DIR_ENV)
    run_dir = Path(given).absolute() if given else new_run(config)
    make_directory(run_dir)
    describe_run(run_dir, checked, config, cmd)
    try:
        ended = supervised(cmd, _environment(config.root, run_dir, feature or []))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"assertlib: cannot run {cmd[0]!r}: {reason}", file=sys.stderr)
        # An empty run would be the newest one, which other commands take by default.
        if not given:
            shutil.rmtree(run_dir)
        return USAGE
    # A command that was cut short cannot have covered everything.
    stats = finish_run(run_dir, full=full and not ended.was_stopped)
    for line in (line for file in stats for line in problems(file)):
        print(f"assertlib: {line}", file=sys.stderr)
    for pid in still_running(run_dir):
        print(
            f"assertlib: process {pid}, started by `assertlib exec`, is still running; any further"
            f" output will be included in `assertlib report {run_dir.name}`",
            file=sys.stderr,
        )
    code = ended.code or (SIGNALLED + ended.signal if ended.signal else OK)
    # A record that cannot be read may have been a violation.
    if code == OK and any(file.unreadable_count for file in stats):
        code = USAGE
    evidence = read_evidence([run_dir])
    summary = summarise(evidence, checked.catalog, checked.name, checked.scan.sites)
    print(one_line(run_dir.name, summary), file=sys.stderr)
    # A failure of the command is passed on: a caller may depend on its exit code.
    return code or verdict_code(summary)


def _environment(root: Path, run_dir: Path, features: list[str]) -> dict[str, str]:
    environment = recording_environment(root, run_dir)
    if features:
        environment[FEATURES_ENV] = ",".join(features)
    return environment


def one_line(name: str, summary: Summary) -> str:
    """Summarise a run in one line for the terminal."""
    if summary.is_empty:
        return (
            f"assertlib: run {name}: no assertion was hit; the command must import assertlib, or use an"
            " Antithesis SDK and be started by `assertlib exec`; ASSERTLIB=off must not be set"
        )
    hit = sum(result.hits > 0 for result in summary.assertions)
    violated = len(summary.with_verdict(Verdict.VIOLATED))
    outside = len(summary.with_verdict(Verdict.OUT_OF_MODEL))
    beyond = f", {outside} out of model" if outside else ""
    return (
        f"assertlib: run {name}: {counted(summary.hits, 'evaluation')}, {hit} of"
        f" {counted(len(summary.assertions), 'assertion')} hit, {violated} violated{beyond}; see `assertlib report`"
    )
