"""
Statistics of the rate of a state, over randomly drawn trials.

A rate is the share of trials that satisfy an assertion.  All of this requires trials that are a
random sample: for tests, or trials chosen by a search, the results are meaningless.

Source of the intervals: Clopper and Pearson 1934, "The use of confidence or fiducial limits
illustrated in the case of the binomial"; of the probability of something new: Good 1953, "The population
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
    Upper bound of the rate of a state that none of *trials* random trials reached.

    Exact (Clopper-Pearson without a success): ``1 - (1 - confidence) ** (1 / trials)``.

    Args:
        trials: The number of trials.
        confidence: The probability that the rate is within the bound.

    Raises:
        ValueError: There are no trials.
    """
    if trials < 1:
        raise ValueError("a rate needs at least one trial")
    # For many trials the power is so close to 1 that subtracting it would cancel its digits.
    return -math.expm1(math.log1p(-confidence) / trials)


def lower_bound(satisfied: int, trials: int, error: float) -> float:
    """
    Lower bound of the rate (one-sided Clopper-Pearson).

    Args:
        satisfied: The number of trials that satisfied the assertion.
        trials: The number of trials.
        error: The probability that the rate is below the bound.

    Raises:
        ValueError: There are no trials, or fewer than *satisfied*.
    """
    _check(satisfied, trials)
    if satisfied == 0:
        return 0.0
    # At the bound, *satisfied* or more successes have just the probability *error*.
    return _solved(lambda rate: incomplete_beta(satisfied, trials - satisfied + 1, rate), error)


def upper_bound(satisfied: int, trials: int, error: float) -> float:
    """
    Upper bound of the rate (one-sided Clopper-Pearson).

    Args:
        satisfied: The number of trials that satisfied the assertion.
        trials: The number of trials.
        error: The probability that the rate is above the bound.

    Raises:
        ValueError: There are no trials, or fewer than *satisfied*.
    """
    # By symmetry.  The lower bound is rounded down, so this one is rounded up.
    return 1.0 - lower_bound(trials - satisfied, trials, error)


def interval(satisfied: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """
    Confidence interval of the rate (Clopper-Pearson).

    Args:
        satisfied: The number of trials that satisfied the assertion.
        trials: The number of trials.
        confidence: The probability, at least, that the interval contains the rate.

    Raises:
        ValueError: There are no trials, or fewer than *satisfied*.
    """
    # Two-sided: either bound may be wrong with half of the error.
    error = (1 - confidence) / 2
    return lower_bound(satisfied, trials, error), upper_bound(satisfied, trials, error)


def trials_to_see(rate: float, confidence: float = CONFIDENCE) -> int:
    """
    The number of further trials that reach a state of that *rate* at least once.

    Args:
        rate: The rate of the state, above 0 and at most 1.
        confidence: The probability that one of the trials reaches it.

    Raises:
        ValueError: The rate is out of range.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"a rate must be above 0 and at most 1, not {rate}")
    # The first case also covers a rate of 1, whose logarithm is infinite.
    return 1 if rate >= confidence else math.ceil(math.log1p(-confidence) / math.log1p(-rate))


def chance_of_something_new(times_satisfied: Iterable[int], trials: int) -> float:
    """
    Estimate the probability that one more trial satisfies an assertion for the first time.

    The Good-Turing estimate: the number of assertions that were satisfied in a single trial,
    relative to the number of trials.

    Args:
        times_satisfied: For each assertion, the number of trials that satisfied it.
        trials: The number of trials.

    Raises:
        ValueError: There are no trials.
    """
    if trials < 1:
        raise ValueError("an estimate of the next trial needs at least one trial")
    # One trial may satisfy several assertions for the only time.
    return min(1.0, sum(times == 1 for times in times_satisfied) / trials)


def _check(satisfied: int, trials: int) -> None:
    if trials < 1:
        raise ValueError("a rate needs at least one trial")
    if not 0 <= satisfied <= trials:
        raise ValueError(f"{satisfied} of {trials} trials is impossible")


def _solved(rising: Callable[[float], float], value: float) -> float:
    """Bisect for the argument between 0 and 1 at which *rising* is *value*, rounded down."""
    # Ends when no number lies between the bounds; near zero that takes over a thousand steps, so
    # they are limited.
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
    The regularised incomplete beta function of *a*, *b* and *x*.

    It is the probability of *a* or more successes in ``a + b - 1`` trials of rate *x*.

    Source: the continued fraction of DLMF 8.17.22, evaluated by Lentz's method.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    # The fraction converges quickly only below this point; above it, the symmetry of the function
    # leads back.
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    # In logarithms, as the gamma function itself overflows for more than 170 trials.
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    return math.exp(log_front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    # Lentz's method: the value is a product of quotients of successive numerators and denominators,
    # neither of which is computed itself, since they would overflow.
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
        # The number of terms grows with the square root of the number of trials.
        if abs(c * d - 1.0) < _PRECISION or step > 10_000 + 10 * math.isqrt(int(a + b)):
            return value


def _not_zero(value: float) -> float:
    # A vanishing denominator is replaced by a tiny one; its effect cancels in the next quotient.
    return value if abs(value) > _TINY else _TINY
