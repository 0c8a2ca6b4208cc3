"""The life of an invariant, as git remembers it."""

import subprocess

from assertlib.catalog.history import history

ENTRY = """schema = 1
[log]
title = "A title"
kind = "safety"
status = "{status}"
revision = {revision}
statement = "{statement}"
why = "It matters."
expects = ["always"]
"""


def git(root, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        cwd=root, check=True, capture_output=True,
    )  # fmt: skip


def commit(root, text):
    (root / "catalog").mkdir(exist_ok=True)
    (root / "catalog/wal.toml").write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-m", "a change", "--date", "2026-03-04T05:06:07")


def told(root):
    found = history(root, ["catalog"])
    return {id: [change.what for change in changes] for id, changes in found.items()}


def test_each_step_is_told_the_newest_first(tmp_path):
    git(tmp_path, "init")
    commit(tmp_path, ENTRY.format(status="draft", revision=1, statement="One thing."))
    commit(tmp_path, ENTRY.format(status="draft", revision=1, statement="One  thing."))
    commit(tmp_path, ENTRY.format(status="active", revision=2, statement="One thing."))
    commit(tmp_path, ENTRY.format(status="active", revision=2, statement="Two things."))
    assert told(tmp_path) == {
        "wal.log": [
            "the statement was reworded",
            "draft became active; revision 1 became 2",
            "added",
        ]
    }


def test_a_clause_or_a_state_that_changes_is_told(tmp_path):
    git(tmp_path, "init")
    entry = ENTRY.format(status="draft", revision=1, statement="One thing.")
    for part in ("", "[log.states.full]\ntext = 'The log is full.'\n"):
        commit(tmp_path, entry + part)
    commit(tmp_path, entry + "[log.states.full]\ntext = 'The log is nearly full.'\n")
    commit(tmp_path, entry + "[log.clauses]\nfirst = 'The first thing.'\n")
    assert told(tmp_path) == {"wal.log": ["the statement was reworded"] * 3 + ["added"]}


def test_a_removed_entry_keeps_its_history(tmp_path):
    git(tmp_path, "init")
    commit(tmp_path, ENTRY.format(status="draft", revision=1, statement="One thing."))
    commit(tmp_path, "schema = 1\n")
    assert told(tmp_path) == {"wal.log": ["removed", "added"]}


def test_what_cannot_be_read_is_passed_over(tmp_path):
    git(tmp_path, "init")
    commit(tmp_path, "schema = [")
    commit(tmp_path, ENTRY.format(status="draft", revision=1, statement="One thing."))
    assert told(tmp_path) == {"wal.log": ["added"]}


def test_without_a_repository_there_is_no_history(tmp_path):
    assert history(tmp_path, ["catalog"]) == {}
