"""`assertlib check`: reviews that a change requires, and what nobody knows any more."""

from __future__ import annotations

import pytest

from .test_survey import History


@pytest.fixture(name="history")
def _history(tmp_path):
    history = History(tmp_path)
    history.git("init", "-q")
    history.run("catalog", "review", "--new")
    history.commit("Ann", "2026-05-01")
    return history


CHANGE = ("self.records.append(record)", "self.records += [record]")


def test_changed_code_around_an_assertion_needs_a_review(history):
    history.change("store/log.py", *CHANGE)
    history.run("check")
    text = history.run("check", "--diff", "HEAD", code=1).stdout
    assert "AL603 wal.index-contiguous: code that enforces it has changed without a review" in text
    assert "Log.append (store/log.py)" in text
    assert "wal.synced-before-ack" not in text


def test_a_review_of_the_code_in_the_same_change_satisfies_it(history):
    history.change("store/log.py", *CHANGE)
    reason = ["--code", "--reason", "appending is the same"]
    done = history.run("catalog", "review", "wal.index-contiguous", *reason)
    assert "code of wal.index-contiguous reviewed; commit it" in done.stdout
    history.run("check", "--diff", "HEAD")
    history.commit("Ann", "2026-05-02")
    history.run("check", "--diff", "HEAD~1..HEAD")
    # The review of one change is none of the next.
    history.change("store/log.py", "+= [record]", "+= (record,)")
    history.run("check", "--diff", "HEAD", code=1)


def test_the_review_of_another_invariant_does_not_count(history):
    history.change("store/log.py", *CHANGE)
    history.run("catalog", "review", "wal.clients-see-order", "--code", "--reason", "read")
    assert "AL603 wal.index-contiguous" in history.run("check", "--diff", "HEAD", code=1).stdout


def test_a_review_of_code_needs_ids_and_a_reason(history):
    assert "requires" in history.run("catalog", "review", "--code", code=2).stderr
    problem = history.run("catalog", "review", "wal.gone", "--code", "--reason", "x", code=2).stderr
    assert "unknown invariant 'wal.gone'" in problem


def test_lost_knowledge_and_unreproduced_incidents_are_warnings_on_request(history):
    history.change("catalog/wal.toml", 'reproduce = ["early-ack"]\n', "")
    assert "AL60" not in history.run("check").stdout
    history.configure("check = true\nactive-days = 0.001")
    text = history.run("check").stdout
    assert "AL601 wal.synced-before-ack: nobody who contributed to it is active" in text
    assert "AL602 wal.synced-before-ack: nothing reproduces the incident" in text
    history.run("check", "--strict", code=1)


def test_a_wrong_setting_is_named_with_its_line(history):
    history.configure("active-dayz = 3")
    assert "did you mean 'active-days'?" in history.run("check", code=2).stderr


def test_lines_that_cannot_be_placed_need_a_review_of_their_whole_file(history):
    diff = "--- a/store/log.py\n+++ b/store/log.py\n@@ -1,2 +1,2 @@\n nothing\n-of\n+this\n"
    text = history.run("check", "--diff", "-", stdin=diff, code=1).stdout
    assert "wal.index-contiguous: code that enforces it has changed" in text
    assert "somewhere in store/log.py" in text


def test_a_change_of_a_file_in_another_encoding_is_placed(history):
    path = history.root / "store/server.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + path.read_bytes())
    history.commit("Ann", "2026-05-02")
    path.write_bytes(path.read_bytes().replace(b"return number + 1", b"return number + 2  # \xe9"))
    assert "Server.answer" in history.run("context").stdout


def test_a_combined_diff_of_a_merge_is_refused(history):
    diff = "diff --cc store/log.py\nindex 1,2..3\n--- a/store/log.py\n+++ b/store/log.py\n"
    assert "combined diff" in history.run("check", "--diff", "-", stdin=diff, code=2).stderr
    assert "--diff is empty" in history.run("check", "--diff", "", code=2).stderr


def test_removing_what_an_assertion_reads_needs_a_review(history):
    history.change("store/log.py", "self.durable = len(self.records)", "pass")
    text = history.run("check", "--diff", "HEAD", code=1).stdout
    assert "AL603 wal.synced-before-ack" in text
    first = history.run("context").stdout.splitlines()[2]
    assert first.startswith("1. wal.synced-before-ack")


def test_only_a_new_result_in_the_own_lock_is_a_review(history):
    history.run("catalog", "review", "wal.index-contiguous", "--code", "--reason", "ok")
    history.commit("Ann", "2026-05-02")
    lock = history.root / "catalog/review.lock"
    history.change("store/log.py", *CHANGE)
    before = lock.read_text()
    lock.write_text(before.replace('code = "ok"\n', ""))
    history.run("check", "--diff", "HEAD", code=1)
    lock.write_text(before.replace("targets = [", "targets  = ["))
    history.run("check", "--diff", "HEAD", code=1)
    lock.write_text(before)
    problem = history.run(
        "catalog", "review", "wal.index-contiguous", "--code", "--reason", "ok", code=2
    )
    assert "gave the same reason" in problem.stderr


GO = """\
package store

import "github.com/antithesishq/antithesis-sdk-go/assert"

func Sync(a int) {
\tassert.Always(a > 0, "a is positive", nil)
}
"""


def test_code_in_go_needs_a_review_too(history):
    pytest.importorskip("tree_sitter_go", reason="the extra polyglot is not installed")
    history.write("store/a.go", GO)
    link = '\n[[assertion]]\nmessage = "a is positive"\ninvariant = "wal.index-contiguous"\n'
    history.write("catalog/wal.toml", (history.root / "catalog/wal.toml").read_text() + link)
    history.run("catalog", "review", "--new")
    history.commit("Ann", "2026-05-02")
    history.change("store/a.go", "func Sync(a int)", "func Sync(a, b int)")
    assert "AL603 wal.index-contiguous" in history.run("check", "--diff", "HEAD", code=1).stdout


def test_a_line_that_becomes_empty_was_in_its_function(history):
    history.change("store/log.py", "        self.records.append(record)\n", "\n")
    assert "AL603 wal.index-contiguous" in history.run("check", "--diff", "HEAD", code=1).stdout


def test_an_empty_result_is_no_review(history):
    history.change("store/log.py", *CHANGE)
    lock = history.root / "catalog/review.lock"
    head = '[reviewed."wal.index-contiguous"]\n'
    assert head in lock.read_text()
    lock.write_text(lock.read_text().replace(head, f'{head}code = ""\n'))
    history.run("check", "--diff", "HEAD", code=1)
