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
from typing import NamedTuple

from assertlib.report.base import Format

from ..fuzz.mutating import bind_socket
from ..support import child_environment
from .world import HERE, SHARD, project_at, run_of

INDEX = tomllib.loads((HERE / "index.toml").read_text(encoding="utf-8"))
PATIENCE = 600
LONGEST = 30
"""Seconds that one face may take, on a machine that has much else to do."""

MEMORY = 2 << 30

REPORTS = [["report", "base", "--format", each.value] for each in Format]
JUDGING = [*REPORTS, ["gate", "base"]]
LOOKING = [
    ["top", "base", "--count", "1", "--json"],
    ["debug"],
    ["evidence", "add", "base"],
    ["evidence", "export", "-"],
    ["docs", "-o", "pages"],
    ["catalog", "list"],
]
SCRIPT = """
import json, os, resource, sys, time
from tests.fuzz.faces import run
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
for root, words in json.load(sys.stdin):
    os.chdir(root)
    began = time.monotonic()
    outcome = run(*words)
    print(json.dumps([outcome.code, outcome.text[-2000:], time.monotonic() - began]), flush=True)
"""


class Asked(NamedTuple):
    """
    A command, and how it must end.

    Attributes:
        code: Its exit code; None for any, but with no traceback.
        says: What is in its text.
    """

    name: str
    root: Path
    words: list[str]
    code: int | None = None
    says: str = ""


def hold(asked):
    """Run all that is *asked* in one process, and hold each to how it must end."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(MEMORY)],
        input=json.dumps([[str(each.root), each.words] for each in asked]),
        env=child_environment(PYTHONPATH=str(HERE.parents[1])),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    ended = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ended) == len(asked), done.stderr
    wrong = [
        f"{each.name}: {' '.join(each.words)}: {code} after {took:.1f} s: {text}"
        for each, (code, text, took) in zip(asked, ended, strict=True)
        if code is None
        or each.code not in (None, code)
        or took > LONGEST
        or each.says not in text
        or (code == 2 and "assertlib: " not in text)
    ]
    assert not wrong, "\n".join(wrong)


def entries(kind):
    for name, known in INDEX[kind].items():
        # Whatever is neither red nor an error has a reason.
        assert (known["code"] in (1, 2)) != ("harmless" in known)
        yield name, known


def test_a_damaged_run_is_named_or_its_violation_reported(tmp_path):
    asked = []
    for name, known in entries("run"):
        run = run_of(project_at(tmp_path / name))
        for file in known.get("gone", ()):
            (run / file).unlink()
        if (HERE / "runs" / name).is_dir():
            shutil.copytree(HERE / "runs" / name, run, dirs_exist_ok=True)
        asked += [Asked(name, tmp_path / name, words, known["code"]) for words in JUDGING]
        asked += [Asked(name, tmp_path / name, words) for words in LOOKING]
    hold(asked)


def test_a_damaged_export_is_not_imported(tmp_path):
    asked = []
    for name, known in entries("evidence"):
        project_at(tmp_path / name)
        file = f"{HERE / 'evidence' / name}.jsonl"
        says = f"{file}:1:1: " if known["code"] == 2 else ""
        imported = ["evidence", "import", file]
        asked.append(Asked(name, tmp_path / name, imported, known["code"], says))
        asked.append(Asked(name, tmp_path / name, ["evidence", "export", "-"], 0))
    hold(asked)


def test_a_damaged_history_is_named_or_its_violation_reported(tmp_path):
    project_at(tmp_path)
    page = str(tmp_path / "page.html")
    asked = []
    for name, known in entries("history"):
        file = f"{HERE / 'histories' / name}.jsonl"
        says = file if known["code"] == 2 else ""
        asked.append(Asked(name, tmp_path, ["history", "check", file], known["code"], says))
        asked.append(Asked(name, tmp_path, ["history", "timeline", file, "-o", page]))
    hold(asked)


def test_a_damaged_tape_is_named(tmp_path):
    project_at(tmp_path)
    asked = []
    for name, known in entries("tape"):
        file = f"{HERE / 'tapes' / name}.tape.json"
        says = f"{file}:1: not a tape: "
        asked.append(Asked(name, tmp_path, ["sim", "replay", file], known["code"], says))
    hold(asked)


def test_a_damaged_catalog_or_configuration_is_named(tmp_path):
    asked = []
    for name, known in entries("catalog"):
        root = project_at(tmp_path / name).root
        shutil.copytree(HERE / "catalogs" / name, root, dirs_exist_ok=True)
        if (root / "configuration.toml").exists():
            (root / "configuration.toml").replace(root / "pyproject.toml")
        asked.append(Asked(name, root, ["check"], known["code"]))
        asked += [Asked(name, root, words) for words in (*REPORTS, *LOOKING, ["explain", "AL105"])]
        asked.append(Asked(name, root, ["catalog", "review"]))
    hold(asked)


# -- what no repository can keep ---------------------------------------------------------------


def link(path):
    outside = path.parents[3] / "outside"
    outside.write_text("{}\n")
    path.symlink_to(outside)


def gigabytes(path):
    path.touch()
    os.truncate(path, 1 << 32)


def long_line(path):
    path.write_bytes(b'{"a": "' + b"x" * (17 << 20) + b'"}\n')


INSTEAD = {
    "a FIFO": os.mkfifo,
    "a link out of the run": link,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "four gigabytes of zeros": gigabytes,
    "a directory": Path.mkdir,
    "a socket": bind_socket,
    "a line of 17 megabytes": long_line,
}
FILES = (
    f"{SHARD}.jsonl", f"{SHARD}.counts", "run.json", "replays.json", "antithesis/77-0badf00d.jsonl",
)  # fmt: skip
HARMLESS = ("antithesis/77-0badf00d.jsonl", "replays.json")
"""
Where a long line is: what an SDK wrote is passed over line by line, and is a finding of the report;
``replays.json`` has one anyway.
"""


def test_what_is_not_a_regular_file_or_too_large_is_named(tmp_path):
    asked = []
    for number, (kind, file) in enumerate((kind, file) for kind in INSTEAD for file in FILES):
        root = tmp_path / str(number)
        path = run_of(project_at(root)) / file
        path.unlink()
        INSTEAD[kind](path)
        # Lines without counters are a violation all the same.
        is_harmless = kind == "a line of 17 megabytes" and file in HARMLESS
        code = 1 if file.endswith(".counts") or is_harmless else 2
        says = path.name if code == 2 else "values are not negative"
        name = f"{file} is {kind}"
        asked.append(Asked(name, root, ["report", "base"], code, says))
        asked += [Asked(name, root, words) for words in (LOOKING[0], ["debug"])]
    hold(asked)


def test_a_person_may_name_a_link_or_a_pipe(tmp_path):
    project_at(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(HERE / "history.jsonl")
    (tmp_path / "linked").symlink_to(".assertlib/runs/base")
    hold([
        Asked("a link", tmp_path, ["history", "check", "link.jsonl"], 1),
        Asked("a link", tmp_path, ["report", "linked"], 1),
    ])  # fmt: skip
    with (HERE / "history.jsonl").open("rb") as history:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("assertlib")), "history", "check", "-"],
            stdin=history,
            cwd=tmp_path,
            env=child_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "FAILURE")
