"""
Sequential detection of drops in a rate, with a bounded probability of any false alarm.

A gate checks every assertion in every run, for years.  A test with an error of 5% per look would
raise false alarms every other day, so the error here is that of *all looks together*: over the
whole history and all assertions, the probability that any unchanged rate is ever reported as
dropped is at most `ERROR`.

The method: the rate so far is bounded from below (`reference`), and each run multiplies a wealth by
its likelihood under a lower rate, relative to that under the bound.  While the rate is no lower
than the bound, the wealth is a supermartingale, and the probability that it ever exceeds a
threshold is small, no matter when it is checked (Ville's inequality).  The wealth starts anew with
each run, with a decreasing share, since the time of a drop is unknown.  The bound is computed anew
each time the number of trials has grown by half, and spends a decreasing share of the error.

Source: Ville 1939; Shin, Ramdas and Rinaldo 2023, "E-detectors"; alpha spending after Lan and
DeMets 1983.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .statistics import lower_bound

ERROR = 0.01
"""The probability of a false alarm, over a whole history and all assertions together."""

RATIOS = (1 / 2, 1 / 8, 1 / 64)
"""The remaining shares of a rate that are tested for; smaller drops are treated as noise."""

GROWTH = 1.5
"""The factor by which the number of trials grows before the reference is computed again."""

FIRST_TRIALS = 20
"""The number of trials required for the first reference."""

_LOOK_AHEAD = 100_000
_MANY = 50


@dataclass
class RateWatch:
    """
    The sequential test of one rate, fed with the runs of a history in order.

    Attributes:
        error: This rate's share of the probability of a false alarm.
        trials, satisfied: The number of trials so far, and of those that satisfied the assertion.
        runs: The number of runs with trials so far.
        reference: A lower bound of the rate so far; 0 before there are enough trials.
        wealth: Logarithms of the wealth, one for each of `RATIOS`.
    """

    error: float
    trials: int = 0
    satisfied: int = 0
    runs: int = 0
    reference: float = 0.0
    wealth: list[float] = field(default_factory=lambda: [-math.inf] * len(RATIOS))
    _gains: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)] * len(RATIOS))
    _next: float = FIRST_TRIALS
    _looks: int = 0

    def take(self, trials: int, satisfied: int) -> None:
        """Add a run in which *satisfied* of *trials* trials satisfied the assertion."""
        if not trials:
            return
        self.runs += 1
        # 1 / (n (n + 1)) sums to 1 over all n, so the starts of all runs together are a wealth of 1.
        share = -math.log(self.runs * (self.runs + 1))
        missed = trials - satisfied
        # The bets were placed before this run: its own trials must not influence its reference, or
        # the wealth would be no supermartingale.
        for number, (hit, miss) in enumerate(self._gains):
            wealth = log_sum(self.wealth[number], share)
            self.wealth[number] = wealth + satisfied * hit + missed * miss
        self.trials += trials
        self.satisfied += satisfied
        if self.trials >= self._next:
            self._look()

    def _look(self) -> None:
        self._looks += 1
        self._next = self.trials * GROWTH
        # Half of the error is for the bounds, and half for the wealth (see `threshold`).
        error = self.error / 2 / (self._looks * (self._looks + 1))
        # Never lowered: a drop that has begun would otherwise drag the reference down with it.
        self.reference = max(self.reference, lower_bound(self.satisfied, self.trials, error))
        self._gains = [gains(self.reference, ratio) for ratio in RATIOS]

    @property
    def evidence(self) -> float:
        """The logarithm of the mean wealth over `RATIOS`."""
        # The mean of supermartingales is one again; their maximum is not.
        whole = -math.inf
        for each in self.wealth:
            whole = log_sum(whole, each)
        return whole - math.log(len(RATIOS))

    @property
    def threshold(self) -> float:
        """The evidence at which the rate counts as dropped."""
        # Ville: a wealth of 1 ever reaches 2 / error with a probability of at most error / 2.
        return math.log(2 / self.error)

    @property
    def has_dropped(self) -> bool:
        """Whether the evidence for a drop of the rate suffices."""
        return self.evidence >= self.threshold

    def runs_to_notice(self, trials: int, rate: float = 0.0) -> int | None:
        """
        Estimate the number of runs after which a drop is detected, with 95% probability.

        Args:
            trials: The number of trials per run.
            rate: The rate after the drop; 0 if the state is lost.

        Returns:
            The number of runs; None if *rate* is too close to the reference to be detected.
        """
        # One ratio alone has to carry the mean of all of them.
        needed = self.threshold + math.log(len(RATIOS))
        runs = 0
        while runs < _LOOK_AHEAD:
            # Steps of 2% at most: large numbers need not be exact.
            runs += max(1, runs // 50)
            share = -math.log(self.runs + 1) - math.log(self.runs + 2)
            hits = _at_most(rate * trials * runs)
            best = max(
                likelihood_ratio(self.reference, ratio, trials * runs, hits) for ratio in RATIOS
            )
            if best + share >= needed:
                return runs
        return None


def likelihood_ratio(reference: float, ratio: float, trials: int, satisfied: int) -> float:
    """
    The logarithm of the likelihood ratio of a run: a lower rate against the reference.

    Args:
        reference: The rate that counts as unchanged.
        ratio: The share of the reference that the lower rate is.
        trials: The number of trials of the run.
        satisfied: The number of these trials that satisfied the assertion.
    """
    hit, miss = gains(reference, ratio)
    return satisfied * hit + (trials - satisfied) * miss


def gains(reference: float, ratio: float) -> tuple[float, float]:
    """
    The logarithms of the likelihood ratio of a single trial.

    Args:
        reference: The rate that counts as unchanged.
        ratio: The share of the reference that the lower rate is.

    Returns:
        The one for a trial that satisfied the assertion, and the one for a trial that did not.
    """
    # Without a reference there is nothing to drop from: no bet.
    if reference <= 0:
        return 0.0, 0.0
    # A reference of one makes a miss impossible, and its ratio infinite.
    upper = min(reference, 1 - 1e-12)
    return math.log(ratio), math.log1p(-reference * ratio) - math.log1p(-upper)


def _at_most(mean: float) -> int:
    """The 95% quantile of a Poisson distribution with that *mean*."""
    # The normal approximation, rounded up, serves large means: the sum starts with exp(-mean),
    # which finally underflows to zero and would never reach 95%.
    if mean > _MANY:
        return math.ceil(mean + 1.645 * math.sqrt(mean) + 1)
    term = whole = math.exp(-mean)
    count = 0
    while whole < 0.95:
        count += 1
        term *= mean / count
        whole += term
    return count


def log_sum(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers, given as their logarithms *one* and *other*."""
    # Factoring out the larger one avoids overflow.
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
