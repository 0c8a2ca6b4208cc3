"""
OpenTelemetry: evaluations as an observable counter, and a log record for each violation and first
true hit.

Only the API is used; the SDK is configured by the program or by `assertlib.telemetry.setup_otel`.
Hits cost nothing extra, because the callback of the counter reads the existing counters.  Names
follow the semantic conventions for metrics and events, v1.44.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from opentelemetry.metrics import CallbackOptions, Observation, get_meter
from opentelemetry.util.types import AnyValue

from ..model import Kind
from ..recording.diagnostics import warn_once
from ..recording.recorder import recorder
from ..recording.session import VERSION
from ..recording.settings import wants_otel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..recording.hits import Hit

SCOPE = "assertlib"
EVALUATIONS = "assertlib.assertion.evaluations"
VIOLATED = "assertlib.assertion.violated"
FIRST_TRUE = "assertlib.assertion.first_true"

PART = "assertlib.part"
"""Attribute of the instrumentation scope that distinguishes all instruments but the first."""

Counted = tuple[Kind, str, str | None, int, int]

_INT64 = 1 << 63
"""OTLP has signed integers of 64 bits; a greater number would fail its whole batch."""
_PARTS = 32
_ASSERTIONS_A_PART = 999
"""
Number of assertions for each instrument.

By default the SDK limits an instrument to 2,000 series, including the one that collects the
overflow, and an assertion takes two.  Instruments of different scopes are limited separately.
"""


class OtelSink:
    """Report hits to the providers that the program has set."""

    def __init__(self) -> None:
        self._parts: dict[tuple[Kind, str], int] = {}
        self._counted: dict[int, list[Counted]] = {}
        # All instruments are created up front: creating one in a callback would deadlock, since the
        # SDK holds its lock while it collects.
        for part in range(_PARTS):
            # The first scope stays plain, which is the only one that most programs fill.
            attributes = {PART: part + 1} if part else None
            get_meter(SCOPE, VERSION, attributes=attributes).create_observable_counter(
                EVALUATIONS,
                callbacks=[self._observer(part)],
                unit="{evaluation}",
                description="Evaluations of assertions",
            )
        self._logger = get_logger(SCOPE, VERSION)

    def _observer(self, part: int) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return partial(self._observe, part)

    def _observe(self, part: int, _: CallbackOptions) -> Iterable[Observation]:
        """Yield the true and false evaluations of the assertions of one part."""
        # Callbacks run in the order of their registration, so that the first one takes a snapshot
        # for the whole collection.
        if part == 0:
            self._counted = defaultdict(list)
            for each in recorder.snapshot():
                self._counted[self._part_of(*each[:2])].append(each)
        for kind, message, invariant, true, false in self._counted.get(part, ()):
            for condition, count in ((True, true), (False, false)):
                yield Observation(count, _attributes(kind, message, invariant, condition))

    def _part_of(self, kind: Kind, message: str) -> int:
        # Numbers are permanent: a series that moved to another scope would start again.
        number = self._parts.setdefault((kind, message), len(self._parts))
        if number >= _PARTS * _ASSERTIONS_A_PART:
            warn_once(
                f"only the first {_PARTS * _ASSERTIONS_A_PART:,} assertions are sent to"
                " OpenTelemetry; are messages built at run time?"
            )
        return number // _ASSERTIONS_A_PART

    def handle(self, hit: Hit) -> None:
        """Emit an event for *hit*, within the current trace of the caller."""
        severity = SeverityNumber.ERROR if hit.is_violation else SeverityNumber.INFO
        self._logger.emit(
            LogRecord(
                timestamp=hit.time,
                observed_timestamp=hit.time,
                severity_number=severity,
                event_name=VIOLATED if hit.is_violation else FIRST_TRUE,
                body=_encodable(hit.message),
                attributes=attributes_of(hit),
            )
        )


def _attributes(
    kind: Kind, message: str, invariant: str | None, condition: bool
) -> dict[str, str | bool]:
    return {
        "assertlib.assertion.id": _encodable(message),
        "assertlib.assertion.kind": kind.name,
        "assertlib.assertion.condition": condition,
        **({} if invariant is None else {"assertlib.invariant.id": _encodable(invariant)}),
    }


def _encodable(text: str) -> str:
    r"""Escape unpaired surrogates, as ``\ud800``; one of them would fail its whole batch."""
    # Nearly all texts are ASCII, and need no copy.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def attributes_of(hit: Hit) -> Mapping[str, AnyValue]:
    """Return the attributes of the event for *hit*."""
    attributes: dict[str, AnyValue] = {
        **_attributes(hit.kind, hit.message, hit.invariant, hit.condition),
        "code.file.path": _encodable(hit.location.file),
        "code.function.name": _encodable(hit.location.qualname),
        "code.line.number": hit.location.begin_line,
    }
    for name, text in (("assertlib.details", hit.details), ("assertlib.trial.id", hit.trial)):
        if text is not None:
            attributes[name] = _encodable(text)
    # As a text, a large seed is not lost.
    if hit.seed is not None:
        attributes["assertlib.trial.seed"] = (
            hit.seed if -_INT64 <= hit.seed < _INT64 else str(hit.seed)
        )
    if hit.captured is not None:
        attributes["assertlib.condition.source"] = _encodable(hit.captured.source)
        attributes["assertlib.condition.values"] = {
            _encodable(name): _encodable(value) for name, value in hit.captured.values.items()
        }
    return attributes


def sink() -> OtelSink:
    """Return the sink called ``otel``, after setting up the SDK if the environment asks for it."""
    if wants_otel(os.environ):
        from .otel_setup import set_up

        set_up()
    return OtelSink()
