"""`assertlib catalog`, as a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .. import zygote
from ..support import clean_environment

ASSERTLIB = Path(sys.executable).parent / "assertlib"
ROOT = Path(__file__).parents[2]

ENTRY = """\
[{name}]
title = "Title of {name}"
kind = "safety"
status = "{status}"
statement = "What must hold."
why = "Why it must."
expects = ["always"]
"""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = zygote.run(
        [ASSERTLIB, "catalog", *arguments],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(name="project")
def _project(tmp_path):
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "kv.toml").write_text(
        "schema = 1\n"
        + ENTRY.format(name="revision-monotonic", status="active")
        + ENTRY.format(name="old", status="retired")
        + ENTRY.format(name="idea", status="draft")
    )
    (tmp_path / "store.py").write_text(
        "from assertlib import Invariant\nREV = Invariant('kv.revision-monotonic')\n"
        "def apply(old, new):\n"
        "    REV.always(new > old, 'goes up')\n    REV.sometimes(new > 9, 'goes far')\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        "[tool.assertlib.targets.store]\nsource = ['store.py']\n"
        "[tool.assertlib.targets.etcd]\nsource = ['store.py']\ncatalog = ['assertlib:etcd']\n"
    )
    return tmp_path


def test_the_schema_is_json_and_needs_no_project(tmp_path):
    done = run(tmp_path, "schema")
    assert done.returncode == 0
    assert json.loads(done.stdout)["title"] == "assertlib catalog file"


def test_the_committed_schema_is_what_the_command_prints(tmp_path):
    committed = (ROOT / "catalog" / "schema.json").read_text(encoding="utf-8")
    assert run(tmp_path, "schema").stdout == committed


def test_all_invariants_are_listed_with_status_and_assertions(project):
    done = run(project, "list")
    assert done.returncode == 0
    assert [line.split(maxsplit=3) for line in done.stdout.splitlines()] == [
        ["kv.idea", "draft", "0", "Title of idea"],
        ["kv.old", "retired", "0", "Title of old"],
        ["kv.revision-monotonic", "active", "2", "Title of revision-monotonic"],
    ]


def test_another_target_has_another_catalog(project):
    done = run(project, "list", "--target", "etcd")
    assert done.returncode == 0
    assert "wal.fsync-before-ack" in done.stdout
    assert "kv.idea" not in done.stdout


def test_one_invariant_is_shown_with_its_assertions(project):
    done = run(project, "show", "kv.revision-monotonic")
    assert done.returncode == 0
    for text in ("Title of revision-monotonic", "What must hold.", "Why it must.", "goes up"):
        assert text in done.stdout


def test_an_unknown_invariant_has_a_suggestion(project):
    done = run(project, "show", "kv.revision-monotonci")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "assertlib: unknown invariant 'kv.revision-monotonci';"
        " did you mean 'kv.revision-monotonic'?\n"
    )


def test_something_unlike_any_invariant_is_told(project):
    done = run(project, "show", "zzz")
    assert done.returncode == 2
    assert done.stderr.endswith("'zzz'; `assertlib catalog list` lists them all\n")


def test_show_needs_an_id(project):
    assert run(project, "show").returncode == 2


@pytest.mark.parametrize("command", [["list"], ["show", "kv.x"]])
def test_without_configuration_it_is_a_usage_error(tmp_path, command):
    done = run(tmp_path, *command)
    assert done.returncode == 2
    assert "assertlib init" in done.stderr


@pytest.mark.parametrize("command", [["list"], ["show", "kv.idea"]])
def test_an_unknown_target_is_a_usage_error(project, command):
    done = run(project, *command, "--target", "stroe")
    assert done.returncode == 2
    assert "did you mean 'store'?" in done.stderr


@pytest.mark.parametrize("data", [b"[x", b"\xff", b"schema = 1\nx = 3\n"])
def test_a_catalog_that_cannot_be_read_is_one_clear_error(project, data):
    (project / "catalog" / "kv.toml").write_bytes(data)
    for command in (["list"], ["show", "kv.idea"]):
        done = run(project, *command)
        assert done.returncode == 2
        assert "catalog/kv.toml" in done.stderr


def test_without_a_command_the_help_is_shown(project):
    done = run(project)
    assert done.returncode == 2
    for command in ("schema", "list", "show"):
        assert command in done.stdout + done.stderr
