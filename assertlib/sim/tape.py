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

_FINE = 1 << 20
_HALF = 1 << 32


class Tape:
    """
    Makes choices and records them.

    Attributes:
        values: The choices so far.
    """

    __slots__ = ("_given", "_random", "_words", "values")

    def __init__(self, seed: int | None, given: Sequence[int] = ()) -> None:
        """
        Args:
            seed: What decides once *given* is used up; None for always the plainest choice.
            given: The choices to make first; one beyond its bound is wrapped around.
        """
        self._given = given
        dice = random.Random(seed or 0)
        self._random: Callable[[], float] = _plainest if seed is None else dice.random
        self._words = dice.getrandbits
        self.values: list[int] = []

    def choose(self, bound: int) -> int:
        """A number from 0 to *bound* - 1."""
        values = self.values
        at = len(values)
        given = self._given
        value = given[at] % bound if at < len(given) else int(self._random() * bound)
        values.append(value)
        return value

    def chance(self, probability: float) -> bool:
        """True with *probability*; one of zero or one is no choice."""
        if probability <= 0.0:
            return False
        return probability >= 1.0 or self.choose(_FINE) >= _FINE * (1.0 - probability)

    def between(self, low: float, high: float) -> float:
        """A number from *low* to *high*."""
        # As `choose` does it, without another call: every message asks.
        values, given = self.values, self._given
        at = len(values)
        value = given[at] % _FINE if at < len(given) else int(self._random() * _FINE)
        values.append(value)
        return low + (high - low) * (value / _FINE)

    def pick(self, things: Sequence[T]) -> T:
        """One of *things*, the first being the plainest."""
        return things[self.choose(len(things))]

    def word(self) -> int:
        """
        64 random bits.

        No word is plainer than another, and a program may try until it gets another one.
        """
        at, given = len(self.values), self._given
        high = given[at] % _HALF if at < len(given) else self._words(32)
        low = given[at + 1] % _HALF if at + 1 < len(given) else self._words(32)
        self.values += (high, low)
        return high << 32 | low

    def __repr__(self) -> str:
        return f"<Tape of {len(self.values)} choices>"


def _plainest() -> float:
    return 0.0
