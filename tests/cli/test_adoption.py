"""An existing project adopts assertlib: proposals, a baseline of findings, drafts, renames."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from assertlib.catalog.scan import LANGUAGES

from ..support import clean_environment
from .test_review import Project

STORE = '''\
def put(log, key, value):
    # The log must be synced before the index is touched.
    assert log.synced >= log.written
    assert isinstance(key, str)
    assert value is not None  # never None: readers take None for a tombstone
    assert len(key) < 255
    assert key, "a key is never empty"
    key = key.lower()
    # The crc must cover the kind,
    # not only the value.
    return key


class Log:
    """
    Keeps records.  What is
    written must never be
    rewritten.
    """

    def roll(self):
        # invariant: a segment begins where the one before it ends
        self.first = self.last
'''


@pytest.fixture(name="project")
def _project(tmp_path):
    return Project(tmp_path)


def git_state(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# -- init ---------------------------------------------------------------------------------------


@pytest.fixture(name="old")
def _old(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/__init__.py").write_text(STORE, encoding="utf-8")
    (tmp_path / "store/broken.py").write_text("import assertlib\n\ndef broken(:\n")
    project = Project.__new__(Project)
    project.root = tmp_path
    return project


def test_asserts_and_comments_are_proposed_as_drafts(old):
    done = old.run("init")
    assert "6 drafts from asserts, comments and docstrings" in done.stdout
    found = tomllib.loads((old.root / "catalog/found.toml").read_text(encoding="utf-8"))
    told = {
        name: (entry["statement"], entry["source"][0]["ref"], entry["source"][0]["note"])
        for name, entry in found.items()
        if name != "schema"
    }
    file = "store/__init__.py"
    assert told == {
        "log-synced-before-index-touched": (
            "The log must be synced before the index is touched.",
            f"{file}, put",
            "assert log.synced >= log.written",
        ),
        "never-none-readers-take-none": (
            "never None: readers take None for a tombstone",
            f"{file}, put",
            "assert value is not None",
        ),
        "key-never-empty": ("a key is never empty", f"{file}, put", "assert key"),
        "crc-cover-kind-not-value": (
            "The crc must cover the kind, not only the value.",
            f"{file}, put",
            "a comment or docstring",
        ),
        "segment-begins-where-one-before": (
            "a segment begins where the one before it ends",
            f"{file}, Log.roll",
            "a comment or docstring",
        ),
        "what-written-never-rewritten": (
            "What is written must never be rewritten.",
            f"{file}, Log",
            "a comment or docstring",
        ),
    }
    assert {entry["status"] for entry in found.values() if isinstance(entry, dict)} == {"draft"}
    assert "AL105" not in old.run("check").stdout


def test_tests_and_checks_of_arguments_are_no_proposals(old):
    old.write("store/tests/test_log.py", "# a log must be empty at first\nassert 1 == 1\n")
    old.write("store/test_more.py", "# a key must be short\n")
    old.run("init")
    text = (old.root / "catalog/found.toml").read_text(encoding="utf-8")
    for part in ("empty at first", "must be short", "len(key)", "isinstance"):
        assert part not in text


def test_central_files_come_first_and_most_limits_the_drafts(old):
    old.write("store/leaf.py", "from . import core\n# a leaf must be green\n")
    old.write("store/other.py", "from . import core\n# another must be blue\n")
    old.write("store/core.py", "# the core must be solid\n")
    done = old.run("init", "--most", "1")
    assert "1 draft from asserts, comments and docstrings, 8 more omitted (--most)" in done.stdout
    found = tomllib.loads((old.root / "catalog/found.toml").read_text(encoding="utf-8"))
    assert found["core-solid"]["source"][0]["ref"] == "store/core.py, <module>"


def test_a_long_statement_ends_with_a_whole_sentence(old):
    text = "The log must be synced. " + "It is long and goes on for ever and ever. " * 20
    old.write("store/long.py", f"# {text}\n")
    old.run("init")
    found = tomllib.loads((old.root / "catalog/found.toml").read_text(encoding="utf-8"))
    (entry,) = [each for each in found.values() if "It is long" in str(each)]
    assert entry["statement"].endswith("for ever and ever.")
    assert len(entry["statement"]) <= 400


def test_go_and_rust_are_read_and_get_a_configuration_of_their_own(tmp_path):
    project = Project.__new__(Project)
    project.root = tmp_path
    project.write("go.mod", "module store\n")
    project.write(
        "wal/log.go", "package wal\n\n// Sync must end before the ack.\nfunc Sync() {\n}\n"
    )
    project.write("wal/log_test.go", "// a test must be short\n")
    project.write("rs/lib.rs", 'fn roll() {\n    assert!(a < b, "segments never overlap");\n}\n')
    done = project.run("init")
    assert "added a target to" in done.stdout and "assertlib.toml" in done.stdout
    assert not (tmp_path / "pyproject.toml").exists()
    found = tomllib.loads((tmp_path / "catalog/found.toml").read_text(encoding="utf-8"))
    assert found["sync-end-before-ack"]["source"][0]["ref"] == "wal/log.go, Sync"
    assert found["segments-never-overlap"]["source"][0]["note"] == "assert a < b"
    assert len([each for each in found if each != "schema"]) == 2
    assert "AL105" not in project.run("check").stdout


def test_proposals_never_overwrite(old):
    old.run("init")
    before = git_state(old.root)
    old.write("store/more.py", "assert 1 < 2  # must be\n")
    assert "kept" in old.run("init").stdout
    after = git_state(old.root)
    assert {name: after[name] for name in before} == before


def test_expressions_that_nest_deeply_are_no_trouble(old):
    terms = " + ".join(f"a{number}" for number in range(500))
    chain = "".join(f".step({number})" for number in range(250))
    old.write("store/__init__.py", f"def f(query):\n    assert {terms}\n    x = query{chain}\n")
    old.write("store/reply.py", f"from assertlib import always\nq = always{chain}\n")
    assert "1 draft from asserts" in old.run("init").stdout
    assert "nested too deeply" not in old.run("check").stdout


@pytest.mark.parametrize("name", ["pyproject.toml", "catalog/kv.toml"])
def test_a_file_keeps_its_line_ends(old, name):
    for each in ("pyproject.toml", "catalog/kv.toml"):
        old.write(each, "schema = 1\r\n" if "kv" in each else "[project]\r\nname = 'a'\r\n")
        text = (old.root / each).read_bytes().replace(b"\r\r\n", b"\r\n")
        (old.root / each).write_bytes(text)
    assert old.run("init").returncode == 0
    assert old.run("catalog", "new", "kv.more").returncode == 0
    text = (old.root / name).read_bytes()
    assert text.count(b"\n") == text.count(b"\r\n") > 3


# -- a baseline ---------------------------------------------------------------------------------


def test_known_findings_do_not_fail_and_new_ones_do(project):
    project.change("store/reply.py", "kv.ordered", "kv.orderd")
    assert project.run("check").returncode == 1
    known = ("check", "--baseline-findings", "known.txt")
    assert project.run(*known).returncode == 2
    assert project.run(*known, "--update").returncode == 0
    assert project.run(*known).returncode == 0
    project.change("store/reply.py", "\n\ndef reply", "\n\n\n\n\ndef reply")
    assert project.run(*known).returncode == 0
    project.change("store/reply.py", "kv.durable-ack", "kv.durable-akc")
    done = project.run(*known)
    assert done.returncode == 1
    assert "kv.durable-akc" in done.stdout
    assert "kv.orderd" not in done.stdout


def test_a_baseline_only_gets_shorter(project):
    project.change("store/reply.py", "kv.ordered", "kv.orderd")
    known = ("check", "--baseline-findings", "known.txt")
    project.run(*known, "--update")
    before = (project.root / "known.txt").read_text()
    project.change("store/reply.py", "kv.durable-ack", "kv.durable-akc")
    assert project.run(*known, "--update").returncode == 1
    assert (project.root / "known.txt").read_text() == before
    project.change("store/reply.py", "kv.orderd", "kv.ordered")
    project.change("store/reply.py", "kv.durable-akc", "kv.durable-ack")
    assert (
        "2 findings in known.txt fixed: drop them from the file with --update"
        in project.run(*known).stderr
    )
    project.run(*known, "--update")
    assert (project.root / "known.txt").read_text() == ""


def test_a_baseline_does_not_forget_what_cannot_be_read_now(project):
    project.change("store/reply.py", "kv.ordered", "kv.orderd")
    known = ("check", "--baseline-findings", "known.txt", "--update")
    project.run(*known)
    before = (project.root / "known.txt").read_text()
    project.change("store/reply.py", "def reply", "def reply(:")
    done = project.run(*known)
    assert done.returncode == 2
    assert "store/reply.py" in done.stderr
    assert "would be dropped from the baseline" in done.stderr
    assert (project.root / "known.txt").read_text() == before


def test_an_old_project_may_begin_with_a_file_that_cannot_be_read(project):
    (project.root / "store/odd.py").write_bytes(b"import assertlib\n\xff\n")
    known = ("check", "--baseline-findings", "known.txt")
    assert project.run(*known, "--update").returncode == 0
    assert project.run(*known, "--update").returncode == 0
    assert project.run(*known, "--strict").returncode == 0


@pytest.mark.parametrize("text", [b"no baseline\n", b"\xff\xfe"])
def test_a_baseline_that_is_none_is_one_clear_error(project, text):
    (project.root / "known.txt").write_bytes(text)
    done = project.run("check", "--baseline-findings", "known.txt")
    assert done.returncode == 2
    assert "known.txt" in done.stderr


# -- drafts -------------------------------------------------------------------------------------


def test_a_new_draft_is_a_valid_entry_of_its_area(project):
    for id in ("kv.new-one", "wal.first-of-its-area"):
        assert project.run("catalog", "new", id, "--title", 'Says "so"').returncode == 0
    # Valid, but for the text that is to be replaced.
    assert project.rules() == ["AL403", "AL403"]
    listed = project.run("catalog", "list").stdout
    assert 'kv.new-one            draft      0  Says "so"' in listed
    assert "wal.first-of-its-area" in listed


@pytest.mark.parametrize("id", ["kv.durable-ack", "Kv.Upper", "noarea", "kv.a.b", "../x.y", ""])
def test_a_draft_that_cannot_be_leaves_nothing_behind(project, id):
    before = git_state(project.root)
    done = project.run("catalog", "new", id)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert git_state(project.root) == before


def test_a_draft_is_not_added_to_a_file_that_is_broken(project):
    project.write("catalog/wal.toml", "schema = 1\n[broken\n")
    assert project.run("catalog", "new", "wal.next").returncode == 2
    assert (project.root / "catalog/wal.toml").read_text() == "schema = 1\n[broken\n"


# -- renames ------------------------------------------------------------------------------------

RUN = "import store.reply; store.reply.reply({}, 2, False)"


def record(project, acked):
    done = project.run("run", "--", sys.executable, "-c", RUN.format(acked))
    assert done.returncode == 0, done.stderr


def test_evidence_and_reviews_follow_a_renamed_assertion(project):
    project.review("--new")
    record(project, 1)
    project.change("store/reply.py", "replies are numbered", "each reply has a number")
    assert project.rules() == ["AL305"]
    done = project.run("catalog", "rename", "replies are numbered", "each reply has a number")
    assert done.returncode == 0, done.stderr
    assert project.findings() == []
    record(project, 2)
    runs = sorted(path.name for path in (project.root / ".assertlib/runs").iterdir())
    report = project.run("report", *runs, "--format", "json").stdout
    assert "replies are numbered" not in report
    assert '"message": "each reply has a number"' in report
    both = report.partition('"message": "each reply has a number"')[2]
    assert '"true": 2' in both.partition("]")[0]


def test_parts_of_an_assertion_are_renamed_with_it(project):
    project.change(
        "store/reply.py",
        'ORDERED.always(acked > 0, "replies are numbered")',
        'ORDERED.always_if(acked > 1, lambda: acked < 9, "replies are numbered")',
    )
    project.review("--new")
    record(project, 2)
    project.change("store/reply.py", "replies are numbered", "each reply has a number")
    project.run("catalog", "rename", "replies are numbered", "each reply has a number")
    assert project.findings() == []
    assert "replies are numbered" not in project.run("report", "--format", "json").stdout


def test_a_name_that_was_given_up_is_not_used_again(project):
    project.review("--new")
    project.change("store/reply.py", "replies are numbered", "each reply has a number")
    project.run("catalog", "rename", "replies are numbered", "each reply has a number")
    again = 'ACK.always(synced > 5, "replies are numbered"); return '
    project.change("store/reply.py", "return ", again)
    assert "AL306" in project.rules()
    done = project.run("run", "--", sys.executable, "-c", RUN.format(1))
    assert done.returncode == 1
    assert "1 violated" in done.stdout + done.stderr


def test_renames_that_cannot_be_read_are_not_written_over(project):
    broken = 'schema = 1\n[messages]\n<<<<<<< HEAD\n"a" = "b"\n'
    project.write("catalog/renames.toml", broken)
    project.change("store/reply.py", "replies are numbered", "each reply has a number")
    done = project.run("catalog", "rename", "replies are numbered", "each reply has a number")
    assert done.returncode == 2
    assert (project.root / "catalog/renames.toml").read_text() == broken


def test_a_review_is_not_written_while_source_cannot_be_read(project):
    project.review("--new")
    before = (project.root / "catalog/review.lock").read_bytes()
    project.write("store/more.py", "import assertlib\n\ndef broken(:\n")
    project.change("store/reply.py", "acked > 0", "acked > 1")
    done = project.review("kv.ordered", "--reason", "numbered from two")
    assert done.returncode == 2
    assert "store/more.py:3:" in done.stderr
    assert (project.root / "catalog/review.lock").read_bytes() == before


def test_a_second_rename_leads_from_the_first_name_to_the_last(project):
    project.change("store/reply.py", "replies are numbered", "b")
    project.run("catalog", "rename", "replies are numbered", "b")
    project.change("store/reply.py", '"b"', '"c"')
    assert project.run("catalog", "rename", "b", "c").returncode == 0
    project.change("store/reply.py", '"c"', '"replies are numbered"')
    assert project.run("catalog", "rename", "c", "replies are numbered").returncode == 0
    renames = tomllib.loads((project.root / "catalog/renames.toml").read_text())["messages"]
    assert renames == {"b": "c", "c": "replies are numbered"}
    assert project.findings() == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gone", "replies are numberd", "did you mean 'replies are numbered'?"),
        ("ack follows sync", "replies are numbered", "still in use at store/reply.py:8"),
        ("x", "x", "no assertion has the message 'x'"),
        ("replies are numbred", "ack follows sync", "ever had the message 'replies are numbred'"),
    ],
)
def test_a_rename_that_cannot_be_says_why(project, old, new, said):
    project.review("--new")
    done = project.run("catalog", "rename", old, new)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (project.root / "catalog/renames.toml").exists()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('schema = 1\n[messages]\na = "b"\nb = "a"\n', "catalog/renames.toml:3:1"),
        ("schema = 1\n[messages]\na = 3\n", "catalog/renames.toml:3:1"),
        ("schema = 1\n[message]\n", "catalog/renames.toml:2:1"),
        ("schema = [", "catalog/renames.toml"),
    ],
)
def test_broken_renames_are_one_clear_error(project, text, place):
    project.write("catalog/renames.toml", text)
    done = project.run("check")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{place}: AL105 "), done.stdout


def test_a_witness_follows_its_assertion(tmp_path):
    project = Project(tmp_path)
    project.write(
        "scene.py",
        "from assertlib import reachable\n\n\n"
        "async def scene(world):\n    reachable('it comes about')\n",
    )
    project.write(
        "pyproject.toml",
        "[tool.assertlib.targets.store]\nsource = ['scene.py']\nscenario = 'scene:scene'\n",
    )
    project.run("sim", "explore", "--seeds", "1")
    project.change("scene.py", "it comes about", "it happens")
    project.run("catalog", "rename", "it comes about", "it happens")
    done = project.run("sim", "replay", "--assertion", "it happens")
    assert "no run here has a witness" not in done.stderr


# -- hooks --------------------------------------------------------------------------------------

HOOKS = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text("utf-8"))
PRE_COMMIT = shutil.which("pre-commit", path=Path(sys.executable).parent)
CHECKED = {"python", "go", "rust", "toml"}
"""Tags of `identify` for what `assertlib check` reads."""


def test_the_hooks_run_for_all_languages_that_are_scanned():
    identify = pytest.importorskip("identify.identify")
    tags = {
        tag
        for suffix in (*LANGUAGES, ".toml")
        for tag in identify.tags_from_filename(f"x{suffix}") - {"text"}
    }
    assert tags == CHECKED
    types = {hook["id"]: set(hook["types_or"]) for hook in HOOKS}
    assert types == {"assertlib-check": CHECKED, "assertlib-docs": CHECKED | {"markdown"}}


def test_the_hooks_install_what_reads_these_languages():
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    metadata = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    for hook in HOOKS:
        (needed,) = hook["additional_dependencies"]
        name, _, extras = needed.rstrip("]").partition("[")
        assert name == metadata["name"]
        assert (
            set(extras.split(","))
            == {"tools", "polyglot"}
            <= set(metadata["optional-dependencies"])
        )


GO = """\
package store

