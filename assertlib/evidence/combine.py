"""
Joins shards into evidence: hits per assertion, by trial.

Evidence is a set of shards, so that adding the same one twice, or in another
order, changes nothing; all sums are made from that set when they are asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..model import Kind, Site
from ..recording.counters import message_hash
from ..recording.reader import guidance_of
from ..recording.records import FaultRecord, Record, Shard, TrialRecord
from ..recording.trials import Trial
from .digest import Digest, Name, Table, digest
from .runs import RunInfo
from .tally import Key, RunTally, Tally, TrialKey

TrialShard = tuple[str, str]
"""Run and shard."""


@dataclass
class TrialFacts:
    """
    What is known of a trial.

    Attributes:
        records: When it began and ended, as each process that ran it tells.
        faults: What was injected, and by which process.
        features: What was declared on or off by the processes of the trial.
    """

    trial: Trial
    records: list[TrialRecord] = field(default_factory=list)
    faults: list[tuple[Digest, FaultRecord]] = field(default_factory=list)
    features: dict[str, set[bool]] = field(default_factory=lambda: defaultdict(set))


class Evidence:
    """The shards of some runs, each once."""

    def __init__(self) -> None:
        self.runs: dict[str, RunInfo] = {}
        self.shards: dict[TrialShard, Digest] = {}
        self._places: dict[tuple[str, str], TrialShard] = {}
        self._by_run: dict[str, list[Digest]] | None = None
        self._index: dict[str, _TrialIndex] = {}

    def add_run(self, info: RunInfo, shards: Iterable[Shard]) -> None:
        """Add what processes left in a run."""
        table = Table(info.scan or ())
        self.add_digests(info, (digest(shard, table) for shard in shards))

    def add_digests(self, info: RunInfo, digests: Iterable[Digest]) -> None:
        """The same, where it is folded already."""
        # A run that was read before it ended is partial; the later reading knows.
        if info.id not in self.runs or info.full:
            self.runs[info.id] = info
        self._by_run, self._index = None, {}
        for each in digests:
            self._add_shard((info.id, each.name), each)

    def _add_shard(self, key: TrialShard, shard: Digest) -> None:
        # A run's id is the name of its directory, which people rename and copy; the
        # shards say which run they were recorded in.
        origin = (str(shard.header.get("run") or key[0]), shard.name)
        known = self._places.get(origin)
        if known is not None:
            other = self.shards[known]
            # Read while its process lived, a shard holds less than later.
            if (other.weight, key) > (shard.weight, known):
                return
            del self.shards[known]
        self._places[origin] = key
        self.shards[key] = shard

    def merge(self, other: Evidence) -> None:
        """Add all of *other*."""
        for info in other.runs.values():
            self.add_digests(info, other.shards_of(info.id))

    def shards_of(self, run: str) -> list[Digest]:
        """The shards of one run, by name."""
        if self._by_run is None:
            self._by_run = defaultdict(list)
            for (name, _), shard in sorted(self.shards.items()):
                self._by_run[name].append(shard)
        return self._by_run.get(run, [])

    def newest(self) -> RunInfo | None:
        """The run whose scan is the denominator: the last to start that has one."""
        scanned = [info for info in self.runs.values() if info.scan is not None]
        return max(scanned, key=lambda info: (info.started, info.id), default=None)

    # -- trials --------------------------------------------------------------------------

    def samples(self) -> Iterator[tuple[TrialKey, str, str]]:
        """Each trial once, with its population and its sampler."""
        seen: dict[str, set[str]] = defaultdict(set)
        for (run, _), shard in sorted(self.shards.items()):
            known = seen[run]
            for identifier, population, sampler in shard.begun.samples():
                if identifier not in known:
                    known.add(identifier)
                    yield (run, identifier), population, sampler

    def facts_of(self, trial: TrialKey) -> TrialFacts | None:
        """What is known of *trial*, but for features; None if no process began it."""
        run, identifier = trial
        if run not in self._index:
            self._index[run] = _TrialIndex(self.shards_of(run))
        return self._index[run].facts_of(identifier)

    def trials(self) -> dict[TrialKey, TrialFacts]:
        """All trials, with the faults and features that were declared in them."""
        facts: dict[TrialKey, TrialFacts] = {}
        for trial, _, _ in self.samples():
            known = self.facts_of(trial)
            if known is not None:
                facts[trial] = known
        for (run, _), shard in self.shards.items():
            for identifier in {*shard.trials, *shard.begun.ids}:
                found = facts.get((run, identifier))
                if found is not None:
                    declared = {**self.runs[run].features, **_features(shard, identifier)}
                    for name, on in declared.items():
                        found.features[name].add(on)
        return facts

    def declares_off(self, feature: str) -> bool:
        """Whether any process, in any trial, said that *feature* is off."""
        return any(
            declared.get(feature) is False
            for (run, _), shard in self.shards.items()
            for declared in (
                self.runs[run].features,
                *shard.features.values(),
                *shard.begun.features(),
            )
        )

    def around(self, trial: TrialKey) -> Iterator[TrialFacts]:
        """What is known of *trial* and of those around it, from the inside out."""
        seen: set[TrialKey] = set()
        facts = self.facts_of(trial)
        while facts is not None and trial not in seen:
            seen.add(trial)
            yield facts
            trial = (trial[0], facts.trial.parent)
            facts = self.facts_of(trial)

    def owner_of(self, run: str, shard: Digest, trial: str) -> str | None:
        """The process that began *trial*, in which *shard* takes part; None if that is unknown."""
        seen: set[str] = set()
        while shard.begun.get(trial) is None:
            owner = None if shard.base is None else shard.base.owner
            known = self.shards.get((run, owner or ""))
            if owner is None or owner in seen:
                return None
            if known is None:
                return owner if shard.base is not None and shard.base.id == trial else None
            seen.add(owner)
            shard = known
        return shard.name

    def trial_of(self, run: str, shard: Digest, trial: str | None) -> str | None:
        """The trial that hits of *shard* belong to: none for those of a child that outlived it."""
        if trial is None or shard.base is None or trial != shard.base.id:
            return trial
        facts = self.facts_of((run, trial))
        for record in () if facts is None else facts.records:
            if record.ended is None or record.trial.owner != shard.base.owner:
                continue
            owner = self.shards.get((run, record.trial.owner or ""))
            if shard.process in record.surviving_shards or not _began_before(
                shard, owner, record.ended
            ):
                return None
        return trial

    # -- hits ----------------------------------------------------------------------------

    def tallies(
        self, sites: Sequence[Site] = (), now: Callable[[str], str] = str
    ) -> dict[Key, Tally]:
        """
        Hits by assertion.  Those under a condition that has changed since, as
        the newest scan has it, are left out.

        Args:
            sites: What names the counters of runs that nobody scanned.
            now: What an assertion is called today, by what it was called then.
        """
        tallies: dict[Key, Tally] = {}
        for run in sorted(self.runs):
            RunTally(self, run, self._names_in(run, sites, now), now).add_to(tallies)
        for tally in tallies.values():
            tally.violations.sort(key=lambda each: (each.run, each.hit.clock or 0))
        return tallies

    def guidance(self) -> Iterator[tuple[str, Record]]:
        """What each process kept of how close each rich assertion came, by its message."""
        for _, shard in sorted(self.shards.items()):
            known = guidance_of(shard.lines) if shard.lines else shard.guidance
            yield from known.items()

    def _names_in(
        self, run: str, sites: Sequence[Site], now: Callable[[str], str]
    ) -> Callable[[Name], tuple[Kind, str, str | None] | None]:
        """What an assertion of that run is today; nothing if that is not known, or another."""
        info = self.runs[run]
        newest = self.newest()
        current = {} if newest is None or newest.scan is None else _by_name(newest.scan, now)
        stale = _stale(info, current, now)
        told = {
            (message_hash(site.message), site.kind): (site.message, site.invariant)
            for site in info.scan or sites
        }

        def known(name: Name) -> tuple[Kind, str, str | None] | None:
            message, invariant = name.message, name.invariant
            if message is None:
                # What is broken must be told, whatever it was called.
                lost = f"an assertion whose name was lost ({name.hash:016x})"
                message, invariant = told.get((name.hash, name.kind), (lost, None))
            if now(message) in stale:
                return None
            return name.kind, now(message), invariant

        return known

    def __repr__(self) -> str:
        return f"<Evidence of {len(self.shards)} shards in {len(self.runs)} runs>"


class _TrialIndex:
    """Finds what shards of one run say about a trial."""

    def __init__(self, shards: Sequence[Digest]) -> None:
        self._begun: dict[str, list[Digest]] = defaultdict(list)
        self._faults: dict[str | None, list[tuple[Digest, FaultRecord]]] = defaultdict(list)
        for shard in shards:
            for identifier in shard.begun.ids:
                self._begun[identifier].append(shard)
            for fault in shard.faults:
                self._faults[fault.trial].append((shard, fault))

    def facts_of(self, identifier: str | None) -> TrialFacts | None:
        records = [
            record
            for shard in self._begun.get(identifier or "", ())
            for record in [shard.begun.get(identifier)]
            if record is not None
        ]
        if not records:
            return None
        return TrialFacts(records[0].trial, records, self._faults.get(identifier, []))


def _began_before(shard: Digest, owner: Digest | None, ended: int) -> bool:
    """Whether a process is known to have begun before a trial of *owner* ended."""
    if owner is None or shard.clock is None or shard.clock_id != owner.clock_id:
        return False
    return bool(shard.clock_id) and shard.clock <= ended


def _features(shard: Digest, trial: str | None) -> dict[str, bool]:
    """What a process had declared when the trial began there, and changed in it."""
    begun = shard.begun.get(trial)
    known = None if begun is None else begun.features
    before = shard.features.get(None, {}) if known is None else known
    return {**before, **shard.features.get(trial, {})}


def _by_name(sites: Iterable[Site], now: Callable[[str], str]) -> dict[str, str]:
    return {now(site.message): site.fingerprint for site in sites}


def _stale(info: RunInfo, current: dict[str, str], now: Callable[[str], str]) -> set[str]:
    """Messages whose condition is another now than it was in that run."""
    return {
        now(site.message)
        for site in info.scan or ()
        if current.get(now(site.message), site.fingerprint) != site.fingerprint
    }
