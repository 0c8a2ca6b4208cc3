"""
Adds up the hits of a run by assertion.

Most trials are counted by adding columns.  Trials of several processes, and trials with violations
on purpose, are subtracted from the columns and counted one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import add

from ..model import Kind, Site
from ..recording.counters import message_hash
from ..recording.records import SlotRecord
from ..recording.trials import EXPECTS_VIOLATION
from .combine import Evidence
from .digest import Digest, numbers_in
from .runs import RunInfo
from .verdicts import AssertionResult
from .violations import Broken, Violation

Key = tuple[Kind, str]
"""The kind and the current message of an assertion."""

Known = Callable[[SlotRecord], SlotRecord | None]
"""Maps an assertion as a shard declares it to its current name; None if it is left out."""


def tallies(
    evidence: Evidence, sites: Sequence[Site] = (), now: Callable[[str], str] = str
) -> dict[Key, AssertionResult]:
    """
    Add up the hits of each assertion, which is not judged yet.

    Hits recorded under another condition than that of the newest scan are left out.

    Args:
        evidence: The runs and their shards.
        sites: Assertions that name the counters of runs without a scan.
        now: Maps a recorded message to the current one, after renames.

    Returns:
        The results by kind and current message.
    """
    results: dict[Key, AssertionResult] = {}
    for run in sorted(evidence.runs):
        _RunTally(evidence, run, _names_in(evidence, run, sites, now), now).add_to(results)
    # Within a run by the boot-time clock, which the processes of a machine share.
    for result in results.values():
        result.violations.sort(key=lambda each: (each.run, each.hit.clock or 0))
    return results


def _names_in(
    evidence: Evidence, run: str, sites: Sequence[Site], now: Callable[[str], str]
) -> Known:
    """Return a function from a recorded name to the current one; None if it is stale."""
    info = evidence.runs[run]
    newest = evidence.newest()
    current = {} if newest is None or newest.scan is None else _by_name(newest.scan, now)
    stale = _stale(info, current, now)
    # Counters hold hashes only; the scan gives the names whose lines were lost.
    by_hash = {
        (message_hash(site.message), site.kind): (site.message, site.invariant)
        for site in info.scan or sites
    }

    def known(name: SlotRecord) -> SlotRecord | None:
        message, invariant = name.message, name.invariant
        if message is None:
            # A violation must be reported even if nothing names its assertion.
            lost = f"an assertion whose name was lost ({name.hash:016x})"
            message, invariant = by_hash.get((name.hash, name.kind), (lost, None))
        if now(message) in stale:
            return None
        return SlotRecord(name.kind, name.hash, now(message), invariant)

    return known


def _by_name(sites: Iterable[Site], now: Callable[[str], str]) -> dict[str, str]:
    return {now(site.message): site.fingerprint for site in sites}


def _stale(info: RunInfo, current: dict[str, str], now: Callable[[str], str]) -> set[str]:
    """Current messages whose condition has changed since that run."""
    # An assertion that the newest scan lacks keeps its evidence: it was removed, not changed.
    return {
        now(site.message)
        for site in info.scan or ()
        if current.get(now(site.message), site.fingerprint) != site.fingerprint
    }


def _key(known: SlotRecord) -> Key:
    return known.kind, known.message or ""


class _Sum:
    """
    The summed columns of all shards with the same names.

    Args:
        known: The current name of each assertion; None if it is left out.
    """

    def __init__(self, known: list[SlotRecord | None]) -> None:
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


class _RunTally:
    """One pass over the shards of a run."""

    def __init__(
        self,
        evidence: Evidence,
        run: str,
        known: Known,
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

    def add_to(self, tallies: dict[Key, AssertionResult]) -> None:
        """Add the hits of the run to *tallies*, by kind and current message."""
        shards = self._evidence.shards_of(self._run)
        for shard in shards:
            self._sum_of(shard).take(shard)
        # Declared assertions get a tally even without hits: zero is evidence, too.
        for sums in self._sums.values():
            for number in numbers_in(sums.declared):
                known = sums.known[number]
                if known is not None:
                    key = _key(known)
                    tallies.setdefault(key, AssertionResult(*key, known.invariant))
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

    def _note_foreign(self, shard: Digest, tallies: dict[Key, AssertionResult]) -> None:
        sums = self._sum_of(shard)
        for number in numbers_in(shard.declared):
            known = sums.known[number]
            if known is not None and (shard.true[number] or shard.false[number]):
                tallies[_key(known)].at_least = True

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
                was_false = was_false and known.message != expected
                if was_true or was_false:
                    found = self._singled[effective].setdefault(_key(known), [False, False])
                    found[0] |= was_true
                    found[1] |= was_false

    def _add_broken(self, shard: Digest, tallies: dict[Key, AssertionResult]) -> None:
        sums = self._sum_of(shard)
        # Counts by trial, not records, which may have been lost.
        for (trial, number), count in shard.broken.items():
            known = sums.known[number]
            if known is None:
                continue
            # Only the named assertion is expected to fail; others in the trial are violated.
            if self._expected(shard, trial) == known.message:
                sums.columns[1][number] -= count
                tallies[_key(known)].expected += count
                continue
            effective = self._evidence.trial_of(self._run, shard, trial)
            broken = Broken(self._run, shard, trial, effective, count)
            tallies[_key(known)].broken.append(broken)

    def _add_violations(self, shard: Digest, tallies: dict[Key, AssertionResult]) -> None:
        for hit in shard.violations:
            # The tally may be that of another run, while this one had a different condition.
            tally = tallies.get((hit.kind, self._now(hit.message)))
            if tally is None or self._known(SlotRecord(hit.kind, 0, hit.message)) is None:
                continue
            if self._expected(shard, hit.trial) != tally.message:
                effective = self._evidence.trial_of(self._run, shard, hit.trial)
                tally.violations.append(Violation(self._run, shard, effective, hit))

    def _add_columns(self, sums: _Sum, tallies: dict[Key, AssertionResult]) -> None:
        for number in numbers_in(sums.declared):
            known = sums.known[number]
            if known is None:
                continue
            tally = tallies[_key(known)]
            true, false, trials_true, trials_false, trials_hit = (
                column[number] for column in sums.columns
            )
            # Added: several runs, and shards with other names, have columns of their own.
            tally.true += true
            tally.false += false
            tally.trials_true += trials_true
            tally.trials_false += trials_false
            tally.trials_hit += trials_hit
