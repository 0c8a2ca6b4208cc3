"""The whole store on a disk: acknowledgement, recovery, snapshots, power cuts."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kvstore.errors import KvError, LeaseNotFoundError, StoreFailedError
from kvstore.model import Command, Compact, DeleteRange, KeyRange, LeaseGrant, Put, Range, Txn
from kvstore.snapshot import SnapshotBrokenError
from kvstore.store import Options, Store
from kvstore.testing import FragileDisk, ManualClock

from assertlib import disk

OpenStore = Callable[..., Store]
EVERYTHING = KeyRange.everything()
SMALL = Options(snapshot_every=4)


def values(store: Store) -> dict[str, str]:
    return {kv.key: kv.value for kv in store.range(Range(EVERYTHING)).kvs}


def test_what_was_acknowledged_is_there_after_a_restart(open_store: OpenStore) -> None:
    async def scenario() -> None:
        store = open_store()
        await asyncio.gather(*(store.propose(Put(key, "x")) for key in "abc"))
        await store.propose(DeleteRange(KeyRange("b")))
        before = store.status()
        store.close()
        store = open_store()
        assert store.status() == before
        assert values(store) == {"a": "x", "c": "x"}
        store.close()

    asyncio.run(scenario())


def test_writes_that_come_together_share_one_sync(open_store: OpenStore) -> None:
    async def scenario() -> None:
        fragile = FragileDisk()
        store = open_store(fragile)
        before = fragile.calls
        await asyncio.gather(*(store.propose(Put("k", str(n))) for n in range(50)))
        assert fragile.calls - before == 2
        store.close()

    asyncio.run(scenario())


def test_a_refusal_is_told_to_the_one_who_asked_and_to_nobody_else(open_store: OpenStore) -> None:
    async def scenario() -> None:
        store = open_store()
        good, bad = store.propose(Put("a", "x")), store.propose(Put("b", "x", lease=1))
        assert (await good).revision == 2
        with pytest.raises(LeaseNotFoundError):
            await bad
        store.close()

    asyncio.run(scenario())


def test_a_snapshot_takes_the_place_of_the_log_before_it(open_store: OpenStore, data: str) -> None:
    async def scenario() -> None:
        store = open_store(options=SMALL)
        for number in range(10):
            await store.propose(Put("k", str(number)))
        await store.propose(LeaseGrant(3, 10.0))
        before = store.status()
        store.close()
        assert sorted(os.listdir(data)) == [
            "snapshot-0000000000000008.json",
            "wal-0000000000000009.log",
        ]
        store = open_store(options=SMALL)
        assert store.status() == before
        assert store.leases == {3}
        store.close()

    asyncio.run(scenario())


def test_a_damaged_snapshot_is_refused(open_store: OpenStore, data: str) -> None:
    async def scenario() -> None:
        store = open_store(options=SMALL)
        for number in range(4):
            await store.propose(Put("k", str(number)))
        store.close()

    asyncio.run(scenario())
    (path,) = Path(data).glob("snapshot-*")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotBrokenError):
        open_store(options=SMALL)


def test_a_store_whose_disk_failed_writes_no_more_but_still_reads(open_store: OpenStore) -> None:
    async def scenario() -> None:
        fragile = FragileDisk()
        store = open_store(fragile)
        await store.propose(Put("a", "1"))
        fragile.fail_next()
        with pytest.raises(StoreFailedError):
            await store.propose(Put("a", "2"))
        with pytest.raises(StoreFailedError):
            await store.propose(Put("a", "3"))
        assert store.has_failed
        assert values(store) == {"a": "1"}
        store.close()

    asyncio.run(scenario())


def test_an_unfinished_snapshot_is_swept_away(open_store: OpenStore, data: str) -> None:
    async def scenario() -> None:
        os.makedirs(data)
        Path(data, "snapshot.tmp").write_bytes(b"half of a snaps")
        store = open_store(options=SMALL)
        for number in range(4):
            await store.propose(Put("k", str(number)))
        store.close()
        assert not Path(data, "snapshot.tmp").exists()

    asyncio.run(scenario())


COMMANDS: tuple[Command, ...] = (
    Put("a", "1"),
    Put("b", "1"),
    Txn(success=(Put("left", "1"), Put("right", "1"))),
    DeleteRange(KeyRange("b")),
    Compact(4),
    Put("a", "2"),
    LeaseGrant(3, 10.0),
    Txn(success=(Put("left", "2", lease=3), Put("right", "2"))),
    Put("c", "1"),
    DeleteRange(KeyRange("a")),
    Put("a", "3"),
)


async def run_until_the_power_cut(store: Store) -> int:
    """How many of `COMMANDS` were acknowledged, one after the other."""
    for done, command in enumerate(COMMANDS):
        try:
            await store.propose(command)
        except StoreFailedError:
            return done
    return len(COMMANDS)


async def digests(directory: str, clock: ManualClock) -> list[str]:
    """The digest of an untroubled store after each of `COMMANDS`."""
    store = Store.open(disk.RealDisk(), directory, clock=clock)
    found = [store.status().digest]
    for command in COMMANDS:
        await store.propose(command)
        found.append(store.status().digest)
    store.close()
    return found


@pytest.mark.parametrize("keeps_unsynced", [False, True])
def test_a_power_cut_at_any_call_loses_nothing_acknowledged_and_splits_nothing(
    tmp_path: Path, clock: ManualClock, *, keeps_unsynced: bool
) -> None:
    async def scenario() -> None:
        whole = await digests(os.fspath(tmp_path / "whole"), clock)
        fatal, acknowledged = 0, 0
        while acknowledged < len(COMMANDS):
            fatal += 1
            directory = os.fspath(tmp_path / f"cut-{fatal}")
            acknowledged = 0
            fragile = FragileDisk(fatal, keeps_unsynced=keeps_unsynced)
            try:
                store = Store.open(fragile, directory, clock=clock, options=SMALL)
            except OSError:
                pass
            else:
                acknowledged = await run_until_the_power_cut(store)
                store.close()
            judge(directory, clock, whole, acknowledged)
        assert fatal > 40

    asyncio.run(scenario())


def judge(directory: str, clock: ManualClock, whole: list[str], acknowledged: int) -> None:
    store = Store.open(disk.RealDisk(), directory, clock=clock, options=SMALL)
    found = store.status().digest
    store.close()
    assert found in whole, "some command was split"
    assert whole.index(found) >= acknowledged


def test_commands_proposed_at_once_are_durable_or_in_doubt(
    tmp_path: Path, clock: ManualClock
) -> None:
    async def scenario() -> None:
        for fatal in range(4, 30):
            directory = os.fspath(tmp_path / f"cut-{fatal}")
            store = Store.open(FragileDisk(fatal), directory, clock=clock, options=SMALL)
            answers = [store.propose(Put(f"k{n}", "x")) for n in range(3)]
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
            store.close()
            store = Store.open(disk.RealDisk(), directory, clock=clock)
            there = set(values(store))
            store.close()
            done = {f"k{n}" for n, o in enumerate(outcomes) if not isinstance(o, KvError)}
            assert done <= there
            assert there in (set(), {"k0", "k1", "k2"})

    asyncio.run(scenario())
