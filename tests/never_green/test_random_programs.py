"""
Random programs, and a model of what they violate: if the model has a violation, no face ends 0.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from assertlib import Invariant
from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.cli.common import verdict_code
from assertlib.evidence.gather import read_evidence
from assertlib.evidence.runs import describe_run, finish_run, new_run
from assertlib.evidence.summary import summarise

from ..evidence.projects import environment
from ..forms import by_form
from .player import violations
from .project import Project

NEVER_GREEN = Invariant("evidence.never-green")
PLAYER = Path(__file__).with_name("player.py")
EXAMPLES = int(os.environ.get("NEVER_GREEN_EXAMPLES") or by_form(12, 60))

KINDS = st.sampled_from(["direct", "bound", "unreachable", "sometimes", "other"])
HITS = st.tuples(st.just("hit"), KINDS, st.booleans())
FAULTS = st.tuples(st.just("fault"), st.booleans())
CLOCKS = st.tuples(st.just("clock"), st.sampled_from(["still", "ahead", "back", "right"]))
PATCHES = st.tuples(st.just("patch"), st.booleans())
DISKS = st.tuples(st.just("disk"), st.booleans())


def nested(steps):
    programs = st.lists(steps, max_size=4)
    return st.one_of(
        st.tuples(st.just("trial"), st.sampled_from(["a", "b"]), programs),
        st.tuples(st.just("thread"), programs),
        st.tuples(st.just("child"), programs, st.sampled_from(["exit", "kill"])),
        st.tuples(st.just("expect"), st.sampled_from(["direct", "other"]), programs),
    )


STEPS = st.recursive(st.one_of(HITS, HITS, FAULTS, CLOCKS, PATCHES, DISKS), nested, max_leaves=12)
PROGRAMS = st.lists(STEPS, min_size=1, max_size=6)


@pytest.fixture(scope="module")
def project():
    with tempfile.TemporaryDirectory() as root:
        made = Project(Path(root))
        made.write("store.py", PLAYER.read_text(encoding="utf-8"))
        yield made


def judged(project, steps, pure):
    """The exit code that `run`, `report` and `gate` end with, and the messages found violated."""
    config = find_config(project.root)
    checked = check(config, *config.target())
    run = new_run(config)
    describe_run(run, checked, config, ["player"])
    done = subprocess.run(
        [sys.executable, project.root / "store.py", json.dumps(steps)],
        cwd=project.root,
        env=environment(ASSERTLIB_RUN_DIR=str(run), ASSERTLIB_SINKS="", ASSERTLIB_PURE=pure),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    finish_run(run, full=True)
    summary = summarise(read_evidence([run]), checked.catalog, checked.name, checked.scan.sites)
    return verdict_code(summary), {each.message for each in summary.with_verdict("violated")}


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(steps=PROGRAMS, pure=st.sampled_from(["0", "1"]))
@example([("expect", "direct", [("expect", "other", [("hit", "direct", False)])])], "0")
def test_a_violation_in_the_model_is_never_green(project, steps, pure):
    expected = set(violations(steps))
    event("violated" if expected else "not violated")
    code, found = judged(project, steps, pure)
    NEVER_GREEN.sometimes(not expected and code == 0, "a random program is green")
    if expected:
        NEVER_GREEN.always(code != 0, "a violation in the model is not green", {"steps": steps})
        assert code != 0
    # A full disk may lose what was violated, or that a fault came first; never that all is well.
    if '"disk"' not in json.dumps(steps):
        assert found == expected
