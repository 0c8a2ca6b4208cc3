"""
The checks of a history, in order: assumptions about the test, linearizability, watches, reads of
the past, replicas.

Order and rules follow etcd tests/robustness/validate/validate.go.  An undecided check is never a
success.

The module has over 500 lines, since each check is read beside those that it relies on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import NamedTuple, TypeVar

from .etcd import Etcd
from .history import History
from .linearizability import BUDGET, Linearization, check
from .minimal import Core, minimal
from .model import Model
from .operations import ClientId, Operation, Outcome
from .records import Hashed, HistoryError
from .register import CasRegister, KeyValueStore, Register
from .replay import Replay, resolve
from .requests import Acknowledged, Event, Grant, KeepAlive, Range, Ranged, Refused, Revoke
from .search import Verdict
from .text import event_in_words, response_in_words
from .watches import BY_REPLAY, BY_STREAM, Complaint, check_against, check_stream

S = TypeVar("S")


class Judge(NamedTuple):
    """The operations of a check, bound to a model."""

    check: Callable[[Sequence[Operation], int], Linearization]
    minimal: Callable[[Sequence[Operation], Linearization, Mapping[int, Sequence[Event]]], Core]


def _judge(model: Model[S]) -> Judge:
    # Bound here, where the type of the model's states is still known.
    return Judge(
        lambda operations, budget: check(model, operations, budget=budget),
        lambda operations, found, contents: minimal(model, operations, found, contents=contents),
    )


MODELS: dict[str, Judge] = {
    model.name: _judge(model) for model in (Register(), CasRegister(), KeyValueStore())
} | {Etcd.name: _judge(Etcd())}


class Status(StrEnum):
    """The result of a check."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    NOT_CHECKED = "not checked"
    NOTHING = "nothing to judge"


@dataclass(frozen=True, slots=True)
class Check:
    """
    The result of one check.

    Attributes:
        reason: Why the status is neither success nor failure.
        complaints: The violations found.
        judged: Number of items checked, such as answered operations, deliveries or hashes.
    """

    name: str
    status: Status
    reason: str = ""
    complaints: tuple[Complaint, ...] = ()
    judged: int = 0


@dataclass(frozen=True, slots=True)
class Validation:
    """
    The results of all checks of a history.

    Attributes:
        operations: The operations that were judged, with inferred outcomes and lease expiries.
        linearization: The result of the linearizability check; None if it was not run.
        core: The smallest illegal part; None unless the operations are illegal.
        replay: The store's past states; None for models without revisions.
    """

    checks: tuple[Check, ...]
    operations: tuple[Operation, ...] = ()
    linearization: Linearization | None = None
    core: Core | None = None
    replay: Replay | None = None

    @property
    def status(self) -> Status:
        """
        The overall result.

        It is a failure if any check failed, and a success if the operations are linearizable and
        no other check is undecided.  If an assumption about the test does not hold, it is unknown.
        """
        statuses = {check.status for check in self.checks}
        # Takes precedence over failures, which would be blamed on the store.
        if self.named(ASSUMPTIONS).status is not Status.SUCCESS:
            return Status.UNKNOWN
        if Status.FAILURE in statuses:
            return Status.FAILURE
        # Other checks may have nothing to judge, but without this one the history shows nothing.
        if (LINEARIZABLE, Status.SUCCESS) not in {(each.name, each.status) for each in self.checks}:
            return Status.UNKNOWN
        return Status.SUCCESS if statuses <= {Status.SUCCESS, Status.NOTHING} else Status.UNKNOWN

    def named(self, name: str) -> Check:
        """Return the result of the check called *name*."""
        return next(check for check in self.checks if check.name == name)


ASSUMPTIONS = "assumptions"
LOAD = "load"
FAULTS = "faults"
RECOVERY = "recovery"
LINEARIZABLE = "linearizable"
READS = "historical reads"
REPLICAS = "replicas"
NOT_COMPARED = "not compared"
"""Note about a member without a status when the others were compared."""
_SHOWN = 12