import "github.com/antithesishq/antithesis-sdk-go/assert"

func f(x int) { assert.Always(x > 1, "x is large", nil) }
"""
RUST = 'use antithesis_sdk::prelude::*;\nfn f(x: i64) { assert_always!(x > 1, "x is small"); }\n'
ASSIGNED = """
[[assertion]]
message = "x is large"
invariant = "kv.durable-ack"

[[assertion]]
message = "x is small"
invariant = "kv.durable-ack"
"""


class Repository(Project):
    """A store in three languages that pre-commit checks, with the commands of this environment."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.write("store/store.go", GO)
        self.write("store/store.rs", RUST)
        self.write("catalog/kv.toml", (root / "catalog/kv.toml").read_text("utf-8") + ASSIGNED)
        self.run("docs")

    def begin(self, top: Path, *arguments: str) -> None:
        """Make *top* a repository whose hooks are given *arguments*, and commit all."""
        self.top = top
        hooks = [
            {**hook, "language": "system", "args": list(arguments), "verbose": True}
            for hook in HOOKS
        ]
        for hook in hooks:
            del hook["additional_dependencies"]
        config = {"repos": [{"repo": "local", "hooks": hooks}]}
        (top / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "c")

    def git(self, *words: str) -> None:
        names = ("-c", "user.name=n", "-c", "user.email=a@b")
        subprocess.run(["git", *names, *words], cwd=self.top, check=True, capture_output=True)

    def hooks(self) -> dict[str, str]:
        """What became of each hook, for all that is changed now."""
        self.git("add", "-A")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            [PRE_COMMIT, "run", "--color", "never"],
            cwd=self.top,
            env={**clean_environment(), "PATH": path, "PRE_COMMIT_HOME": str(self.top / ".git/pc")},
            capture_output=True,
            text=True,
            check=False,
        )
        self.said = done.stdout + done.stderr
        line = r"^(assertlib (?:check|docs))\b.*(Passed|Failed|Skipped)$"
        return dict(re.findall(line, self.said, re.MULTILINE))


