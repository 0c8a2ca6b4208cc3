"""Catalog and code together."""

from __future__ import annotations

from pathlib import Path

import pytest

from assertlib.catalog.check import Checked, check, is_error
from assertlib.catalog.config import Target, find_config
from assertlib.catalog.scan import scan_sources

from .writing import GOOD, HEAD, entry, joined, line_of, loaded, write

IMPORTS = "from assertlib import *\nfrom assertlib import Invariant\n"
CATALOG = HEAD + GOOD
CODE = IMPORTS + "always(a, 'm', invariant='kv.durable-ack')\n"


def codes(findings):
    return [finding.code for finding in findings]


def expecting(*kinds: str) -> str:
    return CATALOG.replace('["always"]', str(list(kinds)))


def test_a_catalog_and_code_that_agree_have_no_findings(tmp_path):
    assert joined(tmp_path, CATALOG, CODE) == []


def test_nothing_and_nothing_agree(tmp_path):
    assert joined(tmp_path, HEAD, "") == []


def test_an_unknown_invariant_is_told_with_the_nearest_name(tmp_path):
    (finding,) = joined(tmp_path, CATALOG, CODE + "always(b, 'n', invariant='kv.durable-akc')")
    assert (finding.code, finding.file, finding.line, finding.column) == ("AL101", "log.py", 4, 1)
    assert "'kv.durable-akc'" in finding.message
    assert finding.remedy == "did you mean 'kv.durable-ack'?"


def test_an_unknown_invariant_unlike_any_other_is_told(tmp_path):
    (finding,) = joined(tmp_path, CATALOG, CODE + "Invariant('zzz').reachable('n')")
    assert finding.code == "AL101"
    assert "add the missing one" in finding.remedy


@pytest.mark.parametrize(
    "call",
    [
        "sometimes_each(b, 'n', expected=('x', 'y'){})",
        "always_if(b, lambda: c, 'n'{})",
        "sometimes_both(b, 'n'{})",
        "always(b, 'n'{})",
        "with within(1, 'n'{}): ...",
    ],
)
def test_each_form_is_one_finding(tmp_path, call):
    for argument, code in [
        (", invariant='kv.durable-akc'", "AL101"),
        (", invariant='kv.durable-ack#part'", "AL115"),
        (", invariant='kv.old'", "AL204"),
        ("", "AL205"),
    ]:
        catalog = CATALOG + entry("old", status="retired")
        found = joined(tmp_path / code, catalog, CODE + call.format(argument))
        assert codes(found) == [code]


def test_an_unknown_clause_is_told_with_the_nearest_name(tmp_path):
    catalog = CATALOG + "[durable-ack.clauses]\ndir-entry = 'd'\n"
    code = IMPORTS + "always(a, 'm', invariant='kv.durable-ack#dir-entry')\n"
    assert joined(tmp_path / "good", catalog, code) == []
    more = "always(b, 'n', invariant='kv.durable-ack#dir-enrty')"
    (finding,) = joined(tmp_path / "bad", catalog, code + more)
    assert (finding.code, finding.line) == ("AL115", 4)
    assert finding.remedy == "did you mean 'dir-entry'?"


def test_an_active_invariant_that_no_code_names_is_told_at_its_table(tmp_path):
    (finding,) = joined(tmp_path, CATALOG, "")
    place = (finding.file, finding.line, finding.column)
    assert (finding.code, *place) == ("AL201", "catalog/kv.toml", *line_of(CATALOG, "[durable"))
    assert "kv.durable-ack" in finding.message


@pytest.mark.parametrize("status", ["draft", "retired"])
def test_drafts_and_retired_invariants_need_nothing(tmp_path, status):
    more = "expects = ['always', 'sometimes']\n[x.clauses]\nc = 'd'"
    assert joined(tmp_path, HEAD + entry("x", more, status=status), "") == []


def test_code_may_name_a_draft(tmp_path):
    code = IMPORTS + "always(a, 'm', invariant='kv.x')"
    assert joined(tmp_path, HEAD + entry("x"), code) == []


def test_a_retired_invariant_is_told_with_what_took_its_place(tmp_path):
    catalog = CATALOG + entry("old", "replaced_by = 'kv.durable-ack'", status="retired")
    (finding,) = joined(tmp_path, catalog, CODE + "always(b, 'n', invariant='kv.old')")
    assert (finding.code, finding.line) == ("AL204", 4)
    assert "'kv.durable-ack'" in finding.remedy


def test_a_clause_that_no_code_cites_is_told(tmp_path):
    catalog = CATALOG + "[durable-ack.clauses]\none = 'd'\ntwo = 'd'\n"
    code = IMPORTS + "always(a, 'm', invariant='kv.durable-ack#one')\n"
    (finding,) = joined(tmp_path, catalog, code)
    assert (finding.code, is_error(finding)) == ("AL203", False)
    assert "'two'" in finding.message


@pytest.mark.parametrize("lacking", ["source", "debug"])
def test_an_active_invariant_without_source_or_hint_is_told(tmp_path, lacking):
    catalog = CATALOG.split("[[")[0] if lacking == "source" else CATALOG.replace("debug =", "# ")
    (finding,) = joined(tmp_path, catalog, CODE)
    assert (finding.code, is_error(finding)) == ("AL401", False)


def test_an_assertion_without_invariant_is_a_warning(tmp_path):
    (finding,) = joined(tmp_path, CATALOG, CODE + "always(b, 'n')")
    assert (finding.code, finding.line, is_error(finding)) == ("AL205", 4, False)


