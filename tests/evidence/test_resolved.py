"""
When the gate reports a violation of the past as gone.
"""

import pytest

from assertlib.evidence.gate import GateOutcome, History, judge_gate
from assertlib.evidence.store import StoredRun
from assertlib.evidence.verdicts import Verdict

from ..report import samples


def outcomes(verdict, *, message="m", stored="m", **counts):
    """What the gate reports of an assertion that all five runs before had violated."""
    runs = [StoredRun(f"run {n}", "store", "", "", True, n, "") for n in range(6)]
    history = History(runs)
    history.violated[stored] = {run.id for run in runs[:5]}
    summary = samples.summary(samples.assertion(message, verdict, **counts), runs=["run 5"])
    return [item.outcome for item in judge_gate(summary, history, None).items]


def test_one_that_now_holds_is_resolved():
    assert outcomes(Verdict.SATISFIED, true=9) == [GateOutcome.RESOLVED]


def test_one_that_is_violated_outside_the_model_is_not_resolved():
    assert outcomes(Verdict.OUT_OF_MODEL, true=9, false=1) == []


@pytest.mark.parametrize("verdict", [Verdict.SATISFIED, Verdict.UNREACHED, Verdict.DORMANT])
def test_one_that_was_not_evaluated_is_not_resolved(verdict):
    assert outcomes(verdict) == [GateOutcome.BEFORE]


def test_one_whose_message_no_database_can_hold_is_resolved():
    found = outcomes(Verdict.SATISFIED, message="a\0b", stored=r"a\x00b", true=9)
    assert found == [GateOutcome.RESOLVED]
