"""
The simulated disk: like a real one until the power is cut.
"""

import errno
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.disk import Disk, File, RealDisk
from assertlib.sim import Tape

from ..forms import by_form
from .disks import contents, named, on_disk, over_tapes, put
from .playing import outcomes, tapes

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


@settings(max_examples=by_form(20, 150))
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
    "rename of a directory over a file": lambda disk, root, file: disk.rename(
        f"{root}/directory", f"{root}/file"
    ),
    "rename of a directory into itself": lambda disk, root, file: disk.rename(
        f"{root}/directory", f"{root}/directory/below"
    ),
    "rename of a directory over another": lambda disk, root, file: (
        disk.make_directory(f"{root}/other"),
        disk.rename(f"{root}/directory", f"{root}/other"),
        disk.open(f"{root}/other/file").written,
        disk.list(root),
        disk.rename(f"{root}/other", f"{root}/third"),
        disk.list(f"{root}/third"),
        disk.make_directory(f"{root}/fourth"),
        disk.rename(f"{root}/fourth", f"{root}/third"),
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


@settings(max_examples=by_form(37, 300))
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


@settings(max_examples=by_form(37, 300))
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


@pytest.mark.parametrize("synced", [None, "/one", "/two"])
def test_a_rename_into_another_directory_happens_or_does_not(synced):
    def steps(disk):
        for directory in ("/one", "/two"):
            disk.make_directory(directory)
        disk.open("/one/log").sync()
        disk.sync_directory("/one")
        disk.rename("/one/log", "/two/log")
        if synced:
            disk.sync_directory(synced)
        disk.cut_power()
        return disk.exists("/one/log"), disk.exists("/two/log")

    assert over_tapes(steps) == {(False, True)} | (set() if synced else {(True, False)})


def test_a_new_file_renamed_into_another_directory_has_one_name_at_most():
    def steps(disk, synced):
        for directory in ("/one", "/two"):
            disk.make_directory(directory)
        disk.open("/one/log").sync()
        disk.rename("/one/log", "/two/log")
        if synced:
            disk.sync_directory("/two")
        disk.cut_power()
        return disk.exists("/one/log"), disk.exists("/two/log")

    assert over_tapes(lambda disk: steps(disk, synced=True)) == {(False, True)}
    assert over_tapes(lambda disk: steps(disk, synced=False)) == {
        (False, False),
        (True, False),
        (False, True),
    }


def test_a_file_renamed_twice_has_one_name():
    def steps(disk):
        put(disk, "/a", b"data")
        disk.rename("/a", "/b")
        disk.rename("/b", "/c")
        disk.cut_power()
        return tuple(disk.list("/"))

    assert over_tapes(steps) == {("a",), ("b",), ("c",)}


def test_a_file_renamed_out_of_the_way_is_not_lost():
    def steps(disk):
        put(disk, "/log", b"new")
        put(disk, "/log.1", b"old")
        disk.rename("/log.1", "/log.2")
        disk.rename("/log", "/log.1")
        disk.cut_power()
        return contents(disk)

    assert over_tapes(steps) == {
        (("log", b"new"), ("log.1", b"old")),
        (("log", b"new"), ("log.2", b"old")),
        (("log.1", b"new"), ("log.2", b"old")),
    }


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


@settings(max_examples=by_form(25, 200))
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
