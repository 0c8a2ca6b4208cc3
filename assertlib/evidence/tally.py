"""
Adds up the hits of a run by assertion.

What most trials did is a sum of columns.  Trials that several processes took part in, and those
in which something is broken on purpose, are taken out of it and looked at one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple, Protocol

from ..model import Kind
from ..recording.hits import Hit
from ..recording.trials import EXPECTS_VIOLATION, Trial
from .digest import Digest, Name, numbers_in

TrialKey = tuple[str, str | None]
"""Run and trial; no trial is its own bucket."""

Key = tuple[Kind, str]
"""Kind and message, as they are today."""

Known = tuple[Kind, str, str | None]
"""These, and the invariant."""


Place = tuple[str, str, str | None]
"""Run, shard, and the trial as that process knows it."""


class Broken(NamedTuple):
    """
    How often an assertion that must hold was false in a trial, in one process.

    Attributes:
        trial: As the process knows it.
        effective: Where that belongs; no trial if the process outlived it.
    """

    run: str
    shard: Digest
    trial: str | None
    effective: str | None
    times: int

    @property
    def key(self) -> Place:
        """Where it happened."""
        return self.run, self.shard.name, self.trial


class Violation(NamedTuple):
    """A recorded hit that broke an assertion, and the process that recorded it."""

    run: str
    shard: Digest
    effective: str | None
    hit: Hit

    @property
    def key(self) -> Place:
        """Where it happened."""
        return self.run, self.shard.name, self.hit.trial


@dataclass
class Tally:
    """
    The hits of one assertion.

    Attributes:
        true, false: How many, in and out of trials.
        expected: How many were false on purpose, and count nowhere else.
        trials_true, trials_false, trials_hit: In how many trials there was one.
        broken: How many were false by trial and process, of an assertion that must hold.
        violations: Recorded hits that broke it, run by run in order of time.
        at_least: Whether some of its hits were told by who tells the first ones only.
    """

    kind: Kind
    message: str
    invariant: str | None = None
    true: int = 0
    false: int = 0
    trials_true: int = 0
    trials_false: int = 0
    trials_hit: int = 0
    broken: list[Broken] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    at_least: bool = False
    expected: int = 0

    @property
    def hits(self) -> int:
        return self.true + self.false


class Facts(Protocol):
    """What is known of a trial."""

    @property
    def trial(self) -> Trial: ...


class Trials(Protocol):
    """What a tally has to know of the evidence that it adds up."""

    def shards_of(self, run: str) -> list[Digest]:
        """The shards of a run."""

    def trial_of(self, run: str, shard: Digest, trial: str | None) -> str | None:
        """The trial that hits of *shard* belong to."""

    def around(self, trial: TrialKey) -> Iterator[Facts]:
        """*trial* and those around it, from the inside out."""


class _Sum:
    """Columns of all shards that know the same assertions, with what each is today."""

    def __init__(self, known: list[Known | None]) -> None:
        self.known = known
        self.declared = 0
        self.columns: list[list[int]] = [[0] * len(known) for _ in range(5)]

    def take(self, shard: Digest) -> None:
        """Add the columns of *shard*."""
        self.declared |= shard.declared
        counts = [memoryview(each).cast("I") for each in shard.counts]
        mine: list[Sequence[int]] = [shard.true, shard.false, *counts]
        self.columns = [
            list(map(add, column, added)) for column, added in zip(self.columns, mine, strict=True)
        ]


class RunTally:
    """One pass over the shards of a run."""

    def __init__(
        self,
        evidence: Trials,
        run: str,
        known: Callable[[Name], Known | None],
        now: Callable[[str], str],
    ) -> None:
        """
        Args:
            known: What an assertion of the run is today; nothing if it is left out.
            now: What an assertion is called today.
        """
        self._evidence = evidence
        self._run = run
        self._known = known
        self._now = now
        self._sums: dict[int, _Sum] = {}
        self._singled: dict[str, dict[Key, list[bool]]] = defaultdict(dict)

    def add_to(self, tallies: dict[Key, Tally]) -> None:
        """Add the run to *tallies*."""
        shards = self._evidence.shards_of(self._run)
        for shard in shards:
            self._sum_of(shard).take(shard)
        for sums in self._sums.values():
            for number in numbers_in(sums.declared):
                known = sums.known[number]
                if known is not None:
                    tallies.setdefault(known[:2], Tally(*known))
        special = self._special(shards)
        for shard in shards:
            if shard.language:
                self._note_foreign(shard, tallies)
            if not special.isdisjoint(shard.trials):
                self._single_out(shard, special)
            self._add_broken(shard, tallies)
            self._add_violations(shard, tallies)
        for sums in self._sums.values():
            self._add_columns(sums, tallies)
        for trial in self._singled.values():
            for key, (true, false) in trial.items():
                tally = tallies[key]
                tally.trials_true += true
                tally.trials_false += false
                tally.trials_hit += true or false

    def _note_foreign(self, shard: Digest, tallies: dict[Key, Tally]) -> None:
        sums = self._sum_of(shard)
        for number in numbers_in(shard.declared):
            known = sums.known[number]
            if known is not None and (shard.true[number] or shard.false[number]):
                tallies[known[:2]].at_least = True

    def _sum_of(self, shard: Digest) -> _Sum:
        if id(shard.names) not in self._sums:
            self._sums[id(shard.names)] = _Sum([self._known(name) for name in shard.names])
        return self._sums[id(shard.names)]

    def _special(self, shards: Sequence[Digest]) -> set[str | None]:
        """Trials that cannot simply be counted."""
        seen: set[str | None] = set()
        special: set[str | None] = set()
        for shard in shards:
            special |= seen.intersection(shard.trials)
            seen.update(shard.trials)
            special.update([shard.base.id] if shard.base else ())
            special.update(
                trial
                for trial, _ in shard.broken
                if trial is not None and self._expected(shard, trial) is not None
            )
        return special - {None}

    def _expected(self, shard: Digest, trial: str | None) -> str | None:
        """The assertion that is broken on purpose in *trial*."""
        effective = self._evidence.trial_of(self._run, shard, trial)
        for facts in self._evidence.around((self._run, effective)):
            if facts.trial.sampler == EXPECTS_VIOLATION:
                return self._now(facts.trial.population or "")
        return None

    def _single_out(self, shard: Digest, special: set[str | None]) -> None:
        """Take what *shard* did in special trials out of the columns."""
        sums = self._sum_of(shard)
        for trial, true, false in zip(shard.trials, shard.true_in, shard.false_in, strict=True):
            if trial not in special:
                continue
            effective = self._evidence.trial_of(self._run, shard, trial)
            expected = self._expected(shard, trial)
            for number in numbers_in(true | false):
                was_true, was_false = bool(true >> number & 1), bool(false >> number & 1)
                sums.columns[2][number] -= was_true
                sums.columns[3][number] -= was_false
                sums.columns[4][number] -= 1
                known = sums.known[number]
                if effective is None or known is None:
                    continue
                was_false = was_false and known[1] != expected
                if was_true or was_false:
                    found = self._singled[effective].setdefault(known[:2], [False, False])
                    found[0] |= was_true
                    found[1] |= was_false

    def _add_broken(self, shard: Digest, tallies: dict[Key, Tally]) -> None:
        sums = self._sum_of(shard)
        for (trial, number), count in shard.broken.items():
            known = sums.known[number]
            if known is None:
                continue
            if self._expected(shard, trial) == known[1]:
                sums.columns[1][number] -= count
                tallies[known[:2]].expected += count
                continue
            effective = self._evidence.trial_of(self._run, shard, trial)
            broken = Broken(self._run, shard, trial, effective, count)
            tallies[known[:2]].broken.append(broken)

    def _add_violations(self, shard: Digest, tallies: dict[Key, Tally]) -> None:
        for hit in shard.violations:
            tally = tallies.get((hit.kind, self._now(hit.message)))
            if tally is None or self._known(Name(hit.kind, hit.message, None, 0)) is None:
                continue
            if self._expected(shard, hit.trial) != tally.message:
                effective = self._evidence.trial_of(self._run, shard, hit.trial)
                tally.violations.append(Violation(self._run, shard, effective, hit))

    def _add_columns(self, sums: _Sum, tallies: dict[Key, Tally]) -> None:
        for number in numbers_in(sums.declared):
            known = sums.known[number]
            if known is None:
                continue
            tally = tallies[known[:2]]
            true, false, trials_true, trials_false, trials_hit = (
                column[number] for column in sums.columns
            )
            tally.true += true
            tally.false += false
            tally.trials_true += trials_true
            tally.trials_false += trials_false
            tally.trials_hit += trials_hit
