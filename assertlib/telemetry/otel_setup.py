"""
A setup of the OpenTelemetry SDK for metrics and logs, equivalent to its own configurator.
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
_SHUTDOWN_TIMEOUT = 5.0
"""Maximum time that an ending program waits for its collector, in seconds."""


def set_up() -> None:
    """
    Set the providers that are not set yet.

    Raises:
        ImportError: An exporter is not installed.
        ValueError: A variable has an unsupported value.
    """
    # The SDK's own shutdown at exit waits for a dead collector for longer than a program should.
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        meters = MeterProvider(list(_readers()), resource=Resource.create(), shutdown_on_exit=False)
        metrics.set_meter_provider(meters)
        _shutdown_at_exit.add(meters.shutdown)
    if not isinstance(get_logger_provider(), LoggerProvider):
        loggers = LoggerProvider(resource=Resource.create(), shutdown_on_exit=False)
        for exporter in exporters("logs"):
            loggers.add_log_record_processor(BatchLogRecordProcessor(exporter()))
        set_logger_provider(loggers)
        _shutdown_at_exit.add(loggers.shutdown)


class _ShutdownAtExit:
    """
    Shuts providers down when the program ends, for a limited time.

    Each provider has a thread that is started in advance, since none can be started at exit.
    """

    def __init__(self) -> None:
        self._is_due = Event()
        self._threads: list[tuple[Thread, Callable[[], object]]] = []

    def add(self, shutdown: Callable[[], object]) -> None:
        """Call *shutdown* when the program ends."""
        if not self._threads:
            atexit.register(self._run)
            # Children of multiprocessing skip the handlers of atexit, and run finalizers instead.
            # These are cleared in each child, so they are registered again after a fork.
            self._register_finalizer()
            util.register_after_fork(self, _ShutdownAtExit._register_finalizer)
        # A daemon: otherwise the interpreter would wait for it before it calls atexit handlers.
        waiting = Thread(target=self._wait, args=(shutdown,), daemon=True)
        waiting.start()
        self._threads.append((waiting, shutdown))

    def _wait(self, shutdown: Callable[[], object]) -> None:
        self._is_due.wait()
        shutdown()

    def _register_finalizer(self) -> None:
        util.Finalize(None, self._run, exitpriority=0)

    def _run(self) -> None:
        threads = [waiting for waiting, _ in self._threads if waiting.is_alive()]
        if not threads:
            # A forked child has none of its parent's threads, but can still start some.
            threads = [
                Thread(target=self._wait, args=each[1:], daemon=True) for each in self._threads
            ]
            for each in threads:
                each.start()
        self._is_due.set()
        # One deadline for all: a dead collector delays the end of the program only once.
        end = time.monotonic() + _shutdown_timeout()
        for each in threads:
            each.join(max(0.0, end - time.monotonic()))
        # Both registrations may run in one process; the second finds nothing to do.
        self._threads = []


def _shutdown_timeout() -> float:
    """Return the timeout in seconds, which is at most the configured timeout of one export."""
    try:
        return min(_SHUTDOWN_TIMEOUT, float(os.environ[_TIMEOUT]))
    except (KeyError, ValueError):
        return _SHUTDOWN_TIMEOUT


_shutdown_at_exit = _ShutdownAtExit()


def _readers() -> Iterator[MetricReader]:
    for each in exporters("metrics"):
        # Pull exporters such as that of Prometheus are readers themselves.
        pulled = isinstance(each, type) and issubclass(each, MetricReader)
        yield each() if pulled else PeriodicExportingMetricReader(each())


def exporters(signal: str) -> Iterator[Any]:
    """
    Yield factories of the exporters that the environment selects, mostly their classes.

    Args:
        signal: ``metrics`` or ``logs``.

    Raises:
        ImportError: An exporter is not installed.
        ValueError: The OTLP protocol is not supported.
    """
    for name in split_list(os.environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"):
        if name != "none":
            yield _exporter(signal, _otlp(signal) if name == "otlp" else name)


def _otlp(signal: str) -> str:
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    general = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = (os.environ.get(own) or os.environ.get(general) or "grpc").strip()
    if protocol not in _PROTOCOLS:
        raise ValueError(
            f"{own} or {general} is {protocol!r}; supported protocols: {' and '.join(_PROTOCOLS)}"
        )
    return _PROTOCOLS[protocol]


def _exporter(signal: str, name: str) -> Any:
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    if not found:
        raise ImportError(
            f"no exporter {name!r} for {signal}: install the package that provides it; exporters"
            " for otlp come with pip install 'assertlib-sdk[otel]'"
        )
    exporter = found[0].load()
    # Of the OTLP exporters, only this one reads responses with requests, which does not limit them.
    if name != _HTTP:
        return exporter
    from .bounded_http import bounded_session

    return partial(exporter, session=bounded_session(os.environ))
