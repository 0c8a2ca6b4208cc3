"""
Every primitive: what it returns, what it counts, what it records, what it refuses.
"""

import inspect
import json
import operator
import signal

import pytest

import assertlib
from assertlib import (
    Invariant,
    always,
    always_if,
    always_some,
    reachable,
    sometimes,
    sometimes_all,
    sometimes_both,
    sometimes_each,
    unreachable,
    within,
    wrapper,
)

CONDITIONED = ["always", "always_or_unreachable", "sometimes"]

COMPARISONS = {
    "always_greater_than": ("always", operator.gt, False),
    "always_greater_than_or_equal_to": ("always", operator.ge, False),
    "always_less_than": ("always", operator.lt, True),
    "always_less_than_or_equal_to": ("always", operator.le, True),
    "sometimes_greater_than": ("sometimes", operator.gt, True),
    "sometimes_greater_than_or_equal_to": ("sometimes", operator.ge, True),
    "sometimes_less_than": ("sometimes", operator.lt, False),
    "sometimes_less_than_or_equal_to": ("sometimes", operator.le, False),
}


def details_of(hit):
    return json.loads(hit.details)


# -- conditions ----------------------------------------------------------------


@pytest.mark.parametrize("name", CONDITIONED)
def test_a_condition_is_returned_as_a_bool_and_counted(children, name):
    def scenario(name):
        claim = getattr(assertlib, name)
        return [claim(value, "claim") for value in (True, False, 1, 0, [], "text", None)]

    outcome = children.run(scenario, name)
    assert outcome.value == [True, False, True, False, False, True, False]
    assert outcome.counts == {"claim": (3, 4)}
    assert outcome.kinds == {"claim": name}
    assert outcome.shard.trouble_count == 0


@pytest.mark.parametrize("name", CONDITIONED)
@pytest.mark.parametrize("value", [True, False])
def test_each_evaluation_counts_however_many_there_are(children, name, value):
    def scenario(name, value):
        claim = getattr(assertlib, name)
        for _ in range(1000):
            assert claim(value, "claim") is value

    outcome = children.run(scenario, name, value)
    assert outcome.counts == {"claim": (1000, 0) if value else (0, 1000)}


@pytest.mark.parametrize("name", CONDITIONED)
def test_arguments_may_be_named(children, name):
    def scenario(name):
        getattr(assertlib, name)(
            condition=False, message="claim", details={"n": 1}, invariant="area.name"
        )

    (hit,) = children.run(scenario, name).shard.hits
    assert (hit.message, hit.condition, hit.invariant) == ("claim", False, "area.name")
    assert details_of(hit) == {"n": 1}


@pytest.mark.parametrize("name", CONDITIONED)
def test_a_lambda_or_a_local_function_is_called_for_its_truth(children, name):
    def scenario(name):
        def local():
            return 0

        claim = getattr(assertlib, name)
        return [claim(lambda: "yes", "by lambda"), claim(local, "by function")]

    outcome = children.run(scenario, name)
    assert outcome.value == [True, False]
    assert outcome.counts == {"by lambda": (1, 0), "by function": (0, 1)}


def test_a_lambda_with_defaults_for_all_arguments_is_called(children):
    def scenario():
        return [always(lambda number=number: number < 2, "small") for number in range(3)]

    outcome = children.run(scenario)
    assert outcome.value == [True, True, False]
    assert outcome.counts == {"small": (2, 1)}


@pytest.mark.parametrize("name", CONDITIONED)
def test_every_evaluates_the_first_and_each_nth_call_and_passes_the_others(children, name):
    def scenario(name):
        claim = getattr(assertlib, name)
        evaluated = []
        returned = [
            claim(lambda number=number: evaluated.append(number), "costly", every=10)
            for number in range(35)
        ]
        return evaluated, [number for number, value in enumerate(returned) if not value]

    outcome = children.run(scenario, name)
    assert outcome.value == ([0, 10, 20, 30], [0, 10, 20, 30])
    assert outcome.counts == {"costly": (0, 4)}


def test_every_does_not_skip_a_condition_that_is_known_already(children):
    def scenario():
        return [always(number < 2, "cheap", every=10) for number in range(4)]

    outcome = children.run(scenario)
    assert outcome.value == [True, True, False, False]
    assert outcome.counts == {"cheap": (2, 2)}


