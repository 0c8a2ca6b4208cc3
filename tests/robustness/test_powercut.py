"""
The disk whose power can be cut: what survives a cut, and what does not.
"""

import ctypes
import errno
import mmap
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.robustness import powercut
from assertlib.robustness.filesystem import FileSystem
from assertlib.robustness.powercut import PowerCutDisk, PowerCutError

from ..forms import by_form
from ..support import until

works = pytest.mark.skipif(powercut.unavailable() is not None, reason=str(powercut.unavailable()))
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def disk(tmp_path):
    with PowerCutDisk(tmp_path / "disk", tmp_path / "durable") as disk:
        yield disk


@pytest.fixture
def path(disk):
    return disk.mountpoint / "file"


def opened(path, flags=0):
    return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o644)


def mounts():
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8")


# -- data -----------------------------------------------------------------------------------


@works
@pytest.mark.parametrize("sync", [os.fsync, os.fdatasync])
def test_what_was_synced_survives_and_what_was_appended_after_it_does_not(disk, path, sync):
    file = opened(path)
    os.write(file, b"synced ")
    sync(file)
    os.write(file, b"not synced")
    assert path.read_bytes() == b"synced not synced"
    os.close(file)
    disk.cut()
    assert path.read_bytes() == b"synced "


@works
def test_closing_a_file_syncs_nothing(disk, path):
    path.write_bytes(b"never synced")
    disk.cut()
    assert path.read_bytes() == b""


@works
def test_what_was_overwritten_and_not_synced_is_as_before(disk, path):
    file = opened(path)
    os.write(file, b"x" * 10_000)
    os.fsync(file)
    os.pwrite(file, b"y" * 6_000, 3_000)
    assert path.read_bytes() == b"x" * 3_000 + b"y" * 6_000 + b"x" * 1_000
    os.close(file)
    disk.cut()
    assert path.read_bytes() == b"x" * 10_000


@works
@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_what_is_written_with_o_sync_is_synced_at_once(disk, path, flag):
    file = opened(path, flag)
    os.write(file, b"synced")
    os.close(file)
    disk.cut()
    assert path.read_bytes() == b"synced"


@works
def test_a_single_write_can_be_synced(disk, path):
    file = opened(path)
    os.pwritev(file, [b"synced"], 0, os.RWF_DSYNC)
    os.write(file, b"SYNC")
    os.close(file)
    disk.cut()
    assert path.read_bytes() == b"synced"


@works
def test_a_mapped_file_shows_what_is_written_synced_or_not(disk, path):
    file = opened(path)
    os.write(file, b"a" * 8_192)
    os.fsync(file)
    with mmap.mmap(file, 8_192, prot=mmap.PROT_READ) as mapped:
        assert mapped[4_096:4_097] == b"a"
        os.pwrite(file, b"b", 4_096)
        assert mapped[4_096:4_097] == b"b"
        os.fdatasync(file)
        os.pwrite(file, b"c", 4_096)
        assert mapped[4_096:4_097] == b"c"
    os.close(file)
    disk.cut()
    file = opened(path)
    with mmap.mmap(file, 8_192, prot=mmap.PROT_READ) as mapped:
        assert mapped[4_095:4_098] == b"aba"
    os.close(file)


@works
def test_what_is_written_through_a_mapping_survives_once_it_is_synced(disk, path):
    file = opened(path)
    os.write(file, bytes(8_192))
    os.fsync(file)
    with mmap.mmap(file, 8_192) as mapped:
        mapped[:6] = b"synced"
        mapped.flush()
        mapped[4_096:4_099] = b"not"
    os.close(file)
    assert path.read_bytes()[4_096:4_099] == b"not"
    disk.cut()
    assert path.read_bytes() == b"synced".ljust(8_192, b"\0")


@works
def test_shrinking_is_durable_at_once_and_growing_is_not(disk, path):
    file = opened(path)
    os.write(file, b"0123456789")
    os.fsync(file)
    os.ftruncate(file, 4)
    os.ftruncate(file, 8)
    assert path.read_bytes() == b"0123\0\0\0\0"
    os.close(file)
    disk.cut()
    assert path.read_bytes() == b"0123"


