"""The loader: what it reads, and one clear finding for whatever is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.loader import load

from .writing import DRAFT, GOOD, HEAD, entry, line_of, loaded, only, write


def test_a_good_file_has_no_findings(tmp_path):
    catalog = loaded(tmp_path, HEAD + GOOD)
    assert catalog.findings == []
    found = catalog.entries["kv.durable-ack"]
    assert (found.area, found.file, found.line, found.counts) == ("kv", "catalog/kv.toml", 2, True)
    assert found.invariant.title == "An acknowledged write survives"
    assert found.invariant.source[0].ref == "etcd docs"


def test_the_catalog_of_this_repository_has_no_findings():
    root = Path(__file__).parents[2]
    catalog = load([root / "catalog"], root)
    assert catalog.findings == []
    assert len(catalog.entries) > 10


def test_prose_loses_the_white_space_around_it(tmp_path):
    text = HEAD + entry("x").replace('why = "w"', "why = '''\nw\n\nv\n'''")
    assert loaded(tmp_path, text).entries["kv.x"].invariant.why == "w\n\nv"


def test_entries_of_several_roots_are_put_together(tmp_path):
    one = write(tmp_path / "one", kv=HEAD + entry("a"))
    two = write(tmp_path / "two", kv=HEAD + entry("b"), wal=HEAD + entry("a"))
    catalog = load([one, two], tmp_path)
    assert sorted(catalog.entries) == ["kv.a", "kv.b", "wal.a"]
    assert catalog.findings == []


def test_renames_are_no_area(tmp_path):
    assert load([write(tmp_path / "catalog", renames="a = 'b'")], tmp_path).entries == {}


def test_other_files_are_left_alone(tmp_path):
    root = write(tmp_path / "catalog", kv=HEAD + entry("a"))
    (root / "schema.json").write_text("{}")
    (root / "sdk").mkdir()
    (root / "sdk" / "x.toml").write_text("nonsense")
    assert load([root], tmp_path).findings == []


# -- one finding each, at the right place --------------------------------------

WRONG = {
    "unknown key at the top level": ("schema = 1\nowner = 'me'\n", "owner", ["'owner'"]),
    "unknown key": (HEAD + entry("x", "titel = 'u'"), "titel", ["'titel'", "did you mean 'title'"]),
    "unknown key unlike any other": (HEAD + entry("x", "zzz = 'u'"), "zzz", ["'zzz'", "schema"]),
    "unknown key in a source": (
        HEAD + entry("x", "[[x.source]]\nref = 'r'\nnotes = 'n'"),
        "notes",
        ["'notes'", "did you mean 'note'"],
    ),
    "unknown key in an incident": (
        HEAD
        + entry("x", "[[x.incident]]\nref = 'r'\ntitle = 't'\nstatus = 'refuted'\nreprduce=''"),
        "reprduce",
        ["'reprduce'", "did you mean 'reproduce'"],
    ),
    "unknown table": (
        HEAD + entry("x", "[x.clause]\na = 'b'"),
        "[x.clause]",
        ["did you mean 'cla"],
    ),
    "missing key": (HEAD + entry("x").replace("title = ", "# "), "[x]", ["'title'", "missing"]),
    "missing key in a source": (
        HEAD + entry("x", "[[x.source]]\nnote = 'n'"),
        "[[x.source]]",
        ["'ref'", "missing"],
    ),
    "missing key in an incident": (
        HEAD + entry("x", "[[x.incident]]\nref = 'r'\ntitle = 't'"),
        "[[x.incident]]",
        ["'status'", "missing"],
    ),
    "a number for a text": (HEAD + entry("x").replace('"s"', "7"), "statement", ["statement"]),
    "an empty text": (HEAD + entry("x").replace('"s"', '"  "'), "statement", ["statement"]),
    "a text for a number": (HEAD + entry("x", "revision = '1'"), "revision", ["revision"]),
    "a bool for a number": (HEAD + entry("x", "revision = true"), "revision", ["revision"]),
    "a revision below one": (HEAD + entry("x", "revision = 0"), "revision", ["revision"]),
    "a text for a list": (HEAD + entry("x", "owners = 'me'"), "owners", ["owners"]),
    "a table for a list": (HEAD + entry("x", "[x.source]\nref = 'r'"), "[x.source]", ["source"]),
    "a list of numbers": (HEAD + entry("x", "owners = [1]"), "owners", ["owners"]),
    "a text for a table": (HEAD + entry("x", "clauses = 'all'"), "clauses", ["clauses"]),
    "a text for an invariant": (HEAD + "x = 'text'", "x = ", ["'x'"]),
    "a list of invariants": (HEAD + entry("x").replace("[x]", "[[x]]"), "[[x]]", ["'x'"]),
    "an unknown kind": (HEAD + entry("x").replace("safety", "safty"), "kind", ["kind", "'safety'"]),
    "an unknown status": (HEAD + entry("x", status="done"), "status", ["status", "'draft'"]),
    "an unknown kind of assertion": (
        HEAD + entry("x", "expects = ['always', 'allways']"),
        "expects",
        ["expects", "'always'"],
    ),
    "an unknown status of an incident": (
        HEAD + entry("x", "[[x.incident]]\nref = 'r'\ntitle = 't'\nstatus = 'maybe'"),
        "status = 'maybe'",
        ["status", "'confirmed'"],
    ),
    "a name in capitals": (HEAD + entry("Durable"), "[Durable]", ["'Durable'", "kebab"]),
    "a name with an underscore": (HEAD + entry("durable_ack"), "[durable_ack]", ["kebab"]),
    "a name that ends in a hyphen": (HEAD + entry("durable-"), "[durable-]", ["kebab"]),
    "a name with a dot": (HEAD + entry('"a.b"'), '["a.b"]', ["'a.b'", "kebab"]),
    "a name with a new line": (HEAD + entry('"x\\n"'), '["x\\n"]', ["kebab"]),
    "an empty name": (HEAD + entry('""'), '[""]', ["kebab"]),
    "a clause in capitals": (HEAD + entry("x", "[x.clauses]\nBad = 'c'"), "Bad", ["Bad"]),
    "an empty clause": (HEAD + entry("x", "[x.clauses]\ngood = ''"), "good", ["clauses.good"]),
    "an id that is none": (
        HEAD + entry("x", "replaced_by = 'durable'", status="retired"),
        "replaced_by",
        ["replaced_by"],
    ),
    "an id with a clause": (
        HEAD + entry("x", "replaced_by = 'kv.x#part'", status="retired"),
        "replaced_by",
        ["replaced_by"],
    ),
    "no schema": (entry("x"), "[x]", ["schema", "schema = 1"]),
    "a later schema": ("schema = 2\n" + entry("x"), "schema", ["2", "schema = 1"]),
    "a schema as text": ("schema = '1'\n" + entry("x"), "schema", ["'1'", "schema = 1"]),
    "a schema that is true": ("schema = true\n" + entry("x"), "schema", ["schema = 1"]),
    "an active entry that expects nothing": (
        HEAD + entry("x", status="active"),
        "[x]",
        ["expects"],
    ),
    "an active entry that was replaced": (
        HEAD + GOOD.replace("[[", "replaced_by = 'kv.durable-ack'\n[["),
        "[durable-ack]",
        ["replaced_by", "retired"],
    ),
    "a draft that was replaced": (
        HEAD + entry("x", "replaced_by = 'kv.x'"),
        "[x]",
        ["replaced_by", "retired"],
    ),
    "a replacement that is unknown": (
        HEAD + entry("old", "replaced_by = 'kv.nwe'", status="retired") + entry("new"),
        "[old]",
        ["'kv.nwe'", "did you mean 'kv.new'"],
    ),
    "a replacement by itself": (
        HEAD + entry("old", "replaced_by = 'kv.old'", status="retired"),
        "[old]",
        ["back to 'kv.old'"],
    ),
    "an assertion": (HEAD + "[assertion]\nmessage = 'm'", "[assertion]", ["'assertion'"]),
    "an assertion that looks like an invariant": (
        HEAD + entry("assertion"),
        "[assertion]",
        ["'assertion'"],
    ),
    "an incident in a month that is none": (
        HEAD
        + entry(
            "x", "[[x.incident]]\nref = 'r'\ntitle = 't'\nstatus = 'refuted'\ndate = '2022-13'"
        ),
        "date",
        ["incident.0.date", "2022-03-31"],
    ),
    "an incident at a time": (
        HEAD
        + entry(
            "x", "[[x.incident]]\nref = 'r'\ntitle = 't'\nstatus = 'refuted'\ndate = 2022-03-31"
        ),
        "date",
        ["incident.0.date"],
    ),
    "a state that is a text": (
        HEAD + entry("x", "[x.states]\nseen = 'text'"),
        "seen",
        ["states.seen"],
    ),
    "a clause and a state of one name": (
        HEAD + entry("x", "[x.clauses]\nseen = 'c'\n[x.states.seen]\ntext = 't'"),
        "[x]",
        ["seen", "clause", "state"],
    ),
    "an unknown related invariant": (
        HEAD + entry("x", "related = ['kv.y']"),
        "[x]",
        ["'kv.y'", "did you mean 'kv.x'"],
    ),
    "an unknown key behind a text that looks like tables": (
        HEAD + entry("x", "debug = '''\n[y]\n[[x.source]]\nwrong = 1\n'''\nwrng = 1"),
        "wrng",
        ["'wrng'"],
    ),
    "two entries of one name": (HEAD + entry("x") + entry("x"), None, ["TOML", "x"]),
    "two keys of one name": (HEAD + entry("x", "title = 'u'"), None, ["TOML"]),
    "no value": (HEAD + "x = \n", None, ["TOML"]),
    "no TOML": ("{}", None, ["TOML"]),
    "no end of a string": (HEAD + "[x]\ntitle = '''\nt\n", None, ["TOML"]),
    "no UTF-8": (b"schema = 1\n# \xff\n", None, ["UTF-8"]),
    "a zero byte": (b"schema = 1\n\0\n", None, ["TOML"]),
}


@pytest.mark.parametrize(("text", "part", "words"), WRONG.values(), ids=WRONG.keys())
def test_each_mistake_is_one_finding_that_says_what_and_where(tmp_path, text, part, words):
    finding = only(tmp_path, text)
    assert (finding.code, finding.file) == ("AL105", "catalog/kv.toml")
    for word in words:
        assert word in str(finding)
    assert finding.remedy
    if (part is not None and part != "[x]") or (part == "[x]" and text.startswith("schema")):
        assert (finding.line, finding.column) == line_of(text, part)


TEXTS = {name: text for name, (text, *_) in WRONG.items() if isinstance(text, str)}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_crlf_changes_nothing_about_a_finding(tmp_path, text):
    plain = loaded(tmp_path / "one", text).findings
    windows = loaded(tmp_path / "two", text.replace("\n", "\r\n").encode()).findings
    assert windows == plain


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_finding_speaks_of_what_the_tool_is_made_of(tmp_path, text):
    said = " ".join(map(str, loaded(tmp_path, text).findings))
    for word in ("pydantic", "valid tuple", "instance of", "[key]", "Traceback"):
        assert word not in said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("schema = 1\n[x]\ntitle = = 1\nkind = 2\n", 3),
        ("schema = 1\n[x]\n[x]\n", 3),
        ("schema = 1\n[x\n", 2),
        ("schema = 1\n[x]\ntitle = '''\nt\n", 4),
        ('schema = 1\n[x]\ntitle = "t', 3),
        ("schema = 1\n[x]\ntitle = [1,\n", 3),
    ],
)
def test_broken_syntax_is_told_with_its_line(tmp_path, text, line):
    assert only(tmp_path, text).line in (line, line + 1)


def test_a_file_that_is_not_utf_8_is_told_as_a_whole(tmp_path):
    finding = only(tmp_path, "schema = 1\n# é".encode("utf-16"))
    assert str(finding).startswith("catalog/kv.toml: AL105 ")


def test_a_file_too_large_to_be_a_catalog_is_told(tmp_path):
    root = write(tmp_path / "catalog", kv=HEAD + "# " + 10_000_000 * "x")
    (finding,) = load([root], tmp_path).findings
    assert (finding.file, finding.code) == ("catalog/kv.toml", "AL105")
    assert "larger than" in finding.message


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.name)])
def test_what_is_no_file_is_told_and_not_waited_for(tmp_path, make):
    root = write(tmp_path / "catalog", kv=HEAD)
    make(root / "wal.toml")
    (finding,) = load([root], tmp_path).findings
    assert (finding.file, finding.code) == ("catalog/wal.toml", "AL105")
    assert "is not a regular file" in finding.message


def test_a_wrong_name_of_an_area_is_told(tmp_path):
    catalog = loaded(tmp_path, HEAD + entry("x"), area="Key_Value")
    (finding,) = catalog.findings
    assert (finding.file, finding.line) == ("catalog/Key_Value.toml", 1)
    assert "'Key_Value'" in finding.message
    assert catalog.entries == {}


def test_a_directory_with_the_name_of_a_file_is_told(tmp_path):
    (tmp_path / "catalog" / "kv.toml").mkdir(parents=True)
    (finding,) = load([tmp_path / "catalog"], tmp_path).findings
    assert str(finding).startswith("catalog/kv.toml: AL105 is not a regular file")


def test_a_missing_directory_is_told(tmp_path):
    (finding,) = load([tmp_path / "catalog"], tmp_path).findings
    assert str(finding).startswith("catalog: AL105 ")
    assert "assertlib init" in finding.remedy


def test_a_file_for_a_directory_is_told(tmp_path):
    (tmp_path / "catalog").write_text("")
    (finding,) = load([tmp_path / "catalog"], tmp_path).findings
    assert str(finding).startswith("catalog: AL105 ")


def test_an_empty_directory_is_told(tmp_path):
    (finding,) = load([write(tmp_path / "catalog")], tmp_path).findings
    assert str(finding).startswith("catalog: AL105 ")


def test_one_wrong_entry_does_not_hide_the_others(tmp_path):
    catalog = loaded(tmp_path, HEAD + entry("a", "titel = 1") + entry("b"))
    assert list(catalog.entries) == ["kv.b"]


def test_one_wrong_file_does_not_hide_the_others(tmp_path):
    root = write(tmp_path / "catalog", kv="nonsense", wal=HEAD + entry("b"))
    assert list(load([root], tmp_path).entries) == ["wal.b"]


def test_two_mistakes_in_an_entry_are_two_findings(tmp_path):
    text = HEAD + entry("x", "titel = 1\nrevision = 'two'")
    findings = loaded(tmp_path, text).findings
    assert sorted(finding.line for finding in findings) == [8, 9]


def test_one_id_in_two_roots_is_told_at_the_second(tmp_path):
    one = write(tmp_path / "one", kv=HEAD + entry("a"))
    two = write(tmp_path / "two", kv=HEAD + "\n" + entry("b") + entry("a"))
    (finding,) = load([one, two], tmp_path).findings
    assert (finding.code, finding.file, finding.line) == ("AL102", "two/kv.toml", 10)
    assert "'kv.a'" in finding.message
    assert "one/kv.toml:2" in finding.message


def test_a_replacement_may_stand_in_another_root(tmp_path):
    one = write(
        tmp_path / "one", kv=HEAD + entry("old", "replaced_by = 'wal.new'", status="retired")
    )
    two = write(tmp_path / "two", wal=HEAD + entry("new"))
    assert load([one, two], tmp_path).findings == []


def test_replacements_in_a_circle_are_told_for_each_member(tmp_path):
    text = HEAD + "".join(
        entry(name, f"replaced_by = 'kv.{to}'", status="retired")
        for name, to in (("a", "b"), ("b", "c"), ("c", "a"))
    )
    findings = loaded(tmp_path, text).findings
    assert [finding.line for finding in findings] == [2, 9, 16] or len(findings) == 1
    assert all("leads back" in finding.message for finding in findings)


def test_a_replacement_that_is_unknown_is_told_only_where_it_is_named(tmp_path):
    text = (
        HEAD
        + entry("a", "replaced_by = 'kv.b'", status="retired")
        + entry("b", "replaced_by = 'kv.gone'", status="retired")
    )
    assert [finding.line for finding in loaded(tmp_path, text).findings] == [9]


def test_a_replacement_that_is_written_wrong_is_not_also_called_missing(tmp_path):
    text = (
        HEAD + entry("a", "replaced_by = 'kv.b'", status="retired") + entry("b", "titel = 'wrong'")
    )
    (finding,) = loaded(tmp_path, text).findings
    assert "'titel'" in finding.message


# -- places ------------------------------------------------------------------

PLACES = {
    "after a multi-line literal string": """
        schema = 1
        [x]
        title = 't'
        kind = 'safety'
        status = 'draft'
        statement = '''
        [y]
        wrong = 1
        kind = "nonsense" # '
        '''
        why = 'w'
        wrong = 2
    """,
    "after a multi-line basic string": '''
        schema = 1
        [x]
        title = 't'
        kind = 'safety'
        status = 'draft'
        statement = """
        [x.source]
        wrong = 1 \\
        \\"\\"\\" [[x.source]]
        """
        why = 'w'
        wrong = 2
    ''',
    "after an escaped triple quote": '''
        schema = 1
        [x]
        title = 't'
        kind = 'safety'
        status = 'draft'
        statement = """ a docstring begins with \\"""
        wrong = 1
        and ends """
        why = 'w'
        wrong = 2
    ''',
    "after a string that ends in quotes": '''
        schema = 1
        [x]
        title = """t""""
        kind = 'safety'
        status = 'draft'
        statement = """s"""""
        why = 'w'
        wrong = 2
    ''',
    "after quotes in comments": """
        schema = 1 # it's '''
        [x] # \"""
        # '''
        title = 't' # \"""
        kind = 'safety' # '
        status = 'draft'
        statement = 's'
        why = 'w'
        wrong = 2 # '''
    """,
    "after quotes in strings": """
        schema = 1
        [x]
        title = "'''" # '''
        kind = 'safety'
        status = 'draft'
        statement = '\"""'
        why = "\\\\"
        wrong = 2
    """,
    "after a list over several lines": """
        schema = 1
        [x]
        title = 't'
        kind = 'safety'
        status = 'draft'
        statement = 's'
        why = 'w'
        owners = [
          # wrong = 1
          "wrong = 1", 'wrong',
          '''
        wrong = 1
        ''',
        ]
        wrong = 2
    """,
    "with blanks before it": """
        schema = 1
        [ x ]
          title = 't'
          kind = 'safety'
          status = 'draft'
          statement = 's'
          why = 'w'
          wrong   =   2
    """,
    "with quotes around it": """
        schema = 1
        ['x']
        "title" = 't'
        'kind' = 'safety'
        status = 'draft'
        statement = 's'
        why = 'w'
        "wrong" = 2
    """,
    "with an escape in it": """
        schema = 1
        [x]
        title = 't'
        kind = 'safety'
        status = 'draft'
        statement = 's'
        why = 'w'
        "w\\u0072ong" = 2
    """,
    "as dotted keys": """
        schema = 1
        x.title = 't'
        x.kind = 'safety'
        x . status = 'draft'
        x."statement" = 's'
        x.why = 'w'
        x.wrong = 2
    """,
}


@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES.keys())
def test_an_unknown_key_is_found_on_its_line(tmp_path, text):
    text = dedent(text).lstrip("\n")
    finding = only(tmp_path, text)
    assert "'wrong'" in finding.message
    place = max(
        number
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip().startswith(("wrong", '"wrong', '"w\\u', "x.wrong"))
    )
    assert finding.line == place
    assert finding.column == len(text.split("\n")[place - 1].split("w")[0].rstrip('x."')) + 1


def test_the_second_source_is_told_on_its_line(tmp_path):
    text = HEAD + entry("x", "[[x.source]]\nref = 'r'\n[[x.source]]\nnote = 'n'\nrfe = 'r'\n")
    missing, unknown = sorted(loaded(tmp_path, text).findings)
    assert (missing.line, unknown.line) == (10, 12)


def test_the_second_incident_of_the_second_entry_is_told_on_its_line(tmp_path):
    incident = "[[{0}.incident]]\nref = 'r'\ntitle = 't'\nstatus = '{1}'\n"
    text = HEAD + "".join(
        entry(name, incident.format(name, "refuted") + incident.format(name, status))
        for name, status in (("a", "refuted"), ("b", "wrong"))
    )
    assert (only(tmp_path, text).line, only(tmp_path, text).column) == line_of(
        text, "status = 'wrong'"
    )


def test_a_key_in_an_inline_table_has_the_place_of_its_owner(tmp_path):
    text = HEAD + entry("x", "source = [{ ref = 'r' }, { rfe = 'r', ref = 'r' }]")
    finding = only(tmp_path, text)
    assert "'rfe'" in finding.message
    assert (finding.line, finding.column) == line_of(text, "source = ")


def test_an_inline_entry_is_told_on_its_line(tmp_path):
    text = HEAD + "x = { title = 't', kind = 'safety', status = 'draft', statement = 's' }\n"
    finding = only(tmp_path, text)
    assert "'why'" in finding.message
    assert (finding.line, finding.column) == (2, 1)


def test_an_entry_made_by_a_sub_table_alone_has_its_place(tmp_path):
    text = HEAD + "\n[x.clauses]\na = 'c'\n[y]\n" + DRAFT
    findings = loaded(tmp_path, text).findings
    assert len(findings) == 5
    assert {finding.line for finding in findings} <= {1, 3}


KEYS = ["title", "kind", "status", "statement", "why", "expects", "source", "clauses", "x", "titel"]
VALUES = ["1", "'safety'", "'draft'", "[]", "['always']", "{}", "true", "1979-05-27", "nan",
          "[{ref = 'r'}]", "'''\n[x]\n'''", "''", "[[1]]", "{ a = { b = 1 } }"]  # fmt: skip
LINES = st.one_of(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)).map(" = ".join),
    st.sampled_from(["[x]", "[y]", "[x.clauses]", "[[x.source]]", "[[x.incident]]", "[X]", "# c"]),
    st.just("schema = 1"),
)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_no_file_ends_in_a_traceback(tmp_path_factory, text):
    base = tmp_path_factory.mktemp("any")
    for finding in loaded(base, text).findings:
        assert finding.code == "AL105"
        assert 0 <= finding.line <= text.count("\n") + 1
        assert finding.message
        assert finding.remedy


@given(st.binary(max_size=60))
def test_no_bytes_end_in_a_traceback(tmp_path_factory, data):
    for finding in loaded(tmp_path_factory.mktemp("any"), data).findings:
        assert finding.code == "AL105"
