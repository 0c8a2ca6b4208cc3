"""
Joins shards into evidence: hits per assertion, by trial.

Evidence is a set of shards, so adding a shard twice or in another order changes nothing.  Sums are
computed from that set on demand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..recording.reader import guidance_of
from ..recording.records import FaultRecord, Record, TrialRecord
from ..recording.trials import Trial
from .digest import Digest
from .runs import RunInfo

TrialKey = tuple[str, str | None]
"""A run and a trial; None stands for hits outside of trials."""

ShardKey = tuple[str, str]
"""The id of a run and the name of a shard."""


@dataclass
class TrialFacts:
    """
    The facts recorded about a trial.

    Attributes:
        records: Its begin and end, as recorded by each process that ran it.
        faults: The injected faults, each with the shard of the process that injected it.
        features: The values, on or off, that its processes declared for each feature.
    """

    trial: Trial
    records: list[TrialRecord] = field(default_factory=list)
    faults: list[tuple[Digest, FaultRecord]] = field(default_factory=list)
    features: dict[str, set[bool]] = field(default_factory=lambda: defaultdict(set))


class Evidence:
    """The shards of some runs, each once."""

    def __init__(self) -> None:
        self.runs: dict[str, RunInfo] = {}
        self.shards: dict[ShardKey, Digest] = {}
        self._places: dict[tuple[str, str], ShardKey] = {}
        self._by_run: dict[str, list[Digest]] | None = None
        self._index: dict[str, _TrialIndex] = {}

    def add_digests(self, info: RunInfo, digests: Iterable[Digest]) -> None:
        """Add shards of the run described by *info* that are folded into *digests* already."""
        # A run that is read before it ends is still described as partial.  Full never reverts to
        # partial, so the full description is the later one, whichever is added first.
        if info.id not in self.runs or info.full:
            self.runs[info.id] = info
        self._by_run, self._index = None, {}
        for each in digests:
            self._add_shard((info.id, each.name), each)

    def _add_shard(self, key: ShardKey, shard: Digest) -> None:
        # A run's id is the name of its directory, which people rename and copy.  The header names
        # the run that a shard was recorded in, so that a copy does not count twice.
        origin = (str(shard.header.get("run") or key[0]), shard.name)
        known = self._places.get(origin)
        if known is not None:
            other = self.shards[known]
            # A shard that was read while its process ran holds less than a later reading.  Equal
            # weights are settled by the smaller key, or the order of addition would matter.
            if (other.weight, key) > (shard.weight, known):
                return
            del self.shards[known]
        self._places[origin] = key
        self.shards[key] = shard

    def merge(self, other: Evidence) -> None:
        """Add all runs and shards of *other*."""
        for info in other.runs.values():
            self.add_digests(info, other.shards_of(info.id))

    def shards_of(self, run: str) -> list[Digest]:
        """The shards of *run*, sorted by name."""
        # Grouped once: a scan of all shards for each run would be quadratic.
        if self._by_run is None:
            self._by_run = defaultdict(list)
            for (name, _), shard in sorted(self.shards.items()):
                self._by_run[name].append(shard)
        return self._by_run.get(run, [])

    def newest(self) -> RunInfo | None:
        """The run whose scan is the denominator: the last started of those that were scanned."""
        scanned = [info for info in self.runs.values() if info.scan is not None]
        return max(scanned, key=lambda info: (info.started, info.id), default=None)

    # -- trials --------------------------------------------------------------------------

    def samples(self) -> Iterator[tuple[TrialKey, str, str]]:
        """Yield each trial once, with its population and its sampler."""
        # Several processes may record one trial.  Shards are visited in order of their names, so
        # that the same one always decides about the population.
        seen: dict[str, set[str]] = defaultdict(set)
        for (run, _), shard in sorted(self.shards.items()):
            known = seen[run]
            for identifier, population, sampler in shard.begun.samples():
                if identifier not in known:
                    known.add(identifier)
                    yield (run, identifier), population, sampler

    def facts_of(self, trial: TrialKey) -> TrialFacts | None:
        """The facts about *trial* without its features; None if no process began it."""
        run, identifier = trial
        if run not in self._index:
            self._index[run] = _TrialIndex(self.shards_of(run))
        return self._index[run].facts_of(identifier)

    def trials(self) -> dict[TrialKey, TrialFacts]:
        """All trials, with their faults and the features declared in them."""
        facts: dict[TrialKey, TrialFacts] = {}
        for trial, _, _ in self.samples():
            known = self.facts_of(trial)
            if known is not None:
                facts[trial] = known
        for (run, _), shard in self.shards.items():
            for identifier in {*shard.trials, *shard.begun.ids}:
                found = facts.get((run, identifier))
                if found is not None:
                    # The declarations of a process override those of the run's description.
                    declared = {**self.runs[run].features, **_features(shard, identifier)}
                    for name, on in declared.items():
                        found.features[name].add(on)
        return facts

    def declares_off(self, feature: str) -> bool:
        """Whether any process declared *feature* off, in any trial or outside of trials."""
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
        """Yield the facts about *trial* and its enclosing trials, from the inside out."""
        # Parents come from shards, and damaged or foreign ones may form a cycle.
        seen: set[TrialKey] = set()
        facts = self.facts_of(trial)
        while facts is not None and trial not in seen:
            seen.add(trial)
            yield facts
            trial = (trial[0], facts.trial.parent)
            facts = self.facts_of(trial)

    def owner_of(self, run: str, shard: Digest, trial: str) -> str | None:
        """
        Find the process that began *trial*, in which *shard* takes part.

        Args:
            run: Id of the run.
            shard: A shard with hits or faults in the trial.
            trial: Id of the trial; processes may use one id for trials of their own.

        Returns:
            The name of that process's shard; None if it is unknown.
        """
        # Follows the owners of base trials, which lead from a process to the one that started it
        # in a trial.  Owners come from shards, so that the path may be a cycle.
        seen: set[str] = set()
        while shard.begun.get(trial) is None:
            owner = None if shard.base is None else shard.base.owner
            known = self.shards.get((run, owner or ""))
            if owner is None or owner in seen:
                return None
            # The owner's shard may be missing, but it certainly began the base trial.
            if known is None:
                return owner if shard.base is not None and shard.base.id == trial else None
            seen.add(owner)
            shard = known
        return shard.name

    def trial_of(self, run: str, shard: Digest, trial: str | None) -> str | None:
        """
        Map a trial recorded by a process to the trial that its hits belong to.

        Hits of a child process that outlived its base trial belong to no trial, since its shard
        does not record which of them preceded the end of the trial.

        Args:
            run: Id of the run.
            shard: The process that recorded the hits.
            trial: The trial as recorded there; None outside of trials.

        Returns:
            *trial*, or None if the process outlived it or is not known to have begun before its
            end.
        """
        # Only the base trial, in which the process was started, can end without its knowledge.
        if trial is None or shard.base is None or trial != shard.base.id:
            return trial
        facts = self.facts_of((run, trial))
        for record in () if facts is None else facts.records:
            # Another process may have begun a trial of the same id; its end is irrelevant.
            if record.ended is None or record.trial.owner != shard.base.owner:
                continue
            owner = self.shards.get((run, record.trial.owner or ""))
            if shard.process in record.surviving_shards or not _began_before(
                shard, owner, record.ended
            ):
                return None
        return trial

    # -- guidance ------------------------------------------------------------------------

    def guidance(self) -> Iterator[tuple[str, Record]]:
        """Yield each message with a guidance record of it, process by process."""
        # Folding would have to parse all details of a shard to keep its guidance.  Shards in files
        # are read again here instead, for these records only.
        for _, shard in sorted(self.shards.items()):
            known = guidance_of(shard.lines) if shard.lines else shard.guidance
            yield from known.items()

    def __repr__(self) -> str:
        return f"<Evidence of {len(self.shards)} shards in {len(self.runs)} runs>"


class _TrialIndex:
    """Finds the records and faults of a trial in the shards of one run."""

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
    """Whether the process of *shard* is known to have begun before a trial of *owner* ended."""
    if owner is None or shard.clock is None or shard.clock_id != owner.clock_id:
        return False
    return bool(shard.clock_id) and shard.clock <= ended


def _features(shard: Digest, trial: str | None) -> dict[str, bool]:
    """The features in force in *trial* in the process of *shard*, by name."""
    # The record of a trial holds the features as they were when it began.  Without a record, as in
    # a trial that another process began, those declared outside of trials stand in.
    begun = shard.begun.get(trial)
    known = None if begun is None else begun.features
    before = shard.features.get(None, {}) if known is None else known
    return {**before, **shard.features.get(trial, {})}
