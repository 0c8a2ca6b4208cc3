"""
How a process says that it records: modes, run directories, sinks, features, events.
"""

import json
import pickle

import pytest

import assertlib
from assertlib import (
    InvariantViolation,
    always,
    always_if,
    configure,
    lifecycle,
    reachable,
    sometimes,
    trial,
    unreachable,
)

from .support import features_of

ALL_CALLS = [
    "always(False, 'm')",
    "always(True, 'm')",
    "always([], 'm')",
    "always(lambda: called.append(1), 'm')",
    "always(Store().is_ok, 'm')",
    "always(True, None)",
    "always_or_unreachable(lambda: called.append(1), 'm')",
    "sometimes(lambda: called.append(1), 'm')",
    "sometimes(False, 'm')",
    "reachable('m', lambda: called.append(1))",
    "unreachable('m', lambda: called.append(1))",
    "always_greater_than(1, 2, 'm', lambda: called.append(1))",
    "always_greater_than('a', 2, 'm')",
    "sometimes_less_than(3, 2, 'm')",
    "always_some({'a': False}, 'm', lambda: called.append(1))",
    "sometimes_all(None, 'm')",
    "always_if(lambda: called.append(1), lambda: called.append(1), 'm')",
    "always_if(True, lambda: called.append(1), 'm')",
    "always_if(True, True, 'm')",
    "sometimes_both(lambda: called.append(1), 'm')",
    "sometimes_each('a', 'm', expected=('a',))",
    "sometimes_each('b', 'm', expected=None)",
    "within(0, 'm', lambda: called.append(1)).__enter__().__exit__(None, None, None)",
    "Invariant('a.b').always(lambda: called.append(1), 'm')",
    "Invariant('a.b').declare_always('m')(lambda: called.append(1))",
    "Invariant('a.b').declare_reachable('m')()",
    "lifecycle.send_event('e', {'a': 1})",
    "lifecycle.setup_complete({'a': 1})",
    "lifecycle.faults(['kill'])",
    "trial('t').__enter__()",
]


# -- modes -----------------------------------------------------------------------


def test_a_process_records_unless_it_is_told_otherwise(children):
    def scenario():
        always(False, "claim")
        return assertlib.mode()

    outcome = children.run(scenario)
    assert outcome.value == "record"
    assert outcome.counts == {"claim": (0, 1)}


@pytest.mark.parametrize("mode", ["record", "raise", "off"])
def test_the_environment_sets_the_mode(children, mode):
    def scenario():
        return assertlib.mode()

    assert children.run(scenario, env={"ASSERTLIB": mode}).value == mode


@pytest.mark.parametrize("mode", ["record", "raise", "off"])
def test_configure_sets_the_mode_over_the_environment(children, mode):
    def scenario(mode):
        configure(mode=mode)
        return assertlib.mode()

    assert children.run(scenario, mode, env={"ASSERTLIB": "record"}).value == mode


def test_a_mode_that_does_not_exist_is_refused_by_configure(children):
    def scenario():
        try:
            configure(mode="loud")
        except ValueError as error:
            return str(error), assertlib.mode()

    text, mode = children.run(scenario).value
    assert "loud" in text
    assert all(word in text for word in ("record", "raise", "off"))
    assert mode == "record"


def test_a_mode_that_does_not_exist_in_the_environment_records_and_warns(children):
    def scenario():
        always(False, "claim")
        return assertlib.mode()

    outcome = children.run(scenario, env={"ASSERTLIB": "loud"})
    assert outcome.value == "record"
    assert outcome.counts == {"claim": (0, 1)}
    assert "loud" in outcome.err
    assert all(word in outcome.err for word in ("record", "raise", "off"))


