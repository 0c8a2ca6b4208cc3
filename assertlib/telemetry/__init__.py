"""
Sinks: where violations and first true hits are told besides the run directory.

Each module has a ``sink()`` that returns an object with ``handle(hit)``; they
are loaded by name (``ASSERTLIB_SINKS``, ``assertlib.configure(sinks=…)``) when
the first record is told, and imported only then.
"""


def setup_otel() -> None:
    """
    Set up the SDK of OpenTelemetry for metrics and logs, and tell it of assertions.

    For programs without a set-up of their own; a provider that is set already is left as it is.
    ``ASSERTLIB_OTEL=1`` does the same at the first record.  Everything else is said by the
    standard variables ``OTEL_*``: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_PROTOCOL``
    (``grpc``, the default, or ``http/protobuf``), ``OTEL_SERVICE_NAME``,
    ``OTEL_METRIC_EXPORT_INTERVAL`` (milliseconds), ``OTEL_SDK_DISABLED`` and so on.

    Raises:
        ImportError: The extra ``otel`` is not installed.
        ValueError: One of the variables names what is not there.
    """
    from ..recording.recorder import recorder

    try:
        from .otel_setup import set_up
    except ModuleNotFoundError as error:
        msg = f"setup_otel needs {error.name}: pip install 'assertlib-sdk[otel]'"
        raise ImportError(msg) from None
    set_up()
    recorder.sinks.add("otel")
