"""
Comparisons and named propositions.
"""

import json
import operator

import pytest

import assertlib
from assertlib import always_some, forms, sometimes_all

COMPARISONS = {
    "always_equal_to": ("always", operator.eq, None),
    "always_greater_than": ("always", operator.gt, False),
    "always_greater_than_or_equal_to": ("always", operator.ge, False),
    "always_less_than": ("always", operator.lt, True),
    "always_less_than_or_equal_to": ("always", operator.le, True),
    "sometimes_equal_to": ("sometimes", operator.eq, None),
    "sometimes_greater_than": ("sometimes", operator.gt, True),
    "sometimes_greater_than_or_equal_to": ("sometimes", operator.ge, True),
    "sometimes_less_than": ("sometimes", operator.lt, False),
    "sometimes_less_than_or_equal_to": ("sometimes", operator.le, False),
}


def details_of(hit):
    return json.loads(hit.details)


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
    guided = children.run(scenario, name).shard.guidance
    # No extreme of a difference is next to equality from both sides.
    if maximize is None:
        assert guided == {}
        return
    guidance = guided["claim"]
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
    assert outcome.shard.error_count == 2


def test_every_comparison_is_covered_here():
    named = {form.name for form in forms.RICH if form.shape == "comparison"}
    assert named == set(COMPARISONS)


@pytest.mark.parametrize("pair", ["'a', 'a'", "b'a', b'a'", "[1], [1]", "{}, {}", "None, None"])
def test_values_of_any_type_compare_for_equality(children, pair):
    outcome = children.run(f"""
        from assertlib import always_equal_to, sometimes_equal_to
        for _ in range(3):
            always_equal_to({pair}, "equal")
            sometimes_equal_to({pair}, "equal at last")
            sometimes_equal_to(*({pair})[:1], object(), "never equal")
        """)
    assert outcome.counts == {"equal": (3, 0), "equal at last": (3, 0), "never equal": (0, 3)}
    assert outcome.shard.error_count == 0


def test_the_operands_of_a_false_equality_are_shown_with_their_sign(children):
    def scenario():
        stored, read = b"new", b"old"
        assertlib.always_equal_to(stored, read, "a read returns the last write")

    (hit,) = children.run(scenario).shard.hits
    assert hit.captured.source == "stored == read"
    assert hit.captured.values == {"stored": "b'new'", "read": "b'old'"}


def test_operands_without_a_difference_count_without_guidance(children):
    def scenario():
        return assertlib.always_less_than("a", "b", "words in order")

    outcome = children.run(scenario)
    assert outcome.counts == {"words in order": (1, 0)}
    assert outcome.shard.guidance == {}
    assert outcome.shard.error_count == 0


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
