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
import time
from pathlib import Path

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from assertlib.recording.twin import speed

from ..support import child_environment

PLAYER = Path(__file__).parent / "player.py"

SECONDS = float(os.environ.get("FUZZ_SECONDS") or 0)
"""For how long programs are made up; once without."""

CONDITIONS = [
    *("True", "False", "1", "0", "None", "''", "[0]", "rev > 7", "rev > fields.rev", "rev == 6"),
    *("Truth(True)", "Truth(False)", "Truth(None)", "lambda: True", "lambda: rev > 7"),
    *("lambda: 1 / 0", "lambda: lambda: 1", "named", "generator", "coroutine", "len", "Whole(1)"),
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
COMPARISONS = [
    f"{kind}_{relation}_than{or_equal}"
    for kind in ("always", "sometimes")
    for relation in ("greater", "less")
    for or_equal in ("", "_or_equal_to")
]


def one_of(texts):
    return st.sampled_from(texts)


messages = one_of(MESSAGES[:3]) | one_of(MESSAGES)
details = st.just("") | st.builds(", {}".format, one_of(DETAILS))
keywords = st.lists(
    st.builds("{}={}".format, one_of(["details"]), one_of(DETAILS))
    | st.builds("invariant={}".format, one_of(["None", "'twin.claim'", "CLAIM", "5"]))
    | st.builds("every={}".format, one_of(["1", "2", "0", "'x'", "None"]))
    | one_of(["unknown=1", "condition=True", "message='a'", "left=1", "named_bools={}"]),
    max_size=3,
).map(lambda given: "".join(f", {each}" for each in given))
owner = one_of(["", "", "CLAIM."])
dicts = st.lists(st.tuples(one_of(["'a'", "'b'", "5"]), one_of(TRUTHS[:2]) | one_of(TRUTHS))).map(
    lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
)
named_bools = dicts | st.builds("Mapping({})".format, dicts) | one_of(["[]", "None", "5"])

plain = st.builds(
    "{}{}({}, {}{}{})".format,
    *(
        owner,
        one_of(KINDS),
        one_of(CONDITIONS[:2]) | one_of(CONDITIONS),
        messages,
        details,
        keywords,
    ),
)
points = st.builds(
    "{}{}({}{}{})".format,
    *(owner, one_of(["reachable", "unreachable"]), messages, details, keywords),
)
comparisons = st.builds(
    "{}{}({}, {}, {}{}{})".format,
    *(owner, one_of(COMPARISONS), one_of(NUMBERS), one_of(NUMBERS), messages, details, keywords),
)
propositions = st.builds(
    "{}{}({}, {}{}{})".format,
    *(owner, one_of(["always_some", "sometimes_all"]), named_bools, messages, details, keywords),
)
bounds = st.builds(
    "bound[{!r}]({}{}{})".format,
    *(one_of(KINDS), one_of(CONDITIONS[:2]) | one_of(CONDITIONS), details, keywords),
)
bound_points = st.builds(
    "bound[{!r}]({}{})".format,
    *(one_of(["reachable", "unreachable"]), one_of(["", "None", "{'a': 1}", "True"]), keywords),
)
derived = one_of(
    [
        "always_if(rev == 6, lambda: rev > 5, 'if')",
        "always_if(rev > 6, lambda: rev > 5, 'if')",
        "always_if(True, lambda: False, 'if')",
        "sometimes_both(rev > 7, 'both')",
        "sometimes_both(rev == 6, 'both')",
        "sometimes_each('x', 'each', expected=('x', 'y'))",
        "sometimes_each('z', 'each', expected=('x', 'y'))",
    ]
)
around = one_of(
    [
        *("begin('t')", "begin('u')", "end()", "end()", "lifecycle.faults(['kill'])"),
        *("configure(mode='off')", "configure(mode='record')", "configure(mode='raise')"),
        "configure(redact=['a', 'rev'])",
        "configure(redact=[])",
    ]
)
odd = one_of(
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
    ]
)
steps = plain | points | comparisons | propositions | bounds | bound_points | derived | around | odd
repeated = st.builds(lambda step, times: [step] * times, steps, one_of([1, 1, 1, 2, 5, 40]))
programs = st.lists(repeated, min_size=1, max_size=12).map(
    lambda runs: list(itertools.chain(*runs))
)


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

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


CHANGING = re.compile(r'"(time|pid|parent|shard|owner|run)": ("[^"]*"|\d+)| at 0x[0-9a-f]+')


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
    both = [Player(), Player(ASSERTLIB_PURE="1")]
    assert [player.is_accelerated for player in both] == [True, False]
    yield both
    for player in both:
        player.close()


def test_both_twins_answer_and_record_the_same(twins):
    accelerated, pure = twins

    @settings(max_examples=200, database=None)
    @given(mode=one_of(["record", "record", "raise", "off"]), program=programs)
    def check(mode, program):
        differences = [
            (one, other)
            for one, other in itertools.zip_longest(
                accelerated.play(mode, program), pure.play(mode, program)
            )
            if one != other
        ]
        assert differences == []

    end = time.monotonic() + SECONDS
    for number in itertools.count(int(os.environ.get("TEST_SEED") or 0)):
        print(f"TEST_SEED={number}")
        seed(number)(check)()
        if time.monotonic() >= end:
            break
