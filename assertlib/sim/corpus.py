"""
What a guided search knows: tapes that showed something, and how to make new ones from them.

A feature is worth its tape when it is new, or when the tape is shorter; a rich assertion's extreme
is, whenever it gets nearer.  Two rare features of one trial are a feature, too: many a bug needs
two unusual states at once.  Parents are drawn by how rare what they showed is, since what is easy
to reach needs no guidance: Böhme et al., "Coverage-Based Greybox Fuzzing as Markov Chain",
CCS 2016.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from .trial import Features

__all__ = ["Corpus", "Entry"]

_EXTREME = "extreme "
_PAIR = "pair "
_RARE = 0.1
_KNOWN_AFTER = 50
"""Trials after which it is known what is rare."""


@dataclass(eq=False)
class Entry:
    """
    A tape, and what it was kept for.

    Attributes:
        tried: How often it was a parent.
    """

    choices: tuple[int, ...]
    features: frozenset[str]
    tried: int = 0


@dataclass
class Corpus:
    """
    All tapes worth keeping.

    Attributes:
        best: The entry of each feature.
        seen: In how many trials each feature was shown.
    """

    rng: random.Random
    best: dict[str, Entry] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    extremes: dict[str, float] = field(default_factory=dict)
    trials: int = 0

    def learn(self, choices: Sequence[int], features: Features) -> list[str]:
        """Take note of a trial; the features that it was the first to show."""
        self.trials += 1
        names = {name for name in features if not name.startswith(_EXTREME)}
        names |= self._pairs(names)
        for name in names:
            self.seen[name] += 1
        new = [name for name in names if self.seen[name] == 1]
        nearer = [name for name in features if self._is_nearer(name, features[name])]
        if new or nearer or any(self._is_shorter(name, choices) for name in names):
            entry = Entry(tuple(choices), frozenset(names))
            for name in (*new, *nearer, *filter(lambda n: self._is_shorter(n, choices), names)):
                self.best[name] = entry
        return sorted(new)

    def _pairs(self, names: set[str]) -> set[str]:
        if self.trials < _KNOWN_AFTER:
            return set()
        rare = sorted(name for name in names if self.seen[name] < _RARE * self.trials)
        return {f"{_PAIR}{a} + {b}" for a, b in combinations(rare, 2)}

    def _is_nearer(self, name: str, value: float) -> bool:
        if not name.startswith(_EXTREME) or value <= self.extremes.get(name, float("-inf")):
            return False
        self.extremes[name] = value
        return True

    def _is_shorter(self, name: str, choices: Sequence[int]) -> bool:
        known = self.best.get(name)
        return known is None or 2 * len(choices) < len(known.choices)

    def child(self) -> tuple[int, ...]:
        """A beginning of a tape, made from what is known."""
        rng = self.rng
        parent = self._parent()
        choices = parent.choices
        dice = rng.random()
        # Most of the way there as before, and from there on anything.
        cut = rng.randrange(len(choices) + 1)
        if dice < 0.5:
            return choices[:cut]
        if dice < 0.8:
            return self._mutated(choices)
        other = self._parent().choices
        return choices[:cut] + other[cut:]

    def _parent(self) -> Entry:
        names = list(self.best)
        weights = [
            1.0 / (1 + self.seen[name]) / (1 + self.best[name].tried) ** 0.5 for name in names
        ]
        entry = self.best[self.rng.choices(names, weights)[0]]
        entry.tried += 1
        return entry

    def _mutated(self, choices: Sequence[int]) -> tuple[int, ...]:
        changed = list(choices)
        for _ in range(1 << self.rng.randrange(6)):
            if changed:
                changed[self.rng.randrange(len(changed))] = self.rng.getrandbits(32)
        return tuple(changed)
