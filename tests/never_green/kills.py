"""
Kills a program at random moments, and holds what was counted against what it did.

``python tests/never_green/kills.py --kills 1000`` is the long form: `make kills`.

The program calls every form of assertion from three threads of a process and of its forked child,
in trials and outside.  After each call a thread adds one to a tally of its own in a shared file.
After a kill -9, what is counted is what the tallies say, and at most one more for each thread, for
the call that was under way.
"""

import argparse
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

THREADS = 3
PROCESSES = 2
FORMS = ("direct", "bound", "seen false", "guarded", "broken")
CELLS = len(FORMS)
ALIVE = 1 << 12
"""Offset of the byte that says that all threads are at work."""


def offset(process, thread, form):
    return 8 * ((process * THREADS + thread) * CELLS + FORMS.index(form))


def work(tally, process, thread, seed):
    """Assert without end."""
    from assertlib import always, always_if, sometimes, trial

    rng = random.Random(f"{seed}/{process}/{thread}")
    calls = {
        "direct": lambda: always(True, "direct"),
        "bound": lambda: BOUND(True),
        "seen false": lambda: sometimes(False, "seen false"),
        "guarded": lambda: always_if(True, lambda: True, "guarded"),
        "broken": lambda: always(False, "broken"),
    }
    while True:
        form = rng.choices(FORMS, (40, 40, 30, 20, 1))[0]
        if rng.random() < 0.02 and thread == 0:
            with trial(f"{process}/{rng.random()}"):
                calls[form]()
        else:
            calls[form]()
        at = offset(process, thread, form)
        done = int.from_bytes(tally[at : at + 8], "little") + 1
        tally[at : at + 8] = done.to_bytes(8, "little")
        tally[ALIVE + process * THREADS + thread] = 1


def program(path, seed):
    global BOUND
    from assertlib import Invariant

    BOUND = Invariant("kv.promise").declare_always("bound")
    file = os.open(path, os.O_RDWR)
    tally = mmap.mmap(file, 2 * ALIVE)
    process = 0 if os.fork() else 1
    for thread in range(1, THREADS):
        threading.Thread(target=work, args=(tally, process, thread, seed), daemon=True).start()
    work(tally, process, 0, seed)


def kill_once(directory, seed, pure):
    """
    Run the program, kill it at a random moment, and compare.

    Returns:
        How many calls it had made.
    """
    from assertlib.recording.reader import read_shards

    run, path = directory / "run", directory / "tally"
    path.write_bytes(bytes(2 * ALIVE))
    environment = {
        **os.environ,
        "ASSERTLIB_RUN_DIR": str(run),
        "ASSERTLIB_SINKS": "",
        "ASSERTLIB_PURE": "1" if pure else "0",
    }
    rng = random.Random(seed)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 2 * ALIVE) as tally:
        child = subprocess.Popen(
            [sys.executable, __file__, "--program", str(path), "--seed", str(seed)],
            env=environment,
            start_new_session=True,
        )
        at_work = slice(ALIVE, ALIVE + PROCESSES * THREADS)
        deadline = time.monotonic() + 60
        while not all(tally[at_work]):
            assert child.poll() is None, "the program ended by itself"
            assert time.monotonic() < deadline, "the program did not get to work"
        time.sleep(rng.uniform(0, 0.05))
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        _wait_for_group(child.pid)
        done = Counter()
        for process in range(PROCESSES):
            for thread in range(THREADS):
                for form in FORMS:
                    place = offset(process, thread, form)
                    done[form] += int.from_bytes(tally[place : place + 8], "little")
    shards = read_shards(str(run))
    assert all(not shard.damage for shard in shards), [shard.damage for shard in shards]
    counted = Counter()
    for shard in shards:
        assert sum(map(sum, (delta.true for delta in shard.deltas))) == sum(shard.true)
        assert sum(map(sum, (delta.false for delta in shard.deltas))) == sum(shard.false)
        for slot, true, false in zip(shard.slots, shard.true, shard.false, strict=True):
            counted[slot.message] += true + false
    for form in FORMS:
        under_way = counted[form] - done[form]
        assert 0 <= under_way <= PROCESSES * THREADS, (
            f"seed {seed}: {form!r} was called {done[form]} times and counted {counted[form]}"
        )
    return sum(done.values())


def _wait_for_group(group):
    """Wait until none of the killed group is left: its orphans are not ours to wait for."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
    raise AssertionError("killed processes are still there")


def kill_many(kills, first_seed, report=lambda _: None):
    """Kill so many times, both implementations in turn; how many calls were made in all."""
    calls = 0
    for number in range(kills):
        with tempfile.TemporaryDirectory() as directory:
            calls += kill_once(Path(directory), first_seed + number, pure=number % 2 == 1)
        if (number + 1) % 100 == 0:
            report(f"{number + 1} kills, {calls:,} calls: exact")
    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program")
    options = parser.parse_args()
    if options.program:
        program(options.program, options.seed)
        return
    print(f"seeds from {options.seed}", flush=True)
    calls = kill_many(options.kills, options.seed, lambda text: print(text, flush=True))
    print(f"{options.kills} kills, {calls:,} calls: exact, no violation lost")


if __name__ == "__main__":
    main()
