"""
Every process counts its own hits, in a shard of its own, however it came and goes.
"""

import os
import signal

import pytest

from assertlib import always, reachable, trial


def by_shard(outcome):
    """Counts of each shard, without those that only repeat a declaration."""
    return sorted(
        sorted(
            (slot.message, true)
            for slot, true in zip(shard.slots, shard.true, strict=True)
            if true > 0
        )
        for shard in outcome.shards
    )


SLOW_IMPORT = """
import importlib.abc, os, signal, sys, threading, time
import assertlib

class Slow(importlib.abc.MetaPathFinder):
    begun, forked = threading.Event(), False
    def find_spec(self, name, path, target=None):
        if name == {module!r} and not Slow.forked:
            Slow.begun.set()
            time.sleep(0.5)

sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=lambda: assertlib.always(False, "in a thread"))
thread.start()
Slow.begun.wait()
child = os.fork()
if child == 0:
    Slow.forked = True
    signal.alarm(20)
    assertlib.always(False, "in the child")
    os._exit(0)
print(os.waitpid(child, 0)[1])
thread.join()
"""


@pytest.mark.parametrize("module", ["assertlib._capture.condition", "assertlib.telemetry.log"])
def test_a_fork_in_the_middle_of_a_first_record_hangs_no_child(children, module):
    outcome = children.run(SLOW_IMPORT.format(module=module))
    assert outcome.value == 0
    assert outcome.counts == {"in a thread": (0, 1), "in the child": (0, 1)}


def test_a_forked_child_counts_from_zero_into_a_shard_of_its_own(children):
    def scenario():
        import os

        for _ in range(5):
            always(True, "claim")
        child = os.fork()
        for _ in range(3 if child == 0 else 2):
            always(True, "claim")
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    assert by_shard(children.run(scenario)) == [[("claim", 3)], [("claim", 7)]]


def test_the_shards_of_parent_and_child_name_their_processes(children):
    def scenario():
        import os

        reachable("parent")
        child = os.fork()
        if child == 0:
            reachable("child")
            os._exit(0)
        os.waitpid(child, 0)
        return os.getpid(), child

    outcome = children.run(scenario)
    parent, child = outcome.value
    headers = {shard.slots[0].message: shard.header for shard in outcome.shards}
    assert headers["parent"]["pid"] == parent
    assert (headers["child"]["pid"], headers["child"]["parent"]) == (child, parent)


def test_a_fork_of_a_fork_counts_by_itself(children):
    def scenario():
        import os

        reachable("one")
        if os.fork() == 0:
            reachable("two")
            if os.fork() == 0:
                reachable("three")
                os._exit(0)
            os.wait()
            os._exit(0)
        os.wait()
        reachable("one")

    assert by_shard(children.run(scenario)) == [[("one", 2)], [("three", 1)], [("two", 1)]]


def test_a_child_that_hits_nothing_leaves_nothing(children):
    def scenario():
        import os

        reachable("parent")
        if os.fork() == 0:
            os._exit(0)
        os.wait()

    assert by_shard(children.run(scenario)) == [[("parent", 1)]]


def test_a_child_that_is_killed_at_once_leaves_its_counts(children):
    def scenario():
        import os
        import signal

        reachable("parent")
        child = os.fork()
        if child == 0:
            for _ in range(1000):
                always(True, "claim")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)

    assert by_shard(children.run(scenario)) == [[("claim", 1000)], [("parent", 1)]]


def test_a_bound_assertion_counts_in_the_process_that_hits_it(children):
    def scenario():
        import os

        from assertlib import Invariant

        bound = Invariant("a.b").declare_always("claim")
        for _ in range(5):
            bound(True)
        if os.fork() == 0:
            for _ in range(3):
                bound(True)
            os._exit(0)
        os.wait()
        bound(True)

    outcome = children.run(scenario)
    assert by_shard(outcome) == [[("claim", 3)], [("claim", 6)]]
    assert {slot.invariant for shard in outcome.shards for slot in shard.slots} == {"a.b"}


def test_records_of_a_child_are_its_own(children):
    def scenario():
        import os

        always(False, "claim", {"who": "parent"})
        if os.fork() == 0:
            always(False, "claim", {"who": "child"})
            os._exit(0)
        os.wait()

    details = sorted(hit.details for shard in children.run(scenario).shards for hit in shard.hits)
    assert details == ['{"who": "child"}', '{"who": "parent"}']


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_count_by_themselves(children, method):
    script = f"""
        import multiprocessing
        from assertlib import always, reachable

        def work(hits):
            for _ in range(hits):
                always(True, "claim")

        if __name__ == "__main__":
            reachable("parent")
            context = multiprocessing.get_context("{method}")
            workers = [context.Process(target=work, args=(hits,)) for hits in (2, 3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
                assert worker.exitcode == 0
    """
    assert by_shard(children.run(script)) == [[("claim", 2)], [("claim", 3)], [("parent", 1)]]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_pool_lose_no_hit_when_they_are_terminated(children, method):
    script = f"""
        import multiprocessing
        from assertlib import always

        def work(number):
            return always(number >= 0, "claim")

        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                assert all(pool.map(work, range(500)))
    """
    assert children.run(script).counts == {"claim": (500, 0)}


