"""
Scheduling policies: which of the tasks that are ready runs next.

PCT is Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic
Guarantees of Finding Bugs", ASPLOS 2010: every task gets a random priority, the highest one that is
ready runs, and at *depth* - 1 random steps the running one drops below all others.
"""

from __future__ import annotations

from typing import Protocol

from .tape import Tape

__all__ = ["SWARM", "Policy", "policy_named"]

SWARM = "swarm"

_PRIORITIES = 1 << 20
_LONGEST = 14
"""Priorities change within the first 2 ** 14 steps."""
_PATIENCE = 1000


class Policy(Protocol):
    """Chooses among lanes: one for each task, by its number, and 0 for plain callbacks."""

    def pick(self, lanes: list[int]) -> int:
        """Which of *lanes*, of which there are two or more, the oldest first; its index."""


class Fifo:
    """Whoever waits longest, as the loop of asyncio does."""

    def pick(self, lanes: list[int]) -> int:
        return 0


class RandomWalk:
    """Anyone, at every step."""

    def __init__(self, tape: Tape) -> None:
        self._choose = tape.choose

    def pick(self, lanes: list[int]) -> int:
        return self._choose(len(lanes))


class Pct:
    """By random priorities, with *depth* - 1 changes."""

    def __init__(self, tape: Tape, depth: int) -> None:
        self._tape = tape
        self._steps = 0
        self._priorities: dict[int, int] = {}
        self._changes = {_step(tape) for _ in range(depth - 1)}

    def pick(self, lanes: list[int]) -> int:
        self._steps += 1
        known = self._priorities
        for lane in lanes:
            if lane not in known:
                known[lane] = self._tape.choose(_PRIORITIES)
        best = max(range(len(lanes)), key=lambda at: known[lanes[at]])
        # One that only waits by going round and round must not keep the others out for ever.
        if self._steps in self._changes or self._steps % _PATIENCE == 0:
            known[lanes[best]] = -self._steps
        return best


def _step(tape: Tape) -> int:
    """Early or late in a trial, as likely on a logarithmic scale."""
    power = 1 << tape.choose(_LONGEST)
    return power + tape.choose(power)


def policy_named(name: str, tape: Tape) -> Policy:
    """
    The policy called *name*: ``random``, ``fifo``, ``pct`` with a depth behind it, or ``swarm``,
    which is another one of them in each trial.

    Raises:
        ValueError: There is none.
    """
    if name == SWARM:
        name = tape.pick(("fifo", "random", "random", "pct1", "pct3", "pct5"))
    if name == "random":
        return RandomWalk(tape)
    if name == "fifo":
        return Fifo()
    depth = name.removeprefix("pct")
    if name != depth and depth.isdigit() and 0 < int(depth) < 1000:
        return Pct(tape, int(depth))
    raise ValueError(f"there is no policy {name!r}; there are swarm, random, fifo, pct1, pct2, ...")
