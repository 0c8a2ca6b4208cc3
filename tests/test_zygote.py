"""
A copy of a process that has imported the command line does what a process of its own does.
"""

import subprocess

import pytest

from . import zygote
from .evidence.projects import Project, environment

OPTIONS = {"capture_output": True, "text": True, "timeout": 60}


@pytest.mark.parametrize("words", [["check"], ["report"], ["--help"], ["no-such-command"]])
def test_output_and_exit_code_are_those_of_a_process(tmp_path, words):
    Project(tmp_path)
    command = [zygote.ASSERTLIB, *words]
    copy, real = (
        run(command, cwd=tmp_path, env=environment(), **OPTIONS)
        for run in (zygote.run, subprocess.run)
    )
    assert (copy.returncode, copy.stdout, copy.stderr) == (
        real.returncode,
        real.stdout,
        real.stderr,
    )


@pytest.mark.parametrize("name", ["ASSERTLIB", "ASSERTLIB_RUN_DIR", "PYTHONPATH", "LC_ALL"])
def test_what_is_read_at_the_start_gets_a_process_of_its_own(monkeypatch, tmp_path, name):
    monkeypatch.setattr(zygote, "_ask", lambda *_: pytest.fail("a copy was made"))
    more = {name: "off" if name == "ASSERTLIB" else str(tmp_path)}
    done = zygote.run([zygote.ASSERTLIB, "--version"], env=environment(**more), **OPTIONS)
    assert done.stdout.startswith("assertlib ")


def test_a_copy_that_takes_too_long_is_killed(tmp_path):
    Project(tmp_path)
    command = [zygote.ASSERTLIB, "run", "--", "sleep", "60"]
    with pytest.raises(subprocess.TimeoutExpired):
        zygote.run(command, cwd=tmp_path, env=environment(), **{**OPTIONS, "timeout": 1})
    assert zygote.run([zygote.ASSERTLIB, "--version"], env=environment(), **OPTIONS).returncode == 0