def validate(history: History, *, budget: int = BUDGET) -> Validation:
    """
    Run all checks that apply to the model of *history*.

    Args:
        history: The history, whose header names the model.
        budget: Number of steps for each partition of the linearizability check.

    Raises:
        HistoryError: The model is unknown, or a note lacks a required detail.
        UnsupportedRequestError: The model does not support one of the requests.
    """
    judge = MODELS.get(history.header.model)
    if judge is None:
        raise HistoryError(
            f"unknown model {history.header.model!r}; available: {', '.join(MODELS)}"
        )
    has_past = history.header.model == Etcd.name
    assumed = _assumptions(history)
    if assumed.status is not Status.SUCCESS:
        reason = "the assumptions about the test do not hold"
        names = (LOAD, RECOVERY, LINEARIZABLE, *((*_PAST, REPLICAS) if has_past else ()))
        skipped = [Check(name, Status.NOT_CHECKED, reason) for name in names]
        return Validation((assumed, *skipped))
    operations = history.operations
    if has_past:
        everything = [*operations, *_expiries(history)]
        operations = resolve(everything, history.found, _newest_event(history))
    found = judge.check(operations, budget)
    core = None if found.stuck is None else judge.minimal(operations, found, history.found)
    linearizable = _linearizable(history, found, core)
    checks = [assumed, _load(history), *_faults(history), _recovery(history), linearizable]
    replay = None
    if has_past:
        replay = Replay(operations, history.found)
        checks += _against_the_past(history, operations, linearizable, replay)
    # Other models have this check only if there is something to compare.
    if has_past or history.hashes or history.noted(NOT_COMPARED):
        checks.append(_replicas(history))
    return Validation(tuple(checks), tuple(operations), found, core, replay)


_PAST = (*BY_STREAM, *BY_REPLAY, READS)


# -- assumptions about the test -------------------------------------------------------------


def _assumptions(history: History) -> Check:
    complaints = [Complaint(ASSUMPTIONS, text) for text in _wrong_with_the_test(history)]
    if not history.operations:
        return Check(ASSUMPTIONS, Status.UNKNOWN, "the history contains no operations")
    status = Status.FAILURE if complaints else Status.SUCCESS
    return Check(ASSUMPTIONS, status, "", tuple(complaints), len(history.operations))


def _wrong_with_the_test(history: History) -> Iterator[str]:
    for note in history.noted("harness failed"):
        yield f"the harness failed, not the store: {note.details.get('error')}"
    # The model begins with an empty store; older contents would look like violations.
    if history.header.model == Etcd.name and not any(
        isinstance(each.response, Ranged) and each.response.revision == 1
        for each in history.operations
    ):
        yield "no read found the store at revision 1: it was not empty at the beginning"
    last: dict[ClientId, Operation] = {}
    for operation in history.operations:
        before = last.get(operation.client)
        if before is not None and operation.call < before.call:
            yield (
                f"{operation} follows {before} but was called before it: the clock of its client"
                " stepped back, or its lines are out of order"
            )
        elif before is not None and (
            before.returned is None
            or operation.call < before.returned
            # With equal stamps only the order of lines shows the overlap.
            or (before.id, operation.id) in history.overlaps
        ):
            yield f"{operation} was called while {before} was still open"
        if operation.returned is not None and operation.returned < operation.call:
            yield f"{operation} ends before it begins"
        last[operation.client] = operation


