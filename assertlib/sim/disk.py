"""
The simulated disk: durability at power cuts, and disk faults.

It implements `assertlib.disk.Disk`, so a store written against that protocol runs on it
unchanged.  Contents and names become durable separately: a file's bytes after `File.sync`, its
name after `Disk.sync_directory`.  At a power cut the tape decides about everything else: each
unsynced write is kept, lost or torn, independently of earlier writes, and each unsynced change of
names is applied or dropped as a whole, never before an earlier change of the same names.

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
from .process import DEAD, PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .tape import Tape

__all__ = ["DiskFaults", "SimDisk"]

_SECTOR = 512


class PoweredOffError(asyncio.CancelledError):
    """Unwinds code on a host that lost power; operations during unwinding have no effect."""


class DiskFaults:
    """
    Timing and faults of a disk; faults are probabilities per call.

    Attributes:
        sync_takes: Shortest and longest duration of a sync, in seconds; the waiting process is
            blocked meanwhile.
        write_fails: A write stores part of its data and fails with EIO.
        read_fails: A read fails with EIO.
        full: A write stores part of its data and fails with ENOSPC.
        sync_fails: A sync fails with EIO.
        forgets: Share of failed syncs that drop the data but mark it clean, so that the next
            sync succeeds without it; after other failures the data stay dirty.
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
        """Let nothing fail any more."""
        self.write_fails = self.read_fails = self.full = self.sync_fails = 0.0
        self.sync_lies = self.slow = self.rot = self.cut = 0.0


class _Inode:
    """
    Contents of a file.

    Attributes:
        data: What a read finds.
        durable: What a power cut spares for sure.
        pending: The writes since then that it may spare, as offset and data; None for a cut.
        lost_from: Where the data begins that a failed sync has dropped, and no sync will write.
    """

    __slots__ = ("data", "durable", "lost_from", "pending")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.durable = bytes(data)
        self.pending: list[tuple[int, bytes | None]] = []
        self.lost_from: int | None = None

    @property
    def safe(self) -> int:
        """How many bytes from the beginning a power cut spares for sure."""
        changed = [at for at, _ in self.pending]
        sure = min([len(self.durable), len(self.data), *changed])
        return sure if self.lost_from is None else min(sure, self.lost_from)

    def forget(self) -> None:
        """Drop the data that waits for a sync, and mark it clean; sizes are not forgotten."""
        dropped = [at for at, written in self.pending if written]
        if dropped:
            self.lost_from = min([self.safe, *dropped])
        self.pending = [(at, written) for at, written in self.pending if written is None]


class _Directory:
    """
    Names in a directory.

    Attributes:
        names: As a look into it shows them.
        durable: What a power cut spares for sure.
        touched: Those that have changed since then.
    """

    __slots__ = ("durable", "names", "touched")

    def __init__(self) -> None:
        self.names: dict[str, _Inode] = {}
        self.durable: dict[str, _Inode] = {}
        self.touched: set[str] = set()


_Change = tuple[tuple[_Directory, str, _Inode | None], ...]
"""Names that come to stand for other files, or for none, all at once."""


