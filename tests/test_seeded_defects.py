"""
Every seeded defect of the example store breaks a catalogued assertion, and the
failure says what its invariant states.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .support import clean_environment

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "examples" / "kvstore"
PROJECT = """
[tool.assertlib.targets.kvstore]
source = ["kvstore"]
catalog = ["catalog"]
"""
DEFECTS = {
    "no-fsync": "wal.fsync-before-ack",
    "ack-before-wal": "wal.written-before-applied",
    "no-torn-tail-check": "wal.crc-checked",
}


@pytest.fixture
def copy(tmp_path):
    target = tmp_path / "copy"
    shutil.copytree(STORE, target, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    shutil.copytree(ROOT / "catalog", target / "catalog")
    (target / "pyproject.toml").write_text(PROJECT)
    return target


def run(copy, *command):
    environment = clean_environment()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = str(copy)
    environment["GIT_CEILING_DIRECTORIES"] = str(copy.parent)
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)


def statement_of(invariant):
    area, _, name = invariant.partition(".")
    catalog = tomllib.loads((ROOT / "catalog" / f"{area}.toml").read_text())
    return catalog[name]["statement"]


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize(("defect", "invariant"), DEFECTS.items(), ids=list(DEFECTS))
def test_a_seeded_defect_fails_with_the_statement_of_its_invariant(copy, defect, invariant):
    patch = run(copy, "git", "apply", f"defects/{defect}.patch")
    assert patch.returncode == 0, patch.stderr

    driven = run(copy, "assertlib", "run", "--", sys.executable, "-m", "defects.drive", defect)
    report = run(copy, "assertlib", "report", "--verbose")

    assert driven.returncode == 1, driven.stderr
    assert report.returncode == 1, report.stderr
    assert f"VIOLATED   {invariant}" in report.stdout
    assert words(statement_of(invariant)) in words(report.stdout)


def test_the_store_without_a_defect_is_not_violated(copy):
    driven = run(copy, "assertlib", "run", "--", sys.executable, "-m", "defects.drive", "no-fsync")

    assert driven.returncode == 0, driven.stderr
