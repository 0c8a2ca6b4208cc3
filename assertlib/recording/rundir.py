"""
Run directories: where they are, what they are called, who lives in them.
"""

from __future__ import annotations

import os

from .shard import SUFFIX, is_alive
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RUN_FILE = "run.json"
OUTPUTS, KNOWN = "antithesis", ".json"
"""Where processes with an Antithesis SDK leave their output, and what else is known of them."""

_CLOCK_GRAIN = 100_000_000  # nanoseconds; file systems round times to no more than that


def shard_name() -> str:
    """A name for this process's shard that no other process has."""
    return f"{system.getpid()}-{system.urandom(4).hex()}"


def shard_paths(run_dir: str) -> list[str]:
    """The shards in *run_dir*, sorted by name."""
    return sorted(
        os.path.join(run_dir, name) for name in system.listdir(run_dir) if name.endswith(SUFFIX)
    )


class LiveShards:
    """
    Which processes of a run still write.

    A dead process stays dead, and a directory that did not change has no new
    ones, so asking again costs little.
    """

    def __init__(self, run_dir: str, own: str = "", suffix: str = SUFFIX) -> None:
        """
        Args:
            own: Name of the shard that does not count.
            suffix: Of the files that processes keep locked.
        """
        self._run_dir = run_dir
        self._suffix = suffix
        self._dead: set[str] = {own}
        self._alive: set[str] = set()
        self._changed = -1
        self._noticed = 0

    def names(self) -> list[str]:
        """Names of the shards, without suffix, whose processes run."""
        self.changing()
        return sorted(self._alive)

    def changing(self) -> list[str]:
        """Names of the shards whose processes run, or have ended since this was asked last."""
        examined = list(self._candidates())
        for name in examined:
            if is_alive(os.path.join(self._run_dir, name + self._suffix)):
                self._alive.add(name)
            else:
                self._alive.discard(name)
                self._dead.add(name)
        return examined

    def _candidates(self) -> Iterable[str]:
        try:
            changed = system.stat(self._run_dir).st_mtime_ns
            now = system.clock()
            if changed != self._changed:
                self._changed, self._noticed = changed, now
            elif now - self._noticed > _CLOCK_GRAIN:
                # Until then, another change may have got the same time.
                return sorted(self._alive)
            names = system.listdir(self._run_dir)
        except OSError:
            return ()
        suffix = self._suffix
        shards = {name[: -len(suffix)] for name in names if name.endswith(suffix)}
        return sorted(shards - self._dead)