@works
def test_what_was_cut_off_does_not_come_back_when_the_file_grows_again(disk, path):
    file = opened(path)
    os.write(file, b"0123456789")
    os.ftruncate(file, 4)
    os.pwrite(file, b"8", 8)
    os.fsync(file)
    os.close(file)
    disk.cut()
    assert path.read_bytes() == b"0123\0\0\0\0" + b"8"


@works
def test_space_set_aside_is_there_once_it_is_synced(disk, path):
    file = opened(path)
    os.posix_fallocate(file, 0, 100_000)
    assert os.fstat(file).st_size == 100_000
    os.fsync(file)
    os.posix_fallocate(file, 0, 200_000)
    os.close(file)
    disk.cut()
    assert path.read_bytes() == bytes(100_000)


@works
def test_opening_a_file_to_truncate_it_loses_its_data_at_once(disk, path):
    file = opened(path)
    os.write(file, b"synced")
    os.fsync(file)
    os.close(opened(path, os.O_TRUNC))
    os.write(file, b"!")
    os.close(file)
    disk.cut()
    assert path.read_bytes() == b""


@works
def test_a_sync_for_which_there_is_no_space_is_an_error(tmp_path):
    backing = tmp_path / "small"
    backing.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", backing]).returncode:
        pytest.skip("a small file system cannot be mounted")
    try:
        with PowerCutDisk(tmp_path / "disk", backing) as disk:
            file = opened(disk.mountpoint / "file")
            os.write(file, bytes(b"x" * 100_000))
            with pytest.raises(OSError, match="No space left"):
                os.fsync(file)
            os.ftruncate(file, 1_000)
            os.fsync(file)
            os.close(file)
            disk.cut()
            assert (disk.mountpoint / "file").read_bytes() == b"x" * 1_000
    finally:
        subprocess.run(["umount", backing], check=True)


# -- names ----------------------------------------------------------------------------------


@works
def test_names_are_durable_at_once_and_data_follow_them(disk, path):
    os.mkdir(path.with_name("directory"))
    file = opened(path)
    os.write(file, b"synced")
    os.fsync(file)
    os.rename(path, path.with_name("directory") / "renamed")
    os.write(file, b", and more")
    os.fsync(file)
    os.close(file)
    os.symlink("directory/renamed", path.with_name("link"))
    os.link(path.with_name("link").resolve(), path.with_name("hard"))
    disk.cut()
    assert sorted(os.listdir(disk.mountpoint)) == ["directory", "hard", "link"]
    assert path.with_name("link").read_bytes() == b"synced, and more"
    assert path.with_name("hard").samefile(path.with_name("link"))
    os.unlink(path.with_name("hard"))
    os.unlink(path.with_name("link"))
    os.unlink(path.with_name("directory") / "renamed")
    os.rmdir(path.with_name("directory"))
    disk.cut()
    assert os.listdir(disk.mountpoint) == []


@works
@pytest.mark.parametrize("is_open", [True, False])
def test_a_file_that_replaces_another_by_its_name_keeps_only_what_was_synced(disk, path, is_open):
    old, new = opened(path), opened(path.with_name("new"))
    os.write(old, b"old")
    os.fsync(old)
    if not is_open:
        os.close(old)
    os.write(new, b"new")
    os.fsync(new)
    os.write(new, b"er")
    os.rename(path.with_name("new"), path)
    assert path.read_bytes() == b"newer"
    if is_open:
        assert os.pread(old, 10, 0) == b"old"
        os.close(old)
    os.close(new)
    disk.cut()
    assert path.read_bytes() == b"new"
    assert os.listdir(disk.mountpoint) == ["file"]


