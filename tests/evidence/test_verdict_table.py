"""
The table of assertion verdicts, row by row, on bare facts.
"""

import pytest

from assertlib.evidence.verdicts import AssertionResult, Verdict, judge_assertion
from assertlib.model import ALWAYS, ALWAYS_OR_UNREACHABLE, KINDS, REACHABLE, SOMETIMES, UNREACHABLE

JUDGED_BY_FALSE = [ALWAYS, ALWAYS_OR_UNREACHABLE, UNREACHABLE]
MUST_BE_HIT = [ALWAYS, SOMETIMES, REACHABLE]


def named(kind):
    return kind.name


def judged(kind, true=0, false=0, **facts):
    return judge_assertion(AssertionResult(kind, "claim", true=true, false=false, **facts))


@pytest.mark.parametrize("kind", JUDGED_BY_FALSE, ids=named)
def test_one_violation_among_many_true_hits_is_violated(kind):
    assert judged(kind, true=1000, false=1) is Verdict.VIOLATED


@pytest.mark.parametrize("kind", JUDGED_BY_FALSE, ids=named)
def test_violations_that_all_came_after_a_fault_are_out_of_model(kind):
    assert judged(kind, true=5, false=2, out_of_model=2) is Verdict.OUT_OF_MODEL


def test_a_violation_in_the_model_beats_one_out_of_it():
    assert judged(ALWAYS, false=2, out_of_model=1) is Verdict.VIOLATED


def test_violated_comes_before_dormant():
    assert judged(ALWAYS, false=1, dormant_features=("leases",)) is Verdict.VIOLATED


def test_out_of_model_comes_before_dormant():
    assert (
        judged(ALWAYS, false=1, out_of_model=1, dormant_features=("leases",))
        is Verdict.OUT_OF_MODEL
    )


def test_a_partial_run_can_violate():
    assert judged(ALWAYS, false=1, full=False) is Verdict.VIOLATED


def test_a_partial_run_can_be_out_of_model():
    assert judged(ALWAYS, false=1, out_of_model=1, full=False) is Verdict.OUT_OF_MODEL


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_a_required_feature_that_is_off_makes_it_dormant(kind):
    assert judged(kind, dormant_features=("leases",)) is Verdict.DORMANT


def test_dormant_comes_before_satisfied():
    assert judged(ALWAYS, true=3, dormant_features=("leases",)) is Verdict.DORMANT


def test_dormant_comes_before_inconclusive():
    assert judged(ALWAYS, dormant_features=("leases",), full=False) is Verdict.DORMANT


@pytest.mark.parametrize("kind", MUST_BE_HIT, ids=named)
def test_what_must_be_hit_and_was_not_is_unreached(kind):
    assert judged(kind) is Verdict.UNREACHED


@pytest.mark.parametrize("kind", MUST_BE_HIT, ids=named)
def test_in_a_partial_run_what_was_not_hit_is_inconclusive(kind):
    assert judged(kind, full=False) is Verdict.INCONCLUSIVE


def test_a_sometimes_that_was_hit_and_never_true_is_never_true():
    assert judged(SOMETIMES, false=802) is Verdict.NEVER_TRUE


def test_in_a_partial_run_never_true_is_inconclusive():
    assert judged(SOMETIMES, false=802, full=False) is Verdict.INCONCLUSIVE


def test_a_sometimes_is_satisfied_by_one_true_hit_among_many_false():
    assert judged(SOMETIMES, true=1, false=802) is Verdict.SATISFIED


@pytest.mark.parametrize("kind", [ALWAYS, SOMETIMES, REACHABLE], ids=named)
def test_a_partial_run_can_satisfy(kind):
    assert judged(kind, true=1, full=False) is Verdict.SATISFIED


@pytest.mark.parametrize("kind", [ALWAYS_OR_UNREACHABLE, UNREACHABLE], ids=named)
@pytest.mark.parametrize("full", [True, False])
def test_what_need_not_be_hit_is_satisfied_without_hits(kind, full):
    assert judged(kind, full=full) is Verdict.SATISFIED


def test_an_antecedent_that_was_never_evaluated_is_unreached():
    assert judged(ALWAYS_OR_UNREACHABLE, antecedent=(0, 0)) is Verdict.UNREACHED


def test_an_antecedent_that_never_held_is_vacuous():
    assert judged(ALWAYS_OR_UNREACHABLE, antecedent=(0, 9)) is Verdict.VACUOUS


def test_an_antecedent_that_held_once_satisfies():
    assert judged(ALWAYS_OR_UNREACHABLE, true=1, antecedent=(1, 9)) is Verdict.SATISFIED


@pytest.mark.parametrize("antecedent", [(0, 0), (0, 9)])
def test_in_a_partial_run_an_antecedent_that_never_held_is_inconclusive(antecedent):
    facts = judged(ALWAYS_OR_UNREACHABLE, antecedent=antecedent, full=False)
    assert facts is Verdict.INCONCLUSIVE


def test_a_false_consequent_is_violated_whatever_the_antecedent():
    assert judged(ALWAYS_OR_UNREACHABLE, false=1, antecedent=(0, 9)) == "violated"


def test_the_verdicts_stand_in_the_order_of_the_table():
    assert [verdict.value for verdict in Verdict] == [
        "violated",
        "out-of-model",
        "dormant",
        "inconclusive",
        "unreached",
        "never-true",
        "vacuous",
        "satisfied",
    ]
