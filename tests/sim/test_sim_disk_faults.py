"""
The simulated disk when calls fail, lie or take long, and when the power goes.
"""

import asyncio
import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib import always
from assertlib.sim import Tape

from ..forms import by_form
from .disks import contents, named, on_disk, over_tapes, put, refused
from .playing import faults_in, outcomes, play, tapes

# -- a sync that fails, and one that lies --------------------------------------------


def sync_failing(file, disk, *, forgets):
    disk.faults.sync_fails, disk.faults.forgets = 1.0, forgets
    with refused(errno.EIO):
        file.sync()
    disk.faults.sync_fails = 0.0


def test_after_a_failed_sync_data_may_stay_dirty_and_the_next_sync_saves_it():
    def steps(disk):
        file = named(disk, "/log")
        file.append(b"data")
        sync_failing(file, disk, forgets=0.0)
        assert file.synced == 0
        file.sync()
        assert file.synced == 4
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"data"}


def test_what_stays_dirty_is_lost_without_another_sync():
    def steps(disk):
        file = named(disk, "/log")
        file.append(b"d")
        sync_failing(file, disk, forgets=0.0)
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"", b"d"}


def test_a_failed_sync_may_drop_data_that_reads_find_until_the_power_is_cut():
    def steps(disk):
        file = put(disk, "/log", b"one")
        file.append(b"two")
        sync_failing(file, disk, forgets=1.0)
        assert file.synced == 3
        assert disk.read("/log") == b"onetwo"
        file.sync()
        assert (file.written, file.synced) == (6, 3), "synced is what is so"
        assert disk.read("/log") == b"onetwo"
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"one"}


def test_where_dropped_data_was_zeros_stand_before_what_was_synced_later():
    def steps(disk):
        file = put(disk, "/log", b"one")
        file.append(b"two")
        sync_failing(file, disk, forgets=1.0)
        file.append(b"three")
        file.sync()
        assert file.synced == 3
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"one\0\0\0three"}


def test_what_was_dropped_is_forgotten_once_it_is_cut_away_and_written_anew():
    def steps(disk):
        file = put(disk, "/log", b"one")
        file.append(b"two")
        sync_failing(file, disk, forgets=1.0)
        file.truncate(file.synced)
        file.append(b"three")
        file.sync()
        assert file.synced == 8
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"onethree"}


def test_what_was_dropped_is_forgotten_after_a_power_cut():
    def steps(disk):
        file = put(disk, "/log", b"one")
        file.append(b"two")
        sync_failing(file, disk, forgets=1.0)
        disk.cut_power()
        file = disk.open("/log")
        file.append(b"three")
        file.sync()
        return file.synced, disk.read("/log")

    assert over_tapes(steps) == {(8, b"onethree")}


def test_a_failed_sync_that_had_nothing_to_drop_drops_nothing():
    def steps(disk):
        file = put(disk, "/log", b"one")
        sync_failing(file, disk, forgets=1.0)
        file.append(b"two")
        file.sync()
        synced = file.synced
        disk.cut_power()
        return synced, disk.read("/log")

    assert over_tapes(steps) == {(6, b"onetwo")}


def test_which_of_both_a_failed_sync_does_is_up_to_the_tape():
    def steps(disk):
        file = named(disk, "/log")
        file.append(b"data")
        sync_failing(file, disk, forgets=0.5)
        file.sync()
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"", b"data"}


def test_the_sync_of_a_directory_may_fail_as_well():
    def steps(disk):
        disk.open("/log")
        disk.faults.sync_fails = 1.0
        with refused(errno.EIO):
            disk.sync_directory("/")
        assert disk.unsynced_names("/") == {"log"}
        disk.cut_power()
        return tuple(disk.list("/"))

    assert over_tapes(steps) == {(), ("log",)}


def test_a_lying_sync_makes_nothing_durable():
    def steps(disk):
        file = named(disk, "/log")
        file.append(b"d")
        disk.faults.sync_lies = 1.0
        file.sync()
        assert file.synced == 0, "synced is what is so"
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"", b"d"}


def test_a_lying_sync_of_what_was_written_anew_makes_nothing_durable():
    def steps(disk):
        file = put(disk, "/log", b"0123456789")
        file.truncate(4)
        file.append(b"abcdef")
        disk.faults.sync_lies = 1.0
        file.sync()
        synced = disk.read("/log")[: file.synced]
        disk.cut_power()
        return disk.read("/log").startswith(synced)

    assert over_tapes(steps) == {True}


