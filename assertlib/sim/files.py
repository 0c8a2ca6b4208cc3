"""
Files of the standard library on the disk of a host: `open`, `os`, and what is built on them.

While a trial runs, these functions replace the real ones for the code of hosts: what a host writes
is on its `SimDisk`, so that a power cut can lose it.  A directory of the real machine exists on each
disk as well, but is empty there.  The code and the data that a program is installed with can be
read: they are no state of the store.

The module is over 500 lines because `os` has many functions for one table of descriptors.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

from .machines import EPOCH
from .process import Process, calling

__all__ = ["WRITES", "Files", "is_no_file", "is_simulated"]

_FIRST = 1 << 20
"""The first descriptor, above those of real files and of simulated sockets."""
WRITES = os.O_WRONLY | os.O_RDWR
_BLOCK = 4096

_real_stat = os.stat
_INSTALLED = tuple(
    f"{os.path.realpath(each)}{os.sep}"
    for each in {sys.prefix, sys.base_prefix, "/usr", "/etc", "/proc", "/sys", "/dev"}
)
"""Directories whose files can be read, besides those that modules are imported from."""


class _Inode(Protocol):
    """A file of a disk; see `SimDisk`."""

    data: bytearray
    number: int
    modified: float


class _Disk(Protocol):
    """The disk of a host, as far as its files need it; see `SimDisk`."""

    mirrored: set[str]
    removed: set[str]

    def find(self, path: str) -> _Inode | None: ...
    def create(self, path: str) -> _Inode: ...
    def exists(self, path: str) -> bool: ...
    def is_directory(self, path: str) -> bool: ...
    def list(self, directory: str) -> list[str]: ...
    def make_directory(self, path: str) -> None: ...
    def remove_directory(self, path: str) -> None: ...
    def rename(self, source: str, target: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def content(self, path: str, inode: _Inode) -> bytes: ...
    def write(self, path: str, inode: _Inode, data: bytes, at: int | None = None) -> None: ...
    def cut(self, path: str, inode: _Inode, size: int) -> None: ...
    def sync(self, path: str, inode: _Inode) -> None: ...
    def sync_directory(self, path: str) -> None: ...


class _Open:
    """An open file or directory."""

    def __init__(self, process: Process, path: str, inode: _Inode | None, flags: int) -> None:
        self.process = process
        self.path = path
        self.inode = inode
        self.flags = flags
        self.position = 0


class Files:
    """
    The open files of all hosts of a trial.

    Args:
        outside: The process of code outside all hosts.
        next_number: Returns a number that is unique in the trial.
    """

    def __init__(self, outside: Process, next_number: Callable[[], int]) -> None:
        self._outside = outside
        self._next_number = next_number
        self._open: dict[int, _Open] = {}
        self._numbers: dict[str, int] = {}

    @property
    def _process(self) -> Process:
        return calling() or self._outside

    # -- which files ------------------------------------------------------------------------

    @property
    def _disk(self) -> _Disk:
        host = self._process.host
        assert host is not None
        disk: _Disk = host.disk
        return disk

    def is_real(self, path: str | int | bytes | os.PathLike[Any]) -> bool:
        """Whether *path* is a device, or installed with the program and not on the disk."""
        if isinstance(path, int):
            return not is_simulated(path)
        path = _text(path)
        disk = self._disk
        is_mirrored = path in disk.mirrored and not disk.list(path)
        if path in disk.removed or (disk.exists(path) and not is_mirrored):
            return False
        if path.startswith((*_INSTALLED, *_imported())):
            return True
        return is_no_file(path)

    def _place(self, path: Any) -> str:
        """Return *path* as text, with the directory that holds it made if it really exists."""
        if isinstance(path, int):
            return self._at(path).path
        text = _text(path)
        for directory in (text, os.path.dirname(text)):
            is_there = self._disk.exists(directory) or directory in self._disk.removed
            if not is_there and _is_directory(directory):
                self._mirror(directory)
        return text

    def _mirror(self, directory: str) -> None:
        """Make *directory*, which really exists, and those that it is in."""
        missing = directory
        while not self._disk.exists(missing):
            self._disk.mirrored.add(missing)
            missing = os.path.dirname(missing)
        self._disk.make_directory(directory)

    def _at(self, descriptor: int) -> _Open:
        found = self._open.get(descriptor)
        if found is None or found.process is not self._process:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return found

    def _file_at(self, descriptor: int) -> tuple[_Open, _Inode]:
        found = self._at(descriptor)
        if found.inode is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), found.path)
        return found, found.inode

    def _writable(self, descriptor: int, code: int = errno.EBADF) -> tuple[_Open, _Inode]:
        file = self._at(descriptor)
        if not file.flags & WRITES or file.inode is None:
            raise OSError(code, os.strerror(code), file.path)
        return file, file.inode

    # -- descriptors ------------------------------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        """
        Open a file or directory, as `os.open` does.

        Args:
            path: Its path.
            flags: How it is opened, as in `os`.
            mode: Ignored: the disk keeps no permissions.

        Returns:
            A descriptor, which belongs to the calling process.

        Raises:
            OSError: It is missing, exists already, or is a directory.
        """
        path, disk = self._place(path), self._disk
        if flags & os.O_CREAT and flags & os.O_EXCL and disk.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if disk.is_directory(path):
            if flags & (WRITES | os.O_CREAT):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            return self._opened(path, None, flags)
        inode = disk.find(path)
        if inode is None:
            if not flags & os.O_CREAT:
                raise self._missing(path)
            inode = disk.create(path)
        if flags & getattr(os, "O_DIRECTORY", 0):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        if flags & os.O_TRUNC and inode.data:
            disk.cut(path, inode, 0)
        return self._opened(path, inode, flags)

    def _opened(self, path: str, inode: _Inode | None, flags: int) -> int:
        descriptor = _FIRST + self._next_number()
        self._open[descriptor] = _Open(self._process, path, inode, flags)
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close *descriptor*; nothing is synced."""
        self._at(descriptor)
        del self._open[descriptor]

    def read(self, descriptor: int, size: int) -> bytes:
        """Read up to *size* bytes at the position of *descriptor*."""
        data = self.pread(descriptor, size, self._at(descriptor).position)
        self._at(descriptor).position += len(data)
        return data

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """
        Read from a file, as `os.pread` does.

        Args:
            descriptor: The open file.
            size: The largest number of bytes to return.
            offset: Where they begin.

        Raises:
            OSError: It is not open for reading, or the disk fails.
        """
        file, inode = self._file_at(descriptor)
        if file.flags & os.O_WRONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), file.path)
        _check_positive(size, offset)
        return self._disk.content(file.path, inode)[offset : offset + size]

    def write(self, descriptor: int, data: Any) -> int:
        """Write *data* at the position of *descriptor*, or at the end if it appends."""
        file, inode = self._writable(descriptor)
        if file.flags & os.O_APPEND:
            file.position = len(inode.data)
        written = self.pwrite(descriptor, data, file.position)
        file.position += written
        return written

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        """
        Write into a file, as `os.pwrite` does.

        Args:
            descriptor: The open file.
            data: The bytes to write.
            offset: Where they go; like Linux, to the end of a file that appends.

        Returns:
            The number of bytes written, which is that of *data*.

        Raises:
            OSError: It is not open for writing, or the disk fails.
        """
        file, inode = self._writable(descriptor)
        _check_positive(offset)
        offset = len(inode.data) if file.flags & os.O_APPEND else offset
        taken = bytes(data)
        if taken:
            try:
                self._disk.write(file.path, inode, taken, offset)
            except OSError as error:
                # Like a kernel: the error comes with the next write, if it still persists.
                written: int = getattr(error, "written", 0)
                if written:
                    return written
                raise
            if file.flags & (os.O_SYNC | os.O_DSYNC):
                self._disk.sync(file.path, inode)
        return len(taken)

    def writev(self, descriptor: int, buffers: Any) -> int:
        """Write all *buffers* at the position of *descriptor*."""
        return self.write(descriptor, b"".join(map(bytes, buffers)))

    def lseek(self, descriptor: int, position: int, how: int) -> int:
        """
        Move the position of an open file, as `os.lseek` does.

        Args:
            descriptor: The open file.
            position: Bytes from where *how* says.
            how: ``SEEK_SET``, ``SEEK_CUR`` or ``SEEK_END``.

        Returns:
            The new position.

        Raises:
            OSError: It would be negative.
        """
        file, inode = self._file_at(descriptor)
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: file.position, os.SEEK_END: len(inode.data)}
        place = bases.get(how, -1 - abs(position)) + position
        _check_positive(place)
        file.position = place
        return file.position

    def fsync(self, descriptor: Any) -> None:
        """Make the contents of a file durable, or the names in a directory."""
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        file = self._at(number)
        if file.inode is None:
            self._disk.sync_directory(file.path)
        else:
            self._disk.sync(file.path, file.inode)

    def ftruncate(self, descriptor: int, size: int) -> None:
        """Truncate the file of *descriptor* to *size* bytes."""
        file, inode = self._writable(descriptor, errno.EINVAL)
        _check_positive(size)
        self._disk.cut(file.path, inode, size)

    def posix_fallocate(self, descriptor: int, offset: int, size: int) -> None:
        """
        Extend a file with zeros, as `os.posix_fallocate` does.

        Args:
            descriptor: The open file.
            offset: Where the bytes begin that it must have.
            size: The number of these bytes.
        """
        _, inode = self._file_at(descriptor)
        if offset + size > len(inode.data):
            self.ftruncate(descriptor, offset + size)

    def fstat(self, descriptor: int) -> os.stat_result:
        """Return the status of *descriptor*."""
        file = self._at(descriptor)
        return self._status(file.path, file.inode)

    # -- paths ------------------------------------------------------------------------------

    def stat(self, path: Any, *, follow_symlinks: bool = True) -> os.stat_result:
        """
        Return the status of *path*; there are no links, so *follow_symlinks* is ignored.

        Raises:
            OSError: Nothing is there.
        """
        if isinstance(path, int):
            return self.fstat(path)
        path = self._place(path)
        inode = self._disk.find(path)
        if inode is None and not self._disk.is_directory(path):
            raise self._missing(path)
        return self._status(path, inode)

    def _missing(self, path: str) -> OSError:
        is_below_file = self._disk.find(os.path.dirname(path)) is not None
        code = errno.ENOTDIR if is_below_file else errno.ENOENT
        return OSError(code, os.strerror(code), path)

    def _status(self, path: str, inode: _Inode | None) -> os.stat_result:
        kind = stat.S_IFDIR | 0o755 if inode is None else stat.S_IFREG | 0o644
        number = self._number_of(path) if inode is None else inode.number
        size = _BLOCK if inode is None else len(inode.data)
        when = EPOCH + (0.0 if inode is None else inode.modified)
        short = (
            kind,
            number,
            1,
            1,
            os.getuid(),
            os.getgid(),
            size,
            int(when),
            int(when),
            int(when),
        )
        nanoseconds = int(when * 1e9)
        return os.stat_result(
            short,
            {
                "st_atime": when, "st_mtime": when, "st_ctime": when,
                "st_atime_ns": nanoseconds, "st_mtime_ns": nanoseconds, "st_ctime_ns": nanoseconds,
                "st_blksize": _BLOCK, "st_blocks": -(-size // 512), "st_rdev": 0,
            },
        )  # fmt: skip

    def _number_of(self, directory: str) -> int:
        if directory not in self._numbers:
            self._numbers[directory] = self._next_number()
        return self._numbers[directory]

    def access(self, path: Any, mode: int, **_: Any) -> bool:
        """Whether *path* exists; all *mode* s are allowed."""
        path = self._place(path)
        return self._disk.exists(path)

    def truncate(self, path: Any, size: int) -> None:
        """
        Truncate the file at *path* to *size* bytes.

        Raises:
            OSError: Nothing is there, or a directory.
        """
        if isinstance(path, int):
            self.ftruncate(path, size)
            return
        path = self._place(path)
        inode = self._disk.find(path)
        if inode is None:
            raise self._missing(path)
        _check_positive(size)
        self._disk.cut(path, inode, size)

    def listdir(self, path: Any = ".") -> list[Any]:
        """Return the names in the directory *path*."""
        names = self._disk.list(self._place(path))
        return [os.fsencode(each) for each in names] if isinstance(path, bytes) else names

    def scandir(self, path: Any = ".") -> _Scan:
        """Iterate over the entries of the directory *path*."""
        shown = "" if isinstance(path, int) else os.fspath(path)
        return _Scan(self, self._place(path), shown, self.listdir(path))

    def below(self, descriptor: int, path: Any) -> str:
        """Return *path*, relative to the directory of *descriptor*."""
        return os.path.join(self._at(descriptor).path, os.fsdecode(path))

    def mkdir(self, path: Any, mode: int = 0o777) -> None:
        """
        Create the directory *path*; *mode* is ignored.

        Raises:
            FileExistsError: Something is there.
        """
        path = self._place(path)
        disk = self._disk
        if disk.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        disk.list(os.path.dirname(path))
        disk.make_directory(path)

    def rmdir(self, path: Any) -> None:
        """Remove the empty directory *path*."""
        self._disk.remove_directory(self._place(path))

    def rename(self, src: Any, dst: Any) -> None:
        """Move *src* over *dst*."""
        self._disk.rename(self._place(src), self._place(dst))

    def remove(self, path: Any) -> None:
        """Remove the file *path*."""
        self._disk.remove(self._place(path))

    def unchanged(self, path: Any, *_: Any, **__: Any) -> None:
        """Check that *path* exists; the disk keeps neither its owner nor its permissions."""
        if isinstance(path, int) or not self.is_real(path):
            self.stat(path)

    def nothing(self, *_: Any, **__: Any) -> None:
        """Have no effect: what the call would change is not simulated."""

    def unsupported(self, *_: Any, **__: Any) -> int:
        """
        Fail as on a file system without the call, which callers are prepared for.

        Raises:
            OSError: Always.
        """
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def no_attributes(self, *_: Any, **__: Any) -> list[str]:
        """Return no extended attributes."""
        return []

    # -- files as Python's own objects --------------------------------------------------------

    def open_file(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> Any:
        """
        Open a file as a Python object, as the function `open` does.

        Args:
            file: Its path, or a descriptor.
            mode: How it is opened.
            buffering: 0 for none, 1 for lines, or the size of the buffer; -1 for the usual one.
            encoding: The encoding of a text file; None for the usual one.
            errors: How errors of encoding are handled.
            newline: How ends of lines are translated.
            closefd: Whether closing the object closes a descriptor that was passed.
            opener: Called with path and flags to open the file; None for `os.open`.

        Raises:
            ValueError: The mode, or its combination with other arguments, is invalid.
            OSError: The file cannot be opened.
        """
        letters = set(mode)
        if letters - set("axrwb+tU") or len(mode) > len(letters) or len(letters & set("axrw")) != 1:
            raise ValueError(f"invalid mode: {mode!r}")
        is_binary, updates = "b" in letters, "+" in letters
        if is_binary and encoding is not None:
            raise ValueError("binary mode doesn't take an encoding argument")
        raw = _RawFile(self, file, letters, opener, closes=closefd)
        if buffering == 0:
            if not is_binary:
                raise ValueError("can't have unbuffered text I/O")
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        kind: Any = io.BufferedWriter
        if updates:
            kind = io.BufferedRandom
        elif "r" in letters:
            kind = io.BufferedReader
        buffer = kind(raw, size)
        if is_binary:
            return buffer
        text = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text


class _RawFile(io.RawIOBase):
    """An unbuffered file on the disk of a host."""

    def __init__(
        self,
        files: Files,
        file: Any,
        letters: set[str],
        opener: Callable[[Any, int], int] | None,
        *,
        closes: bool,
    ) -> None:
        flags = os.O_RDWR if "+" in letters else os.O_RDONLY if "r" in letters else os.O_WRONLY
        flags |= os.O_CREAT if letters & set("wax") else 0
        flags |= os.O_TRUNC if "w" in letters else 0
        flags |= os.O_EXCL if "x" in letters else 0
        flags |= os.O_APPEND if "a" in letters else 0
        flags |= os.O_CLOEXEC
        self._files = files
        self._closes = closes or not isinstance(file, int)
        self._flags = flags
        self.name = file
        if isinstance(file, int):
            self._number = file
        else:
            self._number = opener(file, flags) if opener else files.open(file, flags, 0o666)
        self.mode = f"{'rb+' if '+' in letters else 'rb' if 'r' in letters else 'wb'}"
        if stat.S_ISDIR(files.fstat(self._number).st_mode):
            files.close(self._number)
            self._closes = False
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
        if "a" in letters:
            files.lseek(self._number, 0, os.SEEK_END)

    def fileno(self) -> int:
        self._check()
        return self._number

    def readable(self) -> bool:
        return not self._flags & os.O_WRONLY

    def writable(self) -> bool:
        return bool(self._flags & WRITES)

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._check()
        if not self.readable():
            raise io.UnsupportedOperation("File not open for reading")
        view = memoryview(buffer).cast("B")
        data = self._files.read(self._number, len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        self._check()
        if not self.writable():
            raise io.UnsupportedOperation("File not open for writing")
        return self._files.write(self._number, data)

    def seek(self, position: int, how: int = os.SEEK_SET) -> int:
        self._check()
        return self._files.lseek(self._number, position, how)

    def truncate(self, size: int | None = None) -> int:
        self._check()
        size = self.tell() if size is None else size
        self._files.ftruncate(self._number, size)
        return size

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        # Its process may have ended, and its descriptors with it.
        if self._closes and self._number in self._files._open:
            self._files._open.pop(self._number)


class _Scan:
    """The entries of a directory, as `os.scandir` returns them."""

    def __init__(self, files: Files, path: str, shown: Any, names: list[Any]) -> None:
        self._entries = iter([_Entry(files, path, shown, name) for name in names])

    def __iter__(self) -> Iterator[_Entry]:
        return self._entries

    def __next__(self) -> _Entry:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the remaining entries."""
        self._entries = iter(())


class _Entry:
    """An entry of a directory; see `os.DirEntry`."""

    def __init__(self, files: Files, directory: str, shown: Any, name: Any) -> None:
        self._files = files
        self._full = os.path.join(directory, os.fsdecode(name))
        self.name = name
        self.path = os.path.join(shown, name)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return self._files.stat(self._full)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISDIR(self.stat().st_mode)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISREG(self.stat().st_mode)

    def is_symlink(self) -> bool:
        return False

    def is_junction(self) -> bool:
        return False

    def inode(self) -> int:
        return self.stat().st_ino

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"


def _check_positive(*numbers: int) -> None:
    if min(numbers) < 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _text(path: Any) -> str:
    text = os.fsdecode(path)
    if not text:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
    if "\0" in text:
        raise ValueError("embedded null byte")
    return os.path.abspath(text)


def _is_directory(path: str) -> bool:
    """Whether *path* is a directory of the real machine."""
    try:
        return stat.S_ISDIR(_real_stat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_simulated(descriptor: object) -> bool:
    """Whether *descriptor* is that of a file of a host, open or closed."""
    return isinstance(descriptor, int) and descriptor >= _FIRST


def is_no_file(path: Any) -> bool:
    """Whether *path*, or a descriptor, is a character device, a pipe or a socket."""
    try:
        mode = _real_stat(path).st_mode
    except (OSError, ValueError, TypeError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _imported() -> tuple[str, ...]:
    """Directories that modules are imported from."""
    return tuple(f"{each}{os.sep}" for each in sys.path if each and each != os.sep)
