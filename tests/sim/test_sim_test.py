"""
``@assertlib.sim.test`` in real pytest sessions.
"""

import re
import subprocess
import sys

import pytest

from ..support import child_environment

TESTS = """
import asyncio
import os
import assertlib.sim
from assertlib import always, sometimes

async def counting(world, step):
    total = 0
    async def add():
        nonlocal total
        seen = total
        await asyncio.sleep(0)
        total = seen + step
    await asyncio.gather(*(add() for _ in range(3)))
    return total

@assertlib.sim.test(seeds=20)
async def test_that_passes(world):
    assert os.environ["PYTHONHASHSEED"] == "0"
    always(await counting(world, 0) == 0, "nothing is added")

@assertlib.sim.test(seeds=20)
async def test_that_fails(world):
    always(await counting(world, 1) == 3, "all is added")

@assertlib.sim.test(seeds=20)
async def test_that_raises(world):
    assert await counting(world, 1) == 3

trials = 0

@assertlib.sim.test(seeds=5)
async def test_that_is_flaky(world):
    global trials
    trials += 1
    always(trials != 4, "the fourth is well")

@assertlib.sim.test(seeds=2)
async def test_of_a_dying_host(world):
    async def main(host):
        raise KeyError("lost")
    world.host("server", main).boot()
    await asyncio.sleep(1)

@assertlib.sim.test(seeds=3)
async def test_inline(world):
    assert getattr(asyncio, "is_outer", False)
"""
# Only the process of pytest loads it; a trial has virtual process ids.
CONFTEST = """
import asyncio
asyncio.is_outer = True
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "test_counting.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.assertlib.targets.t]\nsource = ["test_counting.py"]\ncatalog = []\n'
    )
    return tmp_path


def pytest_in(project, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_test_passes_if_all_its_trials_do(project):
    done = pytest_in(project, "-k", "passes")
    assert done.returncode == 0, done.stdout


def test_a_violation_fails_the_test_with_a_token_that_replays_it(project):
    done = pytest_in(project, "-k", "that_fails")
    assert done.returncode == 1
    assert "all is added" in done.stdout
    (token,) = set(re.findall(r"assertlib sim replay (\S+)", done.stdout))
    assert not re.search("replay: (?!assertlib sim)", done.stdout)
    for whole in ([], ["--whole"]):
        again = subprocess.run(
            [sys.executable, "-c", "from assertlib.cli.entry import main; main()", "sim", "replay", token, *whole],
            cwd=project, env=child_environment(), capture_output=True, text=True,
        )  # fmt: skip
        assert again.returncode == 1, again.stderr
        assert "all is added" in again.stdout


def test_a_failure_that_does_not_replay_fails_the_test_as_flaky(project):
    done = pytest_in(project, "-k", "flaky")
    assert done.returncode == 1
    assert "the fourth is well" in done.stdout
    assert "FLAKY: its tape does not reproduce it" in done.stdout


def test_an_unhandled_exception_fails_the_test(project):
    done = pytest_in(project, "-k", "dying")
    assert done.returncode == 1
    assert "KeyError in main on server: 'lost'" in done.stdout


@pytest.mark.long
def test_an_assert_fails_the_test_too(project):
    done = pytest_in(project, "-k", "raises")
    assert done.returncode == 1
    assert "AssertionError in test_that_raises" in done.stdout


@pytest.mark.long
def test_inline_trials_run_in_the_process_of_the_test(project):
    assert pytest_in(project, "-k", "inline", "--sim-inline").returncode == 0
    assert pytest_in(project, "-k", "inline").returncode == 1


@pytest.mark.long
def test_trials_are_recorded_inside_their_test(project):
    done = pytest_in(project, "--assertlib", "-k", "passes")
    assert done.returncode == 0, done.stdout
    assert "20 random trials" in done.stdout
    assert "1 trial" in done.stdout
