"""`assertlib catalog import`: handwritten lists, and requirements of other tools, become drafts."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.drafts import name_for
from assertlib.catalog.imports.anchors import dangling
from assertlib.catalog.imports.formats import read_document
from assertlib.catalog.imports.items import Anchor
from assertlib.catalog.imports.markdown import read_markdown
from assertlib.catalog.toml import parse_toml

from .project import Project

DOCUMENTS = Path(__file__).parent / "documents"
ROOT = DOCUMENTS / "project"
NAMES = sorted(path.stem for path in (DOCUMENTS / "expected").glob("*.json"))


def _document(name):
    (path,) = [each for each in DOCUMENTS.glob(f"{name}*") if each.name[0].isdigit()]
    expected = json.loads((DOCUMENTS / "expected" / f"{name}.json").read_text())
    return path, expected


def _words(text):
    return set(re.findall(r"\w+", text.lower()))


def _same(item, expected):
    one, other = _words(item.statement), _words(expected["statement"])
    return (
        item.external_id in (expected["external_id"], "") or not expected["external_id"]
    ) and len(one & other) > 0.7 * len(one | other)


@pytest.mark.parametrize("name", NAMES)
def test_the_statements_of_each_style_are_found_and_nothing_else(name):
    path, expected = _document(name)
    found = read_document(path, ROOT).items
    assert [item.statement for item in found] == [
        item.statement
        for item, each in zip(found, expected["items"], strict=False)
        if _same(item, each)
    ]
    assert len(found) == len(expected["items"])
    assert [item.external_id for item in found] == [
        each["external_id"] for each in expected["items"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_dangling_pointers_are_found_and_sound_ones_are_not(name):
    path, expected = _document(name)
    anchors = read_document(path, ROOT).anchors
    assert {each.text for each in anchors} == {each["text"] for each in expected["anchors"]}
    found = {each.anchor.text for each in dangling(anchors, ROOT / "docs" / path.name, ROOT)}
    assert found == {each["text"] for each in expected["anchors"] if not each["exists"]}


def test_all_documents_become_drafts_once_and_the_catalog_stays_valid(tmp_path):
    project = Project(tmp_path)
    shutil.copytree(
        DOCUMENTS, tmp_path / "docs", ignore=shutil.ignore_patterns("expected", "project")
    )
    paths = sorted(str(path) for path in (tmp_path / "docs").glob("[0-9]*"))
    count = sum(len(_document(name)[1]["items"]) for name in NAMES)
    project.run("catalog", "import", *paths)
    listed = json.loads(project.run("catalog", "list", "--format", "json").stdout)["invariants"]
    drafts = [each for each in listed if each["id"].startswith("imported.")]
    assert len(drafts) == count
    project.run("check")
    before = (tmp_path / "catalog/imported.toml").read_text()
    again = project.run("catalog", "import", *paths).stdout
    assert "new draft" not in again
    assert (tmp_path / "catalog/imported.toml").read_text() == before


LIST = """\
# Invariants

## INV-1: Acks follow syncs

An ack is sent after the sync.

## INV-2: No gaps

