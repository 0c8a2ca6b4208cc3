"""
What a guided search knows: tapes that showed something, and how to make new ones from them.

A feature is worth its tape when it is new, or when the tape is shorter; a rich assertion's extreme
is, whenever it gets nearer.  A state that was shown twice, four times, eight times in one trial is
a feature for each: where something unusual happens often, it also meets other things.

Parents are drawn by how rare what they showed is, since what is easy to reach needs no guidance:
Böhme et al., "Coverage-Based Greybox Fuzzing as Markov Chain", CCS 2016.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .trial import Features

__all__ = ["Corpus", "Entry"]

_EXTREME = "extreme "
_OTHER_SIDE = " [not]"


@dataclass(eq=False)
class Entry:
    """
    A tape that is worth keeping.

    Attributes:
        tried: How often it was a parent.
    """

    choices: tuple[int, ...]
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
        # In order, so that a search with one worker is the same each time.
        names = list(_counted(features))
        self.seen.update(names)
        new = [name for name in names if self.seen[name] == 1]
        nearer = [name for name in features if self._is_nearer(name, features[name])]
        better = [name for name in names if self._is_shorter(name, choices)]
        if new or nearer or better:
            entry = Entry(tuple(choices))
            for name in (*new, *nearer, *better):
                self.best[name] = entry
        return sorted(new)

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
        choices = self._parent().choices
        dice = rng.random()
        if dice < 0.5:
            # What is set up at the beginning decides most, and the trial from there on is another.
            return choices[: round(len(choices) ** rng.random())]
        cut = max(rng.randrange(len(choices) + 1) for _ in range(2))
        if dice < 0.7:
            return choices[:cut]
        if dice < 0.9:
            return self._mutated(choices)
        return choices[:cut] + self._parent().choices[cut:]

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


def _counted(features: Features) -> Iterator[str]:
    """The names of states, and of each again for every power of two that its count reaches."""
    for name, count in features.items():
        if not name.startswith(_EXTREME):
            yield name
            if not name.endswith(_OTHER_SIDE) and not name.startswith("always"):
                yield from (f"{name} x{1 << power}" for power in range(1, int(count).bit_length()))
