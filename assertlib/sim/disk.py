"""
The simulated disk: durability at power cuts, and disk faults.

The disk implements `assertlib.disk.Disk`, so a store written against that protocol runs on it
unchanged.  Contents and names become durable separately: a file's bytes after `File.sync`, its
name after `Disk.sync_directory`.  At a power cut the tape decides about everything else: each
unsynced write is kept, lost or torn, independently of earlier writes, and each unsynced change of
names is applied or dropped as a whole, never before an earlier change of the same names.

The module is over 500 lines because calls, faults and power cuts all modify the same inodes and
directories; their invariants would otherwise be spread over several modules.

Sources: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014 (what may be reordered);
Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020 (pages are marked
clean after a failed fsync on some file systems and stay dirty on others).
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
from typing import TYPE_CHECKING

from .loop import SimLoop
from .payload import shown
from .process import DEAD, PROCESS
from .threads import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from .tape import Tape

__all__ = ["DiskFaults", "SimDisk"]

_SECTOR = 512


class PoweredOffError(asyncio.CancelledError):
    """
    Unwinds the code of a host that lost power; operations during unwinding have no effect.

    It derives from CancelledError, so that ``except Exception`` does not catch it and asyncio does
    not report it.
    """


class ShortWriteError(OSError):
    """
    A write that failed after it had stored a part of its data.

    Attributes:
        written: The number of bytes stored.
    """

    def __init__(self, code: int, path: str, written: int) -> None:
        super().__init__(code, os.strerror(code), path)
        self.written = written


class DiskFaults:
    """
    Timing and faults of a disk; faults are probabilities per call.

    Attributes:
        sync_takes: Shortest and longest duration of a sync, in seconds, during which the waiting
            process is blocked.
        write_fails: A write stores part of its data and fails with EIO.
        read_fails: A read fails with EIO.
        full: A write stores part of its data and fails with ENOSPC.
        sync_fails: A sync fails with EIO.
        forgets: Share of failed syncs that drop the data but mark it clean, so that the next
            sync succeeds without it; after other failures the data stays dirty.
        sync_lies: A sync reports success without syncing; breaks ``fsync-honest``.
        cut: The host loses power just before a call that modifies the disk.
        slow: A sync takes up to `slow_takes` seconds instead.
        rot: A read finds a permanently flipped bit; breaks ``disk-honest``.
    """

    __slots__ = (
        "cut", "forgets", "full", "read_fails", "rot", "slow", "slow_takes", "sync_fails", "sync_lies",
        "sync_takes", "write_fails",
    )  # fmt: skip

    def __init__(self) -> None:
        self.write_fails = self.read_fails = self.full = self.sync_fails = 0.0
        self.sync_lies = self.slow = self.rot = self.cut = 0.0
        self.sync_takes = (0.0, 0.002)
        self.forgets = 0.5
        self.slow_takes = 0.5

    def end(self) -> None:
        """Disable all faults; `sync_takes`, which is no fault, stays."""
        self.write_fails = self.read_fails = self.full = self.sync_fails = 0.0
        self.sync_lies = self.slow = self.rot = self.cut = 0.0


class Inode:
    """
    Contents of a file.

    Applying `pending` to `durable` gives `data`, except for data that a failed sync has dropped.

    Attributes:
        data: The bytes that a read returns, as in the page cache.
        durable: The bytes on the disk.
        pending: Writes since the last sync, in order, as offset and bytes; None as bytes truncates
            the file at the offset.  A power cut keeps, loses or tears each of them.
        lost_from: Offset of the first byte that a failed sync has dropped and marked clean, so that
            no later sync writes it; None if no data was dropped.
        number: Its number on the disk.
        modified: The time of the last change, in virtual seconds.
    """

    __slots__ = ("data", "durable", "lost_from", "modified", "number", "pending")

    def __init__(self, data: bytes = b"", number: int = 0) -> None:
        self.number = number
        self.modified = 0.0
        self.data = bytearray(data)
        self.durable = bytes(data)
        self.pending: list[tuple[int, bytes | None]] = []
        self.lost_from: int | None = None

    @property
    def safe(self) -> int:
        """Size of the longest prefix of `data` that any power cut preserves."""
        # A pending truncation makes the bytes behind it unsafe as well: the power cut may undo it,
        # and what was appended since is then mixed with the old bytes.
        changed = [at for at, _ in self.pending]
        sure = min([len(self.durable), len(self.data), *changed])
        return sure if self.lost_from is None else min(sure, self.lost_from)

    def forget(self) -> None:
        """Drop the unsynced data and mark it clean; unsynced truncations stay pending."""
        dropped = [at for at, written in self.pending if written]
        if dropped:
            # `safe` covers data dropped by an earlier sync, which may begin before these writes.
            self.lost_from = min([self.safe, *dropped])
        self.pending = [(at, written) for at, written in self.pending if written is None]


class _Directory:
    """
    Names of the files in a directory.

    Attributes:
        names: The names that a listing shows.
        durable: The names on the disk.
        touched: Names that have changed since the last sync of the directory.
    """

    __slots__ = ("durable", "names", "touched")

    def __init__(self) -> None:
        self.names: dict[str, Inode] = {}
        self.durable: dict[str, Inode] = {}
        self.touched: set[str] = set()


_Change = tuple[tuple[_Directory, str, Inode | None], ...]
"""
Names that are bound to other files, or removed if None, in one atomic change.

