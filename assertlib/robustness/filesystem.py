"""
The file system of `powercut`: durable data are in a directory, the rest is in memory.

See `powercut` for its guarantees.  It implements libfuse's high-level interface, one call at a
time, so it needs no locks; a process killed between two calls has completed the first and not
started the second.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Callable
from typing import Any

from .unsynced import File, key

# How libfuse names a file that is removed, or replaced by another, while it is open.
_HIDDEN = ".fuse_hidden"
# linux/stat.h and linux/falloc.h.
_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_KEEP_SIZE = 1
_ATTRIBUTES = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_rdev")


class FileSystem:
    """
    The calls of libfuse, with the whole ``fuse_file_info`` for handles.

    Args:
        backing: The directory of durable data.
        caller: Returns user, group and process of the current call.
    """

    use_ns = True  # Times are nanoseconds.

    def __init__(self, backing: str, caller: Callable[[], tuple[int, int, int]]) -> None:
        self._backing = backing
        self._caller = caller
        self._files: dict[tuple[int, int], File] = {}
        self._open: dict[int, File] = {}
        self._handles = itertools.count(1)
        self._hidden: dict[str, File] = {}
        self._doomed: str | None = None

    # -- names ------------------------------------------------------------------------------

    def _real(self, path: str) -> str:
        """Where *path* lies, after what was removed is gone from there."""
        if self._doomed is not None:
            os.unlink(self._doomed)
            self._doomed = None
        return self._backing + path

    def getattr(self, path: str, fi: Any = None) -> dict[str, int]:
        hidden = self._hidden.get(path)
        status = os.fstat(hidden.descriptor) if hidden else os.lstat(self._real(path))
        file = self._files.get(key(status))
        return _attributes(status, status.st_size if file is None else file.size)

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        real = self._real(path)
        names = (".", "..", *os.listdir(real))
        found = ((name, os.lstat(os.path.join(real, name))) for name in names)
        return [(name, _attributes(status, status.st_size), 0) for name, status in found]

    def readlink(self, path: str) -> str:
        return os.readlink(self._real(path))

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._real(path), mode)
        self._give_to_caller(self._real(path))

    def mknod(self, path: str, mode: int, device: int) -> None:
        os.mknod(self._real(path), mode, device)
        self._give_to_caller(self._real(path))

    def symlink(self, path: str, target: str) -> None:
        os.symlink(target, self._real(path))
        self._give_to_caller(self._real(path))

    def _give_to_caller(self, real: str) -> None:
        if os.geteuid() == 0:
            uid, gid, _ = self._caller()
            os.lchown(real, uid, gid)

    def link(self, path: str, existing: str) -> None:
        os.link(self._real(existing), self._real(path), follow_symlinks=False)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._real(path))

    def unlink(self, path: str) -> None:
        hidden = self._hidden.pop(path, None)
        if hidden is not None:
            self._close(hidden)
            return
        file = self._loaded(self._real(path))
        os.unlink(self._real(path))
        self._forget(file)

    def rename(self, old: str, new: str) -> None:
        if os.path.basename(new).startswith(_HIDDEN):
            self._hide(old, new)
            return
        target = self._backing + new
        if self._doomed == target:
            # It was hidden to be replaced by this, which must not be two steps.
            self._doomed = None
        source = self._real(old)
        replaced = self._loaded(target)
        os.rename(source, target)
        self._forget(replaced)

    def _hide(self, old: str, new: str) -> None:
        """Remove *old*, which is open and goes by *new* from now, but not before the next call."""
        real = self._real(old)
        self._hidden[new] = self._files[key(os.lstat(real))]
        self._hidden[new].handles += 1
        self._doomed = real

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._real(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(self._real(path), uid, gid)

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        real = self._real(path)
        status = os.lstat(real)
        accessed = _time(times[0], status.st_atime_ns)
        modified = _time(times[1], status.st_mtime_ns)
        os.utime(real, ns=(accessed, modified), follow_symlinks=False)

    def statfs(self, path: str) -> dict[str, int]:
        status = os.statvfs(self._backing)
        return {name: getattr(status, name) for name in dir(status) if name.startswith("f_")}

    # -- files ------------------------------------------------------------------------------

    def create(self, path: str, mode: int, fi: Any) -> None:
        real = self._real(path)
        descriptor = os.open(real, os.O_RDWR | os.O_CREAT | fi.flags & os.O_EXCL, mode)
        self._give_to_caller(real)
        self._open_as(fi, self._kept(descriptor))

    def open(self, path: str, fi: Any) -> None:
        self._open_as(fi, self._file(path))

    def _open_as(self, fi: Any, file: File) -> None:
        file.handles += 1
        fi.fh = next(self._handles)
        self._open[fi.fh] = file
        if fi.flags & os.O_TRUNC:
            file.truncate(0)

    def read(self, path: str | None, size: int, offset: int, fi: Any) -> bytes:
        return self._open[fi.fh].read(size, offset)

    def write(self, path: str | None, data: bytes, offset: int, fi: Any) -> int:
        file = self._open[fi.fh]
        file.write(data, offset)
        # O_SYNC has this bit too.
        if fi.flags & os.O_DSYNC:
            file.sync()
        return len(data)

    def truncate(self, path: str, length: int, fi: Any = None) -> None:
        file = self._file(path)
        file.truncate(length)
        self._forget(file)

    def fallocate(self, path: str | None, mode: int, offset: int, length: int, fi: Any) -> None:
        if mode & ~_KEEP_SIZE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        file = self._open[fi.fh]
        if mode == 0 and offset + length > file.size:
            file.truncate(offset + length)

    def fsync(self, path: str | None, datasync: int, fi: Any) -> None:
        self._open[fi.fh].sync()

    def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
        """Names are durable already."""

    def release(self, path: str | None, fi: Any) -> None:
        self._close(self._open.pop(fi.fh))

    def destroy(self, path: str) -> None:
        self._real(path)
        for file in self._files.values():
            file.sync()

    def _file(self, path: str) -> File:
        """The file at *path*, which is kept if it is not already."""
        if path in self._hidden:
            return self._hidden[path]
        real = self._real(path)
        file = self._loaded(real)
        return self._kept(_opened(real)) if file is None else file

    def _kept(self, descriptor: int) -> File:
        file = File(descriptor)
        known = self._files.setdefault(file.key, file)
        if known is not file:
            os.close(descriptor)
        return known

    def _loaded(self, real: str) -> File | None:
        """What is kept of the file there, if there is one."""
        try:
            return self._files.get(key(os.lstat(real)))
        except FileNotFoundError:
            return None

    def _close(self, file: File) -> None:
        file.handles -= 1
        self._forget(file)

    def _forget(self, file: File | None) -> None:
        """Keep it no longer than it is needed."""
        if file is not None and not file.is_needed:
            os.close(file.descriptor)
            del self._files[file.key]


def _opened(real: str) -> int:
    try:
        return os.open(real, os.O_RDWR | os.O_NOFOLLOW)
    except PermissionError:
        return os.open(real, os.O_RDONLY | os.O_NOFOLLOW)


def _attributes(status: os.stat_result, size: int) -> dict[str, int]:
    found = {name: getattr(status, name) for name in _ATTRIBUTES}
    times = {name: getattr(status, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
    # Data in memory take room too, or programs take them for holes.
    blocks = max(status.st_blocks, -(-(size - status.st_size) // 512))
    return {**found, **times, "st_size": size, "st_blocks": blocks}


def _time(asked: int, current: int) -> int:
    if asked == _UTIME_NOW:
        return time.time_ns()
    return current if asked == _UTIME_OMIT else asked