REFUSED = {
    "a method": "store.is_ok",
    "a module function": "is_ok",
    "a builtin function": "callable",
    "a class": "Store",
    "a callable object": "Predicate()",
    "a partial": "functools.partial(is_ok)",
    "a coroutine function": "is_ok_soon",
    "a coroutine": "is_ok_soon()",
    "a future": "Future()",
    "a local generator function": "generator()",
    "a lambda that needs arguments": "lambda store: called.append(1)",
    "a lambda that needs a named argument": "lambda *, store: called.append(1)",
}

REFUSAL_SCRIPT = """
    import asyncio, functools, warnings
    from assertlib import always, always_if, always_or_unreachable, sometimes, sometimes_both
    from assertlib import always_some, sometimes_all

    warnings.simplefilter("ignore", RuntimeWarning)
    called = []

    def is_ok():
        called.append(1)
        return True

    async def is_ok_soon():
        called.append(1)
        return True

    class Store:
        def __init__(self):
            pass

        def is_ok(self):
            called.append(1)
            return True

    class Predicate:
        def __call__(self):
            called.append(1)
            return True

    class Future:
        def __await__(self):
            called.append(1)
            yield

    def generator():
        def local():
            called.append(1)
            yield True
        return local

    store = Store()
    print(repr((CALL, called)))
"""


@pytest.mark.parametrize("mode", ["record", "raise"])
@pytest.mark.parametrize("name", CONDITIONED)
@pytest.mark.parametrize("condition", REFUSED.values(), ids=REFUSED)
def test_anything_else_that_could_be_called_is_trouble_and_never_a_pass(
    children, condition, name, mode
):
    script = REFUSAL_SCRIPT.replace("CALL", f"{name}({condition}, 'claim')")
    outcome = children.run(script, env={"ASSERTLIB": mode})
    assert outcome.value == (False, [])
    (trouble,) = outcome.shard.troubles
    assert trouble.message == "claim"
    assert trouble.reason
    assert outcome.shard.trouble_count == 1
    assert outcome.counts.get("claim", (0, 0)) == (0, 0)


@pytest.mark.parametrize(
    "returned", ["is_ok_soon()", "Future()", "store.is_ok", "is_ok", "is_ok_soon"]
)
@pytest.mark.parametrize("name", CONDITIONED)
def test_a_lambda_that_returns_something_to_call_or_await_is_no_pass(children, name, returned):
    script = REFUSAL_SCRIPT.replace("CALL", f"{name}(lambda: {returned}, 'claim')")
    outcome = children.run(script)
    assert outcome.counts.get("claim", (0, 0)) == (0, 0)
    assert outcome.value == (False, [])
    assert outcome.shard.trouble_count == 1


@pytest.mark.parametrize("proposition", ["store.is_ok", "is_ok", "is_ok_soon()", "is_ok_soon"])
@pytest.mark.parametrize("name", ["always_some", "sometimes_all"])
def test_a_proposition_that_could_be_called_or_awaited_is_no_pass(children, name, proposition):
    call = f"{name}({{'proposition': {proposition}}}, 'claim')"
    outcome = children.run(REFUSAL_SCRIPT.replace("CALL", call))
    assert outcome.counts.get("claim", (0, 0)) == (0, 0)
    assert outcome.value == (False, [])
    assert outcome.shard.trouble_count == 1


@pytest.mark.parametrize("name", ["always_some", "sometimes_all"])
def test_a_proposition_that_is_a_false_lambda_is_no_pass(children, name):
    def scenario(name):
        return getattr(assertlib, name)({"proposition": lambda: False}, "claim")

    outcome = children.run(scenario, name)
    assert outcome.value is False
    assert outcome.counts.get("claim", (0, 0))[0] == 0


@pytest.mark.parametrize("condition", ["store.is_ok", "is_ok_soon()", "lambda: 1 / 0"])
def test_trouble_in_sometimes_both_is_neither_seen_true_nor_seen_false(children, condition):
    call = f"sometimes_both({condition}, 'claim')"
    outcome = children.run(REFUSAL_SCRIPT.replace("CALL", call))
    assert all(count == (0, 0) for count in outcome.counts.values())
    assert outcome.shard.trouble_count == 1