@works
@pytest.mark.parametrize("how", ["removed", "replaced", "synced"])
def test_nothing_is_kept_of_files_that_are_gone_or_synced(disk, path, how):
    descriptors = Path(f"/proc/{disk._process.pid}/fd")
    before = len(os.listdir(descriptors))
    for _ in range(20):
        path.with_name("new").write_bytes(b"not synced")
        if how == "removed":
            os.unlink(path.with_name("new"))
        else:
            os.rename(path.with_name("new"), path)
    if how == "synced":
        file = opened(path)
        os.fsync(file)
        os.close(file)
    # The kernel tells of the last close when it is done with it.
    until(lambda: len(os.listdir(descriptors)) == before + (how == "replaced"))


@works
def test_files_are_not_exchanged_which_would_lose_one(disk, path):
    path.write_bytes(b"one")
    path.with_name("two").write_bytes(b"two")
    names = [os.fsencode(path), os.fsencode(path.with_name("two"))]
    libc = ctypes.CDLL(None, use_errno=True)
    exchange = 2
    assert libc.renameat2(-100, names[0], -100, names[1], exchange) == -1
    assert ctypes.get_errno() == errno.EINVAL
    assert (path.read_bytes(), path.with_name("two").read_bytes()) == (b"one", b"two")


@works
def test_a_file_that_is_removed_while_it_is_open_can_be_used_until_it_is_closed(disk, path):
    file = opened(path)
    os.write(file, b"before")
    os.unlink(path)
    assert os.listdir(disk.mountpoint) == []
    os.write(file, b" and after")
    os.ftruncate(file, 14)
    assert os.fstat(file).st_size == 14
    assert os.pread(file, 100, 0) == b"before and aft"
    os.fsync(file)
    os.close(file)
    path.write_bytes(b"another")
    assert path.read_bytes() == b"another"
    disk.cut()
    assert os.listdir(disk.mountpoint) == ["file"]


@works
def test_modes_times_and_links_are_those_of_a_file_system(disk, path):
    path.write_bytes(b"x" * 5_000)
    told = path.stat()
    assert (told.st_size, stat.S_IMODE(told.st_mode), told.st_nlink) == (5_000, 0o644, 1)
    assert told.st_blocks * 512 >= 5_000
    path.chmod(0o600)
    os.utime(path, (1_000, 2_000))
    os.utime(path, ns=(3_000, 4_000))
    disk.cut()
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (3_000, 4_000)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    subprocess.run(["touch", "-m", path], check=True)
    assert path.stat().st_atime_ns == 3_000
    assert abs(path.stat().st_mtime - time.time()) < 60
    os.mkfifo(path.with_name("pipe"))
    assert stat.S_ISFIFO(path.with_name("pipe").stat().st_mode)
    assert os.statvfs(disk.mountpoint).f_bavail > 0
    assert [entry.inode() for entry in os.scandir(disk.mountpoint) if entry.name == "file"] == [
        path.stat().st_ino
    ]


@works
def test_writing_changes_the_time_and_syncing_does_not(disk, path):
    file = opened(path)
    os.utime(path, (1_000, 2_000))
    os.write(file, b"x")
    written = path.stat().st_mtime_ns
    assert written > 2_000 * 10**9
    os.fsync(file)
    os.close(file)
    disk.cut()
    assert path.stat().st_mtime_ns == written


@works
@only_root
def test_files_belong_to_who_makes_them_and_are_closed_to_others(tmp_path, disk, path):
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.geteuid() and directory.name.startswith("pytest"):
            directory.chmod(0o755)
    disk.mountpoint.chmod(0o777)

    def shell(command, user):
        return subprocess.run(
            ["sh", "-c", f"umask 022; {command}"], cwd=disk.mountpoint, user=user, group=user
        ).returncode

    assert shell("echo mine >file && mkdir directory && mkfifo pipe && ln -s file link", 1234) == 0
    for name in ("file", "directory", "pipe", "link"):
        assert path.with_name(name).lstat().st_uid == 1234
    assert shell("cat file && ! echo yours >>file && ! touch directory/x", 4321) == 0
    assert shell("rm -r file directory pipe link", 1234) == 0


# -- calls ----------------------------------------------------------------------------------
# What kernels differ in, or cannot be seen from outside in time.


