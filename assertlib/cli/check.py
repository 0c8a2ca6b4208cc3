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
            "--baseline-findings", metavar="FILE", help="Findings that are known, and no failure."
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Write that file, or take out of it what is mended."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    format: Annotated[
        FindingFormat, typer.Option("--format", "-f", help="How to write it.")
    ] = FindingFormat.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, - for the terminal.")
    ] = None,
    project: ProjectOption = None,
) -> int:
    """
    Join catalog and code, and print where they disagree.

    Without --target, all targets.  Nothing is imported or run.
    Exit code 1 if there is an error, 3 if a target has no source file;
    `assertlib explain AL101` explains a rule.
    A project that starts with many writes them down once, with --baseline-findings FILE --update:
    from then on that file only ever gets shorter.

    Example: assertlib check --strict
    """
    config = configuration(project)
    names = [config.target(target)[0]] if target or not config.targets else list(config.targets)
    checks = checks_of(
        (check_target(config, *config.target(name)) for name in names),
        strict=strict,
        below=place_in_repository(config.root),
        place=place_from_here(config),
    )
    if update and baseline is None:
        raise typer.BadParameter("say which file with --baseline-findings FILE")
    if update and target is not None:
        raise typer.BadParameter("a baseline is of all targets: leave out --target")
    if baseline is not None:
        is_part = target is not None
        checks = _without_known(checks, baseline, update=update, is_part=is_part)
    put(FINDING_FORMATS[format](checks), output)
    if checks.errors:
        return WRONG
    empty = ", ".join(each.name for each in checks.targets if not each.scan.files)
    if empty:
        raise NoDataError(
            f"{empty}: no source file, so nothing was checked; see `source` in {FILE}"
        )
    return OK


def _without_known(checks: Checks, path: Path, *, update: bool, is_part: bool) -> Checks:
    """*checks* but for what the baseline at *path* knows."""
    if not path.exists() and not update:
        raise ConfigError(f"there is no {path} yet; write it with --update")
    known = read_known(path) if path.exists() else None
    if update:
        known = write_known(path, checks, known)
    rest, gone = checks.without(known or set())
    if gone and not is_part:
        told = f"{counted(gone, 'finding')} of {path} mended: shorten it with --update"
        print(told, file=sys.stderr)
    return rest
