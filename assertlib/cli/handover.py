"""
``assertlib handover``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..knowledge.handover import handover as written
from ..knowledge.status import people_named
from ..knowledge.survey import Question, survey
from .common import OK, ProjectOption, TargetOption, command, configuration, put


@command
def handover(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The person's name, as it appears in git.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file; - for stdout.")
    ] = None,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Write a handover checklist for someone who is leaving a project, in Markdown.

    It names the invariants that nobody else knows, with their open questions and incidents and a
    person to pair with, and code they wrote whose promises are not written down.

    Example: assertlib handover "Ann Smith" -o handover.md
    """
    config = configuration(project)
    found = survey(config, config.target_names(target), Question())
    names, problems = people_named([name], found.last)
    if problems:
        raise UsageError(problems[0])
    put(written(config, found, names[0]), output)
    return OK