def test_a_lying_sync_of_a_directory_makes_no_name_durable():
    def steps(disk):
        disk.open("/log")
        disk.faults.sync_lies = 1.0
        disk.sync_directory("/")
        assert disk.unsynced_names("/") == {"log"}
        disk.cut_power()
        return tuple(disk.list("/"))

    assert over_tapes(steps) == {(), ("log",)}


def test_after_a_lie_an_honest_sync_saves_everything():
    def steps(disk):
        file = disk.open("/log")
        file.append(b"data")
        disk.faults.sync_lies = 1.0
        file.sync()
        disk.sync_directory("/")
        disk.faults.sync_lies = 0.0
        file.sync()
        disk.sync_directory("/")
        disk.cut_power()
        return contents(disk)

    assert over_tapes(steps) == {(("log", b"data"),)}


STEPS = st.one_of(
    st.integers(0, 600),
    st.floats(0, 1),
    st.sampled_from(["sync", "sync that lies", "sync that fails", "sync that drops"]),
)


@settings(max_examples=by_form(37, 300))
@given(st.lists(STEPS, max_size=10), tapes)
def test_whatever_syncs_do_what_is_said_to_be_synced_survives(program, tape):
    def steps(disk):
        file = named(disk, "/log")
        for number, step in enumerate(program, 1):
            if isinstance(step, int):
                file.append(bytes([number]) * step)
            elif isinstance(step, float):
                file.truncate(int(file.written * step))
            elif step in {"sync that fails", "sync that drops"}:
                sync_failing(file, disk, forgets=float(step == "sync that drops"))
            else:
                disk.faults.sync_lies = float(step == "sync that lies")
                file.sync()
        synced = disk.read("/log")[: file.synced]
        disk.cut_power()
        return synced, disk.read("/log")

    synced, left = on_disk(steps, Tape(*tape))
    assert left.startswith(synced)


# -- reads and writes that fail ------------------------------------------------------


@pytest.mark.parametrize(("fault", "code"), [("full", errno.ENOSPC), ("write_fails", errno.EIO)])
def test_a_write_that_fails_leaves_a_part_of_its_data(fault, code):
    def steps(disk):
        file = put(disk, "/log", b"one")
        setattr(disk.faults, fault, 1.0)
        with refused(code):
            file.append(b"two")
        setattr(disk.faults, fault, 0.0)
        left = disk.read("/log")
        assert file.written == len(left)
        file.append(b"three")
        assert disk.read("/log") == left + b"three"
        return left

    assert over_tapes(steps) == {b"one", b"onet", b"onetw", b"onetwo"}


def test_a_read_that_fails_changes_nothing():
    def steps(disk):
        put(disk, "/log", b"data")
        disk.faults.read_fails = 1.0
        with refused(errno.EIO):
            disk.read("/log")
        with pytest.raises(FileNotFoundError):
            disk.read("/nothing")
        disk.faults.read_fails = 0.0
        return disk.read("/log")

    assert on_disk(steps) == b"data"


def flipped_bits(one, other):
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def test_a_rotten_bit_stays_through_reads_syncs_and_power_cuts():
    def steps(disk):
        file = put(disk, "/log", b"0123456789")
        disk.faults.rot = 1.0
        rotten = disk.read("/log")
        disk.faults.rot = 0.0
        assert flipped_bits(rotten, b"0123456789") == 1
        assert disk.read("/log") == rotten
        file.sync()
        disk.cut_power()
        assert disk.read("/log") == rotten
        return rotten

    assert len(over_tapes(steps)) > 20


def test_a_bit_that_rots_in_what_is_not_synced_stays_when_it_is():
    def steps(disk):
        file = named(disk, "/log")
        file.append(b"0123456789")
        disk.faults.rot = 1.0
        rotten = disk.read("/log")
        disk.faults.rot = 0.0
        file.sync()
        disk.cut_power()
        return disk.read("/log") == rotten

    assert over_tapes(steps) == {True}


def test_an_empty_file_does_not_rot():
    def steps(disk):
        named(disk, "/log")
        disk.faults.rot = 1.0
        return disk.read("/log")

    assert over_tapes(steps) == {b""}


# -- time ----------------------------------------------------------------------------


