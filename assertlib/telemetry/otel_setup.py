"""
A set-up of OpenTelemetry's SDK, as its own configurator makes it, for metrics and logs only.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import entry_points
from multiprocessing import util
from threading import Event, Thread

from opentelemetry import metrics
from opentelemetry._logs import get_logger_provider, set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from ..recording.settings import split_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HTTP = "otlp_proto_http"
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": _HTTP}
_TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
_LONGEST_FAREWELL = 5.0
"""Seconds that a program which ends waits for its collector; one that is dead may not keep it."""


def set_up() -> None:
    """
    Set the providers that are not set yet.

    Raises:
        ImportError: An exporter is not installed.
        ValueError: A variable names what is not there.
    """
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        meters = MeterProvider(list(_readers()), resource=Resource.create(), shutdown_on_exit=False)
        metrics.set_meter_provider(meters)
        _farewell.of(meters.shutdown)
    if not isinstance(get_logger_provider(), LoggerProvider):
        loggers = LoggerProvider(resource=Resource.create(), shutdown_on_exit=False)
        for exporter in exporters("logs"):
            loggers.add_log_record_processor(BatchLogRecordProcessor(exporter()))
        set_logger_provider(loggers)
        _farewell.of(loggers.shutdown)


class _Farewell:
    """Shuts down, each in a thread that is there before the end, when none can be started."""

    def __init__(self) -> None:
        self._is_due = Event()
        self._threads: list[tuple[Thread, Callable[[], object]]] = []

    def of(self, shutdown: Callable[[], object]) -> None:
        """Call *shutdown* at the end."""
        if not self._threads:
            atexit.register(self._say)
            # Children of multiprocessing end without what is registered there.
            self._at_end_of_child()
            util.register_after_fork(self, _Farewell._at_end_of_child)
        waiting = Thread(target=self._wait, args=(shutdown,), daemon=True)
        waiting.start()
        self._threads.append((waiting, shutdown))

    def _wait(self, shutdown: Callable[[], object]) -> None:
        self._is_due.wait()
        shutdown()

    def _at_end_of_child(self) -> None:
        util.Finalize(None, self._say, exitpriority=0)

    def _say(self) -> None:
        threads = [waiting for waiting, _ in self._threads if waiting.is_alive()]
        if not threads:
            # A fork has none of its parent's threads, and may start some.
            threads = [
                Thread(target=self._wait, args=each[1:], daemon=True) for each in self._threads
            ]
            for each in threads:
                each.start()
        self._is_due.set()
        end = time.monotonic() + _longest_farewell()
        for each in threads:
            each.join(max(0.0, end - time.monotonic()))
        self._threads = []


def _longest_farewell() -> float:
    """Seconds; whoever gives a collector less time for one export gives it no more at the end."""
    try:
        return min(_LONGEST_FAREWELL, float(os.environ[_TIMEOUT]))
    except (KeyError, ValueError):
        return _LONGEST_FAREWELL


_farewell = _Farewell()


def _readers() -> Iterator[MetricReader]:
    for each in exporters("metrics"):
        # Some are read from, as Prometheus does it.
        pulled = isinstance(each, type) and issubclass(each, MetricReader)
        yield each() if pulled else PeriodicExportingMetricReader(each())


def exporters(signal: str) -> Iterator[Any]:
    """What makes the exporters that the environment asks for: their classes, mostly."""
    for name in split_list(os.environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"):
        if name != "none":
            yield _exporter(signal, _otlp(signal) if name == "otlp" else name)


def _otlp(signal: str) -> str:
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    general = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = (os.environ.get(own) or os.environ.get(general) or "grpc").strip()
    if protocol not in _PROTOCOLS:
        raise ValueError(
            f"{own} or {general} is {protocol!r}; there are {' and '.join(_PROTOCOLS)}"
        )
    return _PROTOCOLS[protocol]


def _exporter(signal: str, name: str) -> Any:
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    if not found:
        raise ImportError(
            f"there is no exporter {name!r} for {signal}: install the package that has it; those"
            " for otlp come with pip install 'assertlib-sdk[otel]'"
        )
    exporter = found[0].load()
    if name != _HTTP:
        return exporter
    from .bounded_http import bounded_session

    return partial(exporter, session=bounded_session(os.environ))
