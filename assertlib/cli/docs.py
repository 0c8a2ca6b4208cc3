"""
``assertlib docs``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import Config
from ..catalog.history import history
from ..challenge import read_record
from ..docgen.pages import Live, differing_pages, foreign_pages, render_pages, write_pages
from ..evidence.text import one_line
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
            help="Directory of the pages; docs/invariants of the project if not given.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if pages are stale.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Add lines, history and last reproductions, for a site that is built."
        ),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Write a page for each invariant, and an index.

    DIR holds nothing else: pages of invariants that are gone are removed.
    Without --live, pages change only when catalog or code do, and are fit to be committed.

    Example: assertlib docs -o docs/invariants --check
    """
    config = configuration(project)
    checked, *others = sharing_targets(config, target)
    unread = unread_source(config, [checked, *others])
    if unread:
        told = f"assertlib: {unread[0]}; what stands there would be missing"
        print(one_line(told), file=sys.stderr)
        return USAGE
    output = output or config.root / "docs" / "invariants"
    pages = render_pages(checked, others, _live(config, checked.name) if live else None)
    if check:
        stale = differing_pages(pages, output)
        for name in stale:
            is_there = (output / name).exists()
            wrong = ("stale" if is_there else "missing") if name in pages else "of no invariant"
            print(one_line(f"{output / name} is {wrong}; run `assertlib docs -o {output}`"))
        return WRONG if stale else OK
    foreign = foreign_pages(output)
    if foreign:
        told = f"{output} holds files that are no pages of invariants ({foreign[0]}, …)"
        print(one_line(f"assertlib: {told}; choose another directory"), file=sys.stderr)
        return USAGE
    changed = write_pages(pages, output)
    print(one_line(f"{len(pages)} pages in {output}, {len(changed)} changed"))
    return OK


def _live(config: Config, name: str) -> Live:
    own = config.own_catalog(config.target(name)[1])
    return Live(
        history(config.root, [own] if own else []),
        read_record(config.root / "docs" / "track-record.md"),
    )
