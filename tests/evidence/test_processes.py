"""
Evidence of real processes: killed, forked, cut off, outliving their trials.
"""

import json
import signal

import pytest

from assertlib.evidence.gather import read_evidence
from assertlib.evidence.summary import summarise
from assertlib.evidence.tally import tallies
from assertlib.model import ALWAYS, SOMETIMES
from assertlib.recording.reader import UnreadableRunError, read_shards

from ..forms import has_long_form, places
from ..support import evidence_by_trial

ACK = "ack follows fsync"


def rows(world, *paths):
    summary = summarise(read_evidence(list(paths)), world.catalog, "store", world.sites)
    return {each.message: each for each in summary.assertions}


def test_the_hits_of_a_process_are_counted(world, child, run_dir):
    child("""
        from assertlib import always, sometimes
        for number in range(1000):
            always(True, "ack follows fsync")
            sometimes(number % 2 == 0, "even")
    """)
    found = rows(world, run_dir)
    assert (found[ACK].true, found[ACK].false) == (1000, 0)
    assert (found["even"].true, found["even"].false) == (500, 500)


def test_the_hits_of_all_processes_add_up(world, child, run_dir):
    for _ in range(2):
        child("from assertlib import always\nfor _ in range(10): always(True, 'ack follows fsync')")
    assert rows(world, run_dir)[ACK].true == 20


def test_no_hit_of_a_killed_process_is_lost(world, child, run_dir):
    child(
        """
        import os, signal
        from assertlib import always
        for _ in range(777):
            always(True, "ack follows fsync")
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        expect=-signal.SIGKILL,
    )
    assert rows(world, run_dir)[ACK].true == 777


def test_what_was_open_at_a_kill_belongs_to_the_trial_that_was_open(world, child, run_dir):
    child(
        """
        import os, signal
        from assertlib import always, trial
        with trial("seed-1"):
            always(True, "ack follows fsync")
        with trial("seed-2"):
            for _ in range(5):
                always(True, "ack follows fsync")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        expect=-signal.SIGKILL,
    )
    assert evidence_by_trial(run_dir) == {("seed-1", ACK, True): 1, ("seed-2", ACK, True): 5}
    assert tallies(read_evidence([run_dir]))[ALWAYS, ACK].trials_true == 2


def test_hits_by_trial_add_up_to_the_counters_of_all_processes(child, run_dir):
    child("""
        import os
        from assertlib import always, trial
        always(True, "ack follows fsync")
        for seed in range(4):
            with trial(f"seed-{seed}", seed=seed):
                always(True, "ack follows fsync")
                child = os.fork()
                for _ in range(seed):
                    always(True, "ack follows fsync")
                if not child:
                    os._exit(0)
                os.waitpid(child, 0)
            always(True, "ack follows fsync")
    """)
    tally = tallies(read_evidence([run_dir]))[ALWAYS, ACK]
    counted = sum(sum(shard.true) for shard in read_shards(str(run_dir)))
    assert tally.true == counted == 1 + 4 + 6 + 6 + 4
    by_trial = evidence_by_trial(run_dir)
    assert [by_trial[f"seed-{seed}", ACK, True] for seed in range(4)] == [1, 3, 5, 7]
    assert tally.trials_hit == 4


def test_a_child_that_outlives_its_trial_counts_for_no_trial(child, run_dir):
    child("""
        import subprocess, sys
        from assertlib import trial
        source = '''
        from assertlib import always
        always(True, "ack follows fsync")
        print("ready", flush=True)
        input()
        always(True, "ack follows fsync")
        '''
        source = "\\n".join(line.strip() for line in source.splitlines())
        with trial("seed-1"):
            child = subprocess.Popen(
                [sys.executable, "-c", source],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            child.stdout.readline()
        child.communicate("go on\\n")
        assert child.returncode == 0
    """)
    assert evidence_by_trial(run_dir) == {(None, ACK, True): 2}
    assert tallies(read_evidence([run_dir]))[ALWAYS, ACK].trials_true == 0


def test_a_child_that_ends_within_its_trial_counts_for_it(child, run_dir):
    child("""
        import subprocess, sys
        from assertlib import trial
        source = "from assertlib import always; always(True, 'ack follows fsync')"
        with trial("seed-1"):
            subprocess.run([sys.executable, "-c", source], check=True)
    """)
    assert evidence_by_trial(run_dir) == {("seed-1", ACK, True): 1}
    assert tallies(read_evidence([run_dir]))[ALWAYS, ACK].trials_true == 1


