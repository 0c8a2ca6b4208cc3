"""
Explanations of violations: the failed condition, the invariant that it protects, why the invariant
matters, and where to start debugging.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalog.config import ConfigError, find_config
from ..catalog.loader import Catalog, Entry, entry_of, load
from ..model import invariant_and_clause
from ..recording.hits import Hit
from ..recording.trials import describe
from .text import counted, one_line

# An explanation in a process of the store loads no more than it needs.
if TYPE_CHECKING:
    from .verdicts import AssertionResult
    from .violations import Broken

_WIDTH = 96
_LIMIT = 1000


def explain(hit: Hit, entry: Entry | None) -> str:
    """
    Explain a violation as plain text.

    Args:
        hit: The violation.
        entry: The catalog entry of the invariant; None if no catalog has it.
    """
    location = hit.location
    lines = [
        f"{hit.kind.name} {hit.message!r} is violated",
        f"  at {location} in {location.qualname}",
    ]
    if hit.source is not None:
        lines.append(f"  condition: {hit.source}")
        lines += [f"    {name} = {value}" for name, value in hit.values.items()]
    if hit.details is not None:
        lines += _details(hit.details)
    lines += _trial(hit.trial, hit.seed)
    if hit.invariant is not None:
        lines += _knowledge(hit.invariant, entry)
    # Values and details come from the store under test: each stays on its line, and bounded.
    return "\n".join(one_line(each, _LIMIT) for each in lines)


def unrecorded(result: AssertionResult, where: Sequence[Broken]) -> str:
    """
    Explain a violation that was counted but left no record.

    Args:
        result: The violated assertion.
        where: The counts of its violations by trial and process.
    """
    times = sum(each.times for each in where)
    trials = [each.trial for each in where if each.trial is not None]
    place = [f"  at {result.site.file}:{result.site.line}"] if result.site else []
    false = f"{counted(times, 'hit')} came out false{' in ' + trials[0] if trials else ''}"
    why = (
        "a full disk, a file size limit, or a kill between counting the hit and writing its record"
    )
    lines = [
        f"{result.kind.name} {result.message!r} is violated",
        *place,
        f"  {false}, according to the counters; the record could not be written: {why}",
    ]
    return "\n".join(map(one_line, lines))


def _details(text: str) -> Iterator[str]:
    """The details on one line, or name by name if a value is a list of lines."""
    # Details are text from a shard, which may hold anything.
    try:
        details = json.loads(text)
    except ValueError:
        details = None
    if not isinstance(details, dict) or not any(map(_is_lines, details.values())):
        yield f"  details: {text}"
        return
    yield "  details:"
    for name, value in details.items():
        if _is_lines(value):
            yield f"    {name}:"
            yield from (f"      {line}" for line in value)
        else:
            yield f"    {name}: {json.dumps(value, ensure_ascii=False)}"


def _is_lines(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) > 1 and all(isinstance(each, str) for each in value)
    )


def _trial(trial: str | None, seed: int | None) -> Iterator[str]:
    if trial is not None:
        yield f"  trial: {describe(trial, seed)}"


def _knowledge(invariant: str, entry: Entry | None) -> Iterator[str]:
    identifier, clause = invariant_and_clause(invariant)
    if entry is None:
        yield f"  invariant: {invariant} (not in any catalog; see `assertlib check`)"
        return
    known = entry.invariant
    yield f"  invariant: {identifier}: {known.title}"
    yield from _paragraph("must hold", known.statement)
    # `assertlib check` reports a clause that the catalog lacks.
    if clause is not None and clause in known.clauses:
        yield from _paragraph(f"clause {clause}", known.clauses[clause])
    yield from _paragraph("why it matters", known.why)
    if known.debug:
        yield from _paragraph("what to look at", known.debug)
    for incident in known.incident:
        yield f"  incident: {incident.ref} ({incident.status}): {incident.title}"
    if known.owners:
        yield f"  owners: {', '.join(known.owners)}"


def _paragraph(label: str, text: str) -> Iterator[str]:
    yield f"  {label}:"
    for line in text.splitlines():
        # Wrapping an empty line yields nothing, which would join two paragraphs.
        yield from textwrap.wrap(line, _WIDTH, initial_indent="    ", subsequent_indent="    ") or [
            ""
        ]


def explainer() -> Callable[[Hit], str]:
    """Return an explainer of hits, based on the catalogs configured for the working directory."""
    # Loaded once, not for each violation.
    entries = _configured_catalog().entries
    return lambda hit: explain(hit, entry_of(hit.invariant, entries))


def _configured_catalog() -> Catalog:
    try:
        config = find_config(Path.cwd())
        roots = [
            root for target in config.targets.values() for root in config.catalog_roots(target)
        ]
        # Targets may share catalogs; each is loaded once.
        return load(list(dict.fromkeys(roots)), config.root)
    except (ConfigError, OSError):
        # A broken catalog must not hide a violation; it is explained without the invariant.
        return Catalog()
