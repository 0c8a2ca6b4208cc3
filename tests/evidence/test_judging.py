"""
From shards and catalog to verdicts.
"""

import pytest

from assertlib.model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    REACHABLE,
    SOMETIMES,
    UNREACHABLE,
    antecedent_message,
    bucket_message,
)

ACK = "ack follows fsync"
ANTECEDENT = antecedent_message(ACK)
INVARIANT = "wal.fsync-before-ack"

# -- kinds -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "condition"),
    [(ALWAYS, False), (ALWAYS_OR_UNREACHABLE, False), (UNREACHABLE, False)],
    ids=["always", "always_or_unreachable", "unreachable"],
)
def test_a_false_hit_violates(world, kind, condition):
    world.site(kind, ACK)
    world.run().process().hit(kind, ACK, times=9).hit(kind, ACK, condition)
    assert world.verdict(ACK) == "violated"


def test_a_false_sometimes_violates_nothing(world):
    world.site(SOMETIMES, ACK)
    world.run().process().hit(SOMETIMES, ACK, False)
    assert world.verdict(ACK) == "never-true"


@pytest.mark.parametrize("kind", [ALWAYS, SOMETIMES, REACHABLE], ids=lambda kind: kind.name)
def test_an_assertion_without_hits_is_unreached(world, kind):
    world.site(kind, ACK)
    world.run().process()
    assert world.verdict(ACK) == "unreached"


@pytest.mark.parametrize("kind", [ALWAYS_OR_UNREACHABLE, UNREACHABLE], ids=lambda kind: kind.name)
def test_what_need_not_be_hit_is_satisfied_but_says_that_it_was_not_reached(world, kind):
    world.site(kind, ACK)
    world.run().process()
    assert (world.verdict(ACK), world.result(ACK).note) == ("satisfied", "not reached")


def test_what_was_hit_does_not_say_that_it_was_not_reached(world):
    world.site(ALWAYS_OR_UNREACHABLE, ACK)
    world.run().process().hit(ALWAYS_OR_UNREACHABLE, ACK)
    assert (world.verdict(ACK), world.result(ACK).note) == ("satisfied", "")


# -- partial and full ----------------------------------------------------------


def test_a_partial_run_proves_no_absence(world):
    world.site(ALWAYS, ACK)
    world.run(full=False).process()
    assert world.verdict(ACK) == "inconclusive"


def test_one_full_run_among_partial_ones_proves_absence(world):
    world.site(ALWAYS, ACK)
    world.run("run-1", full=True).process()
    world.run("run-2", full=False).process()
    assert world.verdict(ACK) == "unreached"


def test_a_full_run_from_before_an_assertion_existed_proves_no_absence_of_it(world):
    world.run("run-1", full=True, sites=()).process()
    world.site(ALWAYS, ACK)
    world.run("run-2", full=False).process()
    assert world.verdict(ACK) == "inconclusive"


def test_a_full_run_of_another_condition_proves_no_absence_of_this_one(world):
    older = world.site(ALWAYS, ACK, fingerprint="older")
    world.run("run-1", full=True, sites=[older]).process().hit(ALWAYS, ACK)
    world.sites.clear()
    world.site(ALWAYS, ACK, fingerprint="newer")
    world.run("run-2", full=False).process()
    assert world.verdict(ACK) == "inconclusive"


# -- always_if -----------------------------------------------------------------


def test_an_always_if_is_one_row(world):
    world.always_if(ACK)
    world.run().process()
    assert [each.message for each in world.summary().assertions] == [ACK]


def test_an_always_if_whose_antecedent_was_never_evaluated_is_unreached(world):
    world.always_if(ACK)
    world.run().process()
    assert world.verdict(ACK) == "unreached"


def test_an_always_if_whose_antecedent_never_held_is_vacuous(world):
    world.always_if(ACK)
    world.run().process().hit(SOMETIMES, ANTECEDENT, False, times=40)
    assert world.verdict(ACK) == "vacuous"
    assert world.result(ACK).antecedent == (0, 40)


