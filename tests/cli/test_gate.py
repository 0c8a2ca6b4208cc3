"""
``assertlib gate`` and ``assertlib evidence``, as a user types them.
"""

import copy
import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from .. import zygote
from ..support import clean_environment

ASSERTLIB = Path(sys.executable).parent / "assertlib"
STORE = """
import random, sys
from assertlib import Invariant, trial

HOLDS = Invariant("store.holds")


def step(dice, rate, holds):
    HOLDS.always(holds, "it holds")
    HOLDS.sometimes(dice.random() < rate, "it happens")


if __name__ == "__main__":
    rate, holds = float(sys.argv[1]), sys.argv[2] == "holds"
    start = 0 if len(sys.argv) < 4 else int(sys.argv[3])
    for seed in range(start, start + 60):
        with trial(f"seed {seed}", population="swarm", seed=seed):
            step(random.Random(seed), rate, holds)
"""
CATALOG = """
schema = 1
[holds]
title = "It holds"
kind = "safety"
status = "active"
statement = "It holds."
why = "It is relied on."
debug = "Look."
expects = ["always", "sometimes"]
[[holds.source]]
ref = "a test"
"""


class Project:
    def __init__(self, root):
        self.root = root
        self.start = 0
        (root / "catalog").mkdir()
        self.write("catalog/store.toml", CATALOG)
        self.write("pyproject.toml", '[tool.assertlib.targets.store]\nsource = ["store.py"]\n')
        self.write("store.py", STORE)

    def write(self, name, text):
        (self.root / name).write_text(textwrap.dedent(text), encoding="utf-8")

    def cli(self, *words, **more):
        done = zygote.run(
            [ASSERTLIB, *words], cwd=self.root, env={**clean_environment(), **more},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def run(self, rate=0.5, holds="holds", *, full=True):
        options = ["--full"] if full else []
        words = (sys.executable, "store.py", str(rate), holds, str(self.start))
        self.start += 60
        return self.cli("run", *options, "--", *words)

    def gate(self, rate=0.5, holds="holds", *options):
        self.run(rate, holds)
        return self.cli("gate", *options)


@pytest.fixture(name="project")
def _project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="module")
def _settled_once(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("settled"))
    assert project.gate(0.5, "holds", "--update").returncode == 0
    for _ in range(2):
        assert project.gate().returncode == 0
    return project


@pytest.fixture(name="settled")
def _settled(_settled_once, tmp_path):
    """A project whose baseline is written and which has some history."""
    project = copy.copy(_settled_once)
    project.root = tmp_path / "settled"
    shutil.copytree(_settled_once.root, project.root)
    return project


def test_without_a_run_there_is_no_pass(project):
    assert project.cli("gate").returncode == 3


def test_the_first_gate_passes_and_says_what_is_missing(project):
    done = project.gate()
    assert done.returncode == 0
    assert "There is no baseline yet" in done.stdout
    assert "no earlier runs in the store" in done.stdout


def test_the_baseline_holds_what_is_satisfied_sorted(settled):
    text = (settled.root / "catalog/baseline.txt").read_text()
    assert text == "it happens\nit holds\n"
    assert settled.cli("check", "--strict").returncode == 0


def test_a_violation_fails_and_is_new_once(settled):
    first = settled.gate(0.5, "breaks")
    assert first.returncode == 1
    assert 'FAIL NEW       violated: "it holds"' in first.stdout
    assert 'FAIL ONGOING   violated: "it holds"' in settled.gate(0.5, "breaks").stdout
    after = settled.gate()
    assert after.returncode == 0
    assert "violated in 2 of the" in after.stdout


def test_a_rate_that_drops_fails(settled):
    done = settled.gate(0.0)
    assert done.returncode == 1
    assert 'rate dropped: "it happens"' in done.stdout
    assert "only 0 of the latest 60 did" in done.stdout
    assert "FAIL NEW" in done.stdout
    assert "FAIL ONGOING" in settled.gate(0.0).stdout


def test_what_is_rare_anyway_is_told_and_passes(project):
    project.gate(0.5, "holds", "--update")
    project.write("store.py", STORE.replace("dice.random() < rate", "rate > dice.random()"))
    # A new condition, which 1 in 60 satisfies.
    project.run(0.02)
    project.cli("gate")
    for _ in range(2):
        project.run(0.02)
        project.cli("gate")
    project.run(0.0)
    done = project.cli("gate")
    assert done.returncode == 0, done.stdout
    assert "RARE" in done.stdout


def test_a_partial_run_proves_no_absence(settled):
    settled.run(0.5, full=False)
    settled.write("store.py", STORE.replace('HOLDS.always(holds, "it holds")', "pass"))
    settled.run(0.5, full=False)
    done = settled.cli("gate")
    assert "partial" in done.stdout


