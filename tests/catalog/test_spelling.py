"""Messages that look alike: the same, or a finding."""

from __future__ import annotations

from unicodedata import is_normalized, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assertlib.catalog.check import Checked, check
from assertlib.catalog.config import find_config
from assertlib.catalog.findings import Severity
from assertlib.catalog.loader import load
from assertlib.catalog.rules import RULES
from assertlib.catalog.scan import scan_sources

from .writing import GOOD, HEAD, write

COMPOSED, DECOMPOSED = "caf\u00e9 is open", "cafe\u0301 is open"
INVARIANT = "kv.durable-ack"
PYTHON = "from assertlib import always\nalways(a, '{0}', invariant='kv.durable-ack')\n"
SOURCES = {
    "log.py": PYTHON,
    "log.go": 'package store\nimport "github.com/antithesishq/antithesis-sdk-go/assert"\n'
    'func f(a bool) {{ assert.Always(a, "{0}", nil) }}\n',
    "log.rs": 'use antithesis_sdk::prelude::*;\nfn f(a: bool) {{ assert_always!(a, "{0}"); }}\n',
}
ASSIGNED = "[[assertion]]\nmessage = \"{0}\"\ninvariant = 'kv.durable-ack'\n"
RENAMED = 'schema = 1\n[messages]\n"{0}" = "{1}"\n'

# Letters with accents in both forms, a compatible space, ligature and digit, Hangul and Greek.
LETTERS = st.sampled_from(
    "aeo \u00e9\u0301\u0308\u0323\u00c5\u212b\u00a0\ufb01\u00b2\uac00\u1100\u1161\u03a9\u2126"
)
MESSAGES = st.one_of(
    st.text(LETTERS, min_size=1, max_size=8),
    st.text(
        st.characters(exclude_categories=("C", "Z"), exclude_characters="\"'\\`{}"), min_size=1
    ),
)
FORMS = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])


def checked(base, sources, assigned="", renames=None):
    root = write(base / "catalog", kv=HEAD + assigned + GOOD)
    (root / "renames.toml").unlink(missing_ok=True)
    if renames is not None:
        (root / "renames.toml").write_text(renames, encoding="utf-8")
    catalog = load([root], base)
    scan = scan_sources(sources)
    scan.sites = [catalog.assign(site) for site in scan.sites]
    return Checked("store", catalog, scan)


def spelling(found):
    return [each for each in found.findings if each.code in ("AL121", "AL122")]


@given(
    message=MESSAGES,
    form=FORMS,
    one=st.sampled_from(list(SOURCES)),
    other=st.sampled_from(list(SOURCES)),
)
@example(COMPOSED, "NFD", "log.py", "log.go")
@example("log\u00a0is sorted", "NFKC", "log.rs", "log.py")
def test_two_assertions_of_one_look_are_one_or_a_finding(
    tmp_path_factory, message, form, one, other
):
    variant = normalize(form, message)
    sources = {one: SOURCES[one].format(message), f"more_{other}": SOURCES[other].format(variant)}
    found = checked(tmp_path_factory.mktemp("any"), sources)
    if message == variant:
        assert "AL103" in {each.code for each in found.findings}
    else:
        assert spelling(found)


@given(message=MESSAGES, form=FORMS, name=st.sampled_from(["log.go", "log.rs"]))
@example(COMPOSED, "NFD", "log.go")
@example(DECOMPOSED, "NFC", "log.rs")
@example("log\u00a0is sorted", "NFKC", "log.go")
def test_an_assigned_message_matches_its_assertion_or_is_a_finding(
    tmp_path_factory, message, form, name
):
    variant = normalize(form, message)
    sources = {name: SOURCES[name].format(message)}
    found = checked(tmp_path_factory.mktemp("any"), sources, ASSIGNED.format(variant))
    (site,) = found.scan.sites
    assert site.invariant == INVARIANT or spelling(found)
    assert (site.invariant == INVARIANT) == (message == variant)


