"""
Counts are exact: after SIGKILL, with threads, with thousands of assertions.
"""

import os
import signal

import pytest

from assertlib import Invariant, always, sometimes

from ..forms import by_form, has_long_form, sampled
from ..support import Children, counts_of

KILLS = by_form(20, 100)

LOOPS = {
    "always": "always(True, 'claim')",
    "a bound always": "bound(True)",
    "reachable": "reachable('claim')",
    "a sometimes that is not yet true": "sometimes(False, 'claim')",
    "a violated always": "always(number < 0, 'claim')",
    "an always by lambda": "always(lambda: True, 'claim')",
    "a comparison": "always_less_than(number, 1 << 40, 'claim')",
}

COUNT_AND_TELL = """
    import os
    from assertlib import *
    bound = Invariant("a.b").declare_always("claim")
    number = 0
    while True:
        CALL
        number += 1
        os.write(PIPE, number.to_bytes(8, "little"))
"""


def read_numbers(pipe, count):
    """Read until *count* numbers were told; returns the bytes."""
    data = b""
    while len(data) < 8 * count:
        chunk = os.read(pipe, 1 << 16)
        assert chunk, "the child ended by itself"
        data += chunk
    return data


def drain(pipe):
    data = b""
    while chunk := os.read(pipe, 1 << 16):
        data += chunk
    return data


def kill_at(directory, call, steps):
    """Kill a child after about *steps* hits: the hits it told, and those recorded."""
    children = Children(directory)
    read_end, write_end = os.pipe()
    script = COUNT_AND_TELL.replace("CALL", call).replace("PIPE", str(write_end))
    quiet = {"stdout": None, "stderr": None, "env": {"ASSERTLIB_SINKS": ""}}
    with children.start(script, pass_fds=[write_end], **quiet) as process:
        os.close(write_end)
        try:
            data = read_numbers(read_end, steps)
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
    data += drain(read_end)
    os.close(read_end)
    whole = len(data) // 8 * 8
    told = int.from_bytes(data[whole - 8 : whole], "little")
    return told, sum(counts_of(children.shards)["claim"])


@has_long_form
def test_no_hit_is_lost_or_invented_however_the_process_is_killed(tmp_path, dice):
    calls = list(LOOPS.values())
    for number in range(KILLS):
        directory = tmp_path / str(number)
        directory.mkdir()
        call = calls[number % len(calls)]
        steps = dice.choice([1, 2, dice.randrange(1, 100), dice.randrange(1, 2000)])
        told, recorded = kill_at(directory, call, steps)
        assert told <= recorded <= told + 1, f"{call} killed after {steps} steps"


def test_what_was_written_before_a_kill_is_readable_and_says_that_it_was_killed(tmp_path):
    kill_at(tmp_path, LOOPS["a violated always"], 5000)
    (shard,) = Children(tmp_path).shards
    assert not shard.exited
    assert shard.durable
    assert [hit.count for hit in shard.hits][:11] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16]
    assert shard.hits[0].source == "number < 0"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("always(True, 'claim')", (400_000, 0)),
        ("sometimes(False, 'claim')", (0, 400_000)),
        ("reachable('claim')", (400_000, 0)),
        ("bound(True)", (400_000, 0)),
    ],
)
def test_eight_threads_lose_no_hit(children, call, expected):
    script = f"""
        import sys, threading
        from assertlib import *
        sys.setswitchinterval(1e-6)
        bound = Invariant("a.b").declare_always("claim")
        barrier = threading.Barrier(8)

        def work():
            barrier.wait()
            for number in range(50_000):
                {call}

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    assert children.run(script).counts == {"claim": expected}


@pytest.mark.parametrize(
    "call",
    ["always(number < 0, 'claim')", "always(lambda: number < 0, 'claim')", "bound(number < 0)"],
)
def test_eight_threads_lose_no_violation(children, call):
    script = f"""
        import sys, threading
        from assertlib import *
        configure(sinks=[])
        sys.setswitchinterval(1e-6)
        bound = Invariant("a.b").declare_always("claim")
        barrier = threading.Barrier(8)

        def work():
            barrier.wait()
            for number in range(5_000):
                {call}

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    outcome = children.run(script)
    assert outcome.counts == {"claim": (0, 40_000)}
    counts = [hit.count for hit in outcome.shard.hits]
    assert sorted(counts) == sorted(set(counts))


def test_threads_that_meet_new_assertions_at_once_make_one_slot_for_each(children):
    def scenario():
        import threading

        barrier = threading.Barrier(8)

        def work():
            barrier.wait()
            for number in range(500):
                always(True, f"claim {number}")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    outcome = children.run(scenario)
    assert outcome.counts == {f"claim {number}": (8, 0) for number in range(500)}
    assert len(outcome.shard.slots) == 500


@pytest.mark.parametrize("killed", sampled([True, False], every=2))
@has_long_form
def test_thousands_of_assertions_are_counted_each(children, killed):
    def scenario(count, killed):
        import os
        import signal

        for number in range(count):
            for _ in range(number % 3 + 1):
                sometimes(number % 2 == 0, f"claim {number}")
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)

    count = by_form(2_000, 10_000)
    shard = children.run(scenario, count, killed, code=-signal.SIGKILL if killed else 0).shard
    assert shard.durable
    assert shard.lost_records == 0
    assert counts_of([shard]) == {
        f"claim {number}": (number % 3 + 1, 0) if number % 2 == 0 else (0, number % 3 + 1)
        for number in range(count)
    }


def test_counts_are_readable_without_the_lines(children):
    def scenario():
        Invariant("a.b").always(True, "claim")
        for _ in range(7):
            sometimes(False, "not yet")

    outcome = children.run(scenario)
    named = {slot.hash: slot.message for slot in outcome.shard.slots}
    (lines,) = outcome.run_dir.glob("*.jsonl")
    lines.unlink()
    shard = outcome.shard
    assert [(named[slot.hash], slot.kind.name) for slot in shard.slots] == [
        ("claim", "always"),
        ("not yet", "sometimes"),
    ]
    assert (shard.true, shard.false) == ([1, 0], [0, 7])


def test_the_lines_alone_tell_that_an_assertion_was_hit(children):
    def scenario():
        for _ in range(20):
            always(True, "claim")
            always(False, "broken")

    outcome = children.run(scenario)
    (counts,) = outcome.run_dir.glob("*.counts")
    counts.unlink()
    shard = outcome.shard
    assert not shard.durable
    assert outcome.counts["claim"][0] >= 1
    assert outcome.counts["broken"][1] >= 16