def test_an_always_if_that_was_put_to_the_test_is_satisfied(world):
    world.always_if(ACK)
    process = world.run().process()
    process.hit(SOMETIMES, ANTECEDENT, False, times=40).hit(SOMETIMES, ANTECEDENT)
    process.hit(ALWAYS_OR_UNREACHABLE, ACK)
    assert world.verdict(ACK) == "satisfied"


def test_an_always_if_whose_consequent_was_false_is_violated(world):
    world.always_if(ACK)
    process = world.run().process().hit(SOMETIMES, ANTECEDENT)
    process.hit(ALWAYS_OR_UNREACHABLE, ACK, False)
    assert world.verdict(ACK) == "violated"


def test_the_evaluations_of_an_antecedent_are_data(world):
    world.always_if(ACK)
    world.run().process().hit(SOMETIMES, ANTECEDENT, False)
    assert world.summary().hits > 0


def test_an_antecedent_that_only_a_shard_declares_is_judged_all_the_same(world):
    world.run(scanned=False).process().hit(SOMETIMES, ANTECEDENT, False)
    assert [each.message for each in world.summary().assertions] == [ACK]


def test_a_condition_that_could_never_be_evaluated_is_no_pass(world):
    world.always_if(ACK)
    process = world.run().process().hit(SOMETIMES, ANTECEDENT)
    process.trouble(ACK, "the consequent of always_if must be a callable")
    assert world.verdict(ACK) != "satisfied"


# -- out of model ----------------------------------------------------------------


def with_assumption(world, *assumed):
    world.invariant(INVARIANT, assumes=list(assumed))
    world.site(ALWAYS, ACK, INVARIANT)
    return world.run()


@pytest.mark.parametrize("fault_time", [5, 10], ids=["before", "at the same time as"])
def test_a_fault_before_the_hit_puts_it_out_of_the_model(world, fault_time):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1")
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=fault_time)
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    assert world.verdict(ACK) == "out-of-model"


def test_a_fault_after_the_hit_is_no_excuse(world):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1")
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=11)
    assert world.verdict(ACK) == "violated"


def test_a_fault_in_another_trial_is_no_excuse(world):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1").trial("seed-2")
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=1)
    process.hit(ALWAYS, ACK, False, trial="seed-2", time=10)
    assert world.verdict(ACK) == "violated"


def test_a_fault_in_a_trial_of_that_name_in_another_run_is_no_excuse(world):
    with_assumption(world, "fsync-honest").process().trial("seed-1").hit(
        ALWAYS, ACK, False, trial="seed-1", time=10
    )
    other = world.run("run-2").process().trial("seed-1")
    other.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=1)
    assert world.verdict(ACK) == "violated"


def test_a_fault_in_a_trial_around_it_puts_it_out_of_the_model(world):
    process = with_assumption(world, "fsync-honest").process()
    process.trial("test").trial("example", parent="test")
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="test", time=1)
    process.hit(ALWAYS, ACK, False, trial="example", time=10)
    assert world.verdict(ACK) == "out-of-model"


def test_a_fault_that_breaks_nothing_assumed_is_no_excuse(world):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1")
    process.faults("kill", breaks=["clock-monotonic"], trial="seed-1", time=1)
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    assert world.verdict(ACK) == "violated"


def test_without_assumptions_no_fault_is_an_excuse(world):
    process = with_assumption(world).process().trial("seed-1")
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=1)
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    assert world.verdict(ACK) == "violated"


def test_a_fault_that_has_ended_still_puts_later_hits_out_of_the_model(world):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1")
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=1)
    process.faults(trial="seed-1", time=2)
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    assert world.verdict(ACK) == "out-of-model"


def test_a_fault_is_recorded_by_whichever_process_injects_it(world):
    run = with_assumption(world, "fsync-honest")
    injector = run.process("1-a").trial("seed-1")
    injector.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=1)
    run.process("2-b", base="seed-1", owner="1-a").hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    assert world.verdict(ACK) == "out-of-model"


