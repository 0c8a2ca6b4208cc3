"""`assertlib catalog review`: which links are suspect, and how they are acknowledged."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .. import zygote
from ..support import clean_environment

ASSERTLIB = Path(sys.executable).parent / "assertlib"
ROOT = Path(__file__).parents[2]

CATALOG = """\
schema = 1

[durable-ack]
title = "An acknowledged write survives"
kind = "safety"
status = "active"
revision = 2
statement = '''
What was acknowledged is there.
It stays there after a crash.
'''
why = "Callers act on it."
debug = "Look at the order of sync and reply."
expects = ["always"]

[[durable-ack.source]]
ref = "etcd docs"

[ordered]
title = "Replies are in order"
kind = "safety"
status = "active"
statement = "No reply overtakes another."
why = "Callers number them."
debug = "Look at the queue."
expects = ["always"]

[[ordered.source]]
ref = "etcd docs"
"""
CODE = """\
from assertlib import Invariant

ACK = Invariant("kv.durable-ack")
ORDERED = Invariant("kv.ordered")


def reply(acked, synced, closed):
    ACK.always(acked <= synced and not closed, "ack follows sync")
    return ORDERED.always(acked > 0, "replies are numbered")
"""
CONFIG = "[tool.assertlib.targets.store]\nsource = ['store']\n"


class Project:
    """A small store with a catalog, all of it reviewed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("pyproject.toml", CONFIG)
        self.write("catalog/kv.toml", CATALOG)
        self.write("store/__init__.py", "")
        self.write("store/reply.py", CODE)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = zygote.run(
            [ASSERTLIB, *arguments],
            cwd=self.root,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def review(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("catalog", "review", *arguments)

    def findings(self) -> list[dict[str, str]]:
        found = json.loads(self.run("check", "--format", "json").stdout)["findings"]
        assert isinstance(found, list)
        return found

    def rules(self) -> list[str]:
        return [each["rule"] for each in self.findings()]


@pytest.fixture(name="project")
def _project(tmp_path):
    project = Project(tmp_path)
    done = project.review("--new")
    assert done.returncode == 0, done.stderr
    assert project.findings() == []
    return project


def test_without_a_lock_nobody_reviews_and_nothing_is_suspect(tmp_path):
    project = Project(tmp_path)
    assert project.findings() == []
    assert "--new" in project.review().stdout


def test_the_first_review_of_a_project_can_be_that_of_one_invariant(tmp_path):
    project = Project(tmp_path)
    done = project.review("kv.durable-ack", "--reason", "read with the team")
    assert done.returncode == 0, done.stderr
    assert "catalog/review.lock: kv.durable-ack reviewed; commit it" in done.stdout
    assert "read with the team" in (tmp_path / "catalog/review.lock").read_text()
    # The lock makes the project one that reviews, so the other link waits for its review.
    assert "1 other invariant with assertions" in done.stdout
    assert "assertlib catalog review --new" in done.stdout
    assert project.rules() == ["AL302"]


def test_the_first_review_of_an_invariant_that_nothing_cites_is_refused(tmp_path):
    project = Project(tmp_path)
    project.change("store/reply.py", "ORDERED.always(acked > 0, ", "print(acked, ")
    done = project.review("kv.ordered", "--reason", "read")
    assert done.returncode == 2
    assert "no assertion cites kv.ordered" in done.stderr
    assert not (tmp_path / "catalog/review.lock").exists()


def test_a_flipped_comparison_makes_just_its_link_suspect(project):
    project.change("store/reply.py", "acked <= synced", "acked < synced")
    (finding,) = project.findings()
    assert finding["rule"] == "AL301"
    assert finding["file"] == "store/reply.py"
    assert "'ack follows sync'" in finding["message"]
    assert "weaker" not in finding["message"]
    assert "review kv.durable-ack" in finding["remedy"]
    assert project.run("check").returncode == 0
    assert project.run("check", "--strict").returncode == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("acked <= synced and not closed", "acked <= synced", "`not closed` was dropped"),
        ("acked <= synced and not closed", "acked <= synced or not closed", "has become `or`"),
        ("acked > 0", "acked >= 0", "`>` has become `>=`"),
        ("acked > 0", "acked > 0 or closed", "`closed` alone is now sufficient"),
        (
            "ORDERED.always(",
            "ORDERED.always_or_unreachable(",
            "became always_or_unreachable, which",
        ),
    ],
)
def test_a_weaker_assertion_is_called_so(project, old, new, said):
    project.change("store/reply.py", old, new)
    (finding,) = [each for each in project.findings() if each["rule"] == "AL301"]
    assert "weaker" in finding["message"]
    assert said in finding["message"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("acked <= synced", "synced <= acked"),
        ("acked > 0", "synced > 0"),
        ("acked > 0", "acked > 1"),
    ],
)
def test_other_operands_make_a_link_suspect(project, old, new):
    project.change("store/reply.py", old, new)
    assert project.rules() == ["AL301"]


