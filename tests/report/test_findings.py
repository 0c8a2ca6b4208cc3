"""Findings in every format: what readers of it expect, whatever the texts hold."""

import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.findings import Finding
from assertlib.catalog.rules import RULES
from assertlib.report.findings import FINDING_FORMATS, Checks, FindingFormat

from ..schemas import published

HOSTILE = (
    "a\nb", "a\r\nb", "%0A", "::error::", "]]>", "\x1b[31mred\x1b[0m", "\u202eevil\u2066", "\x00",
    "a,b:c", '"quoted"', "<script>", "\udc80", "| a | b |", "`code`", "\x85", "\u2028",
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
FILES = st.one_of(st.sampled_from([*HOSTILE, "src/a b.py", "/abs/ö.py", "a%20b.py"]), TEXTS).filter(
    bool
)
FINDINGS = st.builds(
    Finding,
    FILES,
    st.integers(0, 99),
    st.integers(1, 99),
    st.sampled_from(sorted(RULES)),
    TEXTS,
    TEXTS,
)
CHECKS = st.builds(Checks, st.just([]), st.lists(FINDINGS, max_size=5), st.booleans())

# GitLab documents these keys and has published no schema.
CODE_QUALITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string"},
            "check_name": {"type": "string"},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "minLength": 1},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}
COMMAND = re.compile(r"::(error|warning) ((?:\w+=[^,:\r\n]*,?)*)::([^\r\n]*)")


@pytest.fixture(scope="module", name="sarif")
def _sarif():
    schema = published("https://json.schemastore.org/sarif-2.1.0.json")
    return jsonschema.Draft7Validator(schema)


def written(checks, format):
    return FINDING_FORMATS[format](checks)


@given(CHECKS)
def test_sarif_is_what_its_schema_says(sarif, checks):
    log = json.loads(written(checks, FindingFormat.SARIF))
    sarif.validate(log)
    (run,) = log["runs"]
    assert len(run["results"]) == len(checks.findings)
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


@given(CHECKS)
def test_code_quality_is_what_gitlab_documents(checks):
    report = json.loads(written(checks, FindingFormat.GITLAB))
    jsonschema.validate(report, CODE_QUALITY)
    fingerprints = [each["fingerprint"] for each in report]
    assert len(set(fingerprints)) == len(fingerprints) == len(checks.findings)


@given(CHECKS)
def test_each_annotation_is_one_command_on_one_line(checks):
    text = written(checks, FindingFormat.GITHUB)
    lines = text.split("\n")[:-1]
    assert len(lines) == len(checks.findings)
    for line in lines:
        assert COMMAND.fullmatch(line), line
        assert line.isprintable()


@given(CHECKS)
def test_each_finding_is_one_printable_line_of_text(checks):
    lines = written(checks, FindingFormat.TEXT).split("\n")[:-1] if checks.findings else []
    assert len(lines) == len(checks.findings)
    assert all(line.isprintable() for line in lines)


@given(CHECKS)
def test_json_gives_back_what_was_found(checks):
    found = json.loads(written(checks, FindingFormat.JSON))["findings"]
    told = [(each["file"], each["line"], each["rule"], each["message"]) for each in found]
    assert told == [(each.file, each.line, each.code, each.message) for each in checks.findings]


@given(FINDINGS, st.integers(0, 999))
def test_a_fingerprint_stays_when_lines_move(finding, line):
    moved = Finding(finding.file, line, 7, finding.code, finding.message, finding.remedy)
    assert moved.fingerprint == finding.fingerprint


def test_a_fingerprint_does_not_hang_on_lines_that_a_message_tells():
    one, other = (
        Finding("a.py", 1, 1, "AL103", f"'m' is also asserted at b.py:{line}", "r")
        for line in (3, 44)
    )
    assert one.fingerprint == other.fingerprint


def test_errors_stand_before_warnings_and_no_more_than_github_shows():
    findings = [
        Finding("a.py", n, 1, code, f"m{n}", "r")
        for code in ("AL205", "AL101")
        for n in range(1, 15)
    ]
    lines = written(Checks([], findings, strict=False), FindingFormat.GITHUB).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error"] * 11 + ["::warning"] * 11
    assert lines[10] == "::error title=assertlib::4 more; `assertlib check` shows all"


def test_a_strict_check_has_no_warnings():
    finding = Finding("a.py", 1, 1, "AL205", "m", "r")
    for strict, level in ((False, "warning"), (True, "error")):
        checks = Checks([], [finding], strict)
        assert written(checks, FindingFormat.GITHUB).startswith(f"::{level} ")
        assert f'"level": "{level}"' in written(checks, FindingFormat.SARIF)
