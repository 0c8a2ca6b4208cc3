"""
Run directories and exports that a stranger wrote: their commits and tokens are only ever text.
"""

import json
import re
import shutil
import subprocess

import pytest

from assertlib.catalog import git as running
from assertlib.evidence.revision import known_revision
from assertlib.evidence.runs import read_info
from assertlib.recording.tokens import is_token

from .projects import Project
from .test_revision import git

COMMIT = "4f2c1e0aa5512345678901234567890123456789"
PRECIOUS = "what the user must not lose\n"

NO_COMMITS = [
    "--output=x", "-ox", "--help", "--ext-diff", "HEAD", "main", "HEAD:./secret", "@{upstream}",
    ":/secret", "4f2c1e", "4F2C1E0", "4f2c1e0\n", f"{COMMIT}:./secret", "../x", "", "g" * 40,
    "0" * 65, f"{COMMIT}+dirty;x", "\x1b]0;x\x07",
]  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A repository of a stranger, with a run of its store that was violated."""
    made = Project(tmp_path_factory.mktemp("recorded") / "project")
    made.write("x:./store/keep", "")
    (made.root / "x:." / "store" / "__init__.py").symlink_to("../../../precious")
    git(made.root, "init", "-q")
    git(made.root, "add", "-A")
    git(made.root, "commit", "-qm", "the store")
    made.record("store.put(-1)", "--full")
    return made


@pytest.fixture
def project(recorded, tmp_path):
    """A copy of it, and beside it a file of the user."""
    (tmp_path / "precious").write_text(PRECIOUS)
    shutil.copytree(recorded.root, tmp_path / "project", symlinks=True)
    copy = object.__new__(Project)
    copy.root = tmp_path / "project"
    return copy


def rewritten(path, change):
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body) + "\n")


def in_run_file(project, commit):
    (run,) = project.runs()
    rewritten(run / "run.json", lambda body: body.update(commit=commit))


def in_header(project, commit):
    (shard,) = project.runs()[0].glob("*.jsonl")
    text, count = re.subn(r'"commit": ?"[0-9a-f]{40}"', f'"commit":"{commit}"', shard.read_text())
    assert count == 1
    shard.write_text(text)


def test_a_commit_that_is_an_option_overwrites_nothing_and_is_reported(project):
    in_header(project, "--output=x")
    in_run_file(project, "--output=x")
    project.cli("report", "--format", "html", "--output", "report.html")
    assert (project.root.parent / "precious").read_text() == PRECIOUS
    report = project.report()
    assert report["commit"] is None
    reason = "the commit '--output=x' is treated as unknown because it is not 7 to 64 hexadecimal digits."
    (run,) = project.runs()
    assert f"Run {run.name}: {reason}" in report["notes"]
    assert f"In the header of a shard, {reason}" in report["notes"]


@pytest.mark.parametrize("commit", NO_COMMITS)
def test_only_hexadecimal_digits_are_a_commit(recorded, tmp_path, commit):
    (tmp_path / "run.json").write_text(json.dumps({"schema": 2, "scan": [], "commit": commit}))
    info = read_info(tmp_path)
    assert info.commit is None
    (caveat,) = info.caveats
    assert "is treated as unknown" in caveat
    assert running.file_at(recorded.root, commit, "store/__init__.py") is None


@pytest.mark.parametrize("suffix", ["", "+dirty", "+dirty.1f0c9e2a7b"])
@pytest.mark.parametrize("commit", [COMMIT[:7], COMMIT, COMMIT + COMMIT[:24]])
def test_a_commit_with_or_without_changes_is_a_revision(commit, suffix):
    assert known_revision(commit + suffix) == commit + suffix


def test_an_imported_run_whose_commit_is_an_option_is_refused(project):
    project.cli("evidence", "add")
    project.cli("evidence", "export", "all.jsonl")
    rewritten(project.root / "all.jsonl", lambda body: body.update(commit="--output=x"))
    done = project.cli("evidence", "import", "all.jsonl")
    assert done.returncode == 2
    assert "all.jsonl:1:1: the commit '--output=x' is treated as unknown" in done.stderr


@pytest.mark.parametrize(
    "name", ["--since=yesterday", "--branches=ma*", "--glob=heads", "--disambiguate=0", "--default"]
)
def test_the_name_of_a_commit_is_no_option_of_git(recorded, name):
    assert running.commit_named(recorded.root, name) is None


@pytest.mark.parametrize("commit", ["--output=x", "--help"])
def test_a_commit_that_is_typed_is_no_option_of_git(project, commit):
    done = project.cli("gate", f"--since={commit}")
    assert done.returncode == 2
    assert "no run of that commit in the store" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (project.root.parent / "precious").read_text() == PRECIOUS


SIGNATURE = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n xx\n -----END PGP SIGNATURE-----\n\n"


def sign(root):
    """Make the newest commit one with a signature, which nobody checks."""
    options = {"cwd": root, "text": True, "capture_output": True, "check": True}
    commit = subprocess.run(["git", "cat-file", "commit", "HEAD"], **options).stdout
    write = ["git", "hash-object", "-t", "commit", "-w", "--stdin"]
    signed = subprocess.run(write, input=commit.replace("\n\n", "\n" + SIGNATURE, 1), **options)
    git(root, "update-ref", "HEAD", signed.stdout.strip())


def test_settings_of_a_repository_start_no_program_when_its_history_is_read(project, tmp_path):
    spy, spied = tmp_path / "spy", tmp_path / "spied"
    spy.write_text(f"#!/bin/sh\ntouch {spied}\nexit 1\n")
    spy.chmod(0o700)
    sign(project.root)
    for name, value in (
        ("log.showSignature", "true"),
        ("gpg.program", str(spy)),
        ("core.fsmonitor", str(spy)),
        ("core.pager", str(spy)),
        ("core.sshCommand", str(spy)),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", "ssh://stranger/x"),
        ("remote.origin.promisor", "true"),
    ):
        git(project.root, "config", name, value)
    assert running.file_at(project.root, "0" * 40, "store/__init__.py") is None
    assert running.commit_named(project.root, "0" * 40 + "^0") is None
    assert running.output(project.root, "log", "-1", "--format=%H")
    assert project.cli("docs", "--live").returncode == 0
    assert not spied.exists()
    git(project.root, "log", "-1")
    assert spied.exists(), "git itself starts it"


NO_TOKENS = [
    "t1-0123456789; rm -rf ~", "$(id)", "`id`", "t1-012345678", "t1-0123456789\n", "--trace",
    "a:b@1 --trace", "-x:y@1", "a:b@1,faults=`id`", "a:b@1|sh", "x\x1b]0;y\x07", "", "../t1-0123456789",
]  # fmt: skip


@pytest.mark.parametrize("token", NO_TOKENS)
def test_only_tokens_are_read_as_tokens(tmp_path, token):
    (tmp_path / "run.json").write_text(json.dumps({"schema": 2, "scan": []}))
    (tmp_path / "replays.json").write_text(json.dumps({"good": "t1-0123456789", "bad": token}))
    info = read_info(tmp_path)
    assert info.replays == {"good": "t1-0123456789"}
    assert info.caveats == (
        f"Run {tmp_path.name}: 1 value of replays.json ignored: not a replay token.",
    )


@pytest.mark.parametrize(
    "token", ["t1-0123456789", "store.simulation:rounds@7", "a/b.py:c@-1,faults=kill+bit-rot"]
)
def test_the_token_of_a_tape_or_a_seed_is_one(token):
    assert is_token(token)


def test_what_is_no_token_is_never_shown_for_copying(project):
    (run,) = project.runs()
    for token, is_shown in (("t1-0123456789", True), ("t1-0123456789; rm -rf ~", False)):
        (run / "replays.json").write_text(json.dumps({"a revision is positive": token}))
        for words in (("report",), ("report", "--format", "html"), ("report", "--format", "json")):
            assert ("t1-0123456789" in project.cli(*words).stdout) == is_shown, words


def test_a_file_that_is_hidden_is_no_source_that_a_report_shows(project):
    project.write(".env", "PASSWORD=hunter2\n")
    (run,) = project.runs()

    def hide(body):
        for site in body["scan"]:
            site.update(file=".env", line=1)
        body["commit"] = None

    rewritten(run / "run.json", hide)
    assert "hunter2" not in project.cli("report", "--format", "html").stdout