@pytest.fixture
def system(tmp_path):
    return FileSystem(str(tmp_path), lambda: (os.getuid(), os.getgid(), 0))


def made(system, name, flags=0):
    """A file that holds its own name, not synced."""
    fi = SimpleNamespace(flags=os.O_RDWR | flags, fh=0)
    system.create(name, 0o644, fi)
    assert system.write(name, name.encode(), 0, fi) == len(name)
    return fi


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_what_a_kernel_says_is_to_be_synced_is_durable_when_the_call_returns(
    system, tmp_path, flag
):
    made(system, "/file", flag)
    assert (tmp_path / "file").read_text() == "/file"


def test_there_is_always_a_file_of_a_name_that_is_given_to_another_while_it_is_open(
    system, tmp_path, monkeypatch
):
    for name in ("/file", "/new"):
        system.fsync(name, 0, made(system, name))
    # As libfuse does it: what is open is hidden, and then replaced.
    with monkeypatch.context() as patch:
        patch.delattr(os, "unlink")
        system.rename("/file", "/.fuse_hidden0001")
        assert (tmp_path / "file").read_text() == "/file"
        system.rename("/new", "/file")
    assert (tmp_path / "file").read_text() == "/new"
    assert os.listdir(tmp_path) == ["file"]
    # What is not replaced is gone with the next call.
    system.rename("/file", "/.fuse_hidden0002")
    assert [name for name, _, _ in system.readdir("/", 0)] == [".", ".."]
    assert os.listdir(tmp_path) == []


def test_a_sync_that_writes_only_a_part_is_an_error(system, monkeypatch):
    fi = made(system, "/file")
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: len(data) - 1)
    with pytest.raises(OSError, match="No space left"):
        system.fsync("/file", 0, fi)


# -- a model --------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
SIZES = st.integers(0, 10_000)
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, SIZES, st.integers(1, 5_000)),
    st.tuples(st.just("append"), NAMES, st.integers(1, 300)),
    st.tuples(st.just("truncate"), NAMES, SIZES),
    st.tuples(st.just("sync"), NAMES),
    st.tuples(st.just("write durably"), NAMES, SIZES, st.integers(1, 5_000)),
    st.tuples(st.just("close"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("remove"), NAMES),
)


class Content:
    """A file as it is promised to be."""

    def __init__(self):
        self.seen = b""
        self.durable = b""

    def write(self, data, offset):
        before = self.seen.ljust(offset, b"\0")
        self.seen = before[:offset] + data + before[offset + len(data) :]

    def truncate(self, length):
        self.seen = self.seen[:length].ljust(length, b"\0")
        self.durable = self.durable[:length]

    def sync(self):
        self.durable = self.seen


class Player:
    """Does the same on a directory and on the model of it."""

    def __init__(self, directory):
        self.directory = directory
        self.contents = {}
        self.files = {}
        self.bytes = Counter()

    def file(self, name):
        if name not in self.files:
            self.files[name] = opened(self.directory / name)
            self.contents.setdefault(name, Content())
        return self.files[name]

    def data(self, size):
        self.bytes["used"] += 1
        return bytes([self.bytes["used"] % 255 + 1]) * size

    def do(self, what, name, *more):
        match what:
            case "write" | "write durably":
                offset, size = more
                data, file = self.data(size), self.file(name)
                flags = os.RWF_DSYNC if what == "write durably" else 0
                assert os.pwritev(file, [data], offset, flags) == size
                self.contents[name].write(data, offset)
                if flags:
                    self.contents[name].sync()
            case "append":
                data, file = self.data(*more), self.file(name)
                with open(self.directory / name, "ab") as appended:
                    appended.write(data)
                self.contents[name].write(data, len(self.contents[name].seen))
            case "truncate":
                # By its name if it is not open.
                if name in self.contents:
                    os.truncate(self.files.get(name, self.directory / name), *more)
                    self.contents[name].truncate(*more)
            case "sync":
                os.fsync(self.file(name))
                self.contents[name].sync()
            case "close":
                if name in self.files:
                    os.close(self.files.pop(name))
            case "rename":
                (new,) = more
                if name in self.contents and new != name:
                    os.rename(self.directory / name, self.directory / new)
                    self.contents[new] = self.contents.pop(name)
                    self._moved(name, new)
            case "remove":
                if name in self.contents:
                    os.unlink(self.directory / name)
                    del self.contents[name]
                    self._moved(name, None)

    def _moved(self, name, new):
        file = self.files.pop(name, None)
        if new in self.files:
            os.close(self.files.pop(new))
        if file is not None and new is None:
            os.close(file)
        elif file is not None:
            self.files[new] = file

    def close(self):
        while self.files:
            os.close(self.files.popitem()[1])

    def found(self):
        return {name: (self.directory / name).read_bytes() for name in os.listdir(self.directory)}


