"""
The simulated disk: like a real one until something breaks, and then as bad as one may be.
"""

import asyncio
import errno
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib import always
from assertlib.disk import Disk, File, RealDisk
from assertlib.sim import Tape

from .playing import faults_in, outcomes, play, tapes


def on_disk(steps, tape=None):
    """What *steps* returned, done on the disk of a host."""
    return play(as_scenario(steps), tape)


def over_tapes(steps):
    """What *steps* may return."""
    return outcomes(as_scenario(steps))


def as_scenario(steps):
    async def scenario(world):
        return steps(world.host("server").disk)

    return scenario


def named(disk, path):
    """A new file whose name is durable."""
    file = disk.open(path)
    disk.sync_directory("/")
    return file


def put(disk, path, data):
    """A file with a durable name and durable contents."""
    file = named(disk, path)
    file.append(data)
    file.sync()
    return file


def contents(disk):
    """All files, as something that can be put into a set."""
    return tuple((name, disk.read(f"/{name}")) for name in disk.list("/"))


def refused(code):
    return pytest.raises(OSError, check=lambda error: error.errno == code)


# -- as a real disk ------------------------------------------------------------------

PATHS = st.sampled_from(["a", "b", "d/a", "d/b", "missing/a"])
DIRECTORIES = st.sampled_from([".", "d", "missing"])
DATA = st.binary(max_size=20)
CALLS = st.one_of(
    st.tuples(st.sampled_from(["open", "close", "sync", "read", "exists", "remove"]), PATHS),
    st.tuples(st.sampled_from(["append", "append to what was removed"]), PATHS, DATA),
    st.tuples(st.just("truncate"), PATHS, st.floats(0, 1)),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.sampled_from(["list", "sync_directory"]), DIRECTORIES),
)


class Program:
    """Makes the same calls on any disk, with one open file for each name, and notes what it sees."""

    def __init__(self, disk, root):
        self.disk = disk
        self.root = root
        self.files = {}
        self.removed = []
        disk.make_directory(self.at("d"))
        disk.sync_directory(root)

    def at(self, path):
        return f"{self.root}/{path}"

    def run(self, calls):
        return [(call, self.result(*call), self.state()) for call in calls]

    def result(self, what, path, *rest):
        try:
            return self.do(what, path, *rest)
        except OSError as error:
            return type(error).__name__

    def do(self, what, path, *rest):
        file = self.files.get(path)
        if what == "open":
            if file is None:
                self.files[path] = self.disk.open(self.at(path))
        elif what == "rename":
            self.disk.rename(self.at(path), self.at(rest[0]))
            if path != rest[0]:
                self.forget(rest[0])
                self.move(path, rest[0])
        elif what == "remove":
            self.disk.remove(self.at(path))
            self.forget(path)
        elif what == "append to what was removed":
            if self.removed:
                self.removed[-1].append(rest[0])
        elif what in {"append", "sync", "truncate", "close"}:
            if file is not None:
                self.do_with(file, what, path, *rest)
        else:
            return getattr(self.disk, what)(self.at(path))
        return None

    def do_with(self, file, what, path, *rest):
        if what == "close":
            del self.files[path]
        if what == "truncate":
            rest = (int(file.written * rest[0]),)
        getattr(file, what)(*rest)

    def move(self, source, target):
        if source in self.files:
            self.files[target] = self.files.pop(source)

    def forget(self, path):
        if path in self.files:
            self.removed.append(self.files.pop(path))

    def state(self):
        directories = {
            path: (self.disk.list(self.at(path)), self.disk.unsynced_names(self.at(path)))
            for path in (".", "d")
        }
        files = {
            path: self.disk.read(self.at(path))
            for path in ("a", "b", "d/a", "d/b")
            if self.disk.exists(self.at(path))
        }
        sizes = [(file.written, file.synced) for file in [*self.files.values(), *self.removed]]
        return directories, files, sizes

    def close(self):
        for file in [*self.files.values(), *self.removed]:
            file.close()


