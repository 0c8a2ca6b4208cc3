"""
The kinds of faults, and what each of them does to a host or to the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .world import Host, World

__all__ = ["DEFAULT", "FAULTS", "Fault", "faults_in_words", "faults_named"]


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A kind of fault.

    Attributes:
        name: Its name on the command line and in records.
        about: A one-line description.
        breaks: The assumptions it breaks, in the terms of the catalog's ``assumes``.
        strike: Injects the fault into a host now and returns a call that ends it, if it lasts; None
            if it can only be armed.
        prepare: Arms the fault on a host, with an intensity from 0 to 1; None if there is nothing
            to arm.
        seconds: Shortest and longest duration in virtual seconds; zeros if it is momentary.
    """

    name: str
    about: str
    breaks: tuple[str, ...] = ()
    strike: Callable[[World, Host], Callable[[], None] | None] | None = None
    prepare: Callable[[World, Host, float], None] | None = None
    seconds: tuple[float, float] = (0.0, 0.0)


def _crash(world: World, host: Host) -> None:
    host.crash()


def _kill(world: World, host: Host) -> None:
    host.kill()


def _pause(world: World, host: Host) -> Callable[[], None]:
    return host.pause_until_released()


def _stalling(world: World, host: Host, intensity: float) -> None:
    host.stall(0.1 * intensity)


def _partition(world: World, host: Host) -> Callable[[], None]:
    world.injected("partition", (), host.name)
    others = [other for other in world.hosts if other != host.name]
    return world.network.cut_until_released(
        [*((host.name, other) for other in others), *((other, host.name) for other in others)]
    )


def _one_way(world: World, host: Host) -> Callable[[], None]:
    # Asymmetric partitions break protocols that take a received heartbeat as proof of a link in
    # both directions.
    inwards = world.tape.choose(2)
    world.injected("one-way", (), f"traffic {'to' if inwards else 'from'} {host.name}")
    others = [other for other in world.hosts if other != host.name]
    return world.network.cut_until_released(
        (other, host.name) if inwards else (host.name, other) for other in others
    )


def _reset(world: World, host: Host) -> None:
    # Without a connection nothing is reset, and a fault without an effect is no evidence.
    if world.network.reset(host.name):
        world.injected("reset", (), host.name)


def _skew(world: World, host: Host) -> None:
    world.injected("clock-skew", ("clock-synchronised",), host.name)
    host.skew += world.tape.between(-60.0, 60.0)


def _lossy(world: World, host: Host, intensity: float) -> None:
    conditions = world.network.worsen()
    conditions.loss = 0.1 * intensity
    conditions.retransmit = 0.05
    world.injected("loss", ())


def _doubling(world: World, host: Host, intensity: float) -> None:
    world.network.worsen().duplication = 0.3 * intensity
    world.injected("duplication", ())


def _reordering(world: World, host: Host, intensity: float) -> None:
    # Messages overtake each other once their latencies differ by more than the time between them.
    low, high = world.network.usual.latency
    world.network.worsen().latency = (low, high + 0.1 * intensity)
    world.injected("slow-network", ())


def _narrow(world: World, host: Host, intensity: float) -> None:
    # Buffers of 64 bytes to 2 KiB make writers wait and readers see partial messages, which the
    # usual 64 KiB hide.
    conditions = world.network.worsen()
    conditions.buffer = 64 + int(2048 * (1.0 - intensity))
    conditions.high_water = conditions.buffer // 2
    conditions.fragmentation = 0.2
    world.injected("narrow-network", ())


def _disk(name: str, most: float) -> Callable[[World, Host, float], None]:
    def prepare(world: World, host: Host, intensity: float) -> None:
        setattr(host.disk.faults, name, most * intensity)

    return prepare


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("power-cut", "crash a host; unsynced writes and names are kept, lost or torn", strike=_crash, prepare=_disk("cut", 0.03)),
        Fault("kill", "kill the process of a host; written data stays", strike=_kill),
        Fault("pause", "suspend a host for up to a second", strike=_pause, seconds=(0.05, 1.0)),
        Fault("stall", "hold up a task at an await for up to two seconds", prepare=_stalling),
        Fault("partition", "isolate a host from all others", strike=_partition, seconds=(0.05, 1.0)),
        Fault("one-way", "drop all traffic from a host, or all traffic to it", strike=_one_way, seconds=(0.05, 1.0)),
        Fault("reset", "reset all connections of a host", strike=_reset),
        Fault("clock-skew", "shift a host's wall clock by up to a minute", ("clock-synchronised",), strike=_skew),
        Fault("loss", "lose packets; streams retransmit them", prepare=_lossy),
        Fault("duplication", "deliver datagrams and messages twice", prepare=_doubling),
        Fault("slow-network", "delay messages by up to 0.1 s, so that they overtake each other", prepare=_reordering),
        Fault("narrow-network", "shrink kernel buffers and fragment streams", prepare=_narrow),
        Fault("write-error", "EIO from a write that stores part of its data", prepare=_disk("write_fails", 0.06)),
        Fault("read-error", "EIO from a read", prepare=_disk("read_fails", 0.2)),
        Fault("disk-full", "ENOSPC from a write that stores part of its data", prepare=_disk("full", 0.06)),
        Fault("fsync-error", "EIO from an fsync; data stays dirty, or is dropped and marked clean", prepare=_disk("sync_fails", 0.1)),
        Fault("slow-fsync", "an fsync takes up to half a second", prepare=_disk("slow", 0.1)),
        Fault("fsync-lies", "an fsync reports success without syncing", ("fsync-honest",), prepare=_disk("sync_lies", 0.2)),
        Fault("bit-rot", "a bit flips in a file", ("disk-honest",), prepare=_disk("rot", 0.5)),
    )
}  # fmt: skip
"""Every fault by name."""

DEFAULT: tuple[str, ...] = tuple(name for name, fault in FAULTS.items() if not fault.breaks)
"""The faults that break no assumption."""


def faults_named(names: str) -> tuple[str, ...]:
    """
    Parse *names*, separated by commas; ``default``, ``all`` and ``none`` are allowed, too.

    Raises:
        ValueError: A name is unknown.
    """
    found: list[str] = []
    for name in names.split(","):
        group = {"default": DEFAULT, "all": tuple(FAULTS), "none": ()}.get(
            name.strip(), (name.strip(),)
        )
        for each in group:
            if each not in FAULTS:
                raise ValueError(f"unknown fault {each!r}; known faults: {', '.join(FAULTS)}")
            if each not in found:
                found.append(each)
    return tuple(found)


def faults_in_words(names: tuple[str, ...]) -> str:
    """Format fault *names* for `faults_named`, with plus signs instead of commas."""
    # A token separates its options by commas, so faults need another separator.
    for word, group in (("none", ()), ("default", DEFAULT), ("all", tuple(FAULTS))):
        if names == group:
            return word
    return "+".join(names)
