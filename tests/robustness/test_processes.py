"""
All processes of a member, however they were started: real ones, stopped and killed together.
"""

import contextlib
import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from assertlib.robustness import processes
from assertlib.robustness.adapter import Member
from assertlib.robustness.cluster import Process

from ..support import until

SLEEP = "import sys, time; print('up', flush=True); time.sleep(600)"
# Counts in a file, so that anyone can see whether it goes on.
COUNT = """
import sys, time
with open(sys.argv[1], "a", buffering=1) as file:
    while True:
        file.write("x")
        file.flush()
        time.sleep(0.005)
"""
DETACHED = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
os.wait()
time.sleep(600)
"""
# One process that takes a new number, a new session and a new parent over and over.
HOPPING = """
import os, time
if os.fork():
    print("up", flush=True)
    time.sleep(600)
for _ in range(5000):
    time.sleep(0.002)
    if os.fork():
        os._exit(0)
    os.setsid()
"""
THREADS = """
import ctypes, threading, time
for _ in range(5):
    threading.Thread(target=time.sleep, args=(600,)).start()
print("up", flush=True)
# The first thread ends, the others go on.
ctypes.CDLL(None).pthread_exit(None)
"""


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
def started(tmp_path):
    """Starts members, whose processes are gone afterwards in any case."""
    with contextlib.ExitStack() as stack:

        def start(*command):
            member = Member("m1", tmp_path / "data", 0, 0, "")
            process = Process(member, [*map(str, command)], tmp_path / "log")
            stack.callback(process.kill)
            process.start()
            return process

        yield start


def wrappers(program, *arguments):
    """Ways in which a store's command starts the server as another process."""
    python = sys.executable
    return {
        "a script without exec": ["sh", "-c", '"$@"; true', "sh", python, "-c", program],
        "a child with a session of its own": [
            *("sh", "-c", 'setsid "$@" & wait', "sh"),
            *(python, "-c", program),
        ],
        "a double fork": [python, "-c", DETACHED, program],
    }


WRAPPERS = list(wrappers(""))


@pytest.mark.parametrize("how", WRAPPERS)
def test_a_server_is_stopped_resumed_and_killed_however_it_was_started(started, tmp_path, how):
    count = tmp_path / "count"
    process = started(*wrappers(COUNT)[how], count)
    size = lambda: count.stat().st_size if count.exists() else 0  # noqa: E731
    until(size)
    pids = process.pids()
    assert len(pids) >= 2
    process.pause()
    assert process.running() == set()
    stopped = size()
    until_later()
    assert size() == stopped
    process.resume()
    until(lambda: size() > stopped)
    assert process.kill() == len(pids)
    assert not any(map(is_alive, pids))
    killed = size()
    until_later()
    assert size() == killed


def until_later():
    """Long enough for many writes of a counter that goes on."""
    ends = time.monotonic() + 0.2
    until(lambda: time.monotonic() > ends)


def test_a_helper_that_outlives_its_parent_is_killed_with_the_member(started):
    process = started("sh", "-c", "setsid sleep 600 & echo $!; exec sleep 600")
    until(lambda: process.tail().isdigit())
    helper = int(process.tail())
    until(lambda: helper in process.pids())
    process.kill()
    assert not is_alive(helper)


def test_a_helper_that_outlives_a_crash_is_gone_before_the_member_starts_again(started):
    process = started("sh", "-c", "setsid sleep 600 & echo $!; exec sleep 600")
    until(lambda: process.tail().isdigit())
    helper = int(process.tail())
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not process.is_running)
    assert is_alive(helper)
    process.start()
    assert not is_alive(helper)


def test_a_child_without_our_environment_belongs_to_the_member_while_its_parent_lives(started):
    process = started("sh", "-c", f'env -i {sys.executable} -c "$1" & wait', "sh", SLEEP)
    until(lambda: "up" in process.tail())
    pids = process.pids()
    assert len(pids) == 2
    process.kill()
    assert not any(map(is_alive, pids))


def test_a_process_that_keeps_forking_and_detaching_is_stopped_and_killed(started):
    process = started(sys.executable, "-c", HOPPING)
    until(lambda: "up" in process.tail())
    process.pause()
    stopped = process.pids()
    assert stopped
    until_later()
    assert (process.pids(), process.running()) == (stopped, set())
    process.resume()
    until(lambda: process.pids() != stopped)
    process.kill()
    until_later()
    assert process.pids() == set()


def test_all_threads_stand_still_in_a_pause_also_where_the_first_has_ended(started):
    process = started(sys.executable, "-c", THREADS)
    until(lambda: "up" in process.tail())
    pid = process.pid
    threads = lambda: [  # noqa: E731
        path.read_text().rpartition(")")[2].split()[0]
        for path in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    until(lambda: sorted(set(threads())) == ["S", "Z"])
    process.pause()
    assert set(threads()) == {"T", "Z"}
    process.resume()
    assert process.kill() == 1


def test_processes_that_were_continued_from_outside_are_reported_as_running(started):
    process = started(sys.executable, "-c", SLEEP)
    until(lambda: "up" in process.tail())
    process.pause()
    os.kill(process.pid, signal.SIGCONT)
    until(lambda: process.running() == {process.pid})


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EPERM])
def test_a_process_is_signalled_where_the_kernel_has_no_descriptors_of_processes(
    started, monkeypatch, refusal
):
    def refuse(_):
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    member = started("sleep", 600)
    (pid,) = member.pids()
    mine = processes.descendants(os.getpid())
    (identity,) = [each for each in mine if each.pid == pid]
    processes.send(identity._replace(started=identity.started - 1), signal.SIGKILL)
    processes.send(identity, signal.SIGSTOP)
    until(lambda: not member.running())
    assert is_alive(pid)


def test_members_do_not_share_processes(tmp_path, started):
    mine, other = started("sleep", 600), started("sleep", 600)
    assert mine.pids().isdisjoint(other.pids())
    mine.kill()
    assert other.is_running