def test_a_violation_in_one_trial_counts_whatever_was_out_of_model_in_others(world):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1").trial("seed-2")
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=1)
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    process.hit(ALWAYS, ACK, False, trial="seed-2", time=20, details='{"in": "the model"}')
    assert world.verdict(ACK) == "violated"
    assert world.result(ACK).example.details == '{"in": "the model"}'


def test_a_first_hit_before_the_fault_counts_whatever_came_after(world):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1")
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=1)
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=5)
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    assert world.verdict(ACK) == "violated"


def test_a_violation_outside_of_every_trial_is_never_out_of_model(world):
    process = with_assumption(world, "fsync-honest").process()
    process.faults("fsync-lies", breaks=["fsync-honest"], time=1)
    process.hit(ALWAYS, ACK, False, time=10)
    assert world.verdict(ACK) == "violated"


def test_an_out_of_model_invariant_is_not_violated_and_not_exercised(world):
    process = with_assumption(world, "fsync-honest").process().trial("seed-1")
    process.faults("fsync-lies", breaks=["fsync-honest"], trial="seed-1", time=1)
    process.hit(ALWAYS, ACK, False, trial="seed-1", time=10)
    assert world.level(INVARIANT) == "evaluated"


# -- dormant ---------------------------------------------------------------------


def with_feature(world, **fields):
    world.invariant(INVARIANT, requires=["raft"])
    world.site(ALWAYS, ACK, INVARIANT)
    return world.run(**fields)


def test_a_feature_that_was_off_in_every_trial_makes_it_dormant(world):
    process = with_feature(world).process().trial("seed-1").trial("seed-2")
    process.features({"raft": False}, "seed-1").features({"raft": False}, "seed-2")
    assert world.verdict(ACK) == "dormant"
    assert world.result(ACK).dormant_features == ("raft",)


def test_a_feature_that_was_on_in_one_trial_is_not_dormant(world):
    process = with_feature(world).process().trial("seed-1").trial("seed-2")
    process.features({"raft": False}, "seed-1").features({"raft": True}, "seed-2")
    assert world.verdict(ACK) == "unreached"


def test_no_declaration_of_a_feature_counts_as_on(world):
    with_feature(world).process().trial("seed-1")
    assert world.verdict(ACK) == "unreached"


def test_no_declaration_in_one_of_the_trials_counts_as_on(world):
    process = with_feature(world).process().trial("seed-1").trial("seed-2")
    process.features({"raft": False}, "seed-1")
    assert world.verdict(ACK) == "unreached"


def test_a_feature_that_the_process_was_started_without_is_off_in_its_trials(world):
    process = with_feature(world).process().trial("seed-1").trial("seed-2")
    process.features({"raft": False})
    assert world.verdict(ACK) == "dormant"


def test_a_feature_that_the_run_declares_off_is_off(world):
    with_feature(world, features={"raft": False}).process().trial("seed-1")
    assert world.verdict(ACK) == "dormant"


def test_without_trials_the_declarations_of_the_processes_count(world):
    with_feature(world).process().features({"raft": False})
    assert world.verdict(ACK) == "dormant"


def test_without_trials_one_process_that_has_it_on_is_enough(world):
    run = with_feature(world)
    run.process("1-a").features({"raft": False})
    run.process("2-b").features({"raft": True})
    assert world.verdict(ACK) == "unreached"


def test_a_feature_that_nobody_requires_changes_nothing(world):
    with_feature(world).process().trial("seed-1").features({"auth": False}, "seed-1")
    assert world.verdict(ACK) == "unreached"


# -- invariants --------------------------------------------------------------------


def test_an_invariant_climbs_from_naked_to_exercised(world):
    world.invariant(INVARIANT)
    assert world.level(INVARIANT) == "unasserted"
    world.site(ALWAYS, ACK, INVARIANT)
    run = world.run()
    assert world.level(INVARIANT) == "asserted"
    run.process().hit(ALWAYS, ACK)
    assert world.level(INVARIANT) == "exercised"


def test_an_invariant_that_lacks_an_expected_kind_is_only_evaluated(world):
    world.invariant(INVARIANT, expects=["always", "sometimes"])
    world.site(ALWAYS, ACK, INVARIANT)
    world.run().process().hit(ALWAYS, ACK)
    assert world.level(INVARIANT) == "evaluated"
    assert world.invariant_result(INVARIANT).standing.missing == ("sometimes",)


