"""
Faults: their injection into members, their end, and the measurement of their effect.

A fault can miss: the sockets may belong to another process, or members may bypass the proxy or
exchange nothing while it lasts.  Each kind therefore measures its effect, and a fault without
effect is not evidence.
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
        measured: The quantity that was measured, or why there was no effect.
    """

    amount: int
    measured: str


INTERRUPTED = Effect(0, "it was interrupted")


class FaultKind(ABC):
    """
    A kind of fault.

    Attributes:
        name: Its name on the command line and in histories.
        about: Its description in ``assertlib robustness list``.
        breaks: IDs of the assumptions it breaks, as in the catalog.
        needs: Minimum number of members.
        capability: The capability of the testbed that it requires; None if every testbed will do.
    """

    name: str
    about: str
    breaks: tuple[str, ...] = ()
    needs: int = 1
    capability: Capability | None = None

    async def inject(self, testbed: Testbed) -> Fault:
        """
        Inject the fault into some members of *testbed* and undo it, with a record of both.

        Returns:
            The record of its end, with the measured effect.

        Raises:
            HarnessError: A part of the testbed that the fault needs is gone.
            ClusterError: A member cannot be started again.
            GofailError: A failpoint cannot be enabled or disabled.
        """
        members = self.members(testbed)
        names = tuple(member.name for member in members)
        # Recorded first: nothing that the fault causes may precede its beginning in the history.
        testbed.journal.fault_begins(self.name, names, self.breaks)
        # An interruption or an error leaves an effect of 0, so the fault does not count.
        effect = INTERRUPTED
        try:
            effect = await self.strike(testbed, members)
        finally:
            ended = testbed.journal.fault_ends(self.name, names, *effect)
        return ended

    def members(self, testbed: Testbed) -> list[Member]:
        """Choose the members of *testbed* that the fault affects; by default one at random."""
        return testbed.some()

    @abstractmethod
    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        """
        Inject the fault into *members* of *testbed*, undo it, and return the measured effect.

        Raises:
            HarnessError: A part of the testbed that the fault needs is gone.
        """


def _killed(count: int) -> Effect:
    return Effect(count, "processes killed" if count else "no process was alive")


class Kill(FaultKind):
    """A member crashes and restarts; data in the page cache survive."""

    name = "kill"
    about = "kill -9 one member, and start it again"

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        (member,) = members
        process = testbed.cluster.process(member)
        killed = process.kill()
        # An outage of random length, in which requests of clients fail to reach the member.
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
        """Kill all *members* of *testbed*, and then start them again."""
        # All are dead before the first one starts, so no member carries state over in memory.
        killed = [testbed.cluster.process(member).kill() for member in members]
        for member in members:
            testbed.cluster.process(member).start()
        # If one of them was not running, this was not a crash of all members.
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
            # Measured at the end: processes that were continued from outside show up as running.
            count, running = len(process.pids()), sorted(process.running())
        finally:
            process.resume()
        # A member that runs in part may still have served clients.
        if running:
            return Effect(0, f"processes {running} did not stop")
        return Effect(count, "processes stopped" if count else "no process was alive")


class NetworkFault(FaultKind):
    """
    The links between one member and the others are degraded for a while.

    Attributes:
        seconds: Bounds of its duration, in seconds.
        rule: The rule in force while it lasts.
        done: Its effect on bytes, as a past participle.
    """

    needs = 2
    capability = Capability.NETWORK
    seconds = (1.0, 3.0)
    rule = CUT
    done = "held up"

    def ways(self, name: str, others: Sequence[str], rng: random.Random) -> list[Way]:
        """
        Return the ways that are degraded.

        Args:
            name: The affected member.
            others: All other members.
            rng: Source of random choices, for faults of one direction.
        """
        return _both_ways(name, others)

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        assert testbed.network is not None
        (member,) = members
        ways = self.ways(member.name, _others(testbed, member), testbed.rng)
        # The counters run for the whole campaign, so the effect is a difference.
        size, waiting = _affected(testbed.network, ways)
        await testbed.network.set(ways, self.rule)
        try:
            await asyncio.sleep(testbed.rng.uniform(*self.seconds))
        finally:
            await testbed.network.set(ways, WHOLE)
        now_size, now_waiting = _affected(testbed.network, ways)
        if now_size > size:
            return Effect(now_size - size, f"bytes {self.done}")
        # Without open connections a cut holds up no bytes, but new connections have to wait.
        if now_waiting > waiting:
            return Effect(now_waiting - waiting, "connections held up")
        return Effect(0, testbed.network.why_idle(ways))


def _affected(network: Network, ways: Sequence[Way]) -> tuple[int, int]:
    """Return the bytes and new connections affected on *ways* since the campaign began."""
    return sum(network.affected[way] for way in ways), sum(network.waiting[way] for way in ways)


def _others(testbed: Testbed, member: Member) -> list[str]:
    return [each.name for each in testbed.cluster.members if each is not member]


def _both_ways(name: str, others: Sequence[str]) -> list[Way]:
    return [(name, other) for other in others] + [(other, name) for other in others]


class Partition(NetworkFault):
    """A member is cut off from the others; clients still reach it."""

    name = "partition"
    about = "cut one member off from the others for 1 to 3 seconds"


class OneWay(NetworkFault):
    """Traffic between a member and the others is blocked in one direction."""

    name = "one-way"
    about = "cut traffic between one member and the others in one direction for 1 to 3 seconds"

    def ways(self, name: str, others: Sequence[str], rng: random.Random) -> list[Way]:
        """Choose with *rng* either the ways from *name* to *others* or those back."""
        if rng.random() < 0.5:
            return [(name, other) for other in others]
        return [(other, name) for other in others]


