"""
OTLP for real: the example store's server under load, and a collector that receives what it sends.
"""

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from kvstore.client import Client
from kvstore.errors import KvError
from kvstore.history import History
from kvstore.model import Range
from kvstore.workload import Session, swap, write, write_pairs

from assertlib.recording.reader import read_shards

from ..forms import sampled
from ..support import child_environment, counts_of
from . import receiver as receivers

EXAMPLE = Path(__file__).parents[2] / "examples" / "kvstore"
ACTIONS = 400


@pytest.fixture(params=["grpc", "http/protobuf"])
def receiver(request):
    receiver = receivers.start(request.param)
    yield receiver
    receiver.close()


@pytest.fixture
def any_receiver():
    """For what does not depend on how it is sent."""
    receiver = receivers.start("http/protobuf")
    yield receiver
    receiver.close()


@contextmanager
def serving(directory, **variables):
    """The server of the example store in a process of its own."""
    environment = child_environment(
        ASSERTLIB_RUN_DIR=str(directory / "run"), PYTHONPATH=str(EXAMPLE), **variables
    )
    command = [sys.executable, "-m", "kvstore", "serve", str(directory / "data"), "--announce"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            process.port = int(process.stdout.readline())
            yield process
        finally:
            process.kill()


class Counting(Client):
    """A client that knows how many writes were acknowledged."""

    acknowledged = 0

    async def call(self, question, expected):
        answer = await super().call(question, expected)
        Counting.acknowledged += not isinstance(question, Range)
        return answer


async def work(port, actions=ACTIONS, after=lambda done: None):
    """Keep the server busy."""
    Counting.acknowledged = 0
    client = await Counting.connect(port)
    session = Session(client, random.Random(1), History(), "test")
    try:
        for done in range(actions):
            await session.rng.choice((write, write_pairs, swap))(session)
            after(done)
    finally:
        await client.close()


def ended(process):
    """Ends the server in its regular way; returns what it said."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return err


def shard_counts(directory):
    return {
        message: counts
        for message, counts in counts_of(read_shards(str(directory / "run"))).items()
        if any(counts)
    }


def hit(counts):
    return {message: each for message, each in counts.items() if any(each)}


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_metrics_of_a_busy_server_agree_with_its_shard_to_the_unit(receiver, temporality, tmp_path):
    variables = receivers.environment_for(
        receiver,
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality,
        OTEL_SERVICE_NAME="kvstore",
    )
    with serving(tmp_path, **variables) as process:
        asyncio.run(work(process.port))
        receiver.received.wait_until(lambda received: received.exports >= 3)
        err = ended(process)
    assert "Traceback" not in err
    counts = hit(receiver.received.counts())
    assert sum(map(sum, counts.values())) > 10 * ACTIONS
    assert counts == shard_counts(tmp_path)
    assert receiver.received.resources[0]["service.name"] == "kvstore"


def test_log_records_of_a_busy_server_are_those_of_its_shard(receiver, tmp_path):
    with serving(tmp_path, **receivers.environment_for(receiver)) as process:
        asyncio.run(work(process.port))
        ended(process)
    (shard,) = read_shards(str(tmp_path / "run"))
    told = Counter(log["body"] for log in receiver.received.logs)
    assert told == Counter(hit.message for hit in shard.hits if hit.condition)
    assert {log["event"] for log in receiver.received.logs} == {"assertlib.assertion.first_true"}
    synced = next(log for log in receiver.received.logs if log["body"] == "ack follows fsync")
    assert synced["attributes"]["assertlib.invariant.id"] == "wal.fsync-before-ack#contents"
    assert synced["attributes"]["code.file.path"].endswith(".py")


def test_a_server_that_is_killed_leaves_all_counts_in_its_shard(receiver, tmp_path):
    with serving(tmp_path, **receivers.environment_for(receiver)) as process:

        def kill(done):
            if done == ACTIONS // 2:
                receiver.received.wait_until(lambda received: received.exports >= 2)
            if done == ACTIONS - 10:
                os.kill(process.pid, signal.SIGKILL)

        with pytest.raises(KvError):
            asyncio.run(work(process.port, after=kill))
        process.wait(10)
    counts = shard_counts(tmp_path)
    told = hit(receiver.received.counts())
    assert told
    assert all(
        told[name][0] <= counts[name][0] and told[name][1] <= counts[name][1] for name in told
    )
    # What was counted since the last export is in the shard alone; one write was in flight.
    in_flight = counts["ack follows fsync"][0] - Counting.acknowledged
    assert in_flight in (0, 1)


PROGRAM = """
    import time
    from assertlib import always, trial
    from assertlib.telemetry import setup_otel
    setup_otel()
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    trace.set_tracer_provider(TracerProvider())
    with trace.get_tracer("test").start_as_current_span("put") as span, trial("t", seed=7):
        always(span is None, "a claim", {"key": "k"}, invariant="kv.positive")
        context = span.get_span_context()
        print([f"{context.trace_id:032x}", f"{context.span_id:016x}"])
"""


def test_a_violation_arrives_in_the_trace_of_its_caller_with_all_that_is_known(receiver, children):
    outcome = children.run(PROGRAM, env=receivers.environment_for(receiver, ASSERTLIB_OTEL=""))
    (log,) = receiver.received.logs
    assert [log["trace"], log["span"]] == outcome.value
    assert (log["event"], log["severity"]) == ("assertlib.assertion.violated", 17)
    attributes = log["attributes"]
    assert attributes["assertlib.details"] == '{"key": "k"}'
    assert attributes["assertlib.condition.source"] == "span is None"
    assert attributes["assertlib.trial.seed"] == 7
    assert attributes["code.line.number"] > 0
    assert receiver.received.counts() == {"a claim": (0, 1)}


@pytest.mark.parametrize("count", [999, 1_000, 3_500])
def test_no_series_falls_into_the_overflow(children, count):
    receiver = receivers.start("http/protobuf")
    source = f"""
        from assertlib import always
        for number in range({count}):
            always(True, f"claim {{number}}")
    """
    # All in one export, at the end: one of thousands of series takes longer than the interval.
    patient = {"OTEL_METRIC_EXPORT_INTERVAL": "60000"}
    children.run(source, env=receivers.environment_for(receiver, **patient))
    receiver.close()
    assert receiver.received.counts() == {f"claim {number}": (1, 0) for number in range(count)}


def test_counts_go_on_when_the_run_directory_changes(children):
    receiver = receivers.start("http/protobuf")
    source = """
        from assertlib import always, configure
        for part in range(3):
            configure(run_dir=f"run-{part}")
            for _ in range(10):
                always(True, "claim")
    """
    children.run(source, env=receivers.environment_for(receiver))
    receiver.close()
    assert receiver.received.counts() == {"claim": (30, 0)}


def test_a_process_with_nothing_but_false_sometimes_is_measured(children):
    receiver = receivers.start("http/protobuf")
    source = "import assertlib\nfor _ in range(5): assertlib.sometimes(False, 'never yet')"
    children.run(source, env=receivers.environment_for(receiver))
    receiver.close()
    assert receiver.received.counts() == {"never yet": (0, 5)}


WORKERS = """
import multiprocessing, os, sys
from assertlib import always
from assertlib.telemetry import setup_otel

def work(number):
    if WHEN == "after":
        setup_otel()
    for _ in range(100):
        always(True, "in a worker")
    always(number < 0, f"worker {number} is idle")

if __name__ == "__main__":
    if WHEN == "before":
        setup_otel()
        always(True, "in the parent")
    if METHOD == "os.fork":
        for number in range(3):
            if os.fork() == 0:
                work(number)
                sys.exit(0)
        for _ in range(3):
            os.wait()
    else:
        context = multiprocessing.get_context(METHOD)
        started = [context.Process(target=work, args=[number]) for number in range(3)]
        for each in started:
            each.start()
        for each in started:
            each.join()
            assert each.exitcode == 0
"""


@pytest.mark.parametrize(
    ("when", "method"),
    sampled(itertools.product(("before", "after"), ("os.fork", "fork", "spawn")), every=2),
)
def test_workers_tell_all_they_have_counted(children, any_receiver, method, when):
    program = f"METHOD, WHEN = {method!r}, {when!r}\n{WORKERS}"
    variables = {"ASSERTLIB_OTEL": "", "OTEL_METRIC_EXPORT_INTERVAL": "60000"}
    if (method, when) == ("spawn", "before"):
        # A process that is spawned inherits nothing but the environment.
        variables["ASSERTLIB_OTEL"] = "1"
    children.run(program, env=receivers.environment_for(any_receiver, **variables))
    totals = any_receiver.received.totals()
    assert totals["in a worker"] == (300, 0)
    violated = [log for log in any_receiver.received.logs if log["severity"] == 17]
    assert {log["body"] for log in violated} == {f"worker {number} is idle" for number in range(3)}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_forked_child_does_not_wait_for_a_collector_that_hangs(children, protocol):
    receiver = receivers.start(protocol, hang=True)
    program = """
        import os, sys, time
        from assertlib import always
        from assertlib.telemetry import setup_otel
        setup_otel()
        always(True, "in the parent")
        if os.fork() == 0:
            always(True, "in a child")
            sys.exit(0)
        began = time.monotonic()
        os.wait()
        print(time.monotonic() - began)
    """
    variables = receivers.environment_for(receiver, OTEL_EXPORTER_OTLP_TIMEOUT="2")
    waited = children.run(program, env=variables).value
    receiver.close()
    assert waited < 8


# -- collectors that are dead -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "how"),
    sampled(itertools.product(("grpc", "http/protobuf"), ("refuses", "hangs", "dies")), every=2),
)
def test_a_dead_collector_costs_the_store_no_request_and_no_long_goodbye(tmp_path, protocol, how):
    receiver = receivers.start(protocol, hang=how == "hangs")
    if how == "refuses":
        receiver.close()
    variables = receivers.environment_for(receiver, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    with serving(tmp_path, **variables) as process:

        def die(done):
            if how == "dies" and done == ACTIONS // 2:
                receiver.close()

        asyncio.run(work(process.port, after=die))
        began = time.monotonic()
        err = ended(process)
        goodbye = time.monotonic() - began
    receiver.close()
    assert "Traceback" not in err
    assert goodbye < 10
    assert shard_counts(tmp_path)["ack follows fsync"][0] > 0


ASSERTING = """
    import resource, time
    import assertlib
    from assertlib.telemetry import setup_otel
    setup_otel()
    from opentelemetry import metrics
    assertlib.always(True, "claim")
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    before, began = peak(), time.monotonic()
    metrics.get_meter_provider().force_flush(60_000)
    print([time.monotonic() - began, peak() - before])
"""


@pytest.mark.parametrize(
    ("answer", "pause"), sampled(itertools.product(receivers.ENDLESS, (0, 0.02)), every=3)
)
def test_an_answer_that_does_not_end_is_cut_off(children, answer, pause):
    receiver = receivers.EndlessReceiver("http/protobuf", answer, pause)
    variables = receivers.environment_for(receiver, OTEL_EXPORTER_OTLP_TIMEOUT="2")
    variables["OTEL_METRIC_EXPORT_INTERVAL"] = "600000"
    outcome = children.run(ASSERTING, env=variables)
    seconds, mebibytes = outcome.value
    receiver.close()
    assert seconds < 8
    assert mebibytes < 64
    assert receiver.cut_off
    assert outcome.counts == {"claim": (1, 0)}


def test_an_answer_over_grpc_that_does_not_end_is_cut_off(children):
    receiver = receivers.EndlessReceiver("grpc", "no HTTP")
    variables = receivers.environment_for(receiver, OTEL_EXPORTER_OTLP_TIMEOUT="2")
    outcome = children.run(ASSERTING, env=variables)
    seconds, mebibytes = outcome.value
    receiver.close()
    assert seconds < 8
    assert mebibytes < 64
    assert receiver.cut_off


# -- what cannot be sent as it is ---------------------------------------------------------------

ODD = r"""
    from assertlib import always, sometimes, trial
    import sys
    always(True, "plain")
    with trial("t \ud800", seed=1 << 70):
        value = "v \udfff"
        always(value is None, "half \ud83d", {"key \udc00": value}, invariant="kv.\udcff")
    code = compile("always(False, 'elsewhere')", "store \udcff.py", "exec")
    exec(code)
    sometimes(True, "still plain")
"""


def test_half_a_surrogate_fails_no_record(receiver, children):
    outcome = children.run(ODD, env=receivers.environment_for(receiver))
    assert "Failed to encode" not in outcome.err
    told = {log["body"]: log["attributes"] for log in receiver.received.logs}
    assert set(told) == {"plain", "half \\ud83d", "elsewhere", "still plain"}
    odd = told["half \\ud83d"]
    assert odd["assertlib.trial.id"] == "t \\ud800"
    assert odd["assertlib.trial.seed"] == str(1 << 70)
    assert odd["assertlib.invariant.id"] == "kv.\\udcff"
    assert "udfff" in odd["assertlib.details"]
    assert told["elsewhere"]["code.file.path"] == "store \\udcff.py"
    assert set(receiver.received.counts()) == set(told)


# -- what is asked for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}, "carrier-pigeon"),
        ({"OTEL_METRICS_EXPORTER": "abacus"}, "abacus"),
    ],
    ids=str,
)
def test_a_variable_that_names_what_is_not_there_is_said_in_one_line(children, variables, said):
    source = "import assertlib\nprint(assertlib.always(True, 'claim'))"
    outcome = children.run(source, env={"ASSERTLIB_OTEL": "1", **variables})
    assert outcome.out == "True\n"
    (line,) = outcome.err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
        {"ASSERTLIB_OTEL": "0"},
    ],
    ids=str,
)
def test_nothing_is_sent_that_is_not_wanted(children, any_receiver, variables):
    source = "import assertlib\nassertlib.always(True, 'claim')"
    outcome = children.run(source, env={**receivers.environment_for(any_receiver), **variables})
    assert (any_receiver.received.exports, any_receiver.received.logs) == (0, [])
    assert outcome.counts == {"claim": (1, 0)}


def test_a_program_with_a_set_up_of_its_own_keeps_it(children, any_receiver):
    source = """
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        from assertlib import always
        from assertlib.telemetry import setup_otel
        setup_otel()
        always(True, "claim")
        data = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data
        print([point.value for point in data.data_points])
    """
    outcome = children.run(source, env=receivers.environment_for(any_receiver, ASSERTLIB_OTEL=""))
    assert outcome.value == [1, 0]
    assert any_receiver.received.exports == 0