def test_a_process_that_leaves_by_os_exit_keeps_its_counts_and_did_not_end_regularly(children):
    def scenario():
        import os

        for _ in range(77):
            always(True, "claim")
        os._exit(0)

    outcome = children.run(scenario)
    assert outcome.counts == {"claim": (77, 0)}
    assert not outcome.shard.exited


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(0)"])
def test_a_process_that_ends_regularly_says_so(children, end):
    outcome = children.run(f"import assertlib\nassertlib.reachable('m')\n{end}\n")
    assert outcome.shard.exited


def test_hits_while_the_interpreter_ends_are_counted(children):
    script = """
        import atexit
        import assertlib
        atexit.register(lambda: [assertlib.always(True, "claim") for _ in range(9)])
        assertlib.always(True, "claim")
        assertlib.recording.recorder.recorder  # the recorder's own handler was registered first
    """
    assert children.run(script).counts == {"claim": (10, 0)}


def test_hits_after_the_recorder_was_closed_are_counted(children):
    script = """
        import atexit
        atexit.register(lambda: [assertlib.always(True, "claim") for _ in range(9)])
        import assertlib
        assertlib.always(True, "claim")
    """
    assert children.run(script).counts == {"claim": (10, 0)}


def test_a_program_started_by_exec_counts_in_its_own_shard(children):
    def scenario():
        import os
        import sys

        for _ in range(5):
            always(True, "before")
        script = "import assertlib\nfor _ in range(4): assertlib.always(True, 'after')"
        os.execv(sys.executable, [sys.executable, "-c", script])

    assert by_shard(children.run(scenario)) == [[("after", 4)], [("before", 5)]]


def test_a_child_that_forks_and_execs_counts_in_its_own_shard(children):
    def scenario():
        import os
        import sys

        reachable("parent")
        if os.fork() == 0:
            reachable("between")
            script = "import assertlib; assertlib.reachable('after')"
            os.execv(sys.executable, [sys.executable, "-c", script])
        os.wait()

    assert by_shard(children.run(scenario)) == [
        [("after", 1)],
        [("between", 1)],
        [("parent", 1)],
    ]


def test_a_daemon_that_left_its_directory_records(children):
    def scenario():
        import os

        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
        always(True, "claim")
        with trial("one"):
            always(False, "claim")

    outcome = children.run(scenario)
    assert outcome.counts == {"claim": (1, 1)}
    assert outcome.shard.error_count == 0
    assert "one" in outcome.shard.trials


def test_a_process_that_is_started_in_a_directory_that_is_gone_records(children):
    def scenario():
        import os
        import subprocess
        import sys

        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
        script = "import assertlib; assertlib.always(True, 'claim')"
        subprocess.run([sys.executable, "-c", script], check=True)

    assert children.run(scenario).counts == {"claim": (1, 0)}


def test_forks_while_other_threads_record_neither_hang_nor_lose_hits(children):
    def scenario():
        import os
        import threading

        stop = threading.Event()
        hits = [0, 0]

        def record(worker):
            number = 0
            while not stop.is_set():
                always(False, f"thread {worker} claim {number % 500}")
                number += 1
            hits[worker] = number

        threads = [threading.Thread(target=record, args=(worker,)) for worker in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            child = os.fork()
            if child == 0:
                for number in range(10):
                    always(True, f"child claim {number}")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        return sum(hits)

    outcome = children.run(scenario, env={"ASSERTLIB_SINKS": ""})
    assert len(outcome.shards) == 41
    in_children = [outcome.counts[f"child claim {number}"] for number in range(10)]
    assert in_children == [(40, 0)] * 10
    in_threads = [false for name, (_, false) in outcome.counts.items() if name[:6] == "thread"]
    assert sum(in_threads) == outcome.value


def test_a_child_that_lives_on_after_its_parent_was_killed_goes_on_counting(children):
    read_end, write_end = os.pipe()

    def scenario(parent_is_dead):
        import os
        import signal

        reachable("parent")
        parent = os.getpid()
        if os.fork() == 0:
            reachable("child")
            os.kill(parent, signal.SIGKILL)
            while os.getppid() == parent:
                pass
            reachable("child")
            os.write(parent_is_dead, b"x")
            os._exit(0)
        signal.pause()

    outcome = children.run(scenario, write_end, code=-signal.SIGKILL, pass_fds=[write_end])
    assert os.read(read_end, 1) == b"x"
    os.close(read_end)
    os.close(write_end)
    assert by_shard(outcome) == [[("child", 2)], [("parent", 1)]]
