"""
Progress output: a bar on a terminal, lines elsewhere, nothing for what is quick.
"""

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
from assertlib.cli import progress
progress.PATIENCE = {patience}
with progress.progress("adding", 3) as step:
    for _ in range(3):
        step()
print("done")
"""


def on_a_terminal(patience):
    own, other = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(patience=patience)], stdout=other, stderr=other,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    os.close(other)
    output = b""
    while True:
        try:
            part = os.read(own, 4096)
        except OSError:
            break
        if not part:
            break
        output += part
    assert done.wait(30) == 0
    os.close(own)
    return output.decode()


def test_a_bar_on_a_terminal():
    output = on_a_terminal(-1)
    assert "adding" in output
    assert "%" in output


def test_nothing_for_what_is_quick():
    assert on_a_terminal(60).split() == ["done"]


@pytest.mark.parametrize(("patience", "lines"), [(-1, 2), (60, 0)])
def test_plain_lines_elsewhere(patience, lines):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(patience=patience)],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout == "done\n"
    assert len(done.stderr.splitlines()) == lines
    assert all(line.startswith("adding: ") for line in done.stderr.splitlines())
