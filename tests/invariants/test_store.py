"""
assertlib held to its own catalog, by its own assertions: the store and the gate.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib import Invariant
from assertlib.evidence.record import Identity, RunRecord, ShardRecord, Totals, TrialRow
from assertlib.evidence.sequential import ERROR, RateWatch
from assertlib.evidence.store import Store

STORED = Invariant("evidence.stored-once")
GATE = Invariant("evidence.gate-seldom-errs")

SAMPLE = ("kill", "seed-random")
NAMES = ("1-a", "2-b", "3-c")


def part(names):
    """A run as these processes tell it; each ran a trial of its own and one that all share."""
    record = RunRecord("r", "store", started=1)
    record.assertions = (Identity("sometimes", "a state", "f", "kv.x"),)
    for name in names:
        record.shards[name] = ShardRecord((1, 1, 1), {SAMPLE: Totals((2,), (1,))})
        for trial in (name, "shared"):
            record.trials[trial] = TrialRow(SAMPLE, "", "", 0, 1, true=1, false=1)
    return record


@settings(max_examples=50)
@given(st.lists(st.sets(st.sampled_from(NAMES), min_size=1), max_size=6))
def test_parts_of_a_run_in_any_order_and_again(parts):
    with Store("sqlite://") as whole, Store("sqlite://") as store:
        whole.add(part(NAMES))
        for names in [*parts, set(NAMES)]:
            store.add(part(sorted(names)))
        told, expected = list(store.results(["r"])), list(whole.results(["r"]))
    STORED.always(
        told == expected, "the parts of a run add up to the whole", {"parts": repr(parts)}
    )
    STORED.sometimes(len(parts) > 2, "a run comes in three or more parts")


@settings(max_examples=30)
@given(st.floats(0.003, 1.0), st.integers(0, 2**32 - 1))
def test_a_rate_is_accused_when_it_drops_and_not_before(rate, seed):
    dice = np.random.default_rng(seed)
    watch = RateWatch(ERROR / 300)
    for satisfied in dice.binomial(50, rate, 200):
        watch.take(50, int(satisfied))
        GATE.always(not watch.has_dropped, "a steady rate is not accused", {"rate": rate})
    promised = watch.runs_to_notice(50)
    for _ in range(promised or 0):
        watch.take(50, 0)
    if promised is not None:
        GATE.always(watch.has_dropped, "a rate that died is named in time", {"rate": rate})
        GATE.sometimes(rate < 0.05, "a rare state dies")
