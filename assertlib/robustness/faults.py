"""
Faults: what is done to members, and how it is taken back.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

from .adapter import Member
from .gofail import Failpoints, terms
from .proxy import BLACKHOLE, CUT, WHOLE, Rule, Way
from .scene import Means, Scene


class FaultKind(ABC):
    """
    A kind of fault.

    Attributes:
        breaks: Assumptions it breaks, in the words of the catalog.
        needs: How many members there have to be.
        means: What has to be around the cluster.
    """

    name: str
    about: str
    breaks: tuple[str, ...] = ()
    needs: int = 1
    means: Means | None = None

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


class NetworkFault(FaultKind):
    """Something is wrong with the ways between one member and the others, for a while."""

    needs = 2
    means = Means.NETWORK
    seconds = (1.0, 3.0)
    rule = CUT

    def ways(self, name: str, others: Sequence[str], rng: random.Random) -> list[Way]:
        """Which ways are bad, if it hits the member *name*: to it and from it."""
        return [(name, other) for other in others] + [(other, name) for other in others]

    async def inject(self, scene: Scene) -> None:
        assert scene.network is not None
        (member,) = scene.some()
        others = [each.name for each in scene.cluster.members if each is not member]
        ways = self.ways(member.name, others, scene.rng)
        scene.journal.fault_begins(self.name, (member.name,), self.breaks)
        await scene.network.set(ways, self.rule)
        try:
            await asyncio.sleep(scene.rng.uniform(*self.seconds))
        finally:
            await scene.network.set(ways, WHOLE)
            scene.journal.fault_ends(self.name, (member.name,))


class Partition(NetworkFault):
    """A member is cut off; clients still reach it."""

    name = "partition"
    about = "cut one member off from the others for 1 to 3 seconds"


class OneWay(NetworkFault):
    """A member hears the others and is not heard, or the other way round."""

    name = "one-way"
    about = "cut one direction between one member and the others for 1 to 3 seconds"

    def ways(self, name: str, others: Sequence[str], rng: random.Random) -> list[Way]:
        if rng.random() < 0.5:
            return [(name, other) for other in others]
        return [(other, name) for other in others]


class Blackhole(NetworkFault):
    """What goes to and from a member is lost, and its connections are when that is over."""

    name = "blackhole"
    about = "lose all bytes between one member and the others for 1 to 3 seconds"
    rule = BLACKHOLE


class Delay(NetworkFault):
    """Source: etcd tests/robustness/failpoint/network.go, 75 ms ± 50 ms."""

    name = "delay"
    about = "delay all bytes between one member and the others by 25 to 125 ms"
    rule = Rule(delay=0.075, jitter=0.05)


class Loss(NetworkFault):
    """Source: etcd tests/robustness/failpoint/network.go, half of the packets."""

    name = "loss"
    about = "lose half of the packets between one member and the others: they come late"
    rule = Rule(loss=0.5)


class Reset(FaultKind):
    """All connections of a member with the others break; new ones can be made at once."""

    name = "reset"
    about = "break all connections between one member and the others"
    needs = 2
    means = Means.NETWORK

    async def inject(self, scene: Scene) -> None:
        assert scene.network is not None
        (member,) = scene.some()
        scene.journal.fault_begins(self.name, (member.name,), self.breaks)
        scene.network.reset(member.name)
        scene.journal.fault_ends(self.name, (member.name,))


class Isolate(FaultKind):
    """As a partition, with nothing of ours between the members."""

    name = "isolate"
    about = "as root: cut one member off by its user, without a proxy, for 1 to 3 seconds"
    needs = 2
    means = Means.USERS

    async def inject(self, scene: Scene) -> None:
        assert scene.filter is not None
        (member,) = scene.some()
        scene.journal.fault_begins(self.name, (member.name,), self.breaks)
        try:
            for other in scene.cluster.members:
                if other is not member:
                    scene.filter.cut(member.name, other.name)
            await asyncio.sleep(scene.rng.uniform(1.0, 3.0))
        finally:
            scene.filter.heal()
            scene.journal.fault_ends(self.name, (member.name,))


class PowerCut(FaultKind):
    """A member crashes, and what it had not synced is gone; what it had is there."""

    name = "power-cut"
    about = "cut the power of one member: all that it has not synced is gone (needs FUSE)"
    means = Means.DISK

    def members(self, scene: Scene) -> list[Member]:
        """Whom it hits."""
        return scene.some()

    async def inject(self, scene: Scene) -> None:
        members = self.members(scene)
        names = tuple(member.name for member in members)
        scene.journal.fault_begins(self.name, names, self.breaks)
        for member in members:
            scene.cluster.process(member).kill()
        for member in members:
            scene.disks[member.name].cut()
            scene.cluster.process(member).start()
        scene.journal.fault_ends(self.name, names)


class PowerCutAll(PowerCut):
    """The power of all members is cut at once."""

    name = "power-cut-all"
    about = "cut the power of all members at once (needs FUSE)"

    def members(self, scene: Scene) -> list[Member]:
        return scene.some(len(scene.cluster.members))


class Failpoint(FaultKind):
    """
    A failpoint of a Go program fires on one member.

    Args:
        point: Its name, or the end of it.
        text: What it does, in gofail's terms.
    """

    means = Means.FAILPOINTS
    about = "fire a failpoint of a member built with gofail: gofail:NAME=TERMS"

    def __init__(self, point: str, text: str) -> None:
        self.name = f"gofail:{point}={text}"
        self._point = point
        self._text = terms(text)

    async def inject(self, scene: Scene) -> None:
        (member,) = scene.some()
        process = scene.cluster.process(member)
        points = Failpoints(f"127.0.0.1:{member.failpoints}")
        scene.journal.fault_begins(self.name, (member.name,), self.breaks)
        name = await asyncio.to_thread(self._full_name, points)
        await asyncio.to_thread(points.enable, name, self._text)
        if await asyncio.to_thread(process.ends, FIRES_WITHIN):
            process.start()
        else:
            await asyncio.to_thread(points.disable, name)
        scene.journal.fault_ends(self.name, (member.name,))

    def _full_name(self, points: Failpoints) -> str:
        """Failpoints of older programs are called by package and name."""
        for name in points.names():
            if name == self._point or name.endswith(f"/{self._point}"):
                return name
        return self._point


FIRES_WITHIN = 3.0
"""Seconds in which a failpoint has to end its process, if it is going to."""
_GOFAIL = "gofail:"

FAULTS: dict[str, FaultKind] = {
    fault.name: fault
    for fault in (
        Kill(),
        KillAll(),
        Pause(),
        Partition(),
        OneWay(),
        Blackhole(),
        Delay(),
        Loss(),
        Reset(),
        Isolate(),
        PowerCut(),
        PowerCutAll(),
    )
}


def faults_named(names: Sequence[str]) -> list[FaultKind]:
    """
    The faults called *names*.

    Raises:
        ValueError: There is none of that name.
    """
    return [_fault_named(name) for name in names]


def _fault_named(name: str) -> FaultKind:
    if name.startswith(_GOFAIL):
        point, _, text = name.removeprefix(_GOFAIL).partition("=")
        return Failpoint(point, text)
    if name not in FAULTS:
        known = ", ".join((*FAULTS, "gofail:NAME=TERMS"))
        raise ValueError(f"there is no fault {name!r}; there are: {known}")
    return FAULTS[name]
