"""
May this change go in?

Violations fail, always.  What was once satisfied may not leave: what tests satisfied must be
satisfied again, and the rate of what random trials satisfy may not drop, as a sequential test over
the whole history tells (`sequential`).  A sometimes that is new must come true, or bring a witness.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..model import REACHABLE, SOMETIMES
from ..recording.trials import SEED_RANDOM
from .digest import Sample
from .record import Identity, Result, storable
from .sequential import ERROR, RateWatch
from .statistics import interval, trials_to_see
from .store import StoredRun
from .summary import AssertionResult, Summary
from .text import counted, percent
from .verdicts import Verdict

STATES = (SOMETIMES.name, REACHABLE.name)
WINDOW = 20
_TELLING = 10
"""So many expected successes make an excerpt that says something."""

Identified = tuple[str, str]
"""Message, as it is called today, and fingerprint of the condition."""


class GateOutcome(StrEnum):
    """What the gate has to say of an assertion; those before `RARE` fail it."""

    VIOLATED = "violated"
    DROPPED = "rate dropped"
    LOST = "no longer satisfied"
    LEFT = "left the code"
    UNSEEN = "never true yet"
    RARE = "rare"
    BEFORE = "violated before"
    RESOLVED = "no longer violated"


class Triage(StrEnum):
    """How a finding stands to the runs before."""

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
    """One finding: of which assertion, how it stands, and why in words."""

    finding: GateOutcome
    triage: Triage
    message: str
    invariant: str
    text: str

    @property
    def fails(self) -> bool:
        return self.finding in _FAILING


@dataclass
class Rate:
    """
    How often random trials of one sample satisfy an assertion, over the history.

    Attributes:
        seen: By run, in how many of how many trials.
        dropped_in: The run since which it counts as dropped.
    """

    sample: Sample
    watch: RateWatch
    dropped_in: str | None = None
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def in_words(self) -> str:
        """The rate with its interval."""
        low, high = interval(self.watch.satisfied, self.watch.trials)
        share = self.watch.satisfied / self.watch.trials
        return (
            f"{percent(share)} of {counted(self.watch.trials, 'trial')}"
            f" ({percent(low)} to {percent(high)}, 95 %)"
        )


@dataclass
class History:
    """
    What the store knows of a target, run by run.

    Attributes:
        runs: Oldest first.
        rates: Of each assertion over random trials, by sample.
        satisfied: The runs in which each was satisfied, by whatever trials.
        violated: The runs in which it was broken.
    """

    runs: list[StoredRun]
    rates: dict[Identified, dict[Sample, Rate]] = field(default_factory=lambda: defaultdict(dict))
    satisfied: dict[Identified, set[str]] = field(default_factory=lambda: defaultdict(set))
    violated: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def watched(self) -> int:
        """How many rates there are, which share the error."""
        return sum(map(len, self.rates.values()))


def history_of(
    runs: Sequence[StoredRun],
    sampled: Iterable[tuple[Identity, Sample]],
    results: Iterable[Result],
    now: Callable[[str], str] = str,
) -> History:
    """
    Go through the history once, from the oldest run to the newest.

    Args:
        sampled: The assertions that trials of each sample had: they share the error.
        results: What assertions did, run by run in the order of *runs*.
        now: What an assertion is called today.
    """
    history = History(list(runs))
    rates = {
        (now(identity.message), identity.fingerprint, sample)
        for identity, sample in sampled
        if _has_rate(identity, sample)
    }
    error = ERROR / max(1, len(rates))
    for each in results:
        key = now(each.identity.message), each.identity.fingerprint
        if each.identity.kind in STATES:
            if each.true:
                history.satisfied[key].add(each.run)
        elif each.false:
            history.violated[key[0]].add(each.run)
        elif each.true:
            history.satisfied[key].add(each.run)
        if each.trials and _has_rate(each.identity, each.sample):
            found = history.rates[key]
            if each.sample not in found:
                found[each.sample] = Rate(each.sample, RateWatch(error))
            rate = found[each.sample]
            rate.watch.take(each.trials, each.made_true)
            rate.seen[each.run] = each.made_true, each.trials
            rate.dropped_in = (rate.dropped_in or each.run) if rate.watch.has_dropped else None
    return history


def _has_rate(identity: Identity, sample: Sample) -> bool:
    return sample[1] == SEED_RANDOM and identity.kind in STATES


@dataclass
class Baseline:
    """
    What is committed of what was satisfied.

    Attributes:
        satisfied: Names of assertions that were, once.
        pending: Those that were not yet when the baseline was begun.
    """

    satisfied: frozenset[str]
    pending: frozenset[str] = frozenset()


@dataclass
class Gate:
    """
    What was found.

    Attributes:
        baseline: What is to be committed from now on: of its names those that are still there,
            and all that is satisfied.
        notes: What limits all this, in whole sentences.
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
) -> Gate:
    """
    Judge the runs of *summary* by what was before.

    Args:
        history: Of the target, these runs included.
        baseline: What was satisfied once; None if nobody has written that down.
        witnessed: What became of the witness of an assertion: empty if it still shows it.
        window: How many runs before count as before.
    """
    judging = _Judging(summary, history, _today(baseline, now), window)
    items = [
        *judging.violations(),
        *judging.of_baseline(),
        *judging.dropped(),
        *judging.unseen(witnessed or {}),
    ]
    unique = {
        (item.message, item.finding is GateOutcome.VIOLATED): item for item in reversed(items)
    }
    rank = {finding: number for number, finding in enumerate(GateOutcome)}
    ordered = sorted(unique.values(), key=lambda item: (rank[item.finding], item.message))
    return Gate(
        items=ordered,
        baseline=judging.next_baseline(),
        notes=list(judging.notes()),
        runs=len(history.runs),
        watched=history.watched,
    )