class SimDisk:
    """
    The disk of one host.

    Attributes:
        faults: How it misbehaves; may be changed at any time.
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
            injected: Called with the name of every fault that took effect, and what it breaks.
            cut: Cuts the power of the host; does not return if it is the caller's.
        """
        self.faults = DiskFaults()
        self._loop = loop
        self._tape = tape
        self._injected = injected
        self._cut = cut
        self._directories: dict[str, _Directory] = {"/": _Directory()}
        self._pending: list[_Change] = []

    # -- the interface of assertlib.disk.Disk -----------------------------------------------

    def open(self, path: str) -> SimFile:
        """Open *path* for appending; see `assertlib.disk.Disk`."""
        directory, name = self._place(path)
        self._no_directory(path)
        inode = directory.names.get(name)
        if inode is None:
            self._call("create", path)
            inode = _Inode()
            self._change_names((directory, name, inode))
        return SimFile(self, path, inode)

    def read(self, path: str) -> bytes:
        """The whole content of *path*."""
        self._no_directory(path)
        inode = self._inode(path)
        self._maybe_fail("read-error", self.faults.read_fails, path)
        if inode.data and self._tape.chance(self.faults.rot):
            self._rot(path, inode)
        return bytes(inode.data)

    def exists(self, path: str) -> bool:
        """Whether there is something at *path*."""
        path = _absolute(path)
        parent, name = posixpath.split(path)
        found = self._directories.get(parent)
        return path in self._directories or (found is not None and name in found.names)

    def list(self, directory: str) -> list[str]:
        """The names in *directory*, sorted."""
        path = _absolute(directory)
        below = {
            posixpath.basename(at) for at in self._directories if posixpath.dirname(at) == path
        }
        return sorted({*self._directory(path).names, *(below - {""})})

    def make_directory(self, path: str) -> None:
        """Create *path* and its parents, durably."""
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
            parent, name = posixpath.split(made)
            self._directories[parent].touched.add(name)

    def rename(self, source: str, target: str) -> None:
        """Move *source* over *target*, at once."""
        if _absolute(source) in self._directories:
            self._move_directory(_absolute(source), _absolute(target))
            return
        self._no_directory(target)
        inode = self._inode(source)
        (old, name), (new, other) = self._place(source), self._place(target)
        self._call("rename", f"{source} to {target}")
        self._change_names((old, name, None), (new, other, inode))

    def _move_directory(self, source: str, target: str) -> None:
        """Move a directory with all that is in it, durably, as it was made."""
        (old, name), (new, other) = self._place(source), self._place(target)
        code = errno.ENOTDIR if other in new.names else 0
        if target in self._directories and target != source and self.list(target):
            code = errno.ENOTEMPTY
        if code:
            raise OSError(code, os.strerror(code), target)
        self._call("rename", f"{source} to {target}")
        for path in [each for each in self._directories if f"{each}/".startswith(f"{source}/")]:
            self._directories[target + path[len(source) :]] = self._directories.pop(path)
        old.touched.add(name)
        new.touched.add(other)

    def remove(self, path: str) -> None:
        """Delete the file."""
        self._no_directory(path)
        self._inode(path)
        directory, name = self._place(path)
        self._call("remove", path)
        self._change_names((directory, name, None))

    def sync_directory(self, path: str) -> None:
        """Make the names in directory *path* durable."""
        directory = self._directory(_absolute(path))
        self._call("sync directory", path)
        self._maybe_fail("fsync-error", self.faults.sync_fails, path)
        if not self._sync(path):
            return
        self._commit_names(directory)
        directory.touched.clear()

    def unsynced_names(self, directory: str) -> frozenset[str]:
        """Names created, renamed or removed in *directory* since its last `sync_directory`."""
        found = self._directories.get(_absolute(directory))
        return frozenset() if found is None else frozenset(found.touched)

    # -- what happens to it -----------------------------------------------------------------

    def cut_power(self) -> None:
        """
        Keep what was synced, and of the rest what the tape says.

        The plainest choice keeps all of it, as if only the process had been killed.
        """
        fate = self._tape.choose(4)
        if fate == 1:
            self._note("power cut", "loses all that was not synced")
        self._cut_names(fate)
        inodes: dict[int, _Inode] = {}
        for directory in self._directories.values():
            for inode in directory.names.values():
                inodes[id(inode)] = inode
        for inode in inodes.values():
            self._cut_contents(inode, fate)

    def _change_names(self, *change: tuple[_Directory, str, _Inode | None]) -> None:
        self._pending.append(change)
        for directory, name, inode in change:
            directory.touched.add(name)
            _set(directory.names, name, inode)

    def _commit_names(self, synced: _Directory) -> None:
        """Make changes in one directory durable, and those elsewhere that they come after."""
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
        """Let each change happen or not; one of a name that did not change before does not."""
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

    def _cut_contents(self, inode: _Inode, fate: int) -> None:
        data = bytearray(inode.durable)
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
        """What is left of one write: all, nothing, or what fits into whole sectors, or any part."""
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
        """A disk of the same contents, without faults, for a second opinion."""
        twin = SimDisk(self._loop, self._tape, self._injected)
        for path, directory in self._directories.items():
            other = twin._directories[path] = _Directory()
            for name, inode in directory.names.items():
                other.names[name] = _Inode(bytes(inode.data))
            other.durable = dict(other.names)
        return twin

    # -- writing and syncing, for files -----------------------------------------------------

    def write(self, path: str, inode: _Inode, data: bytes) -> None:
        """
        Put *data* behind what *inode* holds.

        Raises:
            OSError: The disk is full or broken; a part is written.
        """
        self._call("write", f"{len(data)} bytes to {path}")
        data = bytes(data)
        faults = self.faults
        for name, code, probability in (
            ("disk-full", errno.ENOSPC, faults.full),
            ("write-error", errno.EIO, faults.write_fails),
        ):
            if probability and self._tape.chance(probability):
                part = data[: self._tape.choose(len(data) + 1)]
                inode.pending.append((len(inode.data), part))
                inode.data += part
                self._fail(name, code, path)
        inode.pending.append((len(inode.data), data))
        inode.data += data

    def sync(self, path: str, inode: _Inode) -> None:
        """
        Make the contents durable.

        Raises:
            OSError: The sync failed; what is durable is anybody's guess.
        """
        self._call("sync", path)
        faults = self.faults
        if faults.sync_fails and self._tape.chance(faults.sync_fails):
            if self._tape.chance(faults.forgets):
                inode.forget()
                self._fail("fsync-forgets", errno.EIO, path)
            self._fail("fsync-error", errno.EIO, path)
        if self._sync(path):
            # What a failed sync has dropped is in the cache, and never gets to the disk.
            data = bytearray(inode.durable)
            for offset, written in inode.pending:
                _change(data, offset, written)
            inode.durable = bytes(data)
            inode.pending.clear()

    def _sync(self, path: str) -> bool:
        """Take time, or lie; whether anything is to become durable."""
        faults = self.faults
        took = faults.sync_takes
        if faults.slow and self._tape.chance(faults.slow):
            took = (took[1], faults.slow_takes)
            self._injected("slow-fsync", ())
        PROCESS.get().busy_until = self._loop.time() + self._tape.between(*took)
        if faults.sync_lies and self._tape.chance(faults.sync_lies):
            self._injected("fsync-lies", ("fsync-honest",))
            return False
        return True

    def cut(self, path: str, inode: _Inode, size: int) -> None:
        """Cut the contents to *size* bytes."""
        self._call("truncate", f"{path} to {size} bytes")
        if size < len(inode.data):
            inode.pending.append((size, None))
            del inode.data[size:]
            if inode.lost_from is not None and size <= inode.lost_from:
                inode.lost_from = None
        elif size > len(inode.data):
            zeros = bytes(size - len(inode.data))
            inode.pending.append((len(inode.data), zeros))
            inode.data += zeros

    def _maybe_fail(self, name: str, probability: float, path: str) -> None:
        if probability and self._tape.chance(probability):
            self._fail(name, errno.EIO, path)

    def _fail(self, name: str, code: int, path: str) -> None:
        self._injected(name, ())
        raise OSError(code, os.strerror(code), path)

    def _rot(self, path: str, inode: _Inode) -> None:
        at = self._tape.choose(len(inode.data))
        bit = 1 << self._tape.choose(8)
        inode.data[at] ^= bit
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

    # -- finding things ---------------------------------------------------------------------

    def _directory(self, path: str) -> _Directory:
        found = self._directories.get(path)
        if found is None:
            parent, name = posixpath.split(path)
            if parent in self._directories and name in self._directories[parent].names:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def _place(self, path: str) -> tuple[_Directory, str]:
        parent, name = posixpath.split(_absolute(path))
        return self._directory(parent), name

    def _no_directory(self, path: str) -> None:
        if _absolute(path) in self._directories:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)

    def _inode(self, path: str) -> _Inode:
        directory, name = self._place(path)
        if name not in directory.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return directory.names[name]

    def _call(self, what: str, text: str) -> None:
        process = PROCESS.get(None)
        if process is not None and process.state == DEAD:
            raise PoweredOffError
        self._note(what, text)
        if self.faults.cut and self._tape.chance(self.faults.cut):
            self._cut()

    def _note(self, what: str, text: str) -> None:
        if self._loop.keep_log:
            self._loop.note(f"disk: {what} {text}")


