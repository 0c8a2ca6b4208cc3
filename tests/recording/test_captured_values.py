"""
What a false condition looked like: its source and values, without touching the store.
"""

import pytest

from assertlib import (
    Invariant,
    always,
    always_if,
    always_less_than,
    always_some,
    sometimes,
    wrapper,
)


def captured(outcome, message="claim"):
    """Source and values of the first false hit."""
    hit = next(h for h in outcome.shard.hits if h.message == message and not h.condition)
    return hit.source, hit.values


def test_the_condition_and_the_values_of_its_names_are_recorded(children):
    def scenario():
        acked, synced, unrelated = 1042, 1040, "secret"  # noqa: F841
        always(acked <= synced, "claim")

    source, values = captured(children.run(scenario))
    assert source == "acked <= synced"
    assert values == {"acked": "1042", "synced": "1040"}


def test_the_exception_shows_condition_values_details_invariant_and_trial(children):
    def scenario():
        import assertlib

        acked, synced = 1042, 1040
        with assertlib.trial("one", seed=77):
            always(acked <= synced, "ack follows fsync", {"op": "put"}, invariant="wal.fsync")

    outcome = children.run(scenario, code=1, env={"ASSERTLIB": "raise"})
    for part in ("ack follows fsync", "acked <= synced", "1042", "1040", "put", "wal.fsync", "77"):
        assert part in outcome.err


def test_values_are_those_of_the_moment_of_the_hit(children):
    def scenario():
        items = [1]
        always(items == [], "claim")
        items.append(2)

    assert captured(children.run(scenario))[1] == {"items": "[1]"}


def test_attributes_slots_and_constant_items_are_shown(children):
    def scenario():
        class Plain:
            def __init__(self):
                self.rev = 7
                self.inner = {"key": [1, 2]}

        class Slotted:
            __slots__ = ("rev",)

            def __init__(self):
                self.rev = 5

        plain, slotted, rows = Plain(), Slotted(), [(3, 4)]
        always(plain.rev < slotted.rev, "claim")
        always(plain.inner["key"][1] < rows[0][1] < 3, "items")

    outcome = children.run(scenario)
    assert captured(outcome) == ("plain.rev < slotted.rev", {"plain.rev": "7", "slotted.rev": "5"})
    assert captured(outcome, "items")[1] == {'plain.inner["key"][1]': "2", "rows[0][1]": "4"}


def test_a_name_bound_inside_the_condition_is_not_taken_for_one_outside(children):
    def scenario():
        each, limit = "outside", 1
        always(all(each > limit for each in (0, 2)), "claim")
        return each

    assert captured(children.run(scenario))[1] == {"each in (0, 2)": "0", "limit": "1"}


def test_globals_and_names_of_the_function_around_are_shown(children):
    script = """
        from assertlib import always
        LIMIT = 10

        def outer(size):
            def inner():
                always(size < LIMIT, "claim")
            inner()

        outer(11)
    """
    assert captured(children.run(script))[1] == {"size": "11", "LIMIT": "10"}


def test_a_lambda_is_shown_by_what_it_returns(children):
    def scenario():
        number = 3
        always(lambda: number > 5, "claim")

    assert captured(children.run(scenario)) == ("number > 5", {"number": "3"})


def test_a_condition_over_several_lines_is_shown_in_full(children):
    def scenario():
        first, second = 1, 2
        always(
            first == second,
            "claim",
        )

    assert captured(children.run(scenario)) == ("first == second", {"first": "1", "second": "2"})


def test_a_condition_after_letters_of_several_bytes_is_cut_out_rightly(children):
    def scenario():
        number = 3
        return ["äöü 🎉", always(number > 5, "claim")]

    assert captured(children.run(scenario)) == ("number > 5", {"number": "3"})


def test_both_sides_of_a_comparison_are_shown(children):
    def scenario():
        left, right = 5, 3
        always_less_than(left, right, "claim")

    source, values = captured(children.run(scenario))
    assert source == "left < right"
    assert values == {"left": "5", "right": "3"}


def test_the_consequent_of_an_always_if_is_shown(children):
    def scenario():
        leader, term = True, 3
        always_if(leader, lambda: term > 5, "claim")

    source, values = captured(children.run(scenario))
    assert "term > 5" in source
    assert values["term"] == "3"


def test_named_propositions_are_shown(children):
    def scenario():
        quorum = 1
        always_some({"quorum": quorum > 1}, "claim")

    source, values = captured(children.run(scenario))
    assert "quorum > 1" in source
    assert values == {"quorum": "1"}


def test_named_arguments_are_understood(children):
    def scenario():
        number = 3
        always(message="claim", condition=number > 5)

    assert captured(children.run(scenario)) == ("number > 5", {"number": "3"})


def test_a_bound_assertion_shows_its_condition(children):
    def scenario():
        bound = Invariant("a.b").declare_always("claim")
        number = 3
        bound(number > 5)

    assert captured(children.run(scenario)) == ("number > 5", {"number": "3"})


