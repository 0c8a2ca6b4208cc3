"""
Commands that a signal ends: what they started ends, too, and what there is is judged.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from assertlib.cli import signals

from ..evidence.projects import BIN, Project, environment
from ..support import heed_hangups

PROGRAM = """
import signal, subprocess, sys, time
import store
{handler}
store.put({value})
child = subprocess.Popen([sys.executable, "-c", "import time; print(0, flush=True); time.sleep(600)"],
    stdout=subprocess.PIPE, start_new_session={session})
child.stdout.readline()
print("ready", child.pid, flush=True)
time.sleep(600)
"""
HANDLED = "signal.signal(signal.{name}, lambda *_: sys.exit(print('stopped in order', flush=True)))"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def started(project, program, *words):
    """The command once its program is ready, and the program's child."""
    project.write("program.py", program)
    command = subprocess.Popen(
        [BIN / "assertlib", *words, sys.executable, "program.py"],
        cwd=project.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_hangups,
    )
    ready = command.stdout.readline().split()
    assert ready[0] == "ready"
    return command, int(ready[1])


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid, within=10.0):
    deadline = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(pid)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"])
def test_a_signal_reaches_the_command_and_all_that_it_started(project, name):
    program = PROGRAM.format(handler=HANDLED.format(name=name), value=1, session=True)
    command, child = started(project, program, "run", "--full", "--")
    command.send_signal(getattr(signal, name))
    out, err = command.communicate(timeout=60)
    assert command.returncode == 128 + getattr(signal, name)
    assert "stopped in order" in out
    assert gone(child)
    assert "1 evaluation, 1 of 4 assertions hit, 0 violated" in err
    assert project.report()["full"] is False


def test_what_was_violated_before_the_signal_is_reported(project):
    program = PROGRAM.format(handler="", value=-1, session=False)
    command, child = started(project, program, "run", "--")
    command.terminate()
    _, err = command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGTERM
    assert "1 violated" in err
    assert gone(child)
    assert project.cli("report").returncode == 1


def test_what_does_not_end_is_killed_at_a_second_signal(project):
    handler = "signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))"
    command, child = started(
        project, PROGRAM.format(handler=handler, value=1, session=False), "run", "--"
    )
    command.terminate()
    assert command.stdout.readline() == "no\n"
    command.terminate()
    command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGKILL
    assert gone(child)


def test_what_does_not_end_in_time_is_killed(monkeypatch):
    monkeypatch.setattr(signals, "GRACE", 0.1)
    source = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"os.kill({os.getpid()}, signal.SIGTERM)\n"
        "time.sleep(600)\n"
    )
    ended = signals.supervised([sys.executable, "-c", source], os.environ)
    assert (ended.code, ended.signal) == (128 + signal.SIGKILL, signal.SIGTERM)


def test_a_command_that_ends_by_itself_may_leave_a_daemon_running(project):
    source = """
import subprocess, sys
import store
store.put(1)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print(child.pid)
"""
    done = project.record(source)
    child = int(done.stdout)
    assert done.returncode == 0
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)


SCENARIO = """
import asyncio, sys
import store
async def main(world):
    store.put(1)
    await asyncio.sleep(1)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_an_exploration_that_is_ended_judges_the_trials_that_it_ran(project, name):
    project.write("scenario.py", SCENARIO)
    command = subprocess.Popen(
        [BIN / "assertlib", "sim", "explore", "scenario:main", "--for", "10m"],
        cwd=project.root,
        env=environment(PYTHONPATH="."),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_hangups,
    )
    workers = signals.descendants(command.pid)
    while not project.runs() or not any(project.runs()[-1].glob("*.jsonl")):
        assert command.poll() is None, command.communicate()[1]
        workers = signals.descendants(command.pid)
        time.sleep(0.01)
    command.send_signal(getattr(signal, name))
    out, err = command.communicate(timeout=60)
    assert command.returncode == 128 + getattr(signal, name)
    assert f"interrupted by {name}; judging partial results" in err
    assert "store   run" in out
    assert all(gone(worker.pid) for worker in workers)


def test_under_nohup_a_hangup_ends_nothing(project):
    project.write(
        "program.py",
        """
        import os, signal, store
        store.put(1)
        os.kill(os.getppid(), signal.SIGHUP)
        print("went on")
        """,
    )
    words = [BIN / "assertlib", "run", "--", sys.executable, "program.py"]
    done = subprocess.run(
        words, cwd=project.root, env=environment(), capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "went on" in done.stdout
