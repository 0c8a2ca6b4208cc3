"""
Judge a campaign with assertions that name their invariants.

All evidence comes from the history, so a killed campaign can be judged like a completed one, and
any campaign can be judged again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise

# An absolute import, since the scanner recognizes the class by its full name.
from assertlib._calls.invariant import Invariant

from .. import lifecycle
from ..history.history import FaultInterval, History, Stream
from ..history.known_revisions import KnownRevisions
from ..history.operations import Outcome
from ..history.replay import Replay
from ..history.requests import (
    Acknowledged,
    Committed,
    Compact,
    Compare,
    Put,
    Range,
    Ranged,
    Refused,
    Revoke,
    Txn,
)
from ..history.validation import (
    ASSUMPTIONS,
    LINEARIZABLE,
    LOAD,
    READS,
    RECOVERY,
    REPLICAS,
    Check,
    Status,
    Validation,
)
from ..history.watches import Complaint, is_progress

LINEARIZABLE_KV = Invariant("kv.linearizable")
RECOVERS = Invariant("kv.recovers")
REPLICA_EQUAL = Invariant("kv.replica-equal")
PAST = Invariant("kv.serializable-is-past")
REVISION = Invariant("kv.revision-monotonic")
DURABLE = Invariant("kv.durable-ack")
DETERMINISTIC = Invariant("kv.apply-deterministic")
ONE_REVISION = Invariant("kv.one-revision-per-mutation")
AMBIGUOUS = Invariant("kv.ambiguous-all-or-nothing")
WAS_APPLIED = Invariant("kv.ambiguous-all-or-nothing#was-applied")
WAS_NOT_APPLIED = Invariant("kv.ambiguous-all-or-nothing#was-not-applied")
AT_TOMBSTONE = Invariant("kv.compaction-keeps-live#compacts-tombstone")
CAS = Invariant("txn.single-cas-winner")
UNKNOWN_LEASE = Invariant("lease.unknown-lease-rejected")
EXPIRY = Invariant("lease.expiry-deletes-all")
FILTER = Invariant("watch.filter")
ORDERED = Invariant("watch.ordered")
UNIQUE = Invariant("watch.unique")
ATOMIC = Invariant("watch.atomic")
BOOKMARKABLE = Invariant("watch.bookmarkable")
RESUMABLE = Invariant("watch.resumable")
AT_COMPACTION = Invariant("watch.resumable#opens-at-compaction")
IS_CREATE = Invariant("watch.is-create")
RELIABLE = Invariant("watch.reliable")
PREV_KV = Invariant("watch.prev-kv")
START = Invariant("watch.no-event-before-start")
AHEAD = Invariant("watch.no-event-before-start#starts-ahead")
CANCELS = Invariant("watch.compacted-cancels")

ELECTION = 1.0
"""Default election timeout of etcd, in seconds."""
_SECOND = 10**9


def judge(history: History, validation: Validation, name: str) -> None:
    """
    Turn the results in *validation* of *history* into assertions, as the trial *name*.

    Only effective faults count, and all of them from the beginning of the trial: the order of
    faults and violations is not known.
    """
    about = history.header.about
    seed = about.get("seed")
    # The seed is what the trials of a population differ in.
    population = ", ".join(f"{key} {value}" for key, value in about.items() if key != "seed")
    with lifecycle.trial(name, population=population, seed=seed if isinstance(seed, int) else None):
        lifecycle.faults(
            sorted({interval.name for interval in history.effective_faults}),
            breaks=sorted(
                {broken for interval in history.effective_faults for broken in interval.breaks}
            ),
        )
        _operations(validation)
        _states(history, validation)
        _recovery(validation)
        _replicas(validation)
        _faults(history)
        # If the test broke its own assumptions, the store is not to blame for what it observed.
        is_sound = validation.named(ASSUMPTIONS).status is Status.SUCCESS
        if history.header.model == "etcd" and is_sound:
            _revisions(history, validation)
            _watches(history, validation)


def _each(check: Check) -> Iterator[Complaint | None]:
    """Yield one entry for each judged item: the complaint about it, or None."""
    # A check without a result yields nothing, so its assertion is not evaluated and cannot pass.
    # One item can have several complaints, hence the `max`.
    if check.status in (Status.SUCCESS, Status.FAILURE):
        yield from check.complaints
        yield from [None] * max(check.judged - len(check.complaints), 0)


def _details(wrong: Complaint | None) -> dict[str, object]:
    if wrong is None:
        return {}
    lines = wrong.text.splitlines()
    return {"complaint": lines if len(lines) > 1 else wrong.text, "watch": wrong.watch}


def _operations(validation: Validation) -> None:
    # One evaluation for the whole history: operations are not linearizable one by one.
    for wrong in _each(replace(validation.named(LINEARIZABLE), judged=1)):
        LINEARIZABLE_KV.always(wrong is None, "one order explains all responses", _details(wrong))
    LINEARIZABLE_KV.sometimes(
        validation.named(LOAD).status is Status.SUCCESS,
        "clients reach the load that the traffic profile calls for",
    )


def _states(history: History, validation: Validation) -> None:
    """Assert on the outcomes of requests without a response, and of conditions."""
    # From the history, since validation has resolved the outcomes of some of them.
    unanswered = {each.id for each in history.operations if each.outcome is Outcome.UNKNOWN}
    winners: Counter[Compare] = Counter()
    for operation in validation.operations:
        # One that cannot be settled is evidence of neither.
        is_settled = operation.revision is not None or operation.outcome is Outcome.NOT_APPLIED
        if operation.id in unanswered and is_settled:
            WAS_APPLIED.sometimes(
                operation.revision is not None, "an unanswered request was applied"
            )
            WAS_NOT_APPLIED.sometimes(
                operation.outcome is Outcome.NOT_APPLIED,
                "an unanswered request was not applied",
            )
        match operation.request, operation.response:
            case Txn(compares), Committed(_, succeeded) if compares:
                CAS.sometimes(not succeeded, "a condition of a transaction fails")
                winners.update(each for each in compares if succeeded and _is_swap(each))
    for compare, count in winners.items():
        CAS.always(
            count == 1,
            "of several writes conditional on the same revision of a key, only one succeeds",
            {"compare": compare},
        )
    if validation.replay is not None:
        _wholly(history, validation.replay)


def _is_swap(compare: Compare) -> bool:
    # A key has revision 0 after each deletion, so several writes on that condition can succeed.
    return compare.target == "mod" and compare.relation == "=" and compare.operand != 0


def _wholly(history: History, replay: Replay) -> None:
    # Each value is written once, so its presence at any revision shows that the write was applied.
    there = {event.kv.value for event in replay.events(1, replay.last)}
    for operation in history.operations:
        match operation.request:
            # Without an alternative branch: which values should be present is then certain.
            case Txn(_, then, ()) if operation.outcome is Outcome.UNKNOWN:
                put = {each.value for each in then if isinstance(each, Put)}
                AMBIGUOUS.always(
                    put <= there or put.isdisjoint(there),
                    "an unanswered transaction is applied completely or not at all",
                    {"operation": str(operation)},
                )


def _recovery(validation: Validation) -> None:
    for wrong in _each(validation.named(RECOVERY)):
        RECOVERS.always(wrong is None, "members serve clients again after a fault", _details(wrong))


def _replicas(validation: Validation) -> None:
    for wrong in chain.from_iterable(
        _each(each) for each in validation.checks if each.name == REPLICAS
    ):
        REPLICA_EQUAL.always(
            wrong is None, "members hold the same data once writes have stopped", _details(wrong)
        )


def _faults(history: History) -> None:
    # The expected names are spelled out, since the scanner evaluates literals only; FAULTS in
    # `faults` has the same ones.
    for interval in history.effective_faults:
        LINEARIZABLE_KV.sometimes_each(
            interval.name,
            "a fault is injected",
            expected=(
                "kill",
                "kill-all",
                "pause",
                "partition",
                "one-way",
                "blackhole",
                "delay",
                "loss",
                "reset",
                "isolate",
                "power-cut",
                "power-cut-all",
            ),
        )
        hit = _caught_by(history, interval)
        killed = interval.name.startswith("kill")
        REPLICA_EQUAL.sometimes(killed and hit, "a member is killed while requests are under way")
        REVISION.sometimes(killed, "a killed member restarts")
        LINEARIZABLE_KV.sometimes(
            interval.name == "pause" and hit and _seconds(interval, history) > ELECTION,
            "a member with requests under way is paused for longer than an election takes",
        )
        LINEARIZABLE_KV.sometimes(
            interval.name in ("partition", "isolate") and hit,
            "a member is cut off while clients talk to it",
        )
    leaders = [note.details.get("member") for note in history.noted("leader")]
    for before, after in pairwise(leaders):
        LINEARIZABLE_KV.sometimes(before != after, "the leader changes")


def _caught_by(history: History, interval: FaultInterval) -> bool:
    """Return whether an affected member had a request in flight when the fault began."""
    return any(
        operation.endpoint in interval.targets
        and operation.call <= interval.begin
        and (operation.returned is None or operation.returned > interval.begin)
        for operation in history.operations
    )


def _seconds(interval: FaultInterval, history: History) -> float:
    return ((interval.end or history.end) - interval.begin) / _SECOND


# -- stores with revisions ---------------------------------------------------------------------


def _revisions(history: History, validation: Validation) -> None:
    for wrong in _each(validation.named(READS)):
        PAST.always(
            wrong is None,
            "a historical read returns the state at the revision it names",
            _details(wrong),
        )
    if validation.replay is not None:
        forked = sorted(validation.replay.forked)
        _refusals(history, validation.replay)
        ONE_REVISION.always(
            not forked,
            "no two acknowledged writes create the same revision",
            {"revisions": forked[:10]},
        )
    _members(history)
    _reads(history)
    _compactions(history, validation)
    for operation in validation.operations:
        if operation.client == "expiry" and isinstance(operation.request, Revoke):
            EXPIRY.sometimes(operation.revision is not None, "a lease with keys expires on its own")


def _members(history: History) -> None:
    """Assert on the states of members between rounds, when they are idle and have caught up."""
    known = KnownRevisions(history.operations)
    last: dict[str, int] = {}
    groups: dict[tuple[int, int, int], set[int]] = defaultdict(set)
    for each in history.hashes:
        newest = known.newest(each.time)
        DURABLE.always_greater_than_or_equal_to(
            each.revision,
            newest,
            "an acknowledged write is present once members have caught up",
            {"member": each.member},
        )
        REVISION.always_greater_than_or_equal_to(
            each.revision,
            last.get(each.member, 1),
            "a member's revision never goes backwards between rounds",
            {"member": each.member},
        )
        last[each.member] = each.revision
        # A hash covers the data of one revision as far as it is not compacted, so hashes are
        # comparable only where both agree.
        groups[each.group, each.revision, each.compacted].add(each.hash)
    for (_, revision, _), hashes in groups.items():
        DETERMINISTIC.always(
            len(hashes) == 1,
            "members at the same revision have the same hash",
            {"revision": revision},
        )


def _reads(history: History) -> None:
    known = KnownRevisions(history.operations)
    for each in history.operations:
        if isinstance(each.response, Ranged) and isinstance(each.request, Range):
            PAST.sometimes(
                each.request.serializable and each.response.revision < known.newest(each.call),
                "a stale read misses a write that had returned",
            )


def _refusals(history: History, replay: Replay) -> None:
    # As in `_wholly`: a value identifies the request that wrote it.
    there = {event.kv.value for event in replay.events(1, replay.last)}
    for each in history.operations:
        if each.response == Refused("lease-not-found") and isinstance(each.request, Put):
            UNKNOWN_LEASE.reachable("a put with a nonexistent lease is rejected")
            UNKNOWN_LEASE.always(each.request.value not in there, "a rejected put leaves no trace")


def _compactions(history: History, validation: Validation) -> None:
    for operation in history.operations:
        match operation.request, operation.response:
            case Compact(revision), Acknowledged() if validation.replay is not None:
                kinds = {event.kind for event in validation.replay.events(revision, revision)}
                AT_TOMBSTONE.sometimes("delete" in kinds, "history is compacted at a deletion")


# -- watches ------------------------------------------------------------------------------------


def _watches(history: History, validation: Validation) -> None:
    for wrong in _each(validation.named("filter")):
        FILTER.always(wrong is None, "a watch is sent only what it asked for", _details(wrong))
    for wrong in _each(validation.named("ordered")):
        ORDERED.always(wrong is None, "a watch is sent events in order", _details(wrong))
    for wrong in _each(validation.named("unique")):
        UNIQUE.always(wrong is None, "a watch is sent each event once", _details(wrong))
    for wrong in _each(validation.named("atomic")):
        ATOMIC.always(
            wrong is None,
            "a watch receives all events of a revision in one delivery",
            _details(wrong),
        )
    for wrong in _each(validation.named("bookmarkable")):
        BOOKMARKABLE.always(wrong is None, "no event comes after its bookmark", _details(wrong))
    for wrong in _each(validation.named("resumable")):
        RESUMABLE.always(
            wrong is None,
            "a watch begins with the first event at or after the revision it asks for",
            _details(wrong),
        )
    for wrong in _each(validation.named("is-create")):
        IS_CREATE.always(
            wrong is None, "an event correctly reports whether it created its key", _details(wrong)
        )
    for wrong in _each(validation.named("reliable")):
        RELIABLE.always(wrong is None, "a watch is sent every event", _details(wrong))
    for wrong in _each(validation.named("prev-kv")):
        PREV_KV.always(wrong is None, "an event names the pair it replaced", _details(wrong))
    known = KnownRevisions(history.operations)
    # A member may lag behind another one that has acknowledged a compaction, so a watch is held
    # against the compactions of its own member.  Sorted once per member, not once per watch.
    by_member = {
        endpoint: KnownRevisions(each for each in history.operations if each.endpoint == endpoint)
        for endpoint in {stream.endpoint for stream in history.streams}
    }
    for stream in history.streams:
        compacted = by_member[stream.endpoint].compacted(stream.opened)
        _stream(stream, compacted, known.newest(stream.opened))


def _stream(stream: Stream, compacted: int, newest: int) -> None:
    # A start of 0 stands for the present, which is neither compacted nor in the future.
    start = stream.request.revision
    deliveries = [delivery for _, delivery in stream.deliveries]
    events = [event for delivery in deliveries for event in delivery.events]
    for event in events:
        START.always(event.kv.mod_revision >= start, "no event is older than the watch's start")
    AT_COMPACTION.sometimes(
        bool(start and start == compacted), "a watch starts where history was compacted"
    )
    AHEAD.sometimes(start > newest, "a client watches from a future revision")
    BOOKMARKABLE.sometimes(
        any(map(is_progress, deliveries)) and bool(events),
        "a watch is sent events and progress notifications",
    )
    RELIABLE.sometimes(bool(events) and 0 < start < newest, "a watch catches up on what it missed")
    ATOMIC.sometimes(
        any(
            len({event.kv.mod_revision for event in each.events}) < len(each.events)
            for each in deliveries
        ),
        "a revision contains several events",
    )
    # Right after the creation of the watch, its cancellation may not have arrived yet.
    if 0 < start < compacted and any(not each.created for each in deliveries):
        cancelled = any(each.cancelled and each.compacted > start for each in deliveries)
        CANCELS.always(
            cancelled and not events,
            "a watch from below the compacted revision is cancelled, and the reason is given",
        )
    CANCELS.sometimes(0 < start < compacted, "a watch starts before the compacted revision")