def test_a_method_of_an_invariant_shows_its_condition(children):
    def scenario():
        number = 3
        Invariant("a.b").always(number > 5, "claim")

    assert captured(children.run(scenario)) == ("number > 5", {"number": "3"})


def test_a_wrapper_shows_the_condition_of_its_caller(children):
    def scenario():
        @wrapper
        def check(condition, message):
            return always(condition, message)

        number = 3
        check(number > 5, "claim")

    assert captured(children.run(scenario)) == ("number > 5", {"number": "3"})


def test_several_assertions_in_one_line_are_told_apart(children):
    def scenario():
        a, b = 1, 2
        return always(a > 5, "first"), always(b > 6, "second")

    outcome = children.run(scenario)
    assert captured(outcome, "first") == ("a > 5", {"a": "1"})
    assert captured(outcome, "second") == ("b > 6", {"b": "2"})


def test_a_sometimes_that_is_not_yet_true_shows_how_it_stands(children):
    def scenario():
        number = 3
        sometimes(number > 5, "claim")

    assert captured(children.run(scenario)) == ("number > 5", {"number": "3"})


def test_a_true_condition_is_not_looked_at(children):
    def scenario():
        number = 3
        always(number < 5, "claim")

    (hit,) = children.run(scenario).shard.hits
    assert (hit.source, hit.values) == (None, {})


# -- nothing is called ---------------------------------------------------------------


UNTOUCHABLE = """
    from assertlib import always, configure
    configure(sinks=[])
    touched = []

    class Descriptor:
        def __get__(self, owner, kind):
            touched.append("descriptor")
            return 1

    class Dynamic:
        def __getattr__(self, name):
            touched.append("getattr")
            return 1

    class Greedy:
        def __init__(self):
            object.__setattr__(self, "plain", 1)
        def __getattribute__(self, name):
            touched.append("getattribute")
            return object.__getattribute__(self, name)

    class Items(dict):
        def __getitem__(self, key):
            touched.append("getitem")
            return 1
        def __missing__(self, key):
            touched.append("missing")
            return 1

    class Keys:
        def __getitem__(self, key):
            touched.append("getitem")
            return 1

    class Store:
        described = Descriptor()

        @property
        def size(self):
            touched.append("property")
            return 1

        def count(self):
            touched.append("method")
            return 1

        def __eq__(self, other):
            touched.append("eq")
            return False

        def __len__(self):
            touched.append("len")
            return 0

        __hash__ = None

    store, dynamic, greedy, items, keys = Store(), Dynamic(), Greedy(), Items(), Keys()
    index = 0
    always((CONDITION) and False, "claim")
    print(touched)
"""


@pytest.mark.parametrize(
    ("condition", "once"),
    [
        ("store.size", ["property"]),
        ("store.described", ["descriptor"]),
        ("store.count()", ["method"]),
        ("store == 1 or True", ["eq"]),
        ("dynamic.anything", ["getattr"]),
        ("dynamic.one.real", ["getattr"]),
        ("greedy.plain", ["getattribute"]),
        ("items['a']", ["getitem"]),
        ("keys['a']", ["getitem"]),
        ("[1][index]", []),
        ("len(store) == 0", ["len"]),
        ("[each for each in (store.size, store.size)]", ["property", "property"]),
        ("all(store.count() for _ in range(3))", ["method"] * 3),
        ("any(each.size for each in [store])", ["property"]),
        ("(lambda: store.count())()", ["method"]),
    ],
)
def test_showing_a_condition_touches_nothing_again(children, condition, once):
    outcome = children.run(UNTOUCHABLE.replace("CONDITION", condition))
    assert outcome.value == once
    assert outcome.counts == {"claim": (0, 1)}
    assert captured(outcome)[0].endswith("and False")


def test_a_walrus_is_not_evaluated_again(children):
    def scenario():
        numbers = iter(range(10))
        always((taken := next(numbers)) > 5, "claim")
        return taken, next(numbers)

    assert children.run(scenario).value == (0, 1)


def test_capturing_does_not_change_the_callers_variables(children):
    def scenario():
        number = 1
        always(number > 5, "claim")
        number += 1
        always(number > 5, "claim")
        return number

    assert children.run(scenario).value == 2


# -- bounds ------------------------------------------------------------------------


def test_a_repr_that_raises_is_said_and_nothing_else_is_lost(children):
    def scenario():
        class Torn:
            def __repr__(self):
                raise ValueError("torn")

            def __gt__(self, other):
                return False

        torn, number = Torn(), 5
        always(torn > number, "claim")

    source, values = captured(children.run(scenario))
    assert source == "torn > number"
    assert values["number"] == "5"
    assert "Torn" in values["torn"]


@pytest.mark.parametrize("returned", ["None", "5", "repr(self)"])
def test_a_repr_that_misbehaves_does_no_harm(children, returned):
    script = f"""
        from assertlib import always, configure
        configure(sinks=[])

        class Odd:
            def __repr__(self):
                return {returned}

        odd = Odd()
        print(always(odd is None, "claim"))
    """
    outcome = children.run(script)
    assert outcome.value is False
    assert "odd" in captured(outcome)[1]


