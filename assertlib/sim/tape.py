"""
The choices of a trial: the only source of nondeterminism.

The next task to run, the latency of a message, the writes that survive a power cut: each choice is
a number below a bound.  The numbers of a trial, in order, are its tape; the same program with the
same tape behaves identically.  Zero is always the simplest choice: the task that has waited
longest, no fault, the shortest delay.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

FINE = 1 << 20
HALF = 1 << 32


class Tape:
    """
    Makes the choices of a trial and records them.

    Attributes:
        values: The choices made so far.
        labels: By the position of a choice that exists because of a fault, the name of the fault.
        switches: By the position of a choice that switches a fault on, unless it is zero, its name.
    """

    __slots__ = ("_given", "_random", "_words", "labels", "switches", "values")

    def __init__(self, seed: int | None, given: Sequence[int] = ()) -> None:
        """
        Args:
            seed: Seed of the choices after *given*; None for the simplest choices.
            given: The first choices; each is reduced modulo its bound.
        """
        self._given = given
        dice = random.Random(seed or 0)
        self._random: Callable[[], float] = _plainest if seed is None else dice.random
        self._words = dice.getrandbits
        self.values: list[int] = []
        self.labels: dict[int, str] = {}
        self.switches: dict[int, str] = {}

    def choose(self, bound: int) -> int:
        """Choose an integer from 0 to *bound* - 1."""
        values = self.values
        at = len(values)
        given = self._given
        # The remainder makes every tape valid, so that tapes can be cut, mutated and replayed with
        # changed code.
        value = given[at] % bound if at < len(given) else int(self._random() * bound)
        values.append(value)
        return value

    def chance(self, probability: float) -> bool:
        """Return True with *probability*; no choice is made for a probability of 0 or 1."""
        if probability <= 0.0:
            return False
        # High numbers count as True, since zero must be the simplest outcome.
        return probability >= 1.0 or self.choose(FINE) >= FINE * (1.0 - probability)

    def strikes(self, fault: str, probability: float) -> bool:
        """Return True with *probability*, as `chance` does; the choice belongs to *fault*."""
        begin = len(self.values)
        decided = self.chance(probability)
        self.label(fault, begin)
        return decided

    def label(self, fault: str, begin: int) -> None:
        """Mark the choices from position *begin* on as made because of *fault*."""
        for at in range(begin, len(self.values)):
            self.labels.setdefault(at, fault)

    def between(self, low: float, high: float) -> float:
        """Choose a number from *low* up to, but not including, *high*."""
        # A copy of `choose`, which saves a call: every message draws its latency here.
        values, given = self.values, self._given
        at = len(values)
        value = given[at] % FINE if at < len(given) else int(self._random() * FINE)
        values.append(value)
        return low + (high - low) * (value / FINE)

    def pick(self, things: Sequence[T]) -> T:
        """Choose one of *things*, of which the first is the simplest."""
        return things[self.choose(len(things))]

    def word(self) -> int:
        """
        Choose 64 random bits.

        They are random even without a seed, since no word is simpler than another.
        """
        # A program that draws words until they differ would never end with a constant.
        at, given = len(self.values), self._given
        high = given[at] % HALF if at < len(given) else self._words(32)
        low = given[at + 1] % HALF if at + 1 < len(given) else self._words(32)
        self.values += (high, low)
        return high << 32 | low

    def __repr__(self) -> str:
        return f"<Tape of {len(self.values)} choices>"


def _plainest() -> float:
    return 0.0
