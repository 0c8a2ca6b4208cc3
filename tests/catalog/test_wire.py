"""
The catalog as declarations of the wire, held against the runtime and the SDK of Antithesis.
"""

import json

import pytest

from assertlib.catalog.scan import scan_sources
from assertlib.catalog.wire import declarations

from ..evidence.projects import Project
from ..test_antithesis import IMPORTS, PROGRAM

SOURCE = IMPORTS.format(sdk="assertlib") + PROGRAM
DERIVED = """
from assertlib import always_if, sometimes_both, sometimes_each, within
always_if(True, lambda: True, "implied")
sometimes_both(True, "both")
sometimes_each("a", "each", expected=("a", "b"))
with within(5, "soon"):
    pass
"""

UNMET = {
    ("antithesis_guidance", "not a number"),
    ("antithesis_guidance", "infinity"),
    ("antithesis_assert", "each [bucket=b]"),
    ("antithesis_assert", "each [bucket=other]"),
}
"""What a process declares only when it meets it: finite operands, and a bucket."""


def declared(lines):
    """The declarations among *lines* by key and id."""
    found = {}
    for line in lines:
        ((key, body),) = json.loads(line).items()
        if key in ("antithesis_assert", "antithesis_guidance") and not body["hit"]:
            found[key, body["id"]] = body
    return found


def exported(source):
    return declared(declarations(scan_sources({"child1.py": source}).sites))


@pytest.mark.parametrize("source", [SOURCE, DERIVED], ids=["primitives", "derived"])
def test_what_is_exported_is_what_the_process_declares(children, source):
    ran = declared(children.run(source).lines)
    told = exported(source)
    assert ran.keys() <= told.keys()
    assert told.keys() - ran.keys() <= UNMET
    for key, body in ran.items():
        assert told[key] == body


def test_each_derived_assertion_is_declared():
    names = {name for _, name in exported(DERIVED)}
    assert names >= {
        "implied", "implied [antecedent]", "both", "both [false]", "each [bucket=a]",
        "each [bucket=b]", "each [bucket=other]", "soon",
    }  # fmt: skip


def test_the_sdk_of_antithesis_reads_it_as_its_own(tmp_path, capsys):
    catalog = pytest.importorskip("antithesis.catalog")
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    ours.write_text("".join(declarations(scan_sources({"program.py": SOURCE}).sites)))
    real = IMPORTS.format(sdk="antithesis") + PROGRAM
    catalog.write(catalog.scan_source(real, "program.py"), theirs)

    def read(path):
        return {
            each.id: (each.kind, each.guidance, each.location.begin_line)
            for each in catalog.load(path)
        }

    assert len(read(theirs)) > 30
    assert read(ours) == read(theirs)
    assert "skipping" not in capsys.readouterr().out


def test_the_command_writes_it_for_a_target(tmp_path):
    project = Project(tmp_path)
    done = project.cli("catalog", "export", "--antithesis", "--output", "out.json")
    assert (done.returncode, done.stdout) == (0, "")
    lines = (tmp_path / "out.json").read_text().splitlines()
    assert ("antithesis_guidance", "the store is full") in declared(lines)
    shown = project.cli("catalog", "export", "--antithesis")
    assert shown.stdout.splitlines() == lines


def test_the_command_asks_in_which_form(tmp_path):
    done = Project(tmp_path).cli("catalog", "export")
    assert done.returncode == 2
    assert "--antithesis" in done.stderr
