"""
Violations as they are written, and to which trial they belong.
"""

import fcntl

import pytest

from assertlib.evidence.watch import RunWatch
from assertlib.recording.reader import Follower, UnreadableRunError


@pytest.fixture
def watch(run_dir):
    run_dir.mkdir()
    return RunWatch(run_dir)


def taken(watch, trial):
    watch.update()
    return [seen.hit.message for seen in watch.take(trial)[0]]


def test_a_violation_is_taken_by_its_trial_and_once_only(watch, child):
    child("""
        from assertlib import always, trial
        with trial("test_put"):
            always(False, "ack follows fsync")
    """)
    assert taken(watch, "test_other") == []
    assert taken(watch, "test_put") == ["ack follows fsync"]
    assert taken(watch, "test_put") == []


def test_a_violation_in_a_trial_inside_belongs_to_the_trial_around(watch, child):
    child("""
        from assertlib import always, trial
        with trial("test_put"), trial("example 1"), trial("seed 7"):
            always(False, "ack follows fsync")
    """)
    assert taken(watch, "test_put") == ["ack follows fsync"]


def test_a_violation_of_a_child_belongs_to_the_trial_it_was_started_in(watch, child):
    child("""
        import subprocess, sys
        from assertlib import trial
        source = "from assertlib import always; always(False, 'ack follows fsync')"
        with trial("test_put"):
            subprocess.run([sys.executable, "-c", source], check=True)
    """)
    assert taken(watch, "test_put") == ["ack follows fsync"]


def test_a_trial_whose_parent_is_in_no_shard_is_known_by_its_own_name_too(watch, child):
    child(
        """
        from assertlib import always, trial
        with trial("test_put"):
            always(False, "ack follows fsync")
        """,
        ASSERTLIB_TRIAL='{"id": "campaign seed 7"}',
    )
    assert taken(watch, "test_put") == ["ack follows fsync"]


def test_a_condition_that_cannot_be_evaluated_is_taken_too(watch, child):
    child("""
        from assertlib import always, trial
        with trial("test_put"):
            always(print, "never called")
    """)
    watch.update()
    _, troubles = watch.take("test_put")
    assert [trouble.message for trouble in troubles] == ["never called"]


def test_a_false_sometimes_is_no_violation(watch, child):
    child("""
        from assertlib import sometimes, trial
        with trial("test_put"):
            sometimes(False, "full")
    """)
    assert taken(watch, "test_put") == []


def test_an_expected_violation_is_not_taken(watch, child):
    child("""
        from assertlib import always, trial
        from assertlib.testing import expect_violation
        with trial("test_put"), expect_violation("ack follows fsync"):
            always(False, "ack follows fsync")
        with expect_violation("ack follows fsync"):
            always(False, "ack follows fsync")
    """)
    assert taken(watch, "test_put") == []


def test_what_is_written_between_two_updates_is_seen_at_the_second(watch, child):
    for number in range(2):
        child(f"""
            from assertlib import always, trial
            with trial("test_{number}"):
                always(False, "ack follows fsync")
        """)
        assert taken(watch, f"test_{number}") == ["ack follows fsync"]


def test_half_a_line_waits_for_its_other_half(watch, child, run_dir):
    child("""
        from assertlib import always, trial
        with trial("test_put"):
            always(False, "ack follows fsync")
    """)
    (path,) = run_dir.glob("*.jsonl")
    whole = path.read_bytes()
    with path.open("r+b") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        living.truncate(whole.index(b'{"assertlib_violation') + 20)
        assert taken(watch, "test_put") == []
        living.write(whole)
    assert taken(watch, "test_put") == ["ack follows fsync"]


def test_a_damaged_shard_is_an_error_that_names_file_and_line(watch, run_dir):
    (run_dir / "1-a.jsonl").write_text("garbage\n")
    with pytest.raises(UnreadableRunError, match=r"1-a\.jsonl:1:"):
        watch.update()


def test_a_shard_whose_process_has_ended_is_read_once(watch, child, monkeypatch):
    read = []
    update = Follower.read
    monkeypatch.setattr(Follower, "read", lambda self: (read.append(self), update(self)))
    for number in range(3):
        child(f"from assertlib import always; always({number} < 9, 'small')")
        watch.update()
    assert len(read) == 3
