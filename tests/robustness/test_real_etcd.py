"""
Campaigns against real etcd servers, started, killed and judged as a user would.
"""

import asyncio
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from assertlib.history.etcd import Etcd as Model
from assertlib.history.etcd import apply
from assertlib.history.requests import (
    Compact,
    Compare,
    Delete,
    Grant,
    KeepAlive,
    Put,
    Range,
    Ranged,
    Refused,
    Revoke,
    Txn,
    Watch,
)
from assertlib.robustness import netfilter, powercut
from assertlib.robustness.adapter import Member
from assertlib.robustness.cluster import Cluster, free_ports
from assertlib.robustness.etcd import Etcd, find_binary

from .campaigns import (
    DEBIAN,
    PATIENCE,
    campaign_of,
    command,
    environment,
    judged,
    needs_debian_etcd,
    robustness,
    violated,
)

needs_fuse = pytest.mark.skipif(
    powercut.unavailable() is not None, reason=str(powercut.unavailable())
)

SERVERS = [
    pytest.param(None, id="3.5.1"),
    pytest.param(DEBIAN, id="3.4.23", marks=[needs_debian_etcd, pytest.mark.long]),
]


def until_found(directory, *arguments, tries=3):
    """A crash has to hit a narrow window; a campaign may miss it, three hardly ever do."""
    for number in range(tries):
        here = directory / str(number)
        here.mkdir()
        done = robustness(here, *arguments)
        if done.returncode:
            return here, done
    return here, done


@pytest.fixture
def public_directory():
    """A directory that other users are let into."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.mark.long
def test_the_divergence_of_3_5_1_is_found_and_explained(tmp_path):
    here, done = until_found(
        tmp_path, "etcd", "--faults", "kill", "--traffic", "range-compare", "--for", "30s"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert {"kv.replica-equal", "kv.linearizable"} <= violated(done.stdout)
    assert "incident: etcd-io/etcd#13766 (confirmed)" in done.stdout
    assert "the smallest illegal part:" in done.stdout
    campaign = campaign_of(here)
    assert "#13766" in (campaign / "report.md").read_text()
    assert "<html" in (campaign / "timeline.html").read_text()
    assert (campaign / "logs" / "m1.log").exists()
    assert (campaign / "data" / "m1").exists()


@pytest.mark.long
@pytest.mark.parametrize("binary", SERVERS)
def test_a_watch_from_a_compacted_deletion_loses_it_every_time(tmp_path, binary):
    which = [] if binary is None else ["--binary", binary]
    done = robustness(
        tmp_path,
        *("etcd", "--nodes", 1, "--faults", "none", "--traffic", "compaction", "--for", "6s"),
        *which,
    )
    assert done.returncode == 1
    assert violated(done.stdout) == {"watch.resumable", "watch.reliable"}
    assert "incident: etcd-io/etcd#18089 (confirmed)" in done.stdout
    assert re.search(r"the first event from revision \d+ is DELETE", done.stdout)


@pytest.mark.long
@needs_debian_etcd
def test_3_4_23_under_faults_gives_no_cause_for_alarm(tmp_path):
    faults = "kill,partition,one-way,delay,reset"
    done = judged(tmp_path, "etcd", "--faults", faults, "--for", "20s", "--binary", DEBIAN)
    assert violated(done.stdout) == set(), done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'reached  "clients reach the load that the traffic' in done.stdout
    assert not list(tmp_path.glob(".assertlib/runs/*/campaign/data"))


@pytest.mark.long
@needs_debian_etcd
@pytest.mark.skipif(netfilter.unavailable() is not None, reason=str(netfilter.unavailable()))
def test_members_that_are_isolated_by_their_users_give_no_cause_for_alarm(public_directory):
    done = robustness(
        public_directory, "etcd", "--faults", "isolate", "--for", "8s", "--binary", DEBIAN
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'reached  "a fault is injected [bucket=isolate]"' in done.stdout


@pytest.mark.long
@needs_debian_etcd
@needs_fuse
def test_a_power_cut_loses_nothing_that_was_synced(tmp_path):
    faults = "power-cut,power-cut-all"
    done = robustness(tmp_path, "etcd", "--faults", faults, "--for", "10s", "--binary", DEBIAN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^recovery +success", done.stdout, re.MULTILINE)


@pytest.mark.long
@needs_fuse
def test_an_etcd_that_does_not_sync_does_not_survive_a_power_cut(tmp_path):
    done = robustness(
        tmp_path,
        *("etcd", "--faults", "power-cut-all", "--for", "5s", "--option=--unsafe-no-fsync"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "kv.recovers" in violated(done.stdout)


@pytest.mark.skipif(
    "GOFAIL_ETCD" not in os.environ, reason="GOFAIL_ETCD names no etcd built with gofail"
)
def test_failpoints_end_members_and_slow_them_down(tmp_path):
    faults = "gofail:beforeCommit=panic,gofail:afterCommit=1*sleep(500)"
    binary = os.environ["GOFAIL_ETCD"]
    done = robustness(tmp_path, "etcd", "--faults", faults, "--for", "15s", "--binary", binary)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failpoint_of_a_program_without_gofail_is_said_to_be_none(tmp_path):
    done = robustness(
        tmp_path, "etcd", "--nodes", 1, "--faults", "gofail:beforeCommit=panic", "--for", "5s"
    )
    assert done.returncode == 2
    assert "gofail" in done.stderr
    assert not running_in(tmp_path)


@pytest.mark.long
def test_a_campaign_that_is_killed_is_judged_from_what_it_left(tmp_path):
    process = subprocess.Popen(
        command("etcd", "--faults", "kill,pause", "--for", "60s"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        members = wait_for_lines(tmp_path, random.Random().randrange(500, 5000))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not any(map(is_running, members)))
    done = robustness(tmp_path, "validate")
    assert re.search(r"^linearizable +success", done.stdout, re.MULTILINE)
    assert "INCONCLUSIVE" in done.stdout
    assert done.returncode in (0, 3), done.stdout


def wait_for_lines(directory, count):
    """The numbers of the members' processes, once so many records are written."""

    def written():
        files = list(directory.glob(".assertlib/runs/*/campaign/history.jsonl"))
        return bool(files) and files[0].read_bytes().count(b"\n") > count

    wait_until(written)
    return running_in(directory)


