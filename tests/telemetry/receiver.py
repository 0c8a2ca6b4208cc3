"""
A collector for OTLP over gRPC and HTTP, on loopback, made of the official protobuf packages.

``python receiver.py grpc`` runs one by itself and prints its port; with ``--hang`` it takes
connections and never answers.
"""

import argparse
import signal
import socket
import sys
import threading
from collections import defaultdict
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.metrics.v1 import metrics_pb2

LOOPBACK = "127.0.0.1"
DELTA = metrics_pb2.AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


def plain(value):
    """The Python value of an ``AnyValue``."""
    which = value.WhichOneof("value")
    if which == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    if which == "array_value":
        return [plain(each) for each in value.array_value.values]
    return None if which is None else getattr(value, which)


def attributes_of(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


class Received:
    """
    All that came in.

    Attributes:
        values: Of the counter of evaluations, by its attributes: the last one of a cumulative
            series, the sum of a delta series.
        gauges: Of all other metrics: name, attributes, value.
        logs: Each log record as a dict.
    """

    def __init__(self):
        self._changed = threading.Condition()
        self.values = defaultdict(int)
        self.values_by_process = defaultdict(int)
        self.gauges = []
        self.logs = []
        self.resources = []
        self.exports = 0

    def take_metrics(self, request):
        with self._changed:
            for resource in request.resource_metrics:
                self.resources.append(attributes_of(resource.resource.attributes))
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        self._take_metric(metric)
            self.exports += 1
            self._changed.notify_all()

    def _take_metric(self, metric):
        if metric.name != "assertlib.assertion.evaluations":
            points = (metric.gauge if metric.HasField("gauge") else metric.sum).data_points
            self.gauges += [
                (metric.name, attributes_of(point.attributes), point.as_int) for point in points
            ]
            return
        for point in metric.sum.data_points:
            key = tuple(sorted(attributes_of(point.attributes).items()))
            if metric.sum.aggregation_temporality == DELTA:
                self.values[key] += point.as_int
            else:
                self.values[key] = point.as_int
                # The time at which a series began tells one process from the other.
                self.values_by_process[point.start_time_unix_nano, key] = point.as_int

    def take_logs(self, request):
        with self._changed:
            for resource in request.resource_logs:
                for scope in resource.scope_logs:
                    self.logs += [
                        {
                            "event": record.event_name,
                            "severity": record.severity_number,
                            "body": plain(record.body),
                            "attributes": attributes_of(record.attributes),
                            "trace": record.trace_id.hex(),
                            "span": record.span_id.hex(),
                        }
                        for record in scope.log_records
                    ]
            self._changed.notify_all()

    def wait_until(self, ready, timeout=30):
        """Wait for *ready*, a predicate over this."""
        with self._changed:
            assert self._changed.wait_for(lambda: ready(self), timeout)

    def totals(self):
        """True and false evaluations by message, of all processes: each has series of its own."""
        return self._added(self.values_by_process)

    def counts(self):
        """True and false evaluations by message, of one process."""
        return self._added({(0, key): value for key, value in self.values.items()})

    def _added(self, values):
        found = defaultdict(lambda: [0, 0])
        for (_, key), value in values.items():
            point = dict(key)
            place = 0 if point["assertlib.assertion.condition"] else 1
            found[point["assertlib.assertion.id"]][place] += value
        return {message: tuple(counts) for message, counts in found.items()}


class _Metrics(metrics_grpc.MetricsServiceServicer):
    def __init__(self, received):
        self._received = received

    def Export(self, request, context):
        self._received.take_metrics(request)
        return metrics.ExportMetricsServiceResponse()


class _Logs(logs_grpc.LogsServiceServicer):
    def __init__(self, received):
        self._received = received

    def Export(self, request, context):
        self._received.take_logs(request)
        return logs.ExportLogsServiceResponse()


class GrpcReceiver:
    """Serves OTLP over gRPC."""

    protocol = "grpc"

    def __init__(self):
        self.received = Received()
        self._threads = futures.ThreadPoolExecutor(4)
        self._server = grpc.server(self._threads)
        metrics_grpc.add_MetricsServiceServicer_to_server(_Metrics(self.received), self._server)
        logs_grpc.add_LogsServiceServicer_to_server(_Logs(self.received), self._server)
        self.port = self._server.add_insecure_port(f"{LOOPBACK}:0")
        self._server.start()

    def close(self):
        self._server.stop(None).wait()
        self._threads.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = self.server.received
        if self.path.endswith("/metrics"):
            received.take_metrics(metrics.ExportMetricsServiceRequest.FromString(body))
        else:
            received.take_logs(logs.ExportLogsServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class HttpReceiver:
    """Serves OTLP over HTTP, as protobuf."""

    protocol = "http/protobuf"

    def __init__(self):
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _Handler)
        self._server.daemon_threads = True
        self.received = self._server.received = Received()
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class HangingReceiver:
    """Takes connections, and never answers."""

    def __init__(self, protocol):
        self.protocol = protocol
        self._listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._taken = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                self._taken.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self):
        # Closing alone leaves the thread in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listener, *self._taken):
            each.close()


ENDLESS = {
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"400\r\n" + b"x" * 1024 + b"\r\n",
    ),
    "a long body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", b"x" * 1024),
    "an open end": (b"HTTP/1.1 500 Error\r\n\r\n", b"x" * 1024),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 1021),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
    "no HTTP": (b"", b"\0" * 1024),
}
"""Answers that do not end: how each begins, and how it goes on."""


class EndlessReceiver:
    """
    Takes connections, and never ends its answer.

    Attributes:
        pause: Seconds between two bytes of it; 0 sends as fast as the other side reads.
        cut_off: How many answers the other side has closed.
        most: The most bytes of one answer that went out.
    """

    def __init__(self, protocol, answer, pause=0.0):
        self.protocol = protocol
        self.pause = pause
        self.cut_off = self.most = 0
        self._begin, self._rest = ENDLESS[answer]
        self._listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            answering = threading.Thread(target=self._answer, args=(taken,), daemon=True)
            self._threads.append(answering)
            answering.start()

    def _answer(self, taken):
        sent = 0
        with taken:
            taken.settimeout(1)
            try:
                taken.recv(65536)
                taken.sendall(self._begin)
                while not self._closing.wait(self.pause):
                    sent += taken.send(self._rest[:1] if self.pause else self._rest)
            except TimeoutError:
                return
            except OSError:
                self.cut_off += 1
            finally:
                self.most = max(self.most, sent)

    def close(self):
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._threads:
            each.join()
        self._listener.close()


def start(protocol, *, hang=False):
    """A receiver that runs in threads of this process."""
    if hang:
        return HangingReceiver(protocol)
    return GrpcReceiver() if protocol == "grpc" else HttpReceiver()


def environment_for(receiver, **more):
    """What a process has to be told to export to *receiver*."""
    return {
        "ASSERTLIB_OTEL": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{receiver.port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": receiver.protocol,
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "NO_PROXY": LOOPBACK,
        **more,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=["grpc", "http/protobuf"])
    parser.add_argument("--hang", action="store_true")
    options = parser.parse_args()
    print(start(options.protocol, hang=options.hang).port, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    sys.exit(0)