def test_another_value_of_a_constant_makes_a_link_suspect(project):
    project.change("store/reply.py", "acked > 0", "acked > FIRST")
    project.change("store/reply.py", "\n\ndef reply", "FIRST = 1 << 4\n\n\ndef reply")
    project.review("kv.ordered", "--reason", "numbers begin later")
    assert project.findings() == []
    project.change("store/reply.py", "1 << 4", "1 << 2")
    (finding,) = project.findings()
    assert "reads the same, but something it uses has changed" in finding["message"]


def test_another_kind_says_nothing_of_the_condition(project):
    project.change("store/reply.py", "ORDERED.always(", "ORDERED.always_or_unreachable(")
    (finding,) = [each for each in project.findings() if each["rule"] == "AL301"]
    assert "reads the same" not in finding["message"]


def test_another_text_of_a_state_makes_links_suspect(project):
    state = "[durable-ack.states.late]\ntext = '{}'\n[[durable-ack.source]]"
    project.change("catalog/kv.toml", "[[durable-ack.source]]", state.format("A late ack."))
    project.review("kv.durable-ack", "--reason", "a state is new")
    project.change("catalog/kv.toml", "A late ack.", "The moon is full.")
    assert project.rules() == ["AL301"]
    assert "- late: A late ack." in project.review().stdout


def test_a_renamed_assertion_is_not_acknowledged_but_renamed(project):
    project.change("store/reply.py", '"replies are numbered"', '"each reply has a number"')
    assert "catalog rename OLD NEW" in project.review().stdout
    done = project.review("kv.ordered", "--reason", "a new name")
    assert done.returncode == 2
    assert "catalog rename 'replies are numbered' 'each reply has a number'" in done.stderr


def test_what_has_not_changed_is_not_acknowledged_again(project):
    before = (project.root / "catalog/review.lock").read_bytes()
    done = project.review("kv.ordered", "--reason", "again")
    assert (done.returncode, done.stdout.count("no changes since")) == (0, 1)
    assert (project.root / "catalog/review.lock").read_bytes() == before


def test_a_catalog_that_cannot_be_read_is_no_review(project):
    project.change("catalog/kv.toml", "[ordered]", "[ordered")
    for arguments in ((), ("--new",), ("kv.durable-ack", "--reason", "r")):
        done = project.review(*arguments)
        assert done.returncode == 2
        assert "catalog/kv.toml" in done.stderr
    for command in ("list", "show kv.ordered", "new kv.more"):
        assert project.run("catalog", *command.split()).returncode == 2


def test_layout_places_and_names_of_variables_are_no_changes(project):
    project.change("store/reply.py", "acked", "told")
    project.change("store/reply.py", "def reply", "\n\ndef first():\n    pass\n\n\ndef reply")
    project.change("store/reply.py", "told <= synced and", "(told  <=\n        synced) and")
    project.change("catalog/kv.toml", "is there.\nIt stays", "is there. It\n  stays")
    assert project.findings() == []


def test_a_sentence_less_makes_the_links_of_its_invariant_suspect(project):
    project.change("catalog/kv.toml", "It stays there after a crash.\n", "")
    (finding,) = project.findings()
    assert (finding["rule"], finding["file"]) == ("AL301", "catalog/kv.toml")
    assert (
        "kv.durable-ack: its statement has changed since 'ack follows sync'" in finding["message"]
    )
    assert "- It stays there after a crash." in project.review("kv.durable-ack").stdout


