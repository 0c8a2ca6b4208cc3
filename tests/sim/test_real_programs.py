"""
Programs of the package index run in the simulator as they are.
"""

import subprocess
from pathlib import Path

import pytest

from ..forms import by_form, has_long_form
from ..support import child_environment
from .real_programs import PROGRAMS

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".tools" / "programs" / "bin" / "python"
SEEDS = by_form(4, 100)


def trials(name, seeds):
    """By seed, the digest and the failure of trials in a process of their own."""
    done = subprocess.run(
        [str(PYTHON), "-m", "tests.sim.real_programs", name, *map(str, seeds)],
        cwd=ROOT,
        env=child_environment(ASSERTLIB="off", PYTHONHASHSEED="0"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (line.split(" ", 2) for line in done.stdout.splitlines() if line[:1].isdigit())
    return {int(seed): (digest, failed) for seed, digest, failed in lines}


@pytest.mark.skipif(not PYTHON.exists(), reason="`make programs` installs the programs")
@has_long_form
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_as_it_is_and_the_same_in_every_process(name):
    first = trials(name, range(SEEDS))
    assert set(first) == set(range(SEEDS))
    assert {failed for _, failed in first.values()} == {""}
    assert trials(name, reversed(range(SEEDS))) == first
