"""
``assertlib check``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.check import check as check_target
from ..catalog.config import FILE, ConfigError
from ..catalog.files import place_in_repository
from ..errors import NoDataError
from ..evidence.text import counted
from ..report.findings import (
    FINDING_FORMATS,
    Checks,
    FindingFormat,
    checks_of,
    read_known,
    write_known,
)
from .changes import patch_of
from .common import (
    OK,
    WRONG,
    ProjectOption,
    TargetOption,
    command,
    configuration,
    place_from_here,
    put,
)


@command
def check(
    target: TargetOption = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline-findings",
            metavar="FILE",
            help="File of known findings, which don't fail the check.",
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Create the file of known findings, or drop fixed findings from it."
        ),
    ] = False,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="RANGE",
            help="Also require a review of each promise if this change touches the code that enforces it:"
            " commits as in `git diff`, a file that contains a diff, or - for stdin.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    format: Annotated[
        FindingFormat, typer.Option("--format", "-f", help="Output format.")
    ] = FindingFormat.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file; - for stdout.")
    ] = None,
    project: ProjectOption = None,
) -> int:
    """
    Compare the catalog with the code and report every mismatch.

    Checks all targets unless --target names one.  Nothing is imported or run.
    Exit code 1 on errors, 3 if a target has no source file;
    `assertlib explain AL101` explains rule AL101.
    To adopt the check in a project that has many findings, record them once with
    --baseline-findings FILE --update;
    later updates only shrink that file.

    Example: assertlib check --strict
    """
    config = configuration(project)
    targets = [check_target(config, *config.target(name)) for name in config.target_names(target)]
    if diff is not None or config.knowledge.check:
        # Imported here: only these findings need the history.
        from ..knowledge.findings import add_findings

        add_findings(config, targets, patch_of(config, diff) if diff is not None else None)
    checks = checks_of(
        targets,
        strict=strict,
        below=place_in_repository(config.root),
        place=place_from_here(config),
    )
    if update and baseline is None:
        raise typer.BadParameter("--update requires --baseline-findings FILE")
    if update and target is not None:
        # The findings of all other targets would be dropped as fixed.
        raise typer.BadParameter("a baseline covers all targets: omit --target")
    if baseline is not None:
        is_part = target is not None
        checks = _without_known(checks, baseline, update=update, is_part=is_part)
    put(FINDING_FORMATS[format](checks), output)
    if checks.errors:
        return WRONG
    # After the errors, which matter more than a target without a source file.
    empty = ", ".join(each.name for each in checks.targets if not each.scan.files)
    if empty:
        raise NoDataError(
            f"{empty}: no source file, so nothing was checked; see `source` in {FILE}"
        )
    return OK


def _without_known(checks: Checks, path: Path, *, update: bool, is_part: bool) -> Checks:
    """Remove the findings of the baseline at *path* from *checks*."""
    if not path.exists() and not update:
        raise ConfigError(f"{path} does not exist; create it with --update")
    # None for a new baseline, which takes all findings; an existing one only shrinks.
    known = read_known(path) if path.exists() else None
    if update:
        known = write_known(path, checks, known)
    rest, gone = checks.without(known or set())
    # If one target is checked, the findings of the others are absent, but not fixed.
    if gone and not is_part:
        text = f"{counted(gone, 'finding')} in {path} fixed: drop them from the file with --update"
        print(text, file=sys.stderr)
    return rest
