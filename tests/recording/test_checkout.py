"""
The commit above a store: read where git would trust it, and never more than a commit.
"""

import os
import shutil
import subprocess

import pytest

from assertlib.recording.checkout import find_branch, find_commit

from ..evidence.test_revision import git

COMMIT = "4f2c1e0aa5512345678901234567890123456789"
SECRET = "AWS_SECRET=abc"
OTHER = 65534


@pytest.fixture
def work_tree(tmp_path):
    """A work tree with one commit, which a store in one of its directories looks up at."""
    made = tmp_path / "work" / "tree"
    (made / "store").mkdir(parents=True)
    (made / "file").write_text("x")
    git(made, "init", "-q", "-b", "main")
    git(made, "add", "-A")
    git(made, "commit", "-qm", "first")
    return made


def head_of(directory):
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True).stdout.strip()


def write(name, content):
    def change(dot_git):
        path = dot_git / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    return change


def link(name, target):
    def change(dot_git):
        (dot_git / name).unlink(missing_ok=True)
        (dot_git / name).symlink_to(target)

    return change


def fifo(dot_git):
    (dot_git / "HEAD").unlink()
    os.mkfifo(dot_git / "HEAD")


def directory(dot_git):
    (dot_git / "HEAD").unlink()
    (dot_git / "HEAD").mkdir()


def file_instead(text):
    def change(dot_git):
        shutil.rmtree(dot_git)
        dot_git.write_text(text)

    return change


def names_a_fifo(dot_git):
    elsewhere = dot_git.with_name("elsewhere")
    elsewhere.mkdir()
    os.mkfifo(elsewhere / "HEAD")
    file_instead(f"gitdir: {elsewhere}\n")(dot_git)


def names_the_secret(dot_git):
    (dot_git.parent / "secret").write_text(SECRET)
    write("HEAD", b"ref: refs/../../secret\n")(dot_git)


def huge(dot_git):
    with (dot_git / "HEAD").open("wb") as file:
        file.truncate(200 << 20)


def huge_packed(dot_git):
    shutil.rmtree(dot_git / "refs" / "heads")
    with (dot_git / "packed-refs").open("wb") as file:
        file.truncate(1 << 33)


def packed_beyond_the_bound(dot_git):
    shutil.rmtree(dot_git / "refs" / "heads")
    (dot_git / "packed-refs").write_text(f"{COMMIT} refs/heads/main\n")
    os.truncate(dot_git / "packed-refs", 33 << 20)


def link_to_a_commit(dot_git):
    (dot_git.parent / "commit").write_text(COMMIT + "\n")
    link("HEAD", dot_git.parent / "commit")(dot_git)


