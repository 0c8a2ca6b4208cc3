"""
assertlib held to its own catalog, by its own assertions: recording.
"""

import random
import subprocess
import sys

import pytest

from assertlib import Invariant
from assertlib.recording.reader import read_shards

from ..support import clean_environment

KILL = Invariant("recording.counts-survive-kill")
THREADS = Invariant("recording.threads-lose-nothing")
HARM = Invariant("recording.store-is-never-harmed")
TRIAL = Invariant("recording.every-hit-in-one-trial")

TOLD = """
import os
from assertlib import always
for number in range(1, 1_000_000):
    always(True, "loop goes on")
    os.write(1, number.to_bytes(8, "little"))
"""

THREADED = """
import threading
from assertlib import always
def hit():
    for _ in range(20_000):
        always(True, "shared")
threads = [threading.Thread(target=hit) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

HARMED = """
from assertlib import always, sometimes, configure
class Hostile:
    def __repr__(self):
        raise RuntimeError("no")
class Sink:
    def handle(self, hit):
        raise RuntimeError("no")
configure(sinks=[Sink()])
loop = []
loop.append(loop)
for number, details in enumerate([Hostile(), {"loop": loop}, {(1, 2): 3}, lambda: 1 / 0]):
    always(number < 0, "hostile details", details)
always(object.__init__, "not called")
sometimes(True, "text\\n\\"\\ud800", {"nan": float("nan"), "big": 2**70})
print("alive")
"""

NESTED = """
from assertlib import always, trial
def hit(times):
    for _ in range(times):
        always(True, "nested")
hit(1)
with trial("outer"):
    hit(2)
    with trial("inner"):
        hit(4)
    hit(8)
hit(16)
"""


def record(code, run_dir, **options):
    environment = clean_environment()
    environment["ASSERTLIB_RUN_DIR"] = str(run_dir)
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, **options
    )


def recorded(run_dir, message):
    return sum(
        shard.true[number]
        for shard in read_shards(str(run_dir))
        for number, slot in enumerate(shard.slots)
        if slot.message == message
    )


@pytest.mark.parametrize("seed", range(10))
def test_what_was_told_before_a_kill_is_counted(seed, tmp_path):
    process = record(TOLD, tmp_path)
    reads = random.Random(seed).randrange(1, 400)
    told = 0
    for _ in range(reads):
        told = int.from_bytes(process.stdout.read(8), "little")
    process.kill()
    rest = process.communicate()[0]
    told = int.from_bytes(rest[len(rest) // 8 * 8 - 8 : len(rest) // 8 * 8], "little") or told

    counted = recorded(tmp_path, "loop goes on")
    assert KILL.always(
        told <= counted <= told + 1,
        "a kill loses no hit and makes none up",
        {"told": told, "counted": counted, "seed": seed},
    )
    KILL.sometimes(counted > told, "a hit lands after the last acknowledged one")


def test_eight_threads_lose_nothing(tmp_path):
    record(THREADED, tmp_path).communicate()

    assert THREADS.always(
        recorded(tmp_path, "shared") == 8 * 20_000, "threads together count every hit"
    )


def test_hostile_details_and_sinks_do_not_reach_the_store(tmp_path):
    process = record(HARMED, tmp_path, stderr=subprocess.DEVNULL)
    said = process.communicate()[0]
    shards = read_shards(str(tmp_path))

    assert HARM.always(
        said == b"alive\n" and process.returncode == 0, "hostile details and sinks are survived"
    )
    assert HARM.sometimes(
        any(shard.troubles for shard in shards), "a condition that is not called is reported"
    )


def test_hits_of_nested_trials_add_up(tmp_path):
    record(NESTED, tmp_path).communicate()
    shard = read_shards(str(tmp_path))[0]
    by_trial = {}
    for delta in shard.deltas:
        by_trial[delta.trial] = by_trial.get(delta.trial, 0) + sum(delta.true)

    assert by_trial == {None: 17, "outer": 10, "inner": 4}
    assert TRIAL.always(
        sum(by_trial.values()) == sum(shard.true), "hits by trial add up to the counters"
    )
    assert TRIAL.sometimes(len(by_trial) > 2, "trials nest")
