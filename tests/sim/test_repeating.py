"""
Trials are repeated in another process, and the first event that differs is named.
"""

import pytest

from assertlib.sim import Options
from assertlib.sim.determinism import differences
from assertlib.sim.engine import local
from assertlib.sim.explore import Exploration, Plan

from ..support import child_environment

STORE = """
import asyncio
import os

trials = 0

async def fine(world):
    await asyncio.sleep(world.tape.between(1, 2))

async def dying(world):
    global trials
    trials += 1
    if trials == 2 and world.tape.values == [] and os.environ.get("ASSERTLIB_RUN_DIR") is None:
        os._exit(3)
    await asyncio.sleep(1)

async def leaking(world):
    global trials
    trials += 1
    await asyncio.sleep(1)
    world.loop.note(f"trial {trials} of this process")
    await asyncio.sleep(1)
"""


@pytest.fixture
def explored(tmp_path, monkeypatch):
    """Explore a scenario; the first trials are run again."""
    (tmp_path / "store.py").write_text(STORE)
    monkeypatch.syspath_prepend(tmp_path)

    def explored(name, checks=3, seeds=5):
        target = f"store:{name}"
        plan = Plan(target, Options(), seeds, checks=checks, path=(str(tmp_path),))
        engine = local(target, plan.options, child_environment(), plan.path)
        exploration = Exploration(plan, engine)
        exploration.run()
        exploration.check_determinism()
        return exploration

    return explored


def test_what_is_on_the_tape_is_the_same_again(explored):
    assert explored("fine").differences == []


def test_a_trial_that_depends_on_those_before_is_named_with_its_first_event(explored):
    # The one in the middle has as many before it in both orders.
    first, last = explored("leaking").differences
    assert [first.trial, last.trial] == ["seed 0", "seed 2"]
    assert first.number == last.number > 0
    for each in first.events:
        assert "world" in each
        assert "of this process" in each
    assert first.events[0] != first.events[1]
    assert f"the first {first.number} events were identical" in first.lines()[0]


def test_as_many_are_run_again_as_was_asked_for(explored):
    assert explored("leaking", checks=0).differences == []
    assert len(explored("leaking", checks=10).differences) == 4


def test_a_sample_of_one_is_compared_with_a_process_that_ran_nothing_else(tmp_path, explored):
    exploration = explored("fine", checks=1)
    known = [(job, "another digest") for job, _ in exploration._sampled[:1]]
    (found,) = differences("store:fine", Options(), known, (str(tmp_path),))
    assert found.events == ("", "")
    assert found.lines() == ["NOT DETERMINISTIC: trial 'seed 0' ran differently in another process"]


def test_a_trial_that_ends_its_process_when_it_is_run_again_is_a_difference(tmp_path, explored):
    known = [(job, digest) for job, digest in explored("fine", checks=2)._sampled]
    found = differences("store:dying", Options(), known, (str(tmp_path),))
    assert {each.trial for each in found} == {"seed 0", "seed 1"}