@pytest.fixture(scope="module")
def lasting_disk(tmp_path_factory):
    place = tmp_path_factory.mktemp("lasting")
    with PowerCutDisk(place / "disk", place / "durable") as disk:
        yield disk


@works
@settings(max_examples=by_form(8, 60))
@given(rounds=st.lists(st.lists(STEPS, max_size=12), min_size=1, max_size=3))
def test_whatever_is_done_is_seen_and_what_was_synced_of_it_survives(lasting_disk, rounds):
    directory = lasting_disk.mountpoint
    for name in os.listdir(directory):
        os.unlink(directory / name)
    player = Player(directory)
    for steps in rounds:
        for step in steps:
            player.do(*step)
            assert player.found() == {n: c.seen for n, c in player.contents.items()}
        player.close()
        lasting_disk.cut()
        for content in player.contents.values():
            content.seen = content.durable
        assert player.found() == {n: c.durable for n, c in player.contents.items()}


# -- the process ----------------------------------------------------------------------------


@works
def test_stopping_syncs_everything_and_leaves_nothing_mounted(tmp_path):
    disk = PowerCutDisk(tmp_path / "disk", tmp_path / "durable")
    disk.stop()
    disk.start()
    file = opened(disk.mountpoint / "file")
    os.write(file, b"not synced")
    disk.stop()
    disk.stop()
    with pytest.raises(OSError, match="not connected"):
        os.write(file, b"!")
    with suppress(OSError):
        os.close(file)
    assert str(disk.mountpoint) not in mounts()
    assert (disk.backing / "file").read_bytes() == b"not synced"
    assert disk.log.read_text() == ""


@works
def test_nothing_is_left_mounted_after_an_error(tmp_path):
    disk = PowerCutDisk(tmp_path / "disk", tmp_path / "durable")
    with pytest.raises(ZeroDivisionError), disk:
        raise ZeroDivisionError
    assert str(disk.mountpoint) not in mounts()


