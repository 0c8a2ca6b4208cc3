"""
``assertlib docs``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import Config
from ..catalog.history import history
from ..docgen.pages import Live, differing_pages, foreign_pages, render_pages, write_pages
from ..errors import AssertlibError
from ..evidence.text import counted, one_line
from ..knowledge.survey import Question, survey
from ..sim.challenge import read_record
from .common import (
    OK,
    USAGE,
    WRONG,
    ProjectOption,
    TargetOption,
    command,
    configuration,
    sharing_targets,
    unread_source,
)


@command
def docs(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Output directory; default: docs/invariants in the project.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with code 1 if any page is stale.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Add line numbers, history and the commit at which each incident was last"
            " reproduced, for a published site.",
        ),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Generate a page for each invariant, and an index.

    DIR is for these pages only: the page of a deleted invariant is removed.
    Without --live, pages change only when the catalog or the code does, so they can be committed.

    Example: assertlib docs -o docs/invariants --check
    """
    config = configuration(project)
    checked, *others = sharing_targets(config, target)
    unread = unread_source(config, [checked, *others])
    # With --check, pages that lack assertions would otherwise be reported as the correct ones.
    if unread:
        text = f"assertlib: {unread[0]}; its assertions would be missing from the pages"
        print(one_line(text), file=sys.stderr)
        return USAGE
    output = output or config.root / "docs" / "invariants"
    pages = render_pages(
        checked,
        others,
        _live(config, [checked.name, *(each.name for each in others)]) if live else None,
    )
    if check:
        stale = differing_pages(pages, output)
        for name in stale:
            exists = (output / name).exists()
            state = ("stale" if exists else "missing") if name in pages else "obsolete"
            print(one_line(f"{output / name} is {state}; run `assertlib docs -o {output}`"))
        return WRONG if stale else OK
    # Writing removes obsolete pages, so the directory must not hold any other files.
    foreign = foreign_pages(output)
    if foreign:
        text = f"{output} contains files that are not invariant pages ({foreign[0]}, …)"
        print(one_line(f"assertlib: {text}; choose another directory"), file=sys.stderr)
        return USAGE
    changed = write_pages(pages, output)
    print(one_line(f"{counted(len(pages), 'page')} in {output}, {len(changed)} changed"))
    return OK


def _live(config: Config, names: Sequence[str]) -> Live:
    own = config.own_catalog(config.target(names[0])[1])
    return Live(
        history(config.root, [own] if own else []),
        read_record(config.root / "docs" / "track-record.md"),
        _knowledge(config, names),
    )


def _knowledge(config: Config, names: Sequence[str]) -> dict[str, tuple[str, Sequence[str]]]:
    """Who knows each invariant; empty without a history."""
    # Names of people stay out of published pages, and with them the reasons that give some.
    try:
        found = survey(config, names, Question())
    except AssertlibError:
        return {}
    return {each.entry.id: (str(each.status), [_people(len(each.knowers))]) for each in found.known}


def _people(count: int) -> str:
    return f"{counted(count, 'active person knows', 'active people know')} it"
