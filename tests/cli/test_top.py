"""
``assertlib top``: in a real terminal, as a stream, and what it costs those it looks at.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte
import pytest

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.evidence.live import LiveRun
from assertlib.report.json_format import as_dict

from ..evidence import foreign
from ..evidence.projects import BIN, Project, environment

WAIT = 30

BUSY = """
import sys, time
sys.path.insert(0, ".")
import store
print("up", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Terminal:
    """A terminal with a screen, in which a command runs."""

    def __init__(self, project, *words, columns=100, lines=30, term="xterm-256color"):
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(inner)
        self._inner = inner
        self.process = subprocess.Popen(
            [BIN / "assertlib", *words],
            cwd=project.root,
            env=environment(TERM=term, LANG="C.UTF-8"),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, ready):
        """Read until *ready*, a text or a predicate over the text of the screen."""
        is_ready = (lambda text: ready in text) if isinstance(ready, str) else ready
        end = time.monotonic() + WAIT
        while not is_ready(self.text):
            left = end - time.monotonic()
            assert left > 0, self.text
            if select.select([self.fd], [], [], left)[0]:
                self._stream.feed(os.read(self.fd, 1 << 16))
        return self.text

    def press(self, key):
        os.write(self.fd, key.encode())

    def ended(self):
        """The exit code; what is still written has to be taken off the terminal meanwhile."""
        end = time.monotonic() + WAIT
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                self._stream.feed(os.read(self.fd, 1 << 16))
        return self.process.wait(1)

    @property
    def is_restored(self):
        return termios.tcgetattr(self._inner) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._inner)
        os.close(self.fd)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def busy(project):
    """A process that is recorded into a run, and does what it is told, a line at a time."""
    project.write("busy.py", BUSY)
    with subprocess.Popen(
        [BIN / "assertlib", "run", "--", sys.executable, "busy.py"],
        cwd=project.root,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout.readline() == "up\n"

        def do(line):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"

        do("store.put(1)")
        yield do
        process.stdin.close()
        process.wait(WAIT)


@pytest.fixture
def terminal(project):
    opened = []

    def run(*words, **size):
        opened.append(Terminal(project, *words, **size))
        return opened[-1]

    yield run
    for each in opened:
        each.close()


# -- in a terminal ----------------------------------------------------------------------------


def test_it_shows_a_running_system_and_what_changes_in_it(busy, terminal):
    shown = terminal("top", "--interval", "0.2")
    text = shown.wait_for("kv.positive")
    assert "1 of 1 processes alive" in text
    assert "1 evaluation" in text
    busy("for _ in range(999): store.put(1)")
    shown.wait_for("1,000 evaluations")
    assert "sometimes still missing" in shown.text
    assert "seen twice   never reached" in shown.text
    busy("store.twice(3); store.twice(2)")
    shown.wait_for(lambda text: "seen twice" not in text)
    assert "newest violations" not in shown.text
    busy("store.put(-7)")
    text = shown.wait_for("newest violations")
    assert "violated" in text
    assert "revision = -7" in text
    shown.press("q")
    assert shown.ended() == 0
    assert shown.is_restored


@pytest.mark.parametrize("end", ["\x03", "\x1b", "Q"], ids=["ctrl-c", "escape", "Q"])
def test_it_ends_without_a_trace(busy, terminal, end):
    shown = terminal("top", "--interval", "0.2")
    shown.wait_for("kv.positive")
    if end == "\x03":
        shown.process.send_signal(signal.SIGINT)
    else:
        shown.press(end)
    assert shown.ended() == 0
    assert shown.is_restored
    assert "Traceback" not in shown.text


def test_a_small_terminal_shows_the_worst_and_counts_the_rest(project, busy, terminal):
    busy("store.put(-1)")
    shown = terminal("top", "--interval", "0.2", columns=60, lines=12)
    text = shown.wait_for("newest violations")
    assert "kv.positive" in text
    assert "violated" in text


def test_processes_that_come_and_go_are_counted(project, busy, terminal):
    shown = terminal("top", "--interval", "0.2")
    shown.wait_for("1 of 1 processes alive")
    busy(
        "import subprocess; c = subprocess.Popen([sys.executable, 'busy.py'], stdin=-1, stdout=-1)"
    )
    busy(
        "c.stdout.readline(); c.stdin.write(b'store.put(1)\\n'); c.stdin.flush(); c.stdout.readline()"
    )
    shown.wait_for("2 of 2 processes alive")
    busy("c.kill(); c.wait()")
    text = shown.wait_for("1 of 2 processes alive")
    assert "2 evaluations" in text


# -- as a stream ------------------------------------------------------------------------------


def test_json_streams_the_same_line_by_line(project, busy):
    busy("store.put(-7); store.twice(3)")
    done = project.cli("top", "--json", "--count", "2", "--interval", "0.1")
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["processes"], first["evaluations"], first["target"]) == (1, 3, "store")
    assert second["time"] > first["time"]
    assert (first["rate"], second["rate"]) == (None, 0)
    (violation,) = first["violations"]
    assert violation["message"] == "a revision is positive"
    assert violation["values"] == {"revision": "-7"}
    assert "seen twice" in first["missing"]
    levels = {each["id"]: each["level"] for each in first["invariants"]}
    assert levels["kv.positive"] == "violated"


