"""
``assertlib check``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..catalog.check import check as check_target
from ..catalog.config import find_config
from ..report.findings import FINDING_FORMATS, FindingFormat, checks_of
from .common import OK, WRONG, TargetOption, command, put


@command
def check(
    target: TargetOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    format: Annotated[
        FindingFormat, typer.Option("--format", "-f", help="How to write it.")
    ] = FindingFormat.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, - for the terminal.")
    ] = None,
) -> int:
    """
    Join catalog and code, and print where they disagree.

    Without --target, all targets.  Nothing is imported or run.
    Exit code 1 if there is an error; `assertlib explain AL101` tells more of a rule.

    Example: assertlib check --strict
    """
    config = find_config(Path.cwd())
    names = [config.target(target)[0]] if target or not config.targets else list(config.targets)
    checks = checks_of(
        (check_target(config, *config.target(name)) for name in names), strict=strict
    )
    put(FINDING_FORMATS[format](checks), output)
    return WRONG if checks.errors else OK
