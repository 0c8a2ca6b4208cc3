"""
Files of a host: the same programs as on a real file system, and what a power cut leaves of them.
"""

# ruff: noqa: ASYNC230

import errno
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.disk import RealDisk

from ..forms import by_form
from .playing import outcomes, play
from .running import result_of

NAMES = st.sampled_from(["a", "b", "sub/a", "sub", "missing/a"])
DATA = st.binary(max_size=12)
SPOT = st.integers(0, 20)
FLAGS = st.sampled_from(
    [
        os.O_RDONLY,
        os.O_RDWR,
        os.O_WRONLY | os.O_CREAT,
        os.O_RDWR | os.O_CREAT | os.O_TRUNC,
        os.O_RDWR | os.O_CREAT | os.O_EXCL,
        os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), NAMES, FLAGS),
        st.tuples(st.just("write"), DATA),
        st.tuples(st.just("pwrite"), DATA, SPOT),
        st.tuples(st.just("read"), SPOT),
        st.tuples(st.just("pread"), SPOT, SPOT),
        st.tuples(st.just("lseek"), SPOT, st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])),
        st.tuples(st.just("ftruncate"), SPOT),
        st.tuples(st.just("size")),
        st.tuples(st.just("close")),
        st.tuples(
            st.just("text"),
            NAMES,
            st.sampled_from(["w", "a", "x", "r+", "r"]),
            st.text("xy\n", max_size=6),
        ),
        st.tuples(st.just("mkdir"), NAMES),
        st.tuples(st.just("rmdir"), NAMES),
        st.tuples(st.just("rename"), NAMES, NAMES),
        st.tuples(st.just("remove"), NAMES),
        st.tuples(st.just("list")),
        st.tuples(st.just("kind"), NAMES),
    ),
    max_size=25,
)


class Player:
    """Plays steps below a directory, and notes what each returns or raises."""

    def __init__(self, root):
        self.root, self.descriptor = str(root), None

    def play(self, steps):
        os.makedirs(self.root, exist_ok=True)
        noted = []
        for name, *arguments in steps:
            try:
                noted.append((name, getattr(self, f"_{name}")(*arguments)))
            except OSError as error:
                noted.append((name, errno.errorcode[error.errno]))
            except UnicodeDecodeError as error:
                noted.append((name, error.reason))
        self._close()
        return noted, self._tree()

    def _at(self, name):
        return os.path.join(self.root, name)

    def _open(self, name, flags):
        self._close()
        self.descriptor = os.open(self._at(name), flags)
        if os.path.isdir(self._at(name)):
            self._close()

    def _close(self):
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor = None

    def _on_open_file(self, call, *arguments):
        return None if self.descriptor is None else call(self.descriptor, *arguments)

    def _write(self, data):
        return self._on_open_file(os.write, data)

    def _pwrite(self, data, offset):
        return self._on_open_file(os.pwrite, data, offset)

    def _read(self, size):
        return self._on_open_file(os.read, size)

    def _pread(self, size, offset):
        return self._on_open_file(os.pread, size, offset)

    def _lseek(self, position, how):
        return self._on_open_file(os.lseek, position, how)

    def _ftruncate(self, size):
        return self._on_open_file(os.ftruncate, size)

    def _size(self):
        return self._on_open_file(lambda descriptor: os.fstat(descriptor).st_size)

    def _text(self, name, mode, text):
        with open(self._at(name), mode, encoding="utf-8") as file:
            if mode == "r":
                return file.read()
            file.write(text)
            return file.tell()

    def _mkdir(self, name):
        os.mkdir(self._at(name))

    def _rmdir(self, name):
        os.rmdir(self._at(name))

    def _rename(self, source, target):
        os.rename(self._at(source), self._at(target))

    def _remove(self, name):
        os.remove(self._at(name))

    def _list(self):
        return sorted(os.listdir(self.root)), sorted(
            path.name for path in Path(self.root).rglob("*")
        )

    def _kind(self, name):
        path = Path(self._at(name))
        return path.exists(), path.is_file(), path.is_dir(), os.access(path, os.F_OK)

    def _tree(self):
        return {
            str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else None
            for path in Path(self.root).rglob("*")
        }


@settings(max_examples=by_form(100, 3_000), deadline=None)
@given(STEPS)
def test_a_program_sees_the_same_as_on_a_real_file_system(tmp_path_factory, steps):
    real = tmp_path_factory.mktemp("real")
    expected = Player(real / "store").play(steps)
    shutil.rmtree(real)

    async def main(host):
        return Player("/srv/store").play(steps)

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        return await host.ended()

    assert result_of(scenario) == expected


def booted(world, main):
    host = world.host("store", main)
    host.boot()
    return host


def test_a_power_cut_may_take_what_was_not_synced():
    async def main(host):
        with open("/log", "wb") as file:
            file.write(b"synced ")
            file.flush()
            os.fsync(file.fileno())
            directory = os.open("/", os.O_RDONLY)
            os.fsync(directory)
            file.write(b"unsynced")

    async def scenario(world):
        host = booted(world, main)
        await host.ended()
        host.crash()
        return host.disk.read("/log")

    left = outcomes(scenario, 60)
    assert {b"synced ", b"synced unsynced"} <= left
    assert all(each.startswith(b"synced ") for each in left)


