"""Places of keys in TOML text, told without a parser of TOML."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.positions import nearest, positions


def test_tables_and_keys_have_their_places():
    text = "a = 1\n[b]\n  c.d = 2\n[[e.f]]\ng = 3\n[[e.f]]\ng = 4\n[e.f.h]\ni = 5\n"
    assert (
        positions(text).items()
        >= {
            ("a",): (1, 1),
            ("b",): (2, 1),
            ("b", "c", "d"): (3, 3),
            ("e", "f", 0): (4, 1),
            ("e", "f", 0, "g"): (5, 1),
            ("e", "f", 1): (6, 1),
            ("e", "f", 1, "g"): (7, 1),
            ("e", "f", 1, "h"): (8, 1),
            ("e", "f", 1, "h", "i"): (9, 1),
        }.items()
    )


def test_an_array_inside_of_an_array_begins_anew_with_each_owner():
    text = "[[a]]\n[[a.b]]\n[[a.b]]\n[[a]]\n[[a.b]]\nc = 1\n"
    assert positions(text)["a", 1, "b", 0, "c"] == (6, 1)


@pytest.mark.parametrize("quotes", ["'''", '"""'])
@pytest.mark.parametrize("inner", ["[x]", "[[x]]", "key = 1", "# '", "''", '""', '\\"', "\\\\", ""])
def test_nothing_inside_a_multi_line_string_is_a_key(quotes, inner):
    if quotes == '"""':
        text = f'a = """\n{inner}\n"""\nb = 1\n'
    else:
        text = f"a = '''\n{inner}\n'''\nb = 1\n"
    assert positions(text) == {("a",): (1, 1), ("b",): (4, 1)}


def test_the_quotation_marks_of_the_specification_are_one_string():
    # The example of TOML 1.0 for quotation marks in a multi-line string.
    text = 'a = """Here are fifteen: ""\\"""\\"""\\"""\\"""\\"."""\nb = 1\n'
    assert positions(text) == {("a",): (1, 1), ("b",): (2, 1)}


@pytest.mark.parametrize(
    "value", ['""""""', "''''''", '"""x"""""', "'''x'''''", '""', "''", '"\\\\"']
)
def test_a_string_ends_where_it_ends(value):
    text = f"a = {value} # '''\nb = 1\n"
    tomllib.loads(text)
    assert positions(text) == {("a",): (1, 1), ("b",): (2, 1)}


def test_a_list_of_lists_is_no_table():
    assert positions('[t]\na = [\n  ["x"],\n  [[1]],\n]\nb = 1\n') == {
        ("t",): (1, 1),
        ("t", "a"): (2, 1),
        ("t", "b"): (6, 1),
    }


def test_a_quoted_key_may_hold_what_keys_are_made_of():
    text = "[\"a.b\"]\n'c = d' = 1\n\"e]\" = 2\n'[f]' = 3\n"
    assert positions(text) == {
        ("a.b",): (1, 1),
        ("a.b", "c = d"): (2, 1),
        ("a.b", "e]"): (3, 1),
        ("a.b", "[f]"): (4, 1),
    }


def test_a_quoted_key_is_read_as_toml_reads_it():
    text = '\'"a"\' = 1\n"b\\u0063" = 2\n"d\\"" = 3\n'
    assert [(key,) for key in tomllib.loads(text)] == list(positions(text))


def test_the_nearest_place_is_that_of_the_innermost_owner():
    places = positions("a = 1\n[b]\nc = 2\n")
    assert nearest(places, ("b", "c", "d", 0)) == (3, 1)
    assert nearest(places, ("b", "d")) == (2, 1)
    assert nearest(places, ("x",)) == (1, 1)
    assert nearest(places, ()) == (1, 1)


# -- properties --------------------------------------------------------------

bare = st.text("abcXYZ019_-", min_size=1, max_size=6)
tricky = st.text("ab =[].#'\"\\é", max_size=6)


def in_quotes(key: str) -> str:
    return f"'{key}'" if "'" not in key else json.dumps(key, ensure_ascii=False)


