"""
``assertlib catalog``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import find_config
from ..catalog.findings import did_you_mean
from ..catalog.model import file_schema
from ..docgen.pages import sites_of
from .common import OK, USAGE, TargetOption, command, project, sharing_targets
from .review import review

app = typer.Typer(
    no_args_is_help=True, help="Look at what is written down, and keep it in step with the code."
)
app.command("review")(review)


@app.command("schema")
@command
def schema() -> int:
    """
    Print the JSON Schema of catalog files, for editors.

    Example: assertlib catalog schema > catalog/schema.json
    """
    print(schema_text(), end="")
    return OK


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(file_schema(), indent=2, sort_keys=True) + "\n"


@app.command("list")
@command
def list_invariants(target: TargetOption = None) -> int:
    """
    List the invariants: id, status, how many assertions name them, title.

    Example: assertlib catalog list
    """
    _, checked = project(target)
    for entry in sorted(checked.catalog.entries.values(), key=lambda each: each.id):
        count = len(sites_of(entry, checked.scan.sites))
        print(f"{entry.id:<32} {entry.invariant.status:<8} {count:>3}  {entry.invariant.title}")
    return OK


@app.command("show")
@command
def show(
    id: Annotated[str, typer.Argument(help="Such as wal.fsync-before-ack.")],
    target: TargetOption = None,
) -> int:
    """
    Print the page of one invariant.

    Example: assertlib catalog show wal.fsync-before-ack
    """
    from ..docgen.pages import page_name, render_pages

    checked, *others = sharing_targets(find_config(Path.cwd()), target)
    entry = checked.catalog.entries.get(id)
    if entry is None:
        hint = did_you_mean(id, checked.catalog.entries) or "`assertlib catalog list` lists all"
        print(f"assertlib: there is no invariant {id!r}; {hint}", file=sys.stderr)
        return USAGE
    print(render_pages(checked, others)[page_name(entry)], end="")
    return OK
