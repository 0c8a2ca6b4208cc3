"""
Shrink the tape of a failure: reach the failure in fewer steps, and with fewer and simpler choices.

What a person has to read is the trace up to the failure, so that its length counts first.

Sources: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002;
MacIver and Donaldson, "Test-Case Reduction via Test-Case Generation", ECOOP 2020, for reducing the
choices instead of the input, as Hypothesis does.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from .sources import Choice

__all__ = ["Reached", "shrink"]

_LARGEST = (1 << 20) - 1
"""The largest choice below any bound that is a power of two, after the reduction modulo it."""

_COARSE = 8
"""Size of the smallest chunks that are taken out before single choices are looked at."""
_STEPS = 5_000_000
"""Steps of all replays together, each counted with as many as it may take: some minutes."""
_RESTARTS = 500
"""Other trials to look at before this one is shrunk."""
_PATIENCE = 10
"""Random changes for each choice, all without success, after which no more are tried."""

Choices = Sequence[Choice]


class Reached(NamedTuple):
    """
    A replay that fails as it should.

    Attributes:
        choices: The choices until the failure.
        steps: The number of steps until then.
        labels: By the position of a choice that exists because of a fault, the name of the fault.
        switches: By the position of a choice that switches a fault on, unless it is zero, its name.
    """

    choices: Choices
    steps: int
    labels: Mapping[int, str] = {}
    switches: Mapping[int, str] = {}


Fails = Callable[[Choices, int, int | None], "Reached | None"]
"""Replays choices by source, up to a number of steps, and goes on with a seed; see `shrink`."""


def shrink(whole: Reached, fails: Fails, budget: int, seconds: float = math.inf) -> list[int]:
    """
    Find a tape that fails in the same way after fewer steps, or with fewer or simpler choices.

    Args:
        whole: The failure.
        fails: Replays choices by source, up to a number of steps.  Choices after their end come from
            a seed; without one they are the simplest ones.  Returns how the trial fails in the same
            way, and None if it does not.
        budget: The number of replays, fewer if they are long; the result depends on nothing else.
        seconds: Real seconds after which shrinking stops even so.

    Returns:
        The best tape found.
    """
    return _Shrinking(whole, fails, budget, time.monotonic() + seconds).run()


class _Shrinking:
    def __init__(self, whole: Reached, fails: Fails, budget: int, deadline: float) -> None:
        self._fails = fails
        self._budget = budget
        self._steps_left = _STEPS
        self._deadline = deadline
        self._tried: set[tuple[tuple[Choice, ...], int | None]] = set()
        self._dice = random.Random(1)
        self._take(whole)

    def _take(self, reached: Reached) -> None:
        self._reached = reached
        self._best = _trimmed(reached.choices)
        self._cost = _cost(reached)

    def run(self) -> list[int]:
        # The coarse passes first: what they leave is replayed faster.
        self._restart()
        self._repeat(self._drop_faults, self._cut_off, self._take_out_much, self._resample)
        self._repeat(self._drop_faults, self._simplify, self._raise, self._lower)
        return [choice.value for choice in self._best]

    def _repeat(self, *passes: Callable[[], None]) -> None:
        """Run *passes* until none of them improves the tape: each may enable another one."""
        before = None
        while before != self._best and not self._is_late():
            before = self._best
            for each in passes:
                each()

    def _is_late(self) -> bool:
        return min(self._budget, self._steps_left) <= 0 or time.monotonic() > self._deadline

    def _try(self, candidate: Choices, seed: int | None = None) -> bool:
        key = tuple(_trimmed(candidate) if seed is None else candidate)
        if (key, seed) in self._tried or self._is_late():
            return False
        self._tried.add((key, seed))
        self._budget -= 1
        self._steps_left -= self._reached.steps
        reached = self._fails(key, self._reached.steps, seed)
        # The cost decreases with every improvement, so shrinking ends.
        if reached is None or _cost(reached) >= self._cost:
            return False
        self._take(reached)
        return True

    def _restart(self) -> None:
        """Look for another trial that fails sooner, from the beginning or from a prefix."""
        # The first failure that was found is seldom the one that is easiest to shrink.
        for seed in range(min(_RESTARTS, self._reached.steps, self._budget // 8)):
            kept = self._dice.randrange(len(self._best) + 1) if seed % 2 else 0
            self._try(self._best[:kept], seed)

    def _drop_faults(self) -> None:
        """Do without all faults, or without each of them."""
        names = list(dict.fromkeys(self._reached.switches.values()))
        for dropped in [names, *([name] for name in names)]:
            labels, switches = self._reached.labels, self._reached.switches
            self._try(
                [
                    choice._replace(value=0) if switches.get(at) in dropped else choice
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

    def _take_out_much(self) -> None:
        self._simplify(_COARSE)

    def _simplify(self, least: int = 1) -> None:
        """Take out or flatten chunks of choices: of all, of those of an owner, or of a place."""
        # Large chunks first: most choices are irrelevant, and each replay is expensive.
        size = len(self._best)
        while size >= least:
            for group in self._groups():
                self._simplify_group(group, size)
            size //= 2

    def _groups(self) -> Iterator[Choice | None]:
        """Yield a member of each group, with an empty place for an owner; None for all choices."""
        yield None
        yield from dict.fromkeys(choice._replace(value=0, place="") for choice in self._best)
        yield from dict.fromkeys(choice._replace(value=0) for choice in self._best)

    def _simplify_group(self, group: Choice | None, size: int) -> None:
        at = 0
        while not self._is_late():
            members = [at for at, choice in enumerate(self._best) if _is_in(choice, group)]
            chunk = frozenset(members[at : at + size])
            if not chunk:
                return
            # After a success the same position holds other choices, so it is tried again.
            if not self._try([each for at, each in enumerate(self._best) if at not in chunk]):
                self._try(self._with(chunk, 0))
                at += size

    def _with(self, chunk: Collection[int], value: int) -> list[Choice]:
        """Return the best tape with *value* at the positions in *chunk*."""
        return [
            each._replace(value=value) if at in chunk else each
            for at, each in enumerate(self._best)
        ]

    def _raise(self) -> None:
        """Make choices as large as possible: one long wait is shorter to read than many brief ones."""
        for at in range(len(self._best)):
            self._try(self._with({at}, _LARGEST))

    def _resample(self) -> None:
        """Leave out some choices and draw others anew, until that no longer helps."""
        # What has to coincide no longer does once a choice is missing; another value of a second
        # choice can restore it.
        dice, failed = self._dice, 0
        while failed < _PATIENCE * len(self._best) and not self._is_late():
            group = dice.choice([*self._groups()])
            members = [at for at, choice in enumerate(self._best) if _is_in(choice, group)]
            begin, size = dice.randrange(len(members)), int(len(members) ** dice.random())
            missing = frozenset(members[begin : begin + size])
            often = dice.choice((0.0, 0.05, 0.2, 0.5))
            # What is missing at the end is drawn anew, or is as simple as can be.
            seed = dice.choice((None, dice.randrange(_LARGEST)))
            is_better = self._try(
                [
                    self._drawn(each) if dice.random() < often else each
                    for at, each in enumerate(self._best)
                    if at not in missing
                ],
                seed,
            )
            failed = 0 if is_better else failed + 1

    def _drawn(self, choice: Choice) -> Choice:
        """Draw another value for *choice*: mostly a similar one."""
        dice = self._dice
        near = int(choice.value * dice.uniform(0.5, 1.5))
        return choice._replace(value=dice.choice((near, near, dice.randrange(_LARGEST), 0)))

    def _lower(self) -> None:
        # Large divisors first: most choices may be zero, or nearly so.
        for at in range(len(self._best)):
            for divisor in (1 << 16, 256, 16, 2):
                if at < len(self._best) and (value := self._best[at].value):
                    self._try(self._with({at}, value // divisor))


def _is_in(choice: Choice, group: Choice | None) -> bool:
    return group is None or (choice.owner == group.owner and group.place in ("", choice.place))


def _cost(reached: Reached) -> tuple[int, int, int, int]:
    values = [choice.value for choice in _trimmed(reached.choices)]
    return reached.steps, len(values), sum(map(bool, values)), sum(values)


def _trimmed(choices: Choices) -> list[Choice]:
    """Remove the zeros at the end, which a replay adds anyway."""
    end = len(choices)
    while end and not choices[end - 1].value:
        end -= 1
    return list(choices[:end])
