"""
The example store gives the same answers however it is recorded, and by which twin.

SQLite's rule for its assertions: all tests must give the same answer in every build.
Source: SQLite, "The Use Of assert() In SQLite".
"""

import hashlib
import itertools
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from .support import child_environment

EXAMPLE = Path(__file__).parent.parent / "examples" / "kvstore"

BUILDS = [
    pytest.param({"ASSERTLIB": mode, "ASSERTLIB_PURE": pure}, id=f"{mode}, {twin}")
    for mode, (twin, pure) in itertools.product(
        ("record", "raise", "off"), (("accelerated", ""), ("pure", "1"))
    )
]


def run(command, build, tmp_path):
    environment = child_environment(ASSERTLIB_RUN_DIR=str(tmp_path / "run"), **build)
    done = subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def left_in(directory):
    """What the store left on disk."""
    return {
        os.fspath(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def with_recording_off(tmp_path_factory):
    """The state and the files that a load leads to."""
    return loaded(BUILDS[-1].values[0], tmp_path_factory.mktemp("off"))


def loaded(build, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    told = run(["-m", "kvstore.load", "--actions", "400", "--dir", str(data)], build, tmp_path)
    return told.split(": ", 1)[1], left_in(data)


@pytest.mark.parametrize("build", BUILDS)
def test_a_load_leads_to_the_same_state_and_the_same_bytes(with_recording_off, build, tmp_path):
    state, files = loaded(build, tmp_path)
    assert state.startswith("revision ")
    assert (state, files) == with_recording_off
    assert (tmp_path / "run").exists() == (build["ASSERTLIB"] != "off")


@pytest.mark.long
@pytest.mark.parametrize("build", BUILDS)
def test_the_suite_of_the_store_has_the_same_outcomes(build, tmp_path):
    report = tmp_path / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-seed=1", f"--junit-xml={report}"]
    run(["-m", "pytest", *options, "tests"], build, tmp_path)
    suite = ET.parse(report).getroot()[0]
    assert int(suite.get("tests")) > 100
    assert [suite.get(kind) for kind in ("failures", "errors", "skipped")] == ["0", "0", "0"]
