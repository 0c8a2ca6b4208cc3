"""
Scheduling policies: they choose which ready task runs next.

PCT is Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic
Guarantees of Finding Bugs", ASPLOS 2010: every task gets a random priority, the highest one that is
ready runs, and at *depth* - 1 random steps the running one drops below all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .tape import Tape

if TYPE_CHECKING:
    from .process import Handle

__all__ = ["SWARM", "Policy", "policy_named"]

SWARM = "swarm"

_PRIORITIES = 1 << 20
_LONGEST = 14
"""Priorities change within the first 2 ** 14 steps."""
_PATIENCE = 1000


class Policy(Protocol):
    """Chooses the task that runs next."""

    def pick(self, ready: list[Handle], callbacks: int) -> int:
        """
        The index of the one to run.

        Args:
            ready: The next step of each task that can run, the one that waits longest first.
            callbacks: 1 if plain callbacks wait as well, who then are number 0; else 0.
        """


class Fifo:
    """The task that has waited longest, as in asyncio's own loop."""

    def pick(self, ready: list[Handle], callbacks: int) -> int:
        return 0


class RandomWalk:
    """A random task at every step."""

    def __init__(self, tape: Tape) -> None:
        self._choose = tape.choose

    def pick(self, ready: list[Handle], callbacks: int) -> int:
        return self._choose(len(ready) + callbacks)


class Pct:
    """Random priorities with *depth* - 1 changes."""

    def __init__(self, tape: Tape, depth: int) -> None:
        self._tape = tape
        self._steps = 0
        self._priorities: dict[int, int] = {}
        self._changes = {_step(tape) for _ in range(depth - 1)}

    def pick(self, ready: list[Handle], callbacks: int) -> int:
        self._steps += 1
        lanes = [0] * callbacks + [handle.lane for handle in ready]
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
    raise ValueError(
        f"unknown policy {name!r}; known policies: swarm, random, fifo, pct1, pct2, ..."
    )