class SimFile:
    """An open file of a `SimDisk`; see `assertlib.disk.File`."""

    def __init__(self, disk: SimDisk, path: str, inode: _Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._is_closed = False
        self.synced = 0

    @property
    def written(self) -> int:
        """Bytes handed over."""
        return len(self._inode.data)

    def append(self, data: bytes) -> None:
        """Write all of *data* at the end."""
        self._check()
        self._disk.write(self._path, self._inode, data)

    def sync(self) -> None:
        """Make everything written so far durable."""
        self._check()
        self._disk.sync(self._path, self._inode)
        # What is so, not what the caller has reason to believe: assertions may compare the two.
        self.synced = self._inode.safe

    def truncate(self, size: int) -> None:
        """Cut the file to *size* bytes."""
        self._check()
        self._disk.cut(self._path, self._inode, size)
        self.synced = min(self.synced, size)

    def close(self) -> None:
        """Give the file back; does not sync."""
        self._check()
        self._is_closed = True

    def _check(self) -> None:
        if self._is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._path)


def _absolute(path: str) -> str:
    return posixpath.normpath(posixpath.join("/", path))


def _names_in(change: _Change) -> set[tuple[int, str]]:
    return {(id(directory), name) for directory, name, _ in change}


def _set(names: dict[str, _Inode], name: str, inode: _Inode | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


def _change(data: bytearray, offset: int, written: bytes | None) -> None:
    """Put *written* at *offset*, or cut there; what is missing before it reads as zeros."""
    if written is None:
        del data[offset:]
    elif written:
        data.extend(b"\0" * (offset - len(data)))
        data[offset : offset + len(written)] = written
