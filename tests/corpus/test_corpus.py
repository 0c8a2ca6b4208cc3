"""
Inputs that are damaged, read by every face: a line that names what is wrong, or the violation.

The files are kept; `index.toml` has what is wrong with each and how it ends.  What no repository
can keep, a FIFO or a file of gigabytes, is made here.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from assertlib.report.base import Format

from ..fuzz.mutating import bind_socket
from ..support import child_environment
from .world import HERE, SHARD, project_at, run_of

INDEX = tomllib.loads((HERE / "index.toml").read_text(encoding="utf-8"))
PATIENCE = 120
LONGEST = 30
"""Seconds that one face may take, on a machine that has much else to do."""

JUDGING = [["report", "base", "--format", each.value] for each in Format] + [["gate", "base"]]
LOOKING = [
    ["top", "base", "--count", "1", "--json"],
    ["debug"],
    ["evidence", "add", "base"],
    ["evidence", "export", "-"],
    ["ingest", f".assertlib/runs/base/{SHARD}.jsonl"],
    ["docs", "-o", "pages"],
    ["catalog", "list"],
]
SCRIPT = """
import json, sys, time
from tests.fuzz.faces import run
for words in json.load(sys.stdin):
    began = time.monotonic()
    outcome = run(*words)
    print(json.dumps([outcome.code, outcome.text[-2000:], time.monotonic() - began]), flush=True)
"""


def ends(root, commands):
    """Exit code, text and seconds of each of *commands*, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", f"import resource\n{LIMIT}\n{SCRIPT}"],
        input=json.dumps(commands),
        cwd=root,
        env=child_environment(PYTHONPATH=str(HERE.parents[1])),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(commands), done.stderr
    return found


LIMIT = "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))"


def check(root, judging, looking, code):
    ended = ends(root, judging + looking)
    for words, (found, text, took) in zip(judging + looking, ended, strict=True):
        assert found is not None, f"{words}: {text}"
        assert took < LONGEST, words
        if words in judging:
            assert found == code, f"{words}: {text}"
        if found == 2:
            assert "assertlib: " in text or "Usage: " in text, f"{words}: {text}"


def entries(kind):
    return pytest.mark.parametrize("name", INDEX[kind])


def entry(kind, name):
    known = INDEX[kind][name]
    # Whatever is neither red nor an error has a reason.
    assert (known["code"] in (1, 2)) != ("harmless" in known)
    return known["code"], known.get("gone", ())


@entries("run")
def test_a_damaged_run_is_named_or_its_violation_reported(tmp_path, name):
    code, gone = entry("run", name)
    run = run_of(project_at(tmp_path))
    for file in gone:
        (run / file).unlink()
    if (HERE / "runs" / name).is_dir():
        shutil.copytree(HERE / "runs" / name, run, dirs_exist_ok=True)
    check(tmp_path, JUDGING, LOOKING, code)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return project_at(tmp_path_factory.mktemp("project"))


@entries("evidence")
def test_a_damaged_export_is_not_imported(tmp_path, name):
    code, _ = entry("evidence", name)
    project_at(tmp_path)
    file = HERE / "evidence" / f"{name}.jsonl"
    looking = [["evidence", "show", "base"], ["evidence", "export", "-"]]
    check(tmp_path, [["evidence", "import", str(file)]], looking, code)
    (ended,) = ends(tmp_path, [["evidence", "import", str(file)]])
    assert code != 2 or f"{file}:1:1: " in ended[1]


@entries("history")
def test_a_damaged_history_is_named_or_its_violation_reported(project, tmp_path, name):
    code, _ = entry("history", name)
    file = str(HERE / "histories" / f"{name}.jsonl")
    timeline = ["history", "timeline", file, "-o", str(tmp_path / "page.html")]
    check(project.root, [["history", "check", file]], [timeline], code)


@entries("tape")
def test_a_damaged_tape_is_named(project, name):
    code, _ = entry("tape", name)
    file = str(HERE / "tapes" / f"{name}.tape.json")
    check(project.root, [["sim", "replay", file]], [], code)
    (ended,) = ends(project.root, [["sim", "replay", file]])
    assert f"{file}:1: not a tape: " in ended[1]


@entries("catalog")
def test_a_damaged_catalog_or_configuration_is_named(tmp_path, name):
    code, _ = entry("catalog", name)
    project_at(tmp_path)
    shutil.copytree(HERE / "catalogs" / name, tmp_path, dirs_exist_ok=True)
    if (tmp_path / "configuration.toml").exists():
        (tmp_path / "configuration.toml").replace(tmp_path / "pyproject.toml")
    check(tmp_path, [["check"]], [*LOOKING, ["report", "base"], ["catalog", "review"]], code)


# -- what no repository can keep ---------------------------------------------------------------


def fifo(path):
    os.mkfifo(path)


def link(path):
    outside = path.parents[4] / "outside"
    outside.write_text("{}\n")
    path.symlink_to(outside)


def dangling_link(path):
    path.symlink_to("nowhere")


def device(path):
    path.symlink_to("/dev/zero")


def gigabytes(path):
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 32)


def directory(path):
    path.mkdir()


def long_line(path):
    path.write_bytes(b'{"a": "' + b"x" * (17 << 20) + b'"}\n')


INSTEAD = (fifo, link, dangling_link, device, gigabytes, directory, bind_socket, long_line)
FILES = (
    f"{SHARD}.jsonl",
    f"{SHARD}.counts",
    "run.json",
    "replays.json",
    "antithesis/77-0badf00d.jsonl",
)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("instead", INSTEAD, ids=lambda each: each.__name__)
def test_what_is_not_a_regular_file_or_too_large_is_named(tmp_path, file, instead):
    run = run_of(project_at(tmp_path))
    path = run / file
    path.unlink()
    instead(path)
    code = 1 if file.endswith(".counts") else 2
    if instead is long_line and file.startswith("antithesis"):
        # A line that an SDK wrote is passed over, and said to be.
        code = 1
    check(tmp_path, [["report", "base"]], [["top", "base", "-n", "1", "--json"], ["debug"]], code)


def test_a_person_may_name_a_link_or_a_pipe(tmp_path):
    project_at(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(HERE / "history.jsonl")
    (tmp_path / "linked").symlink_to(".assertlib/runs/base")
    commands = [["history", "check", "link.jsonl"], ["report", "linked"]]
    assert [code for code, *_ in ends(tmp_path, commands)] == [1, 1]
    with (HERE / "history.jsonl").open("rb") as history:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("assertlib")), "history", "check", "-"],
            stdin=history,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "FAILURE")
