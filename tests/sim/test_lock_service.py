"""
The planted bugs of the lock service are found, and the sound one never fails.
"""

import os
from pathlib import Path

import pytest

from assertlib.sim import Options
from assertlib.sim.engine import local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.faults import DEFAULT

ROOT = str(Path(__file__).resolve().parents[2])

EASY = {
    "check-then-act": "one client holds the lock",
    "leases-lost-at-restart": "one client holds the lock",
    "unsynced-token": "a token is granted once",
}
HARD = {
    "foreign-release": "one client holds the lock",
    "renewal-window": "a renewal extends the lease that it has checked",
}


def first_failure(bug, seeds):
    """The first failure of an exploration that records nothing in the session's own run."""
    target = f"tests.sim.lock_service:{(bug or 'sound').replace('-', '_')}"
    options = Options(faults=DEFAULT)
    plan = Plan(target, options, seeds, stops=lambda _: True, path=(ROOT,), shrinks=0)
    environment = {k: v for k, v in os.environ.items() if k != "ASSERTLIB_RUN_DIR"}
    exploration = Exploration(plan, local(target, options, environment, (ROOT,)))
    exploration.run()
    return next((found.failure for found in exploration.found.values()), None)


@pytest.mark.parametrize("bug", EASY)
def test_a_bug_that_many_trials_show_is_found(bug):
    failure = first_failure(bug, 300)
    assert failure is not None
    assert failure.name == EASY[bug], failure.text


@pytest.mark.long
@pytest.mark.parametrize("bug", HARD)
def test_a_bug_of_a_few_milliseconds_is_found(bug):
    failure = first_failure(bug, 2_000)
    assert failure is not None
    assert failure.name == HARD[bug], failure.text


@pytest.mark.parametrize("seeds", [100, pytest.param(3_000, marks=pytest.mark.long)])
def test_the_sound_service_never_fails(seeds):
    failure = first_failure("", seeds)
    assert failure is None, failure.text