@given(message=MESSAGES, form=FORMS)
@example(COMPOSED, "NFD")
def test_a_rename_leads_to_its_assertion_or_is_a_finding(tmp_path_factory, message, form):
    variant = normalize(form, message)
    renames = RENAMED.format("old", variant)
    found = checked(
        tmp_path_factory.mktemp("any"), {"log.py": PYTHON.format(message)}, renames=renames
    )
    assert found.catalog.renames.now("old") == message or spelling(found)


@given(message=MESSAGES)
def test_a_finding_gives_the_form_that_is_in_order(tmp_path_factory, message):
    base = tmp_path_factory.mktemp("any")
    found = spelling(checked(base, {"log.py": PYTHON.format(message)}))
    assert [each.code for each in found] == ([] if is_normalized("NFC", message) else ["AL121"])
    for each in found:
        assert repr(normalize("NFC", message)) in each.remedy
        assert ascii(message) in each.message
    mended = normalize("NFC", message)
    assert spelling(checked(base, {"log.py": PYTHON.format(mended)})) == []


@pytest.mark.parametrize("name", SOURCES)
def test_a_decomposed_message_is_an_error_at_its_place(tmp_path, name):
    (finding,) = spelling(checked(tmp_path, {name: SOURCES[name].format(DECOMPOSED)}))
    text = SOURCES[name].format(DECOMPOSED)
    line = next(number for number, each in enumerate(text.split("\n"), 1) if DECOMPOSED in each)
    assert (finding.code, finding.file, finding.line) == ("AL121", name, line)
    assert RULES[finding.code].severity is Severity.ERROR
    assert COMPOSED in finding.remedy


def test_a_decomposed_message_in_the_catalog_is_an_error_at_its_table(tmp_path):
    (finding,) = spelling(checked(tmp_path, {}, ASSIGNED.format(DECOMPOSED)))
    assert (finding.code, finding.file, finding.line) == ("AL121", "catalog/kv.toml", 2)


@pytest.mark.parametrize(("old", "new"), [(DECOMPOSED, "b"), ("a", DECOMPOSED)])
def test_a_decomposed_message_in_the_renames_is_an_error_at_its_line(tmp_path, old, new):
    (finding,) = spelling(checked(tmp_path, {}, renames=RENAMED.format(old, new)))
    place = (finding.file, finding.line, finding.column)
    assert (finding.code, *place) == ("AL121", "catalog/renames.toml", 3, 1)


def test_evidence_may_follow_a_message_to_its_composed_form(tmp_path):
    renames = RENAMED.format("first", DECOMPOSED) + f'"{DECOMPOSED}" = "{COMPOSED}"\n'
    found = checked(tmp_path, {"log.py": PYTHON.format(COMPOSED)}, renames=renames)
    assert found.findings == []
    assert found.catalog.renames.now("first") == COMPOSED


def test_an_escape_in_the_source_is_no_way_around(tmp_path):
    assert spelling(checked(tmp_path, {"log.py": PYTHON.format("cafe\\u0301")}))


def test_buckets_of_one_look_are_a_finding(tmp_path):
    code = (
        "from assertlib import sometimes_each\n"
        "sometimes_each(a, 'm', expected=('\u00e9', 'e\u0301'), invariant='kv.durable-ack')\n"
    )
    assert [each.code for each in spelling(checked(tmp_path, {"log.py": code}))] == ["AL121"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_area_beyond_ascii_is_a_finding_however_the_file_system_writes_it(tmp_path, form):
    root = write(tmp_path / "catalog", **{normalize(form, "caf\u00e9"): HEAD + GOOD})
    (tmp_path / "pyproject.toml").write_text(
        "[tool.assertlib.targets.store]\nsource = ['log.py']\n"
    )
    code = PYTHON.format("m").replace("kv.durable-ack", "caf\u00e9.durable-ack")
    (tmp_path / "log.py").write_text(code, encoding="utf-8")
    config = find_config(root)
    codes = [each.code for each in check(config, *config.target()).findings]
    assert codes == ["AL105", "AL101"]
