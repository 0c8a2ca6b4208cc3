"""
What can be said of the rate of a state, over trials drawn at random.

A rate is the share of trials that satisfy an assertion.  All of this needs trials that are a random
sample: over tests, or trials that a search chose, none of it means anything.

Source of the intervals: Clopper and Pearson 1934, "The use of confidence or fiducial limits
illustrated in the case of the binomial"; of the chance of something new: Good 1953, "The population
frequencies of species and the estimation of population parameters".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

CONFIDENCE = 0.95
_STEPS = 200
_TINY = 1e-300
_PRECISION = 1e-15


def rate_bound_when_never_seen(trials: int, confidence: float = CONFIDENCE) -> float:
    """
    Upper bound of the rate of something that none of *trials* random trials showed.

    Exact (Clopper-Pearson with no success): ``1 - (1 - confidence) ** (1 / trials)``.

    Raises:
        ValueError: There were no trials, which says nothing.
    """
    if trials < 1:
        raise ValueError("no trials say nothing about a rate")
    return -math.expm1(math.log1p(-confidence) / trials)


def lower_bound(satisfied: int, trials: int, error: float) -> float:
    """
    What the rate is at least, but for a chance of *error*, if *satisfied* of *trials* were.

    Raises:
        ValueError: More were satisfied than there were, or there were none.
    """
    _check(satisfied, trials)
    if satisfied == 0:
        return 0.0
    # At the bound, so many or more are as improbable as that.
    return _solved(lambda rate: incomplete_beta(satisfied, trials - satisfied + 1, rate), error)


def upper_bound(satisfied: int, trials: int, error: float) -> float:
    """
    What the rate is at most, but for a chance of *error*, if *satisfied* of *trials* were.

    Raises:
        ValueError: More were satisfied than there were, or there were none.
    """
    return 1.0 - lower_bound(trials - satisfied, trials, error)


def interval(satisfied: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """
    Bounds between which the rate lies with *confidence* at least (Clopper-Pearson).

    Raises:
        ValueError: More were satisfied than there were, or there were none.
    """
    error = (1 - confidence) / 2
    return lower_bound(satisfied, trials, error), upper_bound(satisfied, trials, error)


def trials_to_see(rate: float, confidence: float = CONFIDENCE) -> int:
    """
    How many further trials show a state of that *rate* at least once, with *confidence*.

    Raises:
        ValueError: It is no rate above zero.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"{rate} is no rate of something that happens")
    return 1 if rate >= confidence else math.ceil(math.log1p(-confidence) / math.log1p(-rate))


def chance_of_something_new(times_satisfied: Iterable[int], trials: int) -> float:
    """
    The chance that one more trial satisfies something that none did (Good-Turing): the share of
    trials that an assertion owes its only satisfaction to.

    Args:
        times_satisfied: In how many trials each assertion was.

    Raises:
        ValueError: There were no trials.
    """
    if trials < 1:
        raise ValueError("no trials say nothing about the next")
    return min(1.0, sum(times == 1 for times in times_satisfied) / trials)


def _check(satisfied: int, trials: int) -> None:
    if trials < 1:
        raise ValueError("no trials say nothing about a rate")
    if not 0 <= satisfied <= trials:
        raise ValueError(f"{satisfied} of {trials} trials cannot be")


def _solved(rising: Callable[[float], float], value: float) -> float:
    """Where *rising* takes the *value*, between 0 and 1, rounded down."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if rising(middle) < value:
            low = middle
        else:
            high = middle
    return low


def incomplete_beta(a: float, b: float, x: float) -> float:
    """
    The regularised incomplete beta function: the chance of *a* or more successes in ``a + b - 1``
    trials of rate *x*.

    Source: the continued fraction of DLMF 8.17.22, evaluated after Lentz.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    return math.exp(log_front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1))
    value = d
    step = 0
    while True:
        step += 1
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for term in (even, odd):
            d = 1.0 / _not_zero(1.0 + term * d)
            c = _not_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _PRECISION or step > 10_000 + 10 * math.isqrt(int(a + b)):
            return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
