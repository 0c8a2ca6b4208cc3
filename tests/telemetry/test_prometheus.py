"""
The alert of the docs against what Prometheus would really see.
"""

import re
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "production.md"

PROGRAM = """
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest

metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
import assertlib
assertlib.configure(sinks=["otel"])
assertlib.always(False, "a claim", invariant="kv.positive")
print(generate_latest().decode())
"""


@pytest.fixture(scope="module")
def rules():
    blocks = re.findall(
        r"^```yaml\n# alerts.yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    (group,) = yaml.safe_load(blocks[0])["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_the_metric_and_the_labels_of_the_alerts_are_those_that_are_exposed(children, rules):
    out = children.run(PROGRAM, env={"ASSERTLIB_RUN_DIR": ""}).out
    series = [line for line in out.splitlines() if "a claim" in line]
    name = re.match(r"\w+", series[0])[0]
    labels = set(re.findall(r"(\w+)=", series[0]))
    for rule in rules.values():
        assert f"{name}[" in rule["expr"] or f"{name}{{" in rule["expr"]
        # The name of the service is added by the collector, from the resource.
        used = set(re.findall(r"\b(assertlib_\w+)\s*=~|\b(assertlib_\w+_id)\b", rule["expr"]))
        assert {each for pair in used for each in pair if each} <= labels


def test_the_alert_matches_the_false_series_of_what_must_hold_and_no_other(children, rules):
    out = children.run(PROGRAM, env={"ASSERTLIB_RUN_DIR": ""}).out
    matchers = re.findall(r'(\w+)=~"([^"]*)"', rules["InvariantViolated"]["expr"])
    assert len(matchers) == 2

    def is_matched(line):
        found = dict(re.findall(r'(\w+)="([^"]*)"', line))
        return all(re.fullmatch(pattern, found.get(name, "")) for name, pattern in matchers)

    matched = [line for line in out.splitlines() if not line.startswith("#") and is_matched(line)]
    (line,) = matched
    assert line.endswith(" 1.0")
