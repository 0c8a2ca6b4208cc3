"""
``assertlib exec``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import find_config
from ..evidence.foreign import OUTPUT_ENV, new_output
from ..evidence.revision import find_revision
from ..evidence.runs import RUNS
from ..evidence.text import one_line
from ..recording.rundir import KNOWN, OUTPUTS
from ..recording.settings import COMMIT_ENV, FEATURES_ENV, RUN_DIR_ENV, parse_features
from ..recording.trials import ENVIRONMENT as TRIAL_ENV
from ..recording.trials import from_environment
from .common import USAGE, command


@command
def exec(
    cmd: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="Command to execute.")],
) -> int:
    """
    Exec CMD, giving its Antithesis SDK a private output file.

    The SDKs for Go and Rust truncate their output file, so processes or runs that share one lose
    evidence.  Under `assertlib run`, pytest or a campaign, the file belongs to the run and is
    ingested when the run ends; otherwise pass it to `assertlib ingest`.

    Example: assertlib run -- sh -c 'assertlib exec -- ./server & assertlib exec -- ./client'
    """
    run_dir = os.environ.get(RUN_DIR_ENV)
    here = find_config(Path.cwd()).root / RUNS.parts[0]
    directory = Path(run_dir) / OUTPUTS if run_dir else here / OUTPUTS
    path = new_output(directory, cmd, _facts())
    if not run_dir:
        print(
            one_line(f"assertlib: when the process has ended, run: assertlib ingest {path}"),
            file=sys.stderr,
        )
        # Output that is still buffered would not survive the exec.
        sys.stderr.flush()
    try:
        os.execvpe(cmd[0], cmd, {**os.environ, OUTPUT_ENV: str(path)})  # noqa: S606
    except (OSError, ValueError) as error:
        # The description belongs to a process that never started.
        path.with_suffix(KNOWN).unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"assertlib: cannot run {cmd[0]!r}: {reason}", file=sys.stderr)
        return USAGE


def _facts() -> dict[str, object]:
    """Facts that a shard records in addition to the output of the SDK."""
    trial = from_environment(os.environ.get(TRIAL_ENV))
    return {
        "run": os.path.basename(os.environ.get(RUN_DIR_ENV, "")),
        "commit": os.environ.get(COMMIT_ENV) or find_revision(Path.cwd()),
        "features": parse_features(os.environ.get(FEATURES_ENV, "")),
        "trial": None if trial is None else trial.as_dict(),
    }