@pytest.mark.parametrize("condition", ["store.is_ok", "is_ok_soon()", "lambda: 1 / 0"])
def test_trouble_in_an_antecedent_does_not_put_the_claim_to_the_test(children, condition):
    call = f"always_if({condition}, lambda: called.append(2), 'claim')"
    outcome = children.run(REFUSAL_SCRIPT.replace("CALL", call))
    assert outcome.value[1] == []
    assert all(count == (0, 0) for count in outcome.counts.values())
    assert outcome.shard.trouble_count == 1


@pytest.mark.parametrize("mode", ["record", "raise"])
@pytest.mark.parametrize("name", CONDITIONED)
def test_a_condition_whose_truth_raises_is_trouble(children, name, mode):
    def scenario(name):
        class Torn:
            def __bool__(self):
                raise ValueError("torn page")

        claim = getattr(assertlib, name)
        return [claim(Torn(), "object"), claim(lambda: 1 / 0, "lambda"), claim(Torn, "class")]

    outcome = children.run(scenario, name, env={"ASSERTLIB": mode})
    assert outcome.value == [False, False, False]
    assert [each.message for each in outcome.shard.troubles] == ["object", "lambda", "class"]
    assert "torn page" in outcome.shard.troubles[0].reason
    assert "ZeroDivisionError" in outcome.shard.troubles[1].reason
    assert outcome.counts == {}


def test_trouble_tells_where_and_in_which_trial(children):
    def scenario():
        class Store:
            def check(self):
                always(self.check, "claim")

        with assertlib.trial("test one"):
            Store().check()

    (trouble,) = children.run(scenario).shard.troubles
    assert trouble.trial == "test one"
    assert (trouble.location.class_name, trouble.location.function) == ("Store", "check")
    assert trouble.location.file.endswith("child1.py")


@pytest.mark.parametrize("message", [None, 42, b"bytes", ["list"], {"a": 1}])
@pytest.mark.parametrize(
    "call",
    [
        "always(True, message)",
        "always(False, message)",
        "sometimes(False, message)",
        "reachable(message)",
        "unreachable(message)",
        "always_less_than(1, 2, message)",
        "always_some({'a': True}, message)",
        "always_if(True, lambda: True, message)",
        "sometimes_both(True, message)",
        "sometimes_each('a', message, expected=['a'])",
        "within(1, message).__enter__().__exit__(None, None, None)",
    ],
)
def test_a_message_that_is_no_string_is_trouble_and_makes_no_assertion(children, call, message):
    script = f"""
        from assertlib import *
        message = {message!r}
        {call}
        {call}
        always(True, "another")
    """
    outcome = children.run(script)
    assert outcome.counts == {"another": (1, 0)}
    assert outcome.shard.trouble_count >= 2


# -- points --------------------------------------------------------------------


def test_reachable_passes_where_it_is_reached(children):
    def scenario():
        return [reachable("here", {"n": number}, invariant="a.b") for number in range(3)]

    outcome = children.run(scenario)
    assert outcome.value == [True, True, True]
    assert outcome.counts == {"here": (3, 0)}
    assert outcome.kinds == {"here": "reachable"}
    (hit,) = outcome.shard.hits
    assert (hit.condition, hit.invariant, details_of(hit)) == (True, "a.b", {"n": 0})


def test_unreachable_is_violated_where_it_is_reached(children):
    def scenario():
        return [unreachable("never here", {"n": number}, invariant="a.b") for number in range(3)]

    outcome = children.run(scenario)
    assert outcome.value == [False, False, False]
    assert outcome.counts == {"never here": (0, 3)}
    assert outcome.kinds == {"never here": "unreachable"}
    assert all(hit.is_violation for hit in outcome.shard.hits)
    assert details_of(outcome.shard.hits[0]) == {"n": 0}


# -- comparisons ---------------------------------------------------------------


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_is_returned_counted_and_shown(children, name):
    def scenario(name):
        claim = getattr(assertlib, name)
        return [claim(left, 2, "claim", {"note": "mine"}, invariant="a.b") for left in (1, 2, 3)]

    kind, holds, _ = COMPARISONS[name]
    expected = [holds(left, 2) for left in (1, 2, 3)]
    outcome = children.run(scenario, name)
    assert outcome.value == expected
    assert outcome.counts == {"claim": (sum(expected), 3 - sum(expected))}
    assert outcome.kinds == {"claim": kind}
    hit = outcome.shard.hits[0]
    assert details_of(hit) == {"note": "mine", "left": 1, "right": 2}
    assert hit.invariant == "a.b"


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_tells_how_close_it_came(children, name):
    def scenario(name):
        claim = getattr(assertlib, name)
        for left in (5, 9, 3, 7, 1, 11, 4):
            claim(left, 6, "claim")

    maximize = COMPARISONS[name][2]
    guidance = children.run(scenario, name).shard.guidance["claim"]
    assert guidance["guidance_type"] == "numeric"
    assert guidance["maximize"] is maximize
    assert guidance["guidance_data"] == {"left": 11 if maximize else 1, "right": 6}