def test_an_entry_that_is_written_wrong_is_one_finding(tmp_path):
    (finding,) = joined(tmp_path, CATALOG.replace("debug", "debgu"), CODE)
    assert finding.code == "AL105"


def test_a_literal_that_is_missing_is_one_finding(tmp_path):
    found = joined(tmp_path, CATALOG, CODE + "always(b, 'n', invariant=name)")
    assert codes(found) == ["AL114"]


# -- kinds that are expected -----------------------------------------------------

FORMS = {
    "always(a, 'm'{})": {"always"},
    "always_greater_than(a, b, 'm'{})": {"always"},
    "always_some({{'a': a}}, 'm'{})": {"always"},
    "with within(1, 'm'{}): ...": {"always"},
    "always_or_unreachable(a, 'm'{})": {"always_or_unreachable"},
    "always_if(a, lambda: b, 'm'{})": {"always", "always_or_unreachable"},
    "sometimes(a, 'm'{})": {"sometimes"},
    "sometimes_all({{'a': a}}, 'm'{})": {"sometimes"},
    "sometimes_less_than(a, b, 'm'{})": {"sometimes"},
    "sometimes_both(a, 'm'{})": {"sometimes"},
    "sometimes_each(a, 'm', expected=('x', 'y'){})": {"sometimes"},
    "reachable('m'{})": {"reachable"},
    "unreachable('m'{})": {"unreachable"},
}


@pytest.mark.parametrize(
    "kind", ["always", "always_or_unreachable", "sometimes", "reachable", "unreachable"]
)
@pytest.mark.parametrize(("form", "satisfied"), FORMS.items())
def test_an_expected_kind_needs_an_assertion_of_that_kind(tmp_path, form, satisfied, kind):
    code = IMPORTS + form.format(", invariant='kv.durable-ack'")
    found = joined(tmp_path, expecting(kind), code)
    assert codes(found) == ([] if kind in satisfied else ["AL202"])


def test_each_kind_that_is_missing_is_told(tmp_path):
    found = joined(tmp_path, expecting("always", "sometimes", "reachable"), CODE)
    assert codes(found) == ["AL202", "AL202"]
    assert {finding.line for finding in found} == {2}
    assert "sometimes" in found[1].message
    assert "reachable" in found[0].message


def test_several_assertions_satisfy_several_kinds(tmp_path):
    code = CODE + "sometimes(b, 'n', invariant='kv.durable-ack')"
    assert joined(tmp_path, expecting("always", "sometimes"), code) == []


def test_values_nobody_expects_satisfy_nothing(tmp_path):
    code = IMPORTS + "sometimes_each(a, 'm', expected=load(), invariant='kv.durable-ack')"
    for kind in ("always", "always_or_unreachable", "sometimes"):
        found = joined(tmp_path / kind, expecting(kind), code)
        assert sorted(codes(found)) == ["AL113", "AL202"]


def test_an_assertion_that_cites_a_clause_satisfies_its_invariant(tmp_path):
    catalog = CATALOG + "[durable-ack.clauses]\none = 'd'\n"
    assert joined(tmp_path, catalog, CODE.replace("ack'", "ack#one'")) == []


# -- errors, warnings, and whole projects -----------------------------------------


def test_warnings_fail_only_a_strict_check(tmp_path):
    catalog = loaded(tmp_path, CATALOG)
    checked = Checked("x", catalog, scan_sources({"log.py": CODE + "always(b, 'n')"}))
    assert checked.errors(strict=False) == []
    assert codes(checked.errors(strict=True)) == ["AL205"]


def test_errors_fail_any_check(tmp_path):
    checked = Checked("x", loaded(tmp_path, CATALOG), scan_sources({}))
    assert codes(checked.errors(strict=False)) == ["AL201"]
    assert codes(checked.errors(strict=True)) == ["AL201"]


def test_findings_of_all_sources_stand_together_in_order(tmp_path):
    found = joined(
        tmp_path,
        CATALOG + entry("wrong", "titel = 1"),
        IMPORTS + "always(True, 'm')\nalways(b, f'{n}')",
    )
    assert codes(found) == ["AL201", "AL105", "AL107", "AL205", "AL104"]


def test_a_project_is_checked_from_its_files(tmp_path):
    write(tmp_path / "catalog", kv=CATALOG)
    (tmp_path / "log.py").write_text(CODE)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.assertlib.targets.store]\nsource = ['log.py', 'gone.py']\n"
    )
    config = find_config(tmp_path)
    checked = check(config, *config.target())
    assert (checked.name, codes(checked.findings)) == ("store", ["AL110"])
    assert len(checked.scan.sites) == len(checked.catalog.entries) == 1


def test_a_target_may_use_the_packaged_catalog(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.assertlib.targets.store]\nsource = ['.']\ncatalog = ['assertlib:etcd']\n"
    )
    config = find_config(tmp_path)
    checked = check(config, *config.target())
    assert "wal.fsync-before-ack" in checked.catalog.entries
    assert set(codes(checked.findings)) == {"AL201"}


def test_a_target_without_a_catalog_directory_is_told(tmp_path):
    target = Target(source=(".",), catalog=("gone",))
    config = find_config(tmp_path)
    assert codes(check(config, "x", target).findings) == ["AL105"]


def test_the_targets_of_this_repository_are_read():
    config = find_config(Path(__file__).parents[2])
    for name in config.targets:
        assert check(config, *config.target(name)).errors(strict=False) == []
