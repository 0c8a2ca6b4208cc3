"""The JSON Schema of catalog files, and the files that are held to it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from assertlib.catalog.model import Incident, Invariant, Source, file_schema
from assertlib.cli.catalog import schema_text

from .writing import GOOD, HEAD, entry, loaded

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "catalog"
FILES = sorted(CATALOG.rglob("*.toml"))


@pytest.fixture(name="validator", scope="module")
def _validator():
    schema = file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schema_is_current():
    assert (CATALOG / "schema.json").read_text(encoding="utf-8") == schema_text()


def test_there_are_catalog_files():
    assert len(FILES) >= 5


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_begins_with_its_schema(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    prefix, _, where = first.partition(" ")
    assert prefix == "#:schema"
    assert (path.parent / where).resolve() == CATALOG / "schema.json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_is_what_the_schema_says(path, validator):
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(data)] == []


def test_a_good_file_is_what_the_schema_says(validator):
    validator.validate(tomllib.loads(HEAD + GOOD))


WRONG = {
    "no schema": GOOD,
    "another schema": "schema = 2\n" + GOOD,
    "unknown key": HEAD + entry("x", "titel = 'u'"),
    "unknown key in a source": HEAD + entry("x", "[[x.source]]\nref = 'r'\nnotes = 'n'"),
    "missing key": HEAD + entry("x").replace("title", "# "),
    "missing key in a source": HEAD + entry("x", "[[x.source]]\nnote = 'n'"),
    "missing key in an incident": HEAD + entry("x", "[[x.incident]]\nref = 'r'"),
    "wrong type": HEAD + entry("x", "owners = 'me'"),
    "empty text": HEAD + entry("x").replace('"s"', '""'),
    "revision below one": HEAD + entry("x", "revision = 0"),
    "unknown kind": HEAD + entry("x").replace("safety", "safty"),
    "unknown kind of assertion": HEAD + entry("x", "expects = ['allways']"),
    "no kebab-case": HEAD + entry("Durable"),
    "no kebab-case in a clause": HEAD + entry("x", "[x.clauses]\nBad = 'c'"),
    "no id": HEAD + entry("x", "replaced_by = 'durable'"),
    "no table": HEAD + "x = 1",
    "an assertion": HEAD + entry("assertion"),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_what_the_schema_refuses_the_loader_refuses(tmp_path, text, validator):
    assert not validator.is_valid(tomllib.loads(text))
    assert loaded(tmp_path, text).findings != []


def test_each_key_has_a_description_for_editors():
    for model in (Invariant, Source, Incident):
        for name, described in model.model_json_schema()["properties"].items():
            assert described.get("description"), name


def test_the_schema_is_plain_json():
    assert json.loads(schema_text()) == file_schema()
    assert schema_text().endswith("}\n")
