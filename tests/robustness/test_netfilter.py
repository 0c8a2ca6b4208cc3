"""
Partitions by packet filter: real processes of different users, on real connections.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from assertlib.history.requests import Put
from assertlib.robustness import netfilter
from assertlib.robustness.adapter import Member
from assertlib.robustness.cluster import Cluster, free_ports
from assertlib.robustness.netfilter import Netfilter, NetfilterError

from ..support import until

works = pytest.mark.skipif(netfilter.unavailable() is not None, reason=str(netfilter.unavailable()))

# As many tests may run at once as there are workers, and each has users of its own.
FIRST = 10_000 + os.getpid() % 5_000 * 10
UIDS = range(FIRST, FIRST + 10)
ABC = dict(zip("abc", UIDS, strict=False))


def rules():
    command = ["iptables", "--wait", "--table", "mangle", "--list-rules"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def rules_of(*filters):
    """The rules of these, or else all that know users of this file."""
    if filters:
        return [rule for rule in rules() if any(each.name in rule for each in filters)]
    return [rule for rule in rules() for uid in UIDS if f"--uid-owner {uid} " in rule]


def change(*options):
    subprocess.run(["iptables", "--wait", "--table", "mangle", *options], check=True)


# -- processes ------------------------------------------------------------------------------

PEER = r"""
import asyncio, concurrent.futures.thread, encodings.idna, json, os, sys

# Python may lie where only root can read: nothing is imported below.

os.setuid(int(sys.argv[1]))
received = []
connections = {}

async def serve(reader, writer):
    received.append("connection")
    while data := await reader.readline():
        received.append(data.decode().strip())
        writer.write(data)
    writer.close()

async def do(what, port=None, text="", within=10):
    if what == "received":
        return list(received)
    try:
        async with asyncio.timeout(within):
            if what == "connect":
                connections[port] = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = connections[port]
            if text:
                writer.write(f"{text}\n".encode())
                while what == "ask" and await reader.readline() != f"{text}\n".encode():
                    pass
            return True
    except TimeoutError:
        return False

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await do(**json.loads(line))), flush=True)

