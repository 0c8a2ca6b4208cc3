"""
``assertlib sim challenge`` on a copy of the example store.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assertlib.catalog.defects import DefectError, read_defects

from ..support import child_environment

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """
[tool.assertlib.targets.kvstore]
source = ["kvstore"]
catalog = ["catalog"]
exclude = ["kvstore/torture.py"]
without = ["recorded-history", "replicas", "stale-reads"]
scenario = "kvstore.simulation:rounds"
defects = "defects"
pythonpath = ["."]
"""
HARMLESS = """A comment is spelt differently.

Issue: none
Invariant: kv.durable-ack

--- a/kvstore/__init__.py
+++ b/kvstore/__init__.py
@@ -1 +1 @@
-\"\"\"A single-node key-value store with etcd's data model: a small, complete user of assertlib.\"\"\"
+\"\"\"A single-node store with etcd's data model: a small, complete user of assertlib.\"\"\"
"""
PAGE = "# Record\n\n<!-- track record -->\nold\n<!-- end of track record -->\n\nMore.\n"


@pytest.fixture
def store(tmp_path):
    target = tmp_path / "store"
    ignored = shutil.ignore_patterns("tests", "__pycache__", ".*")
    shutil.copytree(ROOT / "examples" / "kvstore", target, ignore=ignored)
    shutil.copytree(ROOT / "catalog", target / "catalog")
    (target / "pyproject.toml").write_text(PROJECT)
    return target


def assertlib(store, *arguments):
    return subprocess.run(
        [str(Path(sys.executable).with_name("assertlib")), *arguments],
        cwd=store,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.long
def test_a_caught_defect_is_told_with_what_caught_it_and_proves_its_invariant(store):
    (store / "record.md").write_text(PAGE)
    done = assertlib(
        store, "sim", "challenge", "rename-not-synced", "--repeats", "1", "--output", "record.md"
    )
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if "rename-not-synced" in line)
    assert "etcd-io/etcd#6368" in row
    assert "`wal.rename-dir-fsync`: a snapshot's name is durable before the log refers" in row
    page = (store / "record.md").read_text()
    assert row in page
    assert page.startswith("# Record\n")
    assert page.endswith("More.\n")
    assert "old" not in page

    assertlib(store, "sim", "explore", "--seeds", "15")
    runs = sorted(path.name for path in (store / ".assertlib" / "runs").iterdir())
    report = assertlib(store, "report", "--format", "json", *runs)
    assert '"rename-not-synced"' in report.stdout


def test_a_defect_that_nothing_catches_fails(store):
    (store / "defects" / "harmless.patch").write_text(HARMLESS)
    done = assertlib(store, "sim", "challenge", "harmless", "--repeats", "1", "--for", "1s")
    assert done.returncode == 1, done.stderr
    assert "harmless: NOT CAUGHT" in done.stderr
    assert "| nothing |" in done.stdout


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("new", "--- a/x\n+++ b/x\n", "begin with a sentence"),
        ("new", "It does harm.\n\nIssue: none\n\n--- a/x\n", "begin with a sentence"),
        ("new", HARMLESS.replace('-"""A single', '-"""Another'), "does not apply"),
        ("other", HARMLESS, "new not found"),
    ],
)  # fmt: skip
def test_a_patch_that_cannot_be_used_is_said_in_one_line(store, name, text, told):
    (store / "defects" / f"{name}.patch").write_text(text)
    done = assertlib(store, "sim", "challenge", "new", "--repeats", "1", "--for", "1s")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_without_marks_is_left_alone(store):
    (store / "page.md").write_text("nothing\n")
    (store / "defects" / "harmless.patch").write_text(HARMLESS)
    arguments = ("--repeats", "1", "--for", "1s", "--output", "page.md")
    done = assertlib(store, "sim", "challenge", "harmless", *arguments)
    assert done.returncode == 2
    assert "where the table belongs" in done.stderr
    assert (store / "page.md").read_text() == "nothing\n"


def test_every_seeded_defect_applies_and_says_what_it_is_modelled_on(store):
    defects = read_defects(store / "defects")
    assert len(defects) >= 13
    for defect in defects:
        done = subprocess.run(
            ["git", "apply", "--check", str(defect.path)], cwd=store, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{defect.name}: {done.stderr}"


def test_a_directory_without_defects_is_an_error(tmp_path):
    with pytest.raises(DefectError, match=r"\*.patch not found"):
        read_defects(tmp_path)