A rename is one change of two names, so that a power cut never applies half of it.
"""


class SimDisk:
    """
    The disk of one host.

    Attributes:
        faults: Timing and faults; may be changed at any time.
        mirrored: Directories that exist because the real machine has them.
        removed: Paths that were removed or renamed, and do not exist just because the real machine
            has them.
    """

    def __init__(
        self,
        loop: SimLoop,
        tape: Tape,
        injected: Callable[[str, tuple[str, ...]], None],
        cut: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            loop: The loop of the trial.
            tape: Decides about faults and about the effects of a power cut.
            injected: Called with the name of each fault that took effect and the assumptions it
                breaks.
            cut: Cuts the power of the host; does not return if the calling code runs on that host.
        """
        self.faults = DiskFaults()
        self._loop = loop
        self._tape = tape
        self._injected = injected
        self._cut = cut
        # Directories are keyed by absolute path and durable as soon as they are created; only the
        # names of files have a history.
        self._directories: dict[str, _Directory] = {"/": _Directory()}
        self.mirrored: set[str] = set()
        self.removed: set[str] = set()
        # Changes of all directories in one order, since a rename may concern two of them.
        self._pending: list[_Change] = []

    # -- the interface of assertlib.disk.Disk -----------------------------------------------

    def open(self, path: str) -> SimFile:
        """Open *path* for appending; see `assertlib.disk.Disk`."""
        directory, name = self._place(path)
        self._no_directory(path)
        inode = directory.names.get(name)
        return SimFile(self, path, self.create(path) if inode is None else inode)

    def create(self, path: str) -> Inode:
        """Create the file *path*, which must not exist, and return it."""
        directory, name = self._place(path)
        self._call("create", path)
        inode = Inode(number=self._loop.next_number())
        inode.modified = self._loop.now
        self._change_names((directory, name, inode))
        return inode

    def find(self, path: str) -> Inode | None:
        """Return the file at *path*; None if there is none."""
        parent, name = posixpath.split(_absolute(path))
        found = self._directories.get(parent)
        return None if found is None else found.names.get(name)

    def is_directory(self, path: str) -> bool:
        """Whether *path* is a directory."""
        return _absolute(path) in self._directories

    def read(self, path: str) -> bytes:
        """Return the whole content of *path*."""
        self._no_directory(path)
        return self.content(path, self._inode(path))

    def content(self, path: str, inode: Inode) -> bytes:
        """Read all of *inode*; *path* is its name in errors."""
        self._maybe_fail("read-error", self.faults.read_fails, path)
        if inode.data and self._tape.strikes("bit-rot", self.faults.rot):
            self._rot(path, inode)
        data = bytes(inode.data)
        if self._loop.keep_log:
            self._note("read", f"{path}: {shown(data)}")
        return data

    def exists(self, path: str) -> bool:
        """Whether a file or directory exists at *path*."""
        path = _absolute(path)
        parent, name = posixpath.split(path)
        found = self._directories.get(parent)
        return path in self._directories or (found is not None and name in found.names)

    def list(self, directory: str) -> list[str]:
        """Return the names in *directory*, sorted."""
        path = _absolute(directory)
        below = {
            posixpath.basename(at) for at in self._directories if posixpath.dirname(at) == path
        }
        return sorted({*self._directory(path).names, *(below - {""})})

    def make_directory(self, path: str) -> None:
        """
        Create *path* and its missing parents, durably.

        Raises:
            OSError: A file is in the way.
        """
        path = _absolute(path)
        missing = []
        while path not in self._directories:
            missing.append(path)
            path = posixpath.dirname(path)
        if missing and posixpath.basename(missing[-1]) in self._directories[path].names:
            code = errno.ENOTDIR if len(missing) > 1 else errno.EEXIST
            raise OSError(code, os.strerror(code), missing[-1])
        for made in reversed(missing):
            self._directories[made] = _Directory()
            # Durable all the same: the account of unsynced names must equal that of the real disk,
            # or an assertion about it would hold in only one of the two.
            parent, name = posixpath.split(made)
            self._directories[parent].touched.add(name)

    def remove_directory(self, path: str) -> None:
        """
        Remove the empty directory *path*; like its creation, this is durable at once.

        Raises:
            OSError: It does not exist, is not empty, or is a file.
        """
        path = _absolute(path)
        self._directory(path)
        if self.list(path):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        self._call("remove directory", path)
        self.removed.add(path)
        del self._directories[path]
        parent, name = posixpath.split(path)
        self._directories[parent].touched.add(name)

    def rename(self, source: str, target: str) -> None:
        """Move *source* over *target* atomically."""
        if _absolute(source) in self._directories:
            self._move_directory(_absolute(source), _absolute(target))
            return
        # Both directories are looked up before the file, as by a kernel.
        (old, name), (new, other) = self._place(source), self._place(target)
        inode = self._inode(source)
        self._no_directory(target)
        self._call("rename", f"{source} to {target}")
        self.removed.add(_absolute(source))
        self._change_names((old, name, None), (new, other, inode))

    def _move_directory(self, source: str, target: str) -> None:
        """Move a directory and its contents; like its creation, the move is durable at once."""
        (old, name), (new, other) = self._place(source), self._place(target)
        code = errno.ENOTDIR if other in new.names else 0
        if f"{target}/".startswith(f"{source}/") and target != source:
            # It would move into itself, out of reach of every path.
            code = errno.EINVAL
        if target in self._directories and target != source and self.list(target):
            code = errno.ENOTEMPTY
        if code:
            raise OSError(code, os.strerror(code), target)
        self._call("rename", f"{source} to {target}")
        self.removed.add(_absolute(source))
        for path in [each for each in self._directories if f"{each}/".startswith(f"{source}/")]:
            self._directories[target + path[len(source) :]] = self._directories.pop(path)
        old.touched.add(name)
        new.touched.add(other)

    def remove(self, path: str) -> None:
        """Delete the file at *path*."""
        self._no_directory(path)
        self._inode(path)
        directory, name = self._place(path)
        self._call("remove", path)
        self.removed.add(_absolute(path))
        self._change_names((directory, name, None))

    def sync_directory(self, path: str) -> None:
        """Make the names in directory *path* durable."""
        directory = self._directory(_absolute(path))
        self._call("sync directory", path)
        # A failed sync of a directory leaves its names dirty; only the data of files may be dropped
        # and marked clean.
        self._maybe_fail("fsync-error", self.faults.sync_fails, path)
        if not self._sync(path):
            return
        self._commit_names(directory)
        directory.touched.clear()

    def unsynced_names(self, directory: str) -> frozenset[str]:
        """Names created, renamed or removed in *directory* since its last `sync_directory`."""
        found = self._directories.get(_absolute(directory))
        return frozenset() if found is None else frozenset(found.touched)

    # -- power cuts -------------------------------------------------------------------------

    def cut_power(self) -> None:
        """
        Keep what was synced; the tape decides about the rest.

        The simplest choice keeps everything, as if only the process had been killed.
        """
        # 0 keeps all unsynced changes, 1 loses all, and others decide about each one.  The two
        # extremes would hardly ever result from independent decisions.
        fate = self._tape.choose(4)
        if fate == 1:
            self._note("power cut", "loses everything that was not synced")
        # Names first: a file whose name is lost is gone with its contents and needs no choices.
        self._cut_names(fate)
        inodes: dict[int, Inode] = {}
        for directory in self._directories.values():
            for inode in directory.names.values():
                inodes[id(inode)] = inode
        for inode in inodes.values():
            self._cut_contents(inode, fate)

    def _change_names(self, *change: tuple[_Directory, str, Inode | None]) -> None:
        self._pending.append(change)
        for directory, name, inode in change:
            directory.touched.add(name)
            _set(directory.names, name, inode)

    def _commit_names(self, synced: _Directory) -> None:
        """Make the changes in *synced* durable, and earlier ones elsewhere that they depend on."""
        # Backwards, so that a change is known to be needed before those that it depends on are met.
        # If a new file was renamed into this directory, its creation elsewhere must become durable,
        # too.
        wanted: set[tuple[int, str]] = set()
        kept: list[_Change] = []
        committed: list[_Change] = []
        for change in reversed(self._pending):
            names = _names_in(change)
            if names & wanted or any(directory is synced for directory, _, _ in change):
                wanted |= names
                committed.append(change)
            else:
                kept.append(change)
        for change in reversed(committed):
            for directory, name, inode in change:
                _set(directory.durable, name, inode)
        self._pending = kept[::-1]

    def _cut_names(self, fate: int) -> None:
        """Apply or drop each change; a change that builds on a dropped one is dropped, too."""
        # Without this rule the second of two renames could be applied without the first, and the
        # file would have two names.
        lost: set[tuple[int, str]] = set()
        for change in self._pending:
            names = _names_in(change)
            if names & lost or not self._is_spared(fate):
                lost |= names
                self._note("power cut", f"undoes {', '.join(name for _, name, _ in change)}")
            else:
                for directory, name, inode in change:
                    _set(directory.durable, name, inode)
        self._pending.clear()
        for directory in self._directories.values():
            directory.names = dict(directory.durable)
            directory.touched.clear()

    def _cut_contents(self, inode: Inode, fate: int) -> None:
        data = bytearray(inode.durable)
        # Replayed in order, each write independently: a later write may survive an earlier one, and
        # the gap between them reads as zeros.
        for offset, written in inode.pending:
            if written is not None:
                _change(data, offset, self._spared(written, fate))
            elif self._is_spared(fate):
                _change(data, offset, None)
        inode.data, inode.durable = data, bytes(data)
        inode.pending.clear()
        inode.lost_from = None

    def _is_spared(self, fate: int) -> bool:
        return fate == 0 or (fate > 1 and not self._tape.choose(2))

    def _spared(self, written: bytes, fate: int) -> bytes:
        """Return what is left of a write: all, nothing, any prefix, or a prefix of sectors."""
        if fate < 2:
            return b"" if fate else written
        kept = self._tape.choose(4)
        if kept == 0:
            return written
        if kept == 1:
            return b""
        self._note("power cut", f"tears a write of {len(written)} bytes")
        size = self._tape.choose(len(written) + 1)
        return written[: size if kept == 2 else size // _SECTOR * _SECTOR]

    def copy(self) -> SimDisk:
        """Return a disk with the same contents and without faults, for inspecting them."""
        # The copy has no callback that cuts the power, and everything on it is durable.
        twin = SimDisk(self._loop, self._tape, self._injected)
        for path, directory in self._directories.items():
            other = twin._directories[path] = _Directory()
            for name, inode in directory.names.items():
                other.names[name] = Inode(bytes(inode.data))
            other.durable = dict(other.names)
        return twin

    # -- writing and syncing, for files -----------------------------------------------------

    def write(self, path: str, inode: Inode, data: bytes, at: int | None = None) -> None:
        """
        Write data into a file.

        Args:
            path: Name of the file, for the log and errors.
            inode: The contents to change.
            data: The bytes to write.
            at: The offset to write them at; None for the end.

        Raises:
            OSError: The disk is full or failing; a prefix of *data* may have been written.
        """
        offset = len(inode.data) if at is None else at
        place = "" if offset == len(inode.data) else f" at {offset}"
        text = f"{shown(bytes(data))} to {path}{place}" if self._loop.keep_log else ""
        self._call("write", text)
        inode.modified = self._loop.now
        # The caller may reuse its buffer before the write becomes durable.
        data = bytes(data)
        faults = self.faults
        for name, code, probability in (
            ("disk-full", errno.ENOSPC, faults.full),
            ("write-error", errno.EIO, faults.write_fails),
        ):
            if probability and self._tape.strikes(name, probability):
                part = data[: self._tape.choose(len(data) + 1)]
                inode.pending.append((offset, part))
                _change(inode.data, offset, part)
                self._injected(name, ())
                raise ShortWriteError(code, path, len(part))
        inode.pending.append((offset, data))
        _change(inode.data, offset, data)

    def sync(self, path: str, inode: Inode) -> None:
        """
        Make the contents of *inode* durable; *path* is its name in the log and in errors.

        Raises:
            OSError: The sync failed; which data is durable is unspecified.
        """
        self._call("sync", path)
        faults = self.faults
        if faults.sync_fails and self._tape.strikes("fsync-error", faults.sync_fails):
            if self._tape.strikes("fsync-error", faults.forgets):
                inode.forget()
                self._fail("fsync-forgets", errno.EIO, path)
            self._fail("fsync-error", errno.EIO, path)
        if self._sync(path):
            # Not a copy of `data`, which still holds what a failed sync has dropped: those bytes
            # are in the cache and never reach the disk.
            data = bytearray(inode.durable)
            for offset, written in inode.pending:
                _change(data, offset, written)
            inode.durable = bytes(data)
            inode.pending.clear()
            # Data that was dropped may have been written again since.
            if inode.lost_from is not None:
                pairs = zip(inode.data, inode.durable, strict=False)
                differs = (at for at, (one, other) in enumerate(pairs) if one != other)
                same = min(len(inode.data), len(inode.durable))
                first = next(differs, same)
                inode.lost_from = None if inode.data == inode.durable else first

    def _sync(self, path: str) -> bool:
        """Occupy the process for the duration of a sync; return False if the sync lies."""
        faults = self.faults
        took = faults.sync_takes
        if faults.slow and self._tape.strikes("slow-fsync", faults.slow):
            took = (took[1], faults.slow_takes)
            self._injected("slow-fsync", ())
        # A sync blocks its thread, or the event loop of its process, while other hosts go on.
        seconds = self._tape.between(*took)
        thread = current()
        if thread is not None:
            thread.sleep(seconds)
        else:
            process = PROCESS.get()
            process.busy_since = self._loop.now
            process.busy_until = self._loop.time() + seconds
        if faults.sync_lies and self._tape.strikes("fsync-lies", faults.sync_lies):
            self._injected("fsync-lies", ("fsync-honest",))
            return False
        return True

    def cut(self, path: str, inode: Inode, size: int) -> None:
        """
        Truncate a file, or extend it with zeros.

        Args:
            path: Name of the file, for the log.
            inode: The contents to truncate.
            size: New size in bytes.
        """
        self._call("truncate", f"{path} to {size} bytes")
        inode.modified = self._loop.now
        if size < len(inode.data):
            inode.pending.append((size, None))
            del inode.data[size:]
            # The dropped data is cut off, so that whatever is appended now will be synced.
            if inode.lost_from is not None and size <= inode.lost_from:
                inode.lost_from = None
        elif size > len(inode.data):
            zeros = bytes(size - len(inode.data))
            inode.pending.append((len(inode.data), zeros))
            inode.data += zeros

    def _maybe_fail(self, name: str, probability: float, path: str) -> None:
        if probability and self._tape.strikes(name, probability):
            self._fail(name, errno.EIO, path)

    def _fail(self, name: str, code: int, path: str) -> None:
        self._injected(name, ())
        raise OSError(code, os.strerror(code), path)

    def _rot(self, path: str, inode: Inode) -> None:
        at = self._tape.choose(len(inode.data))
        bit = 1 << self._tape.choose(8)
        inode.data[at] ^= bit
        # The medium is damaged, not the read: the flipped bit must outlast syncs and power cuts, so
        # it flips wherever this byte is stored.
        if at < len(inode.durable):
            durable = bytearray(inode.durable)
            durable[at] ^= bit
            inode.durable = bytes(durable)
        for number, (offset, written) in enumerate(inode.pending):
            if written is not None and offset <= at < offset + len(written):
                rotten = bytearray(written)
                rotten[at - offset] ^= bit
                inode.pending[number] = (offset, bytes(rotten))
        self._note("bit rot", f"at byte {at} of {path}")
        self._injected("bit-rot", ("disk-honest",))

    # -- lookup -----------------------------------------------------------------------------

    def _directory(self, path: str) -> _Directory:
        found = self._directories.get(path)
        if found is None:
            code = errno.ENOTDIR if self._is_below_file(path) else errno.ENOENT
            raise OSError(code, os.strerror(code), path)
        return found

    def _is_below_file(self, path: str) -> bool:
        """Whether *path*, or a directory that it should be in, is a file."""
        while path not in self._directories:
            if self.find(path) is not None:
                return True
            path = posixpath.dirname(path)
        return False

    def _place(self, path: str) -> tuple[_Directory, str]:
        parent, name = posixpath.split(_absolute(path))
        return self._directory(parent), name

    def _no_directory(self, path: str) -> None:
        if _absolute(path) in self._directories:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)

    def _inode(self, path: str) -> Inode:
        directory, name = self._place(path)
        if name not in directory.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return directory.names[name]

    def _call(self, what: str, text: str) -> None:
        process = PROCESS.get(None)
        # Blocks that run while PoweredOffError unwinds may call the disk, which has no power.
        if process is not None and process.state == DEAD:
            raise PoweredOffError
        self._note(what, text)
        if self.faults.cut and self._tape.strikes("power-cut", self.faults.cut):
            self._cut()

    def _note(self, what: str, text: str) -> None:
        if self._loop.keep_log:
            self._loop.note(f"disk: {what} {text}")


