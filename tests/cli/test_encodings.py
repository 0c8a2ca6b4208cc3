"""
Files that commands are given by name, as tools on Windows write them.
"""

import pytest

from ..evidence import foreign
from ..evidence.projects import Project
from .test_history import written

COUNTED = "store.put(1); store.grow(99)"


def ingested(project):
    return project.write("sdk.jsonl", foreign.process()), ("ingest", "sdk.jsonl")


def imported(project):
    project.record(COUNTED)
    project.cli("evidence", "add")
    project.cli("evidence", "export", "runs.jsonl")
    return project.root / "runs.jsonl", ("evidence", "import", "runs.jsonl")


def judged(project):
    return written(project.root, "new"), ("history", "check", "history.jsonl")


def drawn(project):
    return written(project.root, "new"), ("history", "timeline", "history.jsonl")


def known(project):
    project.write("store/more.py", "import assertlib\nassertlib.always(a, name)\n")
    words = ("check", "--baseline-findings", "known.txt")
    project.cli(*words, "--update")
    return project.root / "known.txt", words


def gated(project):
    project.record(COUNTED, "--full")
    project.cli("gate", "--update")
    return project.root / "catalog/baseline.txt", ("gate",)


def configured(project):
    return project.root / "pyproject.toml", ("check",)


def begun(project):
    project.write("pyproject.toml", "[project]\nname = 'store'\n")
    return project.root / "pyproject.toml", ("init",)


@pytest.mark.parametrize(
    "prepare", [ingested, imported, judged, drawn, known, gated, configured, begun]
)
def test_a_file_is_read_with_a_byte_order_mark_and_utf_16_is_named(tmp_path, prepare):
    project = Project(tmp_path)
    path, words = prepare(project)
    text = path.read_text("utf-8")
    path.write_bytes(text.encode("utf-16"))
    done = project.cli(*words)
    assert done.returncode == 2
    assert path.name in done.stderr
    assert done.stderr.endswith(": is UTF-16; save it as UTF-8\n")
    path.write_bytes(text.encode("utf-8-sig"))
    done = project.cli(*words)
    assert done.returncode == 0, done.stdout + done.stderr
