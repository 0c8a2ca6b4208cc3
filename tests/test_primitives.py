"""
Plain assertions: what they return, count, record and refuse.
"""

import json

import pytest

import assertlib
from assertlib import (
    always,
    always_if,
    reachable,
    sometimes,
    sometimes_all,
    unreachable,
)

CONDITIONED = ["always", "always_or_unreachable", "sometimes"]


def details_of(hit):
    return json.loads(hit.details)


# -- conditions that are called ----------------------------------------------------------


@pytest.mark.parametrize("outcome", ["1 / 0", "len", "[]"])
def test_a_called_condition_leaves_no_reference_behind(children, outcome):
    outcome = children.run(f"""
        import gc, weakref
        from assertlib import always

        class Entry:
            pass

        def put():
            entry = Entry()
            always(lambda: {outcome}, "put")
            return weakref.ref(entry)

        always(True, "put")
        gc.disable()
        print([put()() for _ in range(3)])
        """)
    assert outcome.out == "[None, None, None]\n"


def test_a_time_limit_that_ends_a_condition_reaches_the_store(children):
    # The power has no bytecode after it that could call the handler before the condition returns.
    outcome = children.run("""
        import signal
        from assertlib import always

        def expired(number, frame):
            raise TimeoutError("too late")

        signal.signal(signal.SIGALRM, expired)
        always(True, "slow")
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        calls = []
        try:
            always(lambda: calls.append(1) or 7 ** 2_000_000 % 10, "slow")
        except TimeoutError as error:
            print(error, len(calls))
        """)
    assert outcome.out == "too late 1\n"


def test_with_recording_off_a_false_hit_takes_the_slow_path_once(children):
    outcome = children.run("""
        import assertlib
        from assertlib.recording.recorder import recorder

        assertlib.configure(mode="off")
        seen, ignore = [], recorder.ignore
        recorder.ignore = lambda *args: (seen.append(args), ignore(*args))
        for _ in range(100):
            assertlib.sometimes(False, "rare")
        print(len(seen))
        """)
    assert outcome.out == "1\n"


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
    assert outcome.shard.error_count == 0


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


@pytest.mark.parametrize("every", ["nan", "inf", "-1", "0", "False", "2.5", "'3'", "None", "[]"])
def test_an_interval_that_is_none_is_reported_and_skips_no_condition(children, every):
    script = f"""
        from math import inf, nan
        from assertlib import always
        evaluated = []
        for number in range(5):
            always(lambda: evaluated.append(number) or number < 4, "sampled", every={every})
        print(len(evaluated))
    """
    outcome = children.run(script)
    assert outcome.value == 5
    assert outcome.counts["sampled"] == (4, 1)
    (shard,) = outcome.shards
    assert shard.error_count == 5
    assert "positive integer" in shard.troubles[0].reason


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
    assert outcome.shard.error_count == 1
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
    assert outcome.shard.error_count == 1


@pytest.mark.parametrize("proposition", ["store.is_ok", "is_ok", "is_ok_soon()", "is_ok_soon"])
@pytest.mark.parametrize("name", ["always_some", "sometimes_all"])
def test_a_proposition_that_could_be_called_or_awaited_is_no_pass(children, name, proposition):
    call = f"{name}({{'proposition': {proposition}}}, 'claim')"
    outcome = children.run(REFUSAL_SCRIPT.replace("CALL", call))
    assert outcome.counts.get("claim", (0, 0)) == (0, 0)
    assert outcome.value == (False, [])
    assert outcome.shard.error_count == 1


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
    assert outcome.shard.error_count == 1


@pytest.mark.parametrize("condition", ["store.is_ok", "is_ok_soon()", "lambda: 1 / 0"])
def test_trouble_in_an_antecedent_does_not_put_the_claim_to_the_test(children, condition):
    call = f"always_if({condition}, lambda: called.append(2), 'claim')"
    outcome = children.run(REFUSAL_SCRIPT.replace("CALL", call))
    assert outcome.value[1] == []
    assert all(count == (0, 0) for count in outcome.counts.values())
    assert outcome.shard.error_count == 1


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
    assert outcome.shard.error_count >= 2


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


def test_details_without_json_are_shown_as_what_was_computed_not_as_the_function(children):
    left = children.run(
        """
        from assertlib import always

        class Thing:
            def __repr__(self):
                return "a thing"

        always(False, "it holds", lambda: {"thing": Thing()})
        """
    )
    (hit,) = [hit for shard in left.shards for hit in shard.hits]
    assert hit.details == "{'thing': a thing}"
