"""
``assertlib check``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..catalog.check import Checked, is_error
from ..catalog.check import check as check_target
from ..catalog.config import find_config
from ..evidence.wording import counted
from .common import OK, WRONG, TargetOption, command


@command
def check(
    target: TargetOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
) -> int:
    """
    Join catalog and code, and print where they disagree.

    Without --target, all targets.  Nothing is imported or run.
    Exit code 1 if there is an error; `assertlib explain AL101` tells more of a rule.

    Example: assertlib check --strict
    """
    config = find_config(Path.cwd())
    names = [config.target(target)[0]] if target or not config.targets else list(config.targets)
    failed = 0
    for name in names:
        checked = check_target(config, *config.target(name))
        failed += _print(checked, strict=strict)
    return WRONG if failed else OK


def _print(checked: Checked, *, strict: bool) -> int:
    for finding in checked.findings:
        label = "error" if strict or is_error(finding) else "warning"
        print(f"{finding} [{label}]")
    errors = len(checked.errors(strict=strict))
    print(
        f"{checked.name}: {counted(len(checked.scan.sites), 'assertion')} in"
        f" {counted(checked.scan.files, 'file')},"
        f" {counted(len(checked.catalog.entries), 'invariant')}:"
        f" {counted(errors, 'error')}, {counted(len(checked.findings) - errors, 'warning')}"
    )
    return errors
