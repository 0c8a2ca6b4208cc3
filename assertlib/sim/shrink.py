"""
Shrink the tape of a failure: reach the failure in fewer steps, and with fewer and simpler choices.

What a person has to read is the trace up to the failure, so that its length counts first.

Sources: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002;
MacIver and Donaldson, "Test-Case Reduction via Test-Case Generation", ECOOP 2020, for reducing the
choices instead of the input, as Hypothesis does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["Reached", "shrink"]

_LARGEST = (1 << 20) - 1
"""The largest choice below any bound that is a power of two, after the reduction modulo it."""


class Reached(NamedTuple):
    """
    A replay that fails as it should.

    Attributes:
        steps: The number of steps until the failure.
        labels: By the position of a choice that exists because of a fault, the name of the fault.
        switches: By the position of a choice that switches a fault on, unless it is zero, its name.
    """

    steps: int
    labels: Mapping[int, str] = {}
    switches: Mapping[int, str] = {}


Fails = Callable[[Sequence[int]], "Reached | None"]
"""Replays a tape; see `shrink`."""


def shrink(choices: list[int], fails: Fails, budget: int, seconds: float = math.inf) -> list[int]:
    """
    Find a tape that fails in the same way after fewer steps, or with fewer or simpler choices.

    Args:
        choices: The tape of the failure.
        fails: Replays a tape, with the simplest choices behind its end; returns how it fails in the
            same way, and None if it does not.
        budget: The number of replays; the result depends on nothing else.
        seconds: Real seconds after which shrinking stops even so.

    Returns:
        The best tape found; *choices* if that does not fail itself.
    """
    return _Shrinking(choices, fails, budget, time.monotonic() + seconds).run()


class _Shrinking:
    def __init__(self, choices: list[int], fails: Fails, budget: int, deadline: float) -> None:
        self._best = choices
        self._cost: tuple[int, int, int, int] | None = None
        self._fails = fails
        self._budget = budget
        self._deadline = deadline
        self._reached = Reached(0)
        self._tried: set[tuple[int, ...]] = set()

    def run(self) -> list[int]:
        if not self._try(self._best):
            return self._best
        # Each pass may enable another one, so they are repeated until none improves the tape.
        before = None
        while before != self._best and not self._is_late():
            before = self._best
            self._drop_faults()
            self._cut_off()
            self._flatten()
            self._take_out()
            self._raise()
            self._lower()
        return self._best

    def _is_late(self) -> bool:
        return self._budget <= 0 or time.monotonic() > self._deadline

    def _try(self, candidate: list[int]) -> bool:
        candidate = _trimmed(candidate)
        key = tuple(candidate)
        if key in self._tried or self._is_late():
            return False
        self._tried.add(key)
        self._budget -= 1
        reached = self._fails(candidate)
        if reached is None:
            return False
        # It decreases with every improvement, so shrinking ends.
        cost = (reached.steps, len(candidate), sum(map(bool, candidate)), sum(candidate))
        if self._cost is not None and cost >= self._cost:
            return False
        self._best, self._cost, self._reached = candidate, cost, reached
        return True

    def _drop_faults(self) -> None:
        """Do without all faults, or without each of them."""
        names = list(dict.fromkeys(self._reached.switches.values()))
        for dropped in [names, *([name] for name in names)]:
            labels, switches = self._reached.labels, self._reached.switches
            self._try(
                [
                    0 if switches.get(at) in dropped else choice
                    for at, choice in enumerate(self._best)
                    if labels.get(at) not in dropped
                ]
            )

    def _cut_off(self) -> None:
        """Find a short prefix that still fails, by bisection."""
        # Failing is not monotonic in the length, so the result need not be the shortest prefix.
        low, high = 0, len(self._best)
        whole = self._best
        while low < high and not self._is_late():
            middle = (low + high) // 2
            if self._try(whole[:middle]):
                high = middle
            else:
                low = middle + 1

    def _chunks(self, change: Callable[[list[int], int, int], list[int]]) -> None:
        # Large chunks first: most choices are irrelevant, and each replay is expensive.  After a
        # success the same position holds other choices, so it is tried again.
        size = max(1, len(self._best) // 2)
        while size:
            at = 0
            while at < len(self._best) and not self._is_late():
                if not self._try(change(self._best, at, at + size)):
                    at += size
            size //= 2

    def _take_out(self) -> None:
        self._chunks(lambda choices, begin, end: choices[:begin] + choices[end:])

    def _flatten(self) -> None:
        def flat(choices: list[int], begin: int, end: int) -> list[int]:
            return choices[:begin] + [0] * len(choices[begin:end]) + choices[end:]

        self._chunks(flat)

    def _raise(self) -> None:
        """Make choices as large as possible: one long wait is shorter to read than many brief ones."""
        self._chunks(
            lambda choices, begin, end: (
                choices[:begin] + [_LARGEST] * len(choices[begin:end]) + choices[end:]
            )
        )

    def _lower(self) -> None:
        # Large divisors first: most choices may be zero, or nearly so.
        for at in range(len(self._best)):
            for divisor in (1 << 16, 256, 16, 2):
                if at < len(self._best) and self._best[at]:
                    lower = list(self._best)
                    lower[at] //= divisor
                    self._try(lower)


def _trimmed(choices: list[int]) -> list[int]:
    """Remove the zeros at the end, which a replay adds anyway."""
    end = len(choices)
    while end and not choices[end - 1]:
        end -= 1
    return choices[:end]