@settings(max_examples=150)
@given(st.lists(CALLS, max_size=30))
def test_without_faults_it_does_what_a_real_disk_does(calls):
    with tempfile.TemporaryDirectory() as root:
        program = Program(RealDisk(), root)
        real = program.run(calls)
        program.close()
    assert on_disk(lambda disk: Program(disk, "/data").run(calls)) == real


def make_file_and_directory(disk, root):
    disk.make_directory(f"{root}/directory")
    file = disk.open(f"{root}/file")
    file.append(b"data")
    return file


ODD_CALLS = {
    "made directories are unsynced names": lambda disk, root, file: (
        disk.make_directory(f"{root}/new/below"),
        disk.unsynced_names(root),
        disk.unsynced_names(f"{root}/new"),
    ),
    "unsynced names of no directory": lambda disk, root, file: disk.unsynced_names(f"{root}/none"),
    "list of no directory": lambda disk, root, file: disk.list(f"{root}/none"),
    "sync of no directory": lambda disk, root, file: disk.sync_directory(f"{root}/none"),
    "list of a file": lambda disk, root, file: disk.list(f"{root}/file"),
    "open of a directory": lambda disk, root, file: disk.open(f"{root}/directory"),
    "read of a directory": lambda disk, root, file: disk.read(f"{root}/directory"),
    "remove of a directory": lambda disk, root, file: disk.remove(f"{root}/directory"),
    "rename over a directory": lambda disk, root, file: disk.rename(
        f"{root}/file", f"{root}/directory"
    ),
    "rename of a directory": lambda disk, root, file: (
        disk.rename(f"{root}/directory", f"{root}/other"),
        disk.list(root),
    ),
    "a directory where a file is": lambda disk, root, file: disk.make_directory(f"{root}/file"),
    "a file below a file": lambda disk, root, file: disk.open(f"{root}/file/below"),
    "a file made longer": lambda disk, root, file: (
        file.truncate(6),
        file.written,
        disk.read(f"{root}/file"),
    ),
    "a closed file appended to": lambda disk, root, file: (file.close(), file.append(b"late")),
    "a closed file synced": lambda disk, root, file: (file.close(), file.sync()),
}


@pytest.mark.parametrize("what", ODD_CALLS)
def test_what_a_real_disk_makes_of_odd_calls_it_does_too(what, tmp_path):
    def steps(disk, root):
        file = make_file_and_directory(disk, root)
        try:
            return ODD_CALLS[what](disk, root, file)
        except OSError as error:
            return errno.errorcode[error.errno]

    def simulated(disk):
        disk.make_directory("/data")
        return steps(disk, "/data")

    assert on_disk(simulated) == steps(RealDisk(), str(tmp_path))


def test_it_can_be_handed_to_who_asks_for_a_disk():
    def write(disk: Disk) -> File:
        file = disk.open("/log")
        file.append(b"data")
        file.sync()
        return file

    assert on_disk(lambda disk: (write(disk).synced, disk.read("/log"))) == (4, b"data")


def test_a_copy_has_the_same_contents_and_goes_its_own_way():
    def steps(disk):
        disk.make_directory("/d")
        file = disk.open("/d/log")
        file.append(b"one")
        disk.faults.read_fails = 1.0
        twin = disk.copy()
        twin.open("/d/log").append(b"two")
        twin.open("/d/new")
        disk.faults.read_fails = 0.0
        return disk.list("/d"), disk.read("/d/log"), twin.list("/d"), twin.read("/d/log")

    assert on_disk(steps) == (["log"], b"one", ["log", "new"], b"onetwo")


# -- what a power cut does to contents -----------------------------------------------


def written_then_cut(disk, sizes):
    """Append as many bytes as told, and sync where told None; what was durable, and what is left."""
    file = named(disk, "/log")
    writes = []
    for number, size in enumerate(sizes, 1):
        if size is None:
            file.sync()
            writes.clear()
        else:
            writes.append(bytes([number]) * size)
            file.append(writes[-1])
    durable = disk.read("/log")[: file.synced]
    disk.cut_power()
    return durable, writes, disk.read("/log")


WRITES = st.lists(st.none() | st.integers(0, 1500), max_size=8)


