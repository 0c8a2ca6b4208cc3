"""
How much a process may write; what is dropped is counted, and counters stay exact.
"""

import json
import os
import signal

import pytest

from assertlib import always, configure, lifecycle, sometimes, trial

LIMIT = 1 << 16


def violate_in_many_trials(count):
    configure(sinks=[])
    for number in range(count):
        with trial(f"trial {number}", seed=number):
            always(number < 0, "nothing is negative", {"text": "x" * 200})
            sometimes(number == 7, "it is seven")


def test_lines_never_grow_beyond_the_limit_and_counters_stay_exact(children):
    outcome = children.run(
        violate_in_many_trials, 2_000, env={"ASSERTLIB_MAX_SHARD_BYTES": str(LIMIT)}
    )
    (path,) = outcome.run_dir.glob("*.jsonl")
    assert LIMIT * 0.8 < path.stat().st_size <= LIMIT
    assert outcome.counts == {"nothing is negative": (0, 2_000), "it is seven": (1, 1_999)}
    assert outcome.shard.exited
    assert outcome.shard.dropped_records > 2_000


def test_trials_that_were_told_before_the_limit_keep_their_hits(children):
    outcome = children.run(
        violate_in_many_trials, 2_000, env={"ASSERTLIB_MAX_SHARD_BYTES": str(LIMIT)}
    )
    by_trial = {}
    for delta in outcome.shard.deltas:
        by_trial[delta.trial] = by_trial.get(delta.trial, 0) + sum(delta.true) + sum(delta.false)
    of_none = by_trial.pop(None)
    # The one in which the shard became full may have lost its second.
    assert set(sorted(by_trial.values())[1:]) == {2}
    assert sum(by_trial.values()) + of_none == 4_000


def test_a_process_that_is_killed_behind_the_limit_keeps_its_counts(children):
    def scenario(count):
        configure(sinks=[], max_shard_bytes=1 << 16)
        for number in range(count):
            with trial(f"trial {number}"):
                always(False, "never", {"text": "x" * 200})
        os.kill(os.getpid(), signal.SIGKILL)

    outcome = children.run(f"import os, signal\n{_called(scenario, 1_000)}", code=-signal.SIGKILL)
    assert outcome.counts == {"never": (0, 1_000)}
    assert outcome.shard.dropped_records > 500


def _called(scenario, *args):
    from ..support import script_of

    return script_of(scenario, *args)


def test_events_beyond_the_rate_are_dropped_and_counted(children):
    def scenario():
        configure(max_records_per_second=5)
        for number in range(1_000):
            lifecycle.send_event("tick", {"number": number})
        always(True, "the end is reached")

    outcome = children.run(scenario)
    ticks = [line for line in outcome.lines if "tick" in json.loads(line)]
    assert 5 <= len(ticks) < 500
    assert outcome.shard.dropped_records == 1_000 - len(ticks)


def test_the_first_outcomes_of_an_assertion_are_written_at_any_rate(children):
    def scenario():
        configure(sinks=[], max_records_per_second=1)
        for number in range(50):
            always(True, f"true {number}")
            always(False, f"false {number}")

    hits = [(hit.message, hit.condition) for hit in children.run(scenario).shard.hits]
    assert len(hits) == 100


def test_what_is_dropped_is_told_to_no_sink(children):
    def scenario():
        told = []

        class Sink:
            def handle(self, hit):
                told.append(hit.count)

        configure(sinks=[Sink()], max_records_per_second=2)
        for _ in range(500):
            always(False, "never")
        return len(told)

    assert children.run(scenario).value < 10


def test_the_first_violation_of_each_trial_is_written_at_any_rate(children):
    def scenario():
        configure(sinks=[], max_records_per_second=1)
        for number in range(50):
            with trial(f"trial {number}"):
                for _ in range(3):
                    always(False, "never")

    assert len({hit.trial for hit in children.run(scenario).shard.hits}) == 50


def test_a_violation_behind_the_limit_is_told_by_its_name(children):
    def scenario():
        configure(sinks=[], max_shard_bytes=1 << 16)
        for _ in range(1_000):
            lifecycle.send_event("tick", {"text": "x" * 500})
        always(False, "never")

    outcome = children.run(scenario)
    assert outcome.counts == {"never": (0, 1)}
    assert [hit.message for hit in outcome.shard.hits] == ["never"]


def test_a_larger_limit_lets_a_full_shard_go_on(children):
    def scenario():
        configure(max_shard_bytes=1 << 16)
        for number in range(1_000):
            if number == 999:
                configure(max_shard_bytes=1 << 20)
            lifecycle.send_event("tick", {"number": number, "text": "x" * 500})

    assert '"number": 999' in children.run(scenario).lines[-2]


def test_a_trial_with_a_name_of_any_length_stays_below_the_limit(children):
    def scenario():
        configure(sinks=[], max_shard_bytes=1 << 16)
        with trial("\u20ac" * 1_000):
            for _ in range(1_000):
                lifecycle.send_event("tick", {"text": "x" * 100})

    outcome = children.run(scenario)
    (path,) = outcome.run_dir.glob("*.jsonl")
    assert path.stat().st_size <= LIMIT


def test_children_inherit_the_limits(children):
    def scenario():
        configure(max_records_per_second=3, max_shard_bytes=1 << 20)
        return [os.environ[name] for name in sorted(os.environ) if "_MAX_" in name]

    assert children.run(f"import os\n{_called(scenario)}").value == ["3", str(1 << 20)]


@pytest.mark.parametrize(
    "limits",
    [
        {"max_shard_bytes": 1_000},
        {"max_shard_bytes": -1},
        {"max_records_per_second": -1},
        {"max_records_per_second": "many"},
    ],
    ids=str,
)
def test_a_limit_that_is_none_is_refused(limits):
    with pytest.raises(ValueError, match="max_"):
        configure(**limits)


def test_a_limit_of_the_environment_that_cannot_be_read_is_said_and_is_none(children):
    outcome = children.run(
        "import assertlib\nassertlib.always(True, 'fine')", env={"ASSERTLIB_MAX_SHARD_BYTES": "1k"}
    )
    assert outcome.err.count("ASSERTLIB_MAX_SHARD_BYTES") == 1
    assert "RECORDS" not in outcome.err
    assert outcome.counts == {"fine": (1, 0)}
