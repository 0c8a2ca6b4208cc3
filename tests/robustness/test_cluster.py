"""
Real processes: killed, paused, started again, and gone when whoever started them is.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from assertlib.robustness.adapter import Connection, Member, NotAppliedError, Status, Store
from assertlib.robustness.cluster import Cluster, ClusterError, Process, free_ports

from ..support import until


def a_member(tmp_path, name="m1"):
    port, peer = free_ports(2)
    return Member(name, tmp_path / "data", port, peer, f"127.0.0.1:{peer}")


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def process(tmp_path):
    script = "import time\nprint('up', flush=True)\ntime.sleep(600)"
    process = Process(a_member(tmp_path), [sys.executable, "-c", script], tmp_path / "log")
    process.start()
    until(lambda: "up" in process.tail())
    yield process
    process.kill()


def test_a_killed_process_is_gone_and_can_start_again(process):
    pid = process.pid
    process.kill()
    assert not process.is_running
    assert process.pid is None
    process.start()
    until(lambda: process.tail().count("up") == 2)
    assert process.pid != pid


def test_a_paused_process_stands_still_and_goes_on(process):
    process.pause()
    until(lambda: state_of(process.pid) == "T")
    process.resume()
    until(lambda: state_of(process.pid) != "T")


def test_what_a_script_has_started_is_killed_with_it(tmp_path):
    python = f"{sys.executable} -c 'import time; print(\"in\", flush=True); time.sleep(600)'"
    script = ["sh", "-c", f"{python} & echo $!; wait"]
    process = Process(a_member(tmp_path), script, tmp_path / "log")
    process.start()
    until(lambda: "in" in process.tail())
    inner = int(next(line for line in process.tail().splitlines() if line.isdigit()))
    process.kill()
    until(lambda: not os.path.exists(f"/proc/{inner}") or state_of(inner) == "Z")


def test_a_paused_process_can_be_killed(process):
    process.pause()
    process.kill()
    assert not process.is_running
    process.resume()


def test_a_program_that_is_not_there_is_named(tmp_path):
    process = Process(a_member(tmp_path), ["/no/such/program"], tmp_path / "log")
    with pytest.raises(ClusterError, match="/no/such/program"):
        process.start()


class Sulking(Store):
    """Runs, and serves nobody."""

    name, model, profile = "sulking", "kv", "registers"

    def __init__(self, script):
        self.script = script

    def command(self, member, members):
        return [sys.executable, "-c", self.script]

    async def connect(self, member):
        return NoConnection()


class NoConnection(Connection):
    async def do(self, request):
        raise NotAppliedError("sulking")

    async def status(self):
        raise ConnectionError("sulking")


def test_a_member_that_does_not_serve_is_told_with_its_last_words(tmp_path):
    store = Sulking("import time; print('no mood', flush=True); time.sleep(600)")
    cluster = Cluster(store, [a_member(tmp_path)], tmp_path / "logs")

    async def run():
        cluster.process(cluster.members[0]).start()
        until(lambda: "no mood" in cluster.process(cluster.members[0]).tail())
        await cluster.ready(within=0.3)

    try:
        told = r"(?s)m1 of sulking is still not serving.*ConnectionError: sulking.*no mood"
        with pytest.raises(ClusterError, match=told):
            asyncio.run(run())
    finally:
        cluster.stop()


def test_a_member_that_ends_by_itself_is_told_with_its_last_words(tmp_path):
    store = Sulking("print('I quit', flush=True)")
    cluster = Cluster(store, [a_member(tmp_path)], tmp_path / "logs")
    told = r"(?s)m1 of sulking exited on its own.*code 0.*I quit"
    try:
        with pytest.raises(ClusterError, match=told):
            asyncio.run(cluster.start())
    finally:
        cluster.stop()


def test_free_ports_are_free_and_different():
    ports = free_ports(20)
    assert len(set(ports)) == 20


def test_a_store_that_tells_nothing_is_fine_by_default():
    class Silent(Connection):
        async def do(self, request):
            return None

    async def run():
        assert await Silent().status() == Status()
        await Silent().close()
        with pytest.raises(NotImplementedError, match="Silent does not support watches"):
            Silent().watch(None)

    asyncio.run(run())