@pytest.mark.parametrize(
    "call",
    [
        "always(False, 'm')",
        "always_or_unreachable([], 'm')",
        "unreachable('m')",
        "always_less_than(2, 1, 'm')",
        "always_some({'a': False}, 'm')",
        "always_if(True, lambda: False, 'm')",
        "Invariant('a.b').always(False, 'm')",
        "Invariant('a.b').declare_always('m')(False)",
        "Invariant('a.b').declare_unreachable('m')()",
    ],
)
def test_a_violation_raises_after_it_was_recorded(children, call):
    script = f"""
        from assertlib import *
        for _ in range(50):
            try:
                {call}
            except InvariantViolation as violation:
                assert isinstance(violation, AssertionError)
                print(violation.message)
    """
    outcome = children.run(script, env={"ASSERTLIB": "raise"})
    assert outcome.out.split() == ["m"] * 50
    assert outcome.counts["m"] == (0, 50)
    assert [hit.message for hit in outcome.shard.hits if hit.is_violation] == ["m"] * 50


def test_a_violation_that_ends_the_process_is_recorded(children):
    def scenario():
        number = 41
        always(number > 42, "claim")

    outcome = children.run(scenario, env={"ASSERTLIB": "raise"}, code=1)
    assert outcome.counts == {"claim": (0, 1)}
    assert "InvariantViolation" in outcome.err
    assert "number > 42" in outcome.err
    assert "number = 41" in outcome.err


@pytest.mark.parametrize("mode", ["record", "raise"])
def test_a_violation_that_the_store_swallows_is_recorded(children, mode):
    def scenario():
        import contextlib
        import threading

        def background():
            with contextlib.suppress(Exception):
                always(False, "claim")

        thread = threading.Thread(target=background)
        thread.start()
        thread.join()

    assert children.run(scenario, env={"ASSERTLIB": mode}).counts == {"claim": (0, 1)}


def test_what_is_no_violation_does_not_raise(children):
    def scenario():
        sometimes(False, "not yet")
        always_if(False, lambda: False, "vacuous")
        always(True, "holds")
        reachable("here")
        return True

    assert children.run(scenario, env={"ASSERTLIB": "raise"}).value is True


def test_a_violation_travels_between_processes(children):
    def scenario():
        import pickle

        try:
            always(1 > 2, "claim", invariant="a.b")
        except InvariantViolation as violation:
            return pickle.dumps(violation), str(violation)

    data, text = children.run(scenario, env={"ASSERTLIB": "raise"}).value
    violation = pickle.loads(data)
    assert isinstance(violation, InvariantViolation)
    assert (violation.message, violation.invariant, str(violation)) == ("claim", "a.b", text)


@pytest.mark.parametrize("how", ["environment", "configure"])
@pytest.mark.parametrize("call", ALL_CALLS)
def test_mode_off_records_nothing_raises_nothing_and_calls_nothing(children, call, how):
    script = f"""
        from assertlib import *
        called = []

        class Store:
            def is_ok(self):
                called.append(1)

        if {how == "configure"}:
            configure(mode="off")
        for _ in range(3):
            {call}
        print(repr(called))
    """
    outcome = children.run(script, env={"ASSERTLIB": "off"} if how == "environment" else None)
    assert outcome.value == []
    assert outcome.shards == []
    assert outcome.err == ""


def test_mode_off_still_returns_what_is_known_of_a_condition(children):
    def scenario():
        return [
            always(True, "a"),
            always(False, "b"),
            sometimes([], "c"),
            reachable("d"),
            unreachable("e"),
            assertlib.always_less_than(2, 1, "f"),
        ]

    outcome = children.run(scenario, env={"ASSERTLIB": "off"})
    assert outcome.value == [True, False, False, True, False, False]


def test_recording_can_be_switched_off_and_on_again(children):
    def scenario():
        for mode, hits in [("record", 3), ("off", 100), ("record", 4), ("off", 100)]:
            configure(mode=mode)
            for number in range(hits):
                always(True, "holds")
                always(number < 0, "fails")
                sometimes(False, "not yet")

    counts = children.run(scenario).counts
    assert counts == {"holds": (7, 0), "fails": (0, 7), "not yet": (0, 7)}


