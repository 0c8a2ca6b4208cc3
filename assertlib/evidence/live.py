"""
A run while it is recorded: judged again and again, from the counters of living processes.

Nothing is asked of them: counters are files that they have mapped into memory, and lines are read
where they were read last time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

from ..catalog.check import Checked
from ..inputs import is_regular
from ..recording.hits import Hit
from ..recording.reader import Follower, shard_names
from ..recording.shard import SUFFIX, is_alive
from ..recording.trials import Trial, ancestry
from .combine import Evidence
from .digest import Digest, Table, digest
from .runs import read_info
from .summary import Summary, summarise

NEWEST = 20
"""Violations that are shown."""


@dataclass(frozen=True)
class Look:
    """
    A run at one moment.

    Attributes:
        time: Nanoseconds since the epoch.
        processes: How many are recorded into it and alive.
        shards: How many there were.
        rates: Hits a second by message, since the look before; None at the first look.
        violations: The newest, the newest first.
    """

    summary: Summary
    time: int
    processes: int
    shards: int
    rates: dict[str, float] | None = None
    violations: tuple[Hit, ...] = ()

    def rate_of(self, messages: Iterable[str]) -> float | None:
        """Hits a second of these assertions; None while nobody knows."""
        rates = self.rates
        return None if rates is None else sum(rates.get(each, 0.0) for each in messages)

    @property
    def rate(self) -> float | None:
        """Evaluations a second."""
        return self.rate_of(self.rates or ())


class _Followed:
    """One shard, and what it came to last time."""

    def __init__(self, path: str) -> None:
        self.follower = Follower(path)
        self._path = path
        self._digest: Digest | None = None
        self._was_alive = True
        self.is_alive = True

    def look(self, table: Table) -> Digest:
        """What it holds now; a process that is dead says nothing new."""
        # Opening a FIFO would wait for its writer.
        self.is_alive = self._was_alive and is_regular(self._path) and is_alive(self._path)
        if self._digest is None or self._was_alive:
            self.follower.read()
            self.follower.count()
            self._digest = digest(self.follower.shard, table)
        self._was_alive = self.is_alive
        return self._digest


class LiveRun:
    """Looks at the run at *path* again and again."""

    def __init__(self, path: Path, checked: Checked) -> None:
        """
        Raises:
            UnreadableRunError: It is no run, or is damaged.
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
        The run now.

        Raises:
            UnreadableRunError: A shard is damaged.
        """
        evidence = Evidence()
        evidence.add_digests(self._info, list(self._digests()))
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
        # One that was removed is gone.
        self._followed = {path: self._followed.get(path) or _Followed(path) for path in paths}
        for followed in self._followed.values():
            yield followed.look(self._table)

    def _rates(self, summary: Summary) -> dict[str, float] | None:
        now, counts = time.monotonic(), {}
        for result in summary.assertions:
            counts[result.message] = result.hits + sum(result.antecedent or ())
        before, passed = self._before, now - self._looked
        self._before, self._looked = counts, now
        if before is None:
            return None
        return {
            message: max(0, count - before.get(message, 0)) / passed
            for message, count in counts.items()
        }

    def _violations(self) -> Iterator[Hit]:
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