def _load(history: History) -> Check:
    """Check that the load was sufficient: a test that hardly did anything proves nothing."""
    notes = history.noted("load")
    if not notes:
        return Check(LOAD, Status.NOTHING, "no load was recorded")
    for note in notes:
        rate, needed = note.details.get("rate"), note.details.get("needed")
        if not isinstance(rate, int | float) or not isinstance(needed, int | float):
            raise HistoryError(f"a load note lacks the rate or the required rate: {note}")
        # Not `rate < needed`, which would accept NaN.
        if not rate >= needed:
            measured = rate if isinstance(rate, int) else f"{rate:.3g}"
            reason = (
                f"{measured} operations per second before a fault; at least {needed} are required"
            )
            # The most frequent error is usually the reason for a low rate.
            errors = Counter(each.error for each in history.operations if each.error)
            for error, count in errors.most_common(1):
                reason += f"; {count:,} operations ended with {error}"
            return Check(LOAD, Status.UNKNOWN, reason, judged=len(notes))
    return Check(LOAD, Status.SUCCESS, judged=len(notes))


def _recovery(history: History) -> Check:
    """Check that the store served clients again after each fault."""
    complaints = tuple(
        Complaint(RECOVERY, str(note.details.get("error")), time=note.time)
        for note in history.noted("not recovered")
    )
    judged = len(history.noted("recovered")) + len(complaints)
    status = Status.FAILURE if complaints else Status.SUCCESS if judged else Status.NOTHING
    return Check(RECOVERY, status, "", complaints, judged)


# -- linearizability --------------------------------------------------------------------------


def _expiries(history: History) -> Iterator[Operation]:
    """
    Model lease expiries as unanswered revocations without a client.

    A lease may expire at any time after its time to live, or never.  A lease that cannot expire
    before the end of the history has no expiry.
    """
    # Times to live count from the call: the store may have started the lease right then.
    alive: dict[int, tuple[int, int]] = {}
    over: list[tuple[int, int, int]] = []
    for operation in history.operations:
        match operation.request, operation.response:
            case Grant(), Refused():
                continue
            case Grant(lease, ttl), _ if operation.outcome is not Outcome.NOT_APPLIED:
                # The id was granted before, so the earlier lease may have expired by now.
                if lease in alive:
                    over.append((lease, *alive[lease]))
                alive[lease] = (operation.call, ttl)
            # An unanswered renewal may not have happened, so it does not move the expiry.
            case KeepAlive(lease), Acknowledged() if lease in alive:
                alive[lease] = (operation.call, alive[lease][1])
    over += [(lease, *since) for lease, since in alive.items()]
    for number, (lease, since, ttl) in enumerate(over, 1):
        ends = since + ttl * 10**9
        if ends <= history.end:
            # Negative ids cannot clash with recorded operations.
            yield Operation(-number, "expiry", Revoke(lease), ends)


def _linearizable(history: History, found: Linearization, core: Core | None) -> Check:
    count = found.answered
    if found.verdict is Verdict.OK and not found.observations:
        return Check(LINEARIZABLE, Status.NOTHING, _nothing_seen(history, count), judged=count)
    if found.verdict is Verdict.OK:
        return Check(LINEARIZABLE, Status.SUCCESS, judged=count)
    if found.verdict is Verdict.UNKNOWN or found.stuck is None or core is None:
        return Check(LINEARIZABLE, Status.UNKNOWN, found.reason, judged=count)
    text = "\n".join(_why(history, found.reason, core, found.stuck))
    complaint = Complaint(LINEARIZABLE, text, time=found.stuck.call)
    return Check(LINEARIZABLE, Status.FAILURE, "", (complaint,), count)


def _nothing_seen(history: History, answered: int) -> str:
    """Explain why no order of the operations could have been illegal."""
    count = len(history.operations)
    if answered:
        return f"{answered:,} writes were acknowledged, but no response shows the store's contents"
    if any(each.outcome is Outcome.OK for each in history.operations):
        return f"none of the responses to {count:,} operations shows the store's current contents"
    return f"none of the {count:,} operations was answered"


