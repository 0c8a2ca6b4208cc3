"""
The promises that clients rely on, judged after a crash by what they were told before it.
"""

import asyncio
import random
from collections import defaultdict
from dataclasses import replace

from assertlib import Invariant

from .client import Client
from .errors import (
    CompactedError,
    DuplicateKeyError,
    FutureRevisionError,
    KvError,
    LeaseNotFoundError,
)
from .history import Held, History, Read, Swap, WatchLog, Write
from .model import KeyRange, Op, Put, Range
from .store import Status
from .verify_watch import judge_watch
from .watch import WatchSpec
from .workload import follow

__all__ = ["Verifier"]

DURABLE = Invariant("kv.durable-ack")
NO_DIRTY_READ = Invariant("kv.no-dirty-read")
REVISION = Invariant("kv.revision-monotonic")
ONE_REVISION = Invariant("kv.one-revision-per-mutation")
FIRST_REVISION = Invariant("kv.first-revision")
MOD_REVISION = Invariant("kv.modrev-equals-revision")
HISTORY = Invariant("kv.history-immutable")
FUTURE = Invariant("kv.future-revision-error")
COMPACTED = Invariant("kv.compacted-error")
DETERMINISTIC = Invariant("kv.apply-deterministic")
AMBIGUOUS = Invariant("kv.ambiguous-all-or-nothing")
WAS_APPLIED = Invariant("kv.ambiguous-all-or-nothing#was-applied")
WAS_NOT_APPLIED = Invariant("kv.ambiguous-all-or-nothing#was-not-applied")
NO_RETRY = Invariant("kv.no-silent-retry")
COMPARE = Invariant("txn.compare-atomic")
CAS = Invariant("txn.single-cas-winner")
NO_DUPLICATE = Invariant("txn.no-duplicate-key")
RESUMABLE = Invariant("watch.resumable")
EXPIRY = Invariant("lease.expiry-deletes-all")
NO_EARLY_EXPIRY = Invariant("lease.no-early-expiry")
SINGLE_LEASE = Invariant("lease.single-lease-per-key")
UNKNOWN_LEASE = Invariant("lease.unknown-lease-rejected")

_survives = DURABLE.declare_always("an acknowledged write is in the history after a crash")
_mod_as_told = MOD_REVISION.declare_always("a write is found at the revision its answer named")
_once = NO_RETRY.declare_always("a value that was sent once is put at one revision")
_wholly = AMBIGUOUS.declare_always("an unanswered write is present in full or not at all")
_applied = WAS_APPLIED.declare_sometimes("a request lost in a crash was applied")
_not_applied = WAS_NOT_APPLIED.declare_sometimes("a request lost in a crash was not applied")
_read_stays = NO_DIRTY_READ.declare_always("what a read returned is in the history after a crash")
_same_again = HISTORY.declare_always("a read of the past gives the same answer after a crash")
_one_history = HISTORY.declare_always("all watches report the same history")
_together = EXPIRY.declare_always("the keys of a lease are deleted in one revision")
_in_time = NO_EARLY_EXPIRY.declare_always("a client sees a lease expire only after its TTL")

RESUMED_WATCHES = 6
REPEATED_READS = 25
LEASES_GONE_WITHIN = 10.0
NO_LEASE = 2**53
"""An id that the server does not choose for any lease."""