def test_a_violation_tells_details_condition_values_and_trial(world, child, run_dir):
    world.site(ALWAYS, ACK)
    child("""
        from assertlib import always, trial
        acked, synced = 1042, 1040
        with trial("seed-1", seed=7):
            always(acked <= synced, "ack follows fsync", {"acked": acked})
    """)
    example = rows(world, run_dir)[ACK].example
    assert json.loads(example.details) == {"acked": 1042}
    assert (example.trial, example.seed) == ("seed-1", 7)


def test_a_fault_told_by_the_process_puts_later_violations_out_of_the_model(world, child, run_dir):
    world.invariant("wal.fsync-before-ack", assumes=["fsync-honest"])
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    child("""
        from assertlib import always, lifecycle, trial
        with trial("seed-1", seed=1):
            lifecycle.faults(["fsync-lies"], breaks=["fsync-honest"])
            always(False, "ack follows fsync", invariant="wal.fsync-before-ack")
    """)
    assert rows(world, run_dir)[ACK].verdict == "out-of-model"


def test_a_feature_that_was_turned_off_once_stays_off_in_the_trials_that_follow(
    world, child, run_dir
):
    world.invariant("wal.fsync-before-ack", requires=["raft"])
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    child("""
        from assertlib import configure, trial
        with trial("seed-1"):
            configure(features={"raft": False})
        with trial("seed-2"):
            pass
    """)
    assert rows(world, run_dir)[ACK].verdict == "dormant"


def test_a_feature_can_be_told_through_the_environment(world, child, run_dir):
    world.invariant("wal.fsync-before-ack", requires=["raft"])
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    source = "from assertlib import reachable, trial\nwith trial('t'): reachable('here')"
    child(source, ASSERTLIB_FEATURES="raft=off")
    assert rows(world, run_dir)[ACK].verdict == "dormant"


def test_a_trial_inside_one_of_its_own_name_leaves_a_readable_run(child, run_dir):
    child("""
        from assertlib import always, trial
        with trial("seed-1"), trial("seed-1"):
            always(True, "ack follows fsync")
    """)
    assert evidence_by_trial(run_dir) == {("seed-1 (2)", ACK, True): 1}


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ("pass", "configure(run_dir={run!r})"),
        ("configure(mode='off')", "configure(mode='record')"),
    ],
    ids=["the run directory", "the mode"],
)
def test_changing_how_to_record_inside_a_trial_leaves_a_readable_run(
    child, run_dir, before, change
):
    child(f"""
        from assertlib import always, configure, trial
        {before}
        with trial("seed-1"):
            {change.format(run=str(run_dir))}
            always(True, "ack follows fsync")
    """)
    assert tallies(read_evidence([run_dir]))[ALWAYS, ACK].true == 1


# In a process of its own, so that a reader which goes round in circles is stopped.
JUDGE = """
    import signal, sys
    from pathlib import Path
    from assertlib.evidence.gather import read_evidence
    from assertlib.evidence.watch import RunWatch
    from assertlib.catalog.loader import Catalog, Entry
    from assertlib.catalog.model import Invariant
    from assertlib.evidence.summary import summarise

    signal.alarm(5)
    run = Path({run!r})
    watch = RunWatch(run)
    watch.update()
    violations, _ = watch.take("seed-1")
    known = Invariant(
        title="t", kind="safety", status="active", statement="s", why="w",
        expects=["always"], assumes=["fsync-honest"],
    )
    catalog = Catalog({{"kv.a": Entry("kv.a", known, "kv.toml", 1)}})
    summary = summarise(read_evidence([run]), catalog, "store", [])
    print(len(violations), summary.assertions[0].verdict)
"""


def test_a_child_that_begins_the_trial_it_was_started_in_is_judged_in_the_end(child, run_dir):
    source = """
        from assertlib import always, trial
        with trial("seed-1"):
            always(False, "ack follows fsync", invariant="kv.a")
    """
    in_trial = json.dumps({"id": "seed-1"})
    child(source, ASSERTLIB_TRIAL=in_trial)
    assert child(JUDGE.format(run=str(run_dir)), ASSERTLIB="off") == "1 violated\n"


# -- damage ------------------------------------------------------------------------------


@pytest.fixture
def small_run(child, run_dir):
    """A run of one process with a violation, a trial and a child's worth of lines."""
    child("""
        from assertlib import always, lifecycle, sometimes, trial
        with trial("seed-1", seed=1):
            always(True, "ack follows fsync")
            lifecycle.faults(["kill"])
            for number in range(3):
                always(number < 2, "two at most", {"number": number})
                sometimes(False, "never")
        lifecycle.send_event("done")
    """)
    return run_dir


def only(run_dir, pattern):
    (path,) = run_dir.glob(pattern)
    return path


