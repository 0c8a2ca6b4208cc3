"""`assertlib context`: which invariants are at stake, and why."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ..support import clean_environment
from .project import DEFECT, Project


@pytest.fixture(name="project")
def _project(tmp_path):
    return Project(tmp_path)


def _found(project, *arguments, **more):
    return json.loads(project.run("context", *arguments, "--format", "json", **more).stdout)


def _kinds(found, identifier):
    (entry,) = [each for each in found["invariants"] if each["id"] == identifier]
    return {reason["kind"] for reason in entry["reasons"]}


def test_an_assertion_in_the_lines_puts_its_invariant_first(project):
    found = _found(project, "store/log.py:14-16")
    first = found["invariants"][0]
    assert first["id"] == "wal.index-contiguous"
    assert first["reasons"][0]["kind"] == "assertion"
    assert found["functions"] == ["store/log.py: Log.append"]


def test_a_condition_elsewhere_that_reads_what_the_change_writes_counts(project):
    found = _found(project, "--diff", "-", stdin=DEFECT)
    assert found["invariants"][0]["id"] == "wal.synced-before-ack"
    assert "condition" in _kinds(found, "wal.synced-before-ack")
    assert found["functions"] == ["store/log.py: Log.sync"]


def test_the_same_functions_are_found_once_the_change_is_applied(project):
    before = _found(project, "--diff", "-", stdin=DEFECT)
    project.change("store/log.py", "= len(self.records)\n", "= len(self.records) + 1\n")
    assert _found(project, "--diff", "-", stdin=DEFECT)["functions"] == before["functions"]


def test_a_seeded_defect_in_the_same_function_counts_with_its_incident(project):
    found = _found(project, "--symbol", "Log.sync")
    first = found["invariants"][0]
    assert first["id"] == "wal.synced-before-ack"
    assert "defect" in {reason["kind"] for reason in first["reasons"]}
    assert first["incidents"][0]["ref"] == "etcd-io/etcd#14370"


def test_an_id_in_a_comment_of_the_function_counts(project):
    assert "citation" in _kinds(
        _found(project, "--symbol", "Server.answer"), "wal.synced-before-ack"
    )


def test_the_uncommitted_changes_are_the_default(project):
    project.git("init", "-q")
    project.git("add", ".")
    project.git("commit", "-qm", "Begin")
    assert "no invariant is at stake" in project.run("context").stdout
    project.change("store/server.py", "last < number,", "last <= number,")
    assert project.run("context").stdout.splitlines()[2].startswith("1. wal.clients-see-order")
    project.git("add", ".")
    staged = _found(project, "--staged")
    assert staged["invariants"][0]["id"] == "wal.clients-see-order"
    project.git("commit", "-qm", "Loosen")
    ranged = _found(project, "--diff", "HEAD~1..HEAD")
    assert ranged["invariants"] == staged["invariants"]


def test_text_names_the_invariant_with_what_a_reviewer_asks_for(project):
    text = project.run("context", "--symbol", "Log.sync").stdout
    for part in (
        "1. wal.synced-before-ack  A write is synced before its ack",
        "An acknowledged record is on disk.",
        "why: Callers act on the acknowledgement.",
        "listed because: the seeded defect early-ack breaks it in Log.sync",
        "enforced by: 'an acknowledged record is on disk' in reply (store/log.py:",
        "incidents: etcd-io/etcd#14370 (An ack overtook its sync)",
        "owners: storage",
        "open question: Does it hold with group commit?",
    ):
        assert " ".join(part.split()) in " ".join(text.split())


def test_markdown_is_a_list_to_tick_that_ci_can_find_again(project):
    text = project.run("context", "store/log.py", "--format", "markdown").stdout
    assert text.startswith("<!-- assertlib context -->\n")
    assert "- [ ] **wal.synced-before-ack**: A write is synced before its ack" in text


def test_words_limit_the_text_but_not_the_names(project):
    short = project.run("context", "store/log.py", "--words", "1").stdout
    full = project.run("context", "store/log.py").stdout
    assert len(short.split()) < len(full.split())
    for name in ("wal.index-contiguous", "wal.synced-before-ack"):
        assert name in short


def test_tests_that_ran_the_function_count_once_they_are_recorded(project):
    project.write(
        "tests/test_log.py",
        "from store.log import Log, reply\n\n"
        "def test_ack():\n"
        "    log = Log()\n    log.append(0)\n    log.sync()\n    reply(log, 0)\n\n"
        "def test_append():\n    Log().append(0)\n",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--assertlib-context", "-p", "no:cacheprovider"],
        cwd=project.root,
        env={**clean_environment(), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    found = _found(project, "--symbol", "Log.sync")
    (entry,) = [each for each in found["invariants"] if each["id"] == "wal.synced-before-ack"]
    texts = [each["text"] for each in entry["reasons"] if each["kind"] == "evidence"]
    assert texts == ["1 of 1 tests that run Log.sync hit 'an acknowledged record is on disk'"]
    assert entry["evidence"]["level"] == "exercised"


def test_an_index_that_was_kept_is_renewed_when_a_file_changes(project):
    before = _found(project, "store/log.py")
    assert _found(project, "store/log.py") == before
    project.change("store/log.py", "GAPS.always(record", "GAPS.always(1 + record")
    after = _found(project, "store/log.py")
    conditions = json.dumps(after)
    assert conditions != json.dumps(before) or after == before
    project.change("store/log.py", '"records are numbered without a gap"', '"no gaps"')
    assert "no gaps" in json.dumps(_found(project, "store/log.py"))


def test_a_damaged_index_is_made_again(project):
    before = _found(project, "store/log.py")
    for path in (project.root / ".assertlib" / "cache").glob("*.json"):
        path.write_text('{"key": 1, "value": {"files": []}}')
    assert _found(project, "store/log.py") == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["missing.py"], "missing.py: no such file"),
        (["store/log.py:9-3"], "lines are counted from 1"),
        (["store/log.py:9999"], "the file has"),
        (["--symbol", "Nothing"], "no function or class of this name"),
        (["--symbol", ""], "no function or class of this name"),
        (["--symbol", "Log."], "no function or class of this name"),
        (["--diff", "no..where"], "git diff no..where:"),
        (["--diff", "--output=x"], "git diff --output=x:"),
        (["--staged", "--diff", "HEAD"], "exclude each other"),
        (["--diff", ""], "--diff is empty"),
        (["/etc/hosts"], "outside the project"),
    ],
)
def test_a_mistake_is_one_clear_line(project, arguments, problem):
    project.git("init", "-q")
    done = project.run("context", *arguments, code=2)
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (project.root / "x").exists()


def test_a_file_outside_the_targets_is_named(project):
    project.write("README.md", "text\n")
    diff = "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-text\n+words\n"
    done = project.run("context", "--diff", "-", stdin=diff)
    assert "not in the source of any target: README.md" in done.stdout


def test_lines_that_fit_no_version_of_the_file_are_named(project):
    diff = "--- a/store/log.py\n+++ b/store/log.py\n@@ -1,2 +1,2 @@\n nothing\n-of\n+this\n"
    assert "neither before nor after" in project.run("context", "--diff", "-", stdin=diff).stdout


def test_the_section_for_agents_says_how_to_ask(project):
    text = project.run("context", "--agents").stdout
    assert "assertlib context --diff" in text
    assert len(text.split()) < 120


def test_a_deleted_file_and_a_new_one_are_changes(project):
    project.git("init", "-q")
    project.git("add", ".")
    project.git("commit", "-qm", "Begin")
    (project.root / "store/log.py").unlink()
    first = _found(project)["invariants"][:2]
    assert {each["id"] for each in first} == {"wal.synced-before-ack", "wal.index-contiguous"}
    project.git("checkout", "store/log.py")
    text = "from assertlib import always\n\n\ndef new(x):\n    always(x, 'x', invariant='wal.clients-see-order')\n"
    project.write("store/new.py", text)
    assert _found(project)["invariants"][0]["id"] == "wal.clients-see-order"


def test_a_catalog_entry_that_cannot_be_read_is_an_error_and_not_left_out(project):
    project.change(
        "catalog/wal.toml", "[synced-before-ack]\n", "[synced-before-ack]\nunheard = 1\n"
    )
    done = project.run("context", "store/log.py", code=2)
    assert "AL105" in done.stderr
    assert "catalog/wal.toml" in done.stderr


def test_source_that_cannot_be_read_is_reported_each_time(project):
    project.write("store/broken.py", "from assertlib import always\n\ndef half(:\n")
    for _ in range(2):
        done = project.run("context", "store/log.py:14-16")
        assert "store/broken.py" in done.stderr


def test_placeholder_text_of_a_draft_is_not_given_as_a_reason(project):
    project.change(
        "catalog/wal.toml", "Followers count.", "What breaks, and for whom, if it does not hold."
    )
    shown = project.run("context", "store/log.py:14-16").stdout
    assert "wal.index-contiguous" in shown
    assert "What breaks" not in shown
