"""
The ladder of invariants, rung by rung, on bare results.
"""

import pytest

from assertlib.evidence.verdicts import AssertionResult, Level, Verdict, judge_invariant
from assertlib.model import kind_named

NOT_SATISFIED = [verdict for verdict in Verdict if verdict is not Verdict.SATISFIED]


def claim(kind, verdict=Verdict.SATISFIED, hits=1, clause=None):
    invariant = "kv.one" if clause is None else f"kv.one#{clause}"
    return AssertionResult(
        kind_named(kind), "claim", invariant, verdict=verdict, true=hits,
    )  # fmt: skip


def level(expects, claims, clauses=(), **more):
    return judge_invariant(expects, clauses, claims, **more).level


def test_the_rungs_stand_in_the_order_of_the_contract():
    assert [each.value for each in Level] == [
        "violated",
        "unasserted",
        "asserted",
        "evaluated",
        "exercised",
        "defect-tested",
    ]


def test_one_violated_assertion_violates_the_invariant():
    claims = [claim("always"), claim("sometimes", verdict=Verdict.VIOLATED)]
    assert level(["always"], claims) is Level.VIOLATED


def test_violated_comes_before_proven():
    claims = [claim("always", verdict=Verdict.VIOLATED)]
    assert level(["always"], claims, defect_tested=True) is Level.VIOLATED


def test_an_invariant_that_no_assertion_names_is_naked():
    assert level(["always"], []) is Level.UNASSERTED


def test_a_proof_does_not_dress_a_naked_invariant():
    assert level(["always"], [], defect_tested=True) is Level.UNASSERTED


def test_an_invariant_whose_assertions_were_never_hit_is_asserted():
    claims = [claim("always", verdict=Verdict.UNREACHED, hits=0)]
    assert level(["always"], claims) is Level.ASSERTED


def test_an_assertion_that_need_not_be_hit_and_was_not_leaves_it_asserted():
    assert level(["unreachable"], [claim("unreachable", hits=0)]) is Level.ASSERTED


def test_an_invariant_of_which_one_assertion_was_hit_is_evaluated():
    claims = [claim("always"), claim("sometimes", verdict=Verdict.UNREACHED, hits=0)]
    assert level(["always", "sometimes"], claims) is Level.EVALUATED


def test_all_expected_kinds_satisfied_is_exercised():
    claims = [claim("always"), claim("sometimes")]
    assert level(["always", "sometimes"], claims) is Level.EXERCISED


def test_a_kind_that_is_expected_and_not_asserted_keeps_it_evaluated():
    standing = judge_invariant(["always", "sometimes"], [], [claim("always")])
    assert standing.level is Level.EVALUATED
    assert standing.missing == ("sometimes",)


@pytest.mark.parametrize("verdict", [each for each in NOT_SATISFIED if each != Verdict.VIOLATED])
def test_an_expected_kind_that_is_not_satisfied_keeps_it_evaluated(verdict):
    claims = [claim("always"), claim("sometimes", verdict=verdict)]
    assert level(["always", "sometimes"], claims) is Level.EVALUATED


def test_an_unsatisfied_assertion_of_a_kind_that_nobody_expects_does_no_harm():
    claims = [claim("always"), claim("reachable", verdict=Verdict.UNREACHED, hits=0)]
    assert level(["always"], claims) is Level.EXERCISED


def test_a_vacuous_assertion_keeps_it_evaluated_even_if_its_kind_is_not_expected():
    claims = [claim("sometimes"), claim("always", verdict=Verdict.VACUOUS)]
    assert level(["sometimes"], claims) is Level.EVALUATED


def test_a_clause_that_no_assertion_cites_keeps_it_evaluated():
    standing = judge_invariant(["always"], ["dir-entry"], [claim("always")])
    assert standing.level is Level.EVALUATED
    assert standing.missing == ("clause dir-entry",)


def test_a_clause_is_exercised_by_a_satisfied_assertion_that_cites_it():
    claims = [claim("always", clause="dir-entry")]
    assert level(["always"], claims, ["dir-entry"]) is Level.EXERCISED


def test_a_clause_that_only_an_unhit_assertion_cites_is_missing():
    claims = [claim("always"), claim("unreachable", hits=0, clause="dir-entry")]
    assert level(["always"], claims, ["dir-entry"]) is Level.EVALUATED


def test_each_clause_needs_an_assertion_of_its_own():
    claims = [claim("always", clause="contents")]
    assert level(["always"], claims, ["contents", "dir-entry"]) is Level.EVALUATED


def test_an_exercised_invariant_with_a_proof_is_proven():
    assert level(["always"], [claim("always")], defect_tested=True) is Level.DEFECT_TESTED


def test_a_proof_does_not_make_up_for_what_is_missing():
    assert level(["always", "sometimes"], [claim("always")], defect_tested=True) is Level.EVALUATED
