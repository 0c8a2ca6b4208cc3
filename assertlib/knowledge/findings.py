"""
Findings of `assertlib check` that need the history of the project, or a change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

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
from .patch import Hunk, locate, read_patch
from .relevance import Program, Touched
from .status import Status
from .survey import Question, survey

_RESULT = re.compile(r"\s*(?:code|reason) = (?!\"\"\s*$)")
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
        # An entry that cannot be read is an error already, and who knows it is unknown.
        if not any(each.catalog.unread for each in checked):
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
    for known in survey(config, names, Question()).known:
        if known.status is Status.LOST:
            yield _at(known.entry, "AL601", "; ".join(known.reasons))


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
    assign what such an assertion reads, before the change or after it.
    """
    program = Program(index.asserting(), index.sites, index.entries)
    for site in program.all_sites():
        identifier = invariant_and_clause(site.invariant or "")[0]
        here = (site.file, site.qualname)
        if here in touched.functions:
            yield identifier, here
        # Also what the lines wrote before the change: removing a write breaks the promise as well.
        if touched.written.get(site.file, set()) & program.reads(site):
            places = [place for place in touched.functions if place[0] == site.file]
            yield from ((identifier, place) for place in places or [(site.file, "deleted code")])


def _reviews_in(index: Index, patch: str) -> set[str]:
    """The invariants whose part of a review lock the change edits."""
    found: set[str] = set()
    locks = {f"{PurePosixPath(entry.file).parent}/{LOCK}" for entry in index.entries.values()}
    for change in read_patch(patch):
        for path in locks.intersection(change.paths):
            spans = list(reviewed_lines(index, path))
            for hunk in change.hunks:
                for line in _reviews_at(hunk, index.lines(path)):
                    found.update(name for name, first, last in spans if first <= line <= last)
    return found


def _reviews_at(hunk: Hunk, text: list[str]) -> Iterator[int]:
    """The lines of a review lock at which a hunk adds or changes the result of a review."""
    place = locate(hunk, text)
    added = [bool(_RESULT.match(line)) for mark, line in hunk.lines if mark == "+"]
    if place is None or not any(added):
        return
    if not place.is_applied:
        yield from place.lines
        return
    # Deleting a result, or another edit of the section, does not count as a review.
    yield from (line for line in place.lines if _RESULT.match(text[line - 1]))
