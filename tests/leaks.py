"""
Fails a test that leaves a socket, a thread, a child process or a temporary directory behind.

A leak is otherwise blamed on whichever test the garbage collector happens to run in.
"""

import gc
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

GRACE = 5
"""Seconds for what is ending: a thread that was asked to stop, a child that was killed."""

OWN_PLACE = "-tmp"
"""Ends the path of a worker's own temporary directory; short, since sockets have paths."""


def sockets():
    """The sockets of this process, by inode: a number is used again, an inode is not."""
    found = set()
    for each in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{each}")
        except OSError:  # The descriptor of the listing itself.
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def children():
    """The child processes of this process, zombies included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update((task / "children").read_text().split())
        except OSError:  # The thread ended meanwhile.
            continue
    return found


def threads():
    return {each for each in threading.enumerate() if not each.name.startswith("pytest")}


def directories():
    """What stands in the temporary directory of this worker; shared with others, nothing."""
    place = tempfile.gettempdir()
    return set(os.listdir(place)) if place.endswith(OWN_PLACE) else set()


KINDS = {"socket": sockets, "thread": threads, "child process": children, "directory": directories}


def standing():
    return {kind: found() for kind, found in KINDS.items()}


def leaks(before):
    """What stands now and did not stand *before*, by kind; a shared process may be replaced."""
    now = standing()
    return {
        kind: found - before[kind] for kind, found in now.items() if len(found) > len(before[kind])
    }


def use_own_directory(config):
    """Give a worker of several a temporary directory of its own, so that leaks are its own."""
    if "PYTEST_XDIST_WORKER" in os.environ and config.option.basetemp:
        place = config.option.basetemp + OWN_PLACE
        os.makedirs(place, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = place


@pytest.fixture(autouse=True)
def nothing_left_open():
    """Function-scoped and automatic: set up after shared fixtures, torn down after all others."""
    before = standing()
    yield
    deadline = time.monotonic() + GRACE
    while (left := leaks(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if left:
        gc.collect()  # So that a warning is raised here rather than in a later test.
        pytest.fail(f"left behind: {left}")