@pytest.fixture(name="repository")
def _repository(tmp_path):
    if PRE_COMMIT is None:
        pytest.skip("pre-commit is not installed")
    repository = Repository(tmp_path)
    repository.begin(tmp_path)
    return repository


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("store/store.go", "x > 1", "true"),
        ("store/store.rs", "x > 1", "true"),
        ("store/reply.py", "acked > 0", "True"),
        ("catalog/kv.toml", "durable-ack]", "durable-akc]"),
    ],
)
def test_a_commit_of_one_language_is_checked(repository, name, old, new):
    repository.change(name, old, new)
    assert repository.hooks()["assertlib check"] == "Failed"
    assert repository.said.count("AL107") or name.startswith("catalog")


def test_a_commit_of_a_page_is_checked(repository):
    page = "docs/invariants/kv.ordered.md"
    repository.change(page, "No reply", "Every reply")
    found = repository.hooks()
    assert found == {"assertlib check": "Skipped", "assertlib docs": "Failed"}
    assert "kv.ordered.md is stale" in repository.said


def test_a_commit_that_agrees_passes(repository):
    repository.change("store/store.go", "x > 1", "x > 2")
    assert repository.hooks() == {"assertlib check": "Passed", "assertlib docs": "Passed"}


def test_a_commit_of_other_files_is_not_checked(repository):
    repository.write("store/notes.txt", "nothing\n")
    assert repository.hooks() == {"assertlib check": "Skipped", "assertlib docs": "Skipped"}


def test_hooks_are_told_which_project_of_a_repository_to_check(tmp_path):
    if PRE_COMMIT is None:
        pytest.skip("pre-commit is not installed")
    repository = Repository(tmp_path / "services/store")
    repository.begin(tmp_path, "--project", "services/store")
    repository.change("store/store.go", "x > 1", "x > 2")
    assert repository.hooks() == {"assertlib check": "Passed", "assertlib docs": "Passed"}
    repository.change("store/store.go", "x > 2", "true")
    assert repository.hooks()["assertlib check"] == "Failed"
    assert "services/store/store/store.go:5:17: AL107" in repository.said
