"""
Exports verdicts as OpenTelemetry metrics, for monitoring several runs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..evidence.summary import Summary
from ..evidence.verdicts import Level, Verdict
from ..model import KINDS
from ..recording.session import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

ASSERTIONS = "assertlib.assertion.count"
INVARIANTS = "assertlib.invariant.count"


def send(summary: Summary) -> None:
    """
    Send the number of assertions by verdict and of invariants by level.

    Zeros are sent, too, so that a fixed violation does not keep its old value.

    Raises:
        UsageError: The extra is missing, a variable is invalid, or the endpoint is unreachable.
    """
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
        from opentelemetry.sdk.resources import Resource

        from ..telemetry.otel_setup import exporters

        found = [each() for each in exporters("metrics")]
    except ModuleNotFoundError as error:
        raise UsageError(f"--otel needs {error.name}: pip install 'assertlib-sdk[otel]'") from None
    except (ImportError, ValueError) as error:
        raise UsageError(f"--otel: {error}") from None
    # Collected once and exported here: a periodic reader would hide whether the export succeeded.
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=Resource.create(), shutdown_on_exit=False)
    _set_gauges(provider, summary)
    data = reader.get_metrics_data()
    results = [each.export(data) for each in found if data is not None]
    # Even after a failed export, so that no connection or thread is left.
    for each in found:
        each.shutdown()
    if any(result is not MetricExportResult.SUCCESS for result in results):
        raise UsageError("--otel: verdicts could not be sent; is the OTLP endpoint reachable?")


def _set_gauges(provider: MeterProvider, summary: Summary) -> None:
    meter = provider.get_meter("assertlib", VERSION)
    target = {"assertlib.target": summary.target}
    assertions = meter.create_gauge(ASSERTIONS, "{assertion}", "Assertions by verdict")
    verdicts = Counter((each.kind.name, each.verdict) for each in summary.assertions)
    for kind in KINDS:
        for verdict in Verdict:
            attributes = {
                **target,
                "assertlib.assertion.kind": kind.name,
                "assertlib.assertion.verdict": verdict.value,
            }
            assertions.set(verdicts[kind.name, verdict], attributes)
    invariants = meter.create_gauge(INVARIANTS, "{invariant}", "Invariants by level")
    levels = Counter(each.standing.level for each in summary.invariants)
    for level in Level:
        invariants.set(levels[level], {**target, "assertlib.invariant.level": level.value})
