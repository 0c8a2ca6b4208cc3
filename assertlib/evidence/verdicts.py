"""
The verdicts: what hits say about an assertion, and assertions about an invariant.

The only place where either is decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..model import SOMETIMES, Kind


class Verdict(StrEnum):
    """What the evidence says about an assertion, worst first."""

    VIOLATED = "violated"
    OUT_OF_MODEL = "out-of-model"
    DORMANT = "dormant"
    INCONCLUSIVE = "inconclusive"
    UNREACHED = "unreached"
    NEVER_TRUE = "never-true"
    VACUOUS = "vacuous"
    SATISFIED = "satisfied"


@dataclass(frozen=True)
class Facts:
    """
    All that an assertion is judged by.

    Attributes:
        violations: Hits that broke it within the fault model.
        out_of_model: Hits that broke it after a fault its invariant assumes away.
        refused: Evaluations that came to nothing, as its condition was no truth value.
        dormant: Whether a feature it requires was off in every trial.
        full: Whether any of the runs was full.
        antecedent: True and false hits of the antecedent, for an ``always_if``.
    """

    kind: Kind
    true: int
    false: int
    violations: int = 0
    out_of_model: int = 0
    refused: int = 0
    dormant: bool = False
    full: bool = True
    antecedent: tuple[int, int] | None = None


def judge_assertion(facts: Facts) -> Verdict:
    """The first verdict that applies, in the order of `Verdict`."""
    if facts.violations:
        return Verdict.VIOLATED
    if facts.out_of_model:
        return Verdict.OUT_OF_MODEL
    if facts.dormant:
        return Verdict.DORMANT
    absence = _absence(facts)
    if absence is None:
        return Verdict.SATISFIED
    return absence if facts.full else Verdict.INCONCLUSIVE


def _absence(facts: Facts) -> Verdict | None:
    """What is missing, as only a full run can tell."""
    if facts.refused and facts.true + facts.false == 0:
        return Verdict.UNREACHED
    if facts.antecedent is not None:
        held, failed = facts.antecedent
        if held + failed == 0:
            return Verdict.UNREACHED
        return None if held else Verdict.VACUOUS
    if facts.kind.must_hit and facts.true + facts.false == 0:
        return Verdict.UNREACHED
    if facts.kind is SOMETIMES and not facts.true:
        return Verdict.NEVER_TRUE
    return None


class Level(StrEnum):
    """How far an invariant has come; each level includes those before it."""

    VIOLATED = "violated"
    UNASSERTED = "unasserted"
    ASSERTED = "asserted"
    EVALUATED = "evaluated"
    EXERCISED = "exercised"
    DEFECT_TESTED = "defect-tested"


@dataclass(frozen=True)
class Claim:
    """
    An assertion as its invariant sees it.

    Attributes:
        kinds: What it counts as; an ``always_if`` is also an always, because it
            must be put to the test.
        clause: The clause it cites, if any.
    """

    kinds: frozenset[str]
    verdict: Verdict
    hits: int
    clause: str | None = None


@dataclass(frozen=True)
class Standing:
    """
    An invariant's level, and what keeps it from being exercised.

    Attributes:
        missing: Expected kinds that are not satisfied, and clauses that no
            satisfied assertion cites.
    """

    level: Level
    missing: tuple[str, ...] = ()


def judge_invariant(
    expects: Iterable[str],
    clauses: Iterable[str],
    claims: list[Claim],
    *,
    defect_tested: bool = False,
) -> Standing:
    """Where an invariant stands on the ladder."""
    missing = tuple(_missing(expects, clauses, claims))
    if any(claim.verdict is Verdict.VIOLATED for claim in claims):
        return Standing(Level.VIOLATED, missing)
    if not claims:
        return Standing(Level.UNASSERTED, missing)
    if not any(claim.hits for claim in claims):
        return Standing(Level.ASSERTED, missing)
    if missing:
        return Standing(Level.EVALUATED, missing)
    return Standing(Level.DEFECT_TESTED if defect_tested else Level.EXERCISED)


def _missing(expects: Iterable[str], clauses: Iterable[str], claims: list[Claim]) -> Iterable[str]:
    for kind in expects:
        of_kind = [claim for claim in claims if kind in claim.kinds]
        if not of_kind or any(claim.verdict is not Verdict.SATISFIED for claim in of_kind):
            yield kind
    for clause in clauses:
        citing = [claim for claim in claims if claim.clause == clause]
        if not any(claim.verdict is Verdict.SATISFIED and claim.hits for claim in citing):
            yield f"clause {clause}"
    if any(claim.verdict is Verdict.VACUOUS for claim in claims):
        yield "an antecedent that holds"
