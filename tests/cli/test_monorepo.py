"""
``--project DIR``: commands in the root of a repository that holds several projects.
"""

import json
import os
import shutil

import pytest
from typer.testing import CliRunner

from assertlib.cli.app import app_with

from ..evidence.projects import BIN, Project

BELOW = "services/store"


class Monorepo(Project):
    """Two projects in one repository; `cli` runs in its root."""

    def __init__(self, root):
        self.root = root
        self.store = Project(root / BELOW)
        self.other = Project(root / "services/other")
        self.write("README.md", "no configuration here\n")


@pytest.fixture
def monorepo(tmp_path):
    return Monorepo(tmp_path)


def break_link(project):
    text = (project.root / "store/__init__.py").read_text()
    project.write("store/__init__.py", text.replace("kv.positive", "kv.postive"))


def places(done):
    return [line.partition(": ")[0] for line in done.stdout.splitlines()[:-1]]


def test_a_project_is_checked_from_the_root(monorepo):
    assert monorepo.cli("check").returncode == 2
    inside = monorepo.store.cli("check")
    outside = monorepo.cli("check", "--project", BELOW)
    assert (outside.returncode, outside.stdout) == (inside.returncode, inside.stdout.replace(
        "catalog/", f"{BELOW}/catalog/").replace("store/__init__.py", f"{BELOW}/store/__init__.py"))  # fmt: skip
    assert outside.stderr == ""


def test_only_the_project_that_is_named_is_checked(monorepo):
    break_link(monorepo.store)
    assert monorepo.cli("check", "--project", BELOW).returncode == 1
    assert monorepo.cli("check", "--project", "services/other").returncode == 0


@pytest.mark.parametrize("way", ["relative", "absolute", "with dots", "with a slash"])
def test_findings_name_files_that_open_from_here(monorepo, way):
    break_link(monorepo.store)
    spelled = {
        "relative": BELOW,
        "absolute": str(monorepo.store.root),
        "with dots": f"services/other/../../{BELOW}",
        "with a slash": f"{BELOW}/",
    }
    done = monorepo.cli("check", "--project", spelled[way])
    assert done.returncode == 1
    for place in places(done):
        name = place.rsplit(":", 2)[0]
        assert name.startswith(f"{BELOW}/")
        assert (monorepo.root / name).is_file()


def test_findings_of_a_project_beside_this_one_open_from_here(monorepo):
    break_link(monorepo.store)
    done = monorepo.other.cli("check", "--project", "../store")
    assert {place.rsplit(":", 2)[0] for place in places(done)} == {
        "../store/catalog/kv.toml",
        "../store/store/__init__.py",
    }


def test_findings_for_programs_open_from_here(monorepo):
    break_link(monorepo.store)
    found = json.loads(monorepo.cli("check", "--project", BELOW, "-f", "json").stdout)["findings"]
    assert {each["file"] for each in found} == {
        f"{BELOW}/catalog/kv.toml",
        f"{BELOW}/store/__init__.py",
    }


def test_a_baseline_of_findings_is_the_same_wherever_it_is_written(monorepo):
    break_link(monorepo.store)
    known = ("check", "--baseline-findings", "known.txt", "--update")
    assert monorepo.cli(*known, "--project", BELOW).returncode == 0
    assert monorepo.store.cli(*known).returncode == 0
    texts = [(root / "known.txt").read_bytes() for root in (monorepo.root, monorepo.store.root)]
    assert texts[0] == texts[1] != b""


def test_outputs_go_where_the_user_is(monorepo):
    done = monorepo.cli("check", "--project", BELOW, "-f", "sarif", "-o", "found.sarif")
    assert done.returncode == 0
    assert (monorepo.root / "found.sarif").exists()
    assert monorepo.cli("docs", "--project", BELOW, "-o", "pages").returncode == 0
    assert (monorepo.root / "pages/kv.positive.md").exists()
    assert not (monorepo.store.root / "pages").exists()


def test_pages_are_those_of_the_project(monorepo):
    assert monorepo.cli("docs", "--check", "--project", BELOW).returncode == 1
    assert monorepo.cli("docs", "--project", BELOW).returncode == 0
    assert (monorepo.store.root / "docs/invariants/kv.full.md").exists()
    assert monorepo.cli("docs", "--check", "--project", BELOW).returncode == 0
    assert monorepo.cli("docs", "--check", "--project", "services/other").returncode == 1