def test_an_assertion_that_left_the_code_fails_until_the_baseline_lets_it_go(settled):
    settled.write("store.py", STORE.replace('HOLDS.always(holds, "it holds")', "pass"))
    done = settled.gate()
    assert done.returncode == 1
    assert 'left the code: "it holds"' in done.stdout
    settled.cli("gate", "--update")
    assert settled.cli("gate").returncode == 0
    assert (settled.root / "catalog/baseline.txt").read_text() == "it happens\n"


def test_an_update_is_not_told_to_update(project):
    first = project.gate(0.5, "holds", "--update")
    assert "2 names added" in first.stdout
    project.write("store.py", STORE.replace('HOLDS.always(holds, "it holds")', "pass"))
    left = project.gate(0.5, "holds", "--update")
    assert 'left the code: "it holds"' in left.stdout
    assert "it was removed from the baseline; if it was renamed" in left.stdout
    assert "--update" not in first.stdout + first.stderr + left.stdout + left.stderr


def test_a_new_sometimes_has_to_come_true_in_its_own_runs(settled):
    more = 'HOLDS.sometimes(dice.random() > 2, "a new state")\n    HOLDS.always'
    settled.write("store.py", STORE.replace("HOLDS.always", more, 1))
    done = settled.gate()
    assert done.returncode == 1
    assert 'never true yet: "a new state"' in done.stdout
    # Nor when the job is run again, or has seen the assertion in a run that was not judged.
    assert settled.gate().returncode == 1
    settled.cli("gate", "--update")
    assert settled.gate().returncode == 1
    settled.write("store.py", STORE.replace("HOLDS.always", more.replace("> 2", "> 0"), 1))
    assert settled.gate().returncode == 0


def test_a_bad_line_of_the_baseline_is_named_by_its_number_in_the_file(settled):
    (settled.root / "catalog/baseline.txt").write_text('it happens\n\n\n"it holds\n')
    done = settled.gate()
    assert done.returncode == 2
    assert "baseline.txt:4:1: unterminated quote" in done.stderr


def test_what_was_not_satisfied_when_the_baseline_was_begun_is_pending(project):
    more = 'HOLDS.sometimes(dice.random() > {}, "an old state")\n    HOLDS.always'
    project.write("store.py", STORE.replace("HOLDS.always", more.format(2), 1))
    assert project.gate(0.5, "holds", "--update").returncode == 0
    baseline = project.root / "catalog/baseline.txt"
    assert baseline.read_text() == "? an old state\nit happens\nit holds\n"
    assert project.gate().returncode == 0
    project.write("store.py", STORE.replace("HOLDS.always", more.format(0), 1))
    assert project.gate(0.5, "holds", "--update").returncode == 0
    assert baseline.read_text() == "an old state\nit happens\nit holds\n"


def test_a_changed_condition_does_not_inherit_evidence_and_a_renamed_assertion_does(settled):
    changed = STORE.replace("dice.random() < rate", "dice.random() < rate - 1")
    settled.write("store.py", changed)
    done = settled.gate()
    assert done.returncode == 1
    assert "its condition differs from the baseline's" in done.stdout
    assert "rate dropped" not in done.stdout

    settled.write("store.py", STORE.replace("it happens", "it comes about"))
    assert settled.cli("catalog", "rename", "it happens", "it comes about").returncode == 0
    assert settled.gate().returncode == 0
    done = settled.gate(0.0)
    assert done.returncode == 1
    assert 'rate dropped: "it comes about"' in done.stdout


def test_a_promise_that_is_changed_and_never_reached_does_not_leave_silently(settled):
    hidden = 'if rate > 9:\n        HOLDS.always(holds and rate, "it holds")'
    settled.write("store.py", STORE.replace('HOLDS.always(holds, "it holds")', hidden))
    done = settled.gate()
    assert done.returncode == 1
    assert 'no longer satisfied: "it holds"' in done.stdout


def test_a_history_may_begin_anew_at_a_commit(settled):
    done = settled.cli("gate", "--since", "nosuchcommit")
    assert done.returncode == 2
    assert "no run of that commit in the store" in done.stderr


def test_job_summary_test_report_and_badge(settled):
    settled.gate(0.0, "breaks", "--summary", "s.md", "--junit", "j.xml", "--badge", "b.json")
    summary = (settled.root / "s.md").read_text()
    assert summary.startswith("# Assertion gate: failed\n")
    assert "| ✗ | it holds | store.holds | violated: false in 60 of 60 |" in summary
    suite = ET.fromstring((settled.root / "j.xml").read_text()).find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    (case,) = suite.findall("testcase")
    assert case.get("name") == "store.holds"
    badge = json.loads((settled.root / "b.json").read_text())
    assert badge == {
        "schemaVersion": 1, "label": "invariants", "message": "0/1", "color": "red",
    }  # fmt: skip


