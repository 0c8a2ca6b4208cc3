"""
What a guided search keeps, and what it makes of it.
"""

import random
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from assertlib.sim.corpus import Corpus

from ..support import child_environment

TAPES = st.lists(st.integers(0, 1000), min_size=1, max_size=30)
NAMES = st.sampled_from([f"sometimes {letter}" for letter in "abcdef"])
FEATURES = st.dictionaries(NAMES, st.integers(1, 40).map(float), max_size=4)


def corpus():
    return Corpus(random.Random(7))


def test_what_is_shown_first_is_told_once():
    known = corpus()
    assert known.learn([1], {"sometimes a": 1.0}, {}) == ["sometimes a"]
    assert known.learn([2], {"sometimes a": 1.0, "reachable b": 1.0}, {}) == ["reachable b"]
    assert known.learn([3], {"sometimes a": 1.0}, {}) == []


def test_a_much_shorter_tape_is_the_better_witness():
    known = corpus()
    known.learn([1] * 10, {"sometimes a": 1.0}, {})
    known.learn([2] * 9, {"sometimes a": 1.0}, {})
    assert known.witnesses["sometimes a"] == (1,) * 10
    known.learn([3] * 4, {"sometimes a": 1.0}, {})
    assert known.witnesses["sometimes a"] == (3,) * 4


def test_an_extreme_is_worth_a_tape_whenever_it_gets_nearer():
    known = corpus()
    for number, extreme in enumerate([3.0, 2.0, 5.0, 4.0]):
        known.learn([number], {"extreme a": extreme}, {})
    nearest, entry = known.extremes["extreme a"]
    assert (nearest, entry.choices) == (5.0, (2,))


def test_a_violation_is_no_way_to_something_else():
    known = corpus()
    known.learn([1], {"always a [not]": 1.0, "always a": 2.0, "sometimes b [not]": 1.0}, {})
    assert list(known.latest) == ["sometimes b [not]"]


@given(st.lists(st.tuples(TAPES, FEATURES), min_size=1))
def test_what_was_ever_shown_has_a_tape_that_showed_it(trials):
    known = corpus()
    for choices, features in trials:
        known.learn(choices, features, {})
    for name in {name for _, features in trials for name in features}:
        assert any(
            known.witnesses[name] == tuple(choices) and name in features
            for choices, features in trials
        )


@given(st.lists(st.tuples(TAPES, FEATURES.filter(bool)), min_size=1, max_size=5))
def test_children_are_made_of_what_is_known(trials):
    known = corpus()
    for choices, features in trials:
        known.learn(choices, features, {})
    longest = max(len(choices) for choices, _ in trials)
    for _ in range(30):
        child = known.child()
        assert len(child) <= 2 * longest
        assert all(value >= 0 for value in child)


def test_some_children_go_up_to_where_a_parent_showed_what_is_rare():
    known = corpus()
    known.learn(range(1000), {"sometimes rare": 1.0}, {"set-up": 30, "sometimes rare": 700})
    children = [known.child() for _ in range(100)]
    assert sum(child == tuple(range(700)) for child in children) > 10


def test_set_ups_that_show_what_is_rare_are_tried_more_often():
    known = corpus()
    for _ in range(300):
        known.learn([1] * 50, {"sometimes common": 1.0}, {"set-up": 9})
    known.learn([2] * 50, {"sometimes rare": 1.0}, {"set-up": 9})
    children = [known.child() for _ in range(100)]
    assert children.count((2,) * 9) > 10 * children.count((1,) * 9)


def test_a_set_up_that_showed_something_once_and_never_again_is_given_up():
    known = corpus()
    known.learn([1] * 50, {"sometimes rare": 1.0}, {"set-up": 9})
    for _ in range(100):
        known.learn([1] * 50, {}, {"set-up": 9})
        known.learn([2] * 50, {"sometimes other": 1.0}, {"set-up": 9})
    known.learn([3] * 50, {"sometimes rare": 1.0}, {"set-up": 9})
    children = [known.child() for _ in range(100)]
    assert children.count((3,) * 9) > 5 * children.count((1,) * 9)


def test_of_very_many_set_ups_the_promising_ones_are_remembered():
    known = corpus()
    known.learn([0] * 50, {"sometimes rare": 1.0}, {"set-up": 9})
    for number in range(1, 2000):
        known.learn([number] * 50, {"sometimes common": 1.0}, {"set-up": 9})
    assert len(known.set_ups) < 500
    assert (0,) * 9 in known.set_ups


def learned(known, number, state):
    """Whether many set-ups were forgotten for this one."""
    before = len(known.set_ups)
    known.learn([number] * 50, {f"sometimes {state}": 1.0}, {"set-up": 9})
    return len(known.set_ups) < before


def test_a_set_up_that_reaches_a_rare_state_is_kept_though_others_are_forgotten_for_it():
    first = corpus()
    last = next(number for number in range(2000) if learned(first, number, "common"))
    known = corpus()
    for number in range(last):
        learned(known, number, "common")
    assert learned(known, last, "rare")
    assert (last,) * 9 in known.set_ups


SEARCH = """
import random
from assertlib.sim.corpus import Corpus
known = Corpus(random.Random(3))
for number in range(40):
    names = [f"sometimes {(number * step) % 11}" for step in (1, 3, 7)]
    known.learn([number] * 9, {name: 5.0 for name in names}, {})
    known.child()
print([known.child() for _ in range(20)])
"""


def test_a_search_is_the_same_in_every_process():
    said = {
        subprocess.run(
            [sys.executable, "-c", SEARCH],
            env=child_environment(PYTHONHASHSEED=seed),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(said) == 1
