"""
Verdicts as metrics: what a collector receives of a report.
"""

import pytest

from ..evidence.projects import Project
from ..forms import sampled
from ..telemetry import receiver as receivers


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.record("store.put(1); store.twice(3)", "--full")
    return project


@pytest.fixture
def receiver():
    receiver = receivers.start("http/protobuf")
    yield receiver
    receiver.close()


def test_a_report_sends_assertions_by_verdict_and_invariants_by_level(project, receiver):
    done = project.cli("report", "--otel", **receivers.environment_for(receiver))
    assert done.returncode == 0, done.stderr
    assertions, invariants = {}, {}
    for name, attributes, value in receiver.received.gauges:
        assert attributes["assertlib.target"] == "store"
        if name == "assertlib.assertion.count":
            verdict = attributes["assertlib.assertion.verdict"]
            assertions[attributes["assertlib.assertion.kind"], verdict] = value
        else:
            assert name == "assertlib.invariant.count"
            invariants[attributes["assertlib.invariant.level"]] = value
    rows = project.report()["assertions"]
    counts = {key: value for key, value in assertions.items() if value}
    assert sum(counts.values()) == len(rows)
    assert counts["sometimes", "never-true"] == sum(r["verdict"] == "never-true" for r in rows)
    assert counts["always", "satisfied"] == 1
    assert assertions["always", "violated"] == 0
    assert sum(invariants.values()) == 2


def test_a_report_that_is_not_asked_to_sends_nothing(project, receiver):
    project.cli("report", **receivers.environment_for(receiver))
    assert receiver.received.gauges == []


@pytest.mark.parametrize(
    ("protocol", "how"),
    sampled([("grpc", "refuses"), ("grpc", "hangs"), ("http/protobuf", "hangs")], every=2),
)
def test_a_report_that_could_not_be_sent_says_so(project, protocol, how):
    receiver = receivers.start(protocol, hang=how == "hangs")
    if how == "refuses":
        receiver.close()
    variables = receivers.environment_for(receiver, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    done = project.cli("report", "--otel", **variables)
    receiver.close()
    assert done.returncode == 2
    assert "--otel: verdicts could not be sent" in done.stderr
    assert "GAPS" in done.stdout


def test_an_exporter_that_is_not_there_is_told_in_one_line(project):
    done = project.cli("report", "--otel", OTEL_METRICS_EXPORTER="abacus")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "abacus" in line
    assert "assertlib-sdk[otel]" in line