class SimFile:
    """An open file of a `SimDisk`; see `assertlib.disk.File`."""

    def __init__(self, disk: SimDisk, path: str, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._is_closed = False
        self.synced = 0

    @property
    def written(self) -> int:
        """Size of the file in bytes, synced or not."""
        return len(self._inode.data)

    def append(self, data: bytes) -> None:
        """Append all of *data*."""
        self._check()
        self._disk.write(self._path, self._inode, data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to *size* bytes at *offset*."""
        self._check()
        return self._disk.content(self._path, self._inode)[offset : offset + size]

    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of *data* at *offset*; a gap before it is filled with zeros."""
        self._check()
        self._disk.write(self._path, self._inode, data, offset)
        self.synced = min(self.synced, offset)

    def sync(self) -> None:
        """Make everything written so far durable."""
        self._check()
        self._disk.sync(self._path, self._inode)
        # The true durable size, even if the sync has lied: assertions compare it with what the
        # store has acknowledged.
        self.synced = self._inode.safe

    def truncate(self, size: int) -> None:
        """Truncate the file to *size* bytes."""
        self._check()
        self._disk.cut(self._path, self._inode, size)
        self.synced = min(self.synced, size)

    def close(self) -> None:
        """Close the file without syncing it."""
        self._check()
        self._is_closed = True

    def _check(self) -> None:
        if self._is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._path)


def _absolute(path: str) -> str:
    return posixpath.normpath(posixpath.join("/", path))


def _names_in(change: _Change) -> set[tuple[int, str]]:
    return {(id(directory), name) for directory, name, _ in change}


def _set(names: dict[str, Inode], name: str, inode: Inode | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


def _change(data: bytearray, offset: int, written: bytes | None) -> None:
    """Write *written* at *offset*, or truncate there if None; a gap is filled with zeros."""
    if written is None:
        del data[offset:]
    elif written:
        data.extend(b"\0" * (offset - len(data)))
        data[offset : offset + len(written)] = written
