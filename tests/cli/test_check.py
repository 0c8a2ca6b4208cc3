"""`assertlib check`, as a program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .. import zygote
from ..support import clean_environment

ASSERTLIB = Path(sys.executable).parent / "assertlib"

CATALOG = """\
#:schema ./schema.json
schema = 1

[durable-ack]
title = "An acknowledged write survives"
kind = "safety"
status = "active"
statement = "What was acknowledged is there."
why = "Callers act on it."
debug = "Look at the order of sync and reply."
expects = ["always"]

[[durable-ack.source]]
ref = "etcd docs"
"""
CODE = """\
from assertlib import Invariant

ACK = Invariant("kv.durable-ack")


def reply(acked, synced):
    return ACK.always(acked <= synced, "ack follows sync")
"""
CONFIG = "[tool.assertlib.targets.store]\nsource = ['store']\n"


def run(directory: Path, *arguments: str, **more) -> subprocess.CompletedProcess[str]:
    done = zygote.run(
        [ASSERTLIB, "check", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **{"env": clean_environment(), **more},
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(name="project")
def _project(tmp_path):
    for name, text in {
        "pyproject.toml": CONFIG,
        "catalog/kv.toml": CATALOG,
        "store/__init__.py": "",
        "store/reply.py": CODE,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def change(project: Path, name: str, old: str, new: str) -> None:
    text = (project / name).read_text(encoding="utf-8")
    assert old in text
    (project / name).write_text(text.replace(old, new), encoding="utf-8")


def test_a_project_that_agrees_is_fine(project):
    done = run(project)
    assert done.returncode == 0
    assert done.stdout == "store: 1 assertion in 2 files, 1 invariant: 0 errors, 0 warnings\n"
    assert done.stderr == ""


def test_it_runs_in_any_directory_of_the_project(project):
    assert run(project / "store").returncode == 0


def test_an_error_is_shown_with_its_place_and_fails(project):
    change(project, "store/reply.py", "durable-ack", "durable-akc")
    done = run(project)
    assert done.returncode == 1
    first, second, last = done.stdout.splitlines()
    assert first.startswith("catalog/kv.toml:4:1: AL201 kv.durable-ack: ")
    assert second == (
        "store/reply.py:7:12: AL101 'ack follows sync' names 'kv.durable-akc', which is not in"
        " any catalog; did you mean 'kv.durable-ack'? [error]"
    )
    assert last.endswith("2 errors, 0 warnings")


def test_a_warning_fails_only_if_strict(project):
    (project / "store" / "more.py").write_text("import assertlib\nassertlib.reachable('n')\n")
    done = run(project)
    assert done.returncode == 0
    assert "store/more.py:2:1: AL205 " in done.stdout
    assert "[warning]" in done.stdout
    assert done.stdout.endswith("0 errors, 1 warning\n")
    strict = run(project, "--strict")
    assert strict.returncode == 1
    assert "[error]" in strict.stdout


def test_one_target_may_be_chosen(project):
    change(project, "pyproject.toml", CONFIG, CONFIG + CONFIG.replace("store", "other"))
    both = run(project)
    assert both.returncode == 1
    assert "store: 1 assertion" in both.stdout
    assert "other: 0 assertions" in both.stdout
    assert run(project, "--target", "store").returncode == 0
    assert run(project, "-t", "other").returncode == 1


def test_nothing_is_imported(project):
    (project / "store" / "bomb.py").write_text(
        "from assertlib import reachable\nraise SystemExit(9)\n"
    )
    assert run(project).returncode == 0


def test_an_unknown_target_is_a_usage_error(project):
    done = run(project, "--target", "stroe")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("assertlib: ")
    assert done.stderr.endswith("there is no target 'stroe'; did you mean 'store'?\n")


def test_a_directory_without_configuration_is_a_usage_error(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 2
    assert "assertlib init" in done.stderr


def test_an_unknown_option_is_a_usage_error(project):
    assert run(project, "--stirct").returncode == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (CONFIG.replace("source", "sorce"), "pyproject.toml:2:1: "),
        ("[tool", "pyproject.toml: "),
        (CONFIG + "catalog = ['assertlib:etdc']", "pyproject.toml: "),
        ("[tool.assertlib]\n", "pyproject.toml: "),
    ],
)
def test_a_wrong_configuration_is_a_usage_error(project, text, place):
    (project / "pyproject.toml").write_text(text)
    done = run(project)
    assert done.returncode == 2
    assert place in done.stderr


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("catalog/kv.toml", b"[x", "AL105"),
        ("catalog/kv.toml", b"\xff", "AL105"),
        ("catalog/kv.toml", b"", "AL105"),
        ("catalog/kv.toml", b"schema = 1\nx = 3\n", "AL105"),
        ("store/reply.py", b"import assertlib\n(", "AL109"),
        ("store/reply.py", b"import assertlib\n\xff", "AL109"),
        ("store/reply.py", b"import assertlib\n\0", "AL109"),
        ("store/reply.py", b"import assertlib\nassertlib.always()", "AL104"),
    ],
)
def test_bad_input_is_a_finding_and_never_a_traceback(project, name, data, code):
    (project / name).write_bytes(data)
    done = run(project)
    assert done.returncode == 1
    assert f"{name}" in done.stdout
    assert f" {code} " in done.stdout


def test_a_deeply_nested_expression_never_ends_in_a_traceback(project):
    change(project, "store/reply.py", "from", f"deep = {' + '.join(['x'] * 2000)}\nfrom")
    assert run(project).returncode in (0, 1)


@pytest.mark.parametrize("source", ["gone", "store/gone.py", ""])
def test_a_source_that_does_not_exist_is_a_finding(project, source):
    change(project, "pyproject.toml", "'store'", f"'{source}'")
    change(project, "catalog/kv.toml", '"active"', '"draft"')
    done = run(project)
    assert done.returncode == (1 if source else 0)
    assert ("AL110" in done.stdout) is bool(source)


def test_a_source_outside_of_the_project_is_read(project, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "more.py").write_text("import assertlib\nassertlib.reachable('n')\n")
    change(project, "pyproject.toml", "'store'", f"'store', '{outside}'")
    done = run(project)
    assert done.returncode == 0
    assert "2 assertions in 3 files" in done.stdout


@pytest.mark.parametrize(
    "more", ["source = ['docs']", "source = ['store']\nexclude = ['store/*']", "source = []"]
)
def test_a_target_without_source_files_is_no_pass(project, more):
    (project / "docs").mkdir()
    (project / "docs" / "wal.txt").write_text("no source\n")
    change(project, "catalog/kv.toml", '"active"', '"draft"')
    empty = f"[tool.assertlib.targets.empty]\n{more}\n"
    change(project, "pyproject.toml", CONFIG, CONFIG + empty)
    assert run(project, "--target", "store").returncode == 0
    for arguments in (), ("--target", "empty"), ("--strict", "--format", "json"):
        done = run(project, *arguments)
        assert done.returncode == 3
        assert done.stderr == (
            "assertlib: empty: no source file, so nothing was checked; see `source` in"
            " pyproject.toml\n"
        )
    assert "empty: 0 assertions in 0 files, 1 invariant" in run(project).stdout


def test_an_error_weighs_more_than_a_target_without_source_files(project):
    change(project, "store/reply.py", "durable-ack", "durable-akc")
    empty = "[tool.assertlib.targets.empty]\nsource = ['catalog']\n"
    change(project, "pyproject.toml", CONFIG, CONFIG + empty)
    assert run(project).returncode == 1


def test_source_that_is_not_read_for_want_of_an_extra_is_no_pass(project):
    (project / "store" / "wal.go").write_text("package a // gofail: var synced struct{}\n")
    (project / "sitecustomize.py").write_text("import sys; sys.modules['tree_sitter_go'] = None\n")
    done = run(project, env={**os.environ, "PYTHONPATH": str(project)})
    assert done.returncode == 1
    assert done.stdout.startswith("store/wal.go: AL120 Go and Rust source is not read (files: 1): ")


def test_a_lock_of_an_editor_is_no_part_of_the_catalog(project):
    (project / "catalog" / ".#kv.toml").symlink_to("me@host.1234:1")
    assert run(project).returncode == 0


def test_a_missing_catalog_is_a_finding(project):
    change(project, "pyproject.toml", CONFIG, CONFIG + "catalog = ['gone']\n")
    done = run(project)
    assert done.returncode == 1
    assert "gone: AL105 no such catalog directory" in done.stdout


def test_the_help_says_what_it_does():
    done = run(Path.cwd(), "--help")
    assert done.returncode == 0
    for word in ("Compare the catalog with the code", "--strict", "--target", "assertlib explain"):
        assert word in done.stdout
