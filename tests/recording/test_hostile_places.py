"""
Disks that are full, read-only or gone: the store goes on, and what is written stays whole.

Over 500 lines, since all tests share the small file system and the script that fills it.
"""

import json
import os
import signal
import subprocess

import pytest

from assertlib import Invariant, always, configure, lifecycle, reachable, sometimes, trial
from assertlib.recording.accelerator import speed

from ..forms import by_form, has_long_form
from ..support import Children, counts_of, trial_counts_of


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system of its own; only root can."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a file system: {done.stderr.strip()}")
        return place

    try:
        yield mount
    finally:
        if os.path.ismount(place):
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def on_disk(place):
    children = Children(place.parent)
    children.run_dir = place / "run"
    return children


def assert_lines_are_whole(outcome):
    for path in outcome.run_dir.glob("*.jsonl"):
        text = path.read_bytes()
        assert text.endswith(b"\n")
        for line in text.splitlines():
            json.loads(line)


FILL = """
import glob, os
from assertlib import *
configure(sinks=[])

def fill():
    with open(os.path.dirname(os.environ["ASSERTLIB_RUN_DIR"]) + "/filler", "wb", 0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass

def free():
    os.remove(os.path.dirname(os.environ["ASSERTLIB_RUN_DIR"]) + "/filler")

def size_of_shard():
    (path,) = glob.glob(os.environ["ASSERTLIB_RUN_DIR"] + "/*.jsonl")
    return os.path.getsize(path)

def fill_page(short_of):
    lifecycle.send_event("pad", {"x": ""})
    one = size_of_shard()
    lifecycle.send_event("pad", {"x": ""})
    line = size_of_shard() - one
    lifecycle.send_event("pad", {"x": "-" * (-(size_of_shard() + line + short_of) % 4096)})
    assert (size_of_shard() + short_of) % 4096 == 0
"""


@pytest.mark.parametrize("short_of", [0, 1, 2, 100, 400, 700, 2000, 4095])
def test_a_disk_that_fills_up_in_the_middle_of_a_line_loses_that_record_only(mounted, short_of):
    script = f"""{FILL}
for _ in range(3):
    always(False, "before")
fill_page({short_of})
fill()
for _ in range(200):
    always(True, "before")
    for number in range(5):
        always(False, f"while full {{number}}", {{"pad": "-" * 50}})
free()
for number in range(20):
    always(False, "after", {{"number": number}})
print(size_of_shard())
"""
    children = on_disk(mounted("size=1m"))
    outcome = children.run(script)
    assert_lines_are_whole(outcome)
    shard = outcome.shard
    assert shard.durable
    assert not shard.torn
    assert shard.lost_records > 0
    assert shard.exited
    assert outcome.counts["before"] == (200, 3)
    assert outcome.counts["after"] == (0, 20)
    assert sum(shard.false) == 3 + 1000 + 20
    numbers = [json.loads(hit.details)["number"] for hit in shard.hits if hit.message == "after"]
    assert numbers == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15]


def test_every_record_is_either_written_or_counted_as_lost(mounted):
    script = f"""{FILL}
reachable("before")
fill()
for number in range(40):
    lifecycle.send_event(f"event {{number}}", {{"pad": "-" * 200}})
print(size_of_shard())
"""
    outcome = on_disk(mounted("size=256k")).run(script)
    written = sum(line.startswith('{"event ') for line in outcome.lines)
    lost_at_exit = 0 if outcome.shard.exited else 1
    assert written + outcome.shard.lost_records == 40 + lost_at_exit


@pytest.mark.parametrize("killed", [False, True])
def test_a_disk_that_is_full_before_the_first_hit_leaves_counts_in_memory(mounted, killed):
    script = f"""{FILL}
import signal
os.mkdir(os.environ["ASSERTLIB_RUN_DIR"])
fill()
for _ in range(100):
    assert always(True, "claim")
    assert not always(len("x") > 1, "broken")
    assert not always(len, "trouble")
free()
reachable("after")
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    outcome = on_disk(mounted("size=256k")).run(script, code=-signal.SIGKILL if killed else 0)
    assert not outcome.shard.durable
    assert [hit.message for hit in outcome.shard.hits][-1] == "after"
    if not killed:
        shard = outcome.shard
        assert (sum(shard.true), sum(shard.false)) == (101, 100)
        assert shard.lost_records > 0
        assert shard.error_count == 100


@pytest.mark.parametrize("killed", [False, True])
def test_counters_that_cannot_grow_are_reported_as_not_durable(mounted, killed):
    script = f"""{FILL}
