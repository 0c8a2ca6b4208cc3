"""
Sinks: receivers of violations and first true hits besides the run directory.

Each sink module has a function ``sink()`` that returns an object with a method ``handle(hit)``.
Sinks are chosen by name (``ASSERTLIB_SINKS``, ``assertlib.configure(sinks=…)``) and imported when
the first hit is recorded.
"""


def setup_otel() -> None:
    """
    Set up the OpenTelemetry SDK for metrics and logs, and report assertions to it.

    This is for programs without an OpenTelemetry setup; providers that are already set are kept.
    ``ASSERTLIB_OTEL=1`` does the same at the first record.  Everything else is configured by the
    standard variables ``OTEL_*``: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_PROTOCOL``
    (``grpc``, the default, or ``http/protobuf``), ``OTEL_SERVICE_NAME``,
    ``OTEL_METRIC_EXPORT_INTERVAL`` (milliseconds), ``OTEL_SDK_DISABLED`` and so on.

    Raises:
        ImportError: The extra ``otel`` is not installed.
        ValueError: A variable has an unsupported value.
    """
    # Imported on use: programs without OpenTelemetry do not pay for it, and need not have it.
    from ..recording.recorder import recorder

    try:
        from .otel_setup import set_up
    except ModuleNotFoundError as error:
        msg = f"setup_otel needs {error.name}: pip install 'assertlib-sdk[otel]'"
        raise ImportError(msg) from None
    set_up()
    # Added after the providers are set: the sink gets its meters and its logger from them.
    recorder.sinks.add("otel")
