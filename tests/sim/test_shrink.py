"""
Shrinking: shorter, plainer, and still the same failure.
"""

import asyncio
import os
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from assertlib.sim import NotSimulatedError, Options, Tape, run_trial
from assertlib.sim.shrink import Reached, shrink

TAPES = st.lists(st.integers(0, 1 << 20), max_size=60)


def padded(choices, size):
    return [*choices, *[0] * (size - len(choices))]


def shrinking(choices, fails):
    """What is left of *choices* under a predicate on tapes with zeros behind their end."""
    size = len(choices)
    return shrink(
        list(choices), lambda tape: Reached(0) if fails(padded(tape, size)) else None, 20_000
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


def test_without_a_budget_nothing_changes():
    assert shrink([5, 6, 7], len, 0) == [5, 6, 7]
    assert shrink([5, 6, 7], len, 100, seconds=-1.0) == [5, 6, 7]


@given(TAPES, st.integers(0, 200))
def test_no_more_replays_are_made_than_the_budget_allows_and_none_twice(choices, budget):
    tried = []

    def fails(tape):
        tried.append(tuple(tape))
        return Reached(sum(tape)) if sum(tape) > 100 else None

    left = shrink(list(choices), fails, budget)

    assert len(tried) <= budget
    assert len(set(tried)) == len(tried)
    assert shrink(list(choices), fails, budget) == left


def test_a_failure_after_fewer_steps_is_better_than_a_shorter_tape():
    steps = {(): 100, (1,): 50, (1, 1): 2}

    def fails(tape):
        return Reached(steps[tuple(tape)]) if tuple(tape) in steps else None

    assert shrink([1, 1], fails, 100) == [1, 1]


def test_a_fault_that_the_failure_does_not_need_is_removed_with_all_that_it_decides():
    def fails(tape):
        # Three faults, of which the first draws two more numbers; the store draws the last one.
        first, _, third = (*tape, 0, 0, 0)[:3]
        labels = {3: "first", 4: "first"} if first else {}
        at = 3 + len(labels)
        left = (*tape, *[0] * 6)[at]
        switches = {0: "first", 1: "second", 2: "third"}
        return Reached(7, labels, switches) if third and left == 77 else None

    assert shrink([5, 6, 7, 8, 9, 77], fails, 8) == [0, 0, 7, 77]


def test_a_trial_ends_at_the_failure_that_is_looked_for():
    reached = []

    async def scenario(world):
        await asyncio.sleep(1)
        with suppress(NotSimulatedError):
            os.system("true")  # noqa: ASYNC221
        reached.append("the step")
        await asyncio.sleep(1)
        reached.append("the end")

    whole = run_trial(scenario, Tape(0), Options(), name="whole")
    name = whole.failure.name
    until = run_trial(scenario, Tape(0), Options(), name="until", until=name)
    assert reached == ["the step", "the end", "the step"]
    assert [each.name for each in until.failures] == [name]
    assert until.steps < whole.steps