@pytest.mark.parametrize("text", [b"\xff\n", b'"open\n'])
def test_a_baseline_that_is_none_is_one_clear_error(settled, text):
    (settled.root / "catalog/baseline.txt").write_bytes(text)
    done = settled.cli("gate")
    assert done.returncode == 2
    assert "baseline.txt" in done.stderr


# -- the store -----------------------------------------------------------------------------------


def test_an_empty_store_is_no_data(project):
    assert project.cli("evidence", "list").returncode == 3
    assert project.cli("evidence", "add").returncode == 3
    assert project.cli("evidence", "show", "x").returncode == 3


def test_runs_are_added_listed_shown_compared_and_forgotten(project):
    project.run()
    project.run(0.0)
    done = project.cli("evidence", "add", "--all")
    assert "2 runs read, 2 with new evidence" in done.stdout
    assert "2 runs read, 0 with new evidence" in project.cli("evidence", "add", "--all").stdout
    first, second = (
        line.split()[0] for line in project.cli("evidence", "list").stdout.splitlines()
    )
    shown = project.cli("evidence", "show", first).stdout
    assert 'always "it holds" [swarm]: true 60, false 0; hit in 60 of 60 trials' in shown
    done = project.cli("evidence", "diff", first, second)
    assert done.stdout == 'sometimes "it happens": true and false -> false\n'
    assert "no differences" in project.cli("evidence", "diff", first, first).stdout
    assert project.cli("evidence", "prune").returncode == 2
    assert project.cli("evidence", "prune", "--keep", "-1").returncode == 2
    assert project.cli("evidence", "list", "--last", "0").returncode == 2
    assert "1 run removed, 1 kept" in project.cli("evidence", "prune", "--keep", "1").stdout
    assert project.cli("evidence", "show", first).returncode == 3


def test_two_states_in_one_trial(project):
    project.gate()
    done = project.cli("evidence", "cooccurrence", "it happens", "it holds")
    assert done.returncode == 0
    assert done.stdout.startswith('60 trials: "it happens" in ')
    assert project.cli("evidence", "cooccurrence", "it happens", "never heard of").returncode == 3


def test_what_is_exported_can_be_imported_elsewhere_twice(project):
    project.gate()
    assert project.cli("evidence", "export", "all.jsonl").returncode == 0
    elsewhere = {"ASSERTLIB_EVIDENCE_URL": f"sqlite:///{project.root}/other.db"}
    done = project.cli("evidence", "import", "all.jsonl", "all.jsonl", **elsewhere)
    assert "1 run read, 1 with new evidence" in done.stdout
    assert (
        project.cli("evidence", "list", **elsewhere).stdout
        == project.cli("evidence", "list").stdout
    )


@pytest.mark.parametrize("text", ["garbage", "[]", "{}", '{"schema": 9}', "[" * 100_000])
def test_what_is_no_export_is_one_clear_error(project, text):
    project.write("all.jsonl", text + "\n")
    done = project.cli("evidence", "import", "all.jsonl")
    assert done.returncode == 2
    assert done.stderr.startswith("assertlib: all.jsonl:1:1: ")


def test_an_address_that_is_none_is_one_clear_error(project):
    project.run()
    done = project.cli("evidence", "add", ASSERTLIB_EVIDENCE_URL="nonsense")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_messages_that_no_database_can_hold_are_judged_all_the_same(project):
    text = STORE.replace('"it happens"', '"it \\ud800 happens \\x00"')
    project.write("store.py", text)
    assert project.gate(0.5, "holds", "--update").returncode == 0
    assert project.gate().returncode == 0
    done = project.gate(0.0)
    assert done.returncode == 1
    assert "rate dropped" in done.stdout


READER = """
import os, sys
from assertlib.evidence.store import Store
Store("sqlite://").close()
if os.geteuid() == 0:
    os.setuid(65534)
with Store(sys.argv[1]) as store:
    print([run.target for run in store.runs()])
"""


def test_a_store_that_may_only_be_read_can_be_read(project):
    project.gate()
    with tempfile.TemporaryDirectory() as name:
        only = Path(name) / "evidence.db"
        shutil.copy(project.root / ".assertlib/evidence.db", only)
        only.chmod(0o444)
        only.parent.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READER, f"sqlite:///{only}"],
            capture_output=True, text=True, timeout=60, env=clean_environment(),
        )  # fmt: skip
        only.parent.chmod(0o755)
    assert done.stdout == "['store']\n", done.stderr
