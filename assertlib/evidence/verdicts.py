"""
The verdicts on assertions, based on their hits, and the levels of invariants, based on assertions.

Both are decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..model import SOMETIMES, Kind


class Verdict(StrEnum):
    """The verdict on an assertion, worst first."""

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
    Everything that determines the verdict on an assertion.

    Attributes:
        true, false: True and false hits.
        violations: Violations within the fault model.
        out_of_model: Violations after a fault that its invariant assumes away.
        refused: Evaluations that failed, since the condition had no truth value.
        dormant: Whether a feature that its invariant requires was off in every trial.
        full: Whether a full run had the assertion, so that absence is significant.
        antecedent: True and false hits of the antecedent of an ``always_if``; None for others.
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
    """Return the first verdict that applies to *facts*, in the order of `Verdict`."""
    # A violation comes first, whatever else is wrong: no report is green over one.
    if facts.violations:
        return Verdict.VIOLATED
    if facts.out_of_model:
        return Verdict.OUT_OF_MODEL
    if facts.dormant:
        return Verdict.DORMANT
    # Only the absence of hits depends on coverage; a partial run satisfies as well as a full one.
    absence = _absence(facts)
    if absence is None:
        return Verdict.SATISFIED
    return absence if facts.full else Verdict.INCONCLUSIVE


def _absence(facts: Facts) -> Verdict | None:
    """The verdict on missing hits, given a full run; None if nothing is missing."""
    # An assertion that was evaluated without a result was not checked, whatever its kind.
    if facts.refused and facts.true + facts.false == 0:
        return Verdict.UNREACHED
    if facts.antecedent is not None:
        # The main part is evaluated only if the antecedent holds, so its own hits do not matter.
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
    """The level of an invariant; starting with asserted, each one includes the previous ones."""

    VIOLATED = "violated"
    UNASSERTED = "unasserted"
    ASSERTED = "asserted"
    EVALUATED = "evaluated"
    EXERCISED = "exercised"
    DEFECT_TESTED = "defect-tested"


@dataclass(frozen=True)
class Claim:
    """
    The contribution of an assertion to its invariant.

    Attributes:
        kinds: The kinds that it counts as; an ``always_if`` is also an always, because its
            antecedent must hold once.
        verdict: The verdict on the assertion.
        hits: The number of its hits, those of an antecedent included.
        clause: The clause that it cites; None if it cites none.
    """

    kinds: frozenset[str]
    verdict: Verdict
    hits: int
    clause: str | None = None


@dataclass(frozen=True)
class Standing:
    """
    The level of an invariant, with the reasons why it is not exercised.

    Attributes:
        level: The level.
        missing: Expected kinds that are not satisfied, and clauses that no satisfied assertion
            cites.
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
    """
    Determine the level of an invariant.

    Args:
        expects: The kinds of assertions that the invariant expects.
        clauses: The names of its clauses.
        claims: The contributions of the assertions that cite it.
        defect_tested: Whether one of them is recorded as having caught a seeded defect.
    """
    missing = tuple(_missing(expects, clauses, claims))
    if any(claim.verdict is Verdict.VIOLATED for claim in claims):
        return Standing(Level.VIOLATED, missing)
    if not claims:
        return Standing(Level.UNASSERTED, missing)
    if not any(claim.hits for claim in claims):
        return Standing(Level.ASSERTED, missing)
    # A caught defect does not make up for parts that were not exercised.
    if missing:
        return Standing(Level.EVALUATED, missing)
    return Standing(Level.DEFECT_TESTED if defect_tested else Level.EXERCISED)


def _missing(expects: Iterable[str], clauses: Iterable[str], claims: list[Claim]) -> Iterable[str]:
    for kind in expects:
        of_kind = [claim for claim in claims if kind in claim.kinds]
        # Every one: an unreached always beside a satisfied one is a part that was not checked.
        if not of_kind or any(claim.verdict is not Verdict.SATISFIED for claim in of_kind):
            yield kind
    for clause in clauses:
        citing = [claim for claim in claims if claim.clause == clause]
        # With hits, as an always_or_unreachable is also satisfied without.
        if not any(claim.verdict is Verdict.SATISFIED and claim.hits for claim in citing):
            yield f"clause {clause}"
    # Even if its kind is not expected: the invariant was never put to the test there.
    if any(claim.verdict is Verdict.VACUOUS for claim in claims):
        yield "an antecedent that holds"
