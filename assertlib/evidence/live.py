"""
Live view of a run: repeated judging while it is being recorded.

The observed processes are not involved: counters are files that they have mapped into memory, and
lines are read from the position where the last reading ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

from .._text.inputs import is_regular
from ..catalog.check import Checked
from ..recording.hits import Hit
from ..recording.reader import Follower, shard_names
from ..recording.shard import SUFFIX, is_alive
from ..recording.trials import Trial, ancestry
from .combine import Evidence
from .digest import Digest, Table, digest
from .runs import read_info
from .summary import Summary, summarise

NEWEST = 20
"""The maximum number of violations in a look."""


@dataclass(frozen=True)
class Look:
    """
    The state of a run at one moment.

    Attributes:
        summary: The judged evidence.
        time: Nanoseconds since the epoch.
        processes: The number of recorded processes that are alive.
        shards: The number of processes that were recorded at all.
        rates: Hits per second by message since the previous look; None at the first look.
        violations: The newest violations, newest first.
    """

    summary: Summary
    time: int
    processes: int
    shards: int
    rates: dict[str, float] | None = None
    violations: tuple[Hit, ...] = ()

    def rate_of(self, messages: Iterable[str]) -> float | None:
        """Hits per second of the assertions with these *messages*; None at the first look."""
        rates = self.rates
        return None if rates is None else sum(rates.get(each, 0.0) for each in messages)

    @property
    def rate(self) -> float | None:
        """Evaluations per second of all assertions; None at the first look."""
        return self.rate_of(self.rates or ())


class _Followed:
    """One shard, with its digest of the previous look."""

    def __init__(self, path: str) -> None:
        self.follower = Follower(path)
        self._path = path
        self._digest: Digest | None = None
        self._was_alive = True
        self.is_alive = True

    def look(self, table: Table) -> Digest:
        """The current digest; that of a dead process is final and not computed again."""
        # is_alive opens the file, and opening a FIFO in its place would wait for a writer.
        self.is_alive = self._was_alive and is_regular(self._path) and is_alive(self._path)
        if self._digest is None or self._was_alive:
            # Lines before counters, so that the counters are never behind them.  One reading after
            # the process has died is needed to see its last lines.
            self.follower.read()
            self.follower.count()
            self._digest = digest(self.follower.shard, table)
        self._was_alive = self.is_alive
        return self._digest


class LiveRun:
    """
    Judges a run repeatedly while it is being recorded.

    Args:
        path: The run directory.
        checked: The target that the run is judged against.
    """

    def __init__(self, path: Path, checked: Checked) -> None:
        """
        Raises:
            UnreadableRunError: The run's description is damaged.
        """
        self._path = path
        self._checked = checked
        self._info = read_info(path)
        self._table = Table(self._info.scan or ())
        self._followed: dict[str, _Followed] = {}
        self._before: dict[str, int] | None = None
        self._looked = 0.0

    def look(self) -> Look:
        """
        Judge the run as it is now.

        Raises:
            UnreadableRunError: A shard is damaged.
        """
        evidence = Evidence()
        evidence.add_digests(self._info, list(self._digests()))
        # All of it is judged anew: verdicts of some assertions depend on trials of other shards.
        sites = self._checked.scan.sites
        summary = summarise(evidence, self._checked.catalog, self._checked.name, sites)
        return Look(
            summary=summary,
            time=time.time_ns(),
            processes=sum(each.is_alive for each in self._followed.values()),
            shards=len(self._followed),
            rates=self._rates(summary),
            violations=tuple(nlargest(NEWEST, self._violations(), key=lambda hit: hit.clock or 0)),
        )

    def _digests(self) -> Iterator[Digest]:
        paths = [str(self._path / name) + SUFFIX for name in shard_names(str(self._path))]
        # Rebuilt from the directory, which drops shards that were removed.
        self._followed = {path: self._followed.get(path) or _Followed(path) for path in paths}
        for followed in self._followed.values():
            yield followed.look(self._table)

    def _rates(self, summary: Summary) -> dict[str, float] | None:
        # Monotonic, or a step of the wall clock would yield absurd or negative rates.
        now, counts = time.monotonic(), {}
        for result in summary.assertions:
            counts[result.message] = result.hits + sum(result.antecedent or ())
        before, passed = self._before, now - self._looked
        self._before, self._looked = counts, now
        if before is None:
            return None
        # Counts fall when a shard is removed.
        return {
            message: max(0, count - before.get(message, 0)) / passed
            for message, count in counts.items()
        }

    def _violations(self) -> Iterator[Hit]:
        # Trials of all shards: one that expects the violation may be another process's.
        trials: dict[str, Trial] = {
            identifier: record.trial
            for each in self._followed.values()
            for identifier, record in each.follower.shard.trials.items()
        }
        for each in self._followed.values():
            for hit in each.follower.shard.hits:
                if hit.is_violation and not any(
                    trial.expects_violation_of(hit.message) for trial in ancestry(hit.trial, trials)
                ):
                    yield hit

    def __repr__(self) -> str:
        return f"<LiveRun {self._path.name}>"
