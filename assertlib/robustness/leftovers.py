"""
Leftovers of killed campaigns on this machine, and their removal.

Each campaign keeps a ledger, a file that lists its processes, disks, packet filter rules and
directories, each before it is created.  The ledger is locked (flock) by the campaign and by its
guard, a separate process that removes everything listed if the campaign ends without doing so.  If
the guard was killed as well, the kernel has released the lock, and the next campaign of the same
user removes the rest.

A held lock proves that a campaign is alive.  Unlike a pid it is valid across pid namespaces, and it
cannot be left behind.  Everything removed carries a random name from the ledger, so nothing is
mistaken for a leftover because of its appearance.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .cluster import HarnessError
from .netfilter import Netfilter
from .powercut import PowerCutDisk
from .removal import SETTLED_AFTER, Entry, remove

_SUFFIX = ".campaign"
_NAMESPACES = ("mnt", "net")
_ENDED = b"ended"


class LedgerError(HarnessError):
    """A ledger cannot be written or read, or its guard is gone; the message gives the reason."""


class Ledger:
    """
    The list of everything that one campaign creates on this machine.

    A context manager, to be entered before anything listed is created, and left after all of it
    is gone.

    Args:
        campaign: The directory of the campaign.
    """

    def __init__(self, campaign: Path) -> None:
        self._campaign = campaign
        self._entries: list[Entry] = []
        self._descriptor = -1
        self._guard: subprocess.Popen[bytes] | None = None

    def add_processes(self, marks: Collection[str]) -> None:
        """List the processes that will carry one of *marks*."""
        for mark in marks:
            self._add(kind="process", mark=mark)

    def add_disk(self, disk: PowerCutDisk) -> None:
        """List *disk*, which will be mounted."""
        places = {"mountpoint": str(disk.mountpoint), "backing": str(disk.backing)}
        self._add(kind="disk", mark=disk.mark, **places)

    def add_filter(self, rules: Netfilter) -> None:
        """List *rules*, which will be added to the packet filter."""
        self._add(kind="rules", mark=rules.name)

    def add_directory(self, place: Path, home: Path) -> None:
        """List the directory *place*, which will be moved to *home* at the end."""
        self._add(kind="directory", place=str(place), home=str(home))

    def check(self) -> None:
        """
        Verify that the guard is alive, which cleans up if this process is killed.

        Raises:
            LedgerError: The guard has ended.
        """
        assert self._guard is not None, "start() comes before"
        if self._guard.poll() is not None:
            raise LedgerError(
                f"this campaign's guard vanished: process {self._guard.pid} ended with"
                f" {self._guard.returncode}, so nothing will clean up if the campaign is killed;"
                " run it again"
            )

    def start(self) -> None:
        """
        Create the ledger and start its guard.

        Raises:
            LedgerError: The ledger cannot be written, or processes cannot be signalled here.
        """
        _check_kernel()
        self._path, self._descriptor = _create()
        self._write({"campaign": str(self._campaign), "boot": _boot(), **_namespaces()})
        self._guard = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._path), str(self._descriptor)],
            # The kernel closes this pipe when the campaign ends, however it ends.
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # The guard shares the lock, which lasts until both have closed the file.
            pass_fds=[self._descriptor],
            # Ctrl-C at the terminal must not reach the guard.
            start_new_session=True,
        )

    def stop(self) -> None:
        """
        Remove anything that is left, and end the guard; may be called again.

        Raises:
            LedgerError: Something was left, and cannot be removed.
        """
        if self._guard is None:
            return
        try:
            # Without time to settle: this process is alive, and starts nothing anymore.
            removal = remove(self._entries, settle=0)
            if removal.failed:
                raise LedgerError(f"the campaign left something behind: {_listed(removal.failed)}")
            self._path.unlink(missing_ok=True)
            self._end_guard(_ENDED)
        finally:
            # After a failure, the guard gets no message and tries to remove the rest.
            self._end_guard(b"")

    def _end_guard(self, message: bytes) -> None:
        if self._guard is not None:
            self._guard.communicate(message)
            os.close(self._descriptor)
        self._guard = None

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

    def _add(self, **entry: str) -> None:
        # In the file first: callers create the listed thing as soon as this returns.
        self._write(entry)
        self._entries.append(entry)

    def _write(self, record: Entry) -> None:
        line = json.dumps(record).encode() + b"\n"
        try:
            # Part of a line counts as not written, so its thing must not be created.
            if os.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise LedgerError(
                f"cannot write to {self._path}: {error.strerror}; free space, or set TMPDIR"
            ) from None


def sweep() -> list[str]:
    """
    Remove the leftovers of dead campaigns of this user; live campaigns lose nothing.

    Returns:
        Lines for display: what was removed and what could not be removed, by campaign.

    Raises:
        LedgerError: Ledgers cannot be kept here.
    """
    _check_kernel()
    return [line for path in sorted(_directory().glob(f"*{_SUFFIX}")) for line in _sweep(path)]


def _sweep(path: Path) -> Iterator[str]:
    # A ledger lists what will be killed and removed, so a link to another file is not followed.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"cannot open {path}: {error.strerror}; remove it"
        return
    try:
        if _try_lock(descriptor, path):
            yield from _sweep_dead(path, descriptor)
    finally:
        os.close(descriptor)


def _sweep_dead(path: Path, descriptor: int) -> Iterator[str]:
    try:
        header, entries = _read(path, descriptor)
    except LedgerError as error:
        yield str(error)
        return
    removal = remove(entries, SETTLED_AFTER)
    whose = f"the campaign in {header.get('campaign', '?')}, which was killed"
    if removal.removed:
        yield f"removed leftovers of {whose}: {_listed(removal.removed)}"
    if removal.failed:
        yield f"cannot remove leftovers of {whose}: {_listed(removal.failed)}"
    elif not _is_in_use_elsewhere(header):
        path.unlink(missing_ok=True)


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items)


# -- the file ---------------------------------------------------------------------------------


def _directory() -> Path:
    """Return the directory of the ledgers of this user, and create it if necessary."""
    path = Path(tempfile.gettempdir(), f"assertlib-campaigns-{os.geteuid()}")
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise LedgerError(
            f"cannot create the directory {path}: {error.strerror}; set TMPDIR to another directory"
        ) from None
    # What is listed there will be killed and removed, so nobody else may add to it.
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise LedgerError(
            f"other users can write to {path}: remove it, or set TMPDIR to another directory"
        )
    return path


def _create() -> tuple[Path, int]:
    """Create a new ledger, and lock it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    while True:
        path = _directory() / f"{secrets.token_hex(8)}{_SUFFIX}"
        try:
            descriptor = os.open(path, flags, 0o600)
            if _try_lock(descriptor, path):
                return path, descriptor
        except OSError as error:
            raise LedgerError(
                f"cannot create or lock {path}: {error.strerror}; set TMPDIR to another directory"
            ) from None
        # Between open and flock, another campaign has swept the file as that of a dead campaign.
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path) -> bool:
    """Lock the ledger; return False if it is locked by others or no longer exists."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file may have been removed before it was locked, by the process that held the lock.
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _read(path: Path, descriptor: int) -> tuple[dict[str, str], list[Entry]]:
    """Return header and entries; an incomplete last line lists something that was not created."""
    lines = os.pread(descriptor, os.fstat(descriptor).st_size, 0).split(b"\n")[:-1]
    records = [_record(path, number, line) for number, line in enumerate(lines, start=1)]
    return (records[0], [*records[1:]]) if records else ({}, [])


_FIELDS = {
    "process": {"mark"},
    "disk": {"mark", "mountpoint", "backing"},
    "rules": {"mark"},
    "directory": {"place", "home"},
}


def _record(path: Path, number: int, line: bytes) -> dict[str, str]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    # Anything unexpected stops the removal: acting on a damaged line could hit something else.
    if isinstance(found, dict) and (
        number == 1 or found.keys() - {"kind"} == _FIELDS.get(str(found.get("kind")))
    ):
        return {name: str(value) for name, value in found.items()}
    raise LedgerError(
        f"{path}:{number}: not a ledger entry, so nothing listed in this file was removed;"
        " delete the file once nothing from that campaign is left"
    )


# -- where it holds ---------------------------------------------------------------------------


def _check_kernel() -> None:
    """Verify that processes can be found and signalled."""
    # A signal by pid could reach another process that has got the same number.
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise LedgerError(
            f"processes cannot be signalled safely: pidfd_open: {error.strerror};"
            " campaigns need Linux 5.3, and a sandbox that permits pidfd_open"
        ) from None
    if os.readlink("/proc/self") != str(os.getpid()):
        raise LedgerError(
            "/proc shows the processes of another pid namespace, so members cannot be found:"
            " remount it, for example with `unshare --pid --fork --mount-proc`"
        )


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _namespaces(pid: int | str = "self") -> dict[str, str]:
    """Return the mount and network namespaces of a process; empty if it is gone."""
    try:
        return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in _NAMESPACES}
    except OSError:
        return {}


def _is_in_use_elsewhere(header: Mapping[str, str]) -> bool:
    """Return whether disks or rules may be left that are not visible from here."""
    # Neither mounts nor rules survive a reboot.
    if header.get("boot") != _boot():
        return False
    ours = _namespaces()
    theirs = {(name, header.get(name)) for name in _NAMESPACES} - ours.items()
    # A namespace without processes has usually been destroyed, with its mounts and rules.
    pids = [name for name in os.listdir("/proc") if name.isdecimal()] if theirs else []
    return any(theirs & _namespaces(pid).items() for pid in pids)


# -- the guard --------------------------------------------------------------------------------


def main(path: str, descriptor: str) -> None:
    """
    Run the guard: wait for the end of the campaign, and remove what it has not removed itself.

    Args:
        path: The ledger.
        descriptor: The inherited descriptor of the ledger, which holds the lock.
    """
    # A signal that is meant to end the campaign must not keep its guard from cleaning up.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(each, signal.SIG_IGN)
    # Blocks until the pipe is closed: by `Ledger.stop`, or by the kernel.
    if sys.stdin.buffer.read() == _ENDED:
        return
    ledger = Path(path)
    _, entries = _read(ledger, int(descriptor))
    failed = remove(entries, SETTLED_AFTER).failed
    if failed:
        sys.exit(f"assertlib: cannot remove leftovers of a campaign: {_listed(failed)}")
    ledger.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