def test_the_last_extreme_is_told_however_many_there_were(children):
    def scenario():
        for left in range(777):
            assertlib.always_less_than(left, 1000, "room is left")

    shard = children.run(scenario).shard
    assert shard.guidance["room is left"]["guidance_data"] == {"left": 776, "right": 1000}


@pytest.mark.parametrize("mode", ["record", "raise"])
def test_operands_that_cannot_be_compared_are_trouble(children, mode):
    def scenario():
        return [
            assertlib.always_greater_than("a", 1, "texts and numbers"),
            assertlib.sometimes_less_than(None, 1, "nothing and numbers"),
        ]

    outcome = children.run(scenario, env={"ASSERTLIB": mode})
    assert outcome.value == [False, False]
    assert outcome.counts == {}
    assert outcome.shard.trouble_count == 2


def test_operands_without_a_difference_count_without_guidance(children):
    def scenario():
        return assertlib.always_less_than("a", "b", "words in order")

    outcome = children.run(scenario)
    assert outcome.counts == {"words in order": (1, 0)}
    assert outcome.shard.guidance == {}
    assert outcome.shard.trouble_count == 0


def test_operands_that_are_not_finite_count_without_guidance(children):
    def scenario():
        inf, nan = float("inf"), float("nan")
        return [
            assertlib.always_less_than(1, inf, "below infinity"),
            assertlib.always_less_than(nan, 1, "not a number"),
        ]

    outcome = children.run(scenario)
    assert outcome.value == [True, False]
    assert outcome.counts == {"below infinity": (1, 0), "not a number": (0, 1)}
    assert outcome.shard.guidance == {}


# -- named propositions --------------------------------------------------------


@pytest.mark.parametrize(("name", "together"), [("always_some", any), ("sometimes_all", all)])
def test_named_propositions_are_combined_counted_and_shown(children, name, together):
    def scenario(name):
        claim = getattr(assertlib, name)
        return [
            claim({"a": a, "b": b}, "claim", {"note": "mine"}, invariant="i.j")
            for a, b in [(True, True), (True, False), (False, False)]
        ]

    expected = [together(pair) for pair in [(True, True), (True, False), (False, False)]]
    outcome = children.run(scenario, name)
    assert outcome.value == expected
    assert outcome.counts == {"claim": (sum(expected), 3 - sum(expected))}
    assert outcome.kinds == {"claim": name.split("_")[0]}
    assert details_of(outcome.shard.hits[0]) == {"note": "mine", "a": True, "b": True}
    assert outcome.shard.hits[0].invariant == "i.j"


def test_named_propositions_tell_how_many_held_at_once(children):
    def scenario():
        for number in range(4):
            sometimes_all({str(n): n < number for n in range(3)}, "all at once")
            always_some({str(n): n < 3 - number for n in range(3)}, "one at least")

    guidance = children.run(scenario).shard.guidance
    assert guidance["all at once"]["guidance_type"] == "boolean"
    assert guidance["all at once"]["maximize"] is True
    assert guidance["all at once"]["guidance_data"] == {"0": True, "1": True, "2": True}
    assert guidance["one at least"]["maximize"] is False
    assert guidance["one at least"]["guidance_data"] == {"0": False, "1": False, "2": False}


def test_no_propositions_mean_what_any_and_all_mean(children):
    def scenario():
        return [always_some({}, "some of none"), sometimes_all({}, "all of none")]

    outcome = children.run(scenario)
    assert outcome.value == [False, True]
    assert outcome.counts == {"some of none": (0, 1), "all of none": (1, 0)}


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
    assert outcome.shard.trouble_count == 0


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
    assert outcome.shard.trouble_count == 1


