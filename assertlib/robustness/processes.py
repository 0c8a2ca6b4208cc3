"""
List, stop, continue and kill all processes of a member together.

The command of a member may be a script that starts the server as its child, and the server may
detach itself from it.  A signal to one process, or to one group, misses the rest, and a fault
that misses the process with the sockets does nothing.  So each member is started with a mark in
its environment.  Its processes are those below its first one and those that carry the mark,
which survives setsid, a double fork and the end of every parent.  A process escapes only if it
leaves its parents and drops its environment, too.

A pid may belong to another process by the time a signal is sent.  So a process is identified by
its pid and its start time, and signals go through a file descriptor of the process
(pidfd, Linux 5.3) whose identity was verified after it was opened.
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
"""The variable in the environment of all processes of a member."""
STOPPED_WITHIN = 1.0
KILLED_WITHIN = 10.0
"""Seconds in which processes have to obey a signal that they cannot handle."""
_POLL = 0.002
_EMPTY_SCANS = 3
"""Looks at all processes that have to find none; one that forks and ends can escape a look."""
_DEAD = {"Z", "X"}
_STOPPED = {"T", "t"}
_PARENT, _STARTED = 1, 19
"""Places in /proc/PID/stat, counted from the state."""


class Identity(NamedTuple):
    """
    One process, distinct from later ones with the same pid.

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
    The living processes that carry *mark*, the process *root*, and all below them.

    Source: proc(5), /proc/PID/stat and /proc/PID/environ.
    """
    return {each.pid for each in _find(mark, root)}


def _find(mark: str, root: int | None, seen: _Seen = lambda _: None) -> set[Identity]:
    """The same; those with the mark are handed to *seen* at once, as they may soon be others."""
    living = _living(mark, seen)
    found = {pid for pid, each in living.items() if pid == root or each.is_marked}
    return _with_all_below(found, living)


def descendants(pid: int) -> set[Identity]:
    """The living processes that *pid* started, those that these started, and so on."""
    return {each for each in _with_all_below({pid}, _living()) if each.pid != pid}


def _with_all_below(found: set[int], living: dict[int, _Process]) -> set[Identity]:
    every = found & living.keys()
    while (
        below := {
            pid
            for pid, process in living.items()
            # A parent that is younger is another process with the number of the parent.
            if process.parent in every and living[process.parent].started <= process.started
        }
        - every
    ):
        every |= below
    return {Identity(pid, living[pid].started) for pid in every}


def stop(mark: str, root: int | None = None) -> bool:
    """Stop them all; whether every thread of them stands still."""
    return _repeat(partial(_running, mark, root), signal.SIGSTOP, STOPPED_WITHIN)


def running(mark: str, root: int | None = None) -> set[int]:
    """Those of them with a thread that does not stand still."""
    return {each.pid for each in _running(mark, root)}


def _running(mark: str, root: int | None, seen: _Seen = lambda _: None) -> set[Identity]:
    return {each for each in _find(mark, root, seen) if not _is_stopped(each.pid)}


def _is_stopped(pid: int) -> bool:
    """Whether all its threads are; one that has just ended was not."""
    states = _states(pid)
    return bool(states) and states <= _STOPPED


def resume(mark: str, root: int | None = None) -> None:
    """Let them all go on."""
    for each in _find(mark, root):
        send(each, signal.SIGCONT)


def kill(mark: str, root: int | None = None) -> bool:
    """Kill them all, stopped first so that none starts another; whether none is left."""
    stop(mark, root)
    return _repeat(partial(_find, mark, root), signal.SIGKILL, KILLED_WITHIN)


def send(process: Identity, number: int) -> None:
    """
    Send a signal to *process*; to none if it is gone, whoever has its number now.

    A process that may not be signalled gets none either: the caller checks whether it obeys.
    Where the kernel or a sandbox refuses pidfd_open, the identity is verified immediately before
    the signal; campaigns refuse to start there.
    Source: pidfd_open(2).
    """
    with suppress(ProcessLookupError, PermissionError):
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError as error:
            # Docker before 20.10 answers EPERM to system calls that it does not know.
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            if _identity(process.pid) == process:
                os.kill(process.pid, number)
            return
        try:
            # Verified after it was opened: from here on the descriptor stands for this process.
            if _identity(process.pid) == process:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _repeat(rest: Callable[[_Seen], set[Identity]], number: signal.Signals, within: float) -> bool:
    """Send the signal to the *rest* that does not obey it yet; whether all did in the end."""
    deadline = time.monotonic() + within
    empty = 0
    while empty < _EMPTY_SCANS:
        processes = rest(partial(send, number=number))
        empty = 0 if processes else empty + 1
        if processes and time.monotonic() > deadline:
            return False
        for each in processes:
            send(each, number)
        time.sleep(_POLL)
    return True


def _living(mark: str | None = None, seen: _Seen = lambda _: None) -> dict[int, _Process]:
    """All living processes; *seen* is called with each that carries *mark* when it is found."""
    found: dict[int, _Process] = {}
    for pid in _newest_first():
        fields = _stat(f"/proc/{pid}/stat")
        # The first thread may have ended before the others.
        if fields and (fields[0] not in _DEAD or _states(pid)):
            is_marked = mark is not None and _carries(pid, mark)
            found[pid] = _Process(int(fields[_PARENT]), int(fields[_STARTED]), is_marked)
            if is_marked:
                seen(Identity(pid, found[pid].started))
    return found


def _newest_first() -> list[int]:
    """
    The numbers of all processes; the newest are the likeliest to end before they are looked at.

    Source: proc(5), /proc/loadavg, whose last field is the newest number.
    """
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    with open("/proc/loadavg", encoding="ascii") as file:
        newest = int(file.read().split()[-1])
    # Numbers begin again at a limit.
    return sorted(pids, key=lambda pid: (pid > newest, -pid))


def _identity(pid: int) -> Identity | None:
    """The process that has this number now."""
    fields = _stat(f"/proc/{pid}/stat")
    return Identity(pid, int(fields[_STARTED])) if fields else None


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
