"""
A copy of a process that has imported the command line, or pytest, does what a process of its own
does.
"""

import re
import subprocess
import sys

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


@pytest.mark.parametrize("words", [[], ["--assertlib"], ["--assertlib", "-k", "nothing"]])
def test_a_session_is_that_of_a_process(tmp_path, words):
    project = Project(tmp_path)
    project.write(
        "test_store.py",
        """
        import sys, store
        def test_put(): store.put(-1)
        def test_path(): assert False, (sys.argv, sys.path[:2], sys.modules["__main__"].__name__)
        """,
    )
    plugins = ("-p", "no:cacheprovider", "-p", "pytest_assertlib")
    command = [sys.executable, "-m", "pytest", *plugins, *words]
    more = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    copy, real = (
        run(command, cwd=tmp_path, env=more, **OPTIONS) for run in (zygote.run, subprocess.run)
    )
    assert (copy.returncode, unchanging(copy.stdout)) == (real.returncode, unchanging(real.stdout))
    assert copy.stderr == real.stderr


def unchanging(output):
    """Without times and the names of runs."""
    return re.sub(r"\d+\.\d+s|\d{8}-\d{6}-\d+-\w+|0x[0-9a-f]+", "…", output)


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
