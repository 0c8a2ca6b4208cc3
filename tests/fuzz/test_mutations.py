"""
The short form of the fuzzing of readers; ``make mutations`` is the long one.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ..corpus.world import HERE
from ..forms import by_form, has_long_form
from ..support import child_environment
from .mutating import mutate

ROOT = HERE.parents[1]
COUNT = by_form(100, 2000)


@has_long_form
def test_mutated_inputs_end_without_a_traceback_and_hide_no_violation():
    seed = os.environ.get("TEST_SEED") or str(random.randrange(10**6))
    print(f"TEST_SEED={seed}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.mutations", "--seed", seed, "--count", str(COUNT)],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{COUNT} mutations" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["100-00c0ffee.jsonl", "100-00c0ffee.counts", "replays.json"])
def test_a_seed_makes_the_same_mutation_again(tmp_path, name):
    whole = (HERE / "run" / name).read_bytes()
    for seed in range(50):
        made = []
        for attempt in ("first", "second"):
            path = tmp_path / attempt / name
            path.parent.mkdir(exist_ok=True)
            _make_room(path)
            path.write_bytes(whole)
            made.append((mutate(random.Random(seed), path), _content(path)))
        assert made[0] == made[1]


def _make_room(path: Path):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)


def _content(path: Path):
    is_file = path.is_file() and not path.is_symlink()
    return path.read_bytes() if is_file and path.stat().st_size < 1 << 25 else None
