"""
The corpus of a guided search: setups of earlier trials and the states they reached.

A setup comprises all choices made before time begins to pass: policy, faults, options and
participants.  It determines most of a trial.  The search reuses the setup that reached the rarest
states, weighted by rarity since easily reached states need no guidance (Böhme et al., "Coverage-
Based Greybox Fuzzing as Markov Chain", CCS 2016), until those states stop being rare.  Now and then
it mutates the setup.  It also branches off from points at which a rare state was reached.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .trial import SET_UP, Features

__all__ = ["Corpus"]

_EXTREME = "extreme "
_ALWAYS = "always "
_FOLLOWS_EXTREMES = 0.1
_LATEST = 8
_DOUBT = 1.0
"""Trials without any state, credited to every setup: one lucky trial must not look certain."""
_MOST_SET_UPS = 400
"""Setups to remember; beyond that the less promising half is dropped."""

Tape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """
    A tape kept for a state it reached.

    Attributes:
        at: Number of choices made when the state was reached.
    """

    choices: Tape
    at: int


@dataclass
class SetUp:
    """
    Statistics of one setup.

    Attributes:
        trials: Number of trials with this setup.
        shown: Number of those trials that reached each state.
    """

    trials: int = 0
    shown: Counter[str] = field(default_factory=Counter)


@dataclass
class Corpus:
    """
    States, setups and tapes of all trials so far.

    Attributes:
        seen: Number of trials that reached each state.
        set_ups: Statistics by setup.
        latest: The latest tapes that reached each state.
        witnesses: A short tape for each state.
        extremes: The best value of each extreme of a rich assertion, and its tape.
        trials: Number of trials.
        newest: Number of the latest trial with a new state or extreme, from 1; 0 for none.
    """

    rng: random.Random
    seen: Counter[str] = field(default_factory=Counter)
    set_ups: dict[Tape, SetUp] = field(default_factory=dict)
    latest: dict[str, deque[Entry]] = field(default_factory=dict)
    witnesses: dict[str, Tape] = field(default_factory=dict)
    extremes: dict[str, tuple[float, Entry]] = field(default_factory=dict)
    trials: int = 0
    newest: int = 0

    def learn(
        self, choices: Sequence[int], features: Features, places: Mapping[str, int]
    ) -> list[str]:
        """
        Record a trial.

        Args:
            choices: The tape of the trial.
            features: The states it reached, and the values of its extremes.
            places: Number of choices made when each state was reached, and, under `SET_UP`, before
                time began to pass.

        Returns:
            The states that this trial was the first to reach, sorted.
        """
        self.trials += 1
        before = dict(self.extremes)
        tape = tuple(choices)
        begins = places.get(SET_UP, 0)
        if begins >= len(tape):
            # No time passes in this trial, so pick a prefix at random.
            begins = self.rng.randrange(len(tape) + 1)
        set_up = self.set_ups.setdefault(tape[:begins], SetUp())
        set_up.trials += 1
        for name, value in features.items():
            entry = Entry(tape, places.get(name, len(tape)))
            if name.startswith(_EXTREME):
                self._push(name, value, entry)
            # An `always` that held is reached anyway, and a violated one is a goal of the search
            # rather than a step towards other states.
            elif not name.startswith(_ALWAYS):
                set_up.shown[name] += 1
                self._keep(name, entry)
        # Last, when a new set-up is credited with the states that it reached.
        if len(self.set_ups) > _MOST_SET_UPS:
            self._forget_half()
        found = sorted(name for name in features if self.seen[name] == 1)
        if found or self.extremes != before:
            self.newest = self.trials
        return found

    def _forget_half(self) -> None:
        by_worth = sorted(self.set_ups.items(), key=lambda each: self._worth(each[1]))
        self.set_ups = dict(by_worth[len(by_worth) // 2 :])

    def _push(self, name: str, value: float, entry: Entry) -> None:
        if name not in self.extremes or value > self.extremes[name][0]:
            self.extremes[name] = value, entry

    def _keep(self, name: str, entry: Entry) -> None:
        self.seen[name] += 1
        self.latest.setdefault(name, deque(maxlen=_LATEST)).append(entry)
        # A witness is for reading: only a tape of less than half its length is worth a change.
        known = self.witnesses.get(name)
        if known is None or 2 * len(entry.choices) < len(known):
            self.witnesses[name] = entry.choices

    def child(self) -> Tape:
        """A tape prefix for the next trial; random choices follow it."""
        dice = self.rng.random()
        if dice < 0.7:
            return self._promising()
        if dice < 0.75:
            return self._mutated(self._promising())
        parent = self._parent()
        tape = parent.choices
        # At the end of the tape no choice is left to vary.
        place = parent.at if parent.at < len(tape) else self.rng.randrange(len(tape) + 1)
        return tape[:place]

    def _promising(self) -> Tape:
        """The setup with the highest worth: the one that reaches rare states most often."""
        return max(self.set_ups, key=lambda tape: self._worth(self.set_ups[tape]), default=())

    def _worth(self, set_up: SetUp) -> float:
        # Dividing by the square of its frequency in all trials makes a state that is common
        # everywhere nearly worthless, however often this setup reaches it.
        shown = sum(times / self.seen[name] ** 2 for name, times in set_up.shown.items())
        return shown / (set_up.trials + _DOUBT)

    def _parent(self) -> Entry:
        rng = self.rng
        if self.extremes and rng.random() < _FOLLOWS_EXTREMES:
            return rng.choice(list(self.extremes.values()))[1]
        # A dict keeps the order in which states were first reached: a set of names would make the
        # search depend on the hash seed.
        names = list(self.latest)
        (name,) = rng.choices(names, [(1 + self.seen[name]) ** -2.0 for name in names])
        return rng.choice(self.latest[name])

    def _mutated(self, tape: Tape) -> Tape:
        changed = list(tape)
        # One, two or four changes.  Any number is a valid choice: the tape wraps it at its bound.
        for _ in range(1 << self.rng.randrange(3)):
            if changed:
                changed[self.rng.randrange(len(changed))] = self.rng.getrandbits(32)
        return tuple(changed)