@pytest.mark.parametrize("outcome", [True, False])
def test_a_hit_that_is_evaluated_while_recording_is_switched_on_hides_no_later_one(
    children, outcome
):
    def scenario(outcome):
        import threading

        asked, switched = threading.Event(), threading.Event()

        class Slow:
            def __bool__(self):
                asked.set()
                switched.wait()
                return outcome

        configure(mode="off")
        thread = threading.Thread(target=always, args=(Slow(), "claim"))
        thread.start()
        asked.wait()
        configure(mode="record")
        switched.set()
        thread.join()
        for _ in range(9):
            always(outcome, "claim")
            always(lambda: outcome, "claim")

    assert sum(children.run(scenario, outcome).counts.get("claim", (0, 0))) >= 18


def test_a_bound_assertion_follows_the_mode(children):
    def scenario():
        bound = assertlib.Invariant("a.b").declare_always("claim")
        for mode in ("record", "off", "record"):
            configure(mode=mode)
            for _ in range(3):
                bound(True)

    assert children.run(scenario).counts == {"claim": (6, 0)}


# -- run directories -------------------------------------------------------------


def test_without_a_run_directory_nothing_is_written(children):
    def scenario():
        always(True, "claim")
        with trial("one"):
            always(False, "claim")
        lifecycle.send_event("event")

    outcome = children.run(scenario, env={"ASSERTLIB_RUN_DIR": ""})
    assert sorted(path.name for path in children.directory.iterdir()) == ["child1.py"]
    assert outcome.value is None


def test_a_run_directory_is_made_when_something_is_recorded(children):
    children.run_dir = children.directory / "not" / "there" / "yet"
    assert children.run("import assertlib").shards == []
    assert not children.run_dir.exists()
    assert children.run("import assertlib; assertlib.reachable('m')").counts == {"m": (1, 0)}


def test_configure_moves_the_recording_and_counts_from_zero(children):
    def scenario(second):
        for _ in range(3):
            always(True, "claim")
        configure(run_dir=second)
        for _ in range(5):
            always(True, "claim")

    second = children.directory / "second"
    first = children.run(scenario, str(second))
    assert first.counts == {"claim": (3, 0)}
    assert first.shard.exited
    children.run_dir = second
    assert [shard.true for shard in children.shards] == [[5]]


def test_children_inherit_the_run_directory_that_was_configured(children):
    def scenario(second):
        import pathlib
        import subprocess
        import sys

        configure(run_dir=pathlib.Path(second))
        script = "import assertlib; assertlib.reachable('in the child')"
        subprocess.run([sys.executable, "-c", script], check=True)

    second = children.directory / "second"
    children.run(scenario, str(second), env={"ASSERTLIB_RUN_DIR": ""})
    children.run_dir = second
    assert [slot.message for shard in children.shards for slot in shard.slots] == ["in the child"]


def test_a_relative_run_directory_stays_where_the_process_was_started(children):
    def scenario():
        import os

        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        reachable("after chdir")

    outcome = children.run(scenario, env={"ASSERTLIB_RUN_DIR": "run"})
    assert outcome.counts == {"after chdir": (1, 0)}


# -- sinks -----------------------------------------------------------------------


def test_a_sink_is_told_of_violations_and_first_true_hits(children):
    def scenario():
        class Sink:
            def handle(self, hit):
                told.append((hit.message, hit.condition))

        told = []
        configure(sinks=[Sink()])
        for number in range(3):
            always(number < 1, "claim")
            sometimes(number == 1, "one")
        return told

    told = children.run(scenario).value
    assert told[0] == ("claim", True)
    assert ("claim", False) in told
    assert told.count(("one", True)) == 1
    assert ("one", False) not in told


def test_violations_are_logged_unless_sinks_are_named(children):
    def scenario():
        number = 7
        always(number < 0, "claim", {"note": "mine"}, invariant="a.b")

    logged = children.run(scenario).err
    assert "claim" in logged
    assert "number < 0" in logged
    assert "number = 7" in logged
    assert "a.b" in logged
    assert children.run(scenario, env={"ASSERTLIB_SINKS": ""}).err == ""


