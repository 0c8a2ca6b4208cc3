"""
OpenTelemetry: one observable counter over the counters, and a log record for
each violation and first true hit.

Only the API is used; the program configures the SDK.  Nothing is added per
hit: the counter's callback reads what is counted anyway.  Names follow the
semantic conventions for metrics and events, v1.44.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from opentelemetry.metrics import CallbackOptions, Observation, get_meter
from opentelemetry.util.types import AnyValue

from ..recording.recorder import recorder
from ..recording.session import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..recording.hits import Hit

EVALUATIONS = "assertlib.assertion.evaluations"
VIOLATED = "assertlib.assertion.violated"
FIRST_TRUE = "assertlib.assertion.first_true"


class OtelSink:
    """Reports through whatever providers the program has set."""

    def __init__(self) -> None:
        meter = get_meter("assertlib", VERSION)
        meter.create_observable_counter(
            EVALUATIONS,
            callbacks=[observe],
            unit="{evaluation}",
            description="Evaluations of assertions",
        )
        self._logger = get_logger("assertlib", VERSION)

    def handle(self, hit: Hit) -> None:
        """Emit an event for *hit*."""
        severity = SeverityNumber.ERROR if hit.is_violation else SeverityNumber.INFO
        self._logger.emit(
            LogRecord(
                timestamp=hit.time,
                observed_timestamp=hit.time,
                severity_number=severity,
                event_name=VIOLATED if hit.is_violation else FIRST_TRUE,
                body=hit.message,
                attributes=attributes_of(hit),
            )
        )


def observe(options: CallbackOptions) -> Iterable[Observation]:
    """True and false evaluations of every assertion this process has met."""
    for kind, message, invariant, true, false in recorder.snapshot():
        for condition, count in ((True, true), (False, false)):
            yield Observation(
                count,
                {
                    "assertlib.assertion.id": message,
                    "assertlib.assertion.kind": kind.name,
                    "assertlib.assertion.condition": condition,
                    **({} if invariant is None else {"assertlib.invariant.id": invariant}),
                },
            )


def attributes_of(hit: Hit) -> Mapping[str, AnyValue]:
    """The attributes of a hit's event."""
    attributes: dict[str, AnyValue] = {
        "assertlib.assertion.id": hit.message,
        "assertlib.assertion.kind": hit.kind.name,
        "assertlib.assertion.condition": hit.condition,
        "code.file.path": hit.location.file,
        "code.function.name": hit.location.qualname,
        "code.line.number": hit.location.begin_line,
    }
    optional: dict[str, AnyValue] = {
        "assertlib.invariant.id": hit.invariant,
        "assertlib.details": hit.details,
        "assertlib.trial.id": hit.trial,
        "assertlib.trial.seed": hit.seed,
    }
    attributes.update({name: value for name, value in optional.items() if value is not None})
    if hit.captured is not None:
        attributes["assertlib.condition.source"] = hit.captured.source
        attributes["assertlib.condition.values"] = dict(hit.captured.values)
    return attributes


def sink() -> OtelSink:
    """The sink called ``otel``."""
    return OtelSink()