def test_the_site_of_within_is_its_with_statement(children):
    def scenario():
        with within(3600, "soon"):
            pass

    outcome = children.run(scenario)
    line = outcome.shard.hits[0].location.begin_line
    source = (outcome.run_dir.parent / "child1.py").read_text().splitlines()
    assert "with within" in source[line - 1]


# -- details -------------------------------------------------------------------


def test_details_are_evaluated_only_when_a_record_is_written(children):
    def scenario():
        evaluated = []
        for number in range(1000):
            note = lambda number=number: evaluated.append(number) or {"n": number}  # noqa: E731
            always(True, "true", note)
            always(number < 0, "false", note)
            sometimes(False, "not yet", note)
            reachable("here", note)
            assertlib.always_less_than(1, 2, "less", note)
            sometimes_all({"a": False}, "all", note)
            always_if(False, lambda: True, "if", note)
        return len(evaluated)

    outcome = children.run(scenario)
    assert outcome.value == len(outcome.shard.hits)
    assert outcome.value < 200


def test_details_may_be_a_mapping_of_any_kind(children):
    def scenario():
        import collections
        import types

        always(True, "chain", collections.ChainMap({"a": 1}, {"b": 2}))
        always(True, "proxy", types.MappingProxyType({"a": {"b": [1, None, "x"]}}))

    chain, proxy = children.run(scenario).shard.hits
    assert details_of(chain) == {"a": 1, "b": 2}
    assert details_of(proxy) == {"a": {"b": [1, None, "x"]}}


# -- invariants and bound assertions -------------------------------------------


CALLS = {
    "always": "(True, 'm', {'n': 1})",
    "always_or_unreachable": "(True, 'm', {'n': 1})",
    "sometimes": "(True, 'm', {'n': 1})",
    "reachable": "('m', {'n': 1})",
    "unreachable": "('m', {'n': 1})",
    **dict.fromkeys(COMPARISONS, "(1, 2, 'm', {'n': 1})"),
    "always_some": "({'a': True}, 'm', {'n': 1})",
    "sometimes_all": "({'a': True}, 'm', {'n': 1})",
    "always_if": "(True, lambda: True, 'm', {'n': 1})",
    "sometimes_both": "(True, 'm', {'n': 1})",
    "sometimes_each": "('a', 'm', {'n': 1}, expected=('a', 'b'))",
    "within": "(3600, 'm', {'n': 1}).__enter__().__exit__(None, None, None)",
}


@pytest.mark.parametrize("name", CALLS)
def test_an_invariant_has_each_primitive_and_gives_it_its_id(children, name):
    script = "from assertlib import *\nprint(repr({}{}))"
    plain = children.run(script.format(name, CALLS[name]))
    plain_shard = plain.shard
    children.run_dir = children.directory / "by invariant"
    ours = children.run(script.format(f"Invariant('area.name').{name}", CALLS[name]))
    assert ours.out == plain.out
    assert ours.counts == plain.counts
    assert ours.kinds == plain.kinds
    assert ours.shard.hits
    assert {hit.invariant for hit in ours.shard.hits} == {"area.name"}
    assert {hit.invariant for hit in plain_shard.hits} == {None}


@pytest.mark.parametrize("name", CALLS)
def test_a_method_of_an_invariant_takes_what_the_primitive_takes(name):
    plain = list(inspect.signature(getattr(assertlib, name)).parameters.values())
    bound = list(inspect.signature(getattr(Invariant("a.b"), name)).parameters.values())
    assert [(each.name, each.kind, each.default) for each in bound] == [
        (each.name, each.kind, each.default) for each in plain if each.name != "invariant"
    ]


def test_every_primitive_is_covered_here():
    public = set(assertlib.__all__) - {"Invariant", "InvariantViolation", "__version__"}
    assert public - {"configure", "lifecycle", "mode", "trial", "wrapper"} == set(CALLS)


@pytest.mark.parametrize("kind", CONDITIONED)
def test_a_bound_assertion_counts_like_an_ordinary_one(children, kind):
    def scenario(kind):
        bound = getattr(Invariant("area.name"), f"declare_{kind}")("claim")
        conditions = [True, True, False, True, lambda: 0, lambda: 1, [], 1]
        return [bound(condition, {"n": 1}) for condition in conditions]

    outcome = children.run(scenario, kind)
    assert outcome.value == [True, True, False, True, False, True, False, True]
    assert outcome.counts == {"claim": (5, 3)}
    assert outcome.kinds == {"claim": kind}
    assert {hit.invariant for hit in outcome.shard.hits} == {"area.name"}
    assert {hit.details for hit in outcome.shard.hits} == {'{"n": 1}'}


