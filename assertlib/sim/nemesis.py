"""
Injects faults into a trial.

Each trial draws a mix of faults: a subset of the kinds, each with its own intensity.  Few kinds at
a time find more bugs than all kinds at once: Groce et al., "Swarm Testing", ISSTA 2012.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from hashlib import blake2b

from .faults import Fault
from .world import Host, World

__all__ = ["Nemesis"]

_SHORTEST = 0.001
"""Shortest time between two faults, in seconds."""
_STRIKES = 1 << 10
"""Bound of the choice of a strike; zero stands for none."""


class Nemesis:
    """
    Draws the fault mix of a trial and injects it.

    Attributes:
        mix: The faults of this trial, a subset of the allowed ones.
    """

    def __init__(self, world: World, allowed: Sequence[Fault]) -> None:
        self._world = world
        tape = world.tape
        # Mostly about a third of the faults, occasionally all, and occasionally none: faults mask
        # each other, and some bugs need none.  See the source at the head of the module.
        often = (0.0, 0.15, 0.35, 0.35, 0.6, 1.0)[tape.choose(6)] if allowed else 0.0
        drawn = {fault: self._intensity(fault, often) for fault in allowed}
        self.mix = tuple(fault for fault, intensity in drawn.items() if intensity)
        self._intensities = {fault.name: intensity for fault, intensity in drawn.items()}
        self._pause = tape.between(0.05, 0.8)

    def _intensity(self, fault: Fault, often: float) -> float:
        """Draw the intensity of *fault*; zero, with a probability of 1 - *often*, to do without."""
        tape = self._world.tape
        # One choice for each fault, in the mix or not: one that shrinking removes must not shift
        # the choices after it.
        tape.switches[len(tape.values)] = fault.name
        drawn = tape.between(0.0, 1.0)
        return 0.1 + 0.9 * (drawn - 1.0 + often) / often if drawn > 1.0 - often else 0.0

    def prepare(self, host: Host, only: Container[str] | None) -> None:
        """Arm the faults of the mix on *host*, limited to those named in *only*, if given."""
        for fault in self._mixed(only):
            if fault.prepare is not None:
                fault.prepare(self._world, host, self._intensities[fault.name])

    def _mixed(self, only: Container[str] | None) -> list[Fault]:
        return [fault for fault in self.mix if only is None or fault.name in only]

    async def work(self, host: Host, only: Container[str] | None) -> None:
        """Inject one fault after another into *host*, limited to those named in *only*, if given."""
        tape = self._world.tape
        strikes = [fault for fault in self._mixed(only) if fault.strike is not None]
        while strikes:
            # Zero is the longest wait, and then no fault, so that shrinking removes faults.
            await asyncio.sleep(tape.between(2 * self._pause, _SHORTEST))
            fault, lasts = self._drawn(strikes), tape.between(0.0, 1.0)
            # A crashed host stays down until the scenario boots it; faults go on afterwards.
            if fault is None or not host.is_up or fault.strike is None:
                continue
            begin = len(tape.values)
            end = fault.strike(self._world, host)
            tape.label(fault.name, begin)
            if end is not None:
                shortest, longest = fault.seconds
                try:
                    await asyncio.sleep(shortest + lasts * (longest - shortest))
                except asyncio.CancelledError:
                    # Faults last no longer than their injection.
                    end()
                    raise
                end()

    def _drawn(self, strikes: Sequence[Fault]) -> Fault | None:
        """Choose one of *strikes*, or rarely none."""
        tape = self._world.tape
        at, which = len(tape.values), tape.choose(_STRIKES)
        if not which:
            return None
        # By the highest hash instead of an index: without one of the others, the same fault strikes.
        drawn = max(strikes, key=lambda fault: blake2b(f"{which} {fault.name}".encode()).digest())
        tape.switches[at] = drawn.name
        return drawn

    def stop_faults(self) -> None:
        """Heal the network, mend all disks and resume all hosts."""
        network = self._world.network
        network.heal()
        network.conditions = network.usual
        for host in self._world.hosts.values():
            host.resume()
            host.stall(0.0)
            host.disk.faults.end()