LITERAL_LINES = ["[x]", "[[x]]", "key = 1", '"""', "#", "", "''", "a.b = 'c'", "\\", "'", "]", "}"]
BASIC_LINES = ["[x]", "[[x]]", "key = 1", "'''", "#", "", '""', '\\"""', "\\\\", "\\u0041", "]"]
COMMENTS = st.sampled_from(["", " # it's", ' # """', " # '''", " # [x]", "  "])


def lines_between(start: str, lines: list[str], end: str) -> str:
    return start + "\n" + "\n".join(lines) + "\n" + end


scalars = st.one_of(
    st.sampled_from(["1", "-2.5e3", "true", "1979-05-27T07:32:00Z", "inf", "0xff"]),
    tricky.map(lambda text: json.dumps(text, ensure_ascii=False)),
    tricky.filter(lambda text: "'" not in text).map("'{}'".format),
)
strings = st.one_of(
    st.lists(st.sampled_from(LITERAL_LINES), max_size=4).map(
        lambda lines: lines_between("'''", lines, "'''")
    ),
    st.lists(st.sampled_from(BASIC_LINES), max_size=4).map(
        lambda lines: lines_between('"""', lines, '"""')
    ),
)


def array(items: list[str]) -> str:
    return "[ # it's\n" + "".join(f"  {item}, # '''\n" for item in items) + "]"


def inline(items: list[str]) -> str:
    return "{ " + ", ".join(f"k{n} = {item}" for n, item in enumerate(items)) + " }"


flat = st.one_of(scalars, strings, st.lists(scalars, max_size=3).map(inline))
values = st.one_of(flat, st.lists(st.one_of(scalars, strings), max_size=3).map(array))
nested = st.recursive(
    flat, lambda inner: st.lists(inner, max_size=3).map(array), max_leaves=5
)  # fmt: skip


@st.composite
def documents(draw, keys, contents):
    """A TOML text, and where each of its keys stands."""
    lines: list[str] = []
    places: dict[tuple[str | int, ...], tuple[int, int]] = {}

    def put(path: tuple[str | int, ...], column: int, text: str) -> None:
        places[path] = (len(lines) + 1, column)
        lines.extend(text.split("\n"))

    def body(owner: tuple[str | int, ...]) -> None:
        names = draw(st.lists(keys, max_size=4, unique=True))
        for name in names:
            blank = draw(st.sampled_from(["", "  ", "\t"]))
            dotted = draw(st.booleans())
            path = (*owner, name, "sub") if dotted else (*owner, name)
            key = in_quotes(name) + (" . sub" if dotted else "")
            value = draw(contents)
            put(path, len(blank) + 1, f"{blank}{key} = {value}{draw(COMMENTS)}")
            lines.extend(draw(st.sampled_from([[], [""], ["# key = 1"], ["# it's '''"]])))

    body(())
    tables = draw(st.lists(keys.map("table {}".format), max_size=3, unique=True))
    for name in tables:
        for number in range(draw(st.integers(0, 2))):
            put((name, number), 1, f"[[{in_quotes(name)}]]{draw(COMMENTS)}")
            body((name, number))
        if (name, 0) not in places:
            put((name,), 1, f"[ {in_quotes(name)} ]{draw(COMMENTS)}")
            body((name,))
    return "\n".join(lines), places


def agree(document) -> None:
    text, places = document
    tomllib.loads(text)
    assert positions(text).items() >= places.items()


@given(documents(bare, values))
def test_each_key_of_a_document_has_its_line_and_column(document):
    agree(document)


@given(documents(tricky, scalars))
def test_each_quoted_key_has_its_line_and_column(document):
    agree(document)


@given(documents(bare, nested))
def test_each_key_among_nested_lists_has_its_line_and_column(document):
    agree(document)


@given(documents(bare, scalars))
def test_crlf_changes_nothing_about_places(document):
    text, places = document
    assert positions(text.replace("\n", "\r\n")).items() >= places.items()


@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(["[", "]", "=", ".", "'", '"', "'''", '"""', "\\", "#", "\n", "a", " "])
        ).map("".join),
    )
)
def test_no_text_ends_in_a_traceback(text):
    last = text.count("\n") + 1
    for line, column in positions(text).values():
        assert 1 <= line <= last
        assert column >= 1