@settings(max_examples=300)
@given(WRITES, tapes)
def test_a_power_cut_spares_what_was_synced_and_keeps_loses_or_tears_each_later_write(sizes, tape):
    durable, writes, left = on_disk(lambda disk: written_then_cut(disk, sizes), Tape(*tape))
    assert left.startswith(durable)
    rest = left[len(durable) :]
    for write in writes:
        piece, rest = rest[: len(write)], rest[len(write) :]
        kept = piece.rstrip(b"\0")
        assert write.startswith(kept)
        assert kept == piece or rest.strip(b"\0"), "zeros stand only before what was kept later"
    assert not rest


@settings(max_examples=300)
@given(
    st.lists(st.none() | st.integers(0, 600) | st.floats(0, 1), max_size=10),
    tapes,
)
def test_with_cuts_of_the_file_each_byte_is_still_one_that_was_there(program, tape):
    def steps(disk):
        file = named(disk, "/log")
        ever = []
        for number, step in enumerate(program, 1):
            if step is None:
                file.sync()
                ever = [{byte} for byte in disk.read("/log")]
            elif isinstance(step, float):
                file.truncate(int(file.written * step))
            else:
                for at in range(file.written, file.written + step):
                    ever += [{0} for _ in range(at + 1 - len(ever))]
                    ever[at].add(number)
                file.append(bytes([number]) * step)
        durable = disk.read("/log")[: file.synced]
        disk.cut_power()
        return durable, ever, disk.read("/log")

    durable, ever, left = on_disk(steps, Tape(*tape))
    assert left.startswith(durable)
    assert len(left) <= len(ever)
    assert all(byte in {0, *known} for byte, known in zip(left, ever, strict=False))


def test_what_is_synced_is_what_was_appended_whatever_becomes_of_the_buffer():
    def steps(disk):
        file = named(disk, "/log")
        buffer = bytearray(b"data")
        file.append(buffer)
        file.append(memoryview(buffer)[1:3])
        buffer[:] = b"else"
        file.sync()
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"dataat"}


@given(WRITES)
def test_the_plainest_power_cut_takes_nothing(sizes):
    durable, writes, left = on_disk(lambda disk: written_then_cut(disk, sizes))
    assert left == durable + b"".join(writes)


def test_what_is_not_synced_may_be_kept_lost_torn_anywhere_and_torn_between_sectors():
    lengths = over_tapes(lambda disk: len(written_then_cut(disk, [1500])[2]))
    assert {0, 512, 1024, 1500} <= lengths
    assert any(length % 512 for length in lengths - {1500})


def test_of_two_writes_the_later_one_may_be_kept_alone():
    left = over_tapes(lambda disk: written_then_cut(disk, [1, 1])[2])
    assert left == {b"", b"\1", b"\1\2", b"\0\2"}


def test_a_cut_of_a_file_may_be_undone():
    def steps(disk):
        file = put(disk, "/log", b"0123456789")
        file.truncate(4)
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"0123", b"0123456789"}


def test_what_survived_a_power_cut_survives_the_next_one():
    def steps(disk):
        named(disk, "/log").append(b"x" * 1000)
        disk.open("/new").append(b"y" * 1000)
        disk.cut_power()
        once = contents(disk)
        disk.cut_power()
        return once == contents(disk)

    assert over_tapes(steps) == {True}


def test_a_file_that_is_opened_after_a_power_cut_goes_on_from_what_is_left():
    def steps(disk):
        put(disk, "/log", b"one").append(b"two")
        disk.cut_power()
        file = disk.open("/log")
        assert (file.written, file.synced) == (len(disk.read("/log")), 0)
        file.append(b"three")
        file.sync()
        disk.cut_power()
        return disk.read("/log")

    assert over_tapes(steps) == {b"one" + left + b"three" for left in (b"", b"t", b"tw", b"two")}


# -- what a power cut does to names --------------------------------------------------


def test_a_file_whose_name_was_not_synced_may_be_gone_with_all_its_synced_contents():
    def steps(disk):
        file = disk.open("/log")
        file.append(b"data")
        file.sync()
        disk.cut_power()
        return contents(disk)

    assert over_tapes(steps) == {(), (("log", b"data"),)}


