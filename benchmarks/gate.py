"""
How often the gate cries wolf, and how soon it tells of a wolf: ``python benchmarks/gate.py``.

Histories of 2,000 runs of 50 random trials over 300 assertions, whose rates are drawn from 0.3% to
100%, evenly by their logarithm.  In clean ones no rate ever changes, and the gate should fail in
none: what is counted are histories in which it ever does, for whatever assertion.  In the others a
rate of 5% falls to 0.1%, another to zero, and one is a constant 1 in 300.

The rule is that of assertlib.evidence.sequential, on arrays; that both say the same is checked
first, on some of the same numbers.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy.special import betaincinv

from assertlib.evidence.sequential import ERROR, FIRST_TRIALS, GROWTH, RATIOS, RateWatch
from assertlib.evidence.statistics import interval

TRIALS, ASSERTIONS = 50, 300
LOWEST = 0.003
AT_ONCE = 20


class Watches:
    """Many `RateWatch` at once."""

    def __init__(self, count: int, error: float) -> None:
        self.error = error
        self.runs = self.trials = self.looks = 0
        self.next = float(FIRST_TRIALS)
        self.satisfied = np.zeros(count, dtype=np.int64)
        self.reference = np.zeros(count)
        self.wealth = np.full((len(RATIOS), count), -np.inf)
        self.gains = np.zeros((len(RATIOS), 2, count))

    def take(self, satisfied: np.ndarray) -> np.ndarray:
        """Take a run of all; which have dropped."""
        self.runs += 1
        share = -math.log(self.runs) - math.log(self.runs + 1)
        for wealth, (hit, missed) in zip(self.wealth, self.gains, strict=True):
            np.logaddexp(wealth, share, out=wealth)
            wealth += satisfied * hit + (TRIALS - satisfied) * missed
        self.trials += TRIALS
        self.satisfied += satisfied
        whole = np.logaddexp.reduce(self.wealth, axis=0) - math.log(len(RATIOS))
        if self.trials >= self.next:
            self._look()
        return whole >= math.log(2 / self.error)

    def _look(self) -> None:
        self.looks += 1
        self.next = self.trials * GROWTH
        error = self.error / 2 / (self.looks * (self.looks + 1))
        k = np.maximum(self.satisfied, 1)
        bound = betaincinv(k, self.trials - k + 1, error)
        self.reference = np.maximum(self.reference, np.where(self.satisfied, bound, 0.0))
        known = self.reference > 0
        upper = np.minimum(self.reference, 1 - 1e-12)
        for gain, ratio in zip(self.gains, RATIOS, strict=True):
            gain[0] = np.where(known, math.log(ratio), 0.0)
            gain[1] = np.where(known, np.log1p(-self.reference * ratio) - np.log1p(-upper), 0.0)


def rates(dice: np.random.Generator, count: int) -> np.ndarray:
    return np.exp(dice.uniform(math.log(LOWEST), 0.0, count))


def false_alarms(seed: int, histories: int, runs: int) -> int:
    """In how many clean histories the gate ever failed."""
    dice = np.random.default_rng(seed)
    true = rates(dice, histories * ASSERTIONS)
    watches = Watches(len(true), ERROR / ASSERTIONS)
    failed = np.zeros(len(true), dtype=bool)
    for _ in range(runs):
        failed |= watches.take(dice.binomial(TRIALS, true))
    return int(failed.reshape(histories, ASSERTIONS).any(axis=1).sum())


def check_against_the_gate(seed: int, runs: int) -> None:
    """The arrays must say what the gate says."""
    dice = np.random.default_rng(seed)
    true = rates(dice, 40)
    drawn = dice.binomial(TRIALS, true, size=(runs, len(true)))
    drawn[runs // 2 :, ::2] = dice.binomial(TRIALS, true[::2] / 50, size=(runs - runs // 2, 20))
    watches = Watches(len(true), ERROR / ASSERTIONS)
    singles = [RateWatch(ERROR / ASSERTIONS) for _ in true]
    for row in drawn:
        dropped = watches.take(row)
        for watch, satisfied in zip(singles, row, strict=True):
            watch.take(TRIALS, int(satisfied))
        assert [watch.has_dropped for watch in singles] == list(dropped)
    assert any(watch.has_dropped for watch in singles)


PLANTED = {
    "5% falls to 0.1%": (0.05, 0.001),
    "5% falls to zero": (0.05, 0.0),
    "1 in 300": (1 / 300,) * 2,
}


def planted(seed: int, runs: int, change: int) -> dict[str, tuple[int | None, int | None]]:
    """For each planted assertion, after how many runs it was named, and what was promised."""
    dice = np.random.default_rng(seed)
    told = {}
    for name, (before, after) in PLANTED.items():
        watch = RateWatch(ERROR / ASSERTIONS)
        named = promised = None
        for run in range(runs):
            if run == change:
                promised = watch.runs_to_notice(TRIALS, after)
            watch.take(TRIALS, int(dice.binomial(TRIALS, before if run < change else after)))
            if watch.has_dropped and named is None:
                named = run - change + 1
        told[name] = named, promised
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    check_against_the_gate(arguments.seed, 300)
    start = time.perf_counter()
    parts = [AT_ONCE] * (arguments.histories // AT_ONCE)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        seeds = range(arguments.seed, arguments.seed + len(parts))
        failed = sum(pool.map(false_alarms, seeds, parts, [arguments.runs] * len(parts)))
    count = sum(parts)
    low, high = interval(failed, count)
    print(
        f"clean: {failed} of {count:,} histories of {arguments.runs:,} runs × {TRIALS} trials ×"
        f" {ASSERTIONS} assertions had a false alarm: {failed / count:.2%}"
        f" (95%: {low:.2%} to {high:.2%}); promised: at most {ERROR:.0%}"
        f"   [{time.perf_counter() - start:.0f} s]"
    )
    change = arguments.runs // 2
    tries = [planted(arguments.seed + each, arguments.runs, change) for each in range(50)]
    print(f"\nplanted at run {change:,}, 50 times:\n")
    print("| planted | named | after runs, median (most) | promised | kept |")
    print("|---|---|---|---|---|")
    for name in PLANTED:
        delays = [told[name][0] for told in tries if told[name][0] is not None]
        promised = [told[name][1] for told in tries]
        kept = sum(
            1
            for told in tries
            if told[name][0] and told[name][1] and told[name][0] <= told[name][1]
        )
        after = f"{statistics.median(delays):.0f} ({max(delays)})" if delays else ""
        words = ("", "") if name == "1 in 300" else (_range(promised), f"{kept} of 50")
        print(f"| {name} | {len(delays)} of 50 | {after} | {words[0]} | {words[1]} |")


def _range(values: list[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known)} to {max(known)}" if known else "never"


if __name__ == "__main__":
    main()