HOSTILE = {
    "HEAD is a FIFO": fifo,
    "HEAD is an endless device": link("HEAD", "/dev/zero"),
    "HEAD is a link to another's file": link("HEAD", "/etc/shadow"),
    "HEAD is a link to a commit": link_to_a_commit,
    "HEAD is a directory": directory,
    "HEAD is a commit and 5,000 line ends": write("HEAD", COMMIT.encode() + b"\n" * 5000),
    "HEAD is 200 MB": huge,
    "HEAD names a file by its path": write("HEAD", b"ref: /etc/passwd\n"),
    "HEAD names a file above": names_the_secret,
    "HEAD names no ref": write("HEAD", b"ref: ../secret\n"),
    "HEAD holds control characters": write("HEAD", b"\x1b]0;x\x07\n"),
    "HEAD names a ref of control characters": write("HEAD", b"ref: refs/heads/\x1b]0;x\x07\n"),
    "HEAD names a ref with NUL": write("HEAD", b"ref: refs/heads/a\0b\n"),
    "HEAD is not UTF-8": write("HEAD", b"\xff\xfe\n"),
    "HEAD holds another number": write("HEAD", b"0123456789\n"),
    "HEAD holds an option": write("HEAD", b"--output=x\n"),
    "a branch holds text": write("refs/heads/main", SECRET.encode()),
    "commondir holds NUL": write("commondir", b"a\0b"),
    "commondir is a link": link("commondir", "/etc/hostname"),
    "packed-refs of 8 GB": huge_packed,
    "packed-refs of 33 MB": packed_beyond_the_bound,
    ".git is a file with NUL": file_instead("gitdir: a\0b\n"),
    ".git is a file of text": file_instead(SECRET),
    ".git is a file that names a directory with a FIFO": names_a_fifo,
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_repository_above_holds_no_store_up_and_lends_it_no_text(
    children, work_tree, change
):
    change(work_tree / ".git")
    script = "assertlib.always(True, 'it goes on')\nassertlib.lifecycle.setup_complete({})"
    outcome = children.run(
        f"import assertlib, assertlib.lifecycle\n{script}", cwd=work_tree / "store"
    )
    assert outcome.counts == {"it goes on": (1, 0)}
    assert outcome.shard.header["commit"] is None
    assert find_branch(str(work_tree)) in (None, "main")
    assert SECRET not in "\n".join(outcome.lines)


def pack(tree):
    git(tree, "pack-refs", "--all")


def detach(tree):
    git(tree, "checkout", "-q", "--detach")


@pytest.mark.parametrize(("change", "branch"), [(None, "main"), (pack, "main"), (detach, None)])
def test_commit_and_branch_are_those_that_git_reports(work_tree, change, branch):
    if change is not None:
        change(work_tree)
    assert find_commit(str(work_tree / "store")) == head_of(work_tree)
    assert find_branch(str(work_tree / "store")) == branch


def test_the_commit_of_a_linked_work_tree_is_its_own(work_tree, tmp_path):
    linked = tmp_path / "linked"
    git(work_tree, "worktree", "add", "-q", "-b", "side", str(linked))
    (linked / "file").write_text("y")
    git(linked, "commit", "-qam", "second")
    assert find_commit(str(linked)) == head_of(linked) != head_of(work_tree)
    assert find_branch(str(linked)) == "side"


def test_a_repository_of_longer_names_is_read(tmp_path):
    git(tmp_path, "init", "-q", "--object-format=sha256")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    assert find_commit(str(tmp_path)) == head_of(tmp_path)
    assert len(head_of(tmp_path)) == 64


def test_a_link_to_the_users_own_repository_is_followed(work_tree, tmp_path):
    (work_tree / ".git").rename(tmp_path / "store.git")
    (work_tree / ".git").symlink_to(tmp_path / "store.git")
    assert find_commit(str(work_tree)) == head_of(work_tree)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
@pytest.mark.parametrize("name", [".", ".git"])
def test_a_repository_of_another_user_is_not_read(work_tree, monkeypatch, name):
    monkeypatch.delenv("SUDO_UID", raising=False)
    os.chown(work_tree / name, OTHER, -1)
    assert (find_commit(str(work_tree)), find_branch(str(work_tree))) == (None, None)
    assert head_of(work_tree) == "", "git refuses it as well"


@needs_root
def test_a_link_of_another_user_to_the_users_own_repository_is_not_followed(work_tree, tmp_path):
    (work_tree / ".git").rename(tmp_path / "store.git")
    (work_tree / ".git").symlink_to(tmp_path / "store.git")
    os.chown(work_tree / ".git", OTHER, -1, follow_symlinks=False)
    assert find_commit(str(work_tree)) is None


@needs_root
def test_a_directory_of_another_user_that_a_git_file_names_is_not_read(work_tree, tmp_path):
    (work_tree / ".git").rename(tmp_path / "strange")
    (work_tree / ".git").write_text(f"gitdir: {tmp_path / 'strange'}\n")
    assert find_commit(str(work_tree)) == head_of(work_tree)
    os.chown(tmp_path / "strange", OTHER, -1)
    assert find_commit(str(work_tree)) is None


@needs_root
@pytest.mark.parametrize(("caller", "is_read"), [(str(OTHER), True), ("1", False), ("x", False)])
def test_under_sudo_the_repository_of_the_caller_is_read(work_tree, monkeypatch, caller, is_read):
    monkeypatch.setenv("SUDO_UID", caller)
    for name in (".", ".git"):
        os.chown(work_tree / name, OTHER, -1)
    assert (find_commit(str(work_tree)) is not None) == is_read