@pytest.mark.parametrize("kind", ["always", "always_or_unreachable"])
def test_an_always_if_counts_as_each_of_the_always_kinds(world, kind):
    world.invariant(INVARIANT, expects=[kind])
    world.always_if(ACK, INVARIANT)
    process = world.run().process().hit(SOMETIMES, ANTECEDENT)
    process.hit(ALWAYS_OR_UNREACHABLE, ACK)
    assert world.level(INVARIANT) == "exercised"


def test_the_antecedent_of_an_always_if_does_not_count_as_a_sometimes(world):
    world.invariant(INVARIANT, expects=["sometimes"])
    world.always_if(ACK, INVARIANT)
    world.run().process().hit(SOMETIMES, ANTECEDENT).hit(ALWAYS_OR_UNREACHABLE, ACK)
    assert world.level(INVARIANT) == "evaluated"


def test_an_always_or_unreachable_alone_does_not_count_as_an_always(world):
    world.invariant(INVARIANT, expects=["always"])
    world.site(ALWAYS_OR_UNREACHABLE, ACK, INVARIANT)
    world.run().process().hit(ALWAYS_OR_UNREACHABLE, ACK)
    assert world.level(INVARIANT) == "evaluated"


def test_an_invariant_with_a_vacuous_assertion_is_evaluated(world):
    world.invariant(INVARIANT, expects=["always"])
    world.site(ALWAYS, "the log is open", INVARIANT)
    world.always_if(ACK, INVARIANT)
    process = world.run().process().hit(ALWAYS, "the log is open")
    process.hit(SOMETIMES, ANTECEDENT, False)
    assert world.level(INVARIANT) == "evaluated"


def test_an_invariant_of_which_only_an_antecedent_was_hit_is_evaluated(world):
    world.invariant(INVARIANT)
    world.always_if(ACK, INVARIANT)
    world.run().process().hit(SOMETIMES, ANTECEDENT, False)
    assert world.level(INVARIANT) == "evaluated"


def test_the_bucket_for_what_was_not_expected_is_no_evidence(world):
    world.invariant(INVARIANT, expects=["always_or_unreachable"])
    other = bucket_message("which leader", "other")
    world.site(ALWAYS_OR_UNREACHABLE, other, INVARIANT)
    world.run().process().hit(ALWAYS_OR_UNREACHABLE, other)
    assert world.level(INVARIANT) == "evaluated"


def test_every_clause_must_be_cited(world):
    world.invariant(INVARIANT, clauses={"contents": "Bytes.", "dir-entry": "The name."})
    world.site(ALWAYS, ACK, f"{INVARIANT}#contents")
    process = world.run().process().hit(ALWAYS, ACK)
    assert world.level(INVARIANT) == "evaluated"
    world.sites.clear()
    world.site(ALWAYS, ACK, f"{INVARIANT}#contents")
    world.site(ALWAYS, "the directory is synced", f"{INVARIANT}#dir-entry")
    world.runs.clear()
    world.run().shards.append(process.hit(ALWAYS, "the directory is synced").shard)
    assert world.level(INVARIANT) == "exercised"


def test_a_caught_defect_proves_an_exercised_invariant_and_names_defect_and_commit(world):
    world.invariant(INVARIANT)
    world.site(ALWAYS, ACK, INVARIANT)
    world.run().process().hit(ALWAYS, ACK).proof(ACK, "ack-before-fsync", "4f2c1e0")
    result = world.invariant_result(INVARIANT)
    assert result.standing.level == "defect-tested"
    assert result.proofs == [("ack-before-fsync", "4f2c1e0")]


def test_a_defect_caught_by_another_assertion_proves_nothing(world):
    world.invariant(INVARIANT)
    world.site(ALWAYS, ACK, INVARIANT)
    world.run().process().hit(ALWAYS, ACK).proof("something else")
    assert world.level(INVARIANT) == "exercised"


