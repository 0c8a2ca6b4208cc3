"""
The recorder, stopped at a sample of its lines and calls, with something hostile there.

`make stepping` takes all of them.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .. import support
from ..forms import by_form, has_long_form, sampled

ROOT = Path(__file__).parents[2]
ACTIONS = ("raise", "raise base", "signal", "thread", "fork", "system call", "full disk")
SAMPLE = by_form(2, 12)


NO_MEMORY = pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python has no _testcapi"
)


def steps():
    """Each action with each twin; in the short form with one of them, in turn."""
    for number, action in enumerate((*ACTIONS, "no memory")):
        for pure in (False, True):
            marks = [NO_MEMORY] if action == "no memory" else []
            marks += [pytest.mark.long] if number % 2 == pure else []
            name = f"{action}-{'pure' if pure else 'accelerated'}"
            yield pytest.param(action, pure, id=name, marks=marks)


@has_long_form
@pytest.mark.parametrize(("action", "pure"), list(steps()))
def test_nothing_that_happens_inside_the_recorder_is_seen_outside(action, pure):
    seed = os.environ.get("TEST_SEED") or str(int.from_bytes(os.urandom(3)))
    print(f"TEST_SEED={seed}")
    stepped(pure, "--sample", SAMPLE, "--seed", seed, "--action", action)


@pytest.mark.parametrize("pure", sampled([True, False], every=2), ids=["pure", "accelerated"])
def test_a_fork_where_hits_are_counted_leaves_the_counts_of_both_processes_exact(pure):
    stepped(pure, "--within", "recording/fast_path.py", "--action", "fork")


def stepped(pure, *options):
    done = subprocess.run(
        [sys.executable, "-m", "tests.recording.stepping", *map(str, options)],
        env={**support.clean_environment(), "ASSERTLIB_PURE": "1" if pure else ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no failure" in done.stdout
