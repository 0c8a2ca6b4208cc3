"""
``assertlib run``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..evidence.foreign import still_running
from ..evidence.gather import read_evidence
from ..evidence.runs import describe_run, finish_run, new_run
from ..evidence.summary import Summary, summarise
from ..evidence.verdicts import Verdict
from ..recording.settings import FEATURES_ENV, RUN_DIR_ENV
from .accounts import trouble
from .common import (
    NO_DATA,
    OK,
    USAGE,
    WRONG,
    ProjectOption,
    TargetOption,
    check_readable,
    command,
    configuration,
    recording_environment,
)

_SIGNALLED = 128


@command
def run(
    cmd: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="What to run.")],
    target: TargetOption = None,
    project: ProjectOption = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="CMD covers all it can, so that absence means something."),
    ] = False,
    feature: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=on|off", help="Declare a feature of the store on or off."),
    ] = None,
) -> int:
    """
    Run CMD and record the assertions of it and of its children.

    The exit code is CMD's; 1 if it succeeded but an assertion was violated, 3 if
    it succeeded and no assertion was hit, 2 if what an SDK wrote cannot be read.

    Example: assertlib run --full -- python -m kvstore.torture --seconds 20
    """
    for word in feature or []:
        if word.partition("=")[2] not in ("on", "off"):
            print(f"assertlib: --feature takes NAME=on or NAME=off, not {word!r}", file=sys.stderr)
            return USAGE
    config = configuration(project)
    checked = check_readable(config, target)
    given = os.environ.get(RUN_DIR_ENV)
    run_dir = Path(given).absolute() if given else new_run(config)
    run_dir.mkdir(parents=True, exist_ok=True)
    describe_run(run_dir, checked, config, cmd)
    code = _execute(cmd, _environment(config.root, run_dir, feature or []))
    if code is None:
        if not given:
            shutil.rmtree(run_dir)
        return USAGE
    # One that was killed did not get through all it could.
    accounts = finish_run(run_dir, full=full and code < _SIGNALLED)
    for line in (line for account in accounts for line in trouble(account)):
        print(f"assertlib: {line}", file=sys.stderr)
    for pid in still_running(run_dir):
        print(
            f"assertlib: process {pid}, started by `assertlib exec`, still runs; what it writes from"
            f" now on is judged by `assertlib report {run_dir.name}`",
            file=sys.stderr,
        )
    if code == OK and any(account.unreadable_count for account in accounts):
        code = USAGE
    evidence = read_evidence([run_dir])
    summary = summarise(evidence, checked.catalog, checked.name, checked.scan.sites)
    print(one_line(run_dir.name, summary), file=sys.stderr)
    return code or _judged(summary)


def _environment(root: Path, run_dir: Path, features: list[str]) -> dict[str, str]:
    environment = recording_environment(root, run_dir)
    if features:
        environment[FEATURES_ENV] = ",".join(features)
    return environment


def _execute(cmd: list[str], environment: dict[str, str]) -> int | None:
    """The exit code of *cmd*, as a shell would tell it; None if it cannot be run."""
    try:
        process = subprocess.Popen(cmd, env=environment)
    except OSError as error:
        print(f"assertlib: cannot run {cmd[0]!r}: {error.strerror}", file=sys.stderr)
        return None
    # Ctrl-C reaches the whole group: the command ends as it likes, and then is judged.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, interrupted)
    return code if code >= 0 else _SIGNALLED - code


def _judged(summary: Summary) -> int:
    if summary.is_violated:
        return WRONG
    return NO_DATA if summary.is_empty else OK


def one_line(name: str, summary: Summary) -> str:
    """What came of a run, for the terminal."""
    if summary.is_empty:
        return (
            f"assertlib: run {name}: no assertion was hit; the command must import assertlib, or be"
            " started by `assertlib exec` if it has an Antithesis SDK, and ASSERTLIB=off must not be"
            " set"
        )
    met = sum(result.hits > 0 for result in summary.assertions)
    violated = len(summary.with_verdict(Verdict.VIOLATED))
    outside = len(summary.with_verdict(Verdict.OUT_OF_MODEL))
    beyond = f", {outside} out of model" if outside else ""
    return (
        f"assertlib: run {name}: {summary.hits:,} evaluations, {met} of"
        f" {len(summary.assertions)} assertions hit, {violated} violated{beyond}; see `assertlib report`"
    )
