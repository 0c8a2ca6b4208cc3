"""
A rate that drops is noticed in time; one that does not is hardly ever accused.
"""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.evidence.sequential import RATIOS, RateWatch, likelihood_ratio, log_sum

ERROR = 0.01 / 300


def watched(rate, runs, dice, trials=50, error=ERROR):
    watch = RateWatch(error)
    for satisfied in dice.binomial(trials, rate, runs):
        watch.take(trials, int(satisfied))
    return watch


@pytest.mark.parametrize(("before", "after"), [(0.05, 0.001), (0.05, 0.0), (1.0, 0.3), (0.3, 0.01)])
@pytest.mark.parametrize("seed", range(5))
def test_a_drop_is_noticed_within_the_runs_that_are_promised(before, after, seed):
    dice = np.random.default_rng(seed)
    watch = watched(before, 1000, dice)
    assert not watch.has_dropped
    promised = watch.runs_to_notice(50, after)
    for satisfied in dice.binomial(50, after, promised + 3):
        watch.take(50, int(satisfied))
    assert watch.has_dropped


@pytest.mark.parametrize("rate", [0.003, 1 / 300, 0.05, 0.5, 1.0])
def test_a_steady_rate_is_not_accused(rate):
    watch = RateWatch(ERROR)
    for satisfied in np.random.default_rng(1).binomial(50, rate, 2000):
        watch.take(50, int(satisfied))
        assert not watch.has_dropped


def test_over_many_histories_and_looks_false_alarms_are_as_rare_as_said():
    dice = np.random.default_rng(2)
    error, alarms = 0.2, 0
    for _ in range(200):
        watch = RateWatch(error)
        for satisfied in dice.binomial(20, 0.3, 150):
            watch.take(20, int(satisfied))
            if watch.has_dropped:
                alarms += 1
                break
    assert alarms <= 0.2 * 200


@given(st.floats(1e-6, 1.0), st.sampled_from(RATIOS), st.integers(1, 30), st.floats(0, 1))
def test_the_wealth_of_a_run_is_one_at_most_on_average_while_the_rate_is_no_lower(
    reference, ratio, trials, share
):
    # A rate anywhere from the reference up to one.
    rate = reference + (1 - reference) * share
    # What cannot happen may be infinitely much likelier under another rate.
    chances = {k: binomial(trials, k, rate) for k in range(trials + 1)}
    mean = sum(
        np.exp(likelihood_ratio(reference, ratio, trials, k)) * chance
        for k, chance in chances.items()
        if chance > 0
    )
    assert mean <= 1 + 1e-6


def binomial(n, k, p):
    from scipy.stats import binom

    return binom.pmf(k, n, p)


@given(st.floats(-700, 700), st.floats(-700, 700))
def test_a_sum_of_logarithms_is_that_of_numpy(one, other):
    assert log_sum(one, other) == pytest.approx(np.logaddexp(one, other))


def test_runs_without_trials_say_nothing():
    watch = RateWatch(ERROR)
    watch.take(0, 0)
    assert (watch.runs, watch.trials, watch.has_dropped) == (0, 0, False)


def test_what_was_never_satisfied_cannot_drop():
    watch = RateWatch(ERROR)
    for _ in range(1000):
        watch.take(50, 0)
    assert not watch.has_dropped
    assert watch.runs_to_notice(50) is None


def test_the_reference_never_falls_and_a_bad_run_does_not_spoil_it():
    watch = watched(0.5, 100, np.random.default_rng(3))
    before = watch.reference
    for _ in range(200):
        watch.take(50, 0)
    assert watch.reference == before > 0.4


def test_the_benchmark_has_the_same_rule():
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[2] / "benchmarks" / "gate.py"
    spec = importlib.util.spec_from_file_location("gate_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.check_against_the_gate(random.Random(4).randrange(1000), 200)
    assert module.false_alarms(seed=5, histories=20, runs=300) == 0
    told = module.planted(seed=6, runs=400, change=200)
    assert all(told[name][0] <= told[name][1] for name in ("5% falls to 0.1%", "5% falls to zero"))
    assert told["1 in 300"][0] is None