import signal
for number in range(10):
    always(True, f"claim {{number}}")
fill()
for number in range(1000):
    always(True, f"claim {{number}}")
free()
reachable("after")
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    outcome = on_disk(mounted("size=256k")).run(script, code=-signal.SIGKILL if killed else 0)
    shard = outcome.shard
    assert not shard.durable
    assert shard.true[:10] == [2] * 10
    assert shard.lost_records > 0
    if not killed:
        assert sum(shard.true) == 1011


@has_long_form
def test_a_full_disk_is_no_bus_error(mounted):
    times = by_form(1000, 5000)
    script = f"""{FILL}
reachable("before")
fill()
for number in range({times}):
    always(True, f"claim {{number}}")
    sometimes(False, "not yet")
    with trial(f"trial {{number % 3}}"):
        always_less_than(number, 10000, "less")
print("alive")
"""
    outcome = on_disk(mounted("size=128k")).run(script)
    assert outcome.out == "alive\n"
    assert outcome.counts["not yet"] == (0, times)
    assert outcome.counts["before"] == (1, 0)


def test_a_trial_whose_beginning_was_lost_leaves_a_readable_run(mounted):
    script = f"""{FILL}
always(True, "claim")
fill_page(0)
fill()
with trial("one"):
    always(True, "claim")
    free()
always(True, "claim")
"""
    outcome = on_disk(mounted("size=256k")).run(script)
    assert outcome.shard.lost_records > 0
    assert outcome.counts == {"claim": (3, 0)}


def test_a_trial_whose_end_was_lost_leaves_a_readable_run(mounted):
    script = f"""{FILL}
always(True, "claim")
with trial("one"):
    always(True, "claim")
    fill_page(0)
    fill()
free()
with trial("two"):
    always(True, "claim")
"""
    outcome = on_disk(mounted("size=256k")).run(script)
    assert outcome.counts == {"claim": (3, 0)}
    assert trial_counts_of(outcome.shards)["two", "claim", True] == 1


def test_hits_of_a_trial_whose_delta_was_lost_are_still_counted(mounted):
    script = f"""{FILL}
always(True, "claim")
with trial("one"):
    for _ in range(10):
        always(True, "claim")
    fill_page(0)
    fill()
free()
with trial("two"):
    always(True, "claim")
"""
    outcome = on_disk(mounted("size=256k")).run(script)
    assert sum(trial_counts_of(outcome.shards).values()) == 12


def test_a_file_that_may_not_grow_is_cut_back_to_whole_lines_at_every_byte(children):
    script = """
        import glob, os, resource
        from assertlib import *
        configure(sinks=[])

        def limit(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        for number in range(20):
            always(False, "before", {"pad": "-" * 300})
        (path,) = glob.glob(os.environ["ASSERTLIB_RUN_DIR"] + "/*.jsonl")
        start = os.path.getsize(path)
        lifecycle.send_event("event", {"number": 1000})
        length = os.path.getsize(path) - start
        for cut in range(length):
            limit(os.path.getsize(path) + cut)
            lifecycle.send_event("event", {"number": 2000})
            limit(resource.RLIM_INFINITY)
            lifecycle.send_event("event", {"number": 1001 + cut})
        print(length)
    """
    outcome = children.run(script)
    length = int(outcome.out)
    assert outcome.shard.lost_records == length
    assert_lines_are_whole(outcome)
    events = [json.loads(line)["event"] for line in outcome.lines if line.startswith('{"event"')]
    assert events == [{"number": 1000 + number} for number in range(length + 1)]


def test_a_read_only_file_system_does_not_stop_the_store(mounted):
    place = mounted("size=256k")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert_store_goes_on(on_disk(place))
    assert not (place / "run").exists()


