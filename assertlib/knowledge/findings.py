"""
Findings of `assertlib check` that need the history of the project, or a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..catalog.check import Checked
from ..catalog.config import Config
from ..catalog.findings import Finding
from ..catalog.loader import Entry
from ..catalog.review import LOCK
from ..catalog.rules import RULES
from ..model import invariant_and_clause
from .credit import reviewed_lines
from .facts import Place
from .index import Index, read_index, touched_by_patch
from .patch import locate, read_patch
from .relevance import Program, Touched, identifiers
from .survey import Question, survey
from .survey_text import warnings_of

_SHOWN = 3


def add_findings(config: Config, targets: Iterable[Checked], patch: str | None) -> None:
    """
    Add the findings about knowledge to those of checked targets.

    Args:
        config: The configuration of the project.
        targets: The targets.
        patch: The change whose review is required, as a unified diff; None for none.

    Raises:
        UsageError: The project is in no repository, or *patch* is not a diff.
    """
    checked = list(targets)
    # Of several targets with one catalog, the first reports.
    owners = {identifier: each for each in reversed(checked) for identifier in each.catalog.entries}
    found: list[tuple[Entry, Finding]] = []
    if config.knowledge.check:
        found += _unknown(config, [each.name for each in checked])
        found += _unreproduced(entry for each in checked for entry in each.catalog.entries.values())
    if patch is not None:
        found += _unreviewed(read_index(config, [each.name for each in checked]), patch)
    for entry, finding in found:
        owner = owners[entry.id]
        owner.findings = sorted({*owner.findings, finding})


def _at(entry: Entry, code: str, text: str) -> tuple[Entry, Finding]:
    remedy = RULES[code].remedy.replace(" ID", f" {entry.id}")
    return entry, Finding(entry.file, entry.line, 1, code, f"{entry.id}: {text}", remedy)


def _unknown(config: Config, names: list[str]) -> Iterator[tuple[Entry, Finding]]:
    for known, reason in warnings_of(survey(config, names, Question())):
        yield _at(known.entry, "AL601", reason)


def _unreproduced(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Finding]]:
    for entry in entries:
        for incident in entry.invariant.incident:
            # A refuted incident broke nothing that could be reproduced.
            is_open = incident.status == "confirmed" and not incident.reproduce
            if entry.counts and is_open and not entry.file.startswith("/"):
                yield _at(entry, "AL602", f"nothing reproduces the incident {incident.ref}")


def _unreviewed(index: Index, patch: str) -> Iterator[tuple[Entry, Finding]]:
    """Report invariants whose enforcing functions change without a change of their review."""
    touched = touched_by_patch(index, patch)
    reviewed = _reviews_in(index, patch)
    changed: dict[str, list[str]] = {}
    for identifier, place in _enforcing(index, touched):
        changed.setdefault(identifier, []).append(f"{place[1]} ({place[0]})")
    # Lines that cannot be placed may be in any function of their file.
    files = {place.rpartition(":")[0] for place in touched.unplaced}
    for site in index.sites:
        if site.file in files and site.invariant:
            identifier = invariant_and_clause(site.invariant)[0]
            changed.setdefault(identifier, []).append(f"somewhere in {site.file}")
    for identifier, functions in sorted(changed.items()):
        entry = index.entries.get(identifier)
        if entry is None or identifier in reviewed or entry.invariant.status == "retired":
            continue
        names = list(dict.fromkeys(functions))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        text = (
            f"code that enforces it has changed without a review: {', '.join(names[:_SHOWN])}{more}"
        )
        yield _at(entry, "AL603", text)


def _enforcing(index: Index, touched: Touched) -> Iterator[tuple[str, Place]]:
    """
    Yield the changed functions that enforce an invariant.

    These are the functions with its assertions, and those of the same file whose changed lines
    name what such an assertion reads and what the function writes.
    """
    program = Program(index.asserting(), index.sites, index.entries)
    words = set(identifiers(touched.text))
    for place in touched.functions:
        function = program.functions.get(place)
        written = (function.writes & words) if function is not None else frozenset()
        for site in program.all_sites():
            identifier = invariant_and_clause(site.invariant or "")[0]
            reads = site.file == place[0] and bool(written & program.reads(site))
            if reads or (site.file, site.qualname) == place:
                yield identifier, place


def _reviews_in(index: Index, patch: str) -> set[str]:
    """The invariants whose part of a review lock the change edits."""
    found: set[str] = set()
    for change in read_patch(patch):
        for path in change.paths:
            if path.rpartition("/")[2] != LOCK:
                continue
            spans = list(reviewed_lines(index, path))
            for hunk in change.hunks:
                place = locate(hunk, index.lines(path))
                for line in place.lines if place is not None else ():
                    found.update(name for name, first, last in spans if first <= line <= last)
    return found
