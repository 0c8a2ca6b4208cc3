"""
A real etcd on a disk whose power is cut.
"""

import asyncio

import pytest

from assertlib.history.requests import Put, Range
from assertlib.robustness import powercut
from assertlib.robustness.adapter import Member
from assertlib.robustness.cluster import READY_WITHIN, Cluster, ClusterError, free_ports
from assertlib.robustness.powercut import PowerCutDisk

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(powercut.unavailable() is not None, reason=str(powercut.unavailable())),
]


async def acknowledged(cluster, seconds):
    """Keys whose puts one member has acknowledged."""
    found = []

    async def client(number):
        connection = await cluster.store.connect(cluster.members[0])
        try:
            async with asyncio.timeout(seconds):
                for count in range(100_000):
                    key = f"k{number}/{count}"
                    await connection.do(Put(key, "v"))
                    found.append(key)
        except TimeoutError:
            pass
        finally:
            await connection.close()

    await asyncio.gather(*(client(number) for number in range(8)))
    return found


async def present(cluster):
    connection = await cluster.store.connect(cluster.members[0])
    try:
        answer = await connection.do(Range("k", "l"))
        return {kv.key for kv in answer.kvs}
    finally:
        await connection.close()


async def lost_by_a_cut(tmp_path, options=(), within=READY_WITHIN):
    """
    Keys that were acknowledged and are gone after a cut, and those that were acknowledged last;
    None if etcd does not come back.
    """
    with PowerCutDisk(tmp_path / "disk", tmp_path / "durable") as disk:
        return await lost_by_a_cut_of(disk, tmp_path / "logs", options, within)


async def lost_by_a_cut_of(disk, logs, options, within):
    etcd = pytest.importorskip("assertlib.robustness.etcd")
    port, peer_port = free_ports(2)
    member = Member("n0", disk.mountpoint / "n0", port, peer_port, f"127.0.0.1:{peer_port}")
    cluster = Cluster(etcd.Etcd(etcd.find_binary(), options), [member], logs)
    try:
        await cluster.start()
        keys = await acknowledged(cluster, 2)
        assert len(keys) > 100
        cluster.process(member).kill()
        disk.cut()
        cluster.process(member).start()
        try:
            await cluster.ready(within)
        except ClusterError:
            return None, set()
        last = {key.partition("/")[0]: key for key in keys}
        return set(keys) - await present(cluster), set(last.values())
    finally:
        cluster.stop()


def test_a_real_etcd_loses_nothing_that_it_acknowledged_but_what_was_last(tmp_path):
    # A cluster of one acknowledges its newest batch while it is still being saved, up to 3.5.4:
    # etcd-io/etcd#14370.
    lost, last = asyncio.run(lost_by_a_cut(tmp_path))
    assert lost is not None, "it does not come back"
    assert lost <= last


def test_a_real_etcd_that_does_not_sync_loses_what_it_acknowledged_or_is_lost_itself(
    tmp_path,
):
    lost, _ = asyncio.run(lost_by_a_cut(tmp_path, ["--unsafe-no-fsync"], within=8))
    assert lost is None or lost