def test_a_run_directory_that_became_read_only_does_not_stop_the_store(mounted):
    place = mounted("size=256k")
    (place / "run").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert_store_goes_on(on_disk(place))
    assert list((place / "run").iterdir()) == []


def use_everything():
    """What a store does, told as counts by the process itself."""
    from assertlib.recording.recorder import recorder

    bound = Invariant("a.b").declare_always("bound")
    for number in range(100):
        assert always(True, "holds")
        assert not always(number < 0, "broken", {"number": number})
        assert sometimes(number == 5, "five") is (number == 5)
        assert bound(True)
    with trial("one"):
        assert reachable("in a trial")
        lifecycle.faults(["kill"])
        lifecycle.send_event("event", {"a": 1})
        configure(features={"watch": True})
    assert always(always, "trouble") is False
    return [(message, true, false) for _, message, _, true, false in recorder.snapshot()]


def assert_store_goes_on(children):
    outcome = children.run(use_everything, env={"ASSERTLIB_SINKS": ""})
    assert sorted(outcome.value) == [
        ("bound", 100, 0),
        ("broken", 0, 100),
        ("five", 1, 99),
        ("holds", 100, 0),
        ("in a trial", 1, 0),
    ]
    assert "cannot record" in outcome.err
    assert len(outcome.err.splitlines()) < 6


@pytest.mark.parametrize("place", ["file", "file/run", "/proc/run", "n" * 300])
def test_a_run_directory_that_cannot_be_made_does_not_stop_the_store(children, place):
    (children.directory / "file").write_text("not a directory")
    children.run_dir = children.directory / place
    assert_store_goes_on(children)


def test_a_run_directory_that_cannot_be_made_can_be_changed_for_a_better_one(children):
    def scenario(better):
        always(True, "claim")
        configure(run_dir=better)
        always(True, "claim")

    better = children.directory / "better"
    children.run(scenario, str(better), env={"ASSERTLIB_RUN_DIR": "/proc/nothing"})
    children.run_dir = better
    assert counts_of(children.shards) == {"claim": (1, 0)}


def test_a_run_directory_that_is_removed_while_recording_does_not_stop_the_store(children):
    def scenario():
        import os
        import shutil

        always(True, "claim")
        shutil.rmtree(os.environ["ASSERTLIB_RUN_DIR"])
        for number in range(1000):
            always(False, f"claim {number % 200}")
        with trial("one"):
            always(True, "claim")
        if os.fork() == 0:
            always(True, "child")
            os._exit(0)
        assert os.wait()[1] == 0

    assert children.run(scenario, env={"ASSERTLIB_SINKS": ""}).counts == {"child": (1, 0)}


def test_a_process_without_free_descriptors_goes_on(children):
    def scenario():
        import os
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        first = [
            always(True, "claim"),
            always(len("x") > 1, "broken", {"a": 1}),
            reachable("here"),
            always(len, "trouble"),
            sometimes(False, "not yet"),
        ]
        with trial("one"):
            lifecycle.send_event("event")
        for descriptor in taken:
            os.close(descriptor)
        return first, [always(True, "claim"), always(len("x") > 1, "broken")]

    outcome = children.run(scenario)
    assert outcome.value == ([True, False, True, False, False], [True, False])


def test_a_descriptor_that_the_store_closed_under_our_feet_does_not_stop_it(children):
    def scenario():
        import os

        always(False, "before")
        always(True, "holds")
        os.closerange(3, 64)
        for number in range(300):
            always(False, f"after {number}")
            always(True, "holds")
        with trial("one"):
            always(True, "in a trial")

    outcome = children.run(scenario, env={"ASSERTLIB_SINKS": ""})
    assert outcome.counts["before"] == (0, 1)
    assert outcome.counts["holds"] == (301, 0)
    assert outcome.shard.lost_records > 0


def test_a_descriptor_that_now_belongs_to_the_store_is_not_written_to(children):
    def scenario():
        import os

        always(False, "before")
        os.closerange(3, 64)
        mine = [os.open(f"mine {number}", os.O_RDWR | os.O_CREAT) for number in range(8)]
        for descriptor in mine:
            os.write(descriptor, b"data of the store")
        for number in range(50):
            always(False, f"after {number}")
        return [os.pread(descriptor, 100, 0) for descriptor in mine]

    outcome = children.run(scenario, env={"ASSERTLIB_SINKS": ""})
    assert outcome.value == [b"data of the store"] * 8


