"""
The gate: a decision whether a change may be merged, by its runs, the history and a baseline.

Violations always fail.  An assertion in the baseline must not be lost: if tests satisfied it, they
must satisfy it again, and if random trials did, its rate must not drop, according to a sequential
test over the whole history (`sequential`).  A new sometimes must have become true, or
have a witness.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..model import REACHABLE, SOMETIMES
from ..recording.trials import SEED_RANDOM
from .baseline import Baseline
from .digest import Sample
from .record import Identity, Result, storable
from .sequential import ERROR, RateWatch
from .statistics import interval, trials_to_see
from .store import StoredRun
from .summary import Summary
from .text import counted, percent
from .verdicts import AssertionResult, Verdict

STATES = (SOMETIMES.name, REACHABLE.name)
WINDOW = 20
_SIGNIFICANT = 10
"""Expected successes that make an excerpt of the history significant."""

Identified = tuple[str, str]
"""The current message and the fingerprint of the condition."""


class GateOutcome(StrEnum):
    """What the gate reports about an assertion; outcomes before `RARE` fail it."""

    VIOLATED = "violated"
    DROPPED = "rate dropped"
    LOST = "no longer satisfied"
    LEFT = "left the code"
    UNSEEN = "never true yet"
    RARE = "rare"
    BEFORE = "violated before"
    RESOLVED = "no longer violated"


class Triage(StrEnum):
    """The status of a finding relative to the previous runs."""

    NEW = "New"
    ONGOING = "Ongoing"
    RESOLVED = "Resolved"
    RARE = "Rare"


_FAILING = (
    GateOutcome.VIOLATED,
    GateOutcome.DROPPED,
    GateOutcome.LOST,
    GateOutcome.LEFT,
    GateOutcome.UNSEEN,
)


@dataclass(frozen=True)
class GateItem:
    """One finding: the assertion, the outcome, and the reason as *text*."""

    outcome: GateOutcome
    triage: Triage
    message: str
    invariant: str
    text: str

    @property
    def fails(self) -> bool:
        return self.outcome in _FAILING


@dataclass
class Rate:
    """
    The rate at which random trials of one sample satisfy an assertion, over the history.

    Attributes:
        sample: The population and sampler of the trials.
        watch: The sequential test of the rate.
        dropped_in: The run since which the rate counts as dropped; None if it does not.
        seen: By run, the number of trials that satisfied it, and of all trials.
    """

    sample: Sample
    watch: RateWatch
    dropped_in: str | None = None
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def in_words(self) -> str:
        """The rate over the whole history, with its confidence interval."""
        low, high = interval(self.watch.satisfied, self.watch.trials)
        share = self.watch.satisfied / self.watch.trials
        return (
            f"{percent(share)} of {counted(self.watch.trials, 'trial')}"
            f" ({percent(low)} to {percent(high)}, 95%)"
        )


@dataclass
class History:
    """
    The stored history of a target.

    Attributes:
        runs: The runs, oldest first.
        rates: The rates of each assertion over random trials, by sample.
        satisfied: For each assertion, the ids of the runs that satisfied it, by trials of any kind.
        violated: For each message, the ids of the runs that violated it, under any condition.
    """

    runs: list[StoredRun]
    rates: dict[Identified, dict[Sample, Rate]] = field(default_factory=lambda: defaultdict(dict))
    satisfied: dict[Identified, set[str]] = field(default_factory=lambda: defaultdict(set))
    violated: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def watched(self) -> int:
        """The number of rates that are watched, and share the error."""
        return sum(map(len, self.rates.values()))


def history_of(
    runs: Sequence[StoredRun],
    sampled: Iterable[tuple[Identity, Sample]],
    results: Iterable[Result],
    now: Callable[[str], str] = str,
) -> History:
    """
    Build the history in one pass, from the oldest run to the newest.

    Args:
        runs: The runs, oldest first.
        sampled: Each assertion with each sample whose trials had it; together they share the error.
        results: The results of assertions, run by run in the order of *runs*.
        now: Maps a recorded message to the current one, after renames.
    """
    history = History(list(runs))
    rates = {
        (now(identity.message), identity.fingerprint, sample)
        for identity, sample in sampled
        if _has_rate(identity, sample)
    }
    # Bonferroni: the guarantee is for all assertions together, so each gets an equal share.
    error = ERROR / max(1, len(rates))
    for each in results:
        key = now(each.identity.message), each.identity.fingerprint
        if each.identity.kind in STATES:
            # A state may be false any number of times; a single true hit satisfies it.
            if each.true:
                history.satisfied[key].add(each.run)
        elif each.false:
            history.violated[key[0]].add(each.run)
        elif each.true:
            history.satisfied[key].add(each.run)
        if each.trials and _has_rate(each.identity, each.sample):
            # One test per sample, as the rates of populations differ, and mixing them would look
            # like a drop.
            found = history.rates[key]
            if each.sample not in found:
                found[each.sample] = Rate(each.sample, RateWatch(error))
            rate = found[each.sample]
            rate.watch.take(each.trials, each.made_true)
            rate.seen[each.run] = each.made_true, each.trials
            # A rate that recovers and drops again is a new finding.
            rate.dropped_in = (rate.dropped_in or each.run) if rate.watch.has_dropped else None
    return history


def _has_rate(identity: Identity, sample: Sample) -> bool:
    return sample[1] == SEED_RANDOM and identity.kind in STATES


@dataclass
class Gate:
    """
    The result of the gate.

    Attributes:
        items: The findings, failures first.
        baseline: The baseline to commit from now on: satisfied assertions are added, and those
            that left the source are removed.
        notes: Limits of the result, as complete sentences.
        runs: The number of runs in the history.
        watched: The number of rates that are watched.
    """

    items: list[GateItem]
    baseline: Baseline
    notes: list[str]
    runs: int
    watched: int

    @property
    def fails(self) -> bool:
        return any(item.fails for item in self.items)


def judge_gate(
    summary: Summary,
    history: History,
    baseline: Baseline | None,
    *,
    now: Callable[[str], str] = str,
    witnessed: Mapping[str, str] | None = None,
    window: int = WINDOW,
    updates: bool = False,
) -> Gate:
    """
    Judge the runs of a change against history and baseline.

    Args:
        summary: The judged runs of the change.
        history: The history of the target, including these runs.
        baseline: The committed baseline; None if there is none yet.
        now: Maps a recorded message to the current one, after renames.
        witnessed: The result of replaying the witness of an assertion, by message: empty if it
            still reaches the state, otherwise the reason why not.
        window: The number of previous runs that findings are compared with.
        updates: Whether the baseline is about to be updated, so that advice on updating it is left out.
    """
    judging = _Judging(summary, history, _today(baseline, now), window, updates=updates)
    items = [
        *judging.violations(),
        *judging.of_baseline(),
        *judging.dropped(),
        *judging.unseen(witnessed or {}),
    ]
    # One finding per assertion, besides a violation.  Reversed, so that the first of several stays.
    unique = {
        (item.message, item.outcome is GateOutcome.VIOLATED): item for item in reversed(items)
    }
    rank = {outcome: number for number, outcome in enumerate(GateOutcome)}
    ordered = sorted(unique.values(), key=lambda item: (rank[item.outcome], item.message))
    return Gate(
        items=ordered,
        baseline=judging.next_baseline(),
        notes=list(judging.notes()),
        runs=len(history.runs),
        watched=history.watched,
    )


def _today(baseline: Baseline | None, now: Callable[[str], str]) -> Baseline | None:
    # The committed file may be older than a rename.
    if baseline is None:
        return None
    return Baseline(frozenset(map(now, baseline.satisfied)), frozenset(map(now, baseline.pending)))


class _Judging:
    """One pass over a summary and a history, finding by finding."""

    def __init__(
        self,
        summary: Summary,
        history: History,
        baseline: Baseline | None,
        window: int,
        *,
        updates: bool,
    ) -> None:
        self._summary = summary
        self._history = history
        self._baseline = baseline
        self._updates = updates
        self._names = baseline.satisfied if baseline else frozenset()
        # The history holds the judged runs as well, which must not be compared with themselves.
        self._own = set(summary.runs)
        earlier = [run.id for run in history.runs if run.id not in self._own]
        self._before = earlier[-window:]
        self._earlier = set(earlier)
        self._results = {result.message: result for result in summary.assertions}
        self._by_stored = {storable(message): each for message, each in self._results.items()}

    def _key(self, result: AssertionResult) -> Identified:
        # Keys of the history are as the database stored them.
        fingerprint = "" if result.site is None else result.site.fingerprint
        return storable(result.message), fingerprint

    def _was_satisfied(self, result: AssertionResult) -> bool:
        """Whether any run satisfied the assertion under its current condition."""
        return bool(self._history.satisfied.get(self._key(result)))

    def _item(
        self, outcome: GateOutcome, triage: Triage, result: AssertionResult, text: str
    ) -> GateItem:
        return GateItem(outcome, triage, result.message, result.invariant or "", text)

    def violations(self) -> Iterable[GateItem]:
        """Yield current violations, and those of previous runs that are not seen now."""
        last = self._before[-1:]
        for result in self._summary.with_verdict(Verdict.VIOLATED):
            before = self._history.violated.get(storable(result.message), set())
            # Compared with the last run only: a violation that went away and came back is new.
            is_old = bool(before.intersection(last))
            text = f"false in {result.false:,} of {result.hits:,}"
            triage = Triage.ONGOING if is_old else Triage.NEW
            yield self._item(GateOutcome.VIOLATED, triage, result, text)
        for message, runs in self._history.violated.items():
            known = self._by_stored.get(message)
            if known is None or not runs & set(self._before):
                continue
            # The history counts violations outside the fault model, too: one that is still there
            # is not resolved.
            if known.verdict in (Verdict.VIOLATED, Verdict.OUT_OF_MODEL):
                continue
            share = len(runs & set(self._before)) / len(self._before)
            # The probability that no run of this change shows a violation which is as frequent as
            # before: a rare one is not resolved by a few runs without it, and none by runs that did
            # not evaluate the assertion.
            surely = known.hits and (1 - share) ** len(self._own) < 0.05
            previous = counted(len(self._before), "previous run")
            text = f"violated in {len(runs & set(self._before))} of the {previous}"
            if surely:
                yield self._item(GateOutcome.RESOLVED, Triage.RESOLVED, known, f"{text}, not now")
            else:
                text += "; not seen this time, which does not prove that it is fixed"
                yield self._item(GateOutcome.BEFORE, Triage.ONGOING, known, text)

    def of_baseline(self) -> Iterable[GateItem]:
        """Yield the assertions of the baseline that are not satisfied now."""
        for message in sorted(self._names):
            result = self._results.get(message)
            if result is None:
                text = (
                    "it is no longer in the source, so it was removed from the baseline; if it was"
                    " renamed, `assertlib catalog rename` keeps its evidence"
                    if self._updates
                    else "it is in the baseline, but no longer in the source; if it was renamed,"
                    " `assertlib catalog rename` keeps its evidence; otherwise, --update removes it"
                )
                yield GateItem(GateOutcome.LEFT, Triage.NEW, message, "", text)
                continue
            # Not INCONCLUSIVE: a partial run proves no absence.
            if result.verdict in (Verdict.UNREACHED, Verdict.NEVER_TRUE, Verdict.VACUOUS):
                yield from self._missing(result)

    def _missing(self, result: AssertionResult) -> Iterable[GateItem]:
        is_state = result.kind.name in STATES
        if is_state and self._earlier and not self._was_satisfied(result):
            # No earlier run satisfied this condition, so it has changed; `unseen` reports that.
            return
        rates = self._history.rates.get(self._key(result), {})
        # Reported by `dropped`, with the figures.
        if any(rate.watch.has_dropped for rate in rates.values()):
            return
        # The sample that reaches the state most often is the strongest evidence.
        known = max(rates.values(), key=lambda rate: rate.watch.reference, default=None)
        if known is not None and known.watch.satisfied:
            share = known.watch.satisfied / known.watch.trials
            per_run = max(1, known.watch.trials // max(1, known.watch.runs))
            runs = known.watch.runs_to_notice(per_run) if known.watch.reference else None
            # Absence in one run does not fail: the rate makes it likely enough.  A state that is
            # really gone is found by the sequential test.
            text = f"not seen this time; its rate is {known.in_words()}:"
            text += f" {counted(trials_to_see(share), 'trial')} would show it with 95% probability"
            text += f"; its loss would be detected after {counted(runs, 'run')}" if runs else ""
            yield self._item(GateOutcome.RARE, Triage.RARE, result, text)
            return
        before = self._history.satisfied.get(self._key(result), set())
        last = next((run for run in reversed(self._before) if run in before), "")
        text = (
            f"{result.verdict.value}; last satisfied in run {last}"
            if last
            else f"{result.verdict.value}, but satisfied according to the baseline"
        )
        triage = Triage.NEW if last in self._before[-1:] and last else Triage.ONGOING
        yield self._item(GateOutcome.LOST, triage, result, text)

    def dropped(self) -> Iterable[GateItem]:
        """Yield the rates that have dropped."""
        for result in self._summary.assertions:
            for rate in self._history.rates.get(self._key(result), {}).values():
                if rate.watch.has_dropped:
                    name = f" of {rate.sample[0]}" if rate.sample[0] else ""
                    hit, trials = self._recent(rate)
                    text = (
                        f"at least {percent(rate.watch.reference)} of the trials{name} satisfied it;"
                        f" only {hit:,} of the latest {trials:,} did"
                    )
                    is_old = rate.dropped_in in self._earlier
                    triage = Triage.ONGOING if is_old else Triage.NEW
                    yield self._item(GateOutcome.DROPPED, triage, result, text)

    def _recent(self, rate: Rate) -> tuple[int, int]:
        """The latest trials that satisfied it, and all latest trials, over enough runs to compare."""
        # Newest first.  A single run often has too few trials to make the drop visible.
        newest = [rate.seen[run.id] for run in self._history.runs if run.id in rate.seen][::-1]
        hit = trials = 0
        for satisfied, of in newest:
            hit, trials = hit + satisfied, trials + of
            if trials * rate.watch.reference >= _SIGNIFICANT:
                break
        return hit, trials

    def unseen(self, witnessed: Mapping[str, str]) -> Iterable[GateItem]:
        """Yield the states that no run has satisfied, and that were not pending from the beginning."""
        # Without a baseline, every state would be new.
        if self._baseline is None:
            return
        for result in self._summary.with_verdict(Verdict.NEVER_TRUE, Verdict.UNREACHED):
            is_known = result.message in self._baseline.pending or self._was_satisfied(result)
            # With nothing but the baseline to go by, `of_baseline` reports it as lost.
            is_lost = result.message in self._names and not self._earlier
            if result.kind.name not in STATES or is_known or is_lost:
                continue
            if witnessed.get(result.message) == "":
                continue
            text = "no run has made it true, and no stored witness does"
            if result.message in witnessed:
                text = f"no run has made it true, and its witness {witnessed[result.message]}"
            if result.message in self._names:
                text += "; its condition differs from the baseline's"
            yield self._item(GateOutcome.UNSEEN, Triage.NEW, result, text)

    def next_baseline(self) -> Baseline:
        """
        Add satisfied assertions, and remove those that left the source.

        Pending are the states that a first baseline found missing; a later one adds none.
        """
        # An always_or_unreachable is satisfied without hits, which the baseline must not promise.
        found = {r.message for r in self._summary.with_verdict(Verdict.SATISFIED) if r.hits}
        satisfied = frozenset(found | (self._names & self._results.keys()))
        if self._baseline is not None:
            pending = self._baseline.pending & self._results.keys()
        else:
            missing = self._summary.with_verdict(
                Verdict.NEVER_TRUE, Verdict.UNREACHED, Verdict.INCONCLUSIVE
            )
            pending = frozenset(r.message for r in missing if r.kind.name in STATES)
        return Baseline(satisfied, pending - satisfied)

    def notes(self) -> Iterable[str]:
        """Yield the limits of the result."""
        if self._baseline is None and not self._updates:
            yield "There is no baseline yet: `assertlib gate --update` writes one."
        if not self._earlier:
            yield "There are no earlier runs in the store: no rate can have dropped."
        if not self._summary.full:
            yield (
                "The run was partial: states that it did not reach are not reported as lost; rates"
                " still count."
            )
