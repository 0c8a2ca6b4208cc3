"""
What the gate found, in formats that other programs read, with texts as hostile as they come.
"""

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.evidence.baseline import Baseline
from assertlib.evidence.gate import Gate, GateItem, GateOutcome, Triage
from assertlib.report.gate import in_badge, in_junit, in_markdown_summary, in_text

from .test_html import HOSTILE, summary_of

SUMMARY = summary_of(6)
items = st.builds(
    GateItem,
    st.sampled_from(list(GateOutcome)),
    st.sampled_from(list(Triage)),
    st.text(max_size=40) | st.sampled_from(HOSTILE),
    st.sampled_from(["", "area0.holds-0", "area0.holds-0#x", "gone.holds"]),
    st.text(max_size=40) | st.sampled_from(HOSTILE),
)


def gate_of(found):
    return Gate(items=found, baseline=Baseline(frozenset()), notes=[], runs=3, watched=2)


@given(st.lists(items, max_size=5))
def test_a_test_report_is_xml_with_a_case_for_each_invariant(found):
    suite = ET.fromstring(in_junit(gate_of(found), SUMMARY).encode()).find("testsuite")
    cases = suite.findall("testcase")
    assert {each.get("name") for each in cases} >= {each.entry.id for each in SUMMARY.invariants}
    assert int(suite.get("tests")) == len(cases)
    assert int(suite.get("failures")) == sum(each.find("failure") is not None for each in cases)
    failing = {each.invariant.partition("#")[0] or "no invariant" for each in found if each.fails}
    names = {each.get("name") for each in cases if each.find("failure") is not None}
    assert failing <= names


@given(st.lists(items, max_size=5))
def test_texts_make_no_lines_of_their_own(found):
    text = in_text(gate_of(found), SUMMARY)
    # Title, what further trials may show and the verdict; two lines for each finding.
    assert len(text.splitlines()) == 3 + 2 * len(found)
    table = in_markdown_summary(gate_of(found), SUMMARY).splitlines()
    rows = [line for line in table if line.startswith(("| ✗ |", "|  |"))]
    assert len(rows) == len(found)


@pytest.mark.parametrize("count", [0, 1, 50, 20_000])
def test_a_job_summary_stays_under_what_is_shown(count):
    found = [
        GateItem(GateOutcome.RARE, triage, f"{number} " + "é|<b>" * 200, "", "x" * 2000)
        for number in range(count)
        for triage in Triage
    ]
    text = in_markdown_summary(gate_of(found), SUMMARY)
    assert len(text.encode()) < 2**20
    assert ("… and" in text) is (count > 40)


def test_a_badge_is_what_shields_expects():
    badge = json.loads(in_badge(SUMMARY))
    assert badge["schemaVersion"] == 1
    assert badge["message"] == "0/3" or "/" in badge["message"]
