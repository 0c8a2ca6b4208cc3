"""
Invariants, bound assertions, and where assertions stand.
"""

import inspect
import json

import pytest

import assertlib
from assertlib import (
    Invariant,
    always,
    wrapper,
)
from assertlib.forms import RICH

CONDITIONED = ["always", "always_or_unreachable", "sometimes"]

COMPARISONS = [form.name for form in RICH if form.shape == "comparison"]


def details_of(hit):
    return json.loads(hit.details)


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
    "eventually": "(lambda: True, 'm', {'n': 1}, after_faults_stop=3600)",
    "within": "(3600, 'm', {'n': 1}).__enter__().__exit__(None, None, None)",
}


@pytest.mark.parametrize("name", CALLS)
def test_an_invariant_has_each_primitive_and_gives_it_its_id(children, name):
    script = (
        "import asyncio\nfrom assertlib import *\ngiven = {}{}\n"
        "print(repr(asyncio.run(given) if asyncio.iscoroutine(given) else given))"
    )
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
    assert outcome.shard.error_count == 1


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
