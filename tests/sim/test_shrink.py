"""
Shrinking: shorter, plainer, and still the same failure.
"""

import asyncio
import os
from contextlib import suppress

from hypothesis import assume, given
from hypothesis import strategies as st

from assertlib.sim import NotSimulatedError, Options, Tape, run_trial
from assertlib.sim.shrink import Reached, shrink
from assertlib.sim.sources import Choice, SourcedTape

TAPES = st.lists(st.integers(0, 1 << 20), max_size=60)


def padded(choices, size):
    return [*choices, *[0] * (size - len(choices))]


def reached(values, steps=0, labels=(), switches=()):
    return Reached([Choice(value) for value in values], steps, dict(labels), dict(switches))


def shrunk(values, fails, budget, **options):
    """
    What is left of *values*, which a single source has chosen.

    *fails* gets the values, and returns a number of steps if they fail.
    """

    def replay(choices, _, seed):
        # Nothing is drawn behind the end.
        tape = [choice.value for choice in choices]
        steps = fails(tape) if seed is None else None
        return None if steps is None else reached(tape, steps)

    whole = fails(list(values))
    return shrink(reached(values, 10**6 if whole is None else whole), replay, budget, **options)


def shrinking(choices, fails):
    """What is left of *choices* under a predicate on tapes with zeros behind their end."""
    size = len(choices)
    return shrunk(choices, lambda tape: 0 if fails(padded(tape, size)) else None, 20_000)


@given(TAPES, st.integers(0, 1 << 20))
def test_what_is_left_still_fails(choices, limit):
    def fails(tape):
        return sum(tape) >= limit

    assume(fails(choices))
    left = shrinking(choices, fails)

    assert fails(left)
    assert len(left) <= len(choices)


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
    assert shrunk([5, 6, 7], len, 0) == [5, 6, 7]
    assert shrunk([5, 6, 7], len, 100, seconds=-1.0) == [5, 6, 7]


@given(TAPES, st.integers(0, 200))
def test_no_more_replays_are_made_than_the_budget_allows_and_none_twice(choices, budget):
    tried = []

    def fails(tape):
        tried.append(tuple(tape))
        return sum(tape) if sum(tape) > 100 else None

    assume(sum(choices) > 100)
    left = shrunk(choices, fails, budget)

    # The first is the failure itself.
    assert len(tried) - 1 <= budget
    assert len(set(tried[1:])) == len(tried) - 1
    assert shrunk(choices, fails, budget) == left


def test_a_failure_after_fewer_steps_is_better_than_a_shorter_tape():
    steps = {(): 100, (1,): 50, (1, 1): 2}

    assert shrunk([1, 1], lambda tape: steps.get(tuple(tape)), 100) == [1, 1]


def test_no_replay_may_take_more_steps_than_the_shortest_failure():
    limits = []

    def replay(choices, steps, seed):
        limits.append((len(choices), steps))
        return Reached(choices, len(choices))

    shrink(reached([1] * 8, 8), replay, 100)

    assert all(steps <= 8 for _, steps in limits)
    assert [steps for _, steps in limits] == sorted([steps for _, steps in limits], reverse=True)


def played(choices, *, is_sourced=True):
    """Two tasks that draw their numbers by turns, and sum them up."""
    tape = SourcedTape(None, choices, is_sourced=is_sourced)
    sums = {}

    async def draw(name, rounds):
        for _ in range(rounds):
            sums[name] = sums.get(name, 0) + tape.choose(1000)
            await asyncio.sleep(1)

    async def scenario(world):
        for name in ("ann", "bob"):
            host = world.host(name)
            host.boot()
            host.run(draw(name, 1 + tape.choose(4)), name=name)
        await asyncio.sleep(10)

    run_trial(scenario, tape, Options("fifo"), name="played")
    return sums, tape.choices


def test_a_choice_that_is_left_out_shifts_none_of_another_task():
    # The first two numbers are the kind of latencies, and the pause between faults.
    numbers = [Choice(value) for value in (0, 0, 2, 2, 10, 1, 20, 2, 30, 3)]
    sums, choices = played(numbers, is_sourced=False)
    assert sums == {"ann": 60, "bob": 6}

    without = [choice for choice in choices if choice.value != 20]
    assert played(without)[0] == {"ann": 40, "bob": 6}
    assert played([each for each in choices if each.owner != "bob"])[0] == {"ann": 60, "bob": 0}


@given(st.lists(st.integers(0, 1000), max_size=20))
def test_choices_by_source_make_the_same_trial_as_in_their_order(values):
    sums, choices = played([Choice(value) for value in values], is_sourced=False)

    assert played(choices) == (sums, choices)


def test_a_fault_that_the_failure_does_not_need_is_removed_with_all_that_it_decides():
    def replay(choices, _, seed):
        tape = [choice.value for choice in choices]
        # Three faults, of which the first draws two more numbers; the store draws the last one.
        first, _, third = (*tape, 0, 0, 0)[:3]
        labels = {3: "first", 4: "first"} if first else {}
        at = 3 + len(labels)
        left = (*tape, *[0] * 6)[at]
        switches = {0: "first", 1: "second", 2: "third"}
        return reached(tape, 7, labels, switches) if third and left == 77 else None

    whole = replay([Choice(value) for value in (5, 6, 7, 8, 9, 77)], 0, None)
    assert shrink(whole, replay, 12) == [0, 0, 7, 77]


def test_a_trial_ends_at_the_failure_that_is_looked_for():
    seen = []

    async def scenario(world):
        await asyncio.sleep(1)
        with suppress(NotSimulatedError):
            os.system("true")  # noqa: ASYNC221
        seen.append("the step")
        await asyncio.sleep(1)
        seen.append("the end")

    whole = run_trial(scenario, Tape(0), Options(), name="whole")
    name = whole.failure.name
    until = run_trial(scenario, Tape(0), Options(), name="until", until=name)
    assert seen == ["the step", "the end", "the step"]
    assert [each.name for each in until.failures] == [name]
    assert until.steps < whole.steps
