"""
The commit of a run, and the work tree that differs from it.
"""

import os
import subprocess

import pytest

from assertlib.evidence import revision

from .projects import Project

GIT = {
    "GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "n",
    "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def git(root, *words):
    subprocess.run(
        ["git", *words], cwd=root, env={**os.environ, **GIT}, check=True, capture_output=True
    )


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "the store")
    return made


def found(project):
    revision.find_revision.cache_clear()
    return revision.find_revision(project.root)


def test_a_clean_work_tree_is_its_commit(project):
    clean = found(project)
    assert len(clean) == 40
    assert not revision.is_dirty(clean)
    assert revision.short(clean) == clean[:7]


def edit(project):
    project.write("store/__init__.py", "x = 1\n")


def stage(project):
    edit(project)
    git(project.root, "add", "-A")


def add(project):
    project.write("new.py", "x = 1\n")


def remove(project):
    (project.root / "catalog/kv.toml").unlink()


@pytest.mark.parametrize("change", [edit, stage, add, remove])
def test_a_work_tree_with_changes_is_dirty_with_a_digest_of_them(project, change):
    clean = found(project)
    change(project)
    dirty = found(project)
    assert revision.commit_of(dirty) == clean
    assert revision.is_dirty(dirty)
    assert revision.short(dirty) == f"{clean[:7]}+dirty"
    assert found(project) == dirty
    project.write("another.py", "y = 2\n")
    assert found(project) != dirty


def test_what_git_ignores_and_bytecode_changes_nothing(project):
    clean = found(project)
    project.write(".assertlib/.gitignore", "*\n")
    project.write(".assertlib/evidence.db", "x")
    project.write("store/__pycache__/a.pyc", "x")
    assert found(project) == clean


def test_without_a_repository_there_is_no_revision(tmp_path):
    assert found(Project(tmp_path)) is None


def test_settings_of_the_repository_run_no_programs(project):
    spy = project.root.parent / "spied"
    git(project.root, "config", "core.fsmonitor", f"touch {spy}; false")
    git(project.root, "config", "diff.external", f"touch {spy}; false")
    edit(project)
    assert revision.is_dirty(found(project))
    assert not spy.exists()


def test_a_dirty_run_says_so_and_is_no_baseline_unless_asked_for(project):
    project.record("store.put(1)", "--full")
    assert project.cli("gate", "--update").returncode == 0
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "the baseline")
    project.write("new.py", "x = 1\n")
    project.record("store.put(1)", "--full")
    assert "+dirty   run" in project.cli("report").stdout
    done = project.cli("gate", "--update")
    assert done.returncode == 2
    assert "+dirty, which cannot be checked out elsewhere" in done.stderr
    assert project.cli("gate", "--update", "--allow-dirty").returncode == 0


def test_a_dirty_run_begins_no_history_unless_asked_for(project):
    project.write("new.py", "x = 1\n")
    project.record("store.put(1)", "--full")
    commit = revision.commit_of(found(project))
    done = project.cli("gate", "--since", commit)
    assert done.returncode == 2
    assert "clean work tree" in done.stderr
    assert project.cli("gate", "--since", commit, "--allow-dirty").returncode == 0
