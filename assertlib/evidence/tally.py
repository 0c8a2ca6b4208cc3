"""
Adds up the hits of runs by assertion, under its current name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import add

from ..model import Kind, Site
from ..recording.counters import message_hash
from ..recording.records import SlotRecord
from ..recording.trials import EXPECTS_VIOLATION
from .bits import counted, numbers_in
from .combine import Evidence
from .run_hits import RunHits
from .runs import RunInfo
from .verdicts import AssertionResult
from .violations import Violation

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


class _RunTally:
    """
    Adds the hits of a run to the results.

    Args:
        evidence: The evidence that holds the run.
        run: Id of the run.
        known: Maps a recorded name to the current one; None if the assertion is left out.
        now: Maps a recorded message to the current one, after renames.
    """

    def __init__(
        self, evidence: Evidence, run: str, known: Known, now: Callable[[str], str]
    ) -> None:
        self._evidence = evidence
        self._run = run
        self._known = known
        self._now = now
        self._hits = RunHits(evidence, run)
        self._names = [known(name) for name in self._hits.names]
        # The assertions that a trial violates on purpose, as bits.
        self._on_purpose: dict[str, int] = defaultdict(int)

    def add_to(self, results: dict[Key, AssertionResult]) -> None:
        """Add the hits of the run to *results*, by kind and current message."""
        # Renames may give several recorded assertions one name.
        numbers: dict[Key, list[int]] = defaultdict(list)
        # Declared assertions get a result even without hits: zero is evidence, too.
        for number in numbers_in(self._hits.declared):
            name = self._names[number]
            if name is not None:
                numbers[_key(name)].append(number)
                results.setdefault(_key(name), AssertionResult(*_key(name), name.invariant))
        self._add_totals(numbers, results)
        # Before the trials are counted, since it finds the violations on purpose.
        self._add_broken(results)
        self._add_trials(numbers, results)
        self._add_violations(results)
        self._note_foreign(results)

    def _add_totals(
        self, numbers: dict[Key, list[int]], results: dict[Key, AssertionResult]
    ) -> None:
        true, false = self._hits.totals()
        for key, mine in numbers.items():
            # Added, since other runs have totals of their own.
            results[key].true += sum(true[number] for number in mine)
            results[key].false += sum(false[number] for number in mine)

    def _add_broken(self, results: dict[Key, AssertionResult]) -> None:
        for number, broken in self._hits.broken():
            name = self._names[number]
            if name is None:
                continue
            result = results[_key(name)]
            # Only the named assertions are expected to fail; others in the trial are violated.
            if not self._is_expected(broken.effective, name.message):
                result.broken.append(broken)
                continue
            result.false -= broken.times
            result.expected += broken.times
            self._on_purpose[broken.effective or ""] |= 1 << number

    def _is_expected(self, trial: str | None, message: str | None) -> bool:
        """Whether *trial*, or one around it, violates the assertion *message* on purpose."""
        return any(
            facts.trial.sampler == EXPECTS_VIOLATION
            and self._now(facts.trial.population or "") == message
            for facts in self._evidence.around((self._run, trial))
        )

    def _add_trials(
        self, numbers: dict[Key, list[int]], results: dict[Key, AssertionResult]
    ) -> None:
        trials = self._hits.trials
        on_purpose = self._on_purpose
        true = [each.true for each in trials.values()]
        false = [each.false & ~on_purpose.get(name, 0) for name, each in trials.items()]
        hit = [one | other for one, other in zip(true, false, strict=True)]
        in_true, in_false, in_hit = (
            _counting(sets, len(self._names)) for sets in (true, false, hit)
        )
        for key, mine in numbers.items():
            results[key].trials_true += in_true(mine)
            results[key].trials_false += in_false(mine)
            results[key].trials_hit += in_hit(mine)

    def _add_violations(self, results: dict[Key, AssertionResult]) -> None:
        for shard, _ in self._hits.shards:
            for hit in shard.violations:
                # The result may be that of another run, while this one had a different condition.
                result = results.get((hit.kind, self._now(hit.message)))
                if result is None or self._known(SlotRecord(hit.kind, 0, hit.message)) is None:
                    continue
                effective = self._evidence.trial_of(self._run, shard, hit.trial)
                if not self._is_expected(effective, result.message):
                    result.violations.append(Violation(self._run, shard, effective, hit))

    def _note_foreign(self, results: dict[Key, AssertionResult]) -> None:
        for shard, places in self._hits.shards:
            if not shard.language:
                continue
            hits = map(add, places.row(shard.true), places.row(shard.false))
            for name, count in zip(self._names, hits, strict=False):
                if name is not None and count:
                    results[_key(name)].at_least = True


def _counting(sets: Sequence[int], width: int) -> Callable[[list[int]], int]:
    """Return a function that counts the *sets* which hold any of some numbers."""
    counts = counted(sets, width)

    def count(numbers: list[int]) -> int:
        if len(numbers) == 1:
            return counts[numbers[0]]
        mask = sum(1 << number for number in numbers)
        return sum(bool(each & mask) for each in sets)

    return count
