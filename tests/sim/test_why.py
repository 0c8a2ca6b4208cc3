"""
The step at which a failure becomes likely.
"""

import pytest

from assertlib.sim import Options
from assertlib.sim.engine import local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.tapes import TrialSpec
from assertlib.sim.why import why

from ..support import child_environment

STORE = """
import asyncio
from assertlib import always

async def lottery(world):
    for _ in range(5):
        world.tape.choose(100)
        await asyncio.sleep(1)
    # Nine of ten that draw this ticket lose.
    if world.tape.choose(20) == 7:
        await asyncio.sleep(1)
        world.loop.note("the ticket is drawn")
        if world.tape.choose(10):
            always(False, "the ticket wins")
    await asyncio.sleep(1)

async def certain(world):
    world.tape.choose(100)
    always(False, "it cannot hold")
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Why a scenario fails, and what was reported meanwhile."""
    (tmp_path / "store.py").write_text(STORE)
    monkeypatch.syspath_prepend(tmp_path)

    def asked(name, **options):
        target, path = f"store:{name}", (str(tmp_path),)
        plan = Plan(target, Options("fifo"), 500, path=path, stops=lambda _: True)
        exploration = Exploration(plan, local(target, plan.options, child_environment(), path))
        exploration.run()
        (found,) = exploration.found.values()
        return why(found.spec, path=path, **{"repeats": 40, "seconds": 60.0, **options})

    return asked


def test_the_step_whose_choice_decides_is_named_and_the_answer_is_the_same_again(asked):
    found = asked("lottery")

    assert found.failure == "the ticket wins"
    lengths = [each.choices for each in found.points]
    assert lengths == sorted(lengths)
    assert found.points[0].rate < 0.2
    assert found.points[-1].rate == 1.0
    assert found.jump.before.rate < 0.2
    assert found.jump.after.rate > 0.7
    assert found.jump.after.choices == found.jump.before.choices + 1
    assert "lottery at store.py:" in found.trace[found.jump.lines[0]]
    assert any("the ticket is drawn" in line for line in found.trace[found.jump.lines[0] :])
    assert asked("lottery") == found


def test_a_failure_that_nothing_avoids_has_no_jump(asked):
    found = asked("certain")
    assert found.jump is None
    assert {each.rate for each in found.points} == {1.0}


def test_without_time_only_the_ends_and_the_first_step_are_tried(asked):
    assert len(asked("lottery", seconds=-1.0).points) == 3


def test_a_trial_that_was_not_kept_for_a_failure_has_no_answer():
    spec = TrialSpec("store:lottery", Options(), 1, (), {}, "a state")
    with pytest.raises(ValueError, match="does not identify a failure"):
        why(spec, repeats=1, seconds=1.0)


def test_a_failure_that_was_mended_has_no_answer(tmp_path, monkeypatch):
    (tmp_path / "store.py").write_text(STORE)
    monkeypatch.syspath_prepend(tmp_path)
    spec = TrialSpec("store:certain", Options(), None, (), {}, "another", fails=True)
    with pytest.raises(ValueError, match="does not fail any more"):
        why(spec, repeats=1, seconds=1.0, path=(str(tmp_path),))
