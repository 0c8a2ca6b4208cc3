"""
Find, stop, continue and kill all processes of a member together.

The command of a member may be a script that starts the server as its child, and the server may
detach itself from the script.  A signal to one process, or to one group, misses the rest, and a
fault that misses the process with the sockets has no effect.  Each member is therefore started with
a mark in its environment.  Its processes are the descendants of its first process and those that
carry the mark, which survives setsid, a double fork and the end of every parent.  A process escapes
only if it both detaches from its parent processes and clears its environment.

A pid may belong to another process by the time a signal is sent.  A process is therefore identified
by its pid and its start time, and signals go through a file descriptor of the process (pidfd, Linux
5.3) whose identity was verified after it was opened.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

MARK = "ASSERTLIB_MEMBER"
"""The environment variable that holds the mark of a member's processes."""
STOPPED_WITHIN = 1.0
"""Seconds within which processes have to stop after SIGSTOP."""
KILLED_WITHIN = 10.0
"""Seconds within which processes have to end after SIGKILL."""
_POLL = 0.002
_EMPTY_SCANS = 3
"""Scans in a row that have to find nothing; a process that forks and exits can escape a scan."""
_DEAD = {"Z", "X"}
_STOPPED = {"T", "t"}
_PARENT, _STARTED = 1, 19
"""Positions of fields in /proc/PID/stat, counted from the state."""


class Identity(NamedTuple):
    """
    One process, as distinct from later ones with the same pid.

    Attributes:
        pid: Its process ID.
        started: Its start time, in clock ticks since boot.
    """

    pid: int
    started: int


_Seen = Callable[[Identity], None]


class _Process(NamedTuple):
    parent: int
    started: int
    is_marked: bool


def find(mark: str, root: int | None = None) -> set[int]:
    """
    Return the IDs of the living processes that carry *mark*, of *root*, and of their descendants.

    Source: proc(5), /proc/PID/stat and /proc/PID/environ.
    """
    return {each.pid for each in _find(mark, root)}


def _find(mark: str, root: int | None, seen: _Seen = lambda _: None) -> set[Identity]:
    """Find the same processes; marked ones go to *seen* at once, as they may fork and exit."""
    # One snapshot for both conditions: a second scan could miss a parent that has exited since.
    living = _living(mark, seen)
    found = {pid for pid, each in living.items() if pid == root or each.is_marked}
    return _with_descendants(found, living)


def descendants(pid: int) -> set[Identity]:
    """Return the living descendants of the process *pid*."""
    return {each for each in _with_descendants({pid}, _living()) if each.pid != pid}


def _with_descendants(found: set[int], living: dict[int, _Process]) -> set[Identity]:
    every = found & living.keys()
    while (
        below := {
            pid
            for pid, process in living.items()
            # A parent that is younger than its child is another process that reuses its pid.
            if process.parent in every and living[process.parent].started <= process.started
        }
        - every
    ):
        every |= below
    return {Identity(pid, living[pid].started) for pid in every}


def stop(mark: str, root: int | None = None) -> bool:
    """Stop the processes of *mark* and *root*; return whether all their threads are stopped."""
    return _repeat(partial(_running, mark, root), signal.SIGSTOP, STOPPED_WITHIN)


def running(mark: str, root: int | None = None) -> set[int]:
    """Return the IDs of the processes of *mark* and *root* with a thread that is not stopped."""
    return {each.pid for each in _running(mark, root)}


def _running(mark: str, root: int | None, seen: _Seen = lambda _: None) -> set[Identity]:
    return {each for each in _find(mark, root, seen) if not _is_stopped(each.pid)}


def _is_stopped(pid: int) -> bool:
    """Return whether all threads of the process are stopped."""
    states = _states(pid)
    # No states: the process has just ended, and may have forked before.
    return bool(states) and states <= _STOPPED


