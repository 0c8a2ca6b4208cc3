"""
What a guided search knows: tapes that showed something, and how to make new ones from them.

States are followed by how rare they are, since what is easy to reach needs no guidance: Böhme et
al., "Coverage-Based Greybox Fuzzing as Markov Chain", CCS 2016.  A child has only the set-up of
its parent, since faults, options and who takes part decide most, or goes on in another way from
where its parent showed the state.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .trial import SET_UP, Features

__all__ = ["Corpus", "Entry"]

_EXTREME = "extreme "
_ALWAYS = "always "
_FOLLOWS_EXTREMES = 0.1
_LATEST = 8

Tape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """
    A tape that is worth keeping.

    Attributes:
        set_up: How many of its choices had been made when time began to pass.
        at: How many when it had shown what it is kept for.
    """

    choices: Tape
    set_up: int
    at: int


@dataclass
class Corpus:
    """
    All tapes worth keeping.

    Attributes:
        seen: In how many trials each state was shown.
        latest: The last tapes that showed it.
        witnesses: A short one that did.
        extremes: How near each extreme of a rich assertion has got, and the tape that did.
        trials: How many there were.
    """

    rng: random.Random
    seen: Counter[str] = field(default_factory=Counter)
    latest: dict[str, deque[Entry]] = field(default_factory=dict)
    witnesses: dict[str, Tape] = field(default_factory=dict)
    extremes: dict[str, tuple[float, Entry]] = field(default_factory=dict)
    trials: int = 0

    def learn(
        self, choices: Sequence[int], features: Features, places: Mapping[str, int]
    ) -> list[str]:
        """Take note of a trial; the states that it was the first to show."""
        self.trials += 1
        tape = tuple(choices)
        set_up = places.get(SET_UP, 0)
        for name, value in features.items():
            entry = Entry(tape, set_up, places.get(name, len(tape)))
            if name.startswith(_EXTREME):
                self._push(name, value, entry)
            elif not name.startswith(_ALWAYS):
                self._keep(name, entry)
        return sorted(name for name in features if self.seen[name] == 1)

    def _push(self, name: str, value: float, entry: Entry) -> None:
        if name not in self.extremes or value > self.extremes[name][0]:
            self.extremes[name] = value, entry

    def _keep(self, name: str, entry: Entry) -> None:
        self.seen[name] += 1
        self.latest.setdefault(name, deque(maxlen=_LATEST)).append(entry)
        # One that is hardly shorter is no better witness.
        known = self.witnesses.get(name)
        if known is None or 2 * len(entry.choices) < len(known):
            self.witnesses[name] = entry.choices

    def child(self) -> Tape:
        """A beginning of a tape, made from what is known."""
        rng = self.rng
        parent = self._parent()
        tape = parent.choices
        dice = rng.random()
        place = parent.set_up if dice < 0.5 else parent.at
        if place >= len(tape):
            # The end leaves nothing to do in another way.
            place = rng.randrange(len(tape) + 1)
        if dice < 0.8:
            return tape[:place]
        if dice < 0.9:
            return self._mutated(tape)
        return tape[:place] + self._parent().choices[place:]

    def _parent(self) -> Entry:
        rng = self.rng
        if self.extremes and rng.random() < _FOLLOWS_EXTREMES:
            return rng.choice(list(self.extremes.values()))[1]
        names = list(self.latest)
        (name,) = rng.choices(names, [(1 + self.seen[name]) ** -2.0 for name in names])
        return rng.choice(self.latest[name])

    def _mutated(self, tape: Tape) -> Tape:
        changed = list(tape)
        for _ in range(1 << self.rng.randrange(6)):
            if changed:
                changed[self.rng.randrange(len(changed))] = self.rng.getrandbits(32)
        return tuple(changed)
