"""
A disk whose power can be cut: writes that were not synced are then lost.

Needs the extra ``[fuse]``, libfuse 3 and /dev/fuse.  It is a file system in a separate process,
backed by a directory of durable data:

* Data stay in the memory of that process until fsync, fdatasync or msync; a write with O_SYNC or
  O_DSYNC syncs the whole file at once.
* Growth of a file is data: a file that was created and never synced exists after a cut, but is
  empty.
* Names, renames, removals, owners, modes, times and shrinking are durable at once; the removal of
  a file that is still open, with the next operation on any name.

For data it is harsher than a real disk, which also writes data without a sync.  For names it is
more lenient, and does not reveal a missing sync of a directory.  ``sync`` and ``syncfs`` do not
reach it.  A sync ends in the page cache of this machine, which survives that process, so it takes
less time than a real one.  While a file is written through one of several hard links, the others
may show its earlier content.
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
"""Seconds within which the file system has to be mounted, and unmounted."""
_POLL = 0.01
_CAP_SYS_ADMIN = 1 << 21
_RENAME_NOREPLACE = 1
_SUBTYPE = "powercut"


class PowerCutError(HarnessError):
    """The disk cannot be mounted or unmounted, or vanished; the message gives the reason."""


def unavailable() -> str | None:
    """Return why such a disk cannot be mounted here; None if it can."""
    if importlib.util.find_spec("mfusepy") is None:
        return "mfusepy is missing: pip install 'assertlib-sdk[fuse]'"
    if ctypes.util.find_library("fuse3") is None:
        return "libfuse 3 is missing: apt install fuse3"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse cannot be opened: {error.strerror}"
    if not _may_mount() and shutil.which("fusermount3") is None:
        return "mounting is not permitted: run as root with CAP_SYS_ADMIN, or apt install fuse3"
    return None


def _may_mount() -> bool:
    # Root in a container often lacks the capability, so the user ID proves nothing.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (effective,) = (line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) & _CAP_SYS_ADMIN)


class PowerCutDisk:
    """
    A disk whose power can be cut.

    A context manager, which mounts and unmounts it.  Its process ends with the one that started
    it, if not before.

    Args:
        mountpoint: The directory at which it is mounted.
        backing: The directory of durable data; nothing else may change it while it is in use.

    Attributes:
        mountpoint: The same, without symbolic links.
        backing: The same, without symbolic links.
        log: Error log of its process, beside the backing directory.
        mark: Value in the environment that identifies its process.
    """

    def __init__(self, mountpoint: Path, backing: Path) -> None:
        self.mountpoint = mountpoint.resolve()
        self.backing = backing.resolve()
        self.log = self.backing.with_name(f"{self.backing.name}.log")
        self.mark = f"disk-{secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """
        Mount the disk, and create missing directories.

        Raises:
            PowerCutError: It cannot be mounted here, or another file system is mounted there.
        """
        if (reason := unavailable()) is not None:
            raise PowerCutError(f"cannot create a disk at {self.mountpoint}: {reason}")
        # The mount of a killed process makes every access to the directory fail.
        if _is_dead(self.mountpoint):
            _unmount(self.mountpoint)
        for directory in (self.mountpoint, self.backing):
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PowerCutError(
                    f"cannot create the directory {directory}: {error.strerror}"
                ) from None
        if _is_mounted(self.mountpoint):
            raise PowerCutError(f"another file system is mounted at {self.mountpoint}: unmount it")
        self._mount()

    @property
    def is_empty(self) -> bool:
        """Whether the disk contains no files."""
        return not os.listdir(self.mountpoint)

    def check(self) -> None:
        """
        Verify that the disk is mounted and responds.

        Raises:
            PowerCutError: It was unmounted or ended other than by `stop`.
        """
        if self._process is None or self._process.poll() is not None or not self._serves():
            raise PowerCutError(
                f"the disk at {self.mountpoint} vanished: it was unmounted, or its process ended"
                f" (output in {self.log})"
            )

    def cut(self) -> None:
        """
        Cut the power and restore it: unsynced data is lost.

        Open files return errors from then on.  End the processes that use them first, as a real
        power cut would.

        Raises:
            PowerCutError: The disk cannot be mounted again.
        """
        assert self._process is not None, "start() comes before"
        # SIGKILL: a process that ends cleanly syncs everything first.
        self._process.kill()
        self._process.communicate()
        _unmount(self.mountpoint)
        self._mount()

    def stop(self) -> None:
        """
        Sync everything and unmount the disk; may be called at any time, and again.

        Raises:
            PowerCutError: The disk cannot be unmounted.
        """
        if self._process is None:
            return
        # SIGTERM makes libfuse unmount, which syncs all files.
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
                # The kernel closes this pipe when the campaign ends, however it ends.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, MARK: self.mark},
                # Ctrl-C at the terminal signals the campaign, which then stops the disk cleanly.
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
        """Return whether the disk responds, and thus also unmounts itself when terminated."""
        # statvfs rather than the list of mounts alone: a mount exists before its process serves it.
        try:
            return _is_mounted(self.mountpoint) and os.statvfs(self.mountpoint).f_bsize > 0
        except OSError:
            return False


def remove(mountpoint: Path, backing: Path) -> bool:
    """
    Unmount the disk over *backing* at *mountpoint*; any other file system stays mounted.

    Returns:
        Whether the disk was mounted.

    Raises:
        PowerCutError: The disk cannot be unmounted.
    """
    if _mounted(mountpoint) != (f"fuse.{_SUBTYPE}", _source(str(backing))):
        return False
    _unmount(mountpoint)
    return True


def _unmount(mountpoint: Path) -> None:
    # Lazily, as files may still be open; repeatedly, as several file systems may be mounted on top
    # of each other.
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
    Return type and source of the topmost file system at *mountpoint*; None if there is none.

    Source: proc(5), /proc/PID/mountinfo.
    """
    # Not `os.path.ismount`, which returns False for the mount of a dead process.
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
    """Return the source that a mount shows; a comma would end the option that sets it."""
    return backing.replace(",", "_")