def test_a_caught_defect_does_not_prove_what_was_not_exercised(world):
    world.invariant(INVARIANT, expects=["always", "sometimes"])
    world.site(ALWAYS, ACK, INVARIANT)
    world.run().process().hit(ALWAYS, ACK).proof(ACK)
    assert world.level(INVARIANT) == "evaluated"


@pytest.mark.parametrize("status", ["draft", "retired"])
def test_drafts_and_retired_invariants_are_listed_apart_and_in_no_count(world, status):
    world.invariant(INVARIANT, status=status)
    world.site(ALWAYS, ACK, INVARIANT)
    world.run().process().hit(ALWAYS, ACK)
    summary = world.summary()
    assert summary.invariants == []
    assert [entry.id for entry in summary.drafts] == [INVARIANT]


def test_no_data_is_told_apart_from_a_pass(world):
    world.site(UNREACHABLE, ACK)
    world.run().process()
    assert world.summary().hits == 0
    assert not world.summary().is_violated


def test_a_scanned_assertion_that_nothing_hit_has_a_row(world):
    world.site(ALWAYS, ACK)
    world.site(SOMETIMES, "a leader steps down")
    world.run()
    rows = [(each.message, each.hits) for each in world.summary().assertions]
    assert rows == [("a leader steps down", 0), (ACK, 0)]


def test_an_assertion_that_the_scan_lacks_is_a_finding(world):
    world.site(ALWAYS, ACK)
    world.run().process().hit(ALWAYS, "made with eval")
    assert world.summary().undeclared == ["made with eval"]


def test_an_assertion_that_was_removed_since_is_no_finding(world):
    older = world.site(ALWAYS, "removed since")
    world.run("run-1", sites=[older]).process().hit(ALWAYS, "removed since")
    world.sites.clear()
    world.site(ALWAYS, ACK)
    world.run("run-2").process().hit(ALWAYS, ACK)
    assert world.summary().undeclared == []


def test_an_assertion_that_the_scan_lacks_can_violate_all_the_same(world):
    world.site(ALWAYS, ACK)
    world.run().process().hit(ALWAYS, ACK).hit(ALWAYS, "made with eval", False)
    assert world.summary().is_violated


# -- rates -------------------------------------------------------------------------


def test_the_rate_of_a_state_that_38_random_trials_never_showed_is_bounded(world):
    world.site(SOMETIMES, ACK)
    process = world.run().process()
    for seed in range(38):
        process.trial(f"seed-{seed}", seed=seed, population="kill")
        process.hit(SOMETIMES, ACK, False, trial=f"seed-{seed}")
    assert world.result(ACK).rate_bounds == {"kill": pytest.approx(0.0758, abs=0.0001)}


def test_rates_are_told_by_population(world):
    world.site(SOMETIMES, ACK)
    process = world.run().process().hit(SOMETIMES, ACK, False)
    for seed in range(3):
        process.trial(f"kill-{seed}", seed=seed, population="kill")
    process.trial("calm", seed=0, population="calm")
    bounds = world.result(ACK).rate_bounds
    assert bounds == {"calm": pytest.approx(0.95), "kill": pytest.approx(1 - 0.05 ** (1 / 3))}


@pytest.mark.parametrize("sampler", ["set", "guided", "expects-violation"])
def test_trials_that_were_not_drawn_at_random_have_no_rate(world, sampler):
    world.site(SOMETIMES, ACK)
    process = world.run().process().hit(SOMETIMES, ACK, False)
    process.trial("t1", seed=1, sampler=sampler)
    assert world.result(ACK).rate_bounds == {}


def test_a_state_that_was_seen_has_no_bound(world):
    world.site(SOMETIMES, ACK)
    process = world.run().process().trial("t1", seed=1)
    process.hit(SOMETIMES, ACK, trial="t1")
    assert world.result(ACK).rate_bounds == {}


# -- what was broken on purpose ------------------------------------------------------


def test_a_violation_that_a_test_expects_counts_nowhere(world):
    world.site(ALWAYS, ACK)
    process = world.run().process().hit(ALWAYS, ACK)
    process.trial("expects", population=ACK, sampler="expects-violation")
    process.hit(ALWAYS, ACK, False, trial="expects")
    assert (world.verdict(ACK), world.result(ACK).false) == ("satisfied", 0)