def _today(baseline: Baseline | None, now: Callable[[str], str]) -> Baseline | None:
    if baseline is None:
        return None
    return Baseline(frozenset(map(now, baseline.satisfied)), frozenset(map(now, baseline.pending)))


class _Judging:
    """One pass over a summary and a history."""

    def __init__(
        self, summary: Summary, history: History, baseline: Baseline | None, window: int
    ) -> None:
        self._summary = summary
        self._history = history
        self._baseline = baseline
        self._names = baseline.satisfied if baseline else frozenset()
        self._own = set(summary.runs)
        earlier = [run.id for run in history.runs if run.id not in self._own]
        self._before = earlier[-window:]
        self._earlier = set(earlier)
        self._results = {result.message: result for result in summary.assertions}

    def _key(self, result: AssertionResult) -> Identified:
        fingerprint = "" if result.site is None else result.site.fingerprint
        return storable(result.message), fingerprint

    def _was_satisfied(self, result: AssertionResult) -> bool:
        """Whether any run satisfied it, under this condition."""
        return bool(self._history.satisfied.get(self._key(result)))

    def _item(
        self, finding: GateOutcome, triage: Triage, result: AssertionResult, text: str
    ) -> GateItem:
        return GateItem(finding, triage, result.message, result.invariant or "", text)

    def violations(self) -> Iterable[GateItem]:
        """What is broken now, and what was and is no more."""
        last = self._before[-1:]
        for result in self._summary.with_verdict(Verdict.VIOLATED):
            before = self._history.violated.get(storable(result.message), set())
            is_old = bool(before.intersection(last))
            text = f"false {result.false:,} of {result.hits:,}"
            triage = Triage.ONGOING if is_old else Triage.NEW
            yield self._item(GateOutcome.VIOLATED, triage, result, text)
        for message, runs in self._history.violated.items():
            known = self._results.get(message)
            if known is None or known.verdict is Verdict.VIOLATED or not runs & set(self._before):
                continue
            share = len(runs & set(self._before)) / len(self._before)
            surely = (1 - share) ** len(self._own) < 0.05
            text = (
                f"broken in {len(runs & set(self._before))} of the {len(self._before)} runs before"
            )
            if surely:
                yield self._item(GateOutcome.RESOLVED, Triage.RESOLVED, known, f"{text}, not now")
            else:
                text += "; not seen now, which does not mean that it is mended"
                yield self._item(GateOutcome.BEFORE, Triage.ONGOING, known, text)

    def of_baseline(self) -> Iterable[GateItem]:
        """What was satisfied once, and is not now."""
        for message in sorted(self._names):
            result = self._results.get(message)
            if result is None:
                text = (
                    "it is in the baseline, and no longer in the source; --update takes it out, or"
                    " `assertlib catalog rename` keeps its evidence under a new name"
                )
                yield GateItem(GateOutcome.LEFT, Triage.NEW, message, "", text)
                continue
            if result.verdict in (Verdict.UNREACHED, Verdict.NEVER_TRUE, Verdict.VACUOUS):
                yield from self._missing(result)

    def _missing(self, result: AssertionResult) -> Iterable[GateItem]:
        is_state = result.kind.name in STATES
        if is_state and self._earlier and not self._was_satisfied(result):
            # Its condition is another than it was: that is for `unseen`.
            return
        rates = self._history.rates.get(self._key(result), {})
        if any(rate.watch.has_dropped for rate in rates.values()):
            return
        known = max(rates.values(), key=lambda rate: rate.watch.reference, default=None)
        if known is not None and known.watch.satisfied:
            share = known.watch.satisfied / known.watch.trials
            per_run = max(1, known.watch.trials // max(1, known.watch.runs))
            runs = known.watch.runs_to_notice(per_run) if known.watch.reference else None
            text = f"not seen now; its rate is {known.in_words()}, so that {trials_to_see(share):,}"
            text += " trials show it with 95 %"
            text += f"; were it gone, {counted(runs, 'run')} would tell" if runs else ""
            yield self._item(GateOutcome.RARE, Triage.RARE, result, text)
            return
        before = self._history.satisfied.get(self._key(result), set())
        last = next((run for run in reversed(self._before) if run in before), "")
        text = (
            f"{result.verdict.value}; last satisfied in run {last}"
            if last
            else (f"{result.verdict.value}, and the baseline says that it was satisfied")
        )
        triage = Triage.NEW if last in self._before[-1:] and last else Triage.ONGOING
        yield self._item(GateOutcome.LOST, triage, result, text)

    def dropped(self) -> Iterable[GateItem]:
        """Rates that are lower than they were."""
        for result in self._summary.assertions:
            for rate in self._history.rates.get(self._key(result), {}).values():
                if rate.watch.has_dropped:
                    name = f" of {rate.sample[0]}" if rate.sample[0] else ""
                    hit, trials = self._recent(rate)
                    text = (
                        f"at least {percent(rate.watch.reference)} of the trials{name} satisfied it;"
                        f" of the newest {trials:,} it were {hit:,}"
                    )
                    is_old = rate.dropped_in in self._earlier
                    triage = Triage.ONGOING if is_old else Triage.NEW
                    yield self._item(GateOutcome.DROPPED, triage, result, text)

    def _recent(self, rate: Rate) -> tuple[int, int]:
        """How many of how many trials satisfied it, over as many runs as it takes to tell."""
        newest = [rate.seen[run.id] for run in self._history.runs if run.id in rate.seen][::-1]
        hit = trials = 0
        for satisfied, of in newest:
            hit, trials = hit + satisfied, trials + of
            if trials * rate.watch.reference >= _TELLING:
                break
        return hit, trials

    def unseen(self, witnessed: Mapping[str, str]) -> Iterable[GateItem]:
        """A state that nothing has satisfied yet, and that was not pending from the beginning."""
        if self._baseline is None:
            return
        for result in self._summary.with_verdict(Verdict.NEVER_TRUE, Verdict.UNREACHED):
            is_known = result.message in self._baseline.pending or self._was_satisfied(result)
            is_lost = result.message in self._names and not self._earlier
            if result.kind.name not in STATES or is_known or is_lost:
                continue
            if witnessed.get(result.message) == "":
                continue
            text = "no run has made it true, and no witness is kept that does"
            if result.message in witnessed:
                text = f"no run has made it true, and its witness {witnessed[result.message]}"
            if result.message in self._names:
                text += "; its condition is another than the baseline's"
            yield self._item(GateOutcome.UNSEEN, Triage.NEW, result, text)

    def next_baseline(self) -> Baseline:
        """What is satisfied now is added, what has left the source goes; pending is never added."""
        now = {r.message for r in self._summary.with_verdict(Verdict.SATISFIED) if r.hits}
        satisfied = frozenset(now | (self._names & self._results.keys()))
        if self._baseline is not None:
            pending = self._baseline.pending & self._results.keys()
        else:
            missing = self._summary.with_verdict(
                Verdict.NEVER_TRUE, Verdict.UNREACHED, Verdict.INCONCLUSIVE
            )
            pending = frozenset(r.message for r in missing if r.kind.name in STATES)
        return Baseline(satisfied, pending - satisfied)

    def notes(self) -> Iterable[str]:
        if self._baseline is None:
            yield "There is no baseline yet: `assertlib gate --update` writes one."
        if not self._earlier:
            yield "There are no earlier runs in the store: nothing can have dropped."
        if not self._summary.full:
            yield (
                "The run was partial: that something was not reached in it means nothing; rates"
                " count all the same."
            )
