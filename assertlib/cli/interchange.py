"""
``assertlib catalog import`` and ``assertlib catalog export``.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import Config
from ..catalog.drafts import AREA
from ..catalog.imports.anchors import dangling
from ..catalog.imports.formats import read_document
from ..catalog.imports.merge import Outcome, merge
from ..catalog.loader import load
from ..catalog.wire import declarations
from ..errors import NoDataError, UsageError
from ..evidence.text import counted, one_line
from ..knowledge.index import read_index
from ..knowledge.levels import last_evidence
from ..knowledge.matrix import as_csv, as_json, as_reqif, rows_of
from .common import OK, ProjectOption, TargetOption, check_readable, command, configuration, put

_SHOWN = 20


@command
def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Markdown, .sdoc, .rst, .reqif, needs.json, Doorstop's YAML or directory.",
        ),
    ],
    area: Annotated[
        str, typer.Option("--area", metavar="NAME", help="Area of new drafts.")
    ] = "imported",
    dry: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Import handwritten lists of invariants, and requirements from other tools, as drafts.

    Each draft records the line it came from.  A later import of the same file updates the
    entries that nobody has edited since.  References to files, symbols and tests that do not
    exist are reported.  Exit code 3 if no invariant is found.

    Example: assertlib catalog import docs/invariants.md --area wal
    """
    if not AREA.fullmatch(area):
        raise UsageError(
            f"--area {area}: not the name of an area; use lowercase letters, digits, hyphens"
        )
    config = configuration(project)
    _, found = config.target(target)
    own = config.own_catalog(found)
    if own is None:
        raise UsageError("the target has no writable catalog of its own")
    total = 0
    for path in files:
        document = read_document(path, config.root)
        shown = _from_root(path, config)
        total += len(document.items)
        # Loaded again for each file, since the one before may have added entries.
        catalog = load(config.catalog_roots(found), config.root)
        # A catalog directory that does not exist yet is created by the first import.
        if (
            catalog.unread
            and (config.root / own).is_dir()
            and any((config.root / own).glob("*.toml"))
        ):
            raise UsageError(f"{catalog.unread[0]}")
        outcome = merge(catalog, config.root / own, area, shown, document.items, dry=dry)
        for line in _report(shown, outcome, dry=dry):
            print(one_line(line))
        for each in dangling(document.anchors, path.absolute(), config.root):
            place = f"{each.anchor.file or shown}:{each.anchor.line}"
            print(one_line(f"{place}: dangling reference {each.anchor.text}: {each.reason}"))
    if not total:
        names = ", ".join(map(str, files))
        raise NoDataError(f"{names}: no invariant found; see `assertlib catalog import --help`")
    return OK


def _from_root(path: Path, config: Config) -> str:
    place, root = path.resolve(), config.root.resolve()
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)


def _report(file: str, outcome: Outcome, *, dry: bool) -> list[str]:
    counts = [
        (outcome.added, "new draft", "new drafts"),
        (outcome.updated, "updated", "updated"),
        (outcome.unchanged, "unchanged", "unchanged"),
    ]
    text = ", ".join(f"{counted(len(ids), one, more)}" for ids, one, more in counts if ids)
    nothing = "nothing new" if outcome.kept or outcome.gone or outcome.elsewhere else "no invariant"
    lines = [f"{file}: {text or nothing}{' (dry run, nothing written)' if dry else ''}"]
    lines += [f"  + {each}" for each in outcome.added[:_SHOWN]]
    if len(outcome.added) > _SHOWN:
        lines.append(f"  and {len(outcome.added) - _SHOWN} more")
    lines += [f"  {each}: edited here and changed in {file}; kept" for each in outcome.kept]
    lines += [f"  {each}: no longer in {file}; kept" for each in outcome.gone]
    lines += [f"  {name} is in {file} several times" for name in dict.fromkeys(outcome.repeated)]
    lines += [f"  {name} is also the external id of {other}" for name, other in outcome.elsewhere]
    return lines


class ExportFormat(StrEnum):
    """Available formats of an export."""

    JSON = "json"
    CSV = "csv"
    REQIF = "reqif"


@command
def export(
    format: Annotated[
        ExportFormat | None,
        typer.Option("--format", "-f", help="Export the invariants in this format."),
    ] = None,
    antithesis: Annotated[
        bool, typer.Option("--antithesis", help="Write declarations in the Antithesis wire format.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file; - for stdout.")
    ] = None,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Export the invariants with their assertions and evidence, or the assertions alone.

    --format writes a traceability matrix: each invariant and clause with its assertions, their
    locations, and the level in the newest run.  With --antithesis, point
    ANTITHESIS_ASSERTION_CATALOG at the file, and Antithesis SDKs will also declare assertions that
    are never reached.

    Example: assertlib catalog export --format csv -o matrix.csv
    """
    if antithesis == (format is not None):
        raise UsageError("choose an output format: --format or --antithesis")
    config = configuration(project)
    checked = check_readable(config, target)
    if antithesis:
        put("".join(declarations(checked.scan.sites)), output)
        return OK
    index = read_index(config, [config.target(target)[0]])
    rows = rows_of(index, last_evidence(index))
    writers = {ExportFormat.JSON: as_json, ExportFormat.CSV: as_csv, ExportFormat.REQIF: as_reqif}
    put(writers[format or ExportFormat.JSON](rows), output)
    return OK