async def synced_slowly(world):
    """When, for the process that syncs, for its next step, and for another host meanwhile."""
    times = {"ticks": []}

    async def sync(host):
        file = named(host.disk, "/log")
        await asyncio.sleep(0.1)
        host.disk.faults.slow = 1.0
        times["begin"] = host.clock()
        file.append(b"data")
        file.sync()
        times["clock"] = host.clock() - times["begin"]
        times["loop"] = asyncio.get_running_loop().time()
        times["wall"] = host.wall_clock()
        await asyncio.sleep(0)
        times["next"] = world.now

    async def tick(host):
        for _ in range(100):
            await asyncio.sleep(0.01)
            times["ticks"].append(world.now)

    syncing, other = world.host("syncing", sync), world.host("other", tick)
    syncing.boot()
    other.boot()
    await other.ended()
    return times


def test_a_slow_sync_holds_up_its_own_process_and_nobody_else():
    slowest = 0.0
    for seed in range(20):
        times = play(synced_slowly, Tape(seed))
        assert 0.002 <= times["clock"] <= 0.5
        assert times["next"] >= 0.1 + times["clock"]
        assert times["ticks"] == pytest.approx([0.01 * n for n in range(1, 101)])
        slowest = max(slowest, times["clock"])
    assert slowest > 0.3


def test_who_waits_for_a_slow_sync_sees_the_time_go_by():
    times = play(synced_slowly, Tape(1))
    assert times["loop"] == pytest.approx(times["next"])
    assert times["wall"] % 1000 == pytest.approx(times["next"])


def test_all_tasks_of_a_process_wait_for_its_slow_sync():
    async def scenario(world):
        woken = []

        async def sleep():
            await asyncio.sleep(0.01)
            woken.append(world.now)

        async def main(host):
            task = asyncio.ensure_future(sleep())
            await asyncio.sleep(0)
            host.disk.faults.sync_takes = (0.3, 0.3)
            host.disk.open("/log").sync()
            await task

        host = world.host("server", main)
        host.boot()
        await host.ended()
        return woken

    assert play(scenario) == pytest.approx([0.3])


# -- power that goes in the middle of a step -----------------------------------------


def cut_in(call):
    """What is left of a log, and what was done, when the power goes in the middle of *call*."""

    async def scenario(world):
        done = []

        async def main(host):
            file = put(host.disk, "/log", b"data")
            host.disk.faults.cut = 1.0
            call(host, file)
            done.append("afterwards")
            await asyncio.sleep(0)

        host = booted(world, "server", main)
        assert await host.ended() is None
        assert not host.is_up
        host.disk.faults.cut = 0.0
        await asyncio.sleep(10)
        assert faults_in(world) == ["power-cut"]
        return tuple(done), contents(host.disk)

    return outcomes(scenario)


def booted(world, name, main=None):
    host = world.host(name, main)
    host.boot()
    return host


