"""
The index from assertions to trials holds no more than was asked for.
"""

from assertlib.evidence.tally import tallies
from assertlib.evidence.trial_index import trials_by_assertion
from assertlib.model import ALWAYS


def record(run, name, messages, trials):
    """A process whose trials hit all of its assertions."""
    process = run.process(name)
    for trial in trials:
        process.trial(trial)
        for message in messages:
            process.hit(ALWAYS, message, True, trial=trial)


def test_an_assertion_takes_no_more_trials_from_processes_that_number_it_otherwise(new_world):
    world = new_world()
    run = world.run("one")
    record(run, "1-a", ["a"], ["t1", "t2"])
    record(run, "2-b", ["b", "a"], ["t3"])
    record(run, "3-c", ["a", "c"], ["t4"])

    found = trials_by_assertion(world.evidence(), str, 2)

    assert found == {"a": ["t1", "t2"], "b": ["t3"], "c": ["t4"]}


def test_an_assertion_takes_no_more_trials_from_another_run_or_under_an_earlier_name(new_world):
    world = new_world()
    record(world.run("one"), "1-a", ["a"], ["t1"])
    record(world.run("two"), "2-b", ["old", "a"], ["t2", "t3"])

    found = trials_by_assertion(world.evidence(), lambda name: name.replace("old", "a"), 1)

    assert found == {"a": ["t1"]}


def test_a_trial_of_two_processes_and_names_is_one_trial_of_the_assertion(new_world):
    world = new_world()
    run = world.run("one")
    record(run, "1-a", ["old", "a"], ["t1"])
    record(run, "2-b", ["a"], ["t1"])

    (result,) = tallies(world.evidence(), now=lambda name: name.replace("old", "a")).values()

    assert (result.true, result.trials_hit, result.trials_true) == (3, 1, 1)