def test_a_trial_that_expects_a_violation_excuses_no_other_assertion(world):
    world.site(ALWAYS, ACK)
    process = world.run().process()
    process.trial("expects", population="another", sampler="expects-violation")
    process.hit(ALWAYS, ACK, False, trial="expects")
    assert world.verdict(ACK) == "violated"


def test_a_violation_in_a_trial_inside_one_that_expects_it_counts_nowhere(world):
    world.site(ALWAYS, ACK)
    process = world.run().process().hit(ALWAYS, ACK)
    process.trial("expects", population=ACK, sampler="expects-violation")
    process.trial("seed-1", parent="expects")
    process.hit(ALWAYS, ACK, False, trial="seed-1")
    assert world.verdict(ACK) == "satisfied"


# -- how near it came ------------------------------------------------------------------


def test_the_nearest_that_any_process_came_is_told(world):
    world.site(SOMETIMES, ACK)
    run = world.run()
    for name, left in [("1-a", 40), ("2-b", 61), ("3-c", 50)]:
        process = run.process(name).hit(SOMETIMES, ACK, False)
        data = {"left": left, "right": 64}
        process.guidance(ACK, guidance_type="numeric", maximize=True, guidance_data=data)
    assert world.result(ACK).nearest == "61 of 64"


def test_a_gap_that_should_shrink_is_nearest_where_it_is_smallest(world):
    world.site(SOMETIMES, ACK)
    run = world.run()
    for name, left in [("1-a", 40), ("2-b", 7), ("3-c", 50)]:
        process = run.process(name).hit(SOMETIMES, ACK, False)
        data = {"left": left, "right": 5}
        process.guidance(ACK, guidance_type="numeric", maximize=False, guidance_data=data)
    assert world.result(ACK).nearest == "7 of 5"


def test_the_most_propositions_at_once_are_told_with_those_that_lacked(world):
    world.site(SOMETIMES, ACK)
    process = world.run().process().hit(SOMETIMES, ACK, False)
    data = {"full": True, "slow": True, "compacted": False}
    process.guidance(ACK, guidance_type="boolean", maximize=True, guidance_data=data)
    assert world.result(ACK).nearest == "2 of 3 at once, without compacted"


def test_what_a_run_could_not_offer_is_no_gap(world):
    world.site(SOMETIMES, "the leader changes")
    world.site(SOMETIMES, "a condition fails")
    world.run(full=True, out_of_reach={"the leader changes": "a fault"}).process()
    assert world.verdict("the leader changes") == "dormant"
    assert world.result("the leader changes").dormant_features == ("a fault",)
    assert world.verdict("a condition fails") == "unreached"


def test_what_a_run_could_not_offer_is_no_gap_under_a_new_name(world):
    world.site(SOMETIMES, "the leader moves")
    world.catalog.renames.messages["the leader changes"] = "the leader moves"
    world.run(full=True, out_of_reach={"the leader changes": "a fault"}).process()
    assert world.verdict("the leader moves") == "dormant"


def test_what_was_reached_all_the_same_is_satisfied(world):
    world.site(SOMETIMES, "the leader changes")
    process = world.run(full=True, out_of_reach={"the leader changes": "a fault"}).process()
    process.hit(SOMETIMES, "the leader changes")
    assert world.verdict("the leader changes") == "satisfied"


def test_what_another_run_could_offer_is_a_gap(world):
    world.site(SOMETIMES, "the leader changes")
    world.run("run-1", full=True, out_of_reach={"the leader changes": "a fault"}).process()
    world.run("run-2", full=True).process()
    assert world.verdict("the leader changes") == "unreached"


def test_what_is_out_of_reach_and_violated_is_violated(world):
    world.site(ALWAYS, "reads are right")
    process = world.run(full=True, out_of_reach={"reads are right": "historical reads"}).process()
    process.hit(ALWAYS, "reads are right", False)
    assert world.verdict("reads are right") == "violated"