def test_a_bound_point_counts_like_an_ordinary_one(children):
    def scenario():
        name = Invariant("area.name")
        here, never = name.declare_reachable("here"), name.declare_unreachable("never here")
        return [here(), here({"n": 1}), never({"n": 2})]

    outcome = children.run(scenario)
    assert outcome.value == [True, True, False]
    assert outcome.counts == {"here": (2, 0), "never here": (0, 1)}
    assert outcome.kinds == {"here": "reachable", "never here": "unreachable"}
    assert details_of(outcome.shard.hits[1]) == {"n": 2}


def test_a_bound_assertion_is_declared_where_it_is_bound_and_hit_where_it_is_called(children):
    def scenario():
        bound = Invariant("area.name").declare_always("claim")
        never = Invariant("area.name").declare_sometimes("never called")  # noqa: F841

        def caller():
            bound(True)

        caller()

    shard = children.run(scenario).shard
    assert shard.hits[0].location.function == "caller"
    declared = {slot.message: slot for slot in shard.slots}
    assert declared["never called"].location.function == "scenario"
    assert declared["never called"].invariant == "area.name"


def test_a_bound_assertion_refuses_what_an_ordinary_one_refuses(children):
    def scenario():
        bound = Invariant("area.name").declare_always("claim")
        bound(True)
        return bound(bound)

    outcome = children.run(scenario)
    assert outcome.value is False
    assert outcome.counts == {"claim": (1, 0)}
    assert outcome.shard.trouble_count == 1


def test_a_bound_assertion_writes_to_where_the_process_is_configured_to_write(children):
    def scenario():
        import os

        bound = Invariant("area.name").declare_always("claim")
        for _ in range(3):
            bound(True)
        assertlib.configure(run_dir=os.environ["ASSERTLIB_RUN_DIR"] + "2")
        for _ in range(5):
            bound(True)

    first = children.run(scenario).counts
    children.run_dir = children.directory / "run2"
    second = {slot.message: shard.true for shard in children.shards for slot in shard.slots}
    assert first == {"claim": (3, 0)}
    assert second == {"claim": [5]}


def test_an_invariant_shows_its_id():
    assert repr(Invariant("wal.fsync-before-ack")) == "<Invariant wal.fsync-before-ack>"


# -- sites ---------------------------------------------------------------------


SITES = """
    from assertlib import *

    class Store:
        def put(self):
            always(True, "in a method")

    def function():
        always(True, "in a function")

    @wrapper
    def check(condition, message):
        return always(condition, message)

    @wrapper
    def check_again(condition, message):
        return check(condition, message)

    class User:
        def use(self):
            check(False, "through a wrapper")

        def use_again(self):
            check_again(True, "through two wrappers")

    Store().put()
    function()
    User().use()
    User().use_again()
    always(True, "in a module")
"""


@pytest.mark.parametrize(
    ("message", "class_name", "function"),
    [
        ("in a method", "Store", "put"),
        ("in a function", "", "function"),
        ("in a module", "", "<module>"),
        ("through a wrapper", "User", "use"),
        ("through two wrappers", "User", "use_again"),
    ],
)
def test_a_record_tells_file_class_function_and_line(children, message, class_name, function):
    outcome = children.run(SITES)
    (hit,) = [hit for hit in outcome.shard.hits if hit.message == message]
    source = (outcome.run_dir.parent / "child1.py").read_text().splitlines()
    assert hit.location.file == "child1.py"
    assert (hit.location.class_name, hit.location.function) == (class_name, function)
    assert message in source[hit.location.begin_line - 1]


def test_a_wrapper_keeps_the_name_and_the_result_of_its_function():
    @wrapper
    def check(number):
        return number + 1

    assert check.__name__ == "check"
    assert check(1) == 2


def test_the_root_of_the_project_is_left_out_of_file_names(children):
    def scenario():
        always(True, "claim")

    elsewhere = children.directory / "elsewhere"
    elsewhere.mkdir()
    inside = children.run(scenario, env={"ASSERTLIB_ROOT": str(children.directory)}, cwd=elsewhere)
    assert inside.shard.hits[0].location.file == "child1.py"
