"""
Detection of violations in any process of a run, as they are recorded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ..recording.hits import Hit
from ..recording.reader import Follower, UnreadableRunError
from ..recording.records import ErrorRecord
from ..recording.rundir import LiveShards
from ..recording.shard import SUFFIX
from ..recording.system import system
from ..recording.trials import Trial, ancestry


class Seen(NamedTuple):
    """A violation, and the name of the shard that holds its record."""

    shard: str
    hit: Hit


class RunWatch:
    """
    Follows all shards of a run.

    A shard is read until its process has ended, and not again, so that the cost does not grow with
    the number of processes that have ended.

    Attributes:
        violations: Violations that have not been taken yet.
        troubles: Assertions that could not be evaluated, and that have not been taken yet.
    """

    def __init__(self, run_dir: Path, *, but: int | None = None) -> None:
        """
        Args:
            run_dir: The run directory.
            but: Id of a process whose violations are ignored; None to ignore none.
        """
        self._run_dir = str(run_dir)
        self._live = LiveShards(self._run_dir)
        self._but = but
        self._followers: dict[str, Follower] = {}
        self._taken: dict[str, tuple[int, int]] = {}
        self._trials: dict[str, Trial] = {}
        self.violations: list[Seen] = []
        self.troubles: list[ErrorRecord] = []

    def update(self) -> None:
        """
        Read the records written since the last update.

        Raises:
            UnreadableRunError: A shard is damaged, or the run's directory is gone.
        """
        # Without its directory the run would look like one without violations.
        if not system.exists(self._run_dir):
            raise UnreadableRunError(f"{self._run_dir}: the run's directory is gone")
        for name in self._live.changing():
            path = os.path.join(self._run_dir, name + SUFFIX)
            # Followers keep their position, so that each line is parsed once.
            follower = self._followers.get(name) or Follower(path)
            self._followers[name] = follower
            follower.read()
            self._take_over(name, follower)

    def _take_over(self, name: str, follower: Follower) -> None:
        # A follower accumulates its shard; entries beyond the numbers taken so far are new.
        shard = follower.shard
        hits, troubles = self._taken.get(name, (0, 0))
        self._taken[name] = (len(shard.hits), len(shard.troubles))
        # Trials of all shards: a violation may be in one that another process began.
        self._trials.update((id, record.trial) for id, record in shard.trials.items())
        self.troubles += shard.troubles[troubles:]
        if self._but is None or shard.header.get("pid") != self._but:
            self.violations += [Seen(name, hit) for hit in shard.hits[hits:] if hit.is_violation]

    def take(self, root: str | None) -> tuple[list[Seen], list[ErrorRecord]]:
        """
        Remove and return the entries of a trial and of trials inside it.

        Args:
            root: Id of the trial; None for entries outside of trials.

        Returns:
            The unexpected violations, and the assertions that could not be evaluated.
        """
        mine = [seen for seen in self.violations if self._is_inside(seen.hit.trial, root)]
        troubles = [each for each in self.troubles if self._is_inside(each.trial, root)]
        if mine:
            # A set of ids, since searching the list for each entry would be quadratic.
            taken = set(map(id, mine))
            self.violations = [seen for seen in self.violations if id(seen) not in taken]
        if troubles:
            taken = set(map(id, troubles))
            self.troubles = [each for each in self.troubles if id(each) not in taken]
        # Filtered last: violations on purpose are removed as well, but not returned.
        return [seen for seen in mine if not self._is_on_purpose(seen.hit)], troubles

    def was_violated(self, message: str, root: str) -> bool:
        """Whether the assertion *message* was violated in the trial *root*, by any process."""
        return any(
            seen.hit.message == message and self._is_inside(seen.hit.trial, root)
            for seen in self.violations
        )

    def _is_inside(self, trial: str | None, outer: str | None) -> bool:
        return trial == outer or any(each.id == outer for each in ancestry(trial, self._trials))

    def _is_on_purpose(self, hit: Hit) -> bool:
        around = ancestry(hit.trial, self._trials)
        return any(each.expects_violation_of(hit.message) for each in around)