def _is_dead(mountpoint: Path) -> bool:
    """Return whether the process of the file system at *mountpoint* is gone."""
    try:
        mountpoint.stat()
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


# -- the process ----------------------------------------------------------------------------


def main(mountpoint: str, backing: str) -> None:
    """
    Serve the file system until it is unmounted, or this process or its parent ends.

    Args:
        mountpoint: The directory at which it is mounted.
        backing: The directory of durable data.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # With libfuse 2, which mfusepy supports as well, writes would arrive in pieces of 4 KiB.
    os.environ["FUSE_LIBRARY_NAME"] = "fuse3"
    mfusepy: Any = importlib.import_module("mfusepy")
    plain_rename = mfusepy.FUSE.rename_fuse_3

    def rename(fuse: Any, old: bytes, new: bytes, flags: int) -> Any:
        """Reject an exchange, which mfusepy takes for a plain rename, so one file would be lost."""
        return -errno.EINVAL if flags & ~_RENAME_NOREPLACE else plain_rename(fuse, old, new, 0)

    mfusepy.FUSE.rename_fuse_3 = rename
    # The umask of the caller has been applied to all modes.
    os.umask(0)
    # Every file with unsynced data occupies a descriptor.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        # One thread, as the file system has no locks, and raw_fi, as it needs the flags of open
        # files.  Only root may allow other users without a change to fuse.conf.
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
        # libfuse returns 8 after a signal; it has logged the reason for any other status.
        sys.exit(0 if error.args == (8,) else 1)


def _end_with_parent() -> None:
    """Unmount once standard input is closed; a killed process would leave a dead mount behind."""
    # Not through sys.stdin: this thread would hold its lock while the interpreter exits.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
