"""
Adds up the hits of a run by assertion.

Most trials are counted by adding columns.  Trials of several processes, and trials with violations
on purpose, are subtracted from the columns and counted one by one.
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
"""A run and a trial; None stands for hits outside of trials."""

Key = tuple[Kind, str]
"""The kind and the current message of an assertion."""

Known = tuple[Kind, str, str | None]
"""The kind, the current message and the invariant."""


Place = tuple[str, str, str | None]
"""A run, a shard, and the trial as recorded by that process."""


class Broken(NamedTuple):
    """
    The number of violations of an assertion in one trial and process.

    Attributes:
        trial: The trial as recorded by the process.
        effective: The trial that these hits belong to; None if the process outlived it.
        times: The number of violations.
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
    """A recorded violation, with the process that recorded it."""

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
        true, false: True and false hits, in and out of trials.
        trials_true, trials_false, trials_hit: The number of trials with such a hit.
        broken: The violations by trial and process.
        violations: The recorded violations, run by run in order of time.
        at_least: Whether counts are lower bounds, since an SDK reported first hits only.
        expected: The number of false hits on purpose, which count nowhere else.
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
    """The facts about a trial that a tally needs."""

    @property
    def trial(self) -> Trial: ...


class Trials(Protocol):
    """
    The part of the evidence that a tally needs.

    A protocol, since `combine`, which implements it, imports this module.
    """

    def shards_of(self, run: str) -> list[Digest]:
        """The shards of *run*."""

    def trial_of(self, run: str, shard: Digest, trial: str | None) -> str | None:
        """The trial that hits of *shard* in *trial* belong to, in the run *run*."""

    def around(self, trial: TrialKey) -> Iterator[Facts]:
        """The facts about *trial* and its enclosing trials, from the inside out."""


class _Sum:
    """
    The summed columns of all shards with the same names.

    Args:
        known: The current name of each assertion; None if it is left out.
    """

    def __init__(self, known: list[Known | None]) -> None:
        self.known = known
        self.declared = 0
        # True hits, false hits, and trials with true hits, false hits, and hits at all.
        self.columns: list[list[int]] = [[0] * len(known) for _ in range(5)]

    def take(self, shard: Digest) -> None:
        """Add the columns of *shard*."""
        # Whole columns at a time: a run may have ten thousand shards.
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
            evidence: The evidence that holds the run.
            run: Id of the run.
            known: Maps a recorded name to the current one; None if the assertion is left out.
            now: Maps a recorded message to the current one, after renames.
        """
        self._evidence = evidence
        self._run = run
        self._known = known
        self._now = now
        self._sums: dict[int, _Sum] = {}
        # Whether a singled-out trial was true and false, by effective trial and assertion.
        self._singled: dict[str, dict[Key, list[bool]]] = defaultdict(dict)

    def add_to(self, tallies: dict[Key, Tally]) -> None:
        """Add the hits of the run to *tallies*, by kind and current message."""
        shards = self._evidence.shards_of(self._run)
        for shard in shards:
            self._sum_of(shard).take(shard)
        # Declared assertions get a tally even without hits: zero is evidence, too.
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
            # Before the columns are added, since it moves expected violations out of them.
            self._add_broken(shard, tallies)
            self._add_violations(shard, tallies)
        for sums in self._sums.values():
            self._add_columns(sums, tallies)
        # Each trial counts once, whatever number of processes took part in it.
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
        # By identity, as comparing long tuples of names for each shard would be slow.
        if id(shard.names) not in self._sums:
            self._sums[id(shard.names)] = _Sum([self._known(name) for name in shard.names])
        return self._sums[id(shard.names)]

    def _special(self, shards: Sequence[Digest]) -> set[str | None]:
        """The trials that columns cannot count."""
        # Seen in several shards; or inherited by a child, which may have outlived it; or with a
        # violation on purpose.
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
        """The current message of the assertion that *trial* violates on purpose; None if none."""
        effective = self._evidence.trial_of(self._run, shard, trial)
        for facts in self._evidence.around((self._run, effective)):
            if facts.trial.sampler == EXPECTS_VIOLATION:
                return self._now(facts.trial.population or "")
        return None

    def _single_out(self, shard: Digest, special: set[str | None]) -> None:
        """Move the hits of *shard* in special trials from the columns to single trials."""
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
                # Hits of a process that outlived the trial stay in the totals, but in no trial.
                if effective is None or known is None:
                    continue
                was_false = was_false and known[1] != expected
                if was_true or was_false:
                    found = self._singled[effective].setdefault(known[:2], [False, False])
                    found[0] |= was_true
                    found[1] |= was_false

    def _add_broken(self, shard: Digest, tallies: dict[Key, Tally]) -> None:
        sums = self._sum_of(shard)
        # Counts by trial, not records, which may have been lost.
        for (trial, number), count in shard.broken.items():
            known = sums.known[number]
            if known is None:
                continue
            # Only the named assertion is expected to fail; others in the trial are violated.
            if self._expected(shard, trial) == known[1]:
                sums.columns[1][number] -= count
                tallies[known[:2]].expected += count
                continue
            effective = self._evidence.trial_of(self._run, shard, trial)
            broken = Broken(self._run, shard, trial, effective, count)
            tallies[known[:2]].broken.append(broken)

    def _add_violations(self, shard: Digest, tallies: dict[Key, Tally]) -> None:
        for hit in shard.violations:
            # The tally may be that of another run, while this one had a different condition.
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
            # Added: several runs, and shards with other names, have columns of their own.
            tally.true += true
            tally.false += false
            tally.trials_true += trials_true
            tally.trials_false += trials_false
            tally.trials_hit += trials_hit
