"""
A campaign: rounds of traffic, each with one fault, until time is up or replicas differ.

    warm up → fault → recover → quiesce → compare replicas → read unknown revisions

This module does not judge.  All events are written to the journal, which can be judged at once or
later, even if the campaign was killed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..history.etcd import deletion
from ..history.records import Fault, Found, Hashed, Header
from ..history.requests import NO_END, Event, KeyValue, Range, Ranged, Watch, prefix_end
from ..history.validation import NOT_COMPARED
from .adapter import Connection, Member, Status, Store
from .client import Client
from .cluster import ClusterError, HarnessError
from .faults import FaultKind
from .gofail import GofailError
from .journal import Journal
from .leftovers import sweep
from .testbed import Capability, Testbed
from .traffic import FREE, Profile, Session, Shared

WARM_UP = 0.6
"""Average seconds of traffic before a fault, in which the load is measured."""
AFTER_FAULT = 0.5
"""Seconds of traffic after the members have recovered."""
WATCH_FOR = 1.0
"""Seconds after which a watch is closed and replaced by another one."""
QUIET_FOR = 5.0
"""Seconds without a change after which members that differ are assumed never to converge."""
_AFTER_ERROR = 0.1
_POLL = 0.05
EVERYTHING = Range("\0", NO_END)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    The parameters of a campaign.

    Attributes:
        store: The adapter of the store.
        nodes: Number of members.
        faults: The kinds of faults to inject, one in each round; empty for none.
        profile: The traffic of the clients.
        seconds: Duration in seconds; the current round is always completed.
        seed: Seed for all random choices; timing and scheduling are not reproducible.
        left_out: Requested faults that cannot be injected here, with the reasons.
    """

    store: Store
    nodes: int
    faults: Sequence[FaultKind]
    profile: Profile
    seconds: float
    seed: int
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def capabilities(self) -> set[Capability]:
        """The capabilities of the testbed that the faults require."""
        return {fault.capability for fault in self.faults if fault.capability is not None}

    def about(self) -> dict[str, str | int | float]:
        """Return the parameters for the header of the history."""
        version = self.store.version()
        # Faults that were left out stay in the list: validation does not pass a campaign in
        # which a requested fault never had an effect.
        asked = [*(fault.name for fault in self.faults), *self.left_out]
        return {
            "store": f"{self.store.name} {version}".strip(),
            "nodes": self.nodes,
            "faults": ",".join(asked) or "none",
            "traffic": self.profile.name,
            "seconds": self.seconds,
            "seed": self.seed,
        }


@dataclass(slots=True)
class Progress:
    """
    The progress of a campaign, for display.

    Attributes:
        operations: Number of responses that clients have received.
        rounds: Number of rounds that have begun.
        report: Called with each line of progress.
    """

    operations: int = 0
    rounds: int = 0
    report: Callable[[str], None] = field(default=lambda _: None)


class _Pace:
    """Limits the request rate of all clients together."""

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        now = time.monotonic()
        # Turns missed during an outage are not made up for, so recovery brings no burst of
        # requests.  Nothing is awaited before the update, so no two clients get the same turn.
        self._next = max(self._next + self._step, now)
        await asyncio.sleep(self._next - now)