class Verifier:
    """
    Judges one trial; a complaint is kept for each promise that is broken.

    Args:
        history: What the clients of the trial did and saw.
        rng: Chooses what is asked a second time.
    """

    def __init__(self, history: History, rng: random.Random) -> None:
        self.complaints: list[str] = []
        self._history = history
        self._rng = rng

    async def judge_start(self, client: Client) -> None:
        """A store on an empty directory has just started."""
        status = await client.status()
        held = FIRST_REVISION.always(
            status.revision == 1, "a fresh store answers at revision 1", lambda: {"status": status}
        )
        self._require(held, f"first revision: {status}")

    async def judge_restart(self, client: Client, offline: Status) -> None:
        """The store has restarted; *offline* is what its directory holds by another replay."""
        status = await client.status()
        self._judge_status(status, offline)
        await self._audit(client, status)
        await self._resume_watches(client, status)
        self._judge_ledger(status)
        for write in self._history.writes:
            self._judge_write(write, status.compacted)
        self._judge_swaps()
        for read in self._history.reads:
            self._judge_read(read, status.compacted)
        await self._read_again(client, status.compacted)
        for held in self._history.held:
            self._judge_lease(held)
        await self._probe_refusals(client)
        self._history.forget_round()

    async def judge_end(self, client: Client) -> None:
        """Nobody keeps a lease alive any more."""
        await self._probe_leases(client)
        leases = KeyRange.prefix("lease/")
        try:
            async with (
                EXPIRY.within(LEASES_GONE_WITHIN, "leases that nobody keeps alive expire"),
                asyncio.timeout(LEASES_GONE_WITHIN),
            ):
                while (await client.range(leases)).count:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self._require(False, "leases do not end")

    def _require(self, held: bool, complaint: str) -> None:
        if not held:
            self.complaints.append(complaint)

    def _judge_status(self, status: Status, offline: Status) -> None:
        newest = self._history.newest
        held = REVISION.always(
            status.revision >= newest,
            "no restart takes the revision below one that was reported to a client",
            lambda: {"told": newest, "status": status},
        )
        self._require(held, f"revision {status.revision} after {newest} was reported to a client")
        held = DETERMINISTIC.always(
            status.applied_index != offline.applied_index or status.digest == offline.digest,
            "two processes replay one log to one state",
            lambda: {"server": status, "offline": offline},
        )
        self._require(held, f"replay differs: {status} and {offline}")

    async def _audit(self, client: Client, status: Status) -> None:
        """Put everything that history still holds into the ledger, with what watches saw."""
        spec = WatchSpec(KeyRange.everything(), max(status.compacted, 1), prev_kv=True)
        self._history.watches.append(await self._collect(client, WatchLog(spec)))
        for log in self._history.watches:
            self._enter(log)

    async def _collect(self, client: Client, log: WatchLog) -> WatchLog:
        """Run a watch up to its first bookmark, or its end."""
        watch = await client.watch(log.spec)
        await watch.request_progress()
        await follow(watch, log, self._history, until_bookmark=True)
        return log

    def _enter(self, log: WatchLog) -> None:
        for when, response in log.responses:
            for event in response.events:
                agrees = self._history.ledger.add(when, response.revision, event)
                held = _one_history(agrees, lambda event=event: {"event": event})
                self._require(held, f"two watches differ about {event}")

    async def _resume_watches(self, client: Client, status: Status) -> None:
        broken = [
            log
            for log in self._history.watches
            if not log.is_cancelled and 0 < log.next_revision <= status.revision + 1
        ]
        chosen = self._rng.sample(broken, min(len(broken), RESUMED_WATCHES))
        for log in chosen:
            spec = replace(log.spec, start=log.next_revision)
            resumed = await self._collect(client, WatchLog(spec, resumes=log))
            RESUMABLE.sometimes(
                bool(log.events() and resumed.events()),
                "a watch interrupted by a crash resumes with what it had not seen",
            )
            self._enter(resumed)
            self._history.watches.append(resumed)

    def _judge_ledger(self, status: Status) -> None:
        ledger = self._history.ledger
        whole_from = ledger.whole_from(status.revision)
        held = ONE_REVISION.always(
            whole_from <= max(status.compacted, 2),
            "every revision of the history has a change",
            lambda: {"status": status, "whole_from": whole_from},
        )
        self._require(held, f"revision {whole_from - 1} has no change")
        newest = ledger.at(status.revision).values()
        REVISION.sometimes(
            any(event.kind == "delete" for event in newest),
            "a store whose newest revision is a deletion restarts",
        )
        for log in self._history.watches:
            self._require(judge_watch(log, ledger, whole_from), f"a watch of {log.spec}")

    def _judge_write(self, write: Write, compacted: int) -> None:
        found = self._history.ledger.puts_of(write.token)
        revisions = {revision for _, revision in found}
        complaint = f"{write} found at {sorted(found)}"
        self._require(_once(len(revisions) <= 1, lambda: {"found": found}), complaint)
        if write.outcome == "unknown":
            keys = {key for key, _ in found}
            wholly = _wholly(keys in (set(), set(write.keys)), lambda: {"keys": keys})
            self._require(wholly, complaint)
            _applied(bool(found))
            _not_applied(not found)
        else:
            told = _mod_as_told(revisions <= {write.revision}, lambda: {"revisions": revisions})
            self._require(told, complaint)
            is_there = len(found) == len(write.keys) or write.revision < compacted
            self._require(_survives(is_there, lambda: {"write": write}), complaint)

    def _judge_swaps(self) -> None:
        winners: dict[tuple[str, int], list[Swap]] = defaultdict(list)
        for swap in self._history.swaps:
            found = self._history.ledger.puts_of(swap.token)
            if found or swap.succeeded:
                winners[swap.key, swap.expected].append(swap)
            self._judge_swap(swap, bool(found))
        for (key, expected), swaps in winners.items():
            held = CAS.always(
                len(swaps) == 1,
                "of all swaps that expect the same version, at most one succeeds",
                lambda key=key, swaps=swaps: {"key": key, "swaps": swaps},
            )
            self._require(held, f"{len(swaps)} swaps of {key} at {expected}")

    def _judge_swap(self, swap: Swap, is_found: bool) -> None:
        lost = swap.outcome == "done" and not swap.succeeded
        event = self._history.ledger.at(swap.revision).get(swap.key) if swap.succeeded else None
        replaced = event.prev.mod_revision if event and event.prev else swap.expected
        held = COMPARE.always(
            replaced == swap.expected and not (lost and is_found),
            "a swap replaces the version it compared or leaves no trace",
            lambda: {"swap": swap, "event": event},
        )
        self._require(held, f"{swap} met {event}")

    def _judge_read(self, read: Read, compacted: int) -> None:
        for kv in read.kvs:
            event = self._history.ledger.at(kv.mod_revision).get(kv.key)
            stays = kv.mod_revision < compacted if event is None else event.kv == kv
            held = _read_stays(stays, lambda kv=kv, event=event: {"kv": kv, "event": event})
            self._require(held, f"a client read {kv}, now there is {event}")

    async def _read_again(self, client: Client, compacted: int) -> None:
        readable = [read for read in self._history.reads if read.revision >= compacted]
        for read in self._rng.sample(readable, min(len(readable), REPEATED_READS)):
            again = await client.range(KeyRange.prefix(read.prefix), read.revision)
            same = again.kvs == read.kvs
            held = _same_again(same, lambda read=read, again=again: {"then": read, "now": again})
            self._require(held, f"{read} now gives {again}")

    def _judge_lease(self, held: Held) -> None:
        ledger = self._history.ledger
        deletions = {at for key in held.keys for at in ledger.deletions_of(key)}
        is_whole = all(ledger.deletions_of(key) for key in held.keys)
        if not deletions:
            return
        together = _together(len(deletions) == 1 and is_whole, lambda: {"lease": held})
        self._require(together, f"{held} ended at {deletions}")
        lived = ledger.arrived[min(deletions)] - held.renewed
        in_time = _in_time(held.is_revoked or lived >= held.ttl, lambda: {"lived": lived})
        self._require(in_time, f"{held} ended after {lived} s")

    async def _probe_refusals(self, client: Client) -> None:
        """Ask for what the store must refuse, and see that it leaves no trace."""
        everything = KeyRange.everything()
        status = await client.status()
        far = Range(everything, status.revision + 1_000_000)
        held = FUTURE.always(
            await _is_refused(client, (far,), FutureRevisionError),
            "a read beyond the newest revision is an error, even inside a transaction",
        )
        self._require(held, "a read of the future was answered")
        if status.compacted > 1:
            gone = Range(everything, status.compacted - 1)
            held = COMPACTED.always(
                await _is_refused(client, (Put("probe/gone", "x"), gone), CompactedError),
                "a read below the compacted revision is an error, even inside a transaction",
            )
            self._require(held, "a read below the compacted revision was answered")
        held = NO_DUPLICATE.always(
            await _is_refused(
                client, (Put("probe/twice", "a"), Put("probe/twice", "b")), DuplicateKeyError
            ),
            "a transaction that puts a key twice leaves no trace",
        )
        self._require(held, "a duplicate key was accepted")
        held = UNKNOWN_LEASE.always(
            await _is_refused(
                client,
                (Put("probe/free", "a"), Put("probe/bound", "b", NO_LEASE)),
                LeaseNotFoundError,
            ),
            "neither a put with an unknown lease nor the rest of its transaction leaves a trace",
        )
        self._require(held, "an unknown lease was accepted")

    async def _probe_leases(self, client: Client) -> None:
        old, new = await client.grant(60.0), await client.grant(60.0)
        await client.put("probe/moved", "a", lease=old.lease)
        await client.put("probe/moved", "b", lease=new.lease)
        await client.revoke(old.lease)
        survived = (await client.range(KeyRange("probe/moved"))).count
        await client.revoke(new.lease)
        left = (await client.range(KeyRange("probe/moved"))).count
        held = SINGLE_LEASE.always(
            (survived, left) == (1, 0),
            "a key is deleted with the last lease it was attached to and with no other",
            lambda: {"after_old": survived, "after_new": left},
        )
        self._require(held, f"a moved key: {survived} after the old lease, {left} after the new")


async def _is_refused(client: Client, ops: tuple[Op, ...], expected: type[KvError]) -> bool:
    """Whether a transaction of *ops* fails as *expected* and puts nothing."""
    try:
        await client.txn((), ops)
    except expected:
        found = [await client.range(KeyRange(op.key)) for op in ops if isinstance(op, Put)]
        return not any(read.count for read in found)
    return False