@works
def test_nothing_is_left_when_the_parent_is_killed(tmp_path):
    script = (
        "import sys; from pathlib import Path; from assertlib.robustness.powercut import *;"
        "disk = PowerCutDisk(Path(sys.argv[1]), Path(sys.argv[2])); disk.start();"
        "print(disk._process.pid, flush=True); sys.stdin.read()"
    )
    mountpoint = tmp_path / "disk"
    with subprocess.Popen(
        [sys.executable, "-c", script, mountpoint, tmp_path / "durable"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        pid = int(parent.stdout.readline())
        assert str(mountpoint) in mounts()
        parent.kill()
    until(lambda: str(mountpoint) not in mounts())
    until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not _command(pid))


def _command(pid):
    """Empty for what ended and was not waited for by whoever inherited it."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@works
def test_a_mount_whose_process_was_killed_is_replaced(tmp_path):
    lost = PowerCutDisk(tmp_path / "disk", tmp_path / "durable")
    lost.start()
    os.kill(lost._process.pid, signal.SIGKILL)
    lost._process.wait()
    try:
        with PowerCutDisk(tmp_path / "disk", tmp_path / "durable") as disk:
            (disk.mountpoint / "file").write_bytes(b"x")
        assert str(disk.mountpoint) not in mounts()
    finally:
        lost.stop()


@works
def test_a_disk_that_was_unmounted_from_outside_is_reported(tmp_path):
    with PowerCutDisk(tmp_path / "disk", tmp_path / "durable") as disk:
        disk.check()
        subprocess.run(["umount", "--lazy", disk.mountpoint], check=True)
        with pytest.raises(PowerCutError, match=r"the disk at .*/disk vanished: it was unmounted"):
            disk.check()


@works
def test_a_disk_whose_process_was_killed_is_reported(tmp_path):
    with PowerCutDisk(tmp_path / "disk", tmp_path / "durable") as disk:
        os.kill(disk._process.pid, signal.SIGKILL)
        with pytest.raises(PowerCutError, match="vanished"):
            until(disk.check)


@works
def test_who_has_a_file_open_gets_errors_from_it_after_a_cut(disk, path):
    file = opened(path)
    disk.cut()
    with pytest.raises(OSError) as told:
        os.write(file, b"x")
    assert told.value.errno in {errno.ENOTCONN, errno.EIO, errno.ECONNABORTED}
    with suppress(OSError):
        os.close(file)


@works
def test_several_disks_do_not_disturb_each_other_and_may_have_spaces_in_their_names(tmp_path):
    with (
        PowerCutDisk(tmp_path / "disk one", tmp_path / "durable, one") as one,
        PowerCutDisk(tmp_path / "disk two", tmp_path / "durable, two") as two,
    ):
        for disk in (one, two):
            (disk.mountpoint / "file").write_bytes(b"not synced")
        one.cut()
        assert (one.mountpoint / "file").read_bytes() == b""
        assert (two.mountpoint / "file").read_bytes() == b"not synced"
    assert str(tmp_path) not in mounts()


@works
def test_a_place_where_something_is_mounted_is_turned_down(disk, tmp_path):
    with pytest.raises(
        PowerCutError, match=r"another file system is mounted at .*disk: unmount it"
    ):
        PowerCutDisk(disk.mountpoint, tmp_path / "other").start()
    assert str(disk.mountpoint) in mounts()


@works
def test_a_disk_can_be_reached_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with PowerCutDisk(tmp_path / "link" / "disk", tmp_path / "link" / "durable") as disk:
        (tmp_path / "link" / "disk" / "file").write_bytes(b"not synced")
        disk.cut()
        assert (tmp_path / "link" / "disk" / "file").read_bytes() == b""
    assert str(tmp_path) not in mounts()


@works
def test_a_place_that_is_no_directory_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PowerCutError, match=r"cannot create the directory .*/file: File exists"):
        PowerCutDisk(tmp_path / "file", tmp_path / "durable").start()


@works
def test_why_a_disk_cannot_be_mounted_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PowerCutError, match=r"cannot mount a disk at .*/disk: it printed nothing"):
        PowerCutDisk(tmp_path / "disk", tmp_path / "durable").start()
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho first >&2\necho 'fuse: mount failed' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(PowerCutError, match="/disk: fuse: mount failed"):
        PowerCutDisk(tmp_path / "disk", tmp_path / "durable").start()


def test_why_it_cannot_be_used_is_told(monkeypatch, tmp_path):
    def without(name, value):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            return powercut.unavailable()

    def forbidden(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    assert "assertlib-sdk[fuse]" in without("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert "apt install fuse3" in without("ctypes.util.find_library", lambda name: None)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: name)
    assert "/dev/fuse cannot be opened: Permission denied" in without("os.open", forbidden)
    monkeypatch.setattr("os.open", lambda *args: os.dup(0))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "mounting is not permitted" in without("assertlib.robustness.powercut._may_mount", bool)
    monkeypatch.setattr(powercut, "unavailable", lambda: "it rains")
    with pytest.raises(PowerCutError, match=r"create a disk at .*/disk: it rains"):
        PowerCutDisk(tmp_path / "disk", tmp_path / "durable").start()
    assert os.listdir(tmp_path) == []
