"""
``assertlib debug``, ``--version``, and what no command may do.
"""

import os
import re
import shutil

import pytest

from ..evidence.projects import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_the_version_is_told_in_one_line(project):
    from assertlib import __version__

    done = project.cli("--version")
    assert (done.returncode, done.stdout) == (0, f"assertlib {__version__}\n")


def test_without_a_command_there_is_help_with_examples(project):
    done = project.cli()
    assert "assertlib run --" in done.stdout + done.stderr


def test_an_unknown_command_is_a_usage_error(project):
    assert project.cli("reprot").returncode == 2


def test_debug_shows_versions_configuration_and_the_newest_run(project):
    project.record("store.put(1)")
    done = project.cli("debug")
    assert done.returncode == 0
    for words in (
        "assertlib",
        "pydantic",
        str(project.root / "pyproject.toml"),
        "target store (default)",
        "source store",
        "newest run",
        "(partial)",
        "1 assertion, 1 hit, exited",
    ):
        assert words in done.stdout


def test_debug_marks_a_killed_process(project):
    project.record("import os, signal; store.put(1); os.kill(os.getpid(), signal.SIGKILL)")
    assert "1 hit, killed" in project.cli("debug").stdout


def test_debug_shows_the_origin_of_the_mode(project):
    assert "record (default)" in project.cli("debug").stdout
    assert "raise (from the environment)" in project.cli("debug", ASSERTLIB="raise").stdout


def test_debug_shows_the_active_accelerator(project):
    pure = project.cli("debug", ASSERTLIB_PURE="1").stdout
    assert "pure Python (ASSERTLIB_PURE is set)" in pure
    if not os.environ.get("ASSERTLIB_PURE") and shutil.which("cc"):
        assert re.search(r"^counters +accelerated$", project.cli("debug").stdout, re.MULTILINE)


def test_debug_works_without_runs(project):
    done = project.cli("debug")
    assert done.returncode == 0
    assert "no run in" in done.stdout


def test_debug_works_without_a_configuration(project):
    (project.root / "pyproject.toml").unlink()
    done = project.cli("debug")
    assert done.returncode == 0
    assert "none: no pyproject.toml with [tool.assertlib]" in done.stdout


def test_debug_reports_a_broken_configuration(project):
    project.write("pyproject.toml", "[tool.assertlib\n")
    done = project.cli("debug")
    assert done.returncode == 2
    assert "pyproject.toml" in done.stderr


def test_debug_records_nothing(project):
    project.cli("debug", ASSERTLIB_RUN_DIR=str(project.root / "recorded"))
    assert not (project.root / "recorded").exists()


@pytest.mark.parametrize("command", ["check", "docs", "report", "run", "debug"])
def test_every_command_has_help(project, command):
    done = project.cli(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


@pytest.mark.parametrize("command", [["check"], ["docs"], ["report"], ["run", "--", "true"]])
def test_no_command_leaves_a_traceback_when_pyproject_is_no_text(project, command):
    (project.root / "pyproject.toml").write_bytes(b"\xff\xfe\x00")
    done = project.cli(*command)
    assert done.returncode == 2
    assert "pyproject.toml" in done.stderr
