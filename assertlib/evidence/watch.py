"""
Violations as they are written, by any process of a run.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..recording.hits import Hit
from ..recording.reader import Follower, UnreadableRunError
from ..recording.records import TroubleRecord
from ..recording.rundir import shard_paths
from ..recording.trials import Trial, ancestry


class RunWatch:
    """
    Follows all shards of a run.

    Attributes:
        violations: Unexpected violations that were not taken yet.
        troubles: Assertions that could not be evaluated, likewise.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = str(run_dir)
        self._followers: dict[str, Follower] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self.violations: list[Hit] = []
        self.troubles: list[TroubleRecord] = []

    def update(self) -> None:
        """
        Read what was written since.

        Raises:
            UnreadableRunError: A shard is damaged.
        """
        try:
            paths = shard_paths(self._run_dir)
        except OSError as error:
            raise UnreadableRunError(f"{self._run_dir}: {error.strerror}") from error
        for path in paths:
            name = os.path.basename(path)
            follower = self._followers.setdefault(name, Follower(path))
            follower.read()
            hits, troubles = self._seen.get(name, (0, 0))
            self.violations += [hit for hit in follower.shard.hits[hits:] if hit.is_violation]
            self.troubles += follower.shard.troubles[troubles:]
            self._seen[name] = (len(follower.shard.hits), len(follower.shard.troubles))

    def take(self, root: str | None) -> tuple[list[Hit], list[TroubleRecord]]:
        """Remove and return what belongs to the trial *root* or to trials inside it."""
        trials = self._trials()
        violations = [hit for hit in self.violations if _is_inside(hit.trial, root, trials)]
        troubles = [each for each in self.troubles if _is_inside(each.trial, root, trials)]
        self.violations = [hit for hit in self.violations if hit not in violations]
        self.troubles = [each for each in self.troubles if each not in troubles]
        wanted = [hit for hit in violations if not _is_on_purpose(hit, trials)]
        return wanted, troubles

    def take_late(self) -> list[Hit]:
        """Remove and return what belongs to no trial, or was violated after its trial's end."""
        trials = self._trials()
        ends = {
            identifier: record.end
            for follower in self._followers.values()
            for identifier, record in follower.shard.trials.items()
        }
        late = []
        for hit in self.violations:
            root = self._root(hit.trial, trials)
            end = None if root is None else ends.get(root)
            is_late = root is None or (end is not None and hit.time > end)
            if is_late and not _is_on_purpose(hit, trials):
                late.append(hit)
        self.violations = [hit for hit in self.violations if hit not in late]
        return late

    def _trials(self) -> dict[str, Trial]:
        return {
            identifier: record.trial
            for follower in self._followers.values()
            for identifier, record in follower.shard.trials.items()
        }

    def _root(self, trial: str | None, trials: dict[str, Trial]) -> str | None:
        for ancestor in ancestry(trial, trials):
            trial = ancestor.id
        return trial


def _is_inside(trial: str | None, outer: str | None, trials: dict[str, Trial]) -> bool:
    return trial == outer or any(each.id == outer for each in ancestry(trial, trials))


def _is_on_purpose(hit: Hit, trials: dict[str, Trial]) -> bool:
    return any(each.expects_violation_of(hit.message) for each in ancestry(hit.trial, trials))
