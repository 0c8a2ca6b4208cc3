"""
The OpenTelemetry sink, with the SDK's own in-memory readers.
"""

from pathlib import Path

import pytest

SET_UP = """
import json
from opentelemetry import metrics
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
exporter = InMemoryLogRecordExporter()
logs = LoggerProvider()
logs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
set_logger_provider(logs)


def measured():
    "All metrics, with their points by attributes."
    found = []
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = [[dict(p.attributes), p.value] for p in metric.data.data_points]
                found.append({
                    "name": metric.name, "unit": metric.unit, "scope": scope.scope.name,
                    "version": scope.scope.version, "points": points,
                    "monotonic": metric.data.is_monotonic,
                })
    return found


def emitted():
    "All log records."
    return [
        {
            "event": each.log_record.event_name,
            "severity": each.log_record.severity_text or each.log_record.severity_number.name,
            "body": each.log_record.body,
            "attributes": dict(each.log_record.attributes),
            "time": each.log_record.timestamp,
        }
        for each in exporter.get_finished_logs()
    ]
"""

STORE = """
import store
from assertlib import sometimes, trial
for _ in range(5):
    store.put(1)
store.put(0)
store.twice(2)
store.twice(3)
"""


@pytest.fixture
def measured(told):
    def run(source=STORE, **variables):
        variables = {"ASSERTLIB_SINKS": "otel", **variables}
        return told(f"{SET_UP}\n{source}\nprint(json.dumps(measured()))", **variables)

    return run


@pytest.fixture
def emitted(told):
    def run(source=STORE, **variables):
        variables = {"ASSERTLIB_SINKS": "otel", **variables}
        return told(f"{SET_UP}\n{source}\nprint(json.dumps(emitted()))", **variables)

    return run


def test_there_is_one_counter_called_after_what_it_counts(measured):
    from assertlib import __version__

    (metric,) = measured()
    assert metric["name"] == "assertlib.assertion.evaluations"
    assert metric["unit"] == "{evaluation}"
    assert metric["monotonic"] is True
    assert (metric["scope"], metric["version"]) == ("assertlib", __version__)


def test_its_values_are_those_of_the_counters(measured):
    (metric,) = measured()
    values = {
        (point["assertlib.assertion.id"], point["assertlib.assertion.condition"]): value
        for point, value in metric["points"]
    }
    assert values == {
        ("a revision is positive", True): 5,
        ("a revision is positive", False): 1,
        ("seen twice", True): 1,
        ("seen twice", False): 1,
    }


def test_a_point_names_assertion_kind_condition_and_invariant(measured):
    (metric,) = measured()
    points = [point for point, _ in metric["points"]]
    assert {
        "assertlib.assertion.id": "a revision is positive",
        "assertlib.assertion.kind": "always",
        "assertlib.assertion.condition": False,
        "assertlib.invariant.id": "kv.positive",
    } in points
    assert {
        "assertlib.assertion.id": "seen twice",
        "assertlib.assertion.kind": "sometimes",
        "assertlib.assertion.condition": True,
    } in points


def test_values_grow_with_the_hits_and_repeated_reads_do_not_add_up(measured):
    (metric,) = measured(f"{STORE}\nmeasured()\nfor _ in range(95): store.put(1)")
    values = [value for point, value in metric["points"] if point["assertlib.assertion.condition"]]
    assert 100 in values


def test_values_equal_the_counters_of_the_run(measured, project):
    (metric,) = measured(STORE, ASSERTLIB_RUN_DIR=str(project.root / ".assertlib" / "runs" / "1"))
    by_name = {}
    for point, value in metric["points"]:
        by_name.setdefault(point["assertlib.assertion.id"], {})[
            point["assertlib.assertion.condition"]
        ] = value
    for row in project.report()["assertions"]:
        if row["message"] in by_name:
            assert by_name[row["message"]] == {True: row["true"], False: row["false"]}


def test_cumulative_and_delta_readers_of_one_process_agree(told):
    source = """
import json, store
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

delta = InMemoryMetricReader({ObservableCounter: AggregationTemporality.DELTA})
cumulative = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([delta, cumulative]))

def values(reader):
    return {
        str(sorted(point.attributes.items())): point.value
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }

added = {}
for part in range(1, 4):
    for number in range(part * 10):
        store.put(number % 3)
        store.twice(number)
    for key, value in values(delta).items():
        added[key] = added.get(key, 0) + value
    last = values(cumulative)
print(json.dumps([added, last]))
"""
    added, last = told(source, ASSERTLIB_SINKS="otel")
    assert added == last
    assert sum(last.values()) == 120


def test_a_violation_is_an_error_event(emitted):
    (violated,) = [each for each in emitted() if each["event"] == "assertlib.assertion.violated"]
    assert violated["severity"] == "ERROR"
    assert violated["body"] == "a revision is positive"
    attributes = violated["attributes"]
    assert attributes["assertlib.assertion.id"] == "a revision is positive"
    assert attributes["assertlib.assertion.kind"] == "always"
    assert attributes["assertlib.assertion.condition"] is False
    assert attributes["assertlib.invariant.id"] == "kv.positive"
    assert attributes["assertlib.details"] == '{"revision": 0}'
    assert attributes["assertlib.condition.source"] == "revision > 0"
    assert attributes["code.file.path"] == "store/__init__.py"
    assert attributes["code.function.name"] == "put"
    assert attributes["code.line.number"] > 1
    assert violated["time"] > 1_600_000_000_000_000_000


def test_the_first_true_hit_is_an_event_and_later_ones_are_not(emitted):
    first = [each for each in emitted() if each["event"] == "assertlib.assertion.first_true"]
    assert [each["body"] for each in first] == ["a revision is positive", "seen twice"]
    assert {each["severity"] for each in first} == {"INFO"}


def test_a_false_sometimes_is_no_event(emitted):
    assert emitted("import store\nstore.twice(3)") == []


def test_an_event_names_trial_and_seed(emitted):
    source = "import store\nfrom assertlib import trial\nwith trial('s', seed=7): store.put(0)"
    (violated,) = emitted(source)
    assert violated["attributes"]["assertlib.trial.id"] == "s"
    assert violated["attributes"]["assertlib.trial.seed"] == 7


def test_without_a_configured_sdk_nothing_happens(program):
    done = program(f"{STORE}\nprint('done')", ASSERTLIB_SINKS="otel")
    assert done.stdout == "done\n"
    assert "Traceback" not in done.stderr


def test_the_example_store_is_measured_while_it_works(measured, tmp_path):
    example = Path(__file__).parents[2] / "examples" / "kvstore"
    source = f"""
import asyncio
import time
from assertlib import disk
from kvstore.model import Put
from kvstore.store import Options, Store


async def work():
    store = Store.open(
        disk.RealDisk(), {str(tmp_path / "data")!r}, clock=time.monotonic, options=Options()
    )
    for number in range(10):
        await store.propose(Put("key", str(number)))
    store.close()


asyncio.run(work())
"""
    (metric,) = measured(source, PYTHONPATH=str(example))
    values = {
        point["assertlib.assertion.id"]: value
        for point, value in metric["points"]
        if point["assertlib.assertion.condition"]
    }
    assert values["ack follows fsync"] == 10
