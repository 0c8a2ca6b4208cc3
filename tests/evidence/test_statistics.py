"""
What trials that were drawn at random say about a rate.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv
from scipy.stats import binom

from assertlib.evidence.statistics import (
    chance_of_something_new,
    interval,
    lower_bound,
    rate_bound_when_never_seen,
    trials_to_see,
    upper_bound,
)

from ..forms import sampled


def test_38_trials_without_a_sight_bound_the_rate_at_7_6_percent():
    assert round(rate_bound_when_never_seen(38) * 100, 1) == 7.6


def test_one_trial_says_little():
    assert rate_bound_when_never_seen(1) == pytest.approx(0.95)


@given(st.integers(1, 10**6))
def test_a_rate_at_the_bound_would_show_itself_with_the_confidence(trials):
    bound = rate_bound_when_never_seen(trials)
    assert (1 - bound) ** trials == pytest.approx(0.05, rel=1e-3)


@given(st.integers(1, 10**6))
def test_more_trials_bound_it_tighter(trials):
    assert rate_bound_when_never_seen(trials + 1) < rate_bound_when_never_seen(trials)


@pytest.mark.parametrize("trials", [0, -1])
def test_no_trials_say_nothing(trials):
    with pytest.raises(ValueError, match="at least one trial"):
        rate_bound_when_never_seen(trials)


# -- intervals -----------------------------------------------------------------------------------

# Clopper and Pearson at 95%, as in tables of exact binomial limits.
TABLE = [
    (0, 10, 0.0000, 0.3085),
    (1, 10, 0.0025, 0.4450),
    (3, 10, 0.0667, 0.6525),
    (5, 10, 0.1871, 0.8129),
    (10, 10, 0.6915, 1.0000),
    (0, 30, 0.0000, 0.1157),
    (5, 50, 0.0333, 0.2181),
    (50, 100, 0.3983, 0.6017),
    (1, 1000, 0.0000, 0.0056),
]


@pytest.mark.parametrize(("satisfied", "trials", "low", "high"), TABLE)
def test_intervals_are_those_of_published_tables(satisfied, trials, low, high):
    assert interval(satisfied, trials) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 10**6), st.data(), st.floats(1e-8, 0.5))
def test_bounds_are_those_of_scipy(trials, data, error):
    satisfied = data.draw(st.integers(1, trials))
    expected = betaincinv(satisfied, trials - satisfied + 1, error)
    assert lower_bound(satisfied, trials, error) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert upper_bound(trials - satisfied, trials, error) == pytest.approx(1 - expected, abs=1e-9)


@pytest.mark.parametrize("rate", sampled([0.003, 0.05, 0.37, 0.5, 0.93], every=2))
@pytest.mark.parametrize("trials", [7, 40, 300])
def test_intervals_cover_at_least_their_level(rate, trials):
    covered = sum(
        binom.pmf(k, trials, rate)
        for k in range(trials + 1)
        if interval(k, trials)[0] <= rate <= interval(k, trials)[1]
    )
    assert covered >= 0.95


def test_none_in_n_is_the_interval_from_one_side():
    assert rate_bound_when_never_seen(38) == pytest.approx(upper_bound(0, 38, 0.05))


@given(st.floats(1e-6, 1.0))
def test_so_many_trials_show_it_and_one_less_do_not(rate):
    trials = trials_to_see(rate)
    assert 1 - (1 - rate) ** trials >= 0.95 - 1e-9
    if trials > 1:
        assert 1 - (1 - rate) ** (trials - 1) < 0.95 + 1e-9


def test_what_one_trial_alone_satisfied_tells_of_what_nobody_has_seen():
    assert chance_of_something_new([0, 1, 1, 7], 40) == 2 / 40
    assert chance_of_something_new([], 40) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: interval(1, 0),
        lambda: interval(3, 2),
        lambda: interval(-1, 2),
        lambda: trials_to_see(0.0),
        lambda: trials_to_see(1.5),
        lambda: chance_of_something_new([1], 0),
    ],
    ids=["none of 0", "3 of 2", "-1 of 2", "rate 0", "rate 1.5", "no trials"],
)
def test_what_cannot_be_is_an_error(call):
    with pytest.raises(ValueError):
        call()
