"""
What came first, whatever the wall clock says: faults and hits, runs and trials.
"""

import os
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.evidence.order import comes_before
from assertlib.evidence.runs import describe_run, find_runs, new_run, read_info, runs_in_order
from assertlib.model import ALWAYS
from assertlib.recording.limits import Limits
from assertlib.recording.rundir import LiveShards
from assertlib.recording.shard import ShardWriter

from .projects import Project

ACK = "ack follows fsync"
CENTURY = 100 * 365 * 86_400 * 10**9
CLOCKS = {
    "still": lambda real: lambda: 4_070_908_800 * 10**9,
    "a century ahead": lambda real: lambda: real() + CENTURY,
    "a century back": lambda real: lambda: real() - CENTURY,
    "in milliseconds": lambda real: lambda: real() // 10**6 * 10**6,
}


@pytest.fixture(params=CLOCKS)
def odd_clock(request, monkeypatch):
    """A function that lets the wall clock do this from then on."""
    real = time.time_ns
    return lambda: monkeypatch.setattr(time, "time_ns", CLOCKS[request.param](real))


# -- faults and hits ------------------------------------------------------------------------------

TIMES = st.integers(0, 5)


def told(world, steps, clock_ids=("boot", "boot")):
    """Whether a fault precedes a hit that two processes, or one, recorded in some order."""
    run = world.run()
    processes = [run.process(f"{n}-p", clock_id=each) for n, each in enumerate(clock_ids)]
    for process, kind, at in steps:
        if kind == "fault":
            processes[process].faults("lie", breaks=["fsync-honest"], trial="t", time=at)
        else:
            processes[process].hit(ALWAYS, ACK, False, trial="t", time=at)
    shards = {each.name: each for each in world.evidence().shards_of("run-1")}
    (fault,) = [(shard, each) for shard in shards.values() for each in shard.faults]
    (hit,) = [(shard, each) for shard in shards.values() for each in shard.violations]
    return comes_before(fault[1], fault[0], hit[1], hit[0])


@given(fault=TIMES, hit=TIMES, first=st.sampled_from(["fault", "hit"]))
def test_in_one_process_both_position_and_clock_have_to_say_so(new_world, fault, hit, first):
    steps = [(0, "fault", fault), (0, "hit", hit)]
    precedes = told(new_world(), steps if first == "fault" else steps[::-1])
    assert precedes == (first == "fault" and fault <= hit)


@given(fault=TIMES, hit=TIMES)
def test_across_processes_of_one_boot_the_clock_says_so_and_a_draw_does_not(new_world, fault, hit):
    assert told(new_world(), [(0, "fault", fault), (1, "hit", hit)]) == (fault < hit)


@pytest.mark.parametrize("clock_ids", [("boot", "another"), ("", ""), ("boot", "")])
def test_across_boots_nothing_is_known(new_world, clock_ids):
    assert not told(new_world(), [(0, "fault", 1), (1, "hit", 5)], clock_ids)


def test_a_first_violation_whose_record_was_lost_is_in_the_model(world):
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    world.invariant("wal.fsync-before-ack", assumes=["fsync-honest"])
    process = world.run().process().trial("t")
    process.hit(ALWAYS, ACK, False, trial="t", time=1)
    process.faults("lie", breaks=["fsync-honest"], trial="t", time=2)
    process.hit(ALWAYS, ACK, False, trial="t", time=3)
    del process.shard.hits[0]
    assert world.verdict(ACK) == "violated"


def test_two_processes_that_began_trials_of_one_name_share_no_faults(world):
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    world.invariant("wal.fsync-before-ack", assumes=["fsync-honest"])
    run = world.run()
    run.process("1-a").trial("t").faults("lie", breaks=["fsync-honest"], trial="t", time=1)
    run.process("2-b").trial("t").hit(ALWAYS, ACK, False, trial="t", time=2)
    assert world.verdict(ACK) == "violated"


# -- runs -------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path):
    return find_config(Project(tmp_path).root)


def described(config):
    path = new_run(config)
    describe_run(path, check(config, *config.target()), config, ["make"])
    return path


def test_the_newest_run_is_the_last_to_start_whatever_the_clock_does(config, odd_clock):
    first = described(config)
    odd_clock()
    second, third = described(config), described(config)
    assert runs_in_order(config) == [first, second, third]
    assert find_runs(config, []) == [third]
    assert read_info(second).started < read_info(third).started


def test_a_directory_that_was_renamed_keeps_its_place(config):
    first, second = described(config), described(config)
    renamed = first.rename(first.with_name("zzz"))
    assert runs_in_order(config) == [renamed, second]


def test_a_run_is_named_after_the_time_in_utc(config, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert new_run(config).name[:11] == time.strftime("%Y%m%d-%H", time.gmtime())
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_run_that_was_not_described_started_with_its_first_process(config, tmp_path):
    first = described(config)
    second = new_run(config)
    words = [sys.executable, "-c", "import store; store.put(1)"]
    done = Project(tmp_path).execute(*words, ASSERTLIB_RUN_DIR=str(second))
    assert done.returncode == 0, done.stderr
    assert runs_in_order(config) == [first, second]


# -- everything else that once asked the wall clock ---------------------------------------------------


def test_limits_go_on_while_the_wall_clock_stands_still(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    limits = Limits(records_per_second=1000)
    assert sum(limits.allow_a_record() for _ in range(2000)) >= 1000
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    assert limits.allow_a_record()


def test_a_process_that_begins_is_noticed_whatever_the_clock_does(tmp_path, odd_clock):
    live = LiveShards(str(tmp_path))
    assert live.names() == []
    odd_clock()
    first = ShardWriter(str(tmp_path / "1-a.jsonl"), [], os.getpid())
    assert live.names() == ["1-a"]
    second = ShardWriter(str(tmp_path / "2-b.jsonl"), [], os.getpid())
    assert live.names() == ["1-a", "2-b"]
    first.close()
    second.close()
    assert live.names() == []
