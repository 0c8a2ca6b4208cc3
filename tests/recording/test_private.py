"""
What is written is whole, the owner's alone in run directories, and goes through no stranger's link.
"""

import json
import os
import stat

import pytest

from assertlib.catalog.files import ignore_all, write_whole
from assertlib.evidence.runs import write_replays
from assertlib.recording import private
from assertlib.recording.settings import SHARED_ENV
from assertlib.sim.tapes import TrialSpec, write
from assertlib.sim.trial import Options

from ..evidence.projects import Project

OURS = ("run.json", "replays.json", ".tape.json", "-1.jsonl")


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


ANTITHESIS = json.dumps(
    {
        "antithesis_assert": {
            "hit": True, "must_hit": True, "assert_type": "always", "display_type": "Always",
            "message": "m", "condition": True, "id": "m", "location": {}, "details": None,
        }
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("shared", "file_mode", "directory_mode"), [("", 0o600, 0o700), ("1", 0o644, 0o755)]
)
def test_a_run_directory_is_the_owners_alone_unless_it_is_shared(
    tmp_path, umask, monkeypatch, shared, file_mode, directory_mode
):
    monkeypatch.setenv(SHARED_ENV, shared)
    project = Project(tmp_path)
    project.write("out.jsonl", ANTITHESIS + "\n")
    assert project.cli("ingest", "out.jsonl", ASSERTLIB_SHARED=shared).returncode == 0
    (run,) = project.runs()
    write_replays(run, {})
    write(run / "sim", TrialSpec("a:b", Options(), 1, shows="x"))
    assert project.cli("evidence", "add", ASSERTLIB_SHARED=shared).returncode == 0
    found = [path for path in run.rglob("*") if path.name.endswith(OURS)]
    assert len(found) == len(OURS)
    found.append(project.root / ".assertlib" / "evidence.db")
    assert {mode_of(path) for path in found} == {file_mode}
    assert {mode_of(run), mode_of(run / "sim")} == {directory_mode}


def test_the_umask_still_takes_permissions_away(tmp_path):
    before = os.umask(0o277)
    try:
        private.write(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "file") == 0o400


WRITERS = {
    "run.json": lambda directory: private.write(directory / "file", "new"),
    "a file of the project": lambda directory: write_whole(directory / "file", "new"),
    "a file that is opened": lambda directory: open(
        directory / "file", "w", opener=private.opener
    ).close(),
    ".gitignore": ignore_all,
}


@pytest.mark.parametrize("writes", WRITERS.values(), ids=WRITERS)
def test_no_link_leads_what_is_written_elsewhere(tmp_path, writes):
    (tmp_path / "precious").write_text("precious")
    place = tmp_path / "place"
    place.mkdir()
    for name in ("file", ".file.new", "file.new", f"file.{os.getpid()}.new"):
        (place / name).symlink_to(tmp_path / "precious")
    (place / ".gitignore").symlink_to(tmp_path / "created")
    try:
        writes(place)
    except OSError as error:
        assert os.strerror(error.errno) == "Too many levels of symbolic links"
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "created").exists()


def test_an_export_goes_through_no_link_that_was_put_beside_it(tmp_path):
    project = Project(tmp_path / "project")
    (tmp_path / "precious").write_text("precious")
    (project.root / ".all.jsonl.new").symlink_to(tmp_path / "precious")
    assert project.cli("evidence", "export", "all.jsonl").returncode == 0
    assert (tmp_path / "precious").read_text() == "precious"
    assert (project.root / "all.jsonl").is_file()


def test_names_before_the_last_are_never_the_same(tmp_path):
    names = {private.hidden_beside(tmp_path / "file") for _ in range(100)}
    assert len(names) == 100
    assert {os.path.dirname(name) for name in names} == {str(tmp_path)}


def test_what_cannot_be_written_whole_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        private.write(path, "new \udc80")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        private.make_directory(tmp_path / "file")
