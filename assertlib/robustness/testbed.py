"""
The testbed of a campaign: a cluster, with the harness that injects faults into it.
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

# User IDs from 20,000 to 59,999, in blocks of one campaign each.  The packet filter needs IDs below
# 65,536 and has bits for 16 members.
_FIRST_USER = 20_000
_RUNS = 2_500
_MOST = 16


class Capability(StrEnum):
    """A property of a testbed that some faults require."""

    NETWORK = "network"
    """Members reach each other through the ports of a proxy."""
    DISK = "disk"
    """Members write to disks whose power can be cut."""
    USERS = "users"
    """Members run as separate users, by which the packet filter identifies them."""
    FAILPOINTS = "failpoints"
    """Members were built with gofail, and serve its endpoint."""


def unavailable(capability: Capability) -> str | None:
    """Return why *capability* is unavailable on this machine; None if it is available."""
    # Whether a store was built with gofail shows only once it runs.
    if capability is Capability.DISK:
        return powercut.unavailable()
    return netfilter.unavailable() if capability is Capability.USERS else None


class Testbed:
    """
    A cluster with the harness around it.

    A context manager, which sets up the harness, and at the end removes it together with the
    processes.  Starting the cluster is up to the caller.

    Args:
        store: The adapter of the store.
        nodes: Number of members.
        capabilities: The capabilities that the faults of the campaign require.
        directory: Directory of the campaign, which receives data and logs.
        journal: Receives the records of faults.
        rng: Source of random choices.

    Attributes:
        journal: Receives the records of faults.
        rng: Source of random choices.
        cluster: The members with their processes.
        network: The proxy between the members; None without `Capability.NETWORK`.
        disks: The disk of each member by its name; empty without `Capability.DISK`.
        filter: The packet filter; None without `Capability.USERS`.

    Raises:
        NetfilterError: The users of other campaigns cannot be listed.
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
        """Return *count* different members, chosen at random."""
        return self.rng.sample(self.cluster.members, count)

    def check(self) -> None:
        """
        Verify that the harness still works.

        Raises:
            HarnessError: A disk, a rule of the packet filter or the guard has vanished.
        """
        self._ledger.check()
        for disk in self.disks.values():
            disk.check()
        if self.filter is not None:
            self.filter.check()

    def _place_of_data(self) -> Path:
        if Capability.USERS not in self._capabilities:
            return self._home
        # The directory of the campaign may be closed to the users that members run as.
        return Path(tempfile.gettempdir(), f"assertlib-data-{secrets.token_hex(8)}")

    def _lay_out(self, nodes: int) -> tuple[list[Route], list[Member]]:
        """Assign ports and users; members reach each other directly or through the proxy."""
        names = [f"m{number}" for number in range(1, nodes + 1)]
        # At most four for each member: proxy, peers, clients, failpoints.  Requested together, as
        # only then are they certain to differ.
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
        # Without this, a failure halfway would leave disks and rules: __aexit__ is not called.
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _set_up(self) -> None:
        # The ledger is the first to be entered and the last to be left, and everything is listed
        # in it before it is created.
        enter = self._stack.enter_context
        ledger = enter(self._ledger)
        ledger.add_processes(self.cluster.marks)
        if self._data != self._home:
            ledger.add_directory(self._data, self._home)
            # Registered before the disks, and so called after they are unmounted.
            self._stack.callback(bring_home, self._data, self._home)
            self._data.mkdir()
            self._data.chmod(0o755)
        if Capability.NETWORK in self._capabilities:
            # A separate generator: the traffic determines how often the network draws from it,
            # and the choice of members has to depend on the seed alone.
            rng = random.Random(self.rng.getrandbits(32))
            network = Network(self._routes, self.cluster.pids, rng)
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
        # Registered last, so the processes end before their disks and rules are removed.
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
    Return the first of a block of user IDs that no other campaign uses.

    Raises:
        NetfilterError: The rules of other campaigns cannot be listed.
    """
    taken = {(uid - _FIRST_USER) // _MOST for uid in netfilter.users()}
    free = [block for block in range(_RUNS) if block not in taken]
    # Not from the seed: campaigns with the same seed may start side by side.
    return _FIRST_USER + secrets.choice(free) * _MOST
