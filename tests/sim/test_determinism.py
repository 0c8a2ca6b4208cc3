"""
A trial is the same in every process, however it is recorded and whatever ran before it.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from assertlib.recording.reader import read_shards
from assertlib.sim import Options
from assertlib.sim.engine import LocalWorker, local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.faults import FAULTS
from assertlib.sim.worker import Job

from ..forms import by_form, has_long_form
from ..support import child_environment

STORE = Path(__file__).parents[2] / "examples" / "kvstore"
TARGET = "kvstore.simulation:rounds"
OPTIONS = Options(faults=tuple(FAULTS))
TRIALS = by_form(48, 200)
FEW = range(by_form(8, 12))


def environment(**more):
    return child_environment(PYTHONPATH=os.pathsep.join([str(STORE), *sys.path]), **more)


def explored():
    """The digests of all trials, in two workers."""
    plan = Plan(TARGET, OPTIONS, TRIALS, jobs=2, digests=True, shrinks=0)
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


@has_long_form
def test_no_two_trials_are_the_same(known):
    assert set(known) == set(range(TRIALS))
    assert len(set(known.values())) == TRIALS


@pytest.mark.long
def test_they_are_the_same_in_other_processes(known):
    assert {f"seed {seed}": digest for seed, digest in known.items()} == explored()


def test_they_are_the_same_in_another_order(known):
    order = [*reversed(FEW), *FEW]
    assert digests(order) == of(known, FEW)


@pytest.mark.parametrize("seed", [7, 47])
def test_they_are_the_same_whatever_ran_before(known, seed):
    assert digests([seed]) == of(known, [seed])
    assert digests([40, 40, 41, seed]) == of(known, [40, 41, seed])


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


# -- hashes by address --------------------------------------------------------------------------

VOTES = """
import asyncio
import dataclasses

@dataclasses.dataclass(frozen=True)
class Vote:
    term: int
    voted_for: int | None = None

async def elect(world):
    # Before Python 3.12, hash(None) is an address, and so decides the order of this set.
    for vote in {Vote(term) for term in range(6)}:
        world.loop.note(f"vote of term {vote.term}")
        await asyncio.sleep(0.001 * (vote.term + 1))
"""
WITHOUT_PERSONALITY = """
import ctypes
import struct
import sys

# A filter of system calls that refuses personality(2), 135 on x86-64, with EPERM.
program = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x20, 0, 0, 0), (0x15, 0, 1, 135), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)
    )
)
held = ctypes.create_string_buffer(program)
filter = struct.pack("HxxxxxxP", 4, ctypes.addressof(held))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
if libc.prctl(22, 2, ctypes.create_string_buffer(filter), 0, 0):
    sys.exit(77)
from assertlib.sim.engine import unrecorded
from assertlib.sim.trial import Options
from assertlib.sim.worker import Job

worker = unrecorded("votes:elect", Options())
assert worker.do(Job("one", 0)).steps
print(worker.stamp["addresses"])
worker.close()
"""


@pytest.fixture
def votes(tmp_path, monkeypatch):
    (tmp_path / "votes.py").write_text(VOTES)
    monkeypatch.chdir(tmp_path)
    return child_environment(PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))


def test_sets_of_what_hashes_by_the_address_of_none_iterate_alike_in_every_process(votes):
    found = set()
    for _ in range(8):
        worker = LocalWorker("votes:elect", Options(), votes)
        try:
            found.add(worker.do(job(0)).digest)
        finally:
            worker.close()
        if worker.stamp["addresses"] != "fixed":
            pytest.skip("this kernel refuses to fix addresses")
    assert len(found) == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls differ")
def test_where_the_kernel_refuses_fixed_addresses_a_worker_starts_all_the_same(votes):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PERSONALITY],
        env=votes, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("this kernel has no filters of system calls")
    assert done.stdout == "random\n", done.stderr
