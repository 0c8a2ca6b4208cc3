"""
The report as JSON, for programs.
"""

from __future__ import annotations

import json

from ..evidence.summary import InvariantResult, Summary
from ..evidence.verdicts import AssertionResult, Verdict
from ..recording.hits import Hit
from .content import content_of, states_seen

SCHEMA = 1


def render(summary: Summary) -> str:
    """The report as JSON."""
    return json.dumps(as_dict(summary), indent=2) + "\n"


def as_dict(summary: Summary) -> dict[str, object]:
    """The complete report as plain data."""
    seen, states = states_seen(summary)
    content = content_of(summary)
    return {
        "schema": SCHEMA,
        "target": summary.target,
        "commit": summary.commit,
        "runs": summary.runs,
        "full": summary.full,
        "title": content.title,
        "sometimes": {"seen": seen, "total": states},
        "populations": [
            {
                "name": population.name,
                "sampler": population.sampler,
                "trials": population.trials,
                "faults": dict(population.faults),
            }
            for population in summary.populations
        ],
        "assertions": [_assertion(result) for result in worst_first(summary.assertions)],
        "invariants": [_invariant(result) for result in summary.invariants],
        "drafts": [entry.id for entry in summary.drafts],
        "undeclared": summary.undeclared,
        "troubles": [
            {"message": message, "reason": reason, "count": count}
            for message, reason, count in summary.troubles
        ],
        "notes": summary.notes,
        "explanations": content.explanations,
    }


def worst_first(results: list[AssertionResult]) -> list[AssertionResult]:
    """Sort by verdict, worst first, then by message."""
    order = list(Verdict)
    return sorted(results, key=lambda result: (order.index(result.verdict), result.message))


def _assertion(result: AssertionResult) -> dict[str, object]:
    site = result.site
    return {
        "message": result.message,
        "kind": result.kind.name,
        "invariant": result.invariant,
        "verdict": result.verdict.value,
        "note": result.note,
        "true": result.true,
        "false": result.false,
        "at_least": result.at_least,
        "trials_hit": result.trials_hit,
        "trials_true": result.trials_true,
        "trials_false": result.trials_false,
        "antecedent": None if result.antecedent is None else list(result.antecedent),
        "needs": list(result.dormant_features),
        "nearest": result.nearest,
        "replay": result.replay,
        "rate_bounds": result.rate_bounds,
        "site": None if site is None else site.as_dict(),
        "example": None if result.example is None else _hit(result.example),
    }


def _hit(hit: Hit) -> dict[str, object]:
    return {
        "details": hit.details,
        "condition": hit.source,
        "values": hit.values,
        "file": hit.location.file,
        "line": hit.location.begin_line,
        "trial": hit.trial,
        "seed": hit.seed,
        "time": hit.time,
    }


def _invariant(result: InvariantResult) -> dict[str, object]:
    return {
        "id": result.entry.id,
        "title": result.entry.invariant.title,
        "level": result.standing.level.value,
        "missing": list(result.standing.missing),
        "assertions": [each.message for each in result.assertions],
        "incidents": [
            {"ref": incident.ref, "status": incident.status, "title": incident.title}
            for incident in result.entry.invariant.incident
        ],
        "proofs": [{"defect": defect, "commit": commit} for defect, commit in result.proofs],
    }
