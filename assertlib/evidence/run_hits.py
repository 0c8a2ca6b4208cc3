"""
The hits of one run: totals by assertion, and for each trial the assertions that were true, and
false, a bit each.

This is the only fold of shards: verdicts, the store, questions and reports read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import add

from ..recording.records import SlotRecord
from .bits import Renumbering, numbers_in
from .combine import Evidence
from .digest import Digest
from .violations import Broken


@dataclass(slots=True)
class TrialHits:
    """The assertions that were true, and false, in one trial, as bits."""

    true: int = 0
    false: int = 0

    @property
    def hit(self) -> int:
        return self.true | self.false


class RunHits:
    """
    The hits of one run.

    Args:
        evidence: The evidence that holds the run.
        run: Id of the run.

    Attributes:
        names: The assertions in order of their numbers: those of the run's scan, followed by those
            that only shards declare.
        declared: The numbers of the assertions that some process declared, as bits.
        shards: The shards, each with the mapping of its numbers to those of the run.
        trials: The hits by trial.  Each trial counts once, whatever number of processes took part
            in it.  Hits outside of trials are in the totals only.
    """

    def __init__(self, evidence: Evidence, run: str) -> None:
        self._evidence = evidence
        self._run = run
        self._numbers: dict[SlotRecord, int] = {}
        # By identity, as comparing long tuples of names for each shard would be slow.
        self._known: dict[int, Renumbering] = {}
        self.declared = 0
        self.shards = [(each, self._numbered(each)) for each in evidence.shards_of(run)]
        self.names = tuple(self._numbers)
        self.trials: dict[str, TrialHits] = {}
        for shard, places in self.shards:
            self.declared |= places.bits(shard.declared)
            self._unite(shard, places)

    def _numbered(self, shard: Digest) -> Renumbering:
        key = id(shard.names)
        if key not in self._known:
            numbers = [self._numbers.setdefault(name, len(self._numbers)) for name in shard.names]
            self._known[key] = Renumbering(numbers)
        return self._known[key]

    def _unite(self, shard: Digest, places: Renumbering) -> None:
        for trial, true, false in zip(shard.trials, shard.true_in, shard.false_in, strict=True):
            effective = self._evidence.trial_of(self._run, shard, trial)
            if effective is not None:
                hits = self.trials.setdefault(effective, TrialHits())
                hits.true |= places.bits(true)
                hits.false |= places.bits(false)

    def totals(self) -> tuple[list[int], list[int]]:
        """The true and false hits of each assertion, in and out of trials."""
        true, false = [0] * len(self.names), [0] * len(self.names)
        for shard, places in self.shards:
            _add(true, places.row(shard.true))
            _add(false, places.row(shard.false))
        return true, false

    def broken(self) -> Iterator[tuple[int, Broken]]:
        """Yield the number of each violated assertion with its violations, shard by shard."""
        for shard, places in self.shards:
            # Counts by trial, not records, which may have been lost.
            for (trial, number), count in shard.broken.items():
                effective = self._evidence.trial_of(self._run, shard, trial)
                place = places.places[number]
                if place is not None:
                    yield place, Broken(self._run, shard, trial, effective, count)

    def numbers_by_trial(self) -> Iterator[tuple[str, int, bool, bool]]:
        """Yield each assertion of each trial that hit it, and whether it was true and false."""
        for trial, hits in self.trials.items():
            # Both may be set: an assertion can be true and false within one trial.
            for number in numbers_in(hits.hit):
                yield trial, number, bool(hits.true >> number & 1), bool(hits.false >> number & 1)

    def __repr__(self) -> str:
        return f"<RunHits of {len(self.names)} assertions in {len(self.trials)} trials>"


def _add(row: list[int], counts: Sequence[int]) -> None:
    # A shard without the assertions that others declare has a shorter row.
    row[: len(counts)] = map(add, row, counts)
