"""
The index from assertions to trials holds no more than was asked for.
"""

from types import SimpleNamespace

from assertlib.evidence.trial_index import trials_by_assertion


def shard(names, trials):
    """A process whose trials hit all of its assertions."""
    bits = (1 << len(names)) - 1
    return SimpleNamespace(
        names=tuple(SimpleNamespace(message=each) for each in names),
        trials=trials,
        true_in=[bits] * len(trials),
        false_in=[0] * len(trials),
    )


def test_an_assertion_takes_no_more_trials_from_processes_that_number_it_otherwise():
    shards = [shard(["a"], ["t1", "t2"]), shard(["b", "a"], ["t3"]), shard(["a", "c"], ["t4"])]
    evidence = SimpleNamespace(runs=["one"], shards_of=lambda _: shards)
    found = trials_by_assertion(evidence, str, 2)
    assert found == {"a": ["t1", "t2"], "b": ["t3"], "c": ["t4"]}


def test_an_assertion_takes_no_more_trials_from_another_run_or_under_an_earlier_name():
    shards = {"one": [shard(["a"], ["t1"])], "two": [shard(["old", "a"], ["t2", "t3"])]}
    evidence = SimpleNamespace(runs=list(shards), shards_of=shards.get)
    found = trials_by_assertion(evidence, lambda name: name.replace("old", "a"), 1)
    assert found == {"a": ["t1"]}
