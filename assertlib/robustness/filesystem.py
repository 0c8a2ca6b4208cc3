"""
The file system of `powercut`: durable data in a directory, unsynced data in memory.

`powercut` describes its guarantees.  It implements libfuse's high-level interface, one call at a
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

# libfuse renames a file to this prefix if it is removed or replaced while it is open.
_HIDDEN = ".fuse_hidden"
# Constants of linux/stat.h and linux/falloc.h that the standard library lacks.
_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_KEEP_SIZE = 1
_ATTRIBUTES = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_rdev")


class FileSystem:
    """
    The calls of libfuse; *fi* is its ``fuse_file_info``, with the flags and the handle of a file.

    Failed calls raise OSError, whose error number is returned to the caller.

    Args:
        backing: The directory of durable data.
        caller: Returns user, group and process of the current call.
    """

    # An option of mfusepy: times are integers of nanoseconds.
    use_ns = True

    def __init__(self, backing: str, caller: Callable[[], tuple[int, int, int]]) -> None:
        self._backing = backing
        self._caller = caller
        # Files that are open or hold unsynced data, by device and inode: they survive renames and
        # are shared by hard links.
        self._files: dict[tuple[int, int], File] = {}
        self._open: dict[int, File] = {}
        self._handles = itertools.count(1)
        # Removed files that are still open, by the name that libfuse gave them.
        self._hidden: dict[str, File] = {}
        # The path in *backing* of the file that was hidden last, until the next call removes it.
        self._doomed: str | None = None

    # -- names ------------------------------------------------------------------------------

    def _real(self, path: str) -> str:
        """Return where *path* is in the backing directory, after removing the doomed file."""
        if self._doomed is not None:
            os.unlink(self._doomed)
            self._doomed = None
        return self._backing + path

    def getattr(self, path: str, fi: Any = None) -> dict[str, int]:
        """Return the attributes of *path*, including unsynced growth; *fi* is not needed."""
        # The hidden name does not exist in the backing directory.
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
        """Create a special file, such as a pipe, at *path* with *mode* and *device*."""
        os.mknod(self._real(path), mode, device)
        self._give_to_caller(self._real(path))

    def symlink(self, path: str, target: str) -> None:
        os.symlink(target, self._real(path))
        self._give_to_caller(self._real(path))

    def _give_to_caller(self, real: str) -> None:
        # This process creates every file, so as root it has to hand them over.
        if os.geteuid() == 0:
            uid, gid, _ = self._caller()
            os.lchown(real, uid, gid)

    def link(self, path: str, existing: str) -> None:
        os.link(self._real(existing), self._real(path), follow_symlinks=False)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._real(path))

    def unlink(self, path: str) -> None:
        """Remove the file *path*."""
        # libfuse removes the hidden name when the file is closed for the last time; this drops the
        # handle that `_hide` has added.
        hidden = self._hidden.pop(path, None)
        if hidden is not None:
            self._close(hidden)
            return
        # Looked up while there is a name, and forgotten when the count of links has dropped.
        file = self._loaded(self._real(path))
        os.unlink(self._real(path))
        self._forget(file)

    def rename(self, old: str, new: str) -> None:
        if os.path.basename(new).startswith(_HIDDEN):
            self._hide(old, new)
            return
        # Not `_real`, which would remove a doomed target.  libfuse hid it only because this rename
        # replaces it; removing it first would leave a moment without any file of that name.
        target = self._backing + new
        if self._doomed == target:
            self._doomed = None
        source = self._real(old)
        replaced = self._loaded(target)
        os.rename(source, target)
        self._forget(replaced)

    def _hide(self, old: str, new: str) -> None:
        """Move the open file *old* to the hidden name *new*; the next call removes it."""
        real = self._real(old)
        # The additional handle keeps its data until libfuse removes the hidden name.
        self._hidden[new] = self._files[key(os.lstat(real))]
        self._hidden[new].handles += 1
        self._doomed = real

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._real(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Change the owner of *path* to *uid* and *gid*."""
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
        """Create the file *path* with *mode*, and open it as *fi*."""
        real = self._real(path)
        # Readable whatever the caller asked for: writing a part of a page reads the rest of it.
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
        """Return *size* bytes at *offset* of the open file *fi*, whatever its *path* is by now."""
        return self._open[fi.fh].read(size, offset)

    def write(self, path: str | None, data: bytes, offset: int, fi: Any) -> int:
        """Write *data* at *offset* of the open file *fi*, whatever its *path* is by now."""
        file = self._open[fi.fh]
        file.write(data, offset)
        # O_SYNC includes the bit of O_DSYNC.
        if fi.flags & os.O_DSYNC:
            file.sync()
        return len(data)

    def truncate(self, path: str, length: int, fi: Any = None) -> None:
        """Set the length of *path* to *length* bytes; *fi* is not needed."""
        file = self._file(path)
        file.truncate(length)
        # Truncation by name opens no handle, so no release would drop the file later.
        self._forget(file)

    def fallocate(self, path: str | None, mode: int, offset: int, length: int, fi: Any) -> None:
        """
        Allocate space for the open file *fi*, which only sets its size.

        Args:
            path: Not needed.
            mode: Flags of ``fallocate``.
            offset: Beginning of the range, in bytes.
            length: Length of the range, in bytes.
            fi: The open file.

        Raises:
            OSError: *mode* asks for more than growth, such as punching a hole.
        """
        if mode & ~_KEEP_SIZE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        file = self._open[fi.fh]
        # Data are in memory until a sync, so no space can be reserved for them.
        if mode == 0 and offset + length > file.size:
            file.truncate(offset + length)

    def fsync(self, path: str | None, datasync: int, fi: Any) -> None:
        """Sync the open file *fi*, whatever its *path*; *datasync* makes no difference."""
        self._open[fi.fh].sync()

    def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
        """Do nothing for *path*, *datasync* and *fh*: names are always durable."""

    def release(self, path: str | None, fi: Any) -> None:
        self._close(self._open.pop(fi.fh))

    def destroy(self, path: str) -> None:
        """Sync everything before a clean unmount; *path* has no meaning."""
        self._real(path)
        for file in self._files.values():
            file.sync()

    def _file(self, path: str) -> File:
        """Return the file at *path*, and keep it if it is not kept already."""
        if path in self._hidden:
            return self._hidden[path]
        real = self._real(path)
        file = self._loaded(real)
        return self._kept(_opened(real)) if file is None else file

    def _kept(self, descriptor: int) -> File:
        file = File(descriptor)
        # There must be one object for each inode: its unsynced data are visible everywhere.
        known = self._files.setdefault(file.key, file)
        if known is not file:
            os.close(descriptor)
        return known

    def _loaded(self, real: str) -> File | None:
        """Return the kept file at *real*; None if it is not kept or does not exist."""
        try:
            return self._files.get(key(os.lstat(real)))
        except FileNotFoundError:
            return None

    def _close(self, file: File) -> None:
        file.handles -= 1
        self._forget(file)

    def _forget(self, file: File | None) -> None:
        """Stop keeping *file*, unless it is open or holds unsynced data."""
        if file is not None and not file.is_needed:
            os.close(file.descriptor)
            del self._files[file.key]


def _opened(real: str) -> int:
    try:
        return os.open(real, os.O_RDWR | os.O_NOFOLLOW)
    except PermissionError:
        # A file without write permission can still be read.
        return os.open(real, os.O_RDONLY | os.O_NOFOLLOW)


def _attributes(status: os.stat_result, size: int) -> dict[str, int]:
    found = {name: getattr(status, name) for name in _ATTRIBUTES}
    times = {name: getattr(status, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
    # Unsynced data occupy blocks, too: programs take a file with fewer blocks for a sparse one.
    blocks = max(status.st_blocks, -(-(size - status.st_size) // 512))
    return {**found, **times, "st_size": size, "st_blocks": blocks}


def _time(asked: int, current: int) -> int:
    if asked == _UTIME_NOW:
        return time.time_ns()
    return current if asked == _UTIME_OMIT else asked
