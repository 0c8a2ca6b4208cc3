"""
The alert of the docs against what Prometheus would really see.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "production.md"

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


@pytest.fixture
def promtool(tmp_path):
    """Runs promtool on the files of the page."""
    found = shutil.which("promtool") or ROOT / ".tools" / "promtool"
    if not Path(found).exists():
        pytest.skip("no promtool")
    for name, text in re.findall(
        r"^```yaml\n# (\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    ):
        (tmp_path / name).write_text(text)

    def run(*words):
        command = [found, *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run.directory = tmp_path
    return run


VIOLATED = """
rule_files: [alerts.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'assertlib_assertion_evaluations_total{SERVICE,assertlib_assertion_id="ack follows fsync",assertlib_assertion_kind="always",assertlib_assertion_condition="CONDITION"}'
        values: '0x10 1x20'
      - series: 'assertlib_assertion_evaluations_total{SERVICE,assertlib_assertion_id="a state",assertlib_assertion_kind="sometimes",assertlib_assertion_condition="CONDITION"}'
        values: '0+5x40'
    alert_rule_test:
      - {eval_time: 9m, alertname: InvariantViolated, exp_alerts: []}
      - eval_time: 12m
        alertname: InvariantViolated
        exp_alerts:
          - exp_labels: {severity: page, service_name: kvstore, assertlib_invariant_id: wal.fsync-before-ack, assertlib_assertion_id: ack follows fsync}
            exp_annotations:
              summary: "wal.fsync-before-ack is violated in kvstore"
              description: "ack follows fsync: run `assertlib catalog show wal.fsync-before-ack` to see what must hold, why, and what to look at."
      - {eval_time: 25m, alertname: InvariantViolated, exp_alerts: []}
      - {eval_time: 12m, alertname: AssertionsSilent, exp_alerts: []}
"""

# A store that dies after 30 minutes, whose series the collector takes away after five more.
DEAD = """
rule_files: [alerts.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'assertlib_assertion_evaluations_total{SERVICE,assertlib_assertion_id="a state",assertlib_assertion_kind="sometimes",assertlib_assertion_condition="true"}'
        values: '0+5x30 150x5 stale'
    alert_rule_test:
      - {eval_time: 40m, alertname: AssertionsSilent, exp_alerts: []}
      - eval_time: 60m
        alertname: AssertionsSilent
        exp_alerts:
          - exp_labels: {severity: ticket, service_name: kvstore}
            exp_annotations: {summary: "kvstore no longer evaluates any assertions"}
"""
SERVICE = 'service_name="kvstore",assertlib_invariant_id="wal.fsync-before-ack"'


def test_prometheus_takes_the_files_of_the_page(promtool):
    promtool("check", "rules", "alerts.yaml")
    promtool("check", "config", "prometheus.yaml")


@pytest.mark.parametrize("condition", ["false", "False"])
def test_one_violation_fires_the_alert_and_a_false_sometimes_does_not(promtool, condition):
    text = VIOLATED.replace("SERVICE", SERVICE).replace("CONDITION", condition)
    (promtool.directory / "test.yaml").write_text(text)
    promtool("test", "rules", "test.yaml")


def test_a_store_that_is_dead_fires_the_alert_of_silence(promtool):
    (promtool.directory / "test.yaml").write_text(DEAD.replace("SERVICE", SERVICE))
    promtool("test", "rules", "test.yaml")
