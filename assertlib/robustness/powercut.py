"""
A disk whose power can be cut: writes that were not synced are then lost.

Needs the extra ``[fuse]``, libfuse 3 and /dev/fuse.  It is a file system in a separate process,
backed by a directory of durable data:

* Data live in the memory of that process until fsync, fdatasync or msync; what is written with
  O_SYNC or O_DSYNC is synced at once, with all else in its file.
* Growth of a file is data: a file that was created and never synced is there after a cut, and
  empty.
* Names, renames and removals, owners, modes and times, and shrinking are durable at once;
  removing a file that is still open, with the next operation on any name.

So it is worse than a disk, which writes some data unasked, in what it does to data, and better
in what it does to names: it finds no missing sync of a directory.  ``sync`` and ``syncfs`` do
not reach it.  A sync ends in the page cache of this machine, which survives that process, so it
takes less time than a real one.  While a file is written by one of several hard links, the
others may show it as it was.
"""

from __future__ import annotations

import ctypes.util
import errno
import importlib
import importlib.util
import os
import re
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .cluster import HarnessError
from .filesystem import FileSystem
from .processes import MARK

MOUNTED_WITHIN = 15.0
"""Seconds in which the file system has to be there, and to be gone again."""
_POLL = 0.01
_CAP_SYS_ADMIN = 1 << 21
_RENAME_NOREPLACE = 1
_SUBTYPE = "powercut"


class PowerCutError(HarnessError):
    """The disk cannot be mounted or unmounted, or vanished; the message gives the reason."""


def unavailable() -> str | None:
    """Why there can be no such disk here; None if there can."""
    if importlib.util.find_spec("mfusepy") is None:
        return "mfusepy is missing: pip install 'assertlib-sdk[fuse]'"
    if ctypes.util.find_library("fuse3") is None:
        return "libfuse 3 is missing: apt install fuse3"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse cannot be opened: {error.strerror}"
    if not _may_mount() and shutil.which("fusermount3") is None:
        return "mounting is not permitted: be root with CAP_SYS_ADMIN, or apt install fuse3"
    return None


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (effective,) = (line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) & _CAP_SYS_ADMIN)


