"""
A trial is the same in every process, however it is recorded and whatever ran before it.
"""

import os
import sys
from pathlib import Path

import pytest

from assertlib.recording.reader import read_shards
from assertlib.sim import Options
from assertlib.sim.engine import LocalWorker, local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.faults import FAULTS
from assertlib.sim.worker import Job

from ..support import child_environment

STORE = Path(__file__).parents[2] / "examples" / "kvstore"
TARGET = "kvstore.simulation:rounds"
OPTIONS = Options(faults=tuple(FAULTS))
TRIALS = 200
FEW = range(12)


def environment(**more):
    return child_environment(PYTHONPATH=os.pathsep.join([str(STORE), *sys.path]), **more)


def explored():
    """The digests of all trials, in two workers."""
    plan = Plan(TARGET, OPTIONS, TRIALS, jobs=2, digests=True, shrinks=0.0)
    exploration = Exploration(plan, local(TARGET, OPTIONS, environment()))
    exploration.run()
    assert exploration.elapsed == exploration.elapsed, "once it is over, it takes no more time"
    assert exploration.lost == 0
    assert exploration.trials == TRIALS
    return exploration.digests


def digests(seeds, choices=(), **more):
    """The digests of trials that one worker runs, one after the other."""
    worker = LocalWorker(TARGET, OPTIONS, environment(**more))
    try:
        return {seed: worker.do(job(seed, choices)).digest for seed in seeds}
    finally:
        worker.close()


def job(seed, choices=()):
    return Job(f"seed {seed}", seed, tuple(choices), digest=True)


@pytest.fixture(scope="module")
def known():
    """By seed, the digest of each trial."""
    return {int(name.removeprefix("seed ")): digest for name, digest in explored().items()}


def of(known, seeds):
    return {seed: known[seed] for seed in seeds}


def test_no_two_trials_are_the_same(known):
    assert set(known) == set(range(TRIALS))
    assert len(set(known.values())) == TRIALS


def test_they_are_the_same_in_other_processes(known):
    assert {f"seed {seed}": digest for seed, digest in known.items()} == explored()


def test_they_are_the_same_in_another_order(known):
    order = [*reversed(FEW), *FEW]
    assert digests(order) == of(known, FEW)


@pytest.mark.parametrize("seed", [7, 93])
def test_they_are_the_same_whatever_ran_before(known, seed):
    assert digests([seed]) == of(known, [seed])
    assert digests([50, 50, 51, seed]) == of(known, [50, 51, seed])


@pytest.mark.parametrize("mode", ["record", "off"])
def test_they_are_the_same_however_they_are_recorded(known, mode, tmp_path):
    run_dir = tmp_path / "run"
    found = digests(FEW, ASSERTLIB=mode, ASSERTLIB_RUN_DIR=str(run_dir))
    assert found == of(known, FEW)
    shards = read_shards(str(run_dir)) if run_dir.exists() else []
    assert any(shard.hits for shard in shards) == (mode != "off")


@pytest.mark.parametrize("pure", ["", "1"])
def test_they_are_the_same_with_each_twin(known, pure, tmp_path):
    more = {"ASSERTLIB_PURE": pure, "ASSERTLIB_RUN_DIR": str(tmp_path)}
    assert digests(FEW, **more) == of(known, FEW)


def test_a_tape_gives_what_its_seed_gave(known):
    worker = LocalWorker(TARGET, OPTIONS, environment())
    try:
        for seed in FEW:
            recorded = worker.do(job(seed))
            replayed = worker.do(job(None, recorded.choices))
            assert recorded.digest == replayed.digest == known[seed]
    finally:
        worker.close()