Numbers have no gaps.
"""


@pytest.fixture(name="project")
def _project(tmp_path):
    project = Project(tmp_path)
    project.write("docs/list.md", LIST)
    project.run("catalog", "import", "docs/list.md", "--area", "log")
    return project


def _entries(project):
    return parse_toml((project.root / "catalog/log.toml").read_text())


def test_a_draft_names_the_line_it_was_made_of_and_can_be_found_by_its_id(project):
    entry = _entries(project)["acks-follow-syncs"]
    assert entry["external_id"] == "INV-1"
    assert entry["status"] == "draft"
    assert entry["source"][0]["ref"] == "docs/list.md:3"
    assert "log.acks-follow-syncs" in project.run("catalog", "show", "INV-1").stdout


def test_a_changed_statement_updates_its_entry_and_only_that(project):
    other = _entries(project)["no-gaps"]
    project.change("docs/list.md", "after the sync", "only after the sync of its record")
    project.change("catalog/log.toml", "schema = 1\n", "schema = 1\n# a comment\n")
    project.run("catalog", "import", "docs/list.md", "--area", "log")
    entries = _entries(project)
    assert entries["acks-follow-syncs"]["statement"].endswith("of its record.")
    assert entries["no-gaps"] == other
    assert "# a comment\n" in (project.root / "catalog/log.toml").read_text()


def test_an_edited_entry_is_never_overwritten(project):
    project.change("catalog/log.toml", "Numbers have no gaps.", "Numbers rise by one.")
    project.change("docs/list.md", "Numbers have no gaps.", "Numbers have no gaps at all.")
    text = project.run("catalog", "import", "docs/list.md", "--area", "log").stdout
    assert "log.no-gaps: edited here and changed in docs/list.md; kept" in text
    assert _entries(project)["no-gaps"]["statement"] == "Numbers rise by one."


def test_a_reason_that_a_person_wrote_is_never_overwritten(project):
    placeholder = _entries(project)["no-gaps"]["why"]
    project.change("catalog/log.toml", f'why = "{placeholder}"\ndebug', 'why = "Mine."\ndebug')
    mine = [name for name, each in _entries(project).items() if "Mine." in str(each)]
    project.change("docs/list.md", "after the sync.\n", "after the sync.\n\nWhy: Theirs.\n")
    project.change("docs/list.md", "have no gaps.\n", "have no gaps.\n\nWhy: Theirs.\n")
    text = project.run("catalog", "import", "docs/list.md", "--area", "log").stdout
    assert mine
    for name in mine:
        assert _entries(project)[name]["why"] == "Mine."
        assert f"log.{name}: edited here and changed" in text


@pytest.mark.parametrize("given", ["REQ 1", "A2\\n[evil]", "_abc", "é", "##", "x" * 300])
def test_any_id_becomes_an_external_id_that_the_catalog_accepts(tmp_path, given):
    project = Project(tmp_path)
    need = {"id": "K", "type": "req", "title": "T", "content": "It holds for ever."}
    data = {"current_version": "1", "versions": {"1": {"needs": {"K": need}}}}
    project.write("needs.json", json.dumps(data).replace('"id": "K"', f'"id": "{given}"'))
    project.run("catalog", "import", "needs.json")
    project.run("check")


def test_a_moved_statement_gets_its_new_line_and_a_removed_one_is_reported(project):
    project.change(
        "docs/list.md", "## INV-1: Acks follow syncs\n\nAn ack is sent after the sync.\n\n", ""
    )
    text = project.run("catalog", "import", "docs/list.md", "--area", "log").stdout
    assert "log.acks-follow-syncs: no longer in docs/list.md; kept" in text
    assert _entries(project)["no-gaps"]["source"][0]["ref"] == "docs/list.md:3"


def test_an_id_that_means_something_else_in_another_document_is_qualified(project):
    project.write("docs/other.md", "## INV-1: Colours\n\nLamps are green at night.\n")
    text = project.run("catalog", "import", "docs/other.md", "--area", "log").stdout
    assert "INV-1 is also the external id of log.acks-follow-syncs" in text
    assert _entries(project)["colours"]["external_id"] == "docs/other/INV-1"
    project.run("check")


def test_one_id_in_several_documents_is_qualified_by_their_paths(project):
    summary = (
        "\n## Summary\n\n| ID | Statement |\n|---|---|\n| INV-1 | No two clients hold one lock. |\n"
    )
    project.write("b/inv.md", f"### INV-1: Locks\n\nNo two clients hold one lock.\n{summary}")
    project.write("c/inv.md", "### INV-1: Zebra\n\nZebras shall keep their stripes.\n")
    for _ in range(2):
        project.run("catalog", "import", "b/inv.md", "c/inv.md", "--area", "log")
    found = {
        name: each["external_id"] for name, each in _entries(project).items() if name != "schema"
    }
    assert found["locks"] == "b/inv/INV-1"
    assert found["zebra"] == "c/inv/INV-1"
    assert len(found) == 4
    project.run("check")


def test_an_id_that_a_statement_gets_later_is_recorded(project):
    project.write("docs/more.md", "# Invariants\n\n### Locks\n\nNo two clients hold one lock.\n")
    project.run("catalog", "import", "docs/more.md", "--area", "log")
    project.change("docs/more.md", "### Locks", "### INV-9: Locks")
    project.run("catalog", "import", "docs/more.md", "--area", "log")
    assert _entries(project)["locks"]["external_id"] == "INV-9"
    assert "log.locks" in project.run("catalog", "show", "INV-9").stdout


def test_a_document_outside_the_project_is_one_document_however_it_is_named(project):
    outside = project.root.parent / "outside.md"
    outside.write_text("# Invariants\n\n### OUT-1: Locks\n\nNo two clients hold one lock.\n")
    project.run("catalog", "import", "../outside.md", "--area", "log")
    for name, cwd in ((str(outside), None), ("../../outside.md", project.root / "store")):
        done = project.run("catalog", "import", name, "--area", "log", cwd=cwd)
        assert "1 unchanged" in done.stdout


def test_two_entries_with_one_external_id_are_a_finding(project):
    project.change("catalog/log.toml", 'external_id = "INV-2"', 'external_id = "INV-1"')
    assert "AL123" in project.run("check", code=1).stdout


def test_a_dry_run_writes_nothing(project):
    before = (project.root / "catalog/log.toml").read_text()
    project.write("docs/new.md", LIST.replace("INV-", "NEW-"))
    assert "dry run" in project.run("catalog", "import", "--dry-run", "docs/new.md").stdout
    assert (project.root / "catalog/log.toml").read_text() == before
    assert not (project.root / "catalog/imported.toml").exists()


@pytest.mark.parametrize(
    ("name", "text", "code", "problem"),
    [
        ("a.md", "Just prose about nothing.\n", 3, "no invariant found"),
        ("a.docx", "x", 2, "unknown format"),
        ("a.json", "{", 2, "not JSON"),
        ("a.json", "[]", 2, "no `versions`"),
        (
            "a.json",
            '{"current_version": [], "versions": {"1": {"needs": {}}}}',
            3,
            "no invariant found",
        ),
        ("a.yml", "a: [", 2, "not YAML"),
        ("a.yml", "a: 1", 2, "not an item of Doorstop"),
        ("a.yml", "text: [[a]]", 2, "whose `text` is a string"),
        ("a.reqif", "<x/>", 2, "not ReqIF"),
        ("a.reqif", '<!DOCTYPE x [<!ENTITY a "b">]><x/>', 2, "DOCTYPE"),
        ("a.rst", "Title\n=====\n", 3, "no invariant found"),
        ("a.sdoc", "[DOCUMENT]\nTITLE: x\n", 3, "no invariant found"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_clear_line(tmp_path, name, text, code, problem):
    project = Project(tmp_path)
    project.write(name, text)
    done = project.run("catalog", "import", name, code=code)
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("area", ["../../evil", "A b", "", "a.b"])
def test_a_name_that_is_no_area_is_refused_before_anything_is_written(tmp_path, area):
    project = Project(tmp_path / "project")
    project.write("list.md", LIST)
    before = sorted(tmp_path.rglob("*"))
    done = project.run("catalog", "import", "list.md", "--area", area, code=2)
    assert "not the name of an area" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


RST = """\
.. needtable::
   :types: req