def _why(history: History, reason: str, core: Core, stuck: Operation) -> Iterator[str]:
    yield reason
    if core.is_minimal:
        yield "the smallest illegal part:"
    else:
        yield f"an illegal part, not minimal, of {len(core.operations):,} operations:"
    yield from _listed(core.operations, stuck.call)
    if core.related:
        yield "related operations:"
        yield from _listed(core.related, stuck.call)
    for revision in core.revisions[:_SHOWN]:
        events = ", ".join(map(event_in_words, history.found.get(revision, ())))
        if events:
            member = history.shown_by.get(revision) or "the store"
            yield f"revision {revision} as read from {member}: {events}"


def _listed(operations: Sequence[Operation], around: int) -> Iterator[str]:
    """Format a line for each operation; of many, only the last ones called by *around*."""
    # Those nearest to the contradiction explain it best.
    until = bisect_right(operations, around, key=lambda each: each.call)
    first = max(min(until, len(operations)) - _SHOWN, 0)
    shown = operations[first : first + _SHOWN]
    yield from (f"  {each}" for each in shown)
    if len(operations) > len(shown):
        yield f"  … and {len(operations) - len(shown):,} more"


# -- comparisons with the store's past states ---------------------------------------------------


def _against_the_past(
    history: History, operations: Sequence[Operation], linearizable: Check, replay: Replay
) -> Iterator[Check]:
    if linearizable.status is Status.FAILURE:
        reason = "the operations are not linearizable, so there is no single order to check against"
        for name in (*BY_STREAM, *BY_REPLAY, READS):
            yield Check(name, Status.NOT_CHECKED, reason)
        return
    streams = history.streams
    # No deliveries at all point to an adapter that does not work, not to a correct store.
    if streams and not _sent(history):
        errors = [each.error for each in streams if each.error]
        reason = f"{len(streams)} watches received nothing; {(errors or ['no error'])[0]}"
        for name in (*BY_STREAM, *BY_REPLAY):
            yield Check(name, Status.UNKNOWN, reason)
        streams = []
    by_stream = chain.from_iterable(map(check_stream, streams))
    if streams or not history.streams:
        yield from _concluded(BY_STREAM, by_stream, _sent(history))
    missing = _what_is_missing(history, operations, replay)
    if missing is not None:
        for name in (*BY_REPLAY, READS):
            yield Check(name, Status.UNKNOWN, missing)
        return
    by_replay = chain.from_iterable(check_against(stream, replay) for stream in streams)
    if streams or not history.streams:
        yield from _concluded(BY_REPLAY, by_replay, _sent(history))
    reads = [each for each in operations if _is_of_the_past(each)]
    yield from _concluded((READS,), _wrong_reads(reads, replay), len(reads))


def _what_is_missing(
    history: History, operations: Sequence[Operation], replay: Replay
) -> str | None:
    """Explain why too few past states are known for comparisons; None if enough are."""
    if replay.unknown is not None:
        return f"the changes in revision {replay.unknown} are unknown"
    seen = _newest_event(history)
    # An unresolved operation may have created the revision; without one, the watch is wrong.
    is_open = any(each.outcome is Outcome.UNKNOWN and each.revision is None for each in operations)
    if seen > replay.last and is_open:
        return f"a watch was sent revision {seen}, but no response reports what it changed"
    return None


def _newest_event(history: History) -> int:
    """Return the highest revision of any event that was delivered to a watch."""
    return max(
        (
            event.kv.mod_revision
            for stream in history.streams
            for _, delivery in stream.deliveries
            for event in delivery.events
        ),
        default=0,
    )


def _concluded(
    names: Sequence[str], complaints: Iterable[Complaint], judged: int
) -> Iterator[Check]:
    by_name: dict[str, list[Complaint]] = defaultdict(list)
    for complaint in complaints:
        by_name[complaint.check].append(complaint)
    for name in names:
        found = tuple(by_name[name])
        status = Status.FAILURE if found else Status.SUCCESS if judged else Status.NOTHING
        yield Check(name, status, "", found, judged)


def _sent(history: History) -> int:
    return sum(len(stream.deliveries) for stream in history.streams)


