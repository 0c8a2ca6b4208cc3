"""
Run directories: where they are, what they are called, who lives in them.
"""

from __future__ import annotations

import os

from ..inputs import is_regular
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
            path = os.path.join(self._run_dir, name + self._suffix)
            # Opening a FIFO would wait for its writer.
            if is_regular(path) and is_alive(path):
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


def find_commit(start: str) -> str | None:
    """
    The commit checked out at *start* or above, read from ``.git`` without
    running git; None when there is none to be seen.
    """
    git = _git_above(start)
    return None if git is None else _head_commit(git)


def find_branch(start: str) -> str | None:
    """The branch checked out at *start* or above; None where there is none to be seen."""
    git = _git_above(start)
    try:
        head = "" if git is None else _read(os.path.join(_git_directories(git)[0], "HEAD"))
    except (OSError, UnicodeDecodeError):
        return None
    prefix = "ref: refs/heads/"
    return head.removeprefix(prefix) if head.startswith(prefix) else None


def _git_above(start: str) -> str | None:
    directory = start
    while True:
        git = os.path.join(directory, ".git")
        if system.exists(git):
            return git
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _head_commit(git: str) -> str | None:
    try:
        git, common = _git_directories(git)
        head = _read(os.path.join(git, "HEAD"))
        if not head.startswith("ref: "):
            return head or None
        name = head[len("ref: ") :]
        for directory in (git, common):
            path = os.path.join(directory, name)
            if system.exists(path):
                return _read(path)
        return _packed(os.path.join(common, "packed-refs"), name)
    except (OSError, UnicodeDecodeError):
        return None


def _git_directories(git: str) -> tuple[str, str]:
    # In a worktree .git is a file that names the real directory, and that one
    # names the common directory in which branches live.
    if os.path.isfile(git):
        target = _read(git).removeprefix("gitdir: ")
        git = os.path.join(os.path.dirname(git), target)
    common = os.path.join(git, "commondir")
    return git, os.path.join(git, _read(common)) if system.exists(common) else git


def _packed(path: str, name: str) -> str | None:
    for line in _read(path).splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return commit
    return None


def _read(path: str) -> str:
    return system.read_text(path).strip()
