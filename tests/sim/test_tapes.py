"""
Tapes and tokens: what is written is what is read, and nothing hostile gets far.
"""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.sim.tape import Tape
from assertlib.sim.tapes import TokenError, TrialSpec, find, parse, read, stored_witness, write
from assertlib.sim.trial import Options

NAMES = st.from_regex(r"[a-z]+(\.[a-z]+)?:[a-z]+", fullmatch=True)
OPTIONS = st.builds(
    Options,
    st.sampled_from(["swarm", "random", "pct7"]),
    st.lists(st.sampled_from(["kill", "bit-rot", "power-cut"]), unique=True).map(tuple),
    st.floats(1, 1000),
    st.integers(1, 10**6),
)
STAMPS = st.fixed_dictionaries({"python": st.just("3.11.7"), "source": st.just("0123abcdef")})


@given(NAMES, OPTIONS, st.integers(-5, 10**9), STAMPS)
def test_a_token_of_a_seed_says_it_all(target, options, seed, stamp):
    spec = TrialSpec(target, options, seed, stamp=stamp)
    assert parse(spec.token) == spec


CHOICES = st.lists(st.integers(0, 1 << 60)).map(tuple)
WHOLE = st.none() | st.tuples(st.none() | st.integers(), CHOICES)


@given(NAMES, OPTIONS, CHOICES, st.text(), st.booleans(), WHOLE)
def test_a_tape_is_read_as_it_was_written(
    tmp_path_factory, target, options, choices, shows, fails, whole
):
    directory = tmp_path_factory.mktemp("tapes")
    spec = TrialSpec(target, options, None, choices, {"python": "3"}, shows, fails, whole)
    token = write(directory, spec)
    assert find(token, iter([directory])) == spec
    # The tape of a failure is no witness, even of an assertion of that message.
    assert stored_witness(iter([directory]), [shows]) == (None if fails else spec)


@given(st.none() | st.integers(), CHOICES, CHOICES)
def test_a_shrunk_tape_leads_back_to_the_whole_trial(seed, choices, shorter):
    whole = TrialSpec("a:b", Options(), seed, choices, shows="it fails", fails=True)
    shrunk = replace(whole, seed=None, choices=shorter, whole=(seed, choices))
    assert shrunk.unshrunk() == whole
    assert whole.unshrunk() == whole


def test_the_seed_of_a_failure_is_kept_as_a_tape_that_says_which_failure(tmp_path):
    spec = TrialSpec("a:b", Options(), 7, shows="it ends its process", fails=True)
    token = write(tmp_path, spec)
    assert token.startswith("t1-")
    assert find(token, iter([tmp_path])) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"choices": "none"},
        {"choices": [-1]},
        {"choices": [1.5]},
        {"choices": None},
        {"whole": [1]},
        {"whole": [1, [-1]]},
        {"options": {"colour": "red"}},
        {"options": [1]},
        {"stamp": []},
    ],
)
def test_a_damaged_tape_is_an_error_that_names_it(tmp_path, change):
    token = write(tmp_path, TrialSpec("a:b", Options(), None, (1, 2)))
    path = tmp_path / f"{token}.tape.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(TokenError, match=r"tape|schema|options"):
        read(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "\x00", '{"schema": 1}'])
def test_what_is_no_tape_is_said(tmp_path, text):
    path = tmp_path / "t1-0000000000.tape.json"
    path.write_text(text)
    with pytest.raises(TokenError, match="not a tape"):
        read(path)


@given(st.lists(st.integers(0, 1 << 40)), st.lists(st.integers(1, 1 << 30), min_size=1))
def test_a_tape_repeats_what_it_was_given_within_the_bounds(given_choices, bounds):
    tape = Tape(3, given_choices)
    made = [tape.choose(bound) for bound in bounds]
    assert made == tape.values
    assert all(0 <= value < bound for value, bound in zip(made, bounds, strict=True))
    assert [Tape(4, made).choose(bound) for bound in bounds[:1]] == made[:1]


@given(st.integers(), st.lists(st.sampled_from(["choose", "between", "word", "chance"])))
def test_a_recorded_tape_makes_the_same_choices_without_its_seed(seed, calls):
    def play(tape):
        kinds = {
            "choose": lambda: tape.choose(1000),
            "between": lambda: tape.between(1.0, 2.0),
            "word": tape.word,
            "chance": lambda: tape.chance(0.5),
        }
        return [kinds[call]() for call in calls]

    first = Tape(seed)
    played = play(first)
    again = Tape(None, first.values)
    assert play(again) == played
    assert again.values == first.values


def test_the_plainest_choice_is_zero():
    tape = Tape(None)
    assert tape.choose(9) == 0
    assert tape.between(3.0, 4.0) == 3.0
    assert not tape.chance(0.9)
    assert tape.pick("abc") == "a"


@pytest.mark.parametrize("token", ["store:main", "store:main@", "store:main@x", "@", "store@1@y"])
def test_what_is_no_token_is_said(token):
    with pytest.raises(TokenError, match="is not a token"):
        parse(token)
