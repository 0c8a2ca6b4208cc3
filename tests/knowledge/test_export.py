"""`assertlib catalog export`: the trace matrix for other tools."""

from __future__ import annotations

import csv
import io
import json

import pytest

from assertlib.catalog.imports.formats import read_document

from .project import Project


@pytest.fixture(name="project")
def _project(tmp_path):
    return Project(tmp_path)


def test_json_has_each_invariant_with_its_assertions(project):
    found = json.loads(project.run("catalog", "export", "--format", "json").stdout)["invariants"]
    assert [each["id"] for each in found] == [
        "wal.clients-see-order", "wal.index-contiguous", "wal.synced-before-ack",
    ]  # fmt: skip
    last = found[-1]
    assert last["assertions"][0]["function"] == "reply"
    assert last["incident"][0]["ref"] == "etcd-io/etcd#14370"
    assert last["evidence"] is None


def test_csv_has_a_line_for_each_clause_and_starts_no_formula(project):
    project.change(
        "catalog/wal.toml", 'expects = ["always"]\nowners',
        'expects = ["always"]\nclauses = {dir = "=cmd()"}\nowners',
    )  # fmt: skip
    rows = [
        *csv.DictReader(io.StringIO(project.run("catalog", "export", "--format", "csv").stdout))
    ]
    clauses = [(row["clause"], row["promise"], row["assertion"]) for row in rows if row["clause"]]
    assert clauses == [("dir", "'=cmd()", "")]
    assert [row["line"] for row in rows if row["assertion"] == "replies are in order"] == ["14"]


def test_reqif_can_be_imported_again(project, tmp_path):
    path = tmp_path / "out.reqif"
    project.run("catalog", "export", "--format", "reqif", "--output", str(path))
    items = read_document(path, tmp_path).items
    assert [(each.external_id, each.title) for each in items] == [
        ("wal.clients-see-order", "Replies are in order"),
        ("wal.index-contiguous", "Records have no gaps"),
        ("wal.synced-before-ack", "A write is synced before its ack"),
    ]
    assert items[0].statement.startswith("No reply overtakes another.")


def test_a_format_has_to_be_chosen(project):
    assert "choose an output format" in project.run("catalog", "export", code=2).stderr


def test_check_lists_the_links_between_catalog_and_code(project):
    links = json.loads(project.run("check", "--format", "json").stdout)["links"]
    assert [(each["invariant"], each["file"], each["line"]) for each in links] == [
        ("wal.index-contiguous", "store/log.py", 15),
        ("wal.synced-before-ack", "store/log.py", 23),
        ("wal.clients-see-order", "store/server.py", 14),
    ]
