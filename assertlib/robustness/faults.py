"""
Faults: how they are injected into members and undone, and how their effect is measured.

A fault can miss: the sockets may belong to another process, members may bypass the proxy, or may
exchange nothing while it lasts.  So each kind measures its effect, and a fault without effect does
not count as evidence.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from ..history.records import Fault
from .adapter import Member
from .gofail import Failpoints, GofailError, terms
from .proxy import BLACKHOLE, CUT, WHOLE, Network, Rule, Way
from .testbed import Capability, Testbed


class Effect(NamedTuple):
    """
    The measured effect of a fault.

    Attributes:
        amount: Size of the effect; 0 for none.
        measured: The quantity that was counted, or why there was no effect.
    """

    amount: int
    measured: str


INTERRUPTED = Effect(0, "it was interrupted")


class FaultKind(ABC):
    """
    A kind of fault.

    Attributes:
        breaks: IDs of the assumptions it breaks, as in the catalog.
        needs: Minimum number of members.
        capability: The capability of the testbed that it requires.
    """

    name: str
    about: str
    breaks: tuple[str, ...] = ()
    needs: int = 1
    capability: Capability | None = None

    async def inject(self, testbed: Testbed) -> Fault:
        """
        Strike some members and recover, with both in the journal; returns the record of the end.

        Raises:
            HarnessError: What the fault needs around the cluster is gone.
        """
        members = self.members(testbed)
        names = tuple(member.name for member in members)
        testbed.journal.fault_begins(self.name, names, self.breaks)
        effect = INTERRUPTED
        try:
            effect = await self.strike(testbed, members)
        finally:
            ended = testbed.journal.fault_ends(self.name, names, *effect)
        return ended

    def members(self, testbed: Testbed) -> list[Member]:
        """The members to strike."""
        return testbed.some()

    @abstractmethod
    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        """Let it happen to *members*, and take it back."""


def _killed(count: int) -> Effect:
    return Effect(count, "processes killed" if count else "no process was alive")


class Kill(FaultKind):
    """A member crashes and restarts; data held by the kernel survive."""

    name = "kill"
    about = "kill -9 one member, and start it again"

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        (member,) = members
        process = testbed.cluster.process(member)
        killed = process.kill()
        await asyncio.sleep(testbed.rng.uniform(0.0, 0.5))
        process.start()
        return _killed(killed)


class KillAll(FaultKind):
    """Every member crashes at about the same time."""

    name = "kill-all"
    about = "kill -9 all members, and start them again"
    needs = 2

    def members(self, testbed: Testbed) -> list[Member]:
        return testbed.some(len(testbed.cluster.members))

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        killed = [testbed.cluster.process(member).kill() for member in members]
        for member in members:
            testbed.cluster.process(member).start()
        return _killed(sum(killed) if all(killed) else 0)


class Pause(FaultKind):
    """A member stops for longer than an election takes."""

    name = "pause"
    about = "SIGSTOP one member for 1 to 3 seconds"

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        (member,) = members
        process = testbed.cluster.process(member)
        process.pause()
        try:
            await asyncio.sleep(testbed.rng.uniform(1.0, 3.0))
            count, running = len(process.pids()), sorted(process.running())
        finally:
            process.resume()
        if running:
            return Effect(0, f"processes {running} did not stop")
        return Effect(count, "processes stopped" if count else "no process was alive")


class NetworkFault(FaultKind):
    """The links between one member and the others are degraded for a while."""

    needs = 2
    capability = Capability.NETWORK
    seconds = (1.0, 3.0)
    rule = CUT
    done = "held up"
    """What happens to bytes, in the past tense."""

    def ways(self, name: str, others: Sequence[str], rng: random.Random) -> list[Way]:
        """Which ways are bad, if it hits the member *name*: to it and from it."""
        return _both_ways(name, others)

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        assert testbed.network is not None
        (member,) = members
        ways = self.ways(member.name, _others(testbed, member), testbed.rng)
        size, waiting = _affected(testbed.network, ways)
        await testbed.network.set(ways, self.rule)
        try:
            await asyncio.sleep(testbed.rng.uniform(*self.seconds))
        finally:
            await testbed.network.set(ways, WHOLE)
        now_size, now_waiting = _affected(testbed.network, ways)
        if now_size > size:
            return Effect(now_size - size, f"bytes {self.done}")
        if now_waiting > waiting:
            return Effect(now_waiting - waiting, "connections held up")
        return Effect(0, testbed.network.why_idle(ways))


def _affected(network: Network, ways: Sequence[Way]) -> tuple[int, int]:
    """Bytes and connections, since the campaign began."""
    return sum(network.affected[way] for way in ways), sum(network.waiting[way] for way in ways)


def _others(testbed: Testbed, member: Member) -> list[str]:
    return [each.name for each in testbed.cluster.members if each is not member]


def _both_ways(name: str, others: Sequence[str]) -> list[Way]:
    return [(name, other) for other in others] + [(other, name) for other in others]


class Partition(NetworkFault):
    """A member is cut off; clients still reach it."""

    name = "partition"
    about = "cut one member off from the others for 1 to 3 seconds"


class OneWay(NetworkFault):
    """Traffic between a member and the others is blocked in one direction."""

    name = "one-way"
    about = "cut one direction between one member and the others for 1 to 3 seconds"

    def ways(self, name: str, others: Sequence[str], rng: random.Random) -> list[Way]:
        if rng.random() < 0.5:
            return [(name, other) for other in others]
        return [(other, name) for other in others]


class Blackhole(NetworkFault):
    """Traffic to and from a member is dropped; its connections break when the fault ends."""

    name = "blackhole"
    about = "lose all bytes between one member and the others for 1 to 3 seconds"
    rule = BLACKHOLE
    done = "lost"


class Delay(NetworkFault):
    """Source: etcd tests/robustness/failpoint/network.go, 75 ms ± 50 ms."""

    name = "delay"
    about = "delay all bytes between one member and the others by 25 to 125 ms"
    rule = Rule(delay=0.075, jitter=0.05)
    done = "delayed"


class Loss(NetworkFault):
    """Source: etcd tests/robustness/failpoint/network.go, half of the packets."""

    name = "loss"
    about = "lose half of the packets between one member and the others: they come late"
    rule = Rule(loss=0.5)
    done = "sent again"


class Reset(FaultKind):
    """All connections of a member with the others break; it can reconnect at once."""

    name = "reset"
    about = "break all connections between one member and the others"
    needs = 2
    capability = Capability.NETWORK

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        assert testbed.network is not None
        (member,) = members
        broken = testbed.network.reset(member.name)
        if broken:
            return Effect(broken, "connections broken")
        return Effect(
            0, testbed.network.why_idle(_both_ways(member.name, _others(testbed, member)))
        )


class Isolate(FaultKind):
    """Like a partition, but without a proxy between the members."""

    name = "isolate"
    about = "as root: cut one member off by its user, without a proxy, for 1 to 3 seconds"
    needs = 2
    capability = Capability.USERS

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        assert testbed.filter is not None
        (member,) = members
        try:
            for other in _others(testbed, member):
                testbed.filter.cut(member.name, other)
            await asyncio.sleep(testbed.rng.uniform(1.0, 3.0))
            dropped = testbed.filter.dropped()
        finally:
            testbed.filter.heal()
        return Effect(dropped, "packets dropped" if dropped else "the members exchanged no packet")


class PowerCut(FaultKind):
    """A member crashes and loses unsynced data; synced data survive."""

    name = "power-cut"
    about = "cut the power of one member: all that it has not synced is gone (needs FUSE)"
    capability = Capability.DISK

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        # A disk that vanished before would be mounted again by the cut.
        testbed.check()
        killed = [testbed.cluster.process(member).kill() for member in members]
        unused = [each.name for each in members if testbed.disks[each.name].is_empty]
        for member in members:
            testbed.disks[member.name].cut()
            testbed.cluster.process(member).start()
        if unused:
            return Effect(0, f"{', '.join(unused)} kept no file below member.data")
        return _killed(sum(killed) if all(killed) else 0)


class PowerCutAll(PowerCut):
    """The power of all members is cut at once."""

    name = "power-cut-all"
    about = "cut the power of all members at once (needs FUSE)"

    def members(self, testbed: Testbed) -> list[Member]:
        return testbed.some(len(testbed.cluster.members))


class Failpoint(FaultKind):
    """
    A failpoint of a Go program fires on one member.

    Args:
        point: Its name, or the end of it.
        text: Its action, as gofail terms.
    """

    capability = Capability.FAILPOINTS
    about = "fire a failpoint of a member built with gofail: gofail:NAME=TERMS"

    def __init__(self, point: str, text: str) -> None:
        self.name = f"gofail:{point}={text}"
        self._point = point
        self._text = terms(text)

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        (member,) = members
        process = testbed.cluster.process(member)
        points = Failpoints(f"127.0.0.1:{member.failpoints}")
        name = await asyncio.to_thread(self._full_name, points)
        await asyncio.to_thread(points.enable, name, self._text)
        if await asyncio.to_thread(process.ends, FIRES_WITHIN):
            process.start()
            return Effect(1, "process ended")
        effect = await asyncio.to_thread(_hits, points, name)
        await asyncio.to_thread(points.disable, name)
        return effect

    def _full_name(self, points: Failpoints) -> str:
        """Failpoints of older programs are called by package and name."""
        for name in points.names():
            if name == self._point or name.endswith(f"/{self._point}"):
                return name
        return self._point


def _hits(points: Failpoints, name: str) -> Effect:
    try:
        count = points.count(name)
    except GofailError as error:
        return Effect(0, str(error))
    return Effect(count, "hits" if count else "the failpoint was never hit")


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
        raise ValueError(f"unknown fault {name!r}; known faults: {known}")
    return FAULTS[name]
