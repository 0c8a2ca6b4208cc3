"""
The verdicts on assertions, based on their hits, and the levels of invariants, based on assertions.

Both are decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..model import SOMETIMES, Kind, Site, claimed_kinds, invariant_and_clause
from ..recording.hits import Hit
from .violations import Broken, Violation


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


@dataclass
class AssertionResult:
    """
    The evidence of one assertion over trials and runs, and the verdict on it.

    Attributes:
        invariant: The invariant that it cites, with its clause; None if it cites none.
        site: Its site in the source; None if only a shard declared it.
        verdict: The verdict; inconclusive until it is judged.
        true, false: True and false hits, in and out of trials.
        trials_hit, trials_false, trials_true: The number of trials in which it was hit, false and
            true.
        broken: The violations by trial and process; once it is judged, those within the fault
            model.
        violations: The recorded violations, run by run in order of time.
        expected: The number of false hits on purpose, which count nowhere else.
        at_least: Whether counts are lower bounds, since an SDK reported first hits only.
        out_of_model: Violations after a fault that its invariant assumes away.
        refused: Evaluations that failed, since the condition had no truth value.
        full: Whether a full run had the assertion, so that absence is significant.
        antecedent: True and false hits of the antecedent of an ``always_if``; None for others.
        dormant_features: The features that its invariant requires and that were off.
        example: A recorded violation, within the fault model if there is one; None without any.
        nearest: A description of how close a rich assertion came; empty for others.
        rate_bounds: For a sometimes that was never true, an upper bound of its rate by population.
        replay: The token that replays a trial with this outcome; empty if there is none.
    """

    kind: Kind
    message: str
    invariant: str | None = None
    site: Site | None = None
    verdict: Verdict = Verdict.INCONCLUSIVE
    true: int = 0
    false: int = 0
    trials_hit: int = 0
    trials_false: int = 0
    trials_true: int = 0
    broken: list[Broken] = field(default_factory=list, compare=False)
    violations: list[Violation] = field(default_factory=list, compare=False)
    expected: int = 0
    at_least: bool = False
    out_of_model: int = 0
    refused: int = 0
    full: bool = True
    antecedent: tuple[int, int] | None = None
    dormant_features: tuple[str, ...] = ()
    example: Hit | None = None
    nearest: str = ""
    rate_bounds: dict[str, float] = field(default_factory=dict)
    replay: str = ""

    @property
    def hits(self) -> int:
        return self.true + self.false

    @property
    def evaluations(self) -> int:
        """The number of its hits, those of an antecedent included."""
        return self.hits + sum(self.antecedent or ())

    @property
    def claims(self) -> frozenset[str]:
        """The kinds of evidence that it contributes to its invariant."""
        return claimed_kinds(self.kind, self.message, has_antecedent=self.antecedent is not None)

    @property
    def clause(self) -> str | None:
        """The clause that it cites; None if it cites none."""
        return invariant_and_clause(self.invariant or "")[1]

    def shown(self, count: int) -> str:
        """Format a *count* of its hits, marked if it is a lower bound."""
        return f"≥ {count:,}" if self.at_least and count else f"{count:,}"

    @property
    def note(self) -> str:
        """A qualification of the verdict; empty if there is none."""
        # A must-hit assertion without hits is not satisfied, and an antecedent counts as a hit.
        unhit = not self.hits and self.antecedent is None and not self.kind.must_hit
        return "not reached" if self.verdict is Verdict.SATISFIED and unhit else ""


def judge_assertion(result: AssertionResult) -> Verdict:
    """Return the first verdict that applies to *result*, in the order of `Verdict`."""
    # A violation comes first, whatever else is wrong: no report is green over one.  By subtraction
    # from the exact count, so that violations without a record count as well.
    if result.kind.violated_by_false and result.false > result.out_of_model:
        return Verdict.VIOLATED
    if result.kind.violated_by_false and result.out_of_model:
        return Verdict.OUT_OF_MODEL
    if result.dormant_features:
        return Verdict.DORMANT
    # Only the absence of hits depends on coverage; a partial run satisfies as well as a full one.
    absence = _absence(result)
    if absence is None:
        return Verdict.SATISFIED
    return absence if result.full else Verdict.INCONCLUSIVE


def _absence(result: AssertionResult) -> Verdict | None:
    """The verdict on missing hits, given a full run; None if nothing is missing."""
    # An assertion that was evaluated without a result was not checked, whatever its kind.
    if result.refused and not result.hits:
        return Verdict.UNREACHED
    if result.antecedent is not None:
        # The main part is evaluated only if the antecedent holds, so its own hits do not matter.
        held, failed = result.antecedent
        if held + failed == 0:
            return Verdict.UNREACHED
        return None if held else Verdict.VACUOUS
    if result.kind.must_hit and not result.hits:
        return Verdict.UNREACHED
    if result.kind is SOMETIMES and not result.true:
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
class Standing:
    """
    The level of an invariant, with the reasons why it is not exercised.

    Attributes:
        level: The level.
        missing: Expected kinds that are not satisfied, clauses that no satisfied assertion cites,
            and "an antecedent that holds" if an assertion is vacuous.
    """

    level: Level
    missing: tuple[str, ...] = ()


def judge_invariant(
    expects: Iterable[str],
    clauses: Iterable[str],
    results: Sequence[AssertionResult],
    *,
    defect_tested: bool = False,
) -> Standing:
    """
    Determine the level of an invariant.

    Args:
        expects: The kinds of assertions that the invariant expects.
        clauses: The names of its clauses.
        results: The judged assertions that cite it.
        defect_tested: Whether one of them is recorded as having caught a seeded defect.
    """
    missing = tuple(_missing(expects, clauses, results))
    if any(result.verdict is Verdict.VIOLATED for result in results):
        return Standing(Level.VIOLATED, missing)
    if not results:
        return Standing(Level.UNASSERTED, missing)
    if not any(result.evaluations for result in results):
        return Standing(Level.ASSERTED, missing)
    # A caught defect does not make up for parts that were not exercised.
    if missing:
        return Standing(Level.EVALUATED, missing)
    return Standing(Level.DEFECT_TESTED if defect_tested else Level.EXERCISED)


def _missing(
    expects: Iterable[str], clauses: Iterable[str], results: Sequence[AssertionResult]
) -> Iterable[str]:
    for kind in expects:
        of_kind = [result for result in results if kind in result.claims]
        # Every one: an unreached always beside a satisfied one is a part that was not checked.
        if not of_kind or any(result.verdict is not Verdict.SATISFIED for result in of_kind):
            yield kind
    for clause in clauses:
        citing = [result for result in results if result.clause == clause]
        # With hits, as an always_or_unreachable is also satisfied without.
        if not any(each.verdict is Verdict.SATISFIED and each.evaluations for each in citing):
            yield f"clause {clause}"
    # Even if its kind is not expected: the invariant was never put to the test there.
    if any(result.verdict is Verdict.VACUOUS for result in results):
        yield "an antecedent that holds"
