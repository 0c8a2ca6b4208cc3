"""
Both twins carry out the same random programs and leave the same records.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.forms import RICH
from assertlib.recording.accelerator import speed

from ..forms import by_form, has_long_form
from ..support import child_environment, fuzzed

PLAYER = Path(__file__).parent / "player.py"

CONDITIONS = [
    *("True", "False", "1", "0", "None", "''", "[0]", "rev > 7", "rev > fields.rev", "rev == 6"),
    *("Truth(True)", "Truth(False)", "Truth(None)", "lambda: True", "lambda: rev > 7"),
    *("lambda: 1 / 0", "lambda: lambda: 1", "named", "generator", "coroutine", "len", "Whole(1)"),
    *(
        "lambda: ticked(True)",
        "lambda: ticked(False)",
        "lambda: ticked(rev > 7)",
        "lambda x=rev: x",
    ),
    *("lambda x=True: ticked(x)", "lambda x: x", "lambda *, x: x", "local(True)", "local(None)"),
    *("lambda: sys.exit(3)", "lambda: ticked(configure(mode='off') is None)", "lambda: None"),
    *("lambda: always(rev > 7, 'inner')", "lambda: coroutine", "(lambda: (yield))"),
    "all(each > 0 for each in (rev, -1))",
]
MESSAGES = [
    *("'a'", "'b'", "'c'", "''", "'bound always'"),
    *("Text('a')", "None", "5", "[]", "'é'"),
]
DETAILS = ["None", "{'a': 1}", "lambda: {'a': rev}", "{}", "5", "lambda: 1 / 0", "{'a': object}"]
NUMBERS = [
    *("5", "3", "-3", "0", "True", "2.5", "-0.0", "0.0", "1e308", "-1e308", "2**62", "-2**62"),
    *("2**63", "-2**63", "2**63 - 1", "2**64", "10**400", "float('nan')", "float('inf')"),
    *(
        "float('-inf')",
        "Whole(4)",
        "'text'",
        "None",
        "[1]",
        "1j",
        "2**53 + 1",
        "9007199254740993.0",
    ),
]
TRUTHS = ["True", "False", "1", "0", "None", "Truth(True)", "Truth(None)", "named", "rev > 7"]
KINDS = ["always", "always_or_unreachable", "sometimes"]
COMPARISONS = [form.name for form in RICH if form.shape == "comparison"]


POINTS = ["reachable", "unreachable"]
DERIVED = [
    "always_if(rev == 6, lambda: rev > 5, 'if')",
    "always_if(rev > 6, lambda: rev > 5, 'if')",
    "always_if(True, lambda: False, 'if')",
    "sometimes_both(rev > 7, 'both')",
    "sometimes_both(rev == 6, 'both')",
    "sometimes_each('x', 'each', expected=('x', 'y'))",
    "sometimes_each('z', 'each', expected=('x', 'y'))",
]

one_of = st.sampled_from

AROUND = one_of(
    [
        *("begin('t')", "begin('u')", "end()", "end()", "lifecycle.faults(['kill'])"),
        *("configure(mode='off')", "configure(mode='record')", "configure(mode='raise')"),
        *("configure(redact=['a', 'rev'])", "configure(redact=[])", "len(ticks)", *DERIVED),
    ]
)
ODD = one_of(
    [
        *("always()", "always(True)", "bound['always']()", "bound['always'](True, None, None)"),
        *(
            "reachable()",
            "always_greater_than(1, 2)",
            "sometimes_all({})",
            "always(True, 'a', *[1])",
        ),
        *("always(*[True, 'a', None, None])", "always(**{'condition': True, 'message': 'a'})"),
        *("sometimes(condition=False, message='a')", "fork(\"always(True, 'a')\")"),
        *("always(always, 'a')", "always(bound['always'], 'a')", "always(CLAIM.always, 'a')"),
        "pickle.loads(pickle.dumps(always))(True, 'a')",
        "pickle.loads(pickle.dumps(always_less_than))(1, 2, 'a')",
        "pickle.loads(pickle.dumps(CLAIM.always))(True, 'a')",
        "CLAIM.always(True)",
        "CLAIM.always_some({})",
        "Invariant.always(CLAIM, True, 'a')",
        "Invariant.always(None, True, 'a')",
        "always(Invariant.always, 'a')",
        "always(lambda: (configure(mode='off'), named)[1], 'a')",
        "Invariant.always()",
        "CLAIM.always(True, 'a', invariant='x')",
        *(
            "pickle.loads(pickle.dumps(bound['always']))(True)",
            "copy.deepcopy(bound['always'])(True)",
        ),
    ]
)
nothing = st.just("")
details = nothing | one_of(DETAILS)
keywords = nothing | one_of(
    [
        *(f"details={each}" for each in DETAILS),
        *(f"invariant={each}" for each in ("None", "'twin.claim'", "CLAIM", "5")),
        *(f"every={each}" for each in ("1", "2", "3", "0", "-1", "2**70", "True", "'x'", "None")),
        *("unknown=1", "condition=True", "message='a'", "left=1", "named_bools={}"),
        *("details=None, invariant=None", "details={}, every=2", "every=1, invariant=None"),
    ]
)
conditions = one_of(["True", "False"]) | one_of(CONDITIONS)
few = st.integers(-2, 2)
numbers = few.map(str) | few.map(float).map(repr) | st.floats(-9, 9).map(repr) | one_of(NUMBERS)
operands = numbers | one_of(["'x'", "'y'", "b'x'", "b'y'", "Text('x')", "(1, 2)"])
pairs = st.builds("{}: {}".format, one_of(["'x'", "'y'", "'z'", "5"]), one_of(["True", "False"]))
odd_pairs = st.builds("{}: {}".format, one_of(["'x'", "'y'"]), one_of(TRUTHS))
dicts = st.lists(pairs | pairs | odd_pairs, max_size=4).map(lambda made: f"{{{', '.join(made)}}}")
named_bools = dicts | st.builds("Mapping({})".format, dicts) | one_of(["[]", "None", "5"])

# What is called: its name, and the arguments it takes before the message.
DIRECT = [
    *((f"{owner}{kind}", conditions) for owner in ("", "CLAIM.") for kind in KINDS),
    *((f"{owner}{name}", nothing) for owner in ("", "CLAIM.") for name in POINTS),
    *(
        (f"{owner}{name}", st.tuples(operands, operands).map(", ".join))
        for owner in ("", "CLAIM.")
        for name in COMPARISONS
    ),
    *(
        (f"{owner}{name}", named_bools)
        for owner in ("", "CLAIM.")
        for name in ("always_some", "sometimes_all")
    ),
]
BOUND = [
    *((f"bound[{kind!r}]", conditions) for kind in KINDS),
    *((f"bound[{name!r}]", nothing) for name in POINTS),
]


def calls_of(called, message):
    """Calls that differ in everything but what is called, under one name."""
    name, before = called
    arguments = st.tuples(before, st.just(message), details, keywords)
    return arguments.map(lambda given: f"{name}({', '.join(filter(None, given))})")


@st.composite
def programs(draw):
    """A few assertions, hit often enough for every path of theirs."""
    message = st.just("'a'") | one_of(MESSAGES)
    chosen = [(each, draw(message)) for each in draw(st.lists(one_of(DIRECT), max_size=3))]
    chosen += [(each, "") for each in draw(st.lists(one_of(BOUND), max_size=2))]
    calls = st.one_of(AROUND, ODD, *(calls_of(*each) for each in chosen * 4))
    repeated = st.builds(lambda call, times: [call] * times, calls, one_of([1, 1, 1, 1, 3, 40]))
    return list(itertools.chain(*draw(st.lists(repeated, min_size=1, max_size=30))))


class Player:
    """One twin at work."""

    def __init__(self, **environment):
        self.process = subprocess.Popen(
            [sys.executable, PLAYER],
            env=child_environment(**environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.is_accelerated = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def play(self, mode, program):
        """What the steps came to, and then the lines that were left in the run directory."""
        with tempfile.TemporaryDirectory() as directory:
            run_dir = os.path.join(directory, "run")
            self.process.stdin.write(json.dumps([run_dir, mode, program]) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            assert answer, "the player died"
            shards = sorted(map(left_in, Path(run_dir).glob("*.jsonl")))
            told = [unchanging(each) for each in json.loads(answer)]
            return [*told, *itertools.chain(*shards)]


CHANGING = re.compile(
    r'"(time|clock|clock_id|pid|parent|shard|owner|run)": ("[^"]*"|\d+)| at 0x[0-9a-f]+'
)


def unchanging(text):
    """A text without times, addresses and numbers of processes."""
    return CHANGING.sub("…", text)


def left_in(path):
    """The lines of a shard, and its counters."""
    lines = map(unchanging, path.read_text().splitlines())
    return [*lines, path.with_suffix(".counts").read_bytes().rstrip(b"\0").hex()]


@pytest.fixture(scope="module")
def twins():
    if speed is None:
        pytest.skip("there is one twin only")
    with Player() as accelerated, Player(ASSERTLIB_PURE="1") as pure:
        assert [accelerated.is_accelerated, pure.is_accelerated] == [True, False]
        yield accelerated, pure


OPERANDS = [
    "'x'",
    "b'x'",
    "b'y'",
    "-1",
    "0",
    "1",
    "2**62",
    "-2**62",
    "2**63",
    "-1.5",
    "0.0",
    "1.5",
    "1e308",
    "-1e308",
]


def differences(twins, program, mode="record"):
    accelerated, pure = (player.play(mode, program) for player in twins)
    return [pair for pair in itertools.zip_longest(accelerated, pure) if pair[0] != pair[1]]


@has_long_form
def test_both_twins_answer_and_record_the_same(twins):
    @settings(max_examples=by_form(50, 400), database=None)
    @given(mode=one_of(["record", "record", "raise", "off"]), program=programs())
    def check(mode, program):
        assert differences(twins, program, mode) == []

    fuzzed(check)


@pytest.mark.parametrize("name", COMPARISONS)
def test_both_twins_compare_alike(twins, name):
    calls = [f"{name}({a}, {b}, 'a')" for a, b in itertools.product(OPERANDS, OPERANDS)]
    assert differences(twins, calls * 3) == []
    assert differences(twins, calls[::-1] * 3) == []


@has_long_form
@pytest.mark.parametrize("name", ["always_some", "sometimes_all"])
def test_both_twins_combine_alike(twins, name):
    dicts = ["{}", *("{" + f"'x': {x}, 'y': {y}" + "}" for x in TRUTHS for y in TRUTHS)]
    # All of both, or in the short form every fourth combination, so that each value occurs on both sides.
    calls = [f"{name}({each}, 'a')" for each in dicts[:: by_form(4, 1)]]
    times = by_form(1, 3)
    assert differences(twins, calls * times) == []
    assert differences(twins, calls[::-1] * times) == []