CHANGES = {
    "append": lambda host, file: file.append(b"more"),
    "sync": lambda host, file: file.sync(),
    "truncate": lambda host, file: file.truncate(0),
    "open": lambda host, file: host.disk.open("/new"),
    "rename": lambda host, file: host.disk.rename("/log", "/new"),
    "remove": lambda host, file: host.disk.remove("/log"),
    "sync_directory": lambda host, file: host.disk.sync_directory("/"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_power_may_go_just_before_a_call_that_changes_something(change):
    assert cut_in(CHANGES[change]) == {((), (("log", b"data"),))}


@pytest.mark.parametrize("change", CHANGES)
def test_what_code_does_on_its_way_out_does_not_change_the_disk(change):
    def call(host, file):
        try:
            file.append(b"more")
        finally:
            host.disk.faults.cut = 0.0
            CHANGES[change](host, file)

    assert {left for _, left in cut_in(call)} == {(("log", b"data"),)}


def test_what_code_sends_on_its_way_out_does_not_arrive():
    async def scenario(world):
        async def main(host):
            box = host.mailbox(1)
            loop = asyncio.get_running_loop()
            datagrams, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("0.0.0.0", 2)
            )
            _, writer = await asyncio.open_connection("other", 3)
            host.disk.faults.cut = 1.0
            try:
                host.disk.open("/log")
            finally:
                box.send(("other", 1), "message")
                datagrams.sendto(b"datagram", ("other", 2))
                writer.write(b"stream")

        got = []

        class Hear(asyncio.DatagramProtocol):
            def datagram_received(self, data, sender):
                got.append(data)

        async def hear(reader, writer):
            try:
                got.append(await reader.read())
            except ConnectionResetError:
                got.append("reset")
            writer.close()

        async def listen(host):
            box = host.mailbox(1)
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(Hear, local_addr=("0.0.0.0", 2))
            await asyncio.start_server(hear, port=3)
            while True:
                got.append(await box.receive())

        booted(world, "other", listen)
        await asyncio.sleep(0.1)
        await booted(world, "server", main).ended()
        await asyncio.sleep(10)
        return got

    assert play(scenario) == []


def test_the_power_goes_only_where_code_of_the_host_itself_calls():
    async def scenario(world):
        host = booted(world, "server")
        host.disk.faults.cut = 1.0
        file = host.disk.open("/log")
        file.append(b"data")
        return host.is_up, faults_in(world)

    assert play(scenario) == (True, [])


def test_who_waits_for_code_that_loses_its_power_goes_on():
    async def scenario(world):
        host = booted(world, "server")
        host.disk.faults.cut = 1.0

        async def write():
            host.disk.open("/log")

        with pytest.raises((TimeoutError, asyncio.CancelledError)):
            async with asyncio.timeout(5):
                await host.run(write())
        return host.is_up

    assert play(scenario) is False


def test_assertions_do_not_count_on_the_way_out_and_count_again_afterwards(children):
    def scenario():
        import asyncio

        from assertlib.sim import Options, Tape, run_trial

        async def main(host):
            host.disk.faults.cut = 1.0
            try:
                host.disk.open("/log")
            finally:
                always(False, "on the way out")
                try:
                    host.disk.open("/log")
                finally:
                    always(False, "further on the way out")

        async def rounds(world):
            host = world.host("server", main)
            for _ in range(2):
                host.boot()
                await asyncio.sleep(1)
                always(True, "afterwards")

        outcome = run_trial(rounds, Tape(None), Options(), name="one")
        always(True, "after the trial")
        return [failure.name for failure in outcome.failures]

    outcome = children.run(scenario)
    assert outcome.value == []
    counts = {message: hits for message, hits in outcome.counts.items() if hits != (0, 0)}
    assert counts == {"afterwards": (2, 0), "after the trial": (1, 0)}


# -- what is told --------------------------------------------------------------------


def append(disk):
    disk.open("/log").append(b"data")


def sync(disk):
    disk.open("/log").sync()


def read(disk):
    append(disk)
    disk.read("/log")


MISHAPS = [
    ({"write_fails": 1.0}, append, "write-error", set()),
    ({"full": 1.0}, append, "disk-full", set()),
    ({"read_fails": 1.0}, read, "read-error", set()),
    ({"sync_fails": 1.0, "forgets": 0.0}, sync, "fsync-error", set()),
    ({"sync_fails": 1.0, "forgets": 1.0}, sync, "fsync-forgets", set()),
    ({"slow": 1.0}, sync, "slow-fsync", set()),
    ({"sync_lies": 1.0}, sync, "fsync-lies", {"fsync-honest"}),
    ({"rot": 1.0}, read, "bit-rot", {"disk-honest"}),
]


@pytest.mark.parametrize(("faults", "call", "name", "breaks"), MISHAPS)
def test_a_fault_is_told_when_it_happens_and_only_then(faults, call, name, breaks):
    async def scenario(world):
        disk = world.host("server").disk
        call(disk)
        for fault, probability in faults.items():
            setattr(disk.faults, fault, probability)
        assert faults_in(world) == []
        assert world.breaks == set()
        try:
            call(disk)
        except OSError:
            pass
        return faults_in(world), world.breaks

    assert play(scenario) == ([name], breaks)


def test_a_fault_that_might_happen_but_does_not_is_not_told():
    async def scenario(world):
        disk = world.host("server").disk
        for fault in (
            "write_fails",
            "full",
            "read_fails",
            "sync_fails",
            "sync_lies",
            "cut",
            "slow",
            "rot",
        ):
            setattr(disk.faults, fault, 0.5)
        put(disk, "/log", b"data")
        disk.read("/log")
        return faults_in(world)

    assert play(scenario) == []


def test_what_a_fault_breaks_is_recorded(children):
    def scenario():
        from assertlib.sim import Options, Tape, run_trial

        async def main(world):
            disk = world.host("server").disk
            disk.faults.slow = disk.faults.sync_lies = 1.0
            disk.open("/log").sync()
            disk.open("/log").sync()

        run_trial(main, Tape(None), Options(), name="one")

    told = [
        (record.trial, sorted(record.active), sorted(record.breaks))
        for record in children.run(scenario).shard.faults
    ]
    assert told == [("one", ["slow-fsync"], []), ("one", ["fsync-lies"], ["fsync-honest"])]
