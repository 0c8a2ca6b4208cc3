"""
Assertions that are made of others.
"""

import json
import signal

import pytest

import assertlib
from assertlib import (
    always_if,
    reachable,
    sometimes_both,
    sometimes_each,
    within,
)


def details_of(hit):
    return json.loads(hit.details)


# -- derived assertions --------------------------------------------------------


def test_always_if_evaluates_its_consequent_only_when_the_antecedent_holds(children):
    def scenario():
        evaluated = []
        returned = [
            always_if(
                number % 2 == 0,
                lambda number=number: evaluated.append(number) or number < 4,
                "even numbers are small",
            )
            for number in range(6)
        ]
        return returned, evaluated

    outcome = children.run(scenario)
    assert outcome.value == ([True, True, True, True, False, True], [0, 2, 4])
    assert outcome.counts == {
        "even numbers are small [antecedent]": (3, 3),
        "even numbers are small": (2, 1),
    }
    assert outcome.kinds["even numbers are small"] == "always_or_unreachable"
    assert outcome.kinds["even numbers are small [antecedent]"] == "sometimes"


def test_an_always_if_whose_antecedent_never_held_is_told_apart(children):
    def scenario():
        return [always_if(False, lambda: 1 / 0, "claim") for _ in range(5)]

    outcome = children.run(scenario)
    assert outcome.value == [True] * 5
    assert outcome.counts["claim [antecedent]"] == (0, 5)
    assert outcome.counts.get("claim", (0, 0)) == (0, 0)
    assert outcome.shard.error_count == 0


def test_always_if_takes_lambdas_on_both_sides(children):
    def scenario():
        return [always_if(lambda: 1, lambda: None, "claim"), always_if(lambda: 0, lambda: 1, "two")]

    outcome = children.run(scenario)
    assert outcome.value == [False, True]
    assert outcome.counts["claim"] == (0, 1)
    assert outcome.counts["two [antecedent]"] == (0, 1)


@pytest.mark.parametrize("antecedent", [True, False])
def test_a_consequent_that_is_no_callable_is_no_pass(children, antecedent):
    def scenario(antecedent):
        return always_if(antecedent, True, "claim")

    outcome = children.run(scenario, antecedent)
    assert outcome.counts.get("claim", (0, 0)) == (0, 0)
    if antecedent:
        assert outcome.value is False
        assert outcome.shard.troubles[0].message == "claim"


def test_a_violated_always_if_raises_in_mode_raise(children):
    def scenario():
        try:
            always_if(True, lambda: False, "claim", invariant="a.b")
        except assertlib.InvariantViolation as violation:
            return violation.message, violation.invariant

    assert children.run(scenario, env={"ASSERTLIB": "raise"}).value == ("claim", "a.b")


def test_sometimes_both_wants_true_and_false(children):
    def scenario():
        return [sometimes_both(number < 2, "below two") for number in range(5)]

    outcome = children.run(scenario)
    assert outcome.value == [True, True, False, False, False]
    assert outcome.counts == {"below two": (2, 3), "below two [false]": (3, 2)}
    assert set(outcome.kinds.values()) == {"sometimes"}


def test_sometimes_both_evaluates_its_condition_once(children):
    def scenario():
        evaluated = []
        sometimes_both(lambda: evaluated.append(1), "claim")
        return evaluated

    outcome = children.run(scenario)
    assert outcome.value == [1]
    assert outcome.counts == {"claim": (0, 1), "claim [false]": (1, 0)}


def test_sometimes_each_has_a_bucket_for_each_member_of_an_enum(children):
    def scenario():
        import enum

        class Role(enum.Enum):
            LEADER = 1
            FOLLOWER = 2
            LEARNER = 3

        roles = [Role.LEADER, Role.FOLLOWER, Role.LEADER]
        return [sometimes_each(role, "role", expected=Role) for role in roles]

    outcome = children.run(scenario)
    assert outcome.value == [True, True, True]
    hit = {message: counts for message, counts in outcome.counts.items() if counts != (0, 0)}
    assert hit == {"role [bucket=LEADER]": (2, 0), "role [bucket=FOLLOWER]": (1, 0)}
    assert set(outcome.kinds.values()) == {"sometimes"}


def test_sometimes_each_puts_what_is_not_expected_into_other(children):
    def scenario():
        values = [0, 1, 1, 7, "1", None]
        return [sometimes_each(value, "size", expected=range(3)) for value in values]

    outcome = children.run(scenario)
    assert outcome.value == [True, True, True, False, True, False]
    assert outcome.counts["size [bucket=0]"] == (1, 0)
    assert outcome.counts["size [bucket=other]"] == (2, 0)
    assert outcome.kinds["size [bucket=other]"] == "always_or_unreachable"


def test_sometimes_each_takes_a_tuple_of_texts(children):
    def scenario():
        for word in ["put", "delete", "put"]:
            sometimes_each(word, "op", {"word": word}, expected=("put", "delete"), invariant="a.b")

    shard = children.run(scenario).shard
    assert [hit.message for hit in shard.hits] == ["op [bucket=put]", "op [bucket=delete]"]
    assert [hit.invariant for hit in shard.hits] == ["a.b", "a.b"]
    assert details_of(shard.hits[1]) == {"word": "delete"}


