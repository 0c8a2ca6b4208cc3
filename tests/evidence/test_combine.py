"""
Evidence is a set of shards: neither order nor repetition changes what it says.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.evidence.combine import Evidence
from assertlib.evidence.runs import RunInfo
from assertlib.evidence.summary import summarise
from assertlib.evidence.tally import tallies
from assertlib.model import ALWAYS, REACHABLE, SOMETIMES
from assertlib.recording.records import Delta, SlotRecord

from ..support import add_run

ACK = "ack follows fsync"
RUNS = ["run-1", "run-2"]
PROCESSES = ["1-a", "2-b", "3-c"]
TRIALS = [None, "seed-1", "seed-2"]
ASSERTIONS = [
    (ALWAYS, "ack follows fsync", "wal.fsync-before-ack"),
    (SOMETIMES, "victim catches up", "watch.reliable"),
    (REACHABLE, "snapshot taken", None),
    (ALWAYS, "only a shard knows it", None),
]

hits = st.tuples(
    st.just("hit"),
    st.sampled_from(ASSERTIONS),
    st.booleans(),
    st.integers(1, 5),
    st.sampled_from(TRIALS),
    st.integers(0, 9),
)
faults = st.tuples(st.just("fault"), st.sampled_from(TRIALS), st.integers(0, 9))
features = st.tuples(st.just("feature"), st.sampled_from(TRIALS), st.booleans())
proofs = st.tuples(st.just("proof"), st.sampled_from(["early-ack", "lost-fsync"]))
troubles = st.tuples(st.just("trouble"), st.sampled_from(["one", "other"]))
steps = st.lists(
    st.tuples(
        st.sampled_from(RUNS),
        st.sampled_from(PROCESSES),
        st.one_of(hits, hits, faults, features, proofs, troubles),
    ),
    max_size=25,
)


def world_of(new_world, told, *, scanned):
    world = new_world()
    world.invariant(
        "wal.fsync-before-ack", expects=["always"], assumes=["fsync-honest"], requires=["raft"]
    )
    world.invariant("watch.reliable", expects=["sometimes"])
    for kind, message, invariant in ASSERTIONS[:3]:
        world.site(kind, message, invariant)
    runs = {name: world.run(name, scanned=scanned) for name in RUNS}
    processes = {}
    for run, name, step in told:
        if (run, name) not in processes:
            process = processes[run, name] = runs[run].process(name)
            for number, trial in enumerate(TRIALS[1:]):
                process.trial(trial, seed=number, population="kill")
        _take(processes[run, name], *step)
    return world


def _take(process, word, *told):
    if word == "hit":
        (kind, message, invariant), condition, times, trial, time = told
        condition = condition or kind is REACHABLE
        process.hit(
            kind, message, condition, times=times, trial=trial, time=time, invariant=invariant
        )
    elif word == "fault":
        process.faults("lie", breaks=["fsync-honest"], trial=told[0], time=told[1])
    elif word == "feature":
        process.features({"raft": told[1]}, told[0])
    elif word == "proof":
        process.proof(ACK, told[0])
    else:
        process.trouble(ACK, told[0])


def pieces_of(world):
    """The evidence of a world, one shard each."""
    pieces = []
    for run in world.runs:
        for each in [[shard] for shard in run.shards] or [[]]:
            piece = Evidence()
            add_run(piece, run.info, each)
            pieces.append(piece)
    return pieces


def summary_of(world, evidence):
    return summarise(evidence, world.catalog, "store", world.sites)


@given(told=steps, scanned=st.booleans(), data=st.data())
def test_shards_merged_in_any_order_and_twice_say_the_same(new_world, told, scanned, data):
    world = world_of(new_world, told, scanned=scanned)
    pieces = pieces_of(world)
    merged = Evidence()
    for piece in data.draw(st.permutations([*pieces, *pieces])):
        merged.merge(piece)
    assert summary_of(world, merged) == world.summary()


@given(told=steps, data=st.data())
def test_the_union_of_two_evidences_is_all_their_shards(new_world, told, data):
    world = world_of(new_world, told, scanned=True)
    left, right = Evidence(), Evidence()
    for run in world.runs:
        add_run(left, run.info, [])
        add_run(right, run.info, [])
        for shard in run.shards:
            add_run(data.draw(st.sampled_from([left, right])), run.info, [shard])
    left.merge(right)
    assert summary_of(world, left) == world.summary()
    assert left.shards.keys() == world.evidence().shards.keys()


@given(told=steps)
def test_hits_by_trial_add_up_to_the_counters(new_world, told):
    evidence = world_of(new_world, told, scanned=True).evidence()
    results = tallies(evidence).values()
    shards = evidence.shards.values()
    assert sum(tally.true for tally in results) == sum(sum(shard.true) for shard in shards)
    assert sum(tally.false for tally in results) == sum(sum(shard.false) for shard in shards)


@given(told=steps)
def test_every_scanned_assertion_has_just_one_row(new_world, told):
    world = world_of(new_world, told, scanned=True)
    rows = [(each.kind, each.message) for each in world.summary().assertions]
    assert {(kind, message) for kind, message, _ in ASSERTIONS[:3]} <= set(rows)
    assert len(rows) == len(set(rows))


@given(told=steps)
def test_more_evidence_never_takes_a_violation_back(new_world, told):
    world = world_of(new_world, told, scanned=True)
    violated = {
        each.message
        for piece in pieces_of(world)
        for each in summary_of(world, piece).with_verdict("violated")
        # What is out of the model may be told by another shard.
        if each.invariant is None
    }
    whole = {each.message for each in world.summary().with_verdict("violated")}
    assert violated <= whole


def test_proofs_are_told_in_one_order_whatever_the_order_of_shards(world):
    world.invariant("wal.fsync-before-ack")
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    run = world.run()
    run.process("1-a").hit(ALWAYS, ACK).proof(ACK, "early-ack")
    run.process("2-b").proof(ACK, "lost-fsync")
    forwards = world.invariant_result("wal.fsync-before-ack").proofs
    run.shards.reverse()
    assert world.invariant_result("wal.fsync-before-ack").proofs == forwards


def test_notes_are_told_in_one_order_whatever_the_order_of_runs(world):
    world.run("run-1", scanned=False)
    world.run("run-2", scanned=False)
    forwards = world.summary().notes
    world.runs.reverse()
    assert world.summary().notes == forwards


def grown(new_world):
    """One process, read early and read later, when it had done more."""
    early, late = new_world().run("run-1").process("1-a"), new_world().run("run-1").process("1-a")
    for process in (early, late):
        process.trial("seed-1").hit(ALWAYS, ACK, trial="seed-1")
    late.trial("seed-1", end=9, outlived=["2-b"]).proof(ACK).trouble(ACK)
    return early.shard, late.shard


@pytest.mark.parametrize("first", [0, 1], ids=["early reading first", "late reading first"])
def test_of_two_readings_of_a_process_the_later_one_counts(world, new_world, first):
    readings = grown(new_world)
    world.invariant("wal.fsync-before-ack")
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    run = world.run("run-1")
    run.shards += [readings[first], readings[1 - first]]
    assert world.level("wal.fsync-before-ack") == "defect-tested"
    assert world.summary().troubles != []


@pytest.mark.parametrize("first", [0, 1], ids=["started first", "finished first"])
def test_of_two_readings_of_a_run_the_finished_one_counts(world, first):
    world.site(ALWAYS, ACK)
    states = [world.run("run-1", full=False), world.run("run-1", full=True)]
    world.runs[:] = [states[first], states[1 - first]]
    assert world.verdict(ACK) == "unreached"


# -- trials --------------------------------------------------------------------------


def outliving(world, *, start=0, outlived=()):
    world.site(ALWAYS, ACK)
    run = world.run()
    run.process("1-a").trial("seed-1", begin=1, end=10, outlived=outlived, owner="1-a")
    run.process("2-b", start=start, base="seed-1", owner="1-a").hit(ALWAYS, ACK, trial="seed-1")
    return world.result(ACK).trials_hit


def test_a_child_that_ended_in_time_counts_for_its_trial(world):
    assert outliving(world, start=5) == 1


def test_a_child_that_outlived_its_trial_counts_for_no_trial(world):
    assert outliving(world, start=5, outlived=["2-b"]) == 0


def test_a_child_that_started_after_the_end_of_its_trial_counts_for_no_trial(world):
    assert outliving(world, start=11) == 0


def test_the_hits_of_a_child_that_outlived_its_trial_still_count(world):
    outliving(world, outlived=["2-b"])
    assert world.result(ACK).true == 1


def test_a_trial_of_a_child_that_outlived_another_keeps_its_hits(world):
    world.site(ALWAYS, ACK)
    run = world.run()
    run.process("1-a").trial("seed-1", end=10, outlived=["2-b"])
    child = run.process("2-b", base="seed-1").trial("inner", parent="seed-1")
    child.hit(ALWAYS, ACK, trial="inner")
    assert world.result(ACK).trials_hit == 1


def test_trials_of_the_same_name_in_two_runs_are_two_trials(world):
    world.site(ALWAYS, ACK)
    for name in RUNS:
        world.run(name).process().trial("test_put").hit(ALWAYS, ACK, trial="test_put")
    assert world.result(ACK).trials_hit == 2


@pytest.mark.parametrize("count", [1, 2])
def test_trials_are_counted_and_hits_outside_of_them_are_not(world, count):
    world.site(ALWAYS, ACK)
    process = world.run().process().hit(ALWAYS, ACK, times=7)
    for number in range(count):
        process.trial(f"seed-{number}").hit(ALWAYS, ACK, trial=f"seed-{number}")
    assert world.result(ACK).trials_hit == count


# -- identity ------------------------------------------------------------------------


def test_a_condition_that_changed_does_not_inherit_older_evidence(world):
    older = world.site(ALWAYS, ACK, fingerprint="older")
    world.run("run-1", sites=[older]).process().hit(ALWAYS, ACK, False)
    world.sites.clear()
    world.site(ALWAYS, ACK, fingerprint="newer")
    world.run("run-2").process().hit(ALWAYS, ACK)
    assert (world.verdict(ACK), world.result(ACK).hits) == ("satisfied", 1)


def test_a_condition_that_did_not_change_keeps_its_evidence(world):
    world.site(ALWAYS, ACK)
    world.run("run-1").process().hit(ALWAYS, ACK, False)
    world.run("run-2").process().hit(ALWAYS, ACK)
    assert (world.verdict(ACK), world.result(ACK).hits) == ("violated", 2)


def test_an_assertion_that_moved_to_another_file_keeps_its_evidence(world):
    older = world.site(ALWAYS, ACK)
    world.run("run-1", sites=[older]).process().hit(ALWAYS, ACK)
    world.sites.clear()
    world.site(ALWAYS, ACK).file = "wal.py"
    world.run("run-2").process()
    assert world.result(ACK).hits == 1


def nameless(process):
    slots = process.shard.slots
    slots[:] = [slot._replace(message=None) for slot in slots]
    process.shard.hits.clear()


def test_counters_whose_line_is_lost_are_told_by_their_hash(world):
    world.site(ALWAYS, ACK, "wal.fsync-before-ack")
    nameless(world.run().process().hit(ALWAYS, ACK, times=5).hit(ALWAYS, ACK, False, times=2))
    assert (world.result(ACK).true, world.result(ACK).false) == (5, 2)


def test_counters_without_a_line_violate_without_an_example(world):
    world.site(ALWAYS, ACK)
    nameless(world.run().process().hit(ALWAYS, ACK, False))
    assert (world.verdict(ACK), world.result(ACK).example) == ("violated", None)


def test_a_hash_of_another_kind_is_another_assertion(world):
    world.site(ALWAYS, ACK)
    nameless(world.run().process().hit(SOMETIMES, ACK, times=5))
    assert world.result(ACK).hits == 0


def test_counters_that_nothing_names_are_passed_over(world):
    world.site(ALWAYS, ACK)
    process = world.run().process().hit(ALWAYS, ACK)
    process.shard.slots.append(SlotRecord(ALWAYS, 12345))
    process.shard.true.append(9)
    process.shard.deltas_written[0].true.append(9)
    assert world.result(ACK).hits == 1


def test_two_slots_of_one_assertion_count_each_violation_once(world):
    world.site(ALWAYS, ACK)
    process = world.run().process().hit(ALWAYS, ACK, False)
    slots = process.shard.slots
    slots.append(slots[0])
    process.shard.true.append(0)
    process.shard.false.append(1)
    process.shard.deltas_written.append(Delta(None, [], [0, 1]))
    result = world.result(ACK)
    assert (result.false, sum(each.times for each in result.broken)) == (2, 2)


# -- what a summary tells of its runs --------------------------------------------------


def test_the_commit_is_told_if_all_runs_agree(world):
    world.run("run-1", commit="4f2c1e0")
    world.run("run-2", commit="4f2c1e0")
    assert world.summary().commit == "4f2c1e0"


def test_runs_of_two_commits_have_none(world):
    world.run("run-1", commit="4f2c1e0")
    world.run("run-2", commit="aaaaaaa")
    assert world.summary().commit is None


def test_lost_records_are_noted(world):
    world.run().process().shard.lost_records = 3
    assert any("3 records could not be written" in note for note in world.summary().notes)


def test_counts_that_were_not_durable_are_noted(world):
    world.run().process().hit(ALWAYS, ACK).shard.durable = False
    assert any("not durable" in note for note in world.summary().notes)


def test_an_empty_evidence_is_judged_too(world):
    world.site(ALWAYS, ACK)
    summary = summarise(Evidence(), world.catalog, "store", world.sites)
    assert [each.verdict.value for each in summary.assertions] == ["inconclusive"]


def test_the_newest_run_that_was_scanned_gives_the_denominator(world):
    world.site(ALWAYS, "older")
    world.run("run-1", sites=[world.sites[0]])
    world.site(ALWAYS, "newer")
    world.run("run-2", sites=[world.sites[1]])
    world.run("run-3", scanned=False)
    assert [each.message for each in world.summary().assertions] == ["newer"]


def test_a_run_is_known_by_its_id(world):
    assert isinstance(world.run("run-1").info, RunInfo)
    assert repr(world.evidence()) == "<Evidence of 0 shards in 1 runs>"
