"""
Pages of invariants: complete, deterministic, and free of what changes by itself.
"""

import re

import pytest
from markdown_it import MarkdownIt

from assertlib.catalog.check import Checked
from assertlib.catalog.history import Change
from assertlib.catalog.loader import Catalog, Entry
from assertlib.catalog.model import Incident, Invariant, Source
from assertlib.catalog.scan import scan_sources
from assertlib.docgen.pages import INDEX, Live, differing_pages, render_pages, write_pages

STORE = """
from assertlib import always, sometimes


def put(n):
    always(n > 0, "n is positive", invariant="kv.positive")
    always(n < 9, "a | b | c", invariant="kv.positive#small")


class Log:
    def sync(self):
        sometimes(True, "synced", invariant="wal.synced")
"""


def invariant(**changed):
    told = {
        "title": "A title",
        "kind": "safety",
        "status": "active",
        "statement": "What must hold.",
        "why": "Why it matters.",
        "expects": ["always"],
        **changed,
    }
    return Invariant(**told)


def checked(entries, *, store=STORE, line=3):
    catalog = Catalog(
        {id: Entry(id, known, "catalog/kv.toml", line) for id, known in entries.items()}
    )
    return Checked("store", catalog, scan_sources({"store.py": store}))


@pytest.fixture
def entries():
    return {
        "kv.positive": invariant(
            clauses={"small": "Small | or not."},
            debug="Look at n.",
            requires=["watch"],
            assumes=["fsync-honest"],
            owners=["storage"],
            source=[Source(ref="paper | one", note="section 3")],
            incident=[
                Incident(
                    ref="etcd#1",
                    title="Lost | twice",
                    date="2024-05",
                    status="confirmed",
                    reproduce=["d1"],
                )
            ],
            open_questions=["Who knows?"],
        ),
        "kv.naked": invariant(title="Nobody | names it"),
        "kv.old": invariant(status="retired", expects=[], replaced_by="kv.positive"),
        "wal.synced": invariant(status="draft"),
    }


@pytest.fixture
def pages(entries):
    return render_pages(checked(entries))


def test_every_invariant_has_a_page_whatever_its_status(pages, entries):
    assert pages.keys() == {f"{id}.md" for id in entries} | {INDEX}


def test_the_index_links_every_page(pages):
    assert links(pages[INDEX]) == set(pages) - {INDEX}


def links(page):
    return set(re.findall(r"\]\(([^)]+)\)", page))


def test_every_link_leads_to_a_page_that_exists(pages):
    for page in pages.values():
        assert links(page) <= set(pages)


def test_a_retired_invariant_links_its_successor(pages):
    assert links(pages["kv.old.md"]) == {"kv.positive.md"}


def test_a_page_tells_what_the_catalog_and_the_scan_know(pages):
    for words in (
        "# kv.positive",
        "A title",
        "What must hold.",
        "Why it matters.",
        "Look at n.",
        "small",
        "n is positive",
        "store.py",
        "put",
        "watch",
        "fsync-honest",
        "storage",
        "section 3",
        "etcd#1",
        "confirmed",
        "d1",
        "Who knows?",
    ):
        assert words in pages["kv.positive.md"]


def test_an_assertion_in_a_method_is_told_with_its_class(pages):
    assert "Log.sync" in pages["wal.synced.md"]


def test_an_invariant_that_no_assertion_names_says_so(pages):
    assert "No assertion cites it." in pages["kv.naked.md"]


def test_a_draft_says_that_it_is_one(pages):
    assert "This is a draft" in pages["wal.synced.md"]


def test_a_page_counts_the_kinds_that_are_expected(pages):
    assert "Expected kinds: always (2 found)." in pages["kv.positive.md"]
    assert "Expected kinds: always (none found)." in pages["kv.naked.md"]


def test_a_state_tells_which_assertions_look_for_it():
    states = {
        "synced": {"text": "A log is synced.", "hid": ["etcd#7"]},
        "torn": {"text": "A record is torn."},
    }
    store = STORE.replace("wal.synced", "wal.log#synced")
    known = {"wal.log": invariant(states=states, expects=["sometimes"])}
    pages = render_pages(checked(known, store=store))
    (_, looked) = tables(pages["wal.log.md"])
    assert looked[1:] == [
        ["synced", "A log is synced.", "etcd#7", "synced"],
        ["torn", "A record is torn.", "", "no assertion"],
    ]
    assert "No assertion looks for the state torn of [wal.log]" in pages[INDEX]
    assert "state synced of" not in pages[INDEX]


def test_invariants_that_name_each_other_are_linked_both_ways():
    known = {
        "kv.durable": invariant(why="It stands on wal.fsync."),
        "wal.fsync": invariant(related=["wal.crc"]),
        "wal.crc": invariant(),
    }
    pages = render_pages(checked(known))
    assert links(pages["wal.fsync.md"]) == {"kv.durable.md", "wal.crc.md"}
    assert links(pages["kv.durable.md"]) == {"wal.fsync.md"}


def test_the_index_begins_with_what_is_missing_and_ends_with_incidents(pages):
    index = pages[INDEX]
    assert "- [kv.naked](kv.naked.md): no assertion cites it" in index
    assert "Drafts, not enforced by any code: [wal.synced](wal.synced.md)" in index
    assert index.index("What is missing") < index.index("Area kv") < index.index("Incidents")
    assert tables(index)[-1][1] == ["etcd#1", "confirmed", "kv.positive", "d1"]