def test_a_sink_that_does_not_exist_is_told_once_and_does_no_harm(children):
    def scenario():
        return [always(False, f"claim {number}") for number in range(5)]

    outcome = children.run(scenario, env={"ASSERTLIB_SINKS": "nowhere"})
    assert outcome.err.count("nowhere") in (1, 2)
    # A typing error makes no violation silent.
    assert outcome.err.count("assertlib.violation") == 5
    assert len(outcome.err.splitlines()) == 6
    assert set(outcome.counts.values()) == {(0, 1)}
    assert outcome.shard.error_count == 0


# -- features --------------------------------------------------------------------


def test_features_come_from_the_environment_and_from_configure(children):
    def scenario():
        import os

        reachable("early")
        configure(features={"auth": True})
        return os.environ["ASSERTLIB_FEATURES"]

    outcome = children.run(scenario, env={"ASSERTLIB_FEATURES": "watch=on,auth=off,lease"})
    assert outcome.value == "auth=on,lease=on,watch=on"
    shard = outcome.shard
    assert features_of(shard) == {"watch": True, "auth": True, "lease": True}


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false", "no"])
def test_a_feature_can_be_off_in_several_words(children, word):
    def scenario():
        reachable("here")

    outcome = children.run(scenario, env={"ASSERTLIB_FEATURES": f"watch={word}"})
    assert features_of(outcome.shard) == {"watch": False}


def test_features_declared_in_a_trial_belong_to_it(children):
    def scenario():
        reachable("early")
        with trial("one"):
            configure(features={"watch": False})
            reachable("late")

    assert children.run(scenario).shard.features["one"] == {"watch": False}


# -- events ----------------------------------------------------------------------


def records_of(outcome, key):
    return [json.loads(line)[key] for line in outcome.lines if line.startswith(f'{{"{key}"')]


def test_setup_complete_and_events_are_written_in_the_words_of_antithesis(children):
    def scenario():
        lifecycle.setup_complete({"nodes": 3})
        lifecycle.send_event("leader elected", {"term": 3})
        lifecycle.send_event("done")

    outcome = children.run(scenario)
    assert records_of(outcome, "antithesis_setup") == [
        {"status": "complete", "details": {"nodes": 3}}
    ]
    assert records_of(outcome, "leader elected") == [{"term": 3}]
    assert records_of(outcome, "done") == [{}]


def test_setup_complete_needs_no_details(children):
    def scenario():
        lifecycle.setup_complete()

    assert records_of(children.run(scenario), "antithesis_setup") == [{"status": "complete"}]


@pytest.mark.parametrize("name", ["assertlib_hit", "assertlib_trial", "antithesis_assert"])
def test_an_event_cannot_pass_for_a_record_of_ours(children, name):
    def scenario(name):
        lifecycle.send_event(name, {"a": 1})
        reachable("here")

    outcome = children.run(scenario, name)
    assert outcome.counts == {"here": (1, 0)}
    assert records_of(outcome, f"event {name}") == [{"a": 1}]


@pytest.mark.parametrize("name", [None, 5, b"bytes", ("a",)])
def test_an_event_whose_name_is_no_string_does_not_raise(children, name):
    def scenario(name):
        lifecycle.send_event(name, {"a": 1})
        reachable("here")

    assert children.run(scenario, name).counts == {"here": (1, 0)}


def test_an_event_with_any_details_does_not_raise(children):
    def scenario():
        for number, details in enumerate([object(), {b"a": 1}, {"a": {1}}, [1], 5, "text"]):
            lifecycle.send_event(f"event {number}", details)
            lifecycle.setup_complete(details)
        reachable("here")

    outcome = children.run(scenario)
    assert outcome.counts == {"here": (1, 0)}
    assert records_of(outcome, "event 0") == [{}]
    assert records_of(outcome, "event 4") == [{"value": 5}]
