"""
Campaigns whose faults reach every process of a member, and campaigns whose faults miss: the
first are judged, the others are not.
"""

import json
import os
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from assertlib.robustness import netfilter, powercut

from .campaigns import (
    DEBIAN,
    PATIENCE,
    campaign_of,
    command,
    environment,
    needs_debian_etcd,
    robustness,
)

needs_fuse = pytest.mark.skipif(
    powercut.unavailable() is not None, reason=str(powercut.unavailable())
)
needs_iptables = pytest.mark.skipif(
    netfilter.unavailable() is not None, reason=str(netfilter.unavailable())
)

# The first member holds the values; the others pass on what clients ask them.
STORE = """
import asyncio, json, os, sys

# As gofail answers; of its failpoints one is passed twice, one ends the process, one is missed.
HITS = {"passed": 2, "missed": 0, "fatal": 0}

async def failpoints(reader, writer):
    method, path, _ = (await reader.readline()).decode().split()
    if method == "PUT" and path == "/fatal":
        asyncio.get_running_loop().call_later(0.2, os._exit, 2)
    name, _, what = path[1:].partition("/")
    names = "".join(f"{each}=\\n" for each in HITS)
    text = str(HITS[name]) if what == "count" else names if method == "GET" else ""
    status = "200 OK" if method == "GET" else "204 No Content"
    writer.write(f"HTTP/1.0 {status}\\r\\nContent-Length: {len(text)}\\r\\n\\r\\n{text}".encode())
    writer.close()

async def main(log, port, peer_port, first):
    file = open(log, "a+")
    file.seek(0)
    values = dict(json.loads(line) for line in file)

    def answer(kind, key, *rest):
        found = values.get(key)
        if kind == "swap":
            found = found == rest[0]
        if kind == "put" or (kind == "swap" and found):
            values[key] = rest[-1]
            file.write(json.dumps([key, rest[-1]]) + "\\n")
            file.flush()
        return found

    async def serve(reader, writer):
        async for line in reader:
            writer.write(json.dumps(answer(*json.loads(line))).encode() + b"\\n")

    async def relay(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(*first.split(":"))
            async for line in reader:
                far_writer.write(line)
                found = await far_reader.readline()
                if not found:
                    break
                writer.write(found)
        except OSError:
            pass
        finally:
            writer.close()

    if "GOFAIL_HTTP" in os.environ:
        await asyncio.start_server(failpoints, *os.environ["GOFAIL_HTTP"].split(":"))
    await asyncio.start_server(relay if first else serve, "127.0.0.1", port)
    await asyncio.start_server(serve, "127.0.0.1", peer_port)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
"""

ADAPTER = """
import asyncio, json, sys
from pathlib import Path
from assertlib.history.requests import Done, Get, Put, Swap, Swapped, Value
from assertlib.robustness.adapter import Connection, Store

class Relay(Store):
    name, model, profile = "relay", "kv", "registers"

    def __init__(self, *wrap, direct=False, data=None):
        self.wrap, self.direct, self.data = wrap, direct, data

    def command(self, member, members):
        first = members[0]
        address = f"127.0.0.1:{first.peer_port}" if self.direct else first.peer_address
        log = Path(self.data or member.data) / f"{member.name}.log"
        to = "" if member is first else address
        start = [sys.executable, "store.py", log, member.port, member.peer_port, to]
        return [*self.wrap, *map(str, start)]

    async def connect(self, member):
        return Lines(*await asyncio.open_connection("127.0.0.1", member.port))

class Lines(Connection):
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def do(self, request):
        match request:
            case Get(key):
                return Value(await self.ask("get", key))
            case Put(key, value):
                await self.ask("put", key, value)
                return Done()
            case Swap(key, expected, value):
                return Swapped(await self.ask("swap", key, expected, value))

    async def ask(self, *words):
        self.writer.write(json.dumps(words).encode() + b"\\n")
        line = await self.reader.readline()
        if not line:
            raise ConnectionError("the connection broke")
        return json.loads(line)

    async def close(self):
        self.writer.close()

PLAIN = Relay()
SCRIPT = Relay("sh", "start.sh")
SESSION = Relay("sh", "-c", 'setsid "$@" & wait', "sh")
DETACHED = Relay("sh", "-c", '(setsid "$@" &); exec sleep 600', "sh")
HELPER = Relay("sh", "-c", 'setsid sleep 600 & exec "$@"', "sh")
DIRECT = Relay(direct=True)
ELSEWHERE = Relay(data=".")
"""

