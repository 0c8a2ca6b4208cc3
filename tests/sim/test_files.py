"""
Files of a host: the same programs as on a real file system, and what a power cut leaves of them.
"""

# ruff: noqa: ASYNC230

import errno
import os
import shutil
from pathlib import Path

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
