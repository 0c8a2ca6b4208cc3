"""
All processes of a member, listed, stopped, continued and killed together.

The command of a member may be a script that starts the server as its child, and the server may
detach itself from it.  A signal to one process, or to one group, misses the rest, and a fault
that misses the process with the sockets does nothing.  So each member is started with a mark in
its environment.  Its processes are those below its first one and those that carry the mark,
which survives setsid, a double fork and the end of every parent.  A process escapes only if it
leaves its parents and drops its environment, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

MARK = "ASSERTLIB_MEMBER"
"""The variable in the environment of all processes of a member."""
STOPPED_WITHIN = 1.0
KILLED_WITHIN = 10.0
"""Seconds in which processes have to obey a signal that they cannot handle."""
_POLL = 0.002
_DEAD = {"Z", "X"}
_STOPPED = {"T", "t"}


def find(mark: str, root: int | None = None) -> set[int]:
    """
    The living processes that carry *mark*, the process *root*, and all below them.

    Source: proc(5), /proc/PID/stat and /proc/PID/environ.
    """
    parents = _parents()
    found = {pid for pid in parents if pid == root or _carries(pid, mark)}
    return found | _below(found, parents)


def descendants(pid: int) -> set[int]:
    """The living processes that *pid* started, those that these started, and so on."""
    return _below({pid}, _parents()) - {pid}


def _below(found: set[int], parents: dict[int, int]) -> set[int]:
    every = set(found)
    while below := {pid for pid, parent in parents.items() if parent in every} - every:
        every |= below
    return every


def stop(mark: str, root: int | None = None) -> bool:
    """Stop them all; whether every thread of them stands still."""
    return _repeat(lambda: running(mark, root), signal.SIGSTOP, STOPPED_WITHIN)


def running(mark: str, root: int | None = None) -> set[int]:
    """Those of them with a thread that does not stand still."""
    return {pid for pid in find(mark, root) if not _states(pid) <= _STOPPED}


def resume(mark: str, root: int | None = None) -> None:
    """Let them all go on."""
    for pid in find(mark, root):
        _send(pid, signal.SIGCONT)


def kill(mark: str, root: int | None = None) -> bool:
    """Kill them all, stopped first so that none starts another; whether none is left."""
    stop(mark, root)
    return _repeat(lambda: find(mark, root), signal.SIGKILL, KILLED_WITHIN)


def guard(marks: Iterable[str]) -> subprocess.Popen[bytes]:
    """
    A process that kills all that carry one of *marks* once its standard input is closed.

    The kernel closes it when this process ends, however it does.
    """
    return subprocess.Popen(
        [sys.executable, "-m", __name__, *marks],
        stdin=subprocess.PIPE,
        # An interrupt at the terminal is not for it.
        start_new_session=True,
    )


def _repeat(rest: Callable[[], set[int]], number: signal.Signals, within: float) -> bool:
    """Send the signal to the *rest* that does not obey it yet; whether all did in the end."""
    deadline = time.monotonic() + within
    while pids := rest():
        if time.monotonic() > deadline:
            return False
        for pid in pids:
            _send(pid, number)
        time.sleep(_POLL)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    # One that may not be signalled does not obey, which the caller finds out.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _parents() -> dict[int, int]:
    """The parent of each living process."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        fields = _stat(f"/proc/{name}/stat") if name.isdecimal() else []
        # The first thread may have ended before the others.
        if fields and (fields[0] not in _DEAD or _states(int(name))):
            found[int(name)] = int(fields[1])
    return found


def _states(pid: int) -> set[str]:
    """The states of its living threads."""
    directory = f"/proc/{pid}/task"
    threads: list[str] = []
    with suppress(OSError):
        threads = os.listdir(directory)
    states = {state for thread in threads for state in _stat(f"{directory}/{thread}/stat")[:1]}
    return states - _DEAD


def _stat(path: str) -> list[str]:
    """The fields from the state on; none if it is gone."""
    try:
        with open(path, "rb") as file:
            # The name before it may hold anything.
            return file.read().rpartition(b")")[2].decode("ascii").split()
    except OSError:
        return []


def _carries(pid: int, mark: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}={mark}".encode() in file.read().split(b"\0")
    except OSError:
        return False


if __name__ == "__main__":
    # A child between fork and exec holds the other end, too, so that all carry their marks now.
    sys.stdin.buffer.read()
    for each in sys.argv[1:]:
        kill(each)
