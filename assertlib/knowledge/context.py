"""
The context of a change: the invariants at stake, with what a reviewer needs to know of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.model import Incident
from ..model import invariant_and_clause
from .facts import Place
from .index import Index
from .levels import Evidence
from .relevance import Defect, Passage, Program, Relevant, Touched, rank

_LEAST = 0.12
"""Share of the best score below which an invariant is left out."""


@dataclass(frozen=True)
class Item:
    """
    One invariant at stake.

    Attributes:
        relevant: The invariant with its assertions and the reasons.
        evidence: Its last evidence; None without a run.
        incidents: Its incidents that a seeded defect reproduces in the changed functions.
    """

    relevant: Relevant
    evidence: Evidence | None
    incidents: tuple[Incident, ...]


@dataclass(frozen=True)
class Context:
    """
    What a change puts at stake.

    Attributes:
        items: The invariants, the most relevant first.
        functions: The changed functions, as ``file: name``.
        files: The changed files.
        outside: The changed files that belong to no target.
        unplaced: Places of changed lines that the tree holds neither before nor after the change.
    """

    items: tuple[Item, ...]
    functions: tuple[str, ...]
    files: tuple[str, ...]
    outside: tuple[str, ...]
    unplaced: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "files": list(self.files),
            "functions": list(self.functions),
            "outside": list(self.outside),
            "unplaced": list(self.unplaced),
            "invariants": [_as_dict(item) for item in self.items],
        }


def context_of(
    index: Index,
    touched: Touched,
    evidence: Mapping[str, Evidence],
    passages: Mapping[Place, Mapping[str, Passage]] | None = None,
    *,
    leaving_out: str | None = None,
) -> Context:
    """
    Collect what a change puts at stake.

    Args:
        index: The source and the catalogs.
        touched: The change.
        evidence: The last evidence of each invariant, by id.
        passages: For each function, the assertions that recorded tests of it hit, by message.
        leaving_out: Name of a seeded defect that is the change itself and proves nothing about it.
    """
    defects = [each for each in index.defects() if each.name != leaving_out]
    functions = [*index.asserting()]
    for file in touched.files:
        functions += index.functions(file)
    program = Program(functions, index.sites, index.entries, defects, passages)
    ranked = rank(program, touched)
    best = ranked[0].score if ranked else 0
    items = [
        Item(each, evidence.get(each.entry.id), tuple(_incidents(each, defects, touched)))
        for each in ranked
        if each.score >= best * _LEAST
    ]
    return Context(
        tuple(items),
        tuple(f"{file}: {name}" for file, name in sorted(touched.functions) if name),
        tuple(touched.files),
        tuple(file for file in touched.files if file not in index.files),
        tuple(touched.unplaced),
    )


def _incidents(each: Relevant, defects: Iterable[Defect], touched: Touched) -> Iterable[Incident]:
    """The incidents of an invariant whose code the change touches."""
    here = {
        name
        for defect in defects
        if defect.places & touched.functions.keys()
        for name in (defect.name, *defect.incidents)
    }
    for incident in each.entry.invariant.incident:
        if here & {incident.ref, *incident.reproduce}:
            yield incident


def _as_dict(item: Item) -> dict[str, Any]:
    entry, known = item.relevant.entry, item.relevant.entry.invariant
    return {
        "id": entry.id,
        "title": known.title,
        "status": known.status,
        "score": round(item.relevant.score, 2),
        "reasons": [
            {"kind": reason.kind, "text": reason.text, "weight": round(reason.weight, 2)}
            for reason in item.relevant.reasons
        ],
        "statement": known.statement,
        "clauses": dict(known.clauses),
        "why": known.why,
        "debug": known.debug,
        "file": entry.file,
        "line": entry.line,
        "assertions": [
            {
                "message": site.origin,
                "kind": site.kind.name,
                "file": site.file,
                "line": site.line,
                "function": site.qualname,
                "clause": invariant_and_clause(site.invariant or "")[1],
            }
            for site in item.relevant.sites
        ],
        "evidence": None
        if item.evidence is None
        else {
            "level": item.evidence.level,
            "run": item.evidence.run,
            "commit": item.evidence.commit,
            "missing": list(item.evidence.missing),
        },
        "incidents": [
            {"ref": each.ref, "title": each.title, "reproduce": list(each.reproduce)}
            for each in item.incidents
        ],
        "owners": list(known.owners),
        "open_questions": list(known.open_questions),
    }
