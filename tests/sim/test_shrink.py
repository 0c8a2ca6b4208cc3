"""
Shrinking: shorter, plainer, and still the same failure.
"""

from hypothesis import given
from hypothesis import strategies as st

from assertlib.sim.shrink import shrink

TAPES = st.lists(st.integers(0, 1 << 20), max_size=60)


def padded(choices, size):
    return [*choices, *[0] * (size - len(choices))]


def shrinking(choices, fails):
    """What is left of *choices* under a predicate on tapes with zeros behind their end."""
    size = len(choices)
    return shrink(
        list(choices), lambda tape: list(tape) if fails(padded(tape, size)) else None, 5.0
    )


@given(TAPES, st.integers(0, 1 << 20))
def test_what_is_left_still_fails(choices, limit):
    def fails(tape):
        return sum(tape) >= limit

    left = shrinking(choices, fails)
    if fails(choices):
        assert fails(left)
        assert len(left) <= len(choices)
    else:
        assert left == choices


@given(TAPES.filter(bool), st.data())
def test_one_choice_that_matters_is_all_that_is_left(choices, data):
    at = data.draw(st.integers(0, len(choices) - 1))
    choices[at] = 77

    left = shrinking(choices, lambda tape: 77 in tape)

    assert left[-1] == 77
    assert sum(map(bool, left)) == 1


@given(TAPES)
def test_what_always_fails_needs_no_choice(choices):
    assert shrinking(choices, lambda _: True) == []


def test_without_time_nothing_changes():
    assert shrink([5, 6, 7], list, 0.0) == [5, 6, 7]
