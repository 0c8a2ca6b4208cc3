"""
``assertlib catalog``.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from ..catalog.check import Checked
from ..catalog.config import Config
from ..catalog.drafts import add_draft
from ..catalog.findings import did_you_mean
from ..catalog.loader import Entry, load
from ..catalog.model import file_schema
from ..catalog.renames import add_rename
from ..catalog.review import rename as rename_link
from ..docgen.pages import sites_of
from ..evidence.runs import all_runs
from ..evidence.text import one_line
from .common import (
    OK,
    USAGE,
    ProjectOption,
    TargetOption,
    check_readable,
    command,
    configuration,
    sharing_targets,
)
from .interchange import export, import_files
from .review import review

app = typer.Typer(
    no_args_is_help=True, help="Inspect the catalog and keep it in step with the code."
)
app.command("review")(review)
app.command("import")(import_files)
app.command("export")(export)


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
    """The JSON Schema as committed."""
    return json.dumps(file_schema(), indent=2, sort_keys=True) + "\n"


class ListFormat(StrEnum):
    """Available formats of a list."""

    TEXT = "text"
    JSON = "json"


@app.command("list")
@command
def list_invariants(
    format: Annotated[
        ListFormat, typer.Option("--format", "-f", help="Output format.")
    ] = ListFormat.TEXT,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    List invariants: id, status, number of assertions, title.

    JSON has the assertions of each invariant as well, with file, line and reviewed state.

    Example: assertlib catalog list
    """
    checked = check_readable(configuration(project), target)
    entries = sorted(checked.catalog.entries.values(), key=lambda each: each.id)
    if format is ListFormat.JSON:
        print(json.dumps({"invariants": [_linked(each, checked) for each in entries]}, indent=2))
        return OK
    width = max((len(entry.id) for entry in entries), default=0)
    for entry in entries:
        count = len(sites_of(entry, checked.scan.sites))
        row = f"{entry.id:<{width}} {entry.invariant.status:<8} {count:>3}  {entry.invariant.title}"
        print(one_line(row))
    return OK


def _linked(entry: Entry, checked: Checked) -> dict[str, object]:
    """An invariant with its assertions, as plain data."""
    known = entry.invariant
    suspect = {each.message for each in checked.suspects if each.entry.id == entry.id}
    return {
        "id": entry.id,
        "external_id": known.external_id,
        "title": known.title,
        "status": known.status,
        "file": entry.file,
        "line": entry.line,
        "assertions": [
            {
                "message": site.message,
                "kind": site.kind.name,
                "cites": site.invariant,
                "file": site.file,
                "line": site.line,
                "function": site.qualname,
                "suspect": site.message in suspect,
            }
            for site in sites_of(entry, checked.scan.sites)
        ],
    }


@app.command("new")
@command
def new(
    id: Annotated[str, typer.Argument(help="Invariant id, e.g. wal.fsync-before-ack.")],
    title: Annotated[str, typer.Option(help="The invariant in one line.")] = "",
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Add a draft invariant, to be filled in, to the file for its area.

    Example: assertlib catalog new wal.fsync-before-ack --title "A write is synced before its ack"
    """
    config = configuration(project)
    _, found = config.target(target)
    own = config.own_catalog(found)
    # A catalog that ships with assertlib cannot be written.
    if own is None:
        return _usage("the target has no writable catalog of its own")
    catalog = load(config.catalog_roots(found), config.root)
    if id in catalog.entries:
        entry = catalog.entries[id]
        return _usage(f"invariant {id!r} already exists, at {entry.file}:{entry.line}")
    path = add_draft(config.root / own, id, title)
    print(f"wrote a draft of {id} to {path.relative_to(config.root)}; fill it in")
    return OK


@app.command("rename")
@command
def rename(
    old: Annotated[str, typer.Argument(help="The previous message of the assertion.")],
    new: Annotated[str, typer.Argument(help="Its current message in the code.")],
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Record that an assertion was renamed; evidence, witnesses and reviews follow it.

    Writes renames.toml next to the catalog; commit it.

    Example: assertlib catalog rename "ack follows fsync" "acks follow their fsync"
    """
    config = configuration(project)
    sharing = sharing_targets(config, target)
    own = config.own_catalog(config.target(target)[1])
    if own is None:
        return _usage("the target has no writable catalog of its own")
    # Including the targets that share the catalog: the message may be in use in one of these.
    here = {site.origin: site for checked in sharing for site in checked.scan.sites}
    if new not in here:
        hint = did_you_mean(new, here) or "rename it in the code first"
        return _usage(f"no assertion has the message {new!r}; {hint}")
    if old in here:
        site = here[old]
        return _usage(f"{old!r} is still in use at {site.file}:{site.line}")
    lock = sharing[0].lock
    known = _names_before(config, sharing[0])
    # Without reviews and runs there is no record of former names, so any is accepted.
    if known and old not in known:
        hint = did_you_mean(old, known) or "no review or run in this project contains it"
        return _usage(f"no assertion ever had the message {old!r}; {hint}")
    path = add_rename(config.root / own, old, new)
    written = path.relative_to(config.root).as_posix()
    # A damaged lock is not rewritten, since its unreadable part would be lost.
    if lock is not None and lock.exists and not lock.findings and rename_link(lock, old, new):
        lock.write()
        written += f" and {lock.shown}"
    print(f"{written}: renamed {old!r} to {new!r}; commit it")
    return OK


def _names_before(config: Config, checked: Checked) -> set[str]:
    """All current and former messages found in reviews, renames and runs."""
    renames = checked.catalog.renames.messages
    names = {*renames, *renames.values()}
    for known in checked.lock.reviewed.values() if checked.lock else ():
        names.update(known.links)
    for run in all_runs(config):
        names.update(site.origin for site in run.scan or ())
    return names


def _usage(text: str) -> int:
    print(f"assertlib: {text}", file=sys.stderr)
    return USAGE


@app.command("show")
@command
def show(
    id: Annotated[
        str, typer.Argument(help="Invariant id, e.g. wal.fsync-before-ack, or its external id.")
    ],
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Print the page for one invariant.

    Example: assertlib catalog show wal.fsync-before-ack
    """
    from ..docgen.pages import page_name, render_pages

    checked, *others = sharing_targets(configuration(project), target)
    entry = checked.catalog.find(id)
    if entry is None:
        hint = (
            did_you_mean(id, checked.catalog.entries) or "`assertlib catalog list` lists them all"
        )
        return _usage(f"unknown invariant {id!r}; {hint}")
    print(render_pages(checked, others)[page_name(entry)], end="")
    return OK