# A wrapper as people write them, without exec.
START = """\
#!/bin/sh
"$@"
exit $?
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "store.py").write_text(textwrap.dedent(STORE))
    (tmp_path / "adapter.py").write_text(textwrap.dedent(ADAPTER))
    (tmp_path / "start.sh").write_text(START)
    return tmp_path


def campaign(project, name, *arguments, seconds):
    return robustness(project, "run", f"adapter:{name}", "--for", f"{seconds}s", *arguments)


def records(directory):
    with (campaign_of(directory) / "history.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def faults(directory):
    """The records of the ends of faults, with their beginnings."""
    begun = {}
    for each in records(directory):
        if each["type"] == "fault" and each["phase"] == "begin":
            begun[each["name"]] = each["time"]
        elif each["type"] == "fault":
            yield each | {"begin": begun.pop(each["name"])}


def answers_during(directory, fault):
    """How many requests were sent to the member and answered while the fault lasted."""
    called = {
        each["id"]: each["endpoint"]
        for each in records(directory)
        if each["type"] == "call" and fault["begin"] + SETTLES < each["time"] < fault["time"]
    }
    return sum(
        each["type"] == "return"
        and each["outcome"] == "ok"
        and called.get(each["id"]) in fault["targets"]
        and each["time"] < fault["time"]
        for each in records(directory)
    )


SETTLES = 10**8
"""Nanoseconds in which a fault that has begun is in force."""


def left_of(directory):
    """Processes that work in *directory* or were started from it."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            place = os.readlink(f"/proc/{pid}/cwd")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if place.startswith(str(directory)) and state != "Z":
            found.append(int(pid))
    return found