def test_a_value_that_cannot_be_named_is_trouble(children):
    def scenario():
        class Nameless:
            def __repr__(self):
                raise ValueError("no name")

        return sometimes_each(Nameless(), "claim", expected=(1, 2))

    outcome = children.run(scenario)
    assert outcome.value is False
    assert outcome.shard.troubles[0].message == "claim"


# -- within --------------------------------------------------------------------


def test_within_passes_when_the_block_ends_in_time(children):
    def scenario():
        with within(3600, "soon", {"note": "mine"}, invariant="a.b"):
            pass

    outcome = children.run(scenario)
    assert outcome.counts == {"soon": (1, 0)}
    assert outcome.kinds == {"soon": "always"}
    (hit,) = outcome.shard.hits
    assert details_of(hit)["note"] == "mine"
    assert details_of(hit)["limit"] == 3600
    assert hit.invariant == "a.b"


@pytest.mark.parametrize(("took", "passes"), [(1.0, True), (2.0, True), (2.5, False)])
def test_within_asks_its_own_clock_and_late_is_false(children, took, passes):
    def scenario(took):
        times = iter([10.0, 10.0 + took])
        with within(2, "soon", clock=lambda: next(times)):
            pass

    outcome = children.run(scenario, took)
    assert outcome.counts == {"soon": (1, 0) if passes else (0, 1)}
    assert details_of(outcome.shard.hits[0]) == {"seconds": took, "limit": 2}


def test_within_is_false_for_an_exception_and_lets_it_pass(children):
    def scenario():
        try:
            with within(3600, "soon"):
                raise KeyError("lost")
        except KeyError as error:
            return str(error)

    outcome = children.run(scenario)
    assert outcome.value == "'lost'"
    assert outcome.counts == {"soon": (0, 1)}
    assert details_of(outcome.shard.hits[0])["exception"] == "KeyError"


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "SystemExit", "GeneratorExit"])
def test_a_block_that_was_stopped_from_outside_is_neither(children, name):
    def scenario(name):
        import builtins

        kind = getattr(builtins, name)
        try:
            with within(0, "soon"):
                raise kind
        except kind:
            reachable("stopped")

    outcome = children.run(scenario, name)
    assert outcome.counts.get("soon", (0, 0)) == (0, 0)
    assert outcome.counts["stopped"] == (1, 0)


def test_within_is_an_async_context_manager(children):
    def scenario():
        import asyncio

        async def late():
            times = iter([0.0, 9.0])
            async with within(1, "late", clock=lambda: next(times)):
                await asyncio.sleep(0)

        async def main():
            async with within(3600, "in time"):
                await late()

        asyncio.run(main())

    assert children.run(scenario).counts == {"in time": (1, 0), "late": (0, 1)}


def test_a_cancelled_block_is_neither(children):
    def scenario():
        import asyncio

        async def wait(entered):
            async with within(0, "soon"):
                entered.set()
                await asyncio.Event().wait()

        async def main():
            entered = asyncio.Event()
            task = asyncio.create_task(wait(entered))
            await entered.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            reachable("cancelled")

        asyncio.run(main())

    outcome = children.run(scenario)
    assert outcome.counts.get("soon", (0, 0)) == (0, 0)
    assert outcome.counts["cancelled"] == (1, 0)


def test_a_block_that_is_open_when_the_process_is_killed_is_neither(children):
    def scenario():
        import os
        import signal

        reachable("about to wait")
        with within(0, "soon"):
            os.kill(os.getpid(), signal.SIGKILL)

    outcome = children.run(scenario, code=-signal.SIGKILL)
    assert outcome.counts.get("soon", (0, 0)) == (0, 0)
    assert outcome.counts["about to wait"] == (1, 0)


def test_a_late_block_raises_in_mode_raise(children):
    def scenario():
        times = iter([0.0, 9.0])
        try:
            with within(1, "soon", clock=lambda: next(times)):
                pass
        except assertlib.InvariantViolation as violation:
            return violation.message

    outcome = children.run(scenario, env={"ASSERTLIB": "raise"})
    assert outcome.value == "soon"
    assert outcome.counts == {"soon": (0, 1)}


@pytest.mark.parametrize("good", [0, 1])
def test_a_clock_that_raises_is_trouble_and_no_pass(children, good):
    def scenario(good):
        times = iter([1.0] * good)
        with within(1, "soon", clock=lambda: next(times)):
            pass

    outcome = children.run(scenario, good)
    assert outcome.counts.get("soon", (0, 0)) == (0, 0)
    assert outcome.shard.error_count == 1


def test_the_site_of_within_is_its_with_statement(children):
    def scenario():
        with within(3600, "soon"):
            pass

    outcome = children.run(scenario)
    line = outcome.shard.hits[0].location.begin_line
    source = (outcome.run_dir.parent / "child1.py").read_text().splitlines()
    assert "with within" in source[line - 1]


def test_numbers_that_are_none_are_troubles_and_do_not_reach_the_store(children):
    def scenario():
        with assertlib.within("5", "claim"):
            pass
        return assertlib.always(lambda: True, "sampled", every="a")

    outcome = children.run(scenario)
    assert outcome.value is True
    limit, interval = outcome.shard.troubles
    assert "its time limit is not a number" in limit.reason
    assert "every='a' is not a positive integer" in interval.reason