class PowerCutDisk:
    """
    A disk whose power can be cut.

    Its process ends with the one that started it, if not before.

    Args:
        mountpoint: The directory at which it is mounted.
        backing: The directory of durable data; nothing else may change it meanwhile.

    Attributes:
        log: Error log of its process, beside the backing directory.
        mark: Identifies its process by the environment.
    """

    def __init__(self, mountpoint: Path, backing: Path) -> None:
        self.mountpoint = mountpoint.resolve()
        self.backing = backing.resolve()
        self.log = self.backing.with_name(f"{self.backing.name}.log")
        self.mark = f"disk-{secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """
        Mount it; directories that are missing are made.

        Raises:
            PowerCutError: It cannot be used here, or something else is mounted there.
        """
        if (reason := unavailable()) is not None:
            raise PowerCutError(f"cannot create a disk at {self.mountpoint}: {reason}")
        if _is_dead(self.mountpoint):
            _unmount(self.mountpoint)
        for directory in (self.mountpoint, self.backing):
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PowerCutError(
                    f"cannot make the directory {directory}: {error.strerror}"
                ) from None
        if _is_mounted(self.mountpoint):
            raise PowerCutError(f"another file system is mounted at {self.mountpoint}: unmount it")
        self._mount()

    @property
    def is_empty(self) -> bool:
        """Whether it holds no files."""
        return not os.listdir(self.mountpoint)

    def check(self) -> None:
        """
        Verify that it is mounted and answers.

        Raises:
            PowerCutError: Something else than `stop` ended it.
        """
        if self._process is None or self._process.poll() is not None or not self._serves():
            raise PowerCutError(
                f"the disk at {self.mountpoint} vanished: it was unmounted, or its process ended"
                f" (output in {self.log})"
            )

    def cut(self) -> None:
        """
        Cut the power, and turn it on again: what was not synced is gone.

        Whoever has files open on it gets errors from them; end them before, as a cut would.

        Raises:
            PowerCutError: It cannot be mounted again.
        """
        assert self._process is not None, "start() comes before"
        self._process.kill()
        self._process.communicate()
        _unmount(self.mountpoint)
        self._mount()

    def stop(self) -> None:
        """
        Sync everything and unmount it; may be called at any time, and again.

        Raises:
            PowerCutError: It cannot be unmounted.
        """
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(MOUNTED_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.communicate()
        self._process = None
        _unmount(self.mountpoint)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _mount(self) -> None:
        program = [sys.executable, "-m", __name__, str(self.mountpoint), str(self.backing)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                program,
                # The kernel closes it when we end, however we do.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, MARK: self.mark},
                # An interrupt at the terminal is for us, and we stop it.
                process_group=0,
            )
        deadline = time.monotonic() + MOUNTED_WITHIN
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                lines = self.log.read_text(errors="replace").splitlines() or ["it printed nothing"]
                raise PowerCutError(f"cannot mount a disk at {self.mountpoint}: {lines[-1]}")
            time.sleep(_POLL)

    def _serves(self) -> bool:
        """Once it responds, it also unmounts itself when terminated."""
        try:
            return _is_mounted(self.mountpoint) and os.statvfs(self.mountpoint).f_bsize > 0
        except OSError:
            return False


def remove(mountpoint: Path, backing: Path) -> bool:
    """
    Unmount the disk over *backing* that is mounted at *mountpoint*, and nothing else.

    Returns:
        Whether it was mounted.

    Raises:
        PowerCutError: It cannot be unmounted.
    """
    if _mounted(mountpoint) != (f"fuse.{_SUBTYPE}", _source(str(backing))):
        return False
    _unmount(mountpoint)
    return True


def _unmount(mountpoint: Path) -> None:
    command = ["umount", "--lazy"] if _may_mount() else ["fusermount3", "-uz"]
    deadline = time.monotonic() + MOUNTED_WITHIN
    while _is_mounted(mountpoint):
        done = subprocess.run([*command, mountpoint], capture_output=True, text=True, check=False)
        if time.monotonic() > deadline:
            raise PowerCutError(f"cannot unmount {mountpoint}: {done.stderr.strip()}")
        time.sleep(_POLL)


def _is_mounted(mountpoint: Path) -> bool:
    return _mounted(mountpoint) is not None


def _mounted(mountpoint: Path) -> tuple[str, str] | None:
    """
    Type and source of what is mounted there, the last if there are several.

    Source: proc(5), /proc/PID/mountinfo.
    """
    found = None
    mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    for fields in (line.split(" ") for line in mounts):
        if _unescaped(fields[4]) == str(mountpoint):
            kind, source = fields[fields.index("-") + 1 :][:2]
            found = kind, _unescaped(source)
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _source(backing: str) -> str:
    """What a mount shows to be mounted; options are separated by commas."""
    return backing.replace(",", "_")


def _is_dead(mountpoint: Path) -> bool:
    """Whether there is the mount of a process that is gone."""
    try:
        mountpoint.stat()
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


# -- the process ----------------------------------------------------------------------------


def main(mountpoint: str, backing: str) -> None:
    """Be the file system, until it is unmounted, or this process or its parent ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Given libfuse 2, writes would come in pieces of 4 KiB.
    os.environ["FUSE_LIBRARY_NAME"] = "fuse3"
    mfusepy: Any = importlib.import_module("mfusepy")
    plain_rename = mfusepy.FUSE.rename_fuse_3

    def rename(fuse: Any, old: bytes, new: bytes, flags: int) -> Any:
        """Turn down an exchange, which mfusepy takes for a plain rename: one file would be lost."""
        return -errno.EINVAL if flags & ~_RENAME_NOREPLACE else plain_rename(fuse, old, new, 0)

    mfusepy.FUSE.rename_fuse_3 = rename
    # Modes come with the umask of the caller applied, and each unsynced file is held open.
    os.umask(0)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        mfusepy.FUSE(
            FileSystem(backing, mfusepy.fuse_get_context),
            mountpoint,
            raw_fi=True,
            foreground=True,
            nothreads=True,
            default_permissions=True,
            allow_other=os.geteuid() == 0,
            use_ino=True,
            fsname=_source(backing),
            subtype=_SUBTYPE,
        )
    except RuntimeError as error:
        # libfuse returns 8 when ended by a signal; it has logged the reason of any other status.
        sys.exit(0 if error.args == (8,) else 1)


def _end_with_parent() -> None:
    """Unmount when standard input is closed; a killed process would leave a dead mount behind."""
    # Not through sys.stdin, whose lock would be held when the interpreter exits.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