@pytest.mark.parametrize(
    ("name", "kinds", "seconds"),
    [
        pytest.param(
            *("SCRIPT", ["kill", "pause", "partition", "blackhole"], 12), marks=pytest.mark.long
        ),
        ("DETACHED", ["kill", "partition"], 5),
    ],
)
def test_faults_reach_a_server_that_a_script_has_started(project, name, kinds, seconds):
    done = campaign(project, name, "--nodes", 2, "--faults", ",".join(kinds), seconds=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    found = list(faults(project))
    # Each kind has its turn before any comes again.
    assert {each["name"] for each in found[: len(kinds)]} == set(kinds)
    assert all(each["effect"] > 0 for each in found), found
    for each in found:
        if each["name"] == "pause" or (each["name"] != "kill" and each["targets"] == ["m2"]):
            assert answers_during(project, each) == 0, each
    assert left_of(project) == []


@pytest.mark.long
def test_a_server_with_a_session_of_its_own_is_paused_and_killed(project):
    done = campaign(project, "SESSION", "--faults", "pause,kill", seconds=5)
    assert done.returncode == 0, done.stdout + done.stderr
    for each in faults(project):
        assert each["measured"] == f"processes {'stopped' if each['name'] == 'pause' else 'killed'}"
        assert each["effect"] == 2
        if each["name"] == "pause":
            assert answers_during(project, each) == 0
    assert left_of(project) == []


@pytest.mark.long
def test_a_helper_of_a_member_does_not_outlive_the_campaign(project):
    done = campaign(project, "HELPER", "--faults", "kill", seconds=3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert left_of(project) == []


@pytest.mark.long
def test_an_adapter_that_ignores_peer_address_is_not_judged_for_partitions(project):
    done = campaign(project, "DIRECT", "--nodes", 2, "--faults", "partition,kill", seconds=5)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "warning: fault partition of m" in done.stderr
    assert "no bytes passed through the proxy; does the adapter use peer_address?" in done.stderr
    assert "faults        unknown" in done.stdout
    assert "UNKNOWN" in done.stdout
    assert "SUCCESS" not in done.stdout
    # What was asked for and had an effect is evidence, the rest is none.
    assert 'MISSED   "a fault is injected [bucket=partition]"' in done.stdout
    assert 'reached  "a fault is injected [bucket=kill]"' in done.stdout
    assert {each["name"]: bool(each["effect"]) for each in faults(project)} == {
        "partition": False,
        "kill": True,
    }


def test_a_campaign_too_short_for_all_its_faults_is_not_judged_for_the_rest(project):
    done = campaign(project, "PLAIN", "--nodes", 2, "--faults", "kill,reset", seconds=0.5)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "was never injected: the campaign was too short" in done.stdout


@pytest.mark.long
def test_failpoints_count_if_they_were_hit_or_ended_the_process(project):
    kinds = [f"gofail:{name}=sleep(1)" for name in ("passed", "missed", "fatal")]
    done = campaign(project, "PLAIN", "--faults", ",".join(kinds), seconds=9)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "gofail:missed=sleep(1) had no effect in 1 of 1 injections" in done.stdout
    assert "the failpoint was never hit" in done.stdout
    found = {each["name"]: (each["effect"], each["measured"]) for each in faults(project)}
    assert found[kinds[0]] == (2, "hits")
    assert found[kinds[2]] == (1, "process ended")


@pytest.mark.long
@needs_fuse
def test_a_store_that_keeps_its_data_elsewhere_is_not_judged_for_power_cuts(project):
    done = campaign(project, "ELSEWHERE", "--faults", "power-cut", seconds=2)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "m1 kept no files under member.data" in done.stdout


@needs_debian_etcd
@needs_iptables
def test_isolation_is_not_mixed_with_faults_of_the_proxy(tmp_path):
    done = robustness(tmp_path, "etcd", "--faults", "isolate,partition", "--binary", DEBIAN)
    assert done.returncode == 2
    assert "use a separate campaign" in done.stderr


# -- what vanishes under a campaign ------------------------------------------------------------


class Running:
    """A campaign that runs, with what it has printed to stderr so far."""

    def __init__(self, directory, *arguments):
        self.told = directory / "stderr"
        with self.told.open("wb") as stderr, (directory / "stdout").open("wb") as stdout:
            self.process = subprocess.Popen(
                command(*arguments),
                cwd=directory,
                env=environment(),
                stdout=stdout,
                stderr=stderr,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)

    def wait_for(self, text):
        ends = time.monotonic() + PATIENCE
        while text not in self.told.read_text():
            assert time.monotonic() < ends, self.told.read_text()
            assert self.process.poll() is None, self.told.read_text()
            time.sleep(0.02)

    def end(self):
        self.process.wait(PATIENCE)
        stdout, stderr = self.told.with_name("stdout").read_text(), self.told.read_text()
        assert "Traceback" not in stderr, stderr
        return self.process.returncode, stdout, stderr


def is_no_verdict_on_the_store(ended, piece):
    code, stdout, stderr = ended
    assert code == 3, stdout + stderr
    assert f"the harness failed, not the store: {piece}" in stderr
    assert f"the harness failed, not the store: {piece}" in stdout
    assert "UNKNOWN" in stdout
    assert "SUCCESS" not in stdout
    assert "FAILURE" not in stdout
    assert "VIOLATED" not in stdout


@pytest.mark.long
@needs_fuse
@pytest.mark.parametrize("faults", ["power-cut", "kill,power-cut"])
def test_a_disk_that_is_unmounted_from_outside_is_no_failure_of_the_store(project, faults):
    # A store that starts again finds an empty directory.
    with Running(project, "run", "adapter:PLAIN", "--faults", faults, "--for", "60s") as running:
        running.wait_for("processes killed")
        (disk,) = project.glob(".assertlib/runs/*/campaign/data/m1")
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        is_no_verdict_on_the_store(running.end(), f"the disk at {disk} vanished")
    assert str(project) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.long
@needs_debian_etcd
@needs_iptables
def test_rules_that_are_removed_from_outside_are_no_failure_of_the_store(monkeypatch):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        monkeypatch.setenv("TMPDIR", name)
        arguments = ("etcd", "--faults", "isolate", "--for", "60s", "--binary", DEBIAN)
        with Running(Path(name), *arguments) as running:
            running.wait_for("packets dropped")
            (ledger,) = Path(name).glob("*/*.campaign")
            lines = map(json.loads, ledger.read_text().splitlines())
            (chain,) = (f"{line['mark']}-out" for line in lines if line.get("kind") == "rules")
            flush = ["iptables", "--wait", "--table", "mangle", "--flush", chain]
            subprocess.run(flush, check=True)
            ended = running.end()
            told = r"rules of the packet filter were removed by another program"
            assert told in ended[2], ended[2]
            is_no_verdict_on_the_store(ended, "")
            mangle = ["iptables", "--wait", "--table", "mangle", "--list-rules"]
            rules = subprocess.run(mangle, capture_output=True, text=True, check=True).stdout
            assert chain.removesuffix("-out") not in rules
