"""
Injects faults into a trial.

Each trial draws a mix of faults: a subset of the kinds, each with its own intensity.  Few kinds at
a time find more bugs than all kinds at once: Groce et al., "Swarm Testing", ISSTA 2012.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence

from .faults import Fault
from .world import Host, World

__all__ = ["Nemesis"]

_SHORTEST = 0.001
"""Shortest time between two faults, in seconds."""


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
        self.mix = tuple(fault for fault in allowed if tape.chance(often))
        self._intensities = {fault.name: tape.between(0.1, 1.0) for fault in self.mix}
        self._pause = tape.between(0.05, 0.8)

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
            await asyncio.sleep(tape.between(_SHORTEST, 2 * self._pause))
            fault = tape.pick(strikes)
            # A crashed host stays down until the scenario boots it; faults go on afterwards.
            if not host.is_up or fault.strike is None:
                continue
            end = fault.strike(self._world, host)
            if end is not None:
                try:
                    await asyncio.sleep(tape.between(*fault.seconds))
                except asyncio.CancelledError:
                    # Faults last no longer than their injection.
                    end()
                    raise
                end()

    def stop_faults(self) -> None:
        """Heal the network, mend all disks and resume all hosts."""
        network = self._world.network
        network.heal()
        network.conditions = network.usual
        for host in self._world.hosts.values():
            host.resume()
            host.disk.faults.end()
