"""
Run directories: their files, the names of shards, and the processes that are still recording.
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
"""Directory of the output of Antithesis SDKs, and suffix of the facts about their processes."""

_CLOCK_GRAIN = 100_000_000  # nanoseconds; file systems round times to no more than that


def shard_name() -> str:
    """A unique name for the shard of this process."""
    # The pid alone is not unique: it is reused, and processes in containers may share one.
    return f"{system.getpid()}-{system.urandom(4).hex()}"


def shard_paths(run_dir: str) -> list[str]:
    """Paths of the shards in *run_dir*, sorted by name."""
    return sorted(
        os.path.join(run_dir, name) for name in system.listdir(run_dir) if name.endswith(SUFFIX)
    )


class LiveShards:
    """
    The processes of a run that are still recording.

    A dead process stays dead, and a directory that has not changed contains no new shards, so
    repeated calls cost little.
    """

    def __init__(self, run_dir: str, own: str = "", suffix: str = SUFFIX) -> None:
        """
        Args:
            run_dir: The directory to examine.
            own: Name of a shard to leave out; empty for none.
            suffix: Suffix of the files that processes keep locked.
        """
        self._run_dir = run_dir
        self._suffix = suffix
        self._dead: set[str] = {own}
        self._alive: set[str] = set()
        self._changed = -1
        self._noticed = 0

    def names(self) -> list[str]:
        """Names, without suffix, of the shards whose processes are alive."""
        self.changing()
        return sorted(self._alive)

    def changing(self) -> list[str]:
        """Names of the shards whose processes are alive, or have ended since the last call."""
        examined = list(self._candidates())
        for name in examined:
            if is_alive(os.path.join(self._run_dir, name + self._suffix)):
                self._alive.add(name)
            else:
                # Still reported this once: it may have written its last lines since the last call.
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
                # Until then, a second change may have got the same modification time.
                return sorted(self._alive)
            names = system.listdir(self._run_dir)
        except OSError:
            return ()
        suffix = self._suffix
        shards = {name[: -len(suffix)] for name in names if name.endswith(suffix)}
        return sorted(shards - self._dead)