def test_a_raised_revision_makes_links_suspect_and_a_lowered_one_is_an_error(project):
    project.change("catalog/kv.toml", "revision = 2", "revision = 3")
    assert project.rules() == ["AL301"]
    project.change("catalog/kv.toml", "revision = 3", "revision = 1")
    assert project.rules() == ["AL303"]
    assert project.run("check").returncode == 1


def test_a_removed_assertion_is_missed_and_a_renamed_one_is_recognised(project):
    project.change("store/reply.py", '"replies are numbered"', '"each reply has a number"')
    (finding,) = project.findings()
    assert finding["rule"] == "AL305"
    project.change("store/reply.py", "return ORDERED.always(acked > 0, ", "return print(")
    assert sorted(project.rules()) == ["AL201", "AL304"]


def test_what_is_acknowledged_by_name_is_suspect_no_longer(project):
    project.change("store/reply.py", "acked <= synced", "acked < synced")
    project.change("store/reply.py", "acked > 0", "acked > 1")
    shown = project.review()
    assert shown.returncode == 1
    assert "- always: acked <= synced and (not closed)" in shown.stdout
    assert "+ always: acked < synced and (not closed)" in shown.stdout
    done = project.review(
        "kv.durable-ack", "--reason", "an index equal to synced is not on disk yet"
    )
    assert done.returncode == 0
    (finding,) = project.findings()
    assert "replies are numbered" in finding["message"]
    project.change("store/reply.py", "acked < synced", "acked + 1 < synced")
    assert "because: an index equal to synced is not on disk yet" in project.review().stdout


def test_nothing_is_acknowledged_in_bulk_or_without_a_reason(project):
    project.change("store/reply.py", "acked <= synced", "acked < synced")
    before = (project.root / "catalog/review.lock").read_bytes()
    assert project.review("--reason", "all fine").returncode == 2
    assert project.review("kv.durable-ack").returncode == 1
    assert project.review("kv.durable-ack", "--reason", " ").returncode == 2
    assert project.review("--new").returncode == 0
    assert (project.root / "catalog/review.lock").read_bytes() == before
    assert project.rules() == ["AL301"]


def test_a_new_assertion_waits_for_its_review(project):
    project.change("store/reply.py", "return ", 'ACK.always(synced > 0, "synced"); return ')
    assert project.rules() == ["AL302"]
    done = project.review()
    assert done.returncode == 1
    assert "review --new" in done.stdout
    assert "1 link accepted" in project.review("--new").stdout
    assert project.findings() == []


def test_an_unknown_invariant_is_a_usage_error_with_a_hint(project):
    done = project.review("kv.durable-ak")
    assert done.returncode == 2
    assert "did you mean 'kv.durable-ack'?" in done.stderr


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"schema = 1\n[reviewed", "catalog/review.lock"),
        (b"schema = 2\n", "catalog/review.lock:1:1"),
        (b"\xff\xfe", "catalog/review.lock"),
        (b"schema = 1\n[reviewed.'kv.a']\nrevision = 0\npromise = ''\n", "catalog/review.lock:3:1"),
        (b"schema = 1\nother = 1\n", "catalog/review.lock:2:1"),
    ],
)
def test_a_lock_that_is_no_lock_is_one_clear_error(project, text, place):
    (project.root / "catalog/review.lock").write_bytes(text)
    done = project.run("check")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{place}: AL105 ")
    assert project.review().returncode == 2
    assert (project.root / "catalog/review.lock").read_bytes() == text