def test_only_a_live_page_has_lines_history_and_reproductions(entries, pages):
    live = Live({"kv.positive": [Change("2026-01-02", "abc123", "written down")]}, {"d1": "def456"})
    page = render_pages(checked(entries), live=live)["kv.positive.md"]
    for words in ("store.py:6", "abc123", "2026-01-02", "d1 (last at def456)"):
        assert words in page
        assert words not in pages["kv.positive.md"]


def test_a_page_lists_only_its_own_assertions(pages):
    assert "synced" not in pages["kv.positive.md"]


def test_the_order_of_catalog_and_source_changes_nothing(pages, entries):
    backwards = dict(reversed(entries.items()))
    assert render_pages(checked(backwards)) == pages


def test_moving_code_and_catalog_entries_changes_nothing(pages, entries):
    assert render_pages(checked(entries, store="\n\n\n" + STORE, line=99)) == pages


def test_no_page_holds_a_line_number_or_a_date(pages):
    for page in pages.values():
        assert not re.search(r"\.py:\d", page)
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", page)


def test_pages_end_in_a_newline_and_hold_no_trailing_spaces(pages):
    for page in pages.values():
        assert page.endswith("\n")
        assert not re.search(r"[ \t]\n", page)


# -- tables ----------------------------------------------------------------------------


def tables(page):
    """The tables of a page: rows of cells, as a reader sees them."""
    found, row = [], []
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    words = ("text", "text_special", "softbreak", "code_inline")
    for number, token in enumerate(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            row = []
            found[-1].append(row)
        elif token.type in ("td_open", "th_open"):
            told = tokens[number + 1].children
            row.append("".join(each.content for each in told if each.type in words))
    return found


def test_pipes_do_not_break_tables(pages):
    page = pages["kv.positive.md"]
    clauses, assertions, incidents = tables(page)
    assert clauses == [["clause", "promise"], ["small", "Small | or not."]]
    assert [row[1] for row in assertions] == ["assertion", "a | b | c", "n is positive"]
    assert incidents[1] == ["etcd#1", "2024-05", "confirmed", "Lost | twice", "", "d1"]


def test_pipes_do_not_break_the_index(pages):
    kv, *_ = tables(pages[INDEX])
    assert [row[1] for row in kv] == ["what must hold", "Nobody | names it", "A title", "A title"]


@pytest.mark.parametrize(
    "message", ["a*b*c", "a <script> tag", "a \\| b", "`a`", "[a](b)", "__a__", "a &lt; b"]
)
def test_an_assertion_is_shown_by_its_name_as_it_is_written(message):
    store = f"from assertlib import reachable\nreachable({message!r}, invariant='kv.a')\n"
    (assertions,) = tables(render_pages(checked({"kv.a": invariant()}, store=store))["kv.a.md"])
    assert assertions[1][1] == message


@pytest.mark.parametrize(
    ("qualname", "store"),
    [
        ("<module>", "reachable('a', invariant='kv.a')"),
        ("Log.__init__", "class Log:\n def __init__(self): reachable('a', invariant='kv.a')"),
    ],
    ids=["a module", "a dunder method"],
)
def test_a_place_is_shown_as_it_is_called(qualname, store):
    store = f"from assertlib import reachable\n{store}\n"
    (assertions,) = tables(render_pages(checked({"kv.a": invariant()}, store=store))["kv.a.md"])
    assert assertions[1][4] == qualname


def test_a_page_of_prose_with_line_breaks_keeps_its_tables(entries):
    entries["kv.positive"] = invariant(clauses={"small": "One\nline\n\nor two."})
    (clauses, _) = tables(render_pages(checked(entries))["kv.positive.md"])
    assert clauses[1] == ["small", "One line or two."]


# -- on disk --------------------------------------------------------------------------------


def test_written_pages_do_not_differ(pages, tmp_path):
    assert write_pages(pages, tmp_path / "docs") == sorted(pages)
    assert differing_pages(pages, tmp_path / "docs") == []


def test_writing_again_changes_nothing(pages, tmp_path):
    write_pages(pages, tmp_path)
    assert write_pages(pages, tmp_path) == []


def test_a_stale_page_differs_and_is_written_anew(pages, tmp_path):
    write_pages(pages, tmp_path)
    (tmp_path / "kv.naked.md").write_text("stale")
    assert differing_pages(pages, tmp_path) == ["kv.naked.md"]
    assert write_pages(pages, tmp_path) == ["kv.naked.md"]
    assert differing_pages(pages, tmp_path) == []


def test_a_missing_page_differs(pages, tmp_path):
    write_pages(pages, tmp_path)
    (tmp_path / "kv.naked.md").unlink()
    assert differing_pages(pages, tmp_path) == ["kv.naked.md"]


def test_a_page_of_an_invariant_that_is_gone_differs_and_is_removed(pages, tmp_path):
    write_pages(pages, tmp_path)
    fewer = {name: text for name, text in pages.items() if name != "kv.naked.md"}
    assert differing_pages(fewer, tmp_path) == ["kv.naked.md"]
    write_pages(fewer, tmp_path)
    assert not (tmp_path / "kv.naked.md").exists()


def test_a_directory_that_does_not_exist_lacks_all_pages(pages, tmp_path):
    assert differing_pages(pages, tmp_path / "nowhere") == sorted(pages)


def test_a_catalog_without_invariants_has_an_index():
    assert list(render_pages(checked({}))) == [INDEX]
