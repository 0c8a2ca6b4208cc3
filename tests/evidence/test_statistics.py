"""
What trials that were drawn at random say about a rate.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.evidence.statistics import rate_bound_when_never_seen


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
    with pytest.raises(ValueError, match="no trials"):
        rate_bound_when_never_seen(trials)
