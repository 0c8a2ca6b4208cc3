"""
Joins shards into evidence: hits per assertion, by trial.

Evidence is a set of shards, so that adding the same one twice, or in another
order, changes nothing; all sums are made from that set when they are asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..model import Kind, Site
from ..recording.counters import message_hash
from ..recording.hits import Hit
from ..recording.reader import read_shards
from ..recording.records import Record, Shard, TrialRecord
from ..recording.trials import EXPECTS_VIOLATION, Trial
from .runs import RunInfo, read_info

TrialKey = tuple[str, str | None]
"""Run and trial; no trial is its own bucket."""


@dataclass
class Tally:
    """
    The hits of one assertion.

    Attributes:
        true, false: How many, by trial; zero is not kept.
        violations: Recorded hits that broke it, in order of time.
        guidance: The record of how close it came, if it is a rich assertion.
    """

    kind: Kind
    message: str
    invariant: str | None = None
    true_by: dict[TrialKey, int] = field(default_factory=lambda: defaultdict(int))
    false_by: dict[TrialKey, int] = field(default_factory=lambda: defaultdict(int))
    violations: list[tuple[TrialKey, Hit]] = field(default_factory=list)
    guidance: list[Record] = field(default_factory=list)

    @property
    def true(self) -> int:
        return sum(self.true_by.values())

    @property
    def false(self) -> int:
        return sum(self.false_by.values())

    @property
    def hits(self) -> int:
        return self.true + self.false


@dataclass
class TrialFacts:
    """
    What is known of a trial.

    Attributes:
        records: When it began and ended, as each process that ran it tells.
        faults: Time and names of what was injected, with the assumptions broken.
        features: What was declared on or off by the processes of the trial.
    """

    trial: Trial
    records: list[TrialRecord] = field(default_factory=list)
    faults: list[tuple[int, frozenset[str], frozenset[str]]] = field(default_factory=list)
    features: dict[str, set[bool]] = field(default_factory=lambda: defaultdict(set))


class Evidence:
    """The shards of some runs, each once."""

    def __init__(self) -> None:
        self.runs: dict[str, RunInfo] = {}
        self.shards: dict[tuple[str, str], Shard] = {}
        self._trials: dict[TrialKey, TrialFacts] | None = None
        self._places: dict[tuple[str, str], tuple[str, str]] = {}

    def add_run(self, info: RunInfo, shards: Iterable[Shard]) -> None:
        """Add what processes left in a run."""
        # A run that was read before it ended is partial; the later reading knows.
        if info.id not in self.runs or info.full:
            self.runs[info.id] = info
        self._trials = None
        for shard in shards:
            self._add_shard((info.id, shard.name), shard)

    def _add_shard(self, key: tuple[str, str], shard: Shard) -> None:
        # A run's id is the name of its directory, which people rename and copy; the
        # shards say which run they were recorded in.
        origin = (str(shard.header.get("run") or key[0]), shard.name)
        known = self._places.get(origin)
        if known is not None:
            other = self.shards[known]
            # Read while its process lived, a shard holds less than later.
            if (_weight(other), key) > (_weight(shard), known):
                return
            del self.shards[known]
        self._places[origin] = key
        self.shards[key] = shard

    def merge(self, other: Evidence) -> None:
        """Add all of *other*."""
        for info in other.runs.values():
            mine = [shard for (run, _), shard in other.shards.items() if run == info.id]
            self.add_run(info, mine)

    def newest(self) -> RunInfo | None:
        """The run whose scan is the denominator: the last by id that has one."""
        scanned = [info for info in self.runs.values() if info.scan is not None]
        return max(scanned, key=lambda info: info.id, default=None)

    def trials(self) -> dict[TrialKey, TrialFacts]:
        """All trials, with the faults and features that were declared in them."""
        facts: dict[TrialKey, TrialFacts] = {}
        for (run, _), shard in self.shards.items():
            for identifier, record in shard.trials.items():
                known = facts.setdefault((run, identifier), TrialFacts(record.trial))
                known.records.append(record)
        for (run, _), shard in self.shards.items():
            self._add_faults(run, shard, facts)
            self._add_features(run, shard, facts)
        return facts

    def _add_faults(self, run: str, shard: Shard, facts: dict[TrialKey, TrialFacts]) -> None:
        for fault in shard.faults:
            trial = facts.get((run, fault.trial))
            if trial is not None:
                trial.faults.append((fault.time, frozenset(fault.active), frozenset(fault.breaks)))

    def _add_features(self, run: str, shard: Shard, facts: dict[TrialKey, TrialFacts]) -> None:
        for identifier in {delta.trial for delta in shard.deltas} | set(shard.trials):
            trial = facts.get((run, identifier))
            if trial is None:
                continue
            for name, on in {**self.runs[run].features, **_features(shard, identifier)}.items():
                trial.features[name].add(on)

    def tallies(
        self, sites: Sequence[Site] = (), now: Callable[[str], str] = str
    ) -> dict[tuple[Kind, str], Tally]:
        """
        Hits by assertion.  Those under a condition that has changed since, as
        the newest scan has it, are left out.

        Args:
            sites: What names the counters of runs that nobody scanned.
            now: What an assertion is called today, by what it was called then.
        """
        newest = self.newest()
        current = {} if newest is None or newest.scan is None else _by_name(newest.scan, now)
        tallies: dict[tuple[Kind, str], Tally] = {}
        for (run, _), shard in sorted(self.shards.items()):
            names = self._names(self.runs[run].scan or sites, shard, now)
            stale = _stale(self.runs[run], current, now)
            self._add_counts(run, shard, names, stale, now, tallies)
            self._add_records(run, shard, stale, now, tallies)
        return tallies

    def _names(
        self, scan: Sequence[Site], shard: Shard, now: Callable[[str], str]
    ) -> list[tuple[Kind, str, str | None] | None]:
        """Kind, message and invariant by slot; counters without a line are told by hash."""
        hashes = {(message_hash(site.message), site.kind): site for site in scan}
        names: list[tuple[Kind, str, str | None] | None] = []
        for slot in shard.slots:
            if slot.message is not None:
                names.append((slot.kind, now(slot.message), slot.invariant))
                continue
            site = hashes.get((slot.hash, slot.kind))
            names.append(None if site is None else (site.kind, now(site.message), site.invariant))
        return names

    def _add_counts(
        self,
        run: str,
        shard: Shard,
        names: list[tuple[Kind, str, str | None] | None],
        stale: set[str],
        now: Callable[[str], str],
        tallies: dict[tuple[Kind, str], Tally],
    ) -> None:
        for name in names:
            if name is not None and name[1] not in stale:
                tallies.setdefault(name[:2], Tally(*name))
        for delta in shard.deltas:
            trial = (run, self.trial_of(run, shard, delta.trial))
            expected = self._expected_violation(trial, now)
            for counts, true in ((delta.true, True), (delta.false, False)):
                for number, count in enumerate(counts):
                    name = names[number] if number < len(names) else None
                    if not count or name is None or name[1] in stale:
                        continue
                    if not true and name[1] == expected:
                        continue
                    tally = tallies[name[:2]]
                    (tally.true_by if true else tally.false_by)[trial] += count

    def _add_records(
        self,
        run: str,
        shard: Shard,
        stale: set[str],
        now: Callable[[str], str],
        tallies: dict[tuple[Kind, str], Tally],
    ) -> None:
        for hit in shard.hits:
            message = now(hit.message)
            tally = tallies.get((hit.kind, message))
            if tally is None or message in stale:
                continue
            trial = (run, self.trial_of(run, shard, hit.trial))
            if hit.is_violation and self._expected_violation(trial, now) != message:
                tally.violations.append((trial, hit))
                tally.violations.sort(key=lambda item: item[1].time)
        for old, record in shard.guidance.items():
            for tally in tallies.values():
                if tally.message == now(old) and tally.message not in stale:
                    tally.guidance.append(record)

    def _expected_violation(self, trial: TrialKey, now: Callable[[str], str]) -> str | None:
        """The assertion that is broken on purpose in *trial*."""
        for facts in self.around(trial):
            if facts.trial.sampler == EXPECTS_VIOLATION:
                return now(facts.trial.population or "")
        return None

    def around(self, trial: TrialKey) -> Iterator[TrialFacts]:
        """What is known of *trial* and of those around it, from the inside out."""
        seen: set[TrialKey] = set()
        facts = self._known_trials().get(trial)
        while facts is not None and trial not in seen:
            seen.add(trial)
            yield facts
            trial = (trial[0], facts.trial.parent)
            facts = self._known_trials().get(trial)

    def _known_trials(self) -> dict[TrialKey, TrialFacts]:
        if self._trials is None:
            self._trials = self.trials()
        return self._trials

    def trial_of(self, run: str, shard: Shard, trial: str | None) -> str | None:
        """The trial that hits of *shard* belong to: none for those of a child that outlived it."""
        if trial is None or shard.base is None or trial != shard.base.id:
            return trial
        facts = self._known_trials().get((run, trial))
        for record in () if facts is None else facts.records:
            if record.end is None or record.trial.owner != shard.base.owner:
                continue
            if shard.name in record.outlived or shard.start > record.end:
                return None
        return trial

    def __repr__(self) -> str:
        return f"<Evidence of {len(self.shards)} shards in {len(self.runs)} runs>"


def read_evidence(paths: list[Path]) -> Evidence:
    """
    The evidence of the runs at *paths*.

    Raises:
        UnreadableRunError: A file of theirs is damaged.
    """
    evidence = Evidence()
    for path in paths:
        evidence.add_run(read_info(path), read_shards(str(path)))
    return evidence


def _features(shard: Shard, trial: str | None) -> dict[str, bool]:
    """What a process had declared when the trial began there, and changed in it."""
    begun = shard.trials.get(trial) if trial is not None else None
    known = None if begun is None else begun.features
    before = shard.features.get(None, {}) if known is None else known
    return {**before, **shard.features.get(trial, {})}


def _weight(shard: Shard) -> tuple[int, int, int]:
    records = len(shard.hits) + len(shard.deltas) + len(shard.troubles) + len(shard.proofs)
    trials = sum(1 + (record.end is not None) for record in shard.trials.values())
    return (sum(shard.true) + sum(shard.false), records + trials, shard.exited)


def _by_name(sites: Iterable[Site], now: Callable[[str], str]) -> dict[str, str]:
    return {now(site.message): site.fingerprint for site in sites}


def _stale(info: RunInfo, current: dict[str, str], now: Callable[[str], str]) -> set[str]:
    """Messages whose condition is another now than it was in that run."""
    return {
        now(site.message)
        for site in info.scan or ()
        if current.get(now(site.message), site.fingerprint) != site.fingerprint
    }
