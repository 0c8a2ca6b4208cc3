"""The rules: what `explain` says about them is true."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

import assertlib.catalog
from assertlib.catalog.config import Target
from assertlib.catalog.findings import Finding, Severity, did_you_mean
from assertlib.catalog.rules import RULES
from assertlib.catalog.scan import scan_sources, scan_target

from .writing import GOOD, HEAD, entry, joined, loaded

SOURCE = """\
from assertlib import *
from assertlib import Invariant, wrapper
REV = Invariant("kv.revision-monotonic")
class Log:
    def is_sorted(self): ...
    def check(self, ok, a, b, key, name, role, new, old):
"""
IN_CODE = ["AL103", "AL104", "AL106", "AL107", "AL108", "AL111", "AL112", "AL113", "AL114"]


def codes_of(example: str) -> set[str]:
    text = SOURCE + "".join(f"        {line}\n" for line in example.splitlines())
    return {finding.code for finding in scan_sources({"log.py": text}).findings}


@pytest.mark.parametrize("code", IN_CODE)
def test_the_bad_example_is_bad(code):
    assert code in codes_of(RULES[code].bad)


@pytest.mark.parametrize("code", IN_CODE)
def test_the_good_example_is_good(code):
    assert codes_of(RULES[code].good) == set()


def test_the_examples_of_files_that_cannot_be_read_hold():
    def codes(text):
        text = f"import assertlib\n{text} ..."
        return [finding.code for finding in scan_sources({"log.py": text}).findings]

    assert codes(RULES["AL109"].bad) == ["AL109"]
    assert codes(RULES["AL109"].good) == []


def test_the_examples_of_sources_that_do_not_exist_hold(tmp_path):
    (tmp_path / "src").mkdir()

    def codes(example):
        name = re.fullmatch(r'source = \["(\w+)"\]', example)[1]
        return [finding.code for finding in scan_target(tmp_path, Target(source=(name,))).findings]

    assert codes(RULES["AL110"].bad) == ["AL110"]
    assert codes(RULES["AL110"].good) == []


def test_the_examples_of_wrong_catalog_files_hold(tmp_path):
    text = HEAD + GOOD
    kind = RULES["AL105"].good
    assert kind in text
    bad = loaded(tmp_path / "bad", text.replace(kind, RULES["AL105"].bad))
    assert [finding.code for finding in bad.findings] == ["AL105"]
    assert loaded(tmp_path / "good", text).findings == []


WAL = (
    HEAD
    + GOOD.replace("durable-ack", "fsync-before-ack")
    + dedent("""\
    [fsync-before-ack.clauses]
    dir-entry = "d"
""")
)
CITED = (
    "from assertlib import *\nfrom assertlib import Invariant\n"
    "Invariant('wal.fsync-before-ack#dir-entry').always(b, 'cites it')\n"
)


def in_wal(base: Path, example: str) -> set[str]:
    (base / "catalog").mkdir(parents=True)
    code = CITED + example
    from assertlib.catalog.check import Checked

    catalog = loaded(base, WAL, area="wal")
    return {f.code for f in Checked("x", catalog, scan_sources({"log.py": code})).findings}


@pytest.mark.parametrize("code", ["AL101", "AL205"])
def test_the_examples_of_citing_hold(tmp_path, code):
    assert in_wal(tmp_path / "bad", RULES[code].bad) == {code}
    assert in_wal(tmp_path / "good", RULES[code].good) == set()


def test_the_examples_of_citing_a_clause_hold(tmp_path):
    use = "{}.always(ok, 'uses it')"
    assert in_wal(tmp_path / "bad", use.format(RULES["AL115"].bad)) == {"AL115"}
    assert in_wal(tmp_path / "good", use.format(RULES["AL115"].good)) == set()


def test_the_examples_of_retired_invariants_hold(tmp_path):
    catalog = HEAD + entry("old", "replaced_by = 'kv.new'", status="retired") + entry("new")

    def codes(example):
        found = joined(tmp_path, catalog, f"from assertlib import *\n{example}")
        return [finding.code for finding in found]

    assert codes(RULES["AL204"].bad) == ["AL204"]
    assert codes(RULES["AL204"].good) == []


@pytest.mark.parametrize("code", ["AL121", "AL122"])
def test_the_examples_of_spelling_hold(tmp_path, code):
    def codes(example):
        found = joined(tmp_path, HEAD, f"from assertlib import *\n{example}")
        return {finding.code for finding in found} - {"AL205"}

    assert codes(RULES[code].bad) == {code}
    assert codes(RULES[code].good) == set()


def test_each_finding_that_the_code_makes_is_a_rule():
    package = Path(assertlib.catalog.__file__).parent
    used = {
        code
        for path in (*package.rglob("*.py"), *package.with_name("knowledge").rglob("*.py"))
        if path.name != "rules.py"
        for code in re.findall(r"\"(AL\d{3})\"", path.read_text(encoding="utf-8"))
    }
    assert used == set(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_each_rule_says_all_that_explain_prints(rule):
    assert re.fullmatch(r"AL[12346]\d\d", rule.code)
    assert rule.severity in Severity
    for text in (rule.title, rule.text, rule.remedy, rule.bad, rule.good):
        assert text.strip() == text != ""
    assert not rule.title.endswith(".")
    assert rule.text.endswith(".")
    assert not rule.remedy.endswith(".")
    assert rule.bad != rule.good


def test_rules_stand_in_order_of_their_codes():
    assert list(RULES) == sorted(RULES)


def test_a_finding_of_a_place_shows_it():
    finding = Finding("a.py", 3, 5, "AL104", "no literal", "write one")
    assert str(finding) == "a.py:3:5: AL104 no literal; write one"


def test_a_finding_of_a_whole_file_shows_the_file():
    assert str(Finding("a.py", 0, 0, "AL109", "bad", "mend it")) == "a.py: AL109 bad; mend it"


def test_findings_stand_in_order_of_file_and_line():
    findings = [
        Finding(file, line, 1, "AL104", "m", "r") for file, line in (("b", 1), ("a", 10), ("a", 9))
    ]
    assert [(each.file, each.line) for each in sorted(findings)] == [("a", 9), ("a", 10), ("b", 1)]


def test_only_a_near_name_is_suggested():
    assert did_you_mean("titel", ["kind", "title"]) == "did you mean 'title'?"
    assert did_you_mean("zzz", ["kind", "title"]) == ""
    assert did_you_mean("x", []) == ""