def test_values_are_bounded_in_length(children):
    def scenario():
        text, data = "x" * 10_000_000, list(range(1_000_000))
        nested = [[["y" * 1000] * 100] * 100] * 100
        number = 10**4000
        always(text == data == nested == number, "claim")

    _, values = captured(children.run(scenario))
    assert set(values) == {"text", "data", "nested", "number"}
    assert all(len(value) <= 200 for value in values.values())


def test_values_are_bounded_in_number_and_the_source_in_length(children):
    names = [f"name_{number}" for number in range(500)]
    script = "from assertlib import *\nconfigure(sinks=[])\n"
    script += "".join(f"{name} = False\n" for name in names)
    script += f"always({' or '.join(names)}, 'claim')\n"
    source, values = captured(children.run(script))
    assert len(values) <= 20
    assert len(source) <= 500


def test_a_value_with_odd_letters_is_recorded(children):
    def scenario():
        text = 'lone \ud800 \0 \n " 🎉'
        always(text == "", "claim")

    assert captured(children.run(scenario))[1]["text"].startswith("'lone ")


# -- no source ---------------------------------------------------------------------


def test_code_without_source_counts_without_values(children):
    def scenario():
        exec("always(1 > 2, 'claim')", {"always": always})

    outcome = children.run(scenario)
    assert outcome.counts == {"claim": (0, 1)}
    assert captured(outcome) == (None, {})


def test_source_that_is_gone_or_has_changed_does_no_harm(children):
    def scenario():
        import pathlib

        number = 3
        pathlib.Path(__file__).write_text("changed ( beyond )]\n" * 3)
        always(number > 5, "changed")
        pathlib.Path(__file__).unlink()
        always(number > 5, "gone")
        return number

    outcome = children.run(scenario)
    assert outcome.counts == {"changed": (0, 1), "gone": (0, 1)}
    assert outcome.shard.error_count == 0


def test_arguments_by_star_do_no_harm(children):
    def scenario():
        arguments = (False, "claim")
        named = {"condition": False, "message": "named"}
        always(*arguments)
        always(**named)

    outcome = children.run(scenario)
    assert outcome.counts == {"claim": (0, 1), "named": (0, 1)}


def test_a_violation_in_every_kind_of_frame_is_shown(children):
    script = """
        from assertlib import *
        configure(sinks=[])
        import asyncio

        number = 3

        class Body:
            size = 3
            always(size > 5, "in a class body")

        def generator():
            local = 3
            always(local > 5, "in a generator")
            yield

        async def coroutine():
            local = 3
            always(local > 5, "in a coroutine")

        [always(each > 5, "in a comprehension") for each in [3]]
        (lambda local: always(local > 5, "in a lambda"))(3)
        always(number > 5, "in a module")
        list(generator())
        asyncio.run(coroutine())
    """
    outcome = children.run(script)
    for hit in outcome.shard.hits:
        assert hit.source.endswith("> 5"), hit.message
        assert list(hit.values.values()) == ["3"], hit.message
    assert len(outcome.shard.hits) == 6


def test_a_violation_is_shown_in_the_log_of_the_process(children):
    def scenario():
        import logging

        logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
        number = 3
        always(number > 5, "claim")

    logged = children.run(scenario).err
    assert logged.startswith("assertlib ERROR")
    assert "number = 3" in logged


def test_private_attributes_are_found_under_the_name_of_their_class(children):
    def scenario():
        class Cache:
            def __init__(self):
                self.__size, self._max = 3, 2

            def put(self):
                always(self.__size <= self._max, "claim")

        Cache().put()

    source, values = captured(children.run(scenario))
    assert source == "self.__size <= self._max"
    assert values == {"self.__size": "3", "self._max": "2"}


CHANGED = "(not shown: the source has changed since the process loaded it)"
STORE = """
from assertlib import always
def put(index, synced):
    always(index <= synced, "claim", {"index": index})
"""
EDITS = {
    "the relation": STORE.replace("<=", ">="),
    "a name": STORE.replace("index <= synced", "index <= index"),
    "the message": STORE.replace('"claim"', '"other"'),
    "the lines": STORE.replace("def put", "# moved\ndef put"),
    "all of it": "garbage (",
    "nothing left": "\n",
}


def edited(children, before, after):
    def scenario():
        import os
        import pathlib
        import sys

        sys.path.insert(0, os.getcwd())
        path = pathlib.Path("edited.py")
        path.write_text(os.environ["BEFORE"])
        import edited

        path.write_text(os.environ["AFTER"])
        edited.put(5, 3)

    return captured(children.run(scenario, env={"BEFORE": before, "AFTER": after}), "claim")


@pytest.mark.parametrize("edit", EDITS)
def test_a_source_that_was_edited_under_the_process_explains_nothing(children, edit):
    assert edited(children, STORE, EDITS[edit]) == (CHANGED, {})


def test_a_source_that_was_written_again_unchanged_explains_all(children):
    assert edited(children, STORE, STORE)[0] == "index <= synced"


def test_an_edit_behind_the_call_changes_nothing(children):
    assert edited(children, STORE, STORE + "\nlater = 1\n")[0] == "index <= synced"