def _is_of_the_past(operation: Operation) -> bool:
    request = operation.request
    return (
        isinstance(request, Range)
        and operation.outcome is Outcome.OK
        and bool(request.revision or request.serializable)
    )


def _wrong_reads(reads: Iterable[Operation], replay: Replay) -> Iterator[Complaint]:
    """Source: etcd tests/robustness/validate/operations.go, validateSerializableRead."""
    for operation in reads:
        request, answer = operation.request, operation.response
        # A refusal shows no data that could be compared.
        if not isinstance(request, Range) or isinstance(answer, Refused):
            continue
        assert isinstance(answer, Ranged)
        at = request.revision or answer.revision
        expected = replay.range(request, at)
        if at > replay.last:
            text = (
                f"{operation}: the response names revision {at}, but the last revision is"
                f" {replay.last}"
            )
        elif (answer.kvs, answer.count) != (expected.kvs, expected.count):
            text = f"{operation}: expected at revision {at}: {response_in_words(expected)}"
        else:
            continue
        yield Complaint(READS, text, time=operation.call)


# -- replicas -----------------------------------------------------------------------------------


def _replicas(history: History) -> Check:
    """Source: etcd tests/robustness/client/kvhash.go, CheckEndOfTestHashKV."""
    groups: dict[int, list[Hashed]] = defaultdict(list)
    for each in history.hashes:
        groups[each.group].append(each)
    complaints = tuple(chain.from_iterable(map(_differing, groups.values())))
    status = Status.FAILURE if complaints else Status.SUCCESS if groups else Status.NOTHING
    missing = Counter(str(note.details.get("member")) for note in history.noted(NOT_COMPARED))
    if complaints or not missing:
        return Check(REPLICAS, status, "", complaints, len(history.hashes))
    # A member that does not answer may be the one that differs.
    rounds = (f"{each} in {n} round{'s' if n > 1 else ''}" for each, n in missing.items())
    reason = f"not compared because a status was missing: {', '.join(rounds)}"
    return Check(REPLICAS, Status.UNKNOWN, reason, judged=len(history.hashes))


def _differing(group: Sequence[Hashed]) -> Iterator[Complaint]:
    for what in ("revision", "compacted", "hash"):
        values = {(each.member, getattr(each, what)) for each in group}
        if len({value for _, value in values}) > 1:
            listed = ", ".join(f"{member} {value}" for member, value in sorted(values))
            name = {"compacted": "compacted revision"}.get(what, what)
            yield Complaint(
                REPLICAS, f"members differ in their {name}: {listed}", time=group[0].time
            )
            # Hashes of different revisions differ anyway.
            return


# -- faults -------------------------------------------------------------------------------------


def _faults(history: History) -> Iterator[Check]:
    """Check that each requested kind of fault had an effect at least once."""
    if "faults" not in history.header.about:
        return
    # A fault without effect leaves the test incomplete; it is no fault of the store.
    asked = str(history.header.about["faults"]).split(",")
    if asked == ["none"]:
        yield Check(FAULTS, Status.NOTHING, "no faults were requested")
        return
    effective = [fault.name for fault in history.effective_faults]
    missing = [name for name in asked if name not in effective]
    reason = "; ".join(f"{name} {_why_without_effect(history, name)}" for name in missing)
    status = Status.UNKNOWN if missing else Status.SUCCESS
    yield Check(FAULTS, status, reason, judged=len(effective))


def _why_without_effect(history: History, name: str) -> str:
    for note in history.noted("left out"):
        if note.details.get("fault") == name:
            return f"was left out: {note.details.get('reason')}"
    injected = [fault for fault in history.faults if fault.name == name]
    if not injected:
        return "was never injected: the campaign was too short"
    why = injected[-1].measured or "it did not end, or its effect was not measured"
    return f"had no effect in {len(injected)} of {len(injected)} injections: {why}"