class Campaign:
    """
    One campaign.

    Args:
        plan: Its parameters.
        directory: Receives everything needed to judge the campaign afterwards: the history, the
            logs of the members, and their data.
        progress: Updated while the campaign runs.
    """

    def __init__(self, plan: Plan, directory: Path, progress: Progress) -> None:
        self._plan = plan
        self._directory = directory
        self._progress = progress
        self._rng = random.Random(plan.seed)
        # The order in which clients draw depends on the scheduler.  Their generator is separate,
        # so the sequence of faults and members depends on the seed alone.
        self._shared = Shared(random.Random(self._rng.getrandbits(32)))
        self._groups = 0
        self._due: list[FaultKind] = []

    async def run(self) -> None:
        """
        Run the campaign.

        Raises:
            ClusterError: The cluster did not start, a failpoint could not be enabled, or the
                testbed could not be set up or removed.
            AdapterError: The adapter returned something that is not a response.
        """
        plan = self._plan
        header = Header(plan.store.model, plan.about(), time.time())
        with Journal(self._directory, header) as self._journal:
            for name, reason in plan.left_out.items():
                self._journal.note("left out", fault=name, reason=reason)
            try:
                self._remove_leftovers()
                self._testbed = Testbed(
                    plan.store,
                    plan.nodes,
                    plan.capabilities,
                    self._directory,
                    self._journal,
                    self._rng,
                )
                self._cluster = self._testbed.cluster
                async with self._testbed:
                    await self._cluster.start()
                    completed = await self._rounds()
            except (GofailError, HarnessError) as error:
                raise ClusterError(str(error)) from None
            # Only a history with this note counts as a full run, so it is written after the
            # testbed is gone: a campaign that could not clean up raises instead.
            if completed:
                self._journal.note("end")

    def _remove_leftovers(self) -> None:
        """Remove leftovers of killed campaigns, and report them."""
        for text in sweep():
            self._journal.note("leftovers", text=text)
            self._progress.report(text)

    async def _rounds(self) -> bool:
        """Run all rounds; return False if the harness failed, so the store cannot be judged."""
        plan = self._plan
        ends = time.monotonic() + plan.seconds
        await self._set_up()
        clients = [
            Client(number, plan.store, member, self._journal)
            for number, member in enumerate(self._spread(plan.profile.clients))
        ]
        sessions = [
            Session(self._shared, random.Random(self._rng.getrandbits(32)), plan.profile.keys)
            for _ in clients
        ]
        try:
            await self._until(ends, clients, sessions)
        except HarnessError as error:
            self._journal.note("harness failed", error=str(error)[:2000])
            self._progress.report(f"the harness failed, not the store: {error}")
            return False
        finally:
            for client in clients:
                await client.close()
        return True

    async def _until(
        self, ends: float, clients: Sequence[Client], sessions: Sequence[Session]
    ) -> None:
        try:
            while time.monotonic() < ends:
                self._progress.rounds += 1
                await self._round(clients, sessions)
                agree = await self._compare()
                # Check before the result is used: a member that restarted without its disk finds
                # an empty directory, and differs for that reason.
                self._testbed.check()
                if not agree:
                    self._progress.report("replicas differ: ending the campaign")
                    return
        except ClusterError as error:
            # Raise HarnessError first: a store cannot serve without its disk or network.
            self._testbed.check()
            # `Cluster.start` has succeeded, so this is no mistake in the setup: the store did not
            # survive a fault, which validation reports as a failure of recovery.
            self._journal.note("not recovered", error=str(error)[:2000])
            self._progress.report(f"ending the campaign: {error}")

    def _spread(self, count: int) -> list[Member]:
        members = self._cluster.members
        return [members[number % len(members)] for number in range(count)]

    async def _set_up(self) -> None:
        """Show that the store is empty, and write the data that the traffic needs."""
        # Validation accepts a history only if some read found the store at revision 1.
        client = Client("setup", self._plan.store, self._cluster.members[0], self._journal)
        session = Session(self._shared, self._rng, self._plan.profile.keys)
        first = [EVERYTHING] if self._plan.store.model == "etcd" else []
        for request in (*first, *self._plan.profile.setup):
            session.learn(request, await client.do(request))
        await client.close()

    # -- a round ----------------------------------------------------------------------------

    async def _round(self, clients: Sequence[Client], sessions: Sequence[Session]) -> None:
        stop = asyncio.Event()
        pace = _Pace(self._plan.profile.rate)
        workers = [
            asyncio.create_task(self._work(client, session, pace, stop))
            for client, session in zip(clients, sessions, strict=True)
        ]
        watchers = [
            asyncio.create_task(self._watch(f"w{number}", member))
            for number, member in enumerate(self._spread(self._plan.profile.watchers))
        ]
        injection = asyncio.create_task(self._inject_fault())
        try:
            # Workers run until they are stopped, so one that is done has raised: an error of the
            # adapter, which would recur with every request, ends the campaign at once.
            await asyncio.wait([injection, *workers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Workers finish their current request instead of being cancelled, which would leave
            # its outcome unknown.
            stop.set()
            if not injection.done():
                injection.cancel()
            for watcher in watchers:
                watcher.cancel()
            ends = await asyncio.gather(injection, *workers, *watchers, return_exceptions=True)
        for end in ends:
            # CancelledError is not an Exception: tasks that were cancelled here have not failed.
            if isinstance(end, Exception):
                raise end

    async def _inject_fault(self) -> None:
        before, began = self._progress.operations, time.monotonic()
        await asyncio.sleep(WARM_UP * self._rng.uniform(0.8, 1.2))
        rate = (self._progress.operations - before) / (time.monotonic() - began)
        self._journal.note("load", rate=rate, needed=self._plan.profile.needed)
        # A member that exited by itself has to be reported before a fault restarts it.
        self._cluster.check_alive()
        if self._plan.faults:
            kind = self._next_kind()
            self._progress.report(f"round {self._progress.rounds}: {rate:,.0f} ops/s, {kind.name}")
            fault = await kind.inject(self._testbed)
            self._progress.report(_describe(fault))
            await self._cluster.ready()
            # Without an effect there was nothing to recover from.
            if fault.effect:
                self._journal.note("recovered", fault=fault.name)
        else:
            self._progress.report(f"round {self._progress.rounds}: {rate:,.0f} ops/s")
        await asyncio.sleep(AFTER_FAULT)

    def _next_kind(self) -> FaultKind:
        """Return the next kind of fault: each once, in random order, before any repeats."""
        if not self._due:
            self._due = self._rng.sample(self._plan.faults, len(self._plan.faults))
        return self._due.pop()

    async def _work(
        self, client: Client, session: Session, pace: _Pace, stop: asyncio.Event
    ) -> None:
        profile = self._plan.profile
        while not stop.is_set():
            await pace.turn()
            request = profile.next(session)
            if isinstance(request, Watch):
                await self._watch_briefly(client, request)
                continue
            response = await client.do(request)
            session.learn(request, response)
            if response is None:
                # Planned requests build on the effect of this one, which is now uncertain.
                session.plan.clear()
                await asyncio.sleep(_AFTER_ERROR)
            else:
                self._progress.operations += 1
                profile.follow(session, request, response)

    async def _watch(self, name: str, member: Member) -> None:
        client = Client(name, self._plan.store, member, self._journal)
        try:
            while True:
                await self._watch_briefly(client, self._plan.profile.watch(self._shared))
                await asyncio.sleep(_AFTER_ERROR)
        finally:
            await client.close()

    async def _watch_briefly(self, client: Client, request: Watch) -> None:
        """Watch for `WATCH_FOR` seconds, or until the watch ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCH_FOR):
                async for _ in client.watch(request):
                    pass

    # -- between rounds -----------------------------------------------------------------------

    async def _compare(self) -> bool:
        """
        Record revision and hash of all members; return False if they differ.

        Called between rounds, while no client sends requests.
        """
        self._cluster.check_alive()
        await self._cluster.ready()
        connections = {
            member.name: await self._plan.store.connect(member) for member in self._cluster.members
        }
        try:
            statuses = await self._agreed(connections)
            self._groups += 1
            for name, status in statuses.items():
                if status.is_leader:
                    self._journal.note("leader", member=name)
                if status.revision is not None and status.hash is not None:
                    self._journal.write(
                        Hashed(
                            self._journal.now(),
                            self._groups,
                            name,
                            status.revision,
                            status.compacted,
                            status.hash,
                        )
                    )
            for name in uncompared(connections, statuses):
                self._journal.note(NOT_COMPARED, member=name)
                self._progress.report(f"warning: {name} has no status and was not compared")
            await self._read_everywhere()
            await self._read_unknown_revisions(*next(iter(connections.items())), statuses)
        finally:
            for connection in connections.values():
                await connection.close()
        return len({(each.revision, each.compacted, each.hash) for each in statuses.values()}) <= 1

    async def _agreed(self, connections: dict[str, Connection]) -> dict[str, Status]:
        """Return the states of the members once they agree on a revision or no longer change."""
        last: dict[str, int | None] = {}
        since = time.monotonic()
        while True:
            statuses = await _statuses(connections)
            revisions = {name: status.revision for name, status in statuses.items()}
            # A member that did not respond may be behind, so all responses are required.
            if len(revisions) == len(connections) and len(set(revisions.values())) == 1:
                return statuses
            if revisions != last:
                last, since = revisions, time.monotonic()
            elif time.monotonic() - since > QUIET_FOR:
                return statuses
            await asyncio.sleep(_POLL)

    async def _read_unknown_revisions(
        self, member: str, connection: Connection, statuses: dict[str, Status]
    ) -> None:
        """Read the changes of revisions that no response has reported."""
        # The lowest revision of all: *member* may be one that is behind, and cannot be read at a
        # revision that it has not reached.
        revisions = [each.revision for each in statuses.values() if each.revision is not None]
        newest = min(revisions, default=1)
        for revision in range(self._shared.settled + 1, newest + 1):
            if revision not in self._shared.known:
                events = await _changes_at(connection, revision)
                # `settled` stays, so the next comparison tries the same revisions again.
                if events is None:
                    return
                self._journal.write(Found(self._journal.now(), revision, events, member))
                self._shared.known.add(revision)
        self._shared.settled = newest

    async def _read_everywhere(self) -> None:
        """Read through each member; one order of operations has to explain all the responses."""
        if self._plan.store.model != "etcd":
            return
        for member in self._cluster.members:
            client = Client(f"last-{member.name}", self._plan.store, member, self._journal)
            await client.do(Range(FREE, prefix_end(FREE)))
            await client.close()


def _describe(fault: Fault) -> str:
    """Describe *fault* and its effect."""
    struck = f"{fault.name} of {', '.join(fault.targets)}"
    if fault.effect:
        return f"{struck} ({fault.measured}: {fault.effect:,})"
    return f"warning: fault {struck} had no effect: {fault.measured}"


def uncompared(members: Iterable[str], statuses: Mapping[str, Status]) -> list[str]:
    """Return those of *members* that *statuses* lack, or that lack the hash that others have."""
    whole = [name for name, each in statuses.items() if None not in (each.revision, each.hash)]
    # Without any hash, the store has none.
    compared = whole or statuses
    return [name for name in members if name not in compared]


async def _statuses(connections: dict[str, Connection]) -> dict[str, Status]:
    found: dict[str, Status] = {}
    for name, connection in connections.items():
        with suppress(Exception):
            async with asyncio.timeout(1):
                found[name] = await connection.status()
    return found


async def _changes_at(connection: Connection, revision: int) -> tuple[Event, ...] | None:
    """Return the changes of *revision*, read from the store; None if it cannot be read."""
    before, after = await _all_at(connection, revision - 1), await _all_at(connection, revision)
    if before is None or after is None:
        return None
    puts = [
        Event("put", kv, before.get(key))
        for key, kv in after.items()
        if kv.mod_revision == revision
    ]
    deletes = [
        Event("delete", deletion(key, revision), kv)
        for key, kv in before.items()
        if key not in after
    ]
    return tuple(sorted(puts + deletes, key=lambda event: event.kv.key))


async def _all_at(connection: Connection, revision: int) -> dict[str, KeyValue] | None:
    # Sent without a `Client`, so these reads are not operations of the history.
    try:
        async with asyncio.timeout(5):
            answer = await connection.do(Range(EVERYTHING.key, NO_END, revision=revision))
    except Exception:
        return None
    return {kv.key: kv for kv in answer.kvs} if isinstance(answer, Ranged) else None