asyncio.run(main())
"""


class Peer:
    """A process of some user that serves, and connects to others."""

    def __init__(self, uid):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEER, str(uid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline())

    def _do(self, **told):
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def connect(self, peer, within=10):
        """Whether a new connection comes about in so many seconds."""
        return self._do(what="connect", port=peer.port, within=within)

    def ask(self, peer, text, within=10):
        """Whether *peer* answers *text*, on the connection there is, in so many seconds."""
        return self._do(what="ask", port=peer.port, text=text, within=within)

    def send(self, peer, text):
        """Give *text* to the kernel."""
        return self._do(what="send", port=peer.port, text=text)

    @property
    def received(self):
        return self._do(what="received")

    def end(self):
        self.process.kill()
        self.process.communicate()


@contextmanager
def peers(uids):
    with ExitStack() as stack:
        started = []
        for uid in uids:
            started.append(Peer(uid))
            stack.callback(started[-1].end)
        yield started


@pytest.fixture
def abc():
    """A started filter and a peer for each of its members, all connected to all."""
    with Netfilter(ABC) as filter, peers(ABC.values()) as found:
        for each in found:
            assert all(each.connect(other) for other in found if other is not each)
        yield filter, *found


# -- what is cut ----------------------------------------------------------------------------


@works
def test_existing_connections_are_cut_in_both_directions_and_go_on_after_healing(abc):
    filter, a, b, _ = abc
    assert a.ask(b, "before")
    filter.cut("a", "b")
    assert not a.ask(b, "from a", within=1)
    assert not b.ask(a, "from b", within=1)
    assert "from a" not in b.received
    assert "from b" not in a.received
    filter.heal()
    assert a.ask(b, "after a")
    assert b.ask(a, "after b")
    # Who accepts a connection says so in a thread of its own.
    told = [[each for each in peer.received if each != "connection"] for peer in (a, b)]
    assert told[0][-2:] == ["from b", "after b"]
    assert told[1][-3:] == ["before", "from a", "after a"]


@works
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_new_connections_are_neither_made_nor_accepted_until_healing(names):
    with Netfilter(ABC) as filter, peers(ABC.values()) as (a, b, _):
        filter.cut(*names)
        assert not a.connect(b, within=1.5)
        assert not b.connect(a, within=1.5)
        assert a.received == b.received == []
        filter.heal()
        assert a.connect(b)
        assert b.connect(a)
        assert a.ask(b, "after")
        assert b.received[-2:] == ["connection", "after"]


@works
def test_nothing_else_is_cut(abc):
    filter, a, b, c = abc
    with peers([os.getuid()]) as (client,):
        filter.cut("a", "b")
        for one, other in [(a, c), (c, a), (b, c), (c, b)]:
            assert one.ask(other, "existing")
            assert one.connect(other)
            assert one.ask(other, "new")
        for member in (a, b, c):
            assert client.connect(member)
            assert client.ask(member, "from a client")


@works
def test_a_member_can_be_cut_off_from_all_others(abc):
    filter, a, b, c = abc
    filter.cut("a", "b")
    filter.cut("a", "c")
    assert not a.ask(b, "x", within=0.5)
    assert not c.ask(a, "x", within=0.5)
    assert b.ask(c, "y")
    filter.heal()
    assert a.ask(b, "z")
    assert c.ask(a, "z")


@works
def test_what_the_kernel_still_sends_for_a_dead_process_does_not_get_through(abc):
    filter, a, b, _ = abc
    filter.cut("a", "b")
    assert a.send(b, "last words")
    a.end()
    # Long enough for several retransmissions, which begin after 0.2 s; there is nothing to
    # wait for where nothing may happen.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert "last words" not in b.received
    filter.heal()
    until(lambda: "last words" in b.received)


@works
def test_runs_side_by_side_do_not_cut_each_other():
    others = dict(zip("abc", UIDS[3:], strict=False))
    with (
        Netfilter(ABC) as filter,
        Netfilter(others) as other,
        peers([*ABC.values(), *others.values()]) as (a, b, _, x, y, _),
    ):
        assert a.connect(b)
        assert x.connect(y)
        filter.cut("a", "b")
        assert x.ask(y, "mine is not cut")
        assert not a.ask(b, "ours is", within=0.5)
        filter.heal()
        other.cut("a", "b")
        assert a.ask(b, "ours is healed")
        assert not x.ask(y, "mine is cut", within=0.5)


# -- rules ----------------------------------------------------------------------------------


@works
def test_a_cut_is_one_rule():
    with Netfilter(ABC) as filter:
        before = rules_of(filter)
        assert len(before) == 2 + 2 + len(ABC)
        filter.cut("a", "b")
        assert len(rules_of(filter)) == len(before) + 1
        filter.heal()
        assert rules_of(filter) == before


@works
def test_packets_that_a_cut_drops_are_counted_until_it_is_healed(abc):
    filter, a, b, c = abc
    assert filter.dropped() == 0
    filter.cut("a", "b")
    assert a.ask(c, "not cut")
    assert filter.dropped() == 0
    assert not a.ask(b, "cut", within=0.5)
    assert filter.dropped() > 0
    filter.heal()
    assert filter.dropped() == 0


@works
@pytest.mark.parametrize("ask", [Netfilter.check, Netfilter.heal, Netfilter.dropped])
def test_rules_that_were_removed_from_outside_are_reported(ask):
    with Netfilter(ABC) as filter:
        filter.check()
        filter.cut("a", "b")
        filter.check()
        (drop,) = (rule for rule in rules_of(filter) if rule.endswith("DROP"))
        change("-D", *drop.split()[1:])
        with pytest.raises(NetfilterError, match=r"1 of 8 rules .* were removed .*: -A .*DROP"):
            ask(filter)
    assert rules_of(filter) == []


@works
def test_nothing_is_left_after_stop_and_stopping_again_is_no_error():
    filter = Netfilter(ABC)
    filter.stop()
    filter.start()
    filter.cut("a", "b")
    filter.stop()
    filter.stop()
    assert rules_of(filter) == []
    filter.start()
    filter.stop()
    assert rules_of(filter) == []


@works
def test_nothing_is_left_after_an_error():
    with pytest.raises(ZeroDivisionError), Netfilter(ABC) as filter:
        filter.cut("a", "b")
        raise ZeroDivisionError
    assert rules_of(filter) == []


@works
def test_stop_removes_the_rest_when_others_removed_some():
    with Netfilter(ABC) as filter:
        (jump,) = (rule for rule in rules_of(filter) if rule.startswith("-A OUTPUT"))
        change("-D", *jump.split()[1:])
    assert rules_of(filter) == []


@works
def test_rules_are_removed_by_their_name_and_those_of_others_stay():
    others = dict(zip("abc", UIDS[3:], strict=False))
    with Netfilter(ABC) as filter, Netfilter(others) as other:
        filter.cut("a", "b")
        before = rules_of(other)
        assert netfilter.remove(filter.name) == [f"{filter.name}-{way}" for way in ("in", "out")]
        assert netfilter.remove(filter.name) == []
        assert rules_of(filter) == []
        assert rules_of(other) == before


# -- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uids", "told"),
    [
        ({"a": 5_001, "b": 5_001}, "two members share a user"),
        ({"a": 0}, "choose one between 1 and 65535"),
        ({"a": 65_536}, "choose one between 1 and 65535"),
        (dict(zip("abcdefghijklmnopq", range(5_001, 5_018), strict=True)), "use at most 16"),
    ],
)
def test_users_that_cannot_be_told_apart_are_an_error(uids, told):
    with pytest.raises(NetfilterError, match=told):
        Netfilter(uids)


def test_a_member_cannot_be_the_user_of_the_campaign(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 5_001)
    with pytest.raises(NetfilterError, match="member a runs as user 5001, as does the campaign"):
        Netfilter({"a": 5_001})


@works
def test_a_user_of_another_run_is_told_with_that_run():
    with Netfilter(ABC) as filter:
        assert netfilter.users()[ABC["c"]] == f"{filter.name}-out"
        told = rf"already runs a member of another campaign \(chain {filter.name}-out\)"
        with pytest.raises(NetfilterError, match=told):
            Netfilter({"x": ABC["c"]}).start()
    assert rules_of() == []


@works
def test_members_that_there_are_not_cannot_be_cut():
    with Netfilter(ABC) as filter:
        with pytest.raises(NetfilterError, match="unknown member 'z'; members: a, b, c"):
            filter.cut("a", "z")
        with pytest.raises(NetfilterError, match="a cannot be cut off from itself"):
            filter.cut("a", "a")


@pytest.mark.parametrize("ask", [lambda f: f.cut("a", "b"), Netfilter.heal])
def test_what_was_not_started_cannot_be_cut_or_healed(ask):
    with pytest.raises(NetfilterError, match=r"call start\(\) first"):
        ask(Netfilter(ABC))


def test_why_it_cannot_be_used_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "apt install iptables" in netfilter.unavailable()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in netfilter.unavailable()


@works
def test_what_the_kernel_turns_down_is_told(monkeypatch, tmp_path):
    program = tmp_path / "iptables-restore"
    program.write_text("#!/bin/sh\necho 'Extension owner is not supported' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(NetfilterError, match="owner is not supported; it needs root"):
        Netfilter(ABC).start()
    assert rules_of() == []


# -- a real etcd ----------------------------------------------------------------------------


@pytest.fixture
def place():
    """A directory that every user reaches."""
    path = Path(tempfile.mkdtemp(prefix="assertlib-netfilter-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cluster(place):
    etcd = pytest.importorskip("assertlib.robustness.etcd")
    ports = free_ports(6)
    members = [
        Member(name, place / name, port, peer, f"127.0.0.1:{peer}", uid)
        for (name, uid), port, peer in zip(ABC.items(), ports[:3], ports[3:], strict=True)
    ]
    # A binary below a home directory cannot be run by others.
    binary = shutil.copy(etcd.find_binary(), place / "binary")
    found = Cluster(etcd.Etcd(binary), members, place / "logs")
    yield found
    found.stop()


async def status(cluster, member):
    connection = await cluster.store.connect(member)
    try:
        async with asyncio.timeout(1):
            return await connection.status()
    finally:
        await connection.close()


async def leader_among(cluster, members, within=20):
    """The member that leads, as soon as it is one of *members*."""
    async with asyncio.timeout(within):
        while True:
            told = await asyncio.gather(
                *(status(cluster, member) for member in members), return_exceptions=True
            )
            for member, each in zip(members, told, strict=True):
                if not isinstance(each, BaseException) and each.is_leader:
                    return member
            await asyncio.sleep(0.05)


async def put(cluster, member, value, within=10):
    connection = await cluster.store.connect(member)
    try:
        async with asyncio.timeout(within):
            return await connection.do(Put("k", value))
    finally:
        await connection.close()


async def put_at_last(cluster, member, value):
    """What is proposed to a leader that was replaced and does not know it yet is lost."""
    async with asyncio.timeout(30):
        while True:
            with suppress(ConnectionError, TimeoutError):
                return await put(cluster, member, value)


async def agreement(cluster, revision):
    """All members have applied the same, up to *revision* at least."""
    while True:
        told = await asyncio.gather(*(status(cluster, member) for member in cluster.members))
        if len({(each.revision, each.hash) for each in told}) == 1:
            assert told[0].revision >= revision
            return
        await asyncio.sleep(0.05)


@pytest.mark.long
@works
def test_a_real_etcd_elects_a_new_leader_when_the_leader_is_cut_off_and_is_one_again_after(cluster):
    async def check(filter):
        await cluster.start()
        old = await leader_among(cluster, cluster.members)
        rest = [member for member in cluster.members if member is not old]
        for member in rest:
            filter.cut(old.name, member.name)
        # A client reaches the old leader, which has nobody to agree with.
        with pytest.raises((TimeoutError, ConnectionError)):
            await put(cluster, old, "lost", within=1)
        new = await leader_among(cluster, rest)
        assert (await put(cluster, new, "kept")).revision
        filter.heal()
        after = await put_at_last(cluster, old, "after")
        await asyncio.wait_for(agreement(cluster, after.revision), 20)

    with Netfilter(ABC) as filter:
        asyncio.run(check(filter))
        cluster.stop()
    assert rules_of(filter) == []