class Blackhole(NetworkFault):
    """Traffic to and from a member is dropped; its connections break when the fault ends."""

    name = "blackhole"
    about = "drop all bytes between one member and the others for 1 to 3 seconds"
    rule = BLACKHOLE
    done = "lost"


class Delay(NetworkFault):
    """
    Traffic to and from a member is delayed.

    Source: etcd tests/robustness/failpoint/network.go, 75 ms ± 50 ms.
    """

    name = "delay"
    about = "delay all bytes between one member and the others by 25 to 125 ms"
    rule = Rule(delay=0.075, jitter=0.05)
    done = "delayed"


class Loss(NetworkFault):
    """
    Packets to and from a member are lost, and arrive late after a retransmission.

    Source: etcd tests/robustness/failpoint/network.go, half of the packets.
    """

    name = "loss"
    about = "lose half of the packets between one member and the others, so that they arrive late"
    rule = Rule(loss=0.5)
    done = "sent again"


class Reset(FaultKind):
    """All connections between a member and the others break; it can reconnect at once."""

    name = "reset"
    about = "break all connections between one member and the others"
    needs = 2
    capability = Capability.NETWORK

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        assert testbed.network is not None
        (member,) = members
        # Over at once: no rule is set, so nothing has to be undone.
        broken = testbed.network.reset(member.name)
        if broken:
            return Effect(broken, "connections broken")
        return Effect(
            0, testbed.network.why_idle(_both_ways(member.name, _others(testbed, member)))
        )


class Isolate(FaultKind):
    """A member is cut off by the packet filter, without a proxy between the members."""

    name = "isolate"
    about = (
        "cut one member off by filtering its user's packets, without a proxy, for 1 to 3 seconds"
        " (needs root)"
    )
    needs = 2
    capability = Capability.USERS

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        assert testbed.filter is not None
        (member,) = members
        try:
            # Inside the try block: if a later cut fails, the earlier ones have to be healed.
            for other in _others(testbed, member):
                testbed.filter.cut(member.name, other)
            await asyncio.sleep(testbed.rng.uniform(1.0, 3.0))
            # The counters belong to the rules, and healing removes the rules.
            dropped = testbed.filter.dropped()
        finally:
            testbed.filter.heal()
        return Effect(dropped, "packets dropped" if dropped else "the members exchanged no packets")


class PowerCut(FaultKind):
    """
    A member crashes and loses unsynced data.

    Synced data survives, so it breaks no assumption of the catalog.
    """

    name = "power-cut"
    about = "cut the power of one member: all unsynced data is lost (needs FUSE)"
    capability = Capability.DISK

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        """Kill *members* of *testbed*, discard their unsynced data, and start them again."""
        # The cut mounts the disk again, which would conceal that it had vanished before.
        testbed.check()
        # Processes have to be dead when the power goes: a live one would see errors of its disk.
        killed = [testbed.cluster.process(member).kill() for member in members]
        # A store that keeps its data elsewhere loses nothing by the cut.
        unused = [each.name for each in members if testbed.disks[each.name].is_empty]
        for member in members:
            testbed.disks[member.name].cut()
            testbed.cluster.process(member).start()
        if unused:
            return Effect(0, f"{', '.join(unused)} kept no files under member.data")
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
        point: Name of the failpoint, with or without its package.
        text: Its action, as gofail terms.

    Raises:
        ValueError: *text* is not valid.
    """

    capability = Capability.FAILPOINTS
    about = "fire a failpoint in a member built with gofail: gofail:NAME=TERMS"

    def __init__(self, point: str, text: str) -> None:
        self.name = f"gofail:{point}={text}"
        self._point = point
        self._text = terms(text)

    async def strike(self, testbed: Testbed, members: Sequence[Member]) -> Effect:
        (member,) = members
        process = testbed.cluster.process(member)
        points = Failpoints(f"127.0.0.1:{member.failpoints}")
        # In threads: the clients run in this event loop, and must not stop while a member is slow
        # to respond or to exit.
        name = await asyncio.to_thread(self._full_name, points)
        await asyncio.to_thread(points.enable, name, self._text)
        # With the process its count is gone; the exit itself is the effect.
        if await asyncio.to_thread(process.ends, FIRES_WITHIN):
            process.start()
            return Effect(1, "process ended")
        effect = await asyncio.to_thread(_hits, points, name)
        await asyncio.to_thread(points.disable, name)
        return effect

    def _full_name(self, points: Failpoints) -> str:
        """Complete the name: in programs built with an older gofail, it includes the package."""
        for name in points.names():
            if name == self._point or name.endswith(f"/{self._point}"):
                return name
        # `Failpoints.enable` rejects an unknown name, and lists the names that exist.
        return self._point


def _hits(points: Failpoints, name: str) -> Effect:
    try:
        count = points.count(name)
    except GofailError as error:
        return Effect(0, str(error))
    return Effect(count, "hits" if count else "the failpoint was never hit")


FIRES_WITHIN = 3.0
"""Seconds that a failpoint is enabled, unless it terminates its process."""
_GOFAIL = "gofail:"

# Without failpoints, whose names depend on the program.
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
    Return the faults called *names*.

    Raises:
        ValueError: A name is unknown, or its gofail terms are not valid.
    """
    return [_fault_named(name) for name in names]


def _fault_named(name: str) -> FaultKind:
    if name.startswith(_GOFAIL):
        # At the first equals sign: a text in the terms may contain further ones.
        point, _, text = name.removeprefix(_GOFAIL).partition("=")
        return Failpoint(point, text)
    if name not in FAULTS:
        known = ", ".join((*FAULTS, "gofail:NAME=TERMS"))
        raise ValueError(f"unknown fault {name!r}; known faults: {known}")
    return FAULTS[name]
