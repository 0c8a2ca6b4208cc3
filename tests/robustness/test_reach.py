"""
What a campaign cannot reach.
"""

from pathlib import Path

import pytest

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.history.records import Header
from assertlib.robustness import reach
from assertlib.robustness.faults import FAULTS
from assertlib.robustness.traffic import PROFILES

ROOT = Path(__file__).parents[2]


def header(**changed):
    about = {"traffic": "mixed", "faults": ",".join(FAULTS), **changed}
    return Header(about.pop("model", "etcd"), about)


@pytest.fixture(scope="module")
def messages():
    config = find_config(ROOT)
    name, target = config.target("campaign")
    sites = check(config, name, target).scan.sites
    return {site.message for site in sites if site.file.endswith("robustness/judge.py")}


def test_each_assertion_with_needs_stands_in_the_code(messages):
    needs = {*reach._NEEDS, *reach._FAULTS}
    assert needs - messages == set()


def test_all_faults_leave_no_state_out_of_reach_for_want_of_a_fault():
    assert not [need for need in reach.out_of_reach(header()).values() if "fault" in need]


def test_without_faults_what_a_fault_brings_about_is_out_of_reach():
    found = reach.out_of_reach(header(faults="none"))
    assert found["the leader changes"] == "a fault"
    assert found["a fault is injected [bucket=kill]"] == "fault kill"


def test_a_failpoint_is_a_fault():
    found = reach.out_of_reach(header(faults="raftBeforeSave=panic"))
    assert "the leader changes" not in found
    assert "a killed member restarts" in found


def test_one_of_several_faults_suffices():
    found = reach.out_of_reach(header(faults="isolate"))
    assert "a member is cut off while clients talk to it" not in found
    assert "a killed member restarts" in found


def test_a_store_of_registers_has_no_watches():
    found = reach.out_of_reach(header(model="kv", traffic="registers"))
    assert found["a watch is sent every event"] == "watches"
    assert found["members at the same revision have the same hash"] == reach.REVISIONS
    assert found["an unanswered request was applied"] == reach.REVISIONS
    assert found["an unanswered request was not applied"] == reach.REVISIONS


def test_traffic_that_is_unknown_excludes_nothing():
    assert reach.out_of_reach(header(traffic="their own")) == {}


@pytest.mark.parametrize(
    "feature", sorted({need for needs in reach._NEEDS.values() for need in needs})
)
def test_each_feature_is_used_by_some_traffic(feature):
    offered = {each for profile in PROFILES.values() for each in profile.features}
    assert feature in {*offered, reach.REVISIONS}