def test_what_cannot_be_read_is_named_from_here(monorepo):
    monorepo.store.write("store/more.py", "import assertlib\n\ndef broken(:\n")
    done = monorepo.cli("docs", "--project", BELOW)
    assert done.returncode == 2
    assert done.stderr.startswith(f"assertlib: {BELOW}/store/more.py:3:")
    monorepo.store.write("catalog/kv.toml", "schema = 1\n[positive\n")
    done = monorepo.cli("catalog", "list", "--project", BELOW)
    assert done.returncode == 2
    assert done.stderr.startswith(f"assertlib: {BELOW}/catalog/kv.toml:2:")


def test_the_gate_judges_the_runs_of_the_project(monorepo):
    put = "store.put(1); store.grow(99)"
    assert monorepo.store.record(put, "--full").returncode == 0
    options = ("--project", BELOW, "--junit", "gate.xml")
    done = monorepo.cli("gate", *options, "--update")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a revision is positive" in (monorepo.store.root / "catalog/baseline.txt").read_text()
    assert (monorepo.root / "gate.xml").exists()
    assert not (monorepo.root / ".assertlib").exists()
    monorepo.store.record("store.put(-1)", "--full")
    assert monorepo.cli("gate", *options).returncode == 1
    assert monorepo.cli("gate", "--project", "services/other").returncode == 3


def test_a_run_is_recorded_into_the_project(monorepo):
    code = f"import sys; sys.path.insert(0, {BELOW!r}); import store; store.put(1)"
    done = monorepo.cli("run", "--project", BELOW, "--", BIN / "python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert len(monorepo.store.runs()) == 1
    assert (
        "a revision is positive" in monorepo.cli("report", "--project", BELOW, "-f", "json").stdout
    )


SHARED = [
    ("check",), ("docs", "--check"), ("gate",), ("report",), ("debug",), ("top", "-n", "1"),
    ("run", "--", "true"), ("ingest", "README.md"),
    ("catalog", "list"), ("catalog", "show", "kv.full"), ("catalog", "new", "kv.x"),
    ("catalog", "rename", "a", "b"), ("catalog", "review"), ("catalog", "export", "--antithesis"),
    ("evidence", "add"), ("evidence", "list"), ("evidence", "show", "x"),
    ("evidence", "diff", "x", "y"), ("evidence", "cooccurrence", "x", "y"),
    ("evidence", "prune", "--keep", "1"), ("evidence", "export", "-"),
    ("evidence", "import", "README.md"),
]  # fmt: skip


@pytest.mark.parametrize("words", SHARED, ids=" ".join)
def test_a_directory_without_configuration_is_one_line_and_2(monorepo, words, monkeypatch):
    monkeypatch.chdir(monorepo.root)
    place = 2 if words[0] in ("catalog", "evidence") else 1
    words = [*words[:place], "--project", "services", *words[place:]]
    done = CliRunner().invoke(app_with(), words)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("assertlib: --project services: no pyproject.toml with")


@pytest.mark.parametrize("name", ["services/stroe", "README.md", ""])
def test_a_directory_that_is_none_is_one_line_and_2(monorepo, name):
    done = monorepo.cli("check", "--project", name)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_directory_inside_a_project_is_not_that_project(monorepo):
    done = monorepo.cli("check", "--project", f"{BELOW}/store")
    assert done.returncode == 2
    assert f"{BELOW}/store: no pyproject.toml" in done.stderr


def test_a_configuration_above_is_not_taken_for_the_one_that_is_gone(monorepo):
    shutil.copy(monorepo.store.root / "pyproject.toml", monorepo.root)
    (monorepo.store.root / "pyproject.toml").unlink()
    assert monorepo.cli("check", "--project", BELOW).returncode == 2


def test_a_project_behind_a_link_is_checked(monorepo):
    os.symlink(monorepo.store.root, monorepo.root / "link")
    break_link(monorepo.store)
    done = monorepo.cli("check", "--project", "link")
    assert done.returncode == 1
    assert all(place.startswith("link/") for place in places(done))
