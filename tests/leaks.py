"""
Fails a test that leaves a socket, a thread, a child process or a temporary directory behind.

A leak is otherwise blamed on whichever test the garbage collector happens to run in.
"""

import gc
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest

GRACE = 5
"""Seconds for what is ending: a thread that was asked to stop, a child that was killed."""

SHARED = ("pytest-of-", "assertlib-pg-", "assertlib-campaigns-")
"""Of pytests that tests run, of the database of a session, and of all campaigns of a user."""

SHARED_PROCESSES: set[str] = set()
SHARED_SOCKETS: set[str] = set()
"""Those of a session, by number and by inode; whoever starts or opens one adds it."""

OWN_DIRECTORY = ""
"""The temporary directory of this process alone."""


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
    return found - SHARED_SOCKETS


def children():
    """The child processes of this process, zombies included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update((task / "children").read_text().split())
        except OSError:  # The thread ended meanwhile.
            continue
    return found - SHARED_PROCESSES


def threads():
    return {each for each in threading.enumerate() if not each.name.startswith("pytest")}


def directories():
    """What stands in the temporary directory of this worker; shared with others, nothing."""
    place = tempfile.gettempdir()
    names = os.listdir(place) if place == OWN_DIRECTORY else ()
    return {name for name in names if not name.startswith(SHARED)}


KINDS = {"socket": sockets, "thread": threads, "child process": children, "directory": directories}


def standing():
    return {kind: found() for kind, found in KINDS.items()}


def leaks(before):
    """What stands now and did not stand *before*, by kind; a shared process may be replaced."""
    now = standing()
    return {
        kind: found - before[kind] for kind, found in now.items() if len(found) > len(before[kind])
    }


def use_own_directory():
    """Give this process a temporary directory of its own, so that what lies there is its own."""
    global OWN_DIRECTORY
    OWN_DIRECTORY = tempfile.mkdtemp(prefix="at-", dir="/tmp")
    # Tests start programs as other users.
    os.chmod(OWN_DIRECTORY, 0o755)
    os.environ["TMPDIR"] = tempfile.tempdir = OWN_DIRECTORY


def remove_own_directory():
    """Remove it with what shared fixtures left."""
    if OWN_DIRECTORY:
        shutil.rmtree(OWN_DIRECTORY, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_left_open():
    """Function-scoped and automatic: set up after shared fixtures, torn down after all others."""
    before = standing()
    yield
    deadline = time.monotonic() + GRACE
    while (left := leaks(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if left:
        # What is closed only now, of Python's, warns here rather than in a later test.
        gc.collect()
        left = leaks(before)
    if left:
        pytest.fail(f"left behind: {left}")