def running_in(directory):
    return [
        int(pid)
        for pid in os.listdir("/proc")
        if pid.isdigit() and str(directory).encode() in command_line(pid) and is_etcd(pid)
    ]


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_etcd(pid):
    return b"--data-dir=" in command_line(pid)


def is_running(pid):
    return is_etcd(pid)


def wait_until(condition):
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.05)


# -- the adapter against the model ---------------------------------------------------------


def some_request(rng, leases, newest):
    key = rng.choice("abc")
    value = str(rng.randrange(1000))
    relation = rng.choice(["=", "!=", "<", ">"])
    target = rng.choice(["version", "create", "mod", "lease", "value"])
    operand = value if target == "value" else rng.randrange(newest + 1)
    end = rng.choice(["", "", "z", "\0"])
    compare = Compare(key, target, relation, operand, end)
    put = Put(key, value, rng.choice([0, 0, *leases, 99]))
    other = rng.choice([Delete("d", "z"), Range("a", "z", limit=2), Range("b"), Put("d", value)])
    return rng.choice(
        [
            put,
            put,
            Range(key, end, limit=rng.randrange(3)),
            Delete(key, rng.choice(["", "", "c"])),
            Txn((compare,), (put, other), (other,)),
            Txn((compare,), (other,)),
            Grant(rng.randrange(1, 6), 3600),
            Revoke(rng.randrange(1, 6)),
            Compact(rng.randrange(1, newest + 3)),
        ]
    )


@pytest.mark.parametrize("binary", SERVERS)
def test_a_real_etcd_answers_as_the_model_does(tmp_path, binary, dice):
    async def run():
        async with one_member(tmp_path, binary) as connection:
            state = Model().initial()
            for _ in range(400):
                request = some_request(dice, list(state.leases), state.revision)
                if isinstance(request, Range):
                    expected = answer_of_range(state, request)
                else:
                    state, expected = apply(state, request)
                assert await connection.do(request) == expected, request

    asyncio.run(run())


def answer_of_range(state, request):
    _, answer = apply(state, Txn((), (request,)))
    return answer.results[0]


@pytest.mark.parametrize("binary", SERVERS)
def test_reads_of_the_past_and_refusals_are_told_as_such(tmp_path, binary):
    async def run():
        async with one_member(tmp_path, binary) as connection:
            for value in "123":
                await connection.do(Put("a", value))
            past = await connection.do(Range("a", revision=3))
            assert isinstance(past, Ranged)
            assert past.kvs[0].value == "2"
            assert await connection.do(Range("a", revision=9)) == Refused("future-revision")
            await connection.do(Compact(4))
            assert await connection.do(Range("a", revision=3)) == Refused("compacted")
            assert await connection.do(KeepAlive(5)) == Refused("lease-not-found")
            await connection.do(Grant(5, 60))
            assert (await connection.do(KeepAlive(5))).revision == 4
            assert (await connection.do(Range("a", serializable=True))).kvs[0].value == "3"
            status = await connection.status()
            assert (status.revision, status.compacted, status.is_leader) == (4, 4, True)

    asyncio.run(run())


@pytest.mark.parametrize("binary", SERVERS)
def test_a_watch_is_told_events_progress_and_its_end(tmp_path, binary):
    async def run():
        async with one_member(tmp_path, binary) as connection:
            await connection.do(Put("a", "1"))
            await connection.do(Put("a", "2"))
            await connection.do(Delete("a"))
            request = Watch("a", revision=2, prev_kv=True, progress_notify=True)
            events, seen_progress = [], False
            async for delivery in connection.watch(request):
                events += delivery.events
                seen_progress = seen_progress or not (delivery.events or delivery.created)
                if len(events) == 3 and seen_progress:
                    break
            assert [event.kind for event in events] == ["put", "put", "delete"]
            assert events[0].is_create
            assert not events[1].is_create
            assert [event.previous and event.previous.value for event in events] == [None, "1", "2"]
            await connection.do(Compact(4))
            told = [each async for each in connection.watch(Watch("a", revision=2))]
            assert told[-1].cancelled
            assert told[-1].compacted == 4

    asyncio.run(run())


class one_member:
    """A connection to an etcd of its own."""

    def __init__(self, directory, binary):
        store = Etcd(find_binary(binary))
        port, peer = free_ports(2)
        member = Member("m1", directory / "data", port, peer, f"127.0.0.1:{peer}")
        self.cluster = Cluster(store, [member], directory / "logs")

    async def __aenter__(self):
        await self.cluster.start()
        self.connection = await self.cluster.store.connect(self.cluster.members[0])
        return self.connection

    async def __aexit__(self, *_):
        await self.connection.close()
        self.cluster.stop()