def test_a_rename_happens_or_does_not():
    def steps(disk):
        put(disk, "/a", b"data")
        disk.rename("/a", "/b")
        disk.cut_power()
        return contents(disk)

    assert over_tapes(steps) == {(("a", b"data"),), (("b", b"data"),)}


def test_a_rename_that_replaces_leaves_the_old_file_or_the_new_one():
    def steps(disk):
        put(disk, "/log", b"old")
        put(disk, "/log.tmp", b"new")
        disk.rename("/log.tmp", "/log")
        disk.cut_power()
        return contents(disk)

    assert over_tapes(steps) == {(("log", b"old"), ("log.tmp", b"new")), (("log", b"new"),)}


def test_a_file_that_replaces_another_before_it_is_synced_may_be_empty():
    def steps(disk):
        put(disk, "/log", b"old")
        named(disk, "/log.tmp").append(b"n")
        disk.rename("/log.tmp", "/log")
        disk.cut_power()
        return dict(contents(disk))["log"]

    assert over_tapes(steps) == {b"old", b"n", b""}


def test_a_removed_file_may_come_back():
    def steps(disk):
        put(disk, "/log", b"data")
        disk.remove("/log")
        disk.cut_power()
        return contents(disk)

    assert over_tapes(steps) == {(), (("log", b"data"),)}


def test_one_change_of_a_name_may_happen_without_an_earlier_one():
    def steps(disk):
        put(disk, "/a", b"")
        put(disk, "/b", b"")
        disk.remove("/a")
        disk.remove("/b")
        disk.cut_power()
        return tuple(disk.list("/"))

    assert over_tapes(steps) == {(), ("a",), ("b",), ("a", "b")}


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["create", "rename", "replace", "remove"]), max_size=6), tapes)
def test_names_that_were_synced_are_as_they_were(changes, tape):
    def steps(disk):
        for number, change in enumerate(changes):
            put(disk, "/log", b"log %d" % number)
            if change == "create":
                disk.open(f"/new.{number}")
            elif change == "rename":
                disk.rename("/log", f"/log.{number}")
            elif change == "remove":
                disk.remove("/log")
            else:
                put(disk, "/tmp", b"other")
                disk.rename("/tmp", "/log")
        disk.sync_directory("/")
        before = contents(disk)
        disk.cut_power()
        return before, contents(disk), disk.unsynced_names("/")

    before, after, unsynced = on_disk(steps, Tape(*tape))
    assert [name for name, _ in after] == [name for name, _ in before]
    assert after == before
    assert unsynced == frozenset()


def test_the_plainest_power_cut_takes_no_name():
    def steps(disk):
        put(disk, "/kept", b"")
        disk.open("/new")
        disk.rename("/kept", "/renamed")
        put(disk, "/removed", b"")
        disk.remove("/removed")
        disk.cut_power()
        return disk.list("/")

    assert on_disk(steps) == ["new", "renamed"]


def test_directories_are_synced_apart():
    def steps(disk):
        disk.make_directory("/d")
        disk.open("/d/log")
        disk.open("/log")
        disk.sync_directory("/d")
        disk.cut_power()
        return disk.exists("/d/log"), disk.exists("/log")

    assert over_tapes(steps) == {(True, True), (True, False)}


def test_a_crash_of_the_host_cuts_the_power_and_a_kill_does_not():
    def ending(end):
        async def scenario(world):
            host = world.host("server")
            host.boot()
            host.disk.open("/log").append(b"d")
            end(host)
            return contents(host.disk)

        return outcomes(scenario)

    kept = (("log", b"d"),)
    assert ending(lambda host: host.crash()) == {(), (("log", b""),), kept}
    assert ending(lambda host: host.kill()) == {kept}
    assert ending(lambda host: host.stop()) == {kept}


def test_what_was_not_synced_before_a_kill_is_not_synced_after_it():
    async def scenario(world):
        host = world.host("server")
        host.boot()
        put(host.disk, "/log", b"").append(b"d")
        host.kill()
        host.boot()
        host.crash()
        return contents(host.disk)

    assert outcomes(scenario) == {(("log", b""),), (("log", b"d"),)}


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


@settings(max_examples=300)
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

    assert play(scenario) == ["reset"]


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
