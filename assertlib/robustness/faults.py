"""
Faults: what is done to members, and how it is taken back.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from .adapter import Member
from .cluster import Cluster
from .journal import Journal


@dataclass(slots=True)
class Scene:
    """What faults are injected into."""

    cluster: Cluster
    journal: Journal
    rng: random.Random

    def some(self, count: int = 1) -> list[Member]:
        """So many members, chosen by chance."""
        return self.rng.sample(self.cluster.members, count)


class FaultKind(ABC):
    """
    A kind of fault.

    Attributes:
        breaks: Assumptions it breaks, in the words of the catalog.
        needs: How many members there have to be.
    """

    name: str
    about: str
    breaks: tuple[str, ...] = ()
    needs: int = 1

    @abstractmethod
    async def inject(self, scene: Scene) -> None:
        """Let it happen, and take it back."""


class Kill(FaultKind):
    """A member crashes and starts again; what the kernel holds for it survives."""

    name = "kill"
    about = "kill -9 one member, and start it again"

    async def inject(self, scene: Scene) -> None:
        (member,) = scene.some()
        process = scene.cluster.process(member)
        scene.journal.fault_begins(self.name, (member.name,), self.breaks)
        process.kill()
        await asyncio.sleep(scene.rng.uniform(0.0, 0.5))
        process.start()
        scene.journal.fault_ends(self.name, (member.name,))


class KillAll(FaultKind):
    """Every member crashes at about the same time."""

    name = "kill-all"
    about = "kill -9 all members, and start them again"
    needs = 2

    async def inject(self, scene: Scene) -> None:
        members = scene.some(len(scene.cluster.members))
        names = tuple(member.name for member in members)
        scene.journal.fault_begins(self.name, names, self.breaks)
        for member in members:
            scene.cluster.process(member).kill()
        for member in members:
            scene.cluster.process(member).start()
        scene.journal.fault_ends(self.name, names)


class Pause(FaultKind):
    """A member does nothing for longer than an election takes."""

    name = "pause"
    about = "SIGSTOP one member for 1 to 3 seconds"
    needs = 2

    async def inject(self, scene: Scene) -> None:
        (member,) = scene.some()
        process = scene.cluster.process(member)
        scene.journal.fault_begins(self.name, (member.name,), self.breaks)
        process.pause()
        try:
            await asyncio.sleep(scene.rng.uniform(1.0, 3.0))
        finally:
            process.resume()
            scene.journal.fault_ends(self.name, (member.name,))


FAULTS: dict[str, FaultKind] = {fault.name: fault for fault in (Kill(), KillAll(), Pause())}


def faults_named(names: Sequence[str]) -> list[FaultKind]:
    """
    The faults called *names*.

    Raises:
        ValueError: There is none of that name.
    """
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise ValueError(f"there is no fault {unknown[0]!r}; there are: {', '.join(FAULTS)}")
    return [FAULTS[name] for name in names]