def test_a_kill_leaves_what_was_written_and_loses_what_python_had_buffered():
    async def main(host):
        file = open("/log", "wb")  # noqa: SIM115
        file.write(b"flushed")
        file.flush()
        file.write(b"buffered")
        host.kill()
        await host.ended()

    async def scenario(world):
        host = booted(world, main)
        await host.ended()
        return host.disk.read("/log")

    assert play(scenario) == b"flushed"


def test_faults_of_the_disk_reach_the_file():
    async def main(host):
        host.disk.faults.full = 1.0
        try:
            with open("/log", "wb", buffering=0) as file:
                file.write(b"data")
        except OSError as error:
            return error.errno

    async def scenario(world):
        return await booted(world, main).ended()

    assert play(scenario) == errno.ENOSPC


def test_a_descriptor_ends_with_its_process():
    held = []

    async def main(host):
        if host.boots == 1:
            held.append(os.open("/file", os.O_RDWR | os.O_CREAT))
            return None
        try:
            os.write(held[0], b"x")
        except OSError as error:
            return error.errno

    async def scenario(world):
        host = booted(world, main)
        await host.ended()
        host.kill()
        host.boot()
        return await host.ended()

    assert play(scenario) == errno.EBADF


def test_the_real_disk_of_a_host_is_its_own():
    async def main(host):
        disk = RealDisk()
        file = disk.open("/log")
        file.append(b"0123456789")
        file.write_at(3, b"xx")
        file.sync()
        return file.read_at(2, 5), file.written, host.disk.read("/log")

    async def scenario(world):
        return await booted(world, main).ended()

    assert play(scenario) == (b"2xx56", 10, b"012xx56789")


def result_on_host(function):
    """What *function* returns on a host, in a trial that must not fail."""

    async def main(host):
        return function(host)

    async def scenario(world):
        return await booted(world, main).ended()

    return play(scenario)


def test_arguments_may_be_passed_by_name():
    def function(host):
        fd = os.open("/file", os.O_RDWR | os.O_CREAT, mode=0o600)
        os.fsync(fd=fd)
        os.close(fd=fd)
        os.rename(src="/file", dst="/moved")
        with open(file="/moved", mode="w", encoding="utf-8") as file:
            file.write("text")
        return os.listdir(path="/")

    assert result_on_host(function) == ["moved"]


def test_paths_may_be_relative_to_an_open_directory():
    def function(host):
        os.mkdir("/one")
        Path("/one/a").write_text("text")
        fd = os.open("/one", os.O_RDONLY)
        os.rename("a", "b", src_dir_fd=fd, dst_dir_fd=fd)
        return os.stat("b", dir_fd=fd).st_size, os.listdir(fd)

    assert result_on_host(function) == (4, ["b"])


def test_trees_are_copied_and_moved_as_on_a_real_disk():
    def function(host):
        for name in ("/one/segment", "/two/segment"):
            os.makedirs(name)
        assert not os.path.samefile("/one/segment", "/two/segment")
        Path("/one/segment/a").write_text("a")
        shutil.copytree("/one", "/three")
        shutil.copy2("/one/segment/a", "/b")
        shutil.move("/one/segment", "/two/segment")
        return sorted(map(str, Path("/").rglob("*")))

    assert result_on_host(function) == [
        "/b", "/one", "/three", "/three/segment", "/three/segment/a", "/two", "/two/segment",
        "/two/segment/segment", "/two/segment/segment/a",
    ]  # fmt: skip


def test_a_real_directory_that_a_host_removes_is_gone_for_it(tmp_path):
    def function(host):
        assert tmp_path.is_dir()
        shutil.rmtree(tmp_path)
        is_there = tmp_path.exists()
        tmp_path.mkdir()
        return is_there, tmp_path.is_dir()

    assert result_on_host(function) == (False, True)
    assert tmp_path.is_dir()


def test_a_write_that_fails_half_way_returns_what_it_has_written():
    def function(host):
        host.disk.faults.full = 0.5
        fd = os.open("/file", os.O_WRONLY | os.O_CREAT)
        left = b"abcdef"
        while left:
            try:
                left = left[os.write(fd, left) :]
            except OSError as error:
                assert error.errno == errno.ENOSPC
        return host.disk.read("/file")

    async def scenario(world):
        async def main(host):
            return function(host)

        return await booted(world, main).ended()

    assert outcomes(scenario, 40) == {b"abcdef"}


@pytest.mark.parametrize(
    "call",
    [
        lambda fd: os.pwrite(fd, b"x", -1),
        lambda fd: os.pread(fd, 1, -1),
        lambda fd: os.lseek(fd, 0, 99),
        lambda fd: os.ftruncate(fd, -1),
    ],
    ids=["pwrite", "pread", "lseek", "ftruncate"],
)
def test_invalid_numbers_are_refused_as_by_a_kernel(call):
    def function(host):
        fd = os.open("/file", os.O_RDWR | os.O_CREAT)
        with pytest.raises(OSError) as caught:
            call(fd)
        return caught.value.errno

    assert result_on_host(function) == errno.EINVAL


def test_data_that_a_failed_sync_dropped_is_synced_once_it_is_written_again():
    def function(host):
        file = host.disk.open("/file")
        file.append(b"abcd")
        file.sync()
        file.write_at(0, b"XXXX")
        host.disk.faults.sync_fails = host.disk.faults.forgets = 1.0
        with pytest.raises(OSError):
            file.sync()
        host.disk.faults.end()
        file.sync()
        before = file.synced
        file.write_at(0, b"XXXX")
        file.sync()
        return before, file.synced

    assert result_on_host(function) == (0, 4)
