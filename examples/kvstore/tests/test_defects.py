"""Seeded defects: each, planted in a copy of the store, is caught by an assertion."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assertlib.testing import caught

PROJECT = Path(__file__).resolve().parent.parent
CAUGHT_BY = {
    "no-fsync": 'violated wal.fsync-before-ack#contents "ack follows fsync"',
    "ack-before-wal": (
        'violated wal.written-before-applied "a command is durable in the log before it is applied"'
    ),
    "no-torn-tail-check": (
        'violated wal.crc-checked "the checksum of a record holds before its contents are used"'
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The store without its tests, free to be damaged."""
    target = tmp_path / "kvstore"
    shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    return target


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = [os.fspath(copy), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    environment.pop("ASSERTLIB_RUN_DIR", None)
    environment["GIT_CEILING_DIRECTORIES"] = os.fspath(copy.parent)
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_every_scene_has_a_patch() -> None:
    # The others are for the simulator, which needs no scene.
    assert set(CAUGHT_BY) <= {path.stem for path in (PROJECT / "defects").glob("*.patch")}


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_the_store_as_it_is_violates_nothing(copy: Path, name: str) -> None:
    done = run(copy, sys.executable, "-m", "defects.drive", name)
    assert (done.returncode, done.stdout) == (0, "nothing is violated\n"), done.stderr


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_a_planted_defect_is_caught(copy: Path, name: str) -> None:
    patch = run(copy, "git", "apply", f"defects/{name}.patch")
    assert patch.returncode == 0, patch.stderr
    done = run(copy, sys.executable, "-m", "defects.drive", name)
    assert done.returncode == 1, done.stderr
    assert CAUGHT_BY[name] in done.stdout.splitlines()
    caught(name, CAUGHT_BY[name].split('"')[1])
