"""
Notices that a rate has dropped, and hardly ever says so when it has not.

A gate looks at every run, of every assertion, for years.  A test with an error of 5 % a look would
cry wolf every other day, so the error here is that of *all looks together*: over the whole history
and all assertions, the chance that any of them is called dropped although its rate is what it
always was is at most `ERROR`.

How: the rate so far is bounded from below (`reference`), and each run multiplies a wealth by how
much more likely it is under a lower rate than under that bound.  While the rate is no lower than
the bound, the wealth is a supermartingale, which rarely gets large, whenever one looks (Ville).  It
starts anew with each run, with a share that gets smaller, since nobody knows when a rate will
drop.  The bound is found again each time the trials have grown by half, and spends a share of the
error that gets smaller, too.

Source: Ville 1939; Shin, Ramdas and Rinaldo 2023, "E-detectors"; alpha spending after Lan and
DeMets 1983.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .statistics import lower_bound

ERROR = 0.01
"""The chance of a false alarm, over a whole history and all assertions together."""

RATIOS = (1 / 2, 1 / 8, 1 / 64)
"""Drops that are looked for, as what is left of the rate; smaller ones are taken for noise."""

GROWTH = 1.5
"""By how much the trials have to grow before the reference is found again."""

FIRST_TRIALS = 20
"""No reference is found from fewer."""

_LOOK_AHEAD = 100_000
_MANY = 50


@dataclass
class RateWatch:
    """
    The rate of one assertion over the runs of a history, in order.

    Attributes:
        error: The chance of a false alarm that is this assertion's share.
        trials, satisfied: So far.
        reference: What the rate was at least.
        wealth: Logarithms, one for each of `RATIOS`.
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
        """Take a run in which *satisfied* of *trials* trials satisfied the assertion."""
        if not trials:
            return
        self.runs += 1
        share = -math.log(self.runs * (self.runs + 1))
        missed = trials - satisfied
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
        error = self.error / 2 / (self._looks * (self._looks + 1))
        self.reference = max(self.reference, lower_bound(self.satisfied, self.trials, error))
        self._gains = [gains(self.reference, ratio) for ratio in RATIOS]

    @property
    def evidence(self) -> float:
        """The logarithm of the mean wealth."""
        whole = -math.inf
        for each in self.wealth:
            whole = log_sum(whole, each)
        return whole - math.log(len(RATIOS))

    @property
    def threshold(self) -> float:
        """The evidence from which on the rate counts as dropped."""
        return math.log(2 / self.error)

    @property
    def has_dropped(self) -> bool:
        """Whether the rate is lower than it was."""
        return self.evidence >= self.threshold

    def runs_to_notice(self, trials: int, rate: float = 0.0) -> int | None:
        """
        After how many runs of *trials* trials a drop to *rate* is noticed, with 95 %; None if that
        is too close to the reference to be noticed ever.
        """
        needed = self.threshold + math.log(len(RATIOS))
        runs = 0
        while runs < _LOOK_AHEAD:
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
    """How much likelier (a logarithm) the run is under *ratio* times the reference than under it."""
    hit, miss = gains(reference, ratio)
    return satisfied * hit + (trials - satisfied) * miss


def gains(reference: float, ratio: float) -> tuple[float, float]:
    """The same of one trial that satisfied the assertion, and of one that did not."""
    if reference <= 0:
        return 0.0, 0.0
    # A rate of one leaves no room for a trial that did not satisfy it.
    upper = min(reference, 1 - 1e-12)
    return math.log(ratio), math.log1p(-reference * ratio) - math.log1p(-upper)


def _at_most(mean: float) -> int:
    """What a number with that *mean* is at most, with 95 % (Poisson)."""
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
    """The logarithm of a sum, by the logarithms of its parts."""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