def resume(mark: str, root: int | None = None) -> None:
    """Continue the processes of *mark* and *root*."""
    for each in _find(mark, root):
        send(each, signal.SIGCONT)


def kill(mark: str, root: int | None = None) -> bool:
    """Kill the processes of *mark* and *root*; return whether none is left."""
    # A stopped process cannot fork, so killing it leaves no child behind.
    stop(mark, root)
    return _repeat(partial(_find, mark, root), signal.SIGKILL, KILLED_WITHIN)


def send(process: Identity, number: int) -> None:
    """
    Send the signal *number* to *process*, or to nothing if that process is gone.

    Missing permission is no error here: the caller checks whether the signal had its effect.
    Where the kernel or a sandbox refuses pidfd_open, the identity is verified immediately before
    the signal; campaigns refuse to start there.
    Source: pidfd_open(2).
    """
    with suppress(ProcessLookupError, PermissionError):
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError as error:
            # Docker before 20.10 rejects system calls that it does not recognize with EPERM.
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            if _identity(process.pid) == process:
                os.kill(process.pid, number)
            return
        try:
            # Verified after the descriptor was opened, which can then refer to no other process.
            if _identity(process.pid) == process:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _repeat(rest: Callable[[_Seen], set[Identity]], number: signal.Signals, within: float) -> bool:
    """Send the signal to the *rest* until none is left; return False after *within* seconds."""
    deadline = time.monotonic() + within
    empty = 0
    while empty < _EMPTY_SCANS:
        processes = rest(partial(send, number=number))
        empty = 0 if processes else empty + 1
        if processes and time.monotonic() > deadline:
            return False
        # Again, since the scan has signalled only those with the mark, not their descendants.
        for each in processes:
            send(each, number)
        time.sleep(_POLL)
    return True


def _living(mark: str | None = None, seen: _Seen = lambda _: None) -> dict[int, _Process]:
    """Return all living processes by pid, and call *seen* with each one that carries *mark*."""
    found: dict[int, _Process] = {}
    for pid in _newest_first():
        fields = _stat(f"/proc/{pid}/stat")
        # The stat of a process shows its first thread, which may have ended before the others.
        if fields and (fields[0] not in _DEAD or _states(pid)):
            is_marked = mark is not None and _carries(pid, mark)
            found[pid] = _Process(int(fields[_PARENT]), int(fields[_STARTED]), is_marked)
            if is_marked:
                seen(Identity(pid, found[pid].started))
    return found


def _newest_first() -> list[int]:
    """
    Return all pids, newest first: new processes are the likeliest to end before they are scanned.

    Source: proc(5), /proc/loadavg, whose last field is the newest pid.
    """
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    with open("/proc/loadavg", encoding="ascii") as file:
        newest = int(file.read().split()[-1])
    # Pids wrap around at a limit, so those above the newest one are older.
    return sorted(pids, key=lambda pid: (pid > newest, -pid))


def _identity(pid: int) -> Identity | None:
    """Return the identity of the process that has this pid now; None if there is none."""
    fields = _stat(f"/proc/{pid}/stat")
    return Identity(pid, int(fields[_STARTED])) if fields else None


def _states(pid: int) -> set[str]:
    """Return the states of the living threads of the process."""
    # Threads can end while they are listed; `_stat` then returns no fields.
    directory = f"/proc/{pid}/task"
    threads: list[str] = []
    with suppress(OSError):
        threads = os.listdir(directory)
    states = {state for thread in threads for state in _stat(f"{directory}/{thread}/stat")[:1]}
    return states - _DEAD


def _stat(path: str) -> list[str]:
    """Return the fields of a stat file from the state on; empty if the process is gone."""
    try:
        with open(path, "rb") as file:
            # The name of the command comes before the state, and may contain spaces and brackets.
            return file.read().rpartition(b")")[2].decode("ascii").split()
    except OSError:
        return []


def _carries(pid: int, mark: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}={mark}".encode() in file.read().split(b"\0")
    except OSError:
        return False