def test_without_a_terminal_it_prints_one_picture(project, busy):
    done = project.cli("top")
    assert done.returncode == 0
    assert done.stdout.count("kv.positive") == 1
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("how", ["<&-", "</dev/null"])
def test_without_a_keyboard_it_looks_all_the_same(project, busy, how):
    done = project.execute("sh", "-c", f"{BIN / 'assertlib'} top --json -n 1 {how}")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["rate"] is None


def test_a_terminal_that_cannot_paint_gets_a_picture(busy, terminal):
    shown = terminal("top", term="dumb")
    shown.wait_for("kv.positive")
    assert shown.ended() == 0


def test_sigterm_gives_the_terminal_back(busy, terminal):
    shown = terminal("top", "--interval", "0.2")
    shown.wait_for("kv.positive")
    shown.process.terminate()
    assert shown.ended() == 0
    assert shown.is_restored


def test_a_run_that_has_ended_can_be_looked_at(project):
    project.record("store.put(1)", "--full")
    done = project.cli("top")
    assert "0 of 1 processes alive" in done.stdout


def test_the_reader_may_close_the_stream(project, busy):
    with subprocess.Popen(
        [BIN / "assertlib", "top", "--json", "--interval", "0.1"],
        cwd=project.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(WAIT) == 0
        assert process.stderr.read() == ""


def test_no_run_is_told_in_one_line(project):
    done = project.cli("top")
    assert done.returncode == 3
    assert "no run" in done.stderr


def test_messages_of_foreign_processes_cannot_paint_the_terminal(project):
    message = "[red]\x1b[2J\x07evil\n[/]"
    records = foreign.assertion(message, "Sometimes", condition=False)
    project.write("out.jsonl", foreign.text(foreign.sdk(), records))
    project.cli("ingest", "out.jsonl")
    done = project.cli("top")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "evil" in done.stdout


# -- what it says and costs -------------------------------------------------------------------


def test_the_last_look_says_what_the_report_says(project):
    project.record("for n in range(50): store.put(n); store.twice(n % 3)", "--full")
    (path,) = project.runs()
    config = find_config(project.root)
    live = LiveRun(path, check(config, *config.target()))
    first, second = live.look(), live.look()
    assert as_dict(first.summary) == as_dict(second.summary) == project.report()
    assert second.rate == 0


def test_nothing_is_written_and_no_process_is_held_up(project, busy):
    (path,) = project.runs()

    def state():
        return {each.name: each.stat().st_mtime_ns for each in path.iterdir()}

    before = state()
    project.cli("top", "--json", "--count", "3", "--interval", "0.1")
    assert state() == before