.. req:: One
   of two lines
   :id: R_1
   :links: A,
     B

   The one must hold.

   .. req:: Nested
      :id: R_2

      The nested one must hold.

..
   .. req:: Comment
      :id: R_3

      No.
"""


def test_directives_may_nest_and_their_options_go_on(tmp_path):
    path = tmp_path / "a.rst"
    path.write_text(RST)
    items = read_document(path, tmp_path).items
    assert [(each.external_id, each.title, each.statement) for each in items] == [
        ("R_1", "One of two lines", "The one must hold."),
        ("R_2", "Nested", "The nested one must hold."),
    ]


def test_pipes_and_long_gaps_do_not_hold_up_the_search_for_symbols(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gaps.py").write_text("\n" * 60_000 + "# Foo\n" + "\n" * 60_000 + "Foo")
    found = dangling([Anchor("Foo", 1, "symbol")], tmp_path / "x.md", tmp_path)
    assert [each.anchor.text for each in found] == ["Foo"]


def test_of_two_equal_statements_the_one_that_changed_is_updated(project):
    text = "# Invariants\n\n### Reads\n\nIt is locked first.\n\n### Writes\n\nIt is locked first.\n"
    project.write("docs/two.md", text)
    project.run("catalog", "import", "docs/two.md", "--area", "log")
    project.write("docs/two.md", text.replace("first.", "first of all.", 1))
    project.run("catalog", "import", "docs/two.md", "--area", "log")
    entries = _entries(project)
    assert entries["reads"]["statement"] == "It is locked first of all."
    assert entries["writes"]["statement"] == "It is locked first."


def test_an_item_of_a_directory_that_cannot_be_read_is_one_clear_line(tmp_path):
    project = Project(tmp_path)
    (tmp_path / "reqs").mkdir()
    (tmp_path / "reqs/R1.yml").write_bytes(b"text: caf\xe9\n")
    done = project.run("catalog", "import", "reqs", code=2)
    assert "UTF-8" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_file_is_one_clear_line(tmp_path):
    done = Project(tmp_path).run("catalog", "import", "nothing.md", code=2)
    assert "nothing.md: No such file or directory" in done.stderr


_PIECES = st.sampled_from(
    ["# Invariants\n", "## INV-1: x\n", "- ", "* **A**: b.\n", "| id | rule |\n|--|--|\n", "| A-1 | b |\n",
     "1. It holds.\n", "```\n", "<!--", "-->", "Why: z\n", "`a/b.py:3`", "MUST ", "~~", "[x](../y.go#L1)",
     "\n\n", "  ", "> ", "---\n", "**INV_1 (a).** b c\n", "\0", "é", "Enforced in: "]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40))
def test_any_markdown_is_read_with_places_inside_it(pieces):
    text = "".join(pieces)
    document = read_markdown(text)
    lines = text.count("\n") + 1
    for item in document.items:
        assert item.statement.strip()
        assert 1 <= item.line <= lines
    for anchor in document.anchors:
        assert 1 <= anchor.line <= lines + 1


@given(st.text(max_size=80), st.sets(st.text(max_size=10), max_size=5))
def test_a_name_is_new_and_kebab_case(text, taken):
    name = name_for(text, taken)
    assert name not in taken
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


def test_a_symbol_is_found_where_it_is_defined_in_any_language(tmp_path):
    project = Project(tmp_path)
    project.write("a.go", "func (s *Store) Apply(x int) error {\n}\n")
    project.write("a.rs", "pub fn replay_log() {}\n")
    project.write("a.cc", "TEST(Log, KeepsOrder) {\n}\n")
    project.write("a.ts", "export const limitOf = 3\n")
    project.write("a.py", "Called(1)\n")
    names = ["Store.Apply", "replay_log", "KeepsOrder", "limitOf", "Called", "Log.sync"]
    found = dangling([Anchor(name, 1, "symbol") for name in names], tmp_path / "x.md", tmp_path)
    assert [each.anchor.text for each in found] == ["Called"]


def test_statements_below_others_and_under_one_id_are_kept(tmp_path):
    text = """# Invariants

- INV-30: The outer must hold
  - INV-31: The inner must hold.

### INV-42: Sub

It must hold.

| INV | rule |
|---|---|
| INV-43 | The table must hold |

### INV-50: A

A committed entry is never lost by the leader.

### INV-50: B

A committed entry is never lost by the follower.
"""
    project = Project(tmp_path)
    project.write("list.md", text)
    done = project.run("catalog", "import", "list.md")
    assert "INV-50 is in list.md several times" in done.stdout
    found = parse_toml((tmp_path / "catalog/imported.toml").read_text())
    ids = sorted(each["external_id"] for name, each in found.items() if name != "schema")
    assert ids == ["INV-30", "INV-31", "INV-42", "INV-43", "INV-50", "INV-50#2"]


def test_comparisons_survive_reqif(project):
    project.change("catalog/log.toml", "Numbers have no gaps.", "a <= b and b >= 0 at any time.")
    project.run("catalog", "export", "--format", "reqif", "--output", "out.reqif")
    items = read_document(project.root / "out.reqif", project.root).items
    assert any(each.statement.startswith("a <= b and b >= 0 at any time.") for each in items)
