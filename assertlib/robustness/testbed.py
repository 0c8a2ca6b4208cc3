"""
The testbed of a campaign: a cluster and the harness for injecting faults into it.
"""

from __future__ import annotations

import os
import random
import secrets
import tempfile
from collections.abc import Collection
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from . import netfilter, powercut
from .adapter import Member, Store
from .cluster import Cluster, free_ports
from .journal import Journal
from .leftovers import Ledger
from .netfilter import Netfilter
from .powercut import PowerCutDisk
from .proxy import Network, Route
from .removal import bring_home

_FIRST_USER = 20_000
_RUNS = 2_500
_MOST = 16


class Capability(StrEnum):
    """What has to be around a cluster before some faults can be injected."""

    NETWORK = "network"
    """Members reach each other through ports of ours."""
    DISK = "disk"
    """What members have not synced can be made to vanish."""
    USERS = "users"
    """Members run as users of their own, and the packet filter knows them."""
    FAILPOINTS = "failpoints"
    """Members were built with gofail, and listen for what to do."""


def unavailable(capability: Capability) -> str | None:
    """Why *capability* is unavailable here; None if it is available."""
    if capability is Capability.DISK:
        return powercut.unavailable()
    return netfilter.unavailable() if capability is Capability.USERS else None


class Testbed:
    """
    A cluster of *store*, not started yet, with its *capabilities*.  A context manager.

    Attributes:
        cluster: The members' processes, which end with the testbed.
        network: Between the members, where there is one.
        disks: Under the members, by their names, where they are special.
        filter: The packet filter, if members run as separate users.
    """

    def __init__(
        self,
        store: Store,
        nodes: int,
        capabilities: Collection[Capability],
        directory: Path,
        journal: Journal,
        rng: random.Random,
    ) -> None:
        self.journal = journal
        self.rng = rng
        self.network: Network | None = None
        self.disks: dict[str, PowerCutDisk] = {}
        self.filter: Netfilter | None = None
        self._capabilities = capabilities
        self._stack = AsyncExitStack()
        self._home = directory / "data"
        self._data = self._place_of_data()
        self._routes, members = self._lay_out(nodes)
        self.cluster = Cluster(store, members, directory / "logs")
        self._ledger = Ledger(directory)

    def some(self, count: int = 1) -> list[Member]:
        """So many members, chosen by chance."""
        return self.rng.sample(self.cluster.members, count)

    def check(self) -> None:
        """
        Verify that everything put around the cluster still works.

        Raises:
            HarnessError: A disk, a rule of the packet filter or the guard vanished.
        """
        self._ledger.check()
        for disk in self.disks.values():
            disk.check()
        if self.filter is not None:
            self.filter.check()

    def _place_of_data(self) -> Path:
        if Capability.USERS not in self._capabilities:
            return self._home
        # Other users may not be let into where we work.
        return Path(tempfile.gettempdir(), f"assertlib-data-{secrets.token_hex(8)}")

    def _lay_out(self, nodes: int) -> tuple[list[Route], list[Member]]:
        """How members reach each other: directly, or through a port of the network between."""
        names = [f"m{number}" for number in range(1, nodes + 1)]
        ports = iter(free_ports(4 * nodes))
        routes = [Route(name, next(ports), next(ports)) for name in names]
        if Capability.NETWORK not in self._capabilities:
            routes = [Route(route.name, route.target, route.target) for route in routes]
        first = _first_user() if Capability.USERS in self._capabilities else 0
        members = [
            Member(
                route.name,
                self._data / route.name,
                next(ports),
                route.target,
                f"127.0.0.1:{route.port}",
                uid=first + number if Capability.USERS in self._capabilities else None,
                failpoints=next(ports) if Capability.FAILPOINTS in self._capabilities else None,
            )
            for number, route in enumerate(routes)
        ]
        return routes, members

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _set_up(self) -> None:
        enter = self._stack.enter_context
        ledger = enter(self._ledger)
        ledger.add_processes(self.cluster.marks)
        if self._data != self._home:
            ledger.add_directory(self._data, self._home)
            self._stack.callback(bring_home, self._data, self._home)
            self._data.mkdir()
            self._data.chmod(0o755)
        if Capability.NETWORK in self._capabilities:
            # Dice of its own: how often they are thrown is up to the traffic.
            dice = random.Random(self.rng.getrandbits(32))
            network = Network(self._routes, self.cluster.pids, dice)
            self.network = await self._stack.enter_async_context(network)
        for member in self.cluster.members if Capability.DISK in self._capabilities else ():
            backing = self._data / f"{member.name}.synced"
            for place in (member.data, backing):
                place.mkdir(parents=True)
                if member.uid is not None:
                    os.chown(place, member.uid, -1)
            disk = PowerCutDisk(member.data, backing)
            ledger.add_disk(disk)
            self.disks[member.name] = enter(disk)
        users = {each.name: each.uid for each in self.cluster.members if each.uid is not None}
        if users:
            rules = Netfilter(users)
            ledger.add_filter(rules)
            self.filter = enter(rules)
        # Processes go before what they stand on.
        self._stack.callback(self.cluster.stop)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


def _first_user() -> int:
    """
    The first of as many users as there can be members, none of whom another campaign has.

    Raises:
        NetfilterError: The rules of other campaigns cannot be listed.
    """
    taken = {(uid - _FIRST_USER) // _MOST for uid in netfilter.users()}
    free = [block for block in range(_RUNS) if block not in taken]
    return _FIRST_USER + secrets.choice(free) * _MOST
