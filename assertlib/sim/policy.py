"""
Scheduling policies: they choose which ready task runs next.

PCT gives every task a random priority and always runs the ready task with the highest one; at
*depth* - 1 random steps the running task drops below all others.  Source: Burckhardt, Kothari,
Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs",
ASPLOS 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .tape import Tape

if TYPE_CHECKING:
    from .process import Handle

__all__ = ["SWARM", "Policy", "drawn_step", "policy_named"]

SWARM = "swarm"

_PRIORITIES = 1 << 20
_LONGEST = 14
"""Binary logarithm of the number of steps within which priorities change."""
_PATIENCE = 1000
"""Every so many steps the running task is demoted, besides the random changes."""


class Policy(Protocol):
    """Chooses the task that runs next."""

    def pick(self, ready: list[Handle], callbacks: int) -> int:
        """
        Choose the next task.

        Args:
            ready: The next step of each ready task, the longest waiting one first.
            callbacks: 1 if plain callbacks are ready as well, otherwise 0.

        Returns:
            The index of the task in *ready*.  If callbacks are ready, 0 stands for them, and the
            tasks are numbered from 1.
        """


class Fifo:
    """The task that has waited longest, as in asyncio's own loop."""

    # The loop keeps a single queue under this policy, so it never has to ask.
    def pick(self, ready: list[Handle], callbacks: int) -> int:
        return 0


class RandomWalk:
    """A random task at every step."""

    def __init__(self, tape: Tape) -> None:
        self._choose = tape.choose

    def pick(self, ready: list[Handle], callbacks: int) -> int:
        return self._choose(len(ready) + callbacks)


class Pct:
    """Random priorities with *depth* - 1 changes; see the head of the module."""

    def __init__(self, tape: Tape, depth: int) -> None:
        self._tape = tape
        self._steps = 0
        self._priorities: dict[int, int] = {}
        self._changes = {drawn_step(tape) for _ in range(depth - 1)}

    def pick(self, ready: list[Handle], callbacks: int) -> int:
        self._steps += 1
        # Lane 0, all callbacks together, has a priority like any task.
        lanes = [0] * callbacks + [handle.lane for handle in ready]
        # Drawn when a task is first seen: the number of tasks is unknown in advance.
        known = self._priorities
        for lane in lanes:
            if lane not in known:
                known[lane] = self._tape.choose(_PRIORITIES)
        best = max(range(len(lanes)), key=lambda at: known[lanes[at]])
        # A task that polls must not starve those it waits for.  Each demotion is lower than all
        # before, and below every initial priority.
        if self._steps in self._changes or self._steps % _PATIENCE == 0:
            known[lanes[best]] = -self._steps
        return best


def drawn_step(tape: Tape) -> int:
    """Draw a step, uniformly on a logarithmic scale."""
    # The length of a trial is unknown in advance; short and long ones should be hit alike.
    power = 1 << tape.choose(_LONGEST)
    return power + tape.choose(power)


def policy_named(name: str, tape: Tape) -> Policy:
    """
    Create the policy called *name*, which makes its choices on *tape*.

    Names are ``random``, ``fifo``, ``pct`` followed by a depth, and ``swarm``, which draws a
    different policy in each trial.

    Raises:
        ValueError: The name is unknown.
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
