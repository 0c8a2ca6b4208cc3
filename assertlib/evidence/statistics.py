"""
What can be said of the rate of a state, over trials drawn at random.
"""

from __future__ import annotations

CONFIDENCE = 0.95


def rate_bound_when_never_seen(trials: int, confidence: float = CONFIDENCE) -> float:
    """
    Upper bound of the rate of something that none of *trials* random trials showed.

    Exact (Clopper-Pearson with no success): ``1 - (1 - confidence) ** (1 / trials)``.

    Raises:
        ValueError: There were no trials, which says nothing.
    """
    if trials < 1:
        raise ValueError("no trials say nothing about a rate")
    return float(1.0 - (1.0 - confidence) ** (1.0 / trials))