def test_two_changes_of_a_directory_within_one_tick_of_its_clock_are_both_seen(children):
    def scenario():
        import os

        from assertlib.recording import rundir

        # A clock so coarse that both changes surely fall within one tick of it.
        rundir._CLOCK_GRAIN = 10**12
        run = os.environ["ASSERTLIB_RUN_DIR"]
        with trial("one"):
            reachable("parent")
        tick = os.stat(run).st_mtime_ns
        born, stay = os.pipe(), os.pipe()
        with trial("two"):
            if os.fork() == 0:
                os.close(stay[1])
                reachable("child")
                os.write(born[1], b"x")
                os.read(stay[0], 1)
                os._exit(0)
            os.read(born[0], 1)
            os.utime(run, ns=(tick, tick))
        os.close(stay[1])
        os.wait()

    outcome = children.run(scenario)
    (child,) = [shard.name for shard in outcome.shards if shard.base is not None]
    (parent,) = [shard for shard in outcome.shards if shard.base is None]
    assert parent.trials["two"].surviving_shards == {child}


def test_counters_keep_the_last_space_so_that_every_hit_is_counted(mounted):
    script = """
    from assertlib import *
    configure(sinks=[])
    for _ in range(3):
        for number in range(2000):
            always(True, f"claim {number}")
    """
    outcome = on_disk(mounted("size=1m")).run(script)
    shard = outcome.shard
    assert shard.durable
    assert sum(shard.true) == 6000
    assert shard.lost_records > 0
    assert_lines_are_whole(outcome)


CUT = """
import glob, os, signal
from assertlib import *
configure(sinks=[])
for number in range(300):
    always(True, f"claim {number}")
(path,) = glob.glob(os.environ["ASSERTLIB_RUN_DIR"] + "/*.counts")
CUT
for number in range(600):
    always(True, f"claim {number}")
always(False, "broken")
print("alive")
"""


@pytest.mark.skipif(speed is None, reason="Python alone ends by SIGBUS: docs/reliability.md")
@pytest.mark.parametrize("size", [0, 100, 4096])
def test_a_store_survives_that_its_counter_file_is_cut(children, size):
    outcome = children.run(CUT.replace("CUT", f"os.truncate(path, {size})"))
    assert outcome.out == "alive\n"
    assert "was truncated while it was being written" in outcome.err
    assert outcome.shard.damage
    assert outcome.counts["broken"] == (0, 1)


def test_a_store_survives_that_its_counter_file_is_deleted(children):
    outcome = children.run(CUT.replace("CUT", "os.unlink(path)"))
    assert outcome.out == "alive\n"
    assert outcome.shard.damage
    assert [hit.message for hit in outcome.shard.hits if hit.nth] == ["broken"]


@pytest.mark.skipif(speed is None, reason="the accelerator guards")
def test_a_bus_error_that_is_not_of_a_counter_file_goes_to_who_handled_it_before(children):
    script = """
    import faulthandler, mmap, os, tempfile
    from assertlib import *
    configure(sinks=[])
    faulthandler.enable()
    always(True, "mapped")
    with tempfile.TemporaryFile() as file:
        file.truncate(8192)
        mapped = mmap.mmap(file.fileno(), 8192)
        file.truncate(0)
        mapped[5000] = 1
    """
    outcome = children.run(script, code=-signal.SIGBUS)
    assert "Bus error" in outcome.err
    assert outcome.counts["mapped"] == (1, 0)


@pytest.mark.skipif(speed is None, reason="the accelerator guards")
def test_a_bus_error_that_somebody_sends_ends_the_store(children):
    script = """
    import os, signal
    from assertlib import *
    configure(sinks=[])
    always(True, "mapped")
    os.kill(os.getpid(), signal.SIGBUS)
    """
    assert children.run(script, code=-signal.SIGBUS).counts["mapped"] == (1, 0)