def test_writing_all_of_the_example_store_anew_trips_nothing(tmp_path):
    for name in ("pyproject.toml", "catalog", "examples", "tests/invariants"):
        source = ROOT / name
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(
            source, tmp_path / name
        )
    for path in (tmp_path / "examples/kvstore/kvstore").glob("*.py"):
        path.write_text(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))), encoding="utf-8")
    done = subprocess.run(
        [ASSERTLIB, "check", "--strict", "--target", "kvstore"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


# -- what is easily overlooked --------------------------------------------------


def test_a_comparison_that_lets_more_through_is_called_weaker(project):
    project.change(
        "store/reply.py", "ORDERED.always(acked > 0,", "ORDERED.always_greater_than(acked, 0,"
    )
    project.review("kv.ordered", "--reason", "how far off it is, is told now")
    assert project.findings() == []
    project.change("store/reply.py", "greater_than(", "greater_than_or_equal_to(")
    (finding,) = project.findings()
    assert "`acked > 0` became `acked >= 0`" in finding["message"]
    assert "`>` has become `>=`" in finding["message"]


def test_of_both_halves_of_one_assertion_only_one_gets_weaker(project):
    project.change("store/reply.py", "ORDERED.always(acked > 0", "ORDERED.sometimes_both(acked > 0")
    project.review("kv.ordered", "--reason", "both are of interest")
    project.change("store/reply.py", "acked > 0", "acked >= 0")
    found = [each for each in project.findings() if each["rule"] == "AL301"]
    said = {each["message"].split("'")[1]: each["message"] for each in found}
    assert "weaker" in said["replies are numbered"]
    assert "weaker" not in said["replies are numbered [false]"]


def test_a_stronger_kind_with_a_looser_text_is_not_called_weaker(project):
    project.change("store/reply.py", "ORDERED.always(", "ORDERED.sometimes(")
    project.review("kv.ordered", "--reason", "for a test")
    project.change("store/reply.py", "sometimes(acked > 0", "always(acked >= 0")
    (finding,) = [each for each in project.findings() if each["rule"] == "AL301"]
    assert "sometimes became always" in finding["message"]
    assert "weaker" not in finding["message"]


def test_a_change_far_behind_in_a_long_condition_is_told_as_such(project):
    long = " and ".join(f"acked != {number}" for number in range(100, 150))
    project.change("store/reply.py", "acked > 0", f"{long} and acked > 0")
    project.review("kv.ordered", "--reason", "for a test")
    project.change("store/reply.py", "and acked > 0", "and acked > 1")
    (finding,) = project.findings()
    assert "perhaps beyond this excerpt" in finding["message"]


def test_clauses_that_change_places_make_both_links_suspect(project):
    project.change(
        "catalog/kv.toml",
        "Callers number them.",
        'Callers number them."\nclauses = { one = "First.", two = "Second." }\n#',
    )
    project.change(
        "store/reply.py",
        "ORDERED =",
        'ONE = Invariant("kv.ordered#one")\nTWO = Invariant("kv.ordered#two")\nORDERED =',
    )
    project.change(
        "store/reply.py",
        "return ORDERED.always(",
        'ONE.always(acked > 3, "one")\n    TWO.always(acked > 3, "two")\n    return ORDERED.always(',
    )
    project.review("kv.ordered", "--reason", "clauses")
    assert project.findings() == []
    project.change("store/reply.py", "ONE.always(", "THREE.always(")
    project.change("store/reply.py", "TWO.always(", "ONE.always(")
    project.change("store/reply.py", "THREE.always(", "TWO.always(")
    assert project.rules() == ["AL301", "AL301"]
    assert "it cites its clause 'two' instead of its clause 'one'" in project.review().stdout


def test_one_message_with_two_conditions_in_two_targets_can_be_acknowledged(project):
    project.write("other/reply.py", CODE.replace("acked > 0", "acked > 1"))
    project.write(
        "pyproject.toml",
        CONFIG + "[tool.assertlib.targets.other]\nsource = ['other']\ncatalog = ['catalog/']\n",
    )
    assert project.rules() == ["AL301"]
    assert project.review("kv.ordered", "--reason", "the other begins later").returncode == 0
    assert project.findings() == []
    project.change("other/reply.py", "acked > 1", "acked > 2")
    (finding,) = project.findings()
    assert "`acked > 1` became `acked > 2`" in finding["message"]
    project.change("other/reply.py", "acked > 2", "acked > 1")
    project.change("store/reply.py", "acked > 0", "acked > 1")
    (finding,) = project.findings()
    assert finding["file"] == "store/reply.py"


def test_the_reason_for_a_changed_statement_is_kept(project):
    project.change("catalog/kv.toml", "It stays there after a crash.\n", "")
    project.review("kv.durable-ack", "--reason", "crashes have an entry of their own")
    assert project.findings() == []
    project.change("catalog/kv.toml", "is there.", "is there, soon.")
    assert "because: crashes have an entry of their own" in project.review().stdout


def test_an_invariant_that_is_removed_with_its_assertions_is_missed(project):
    text = (project.root / "catalog/kv.toml").read_text(encoding="utf-8")
    project.write("catalog/kv.toml", text.partition("[ordered]")[0])
    project.change("store/reply.py", "return ORDERED.always(acked > 0, ", "return print(")
    (finding,) = project.findings()
    assert (finding["rule"], finding["file"]) == ("AL307", "catalog/review.lock")
    assert 'status = "retired"' in finding["remedy"]
    lines = (project.root / finding["file"]).read_text(encoding="utf-8").splitlines()
    assert lines[int(finding["line"]) - 1] == '[reviewed."kv.ordered"]'
    done = project.review()
    assert done.returncode == 1
    assert "kv.ordered was reviewed but is no longer in any catalog" in done.stdout
    assert project.review("kv.ordered", "--reason", "replies have no order").returncode == 0
    assert project.findings() == []


@pytest.mark.parametrize(
    "header",
    [
        "[reviewed.'kv.ordered']",
        '[ reviewed . "kv.ordered" ]',
        '[reviewed."kv\\u002eordered"]',
        "[ 'reviewed'.\"kv.ordered\"] # quoted by hand",
    ],
)
def test_a_missed_invariant_is_found_in_the_lock_however_its_header_is_written(project, header):
    text = (project.root / "catalog/kv.toml").read_text(encoding="utf-8")
    project.write("catalog/kv.toml", text.partition("[ordered]")[0])
    project.change("store/reply.py", "return ORDERED.always(acked > 0, ", "return print(")
    project.change("catalog/review.lock", '[reviewed."kv.ordered"]', header)
    (finding,) = project.findings()
    lines = (project.root / finding["file"]).read_text(encoding="utf-8").splitlines()
    assert lines[int(finding["line"]) - 1] == header


def test_a_message_that_is_taken_was_not_given_up(project):
    project.change("store/reply.py", '"ack follows sync"', '"x"')
    project.change("store/reply.py", '"replies are numbered"', '"ack follows sync"')
    project.change("store/reply.py", '"x"', '"replies are numbered"')
    assert sorted(project.rules()) == ["AL302", "AL302", "AL304", "AL304"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('status = "active"', 'status = "draft"'),
        ("expects =", 'assumes = ["fsync-honest"]\nexpects ='),
        ("expects =", 'requires = ["watch"]\nexpects ='),
    ],
)
def test_a_promise_that_is_narrowed_is_another(project, old, new):
    project.change("catalog/kv.toml", old, new)
    assert project.rules() == ["AL301", "AL301"]


def test_source_that_cannot_be_read_is_the_only_finding(project):
    project.change("store/reply.py", "def reply", "def reply(:")
    assert project.rules() == ["AL109"]
    project.run("docs")
    assert project.run("docs").returncode == 2
    project.write("pyproject.toml", CONFIG.replace("store'", "gone'"))
    assert project.rules() == ["AL110"]


def test_a_catalog_that_is_not_there_is_the_only_finding(project):
    project.write("pyproject.toml", CONFIG + "catalog = ['gone']\n")
    assert project.rules() == ["AL105"]


def test_a_baseline_does_not_hide_what_changes_again(project):
    project.change("store/reply.py", "def reply", "def ok(n): return n > 0\n\n\ndef reply")
    project.change("store/reply.py", "acked > 0", "ok(acked)")
    project.review("kv.ordered", "--reason", "a helper")
    project.change("store/reply.py", "return n > 0", "return n > -9")
    known = ("check", "--strict", "--baseline-findings", "known.txt")
    project.run(*known, "--update")
    assert project.run(*known).returncode == 0
    project.change("store/reply.py", "return n > -9", "return True")
    assert project.run(*known).returncode == 1


def test_findings_of_a_project_below_its_repository_name_files_from_its_top(project):
    (project.root.parent / ".git").mkdir(exist_ok=True)
    project.change("store/reply.py", "acked > 0", "acked > 1")
    file = f"{project.root.name}/store/reply.py"
    assert f"file={file}," in project.run("check", "-f", "github").stdout
    assert json.loads(project.run("check", "-f", "gitlab").stdout)[0]["location"]["path"] == file
    assert f'"uri": "{file}"' in project.run("check", "-f", "sarif").stdout
    assert project.run("check").stdout.startswith("store/reply.py:9:")


def test_closed_streams_are_no_error(project):
    for streams in (">&-", ">&- 2>&-"):
        done = subprocess.run(f"{ASSERTLIB} check {streams}", shell=True, cwd=project.root)
        assert done.returncode == 0