def hit_lines(data):
    whole = data[: data.rfind(b"\n") + 1]
    return whole.count(b'{"assertlib_hit"') + whole.count(b'{"assertlib_violation"')


@has_long_form
def test_a_shard_cut_at_any_byte_keeps_every_earlier_line(world, small_run):
    path = only(small_run, "*.jsonl")
    whole = path.read_bytes()
    world.site(ALWAYS, ACK)
    for end in places(len(whole) + 1, every=7):
        path.write_bytes(whole[:end])
        world.runs.clear()
        shards = world.run("run-1").shards
        shards += read_shards(str(small_run))
        assert len(shards[0].hits) == hit_lines(whole[:end])
        assert world.result(ACK).true == 1


@has_long_form
def test_a_shard_cut_at_any_byte_without_its_counters_keeps_every_earlier_line(world, small_run):
    path = only(small_run, "*.jsonl")
    only(small_run, "*.counts").unlink()
    whole = path.read_bytes()
    for end in places(len(whole) + 1, every=7):
        path.write_bytes(whole[:end])
        (shard,) = read_shards(str(small_run))
        assert len(shard.hits) == hit_lines(whole[:end])
        found = rows(world, small_run)
        assert sum(each.hits for each in found.values()) >= len(shard.hits)


@has_long_form
def test_a_counter_file_cut_at_any_cell_never_stops_the_reader(world, small_run):
    path = only(small_run, "*.counts")
    whole = path.read_bytes()
    for end in places(256, every=7):
        path.write_bytes(whole[:end])
        assert rows(world, small_run)[ACK].true == 1


def test_a_violation_whose_counters_are_gone_is_still_violated(world, child, run_dir):
    child("from assertlib import always; always(False, 'ack follows fsync')")
    only(run_dir, "*.counts").unlink()
    assert rows(world, run_dir)[ACK].verdict == "violated"


def test_counters_without_any_lines_are_told_by_the_scan(world, small_run):
    world.site(ALWAYS, ACK)
    world.site(SOMETIMES, "never")
    only(small_run, "*.jsonl").unlink()
    # The scan of a run is what knows the names.
    run = world.run("run-1")
    run.shards += read_shards(str(small_run))
    assert (world.result(ACK).true, world.result("never").false) == (1, 3)


BAD_LINES = {
    "an empty line": b"\n",
    "garbage": b"garbage\n",
    "an empty record": b'{"assertlib_trial": {}}\n',
    "a record that is a number": b'{"assertlib_hit": 7}\n',
    "a field of another type": b'{"assertlib_faults": {"trial": 7}}\n',
    "no JSON": b'{"antithesis_assert": nonsense}\n',
    "a fraction of a hit": b'{"assertlib_delta": {"trial": null, "true": [1.5], "false": []}}\n',
    "bytes that are no text": b"\xff\xfe\n",
    "nesting without end": b'{"antithesis_assert": {"details": ' + b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_that_is_not_the_last_names_file_and_line(small_run, line):
    path = only(small_run, "*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], line, *lines[4:]]))
    with pytest.raises(UnreadableRunError) as error:
        read_evidence([small_run])
    assert f"{path}:5:" in str(error.value)


@pytest.mark.parametrize(
    "line", [b'{"assertlib_hit": {}}\n', b'{"assertlib_slot": {"slot": "x"}}\n']
)
def test_a_bad_line_about_hits_is_told_when_they_are_looked_at(small_run, line):
    path = only(small_run, "*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], line, *lines[4:]]))
    (shard,) = read_shards(str(small_run))
    with pytest.raises(UnreadableRunError) as error:
        shard.hits  # noqa: B018
    assert f"{path}:5:" in str(error.value)


BAD_DESCRIPTIONS = {
    "empty": "",
    "a list": "[]",
    "half an object": "{",
    "a schema of the future": '{"schema": 99}',
    "a site without fields": '{"schema": 1, "scan": [{}]}',
    "a site that is a number": '{"schema": 1, "scan": [7]}',
    "a site of no kind": '{"schema": 1, "scan": [{"kind": "now and then", "invariant": null}]}',
    "nesting without end": "[" * 100_000,
}


@pytest.mark.parametrize("text", BAD_DESCRIPTIONS.values(), ids=BAD_DESCRIPTIONS)
def test_a_damaged_description_of_a_run_is_an_error_that_names_it(small_run, text):
    (small_run / "run.json").write_text(text)
    with pytest.raises(UnreadableRunError, match=r"run\.json"):
        read_evidence([small_run])


def test_a_run_that_nobody_described_is_partial(world, small_run):
    world.site(ALWAYS, "elsewhere")
    assert rows(world, small_run)["elsewhere"].verdict == "inconclusive"
