"""
Opens and bounds what others wrote.

A run directory, an export or a catalog may come from another machine, so its files are opened as
hostile ones: regular files only, without waiting, and with bounds on size, lines and nesting.
What was found in a directory may not be a link; what a person named may.

Tests of a store patch ``open`` and ``os.*``, so these functions are bound at import.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO, Any

    Loads = Callable[[bytes], object]

LONGEST_LINE = 16 << 20
"""Bytes; the details of a hit take 64 KiB at most."""

LARGEST_FILE = 64 << 20
"""Bytes of a file that is read as a whole."""

MOST_VALUES = 4_000_000
"""In one JSON text; each takes up to some hundred bytes of memory."""

DEEPEST = 200
"""Levels of JSON; details are written with at most 100, inside of their record."""

MOST_SLOTS = 1 << 17
"""Assertions of a process, or of a run; each message is written once, in code."""

MOST_COUNT = (1 << 63) - 1
"""Hits that are counted, and what the databases that evidence is kept in take."""

LATEST = MOST_COUNT - (1 << 32)
"""Nanoseconds since 1970, or since boot: the year 2262, with some room for what comes after."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFileError(OSError):
    """What is to be read is not a regular file; `strerror` names what it is."""


class TooLargeError(OSError):
    """A file is larger than anything assertlib writes; `strerror` names the bound."""


class LongLineError(ValueError):
    """
    A line is longer than any that assertlib writes.

    Attributes:
        number: Of the line, from 1.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"longer than {LONGEST_LINE:,} bytes")
        self.number = number


class _system:
    """The functions as they were at import."""

    open_file: Callable[..., Any] = staticmethod(open)
    open = staticmethod(os.open)
    close = staticmethod(os.close)
    fstat = staticmethod(os.fstat)
    lstat = staticmethod(os.lstat)
    stat = staticmethod(os.stat)


def open_found(path: str | os.PathLike[str], buffering: int = -1) -> IO[bytes]:
    """
    Open the file at *path*, which was found in a directory and may not be a link.

    Raises:
        NotAFileError: It is not a regular file.
        OSError: It cannot be read.
    """
    return _open(os.fspath(path), os.O_NOFOLLOW, buffering)


def open_named(path: str | os.PathLike[str], buffering: int = -1) -> IO[bytes]:
    """
    Open the file at *path*, or where a link there leads to: a person named it, or put it there.

    Raises:
        NotAFileError: It is not a regular file.
        OSError: It cannot be read.
    """
    return _open(os.fspath(path), 0, buffering)


def _open(path: str, flags: int, buffering: int) -> IO[bytes]:
    try:
        descriptor = _system.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        # A link gives ELOOP, a socket ENXIO.
        raise _not_a_file(path, flags) or error from None
    try:
        mode = _system.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _refused(path, mode)
        file: IO[bytes] = _system.open_file(descriptor, "rb", buffering)
    except BaseException:
        _system.close(descriptor)
        raise
    return file


def _not_a_file(path: str, flags: int) -> NotAFileError | None:
    look = _system.lstat if flags & os.O_NOFOLLOW else _system.stat
    try:
        mode = look(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else _refused(path, mode)


def _refused(path: str, mode: int) -> NotAFileError:
    kind = _KINDS.get(stat.S_IFMT(mode), "not a file")
    return NotAFileError(0, f"is {kind}; only regular files are read", path)


def is_regular(path: str) -> bool:
    """Whether a regular file, not a link to one, is at *path*."""
    try:
        return stat.S_ISREG(_system.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_found(path: str | os.PathLike[str], most: int = LARGEST_FILE) -> bytes:
    """
    The bytes of the file at *path*, which was found in a directory and may not be a link.

    Raises:
        NotAFileError: It is not a regular file.
        TooLargeError: It has more than *most* bytes.
        OSError: It cannot be read.
    """
    with open_found(path) as file:
        return _whole(file, os.fspath(path), most)


def read_named(path: str | os.PathLike[str], most: int = LARGEST_FILE) -> bytes:
    """
    The bytes of the file at *path*, or where a link there leads to.

    Raises:
        NotAFileError: It is not a regular file.
        TooLargeError: It has more than *most* bytes.
        OSError: It cannot be read.
    """
    with open_named(path) as file:
        return _whole(file, os.fspath(path), most)


def _whole(file: IO[bytes], path: str, most: int) -> bytes:
    data = file.read(most + 1)
    if len(data) > most:
        raise TooLargeError(0, f"is larger than {most:,} bytes", path)
    return data


def lines_in(file: IO[bytes], before: int = 0) -> Iterable[bytes]:
    """
    The lines of *file* from where it stands, with their ends.

    Args:
        before: How many lines are before these.

    Raises:
        LongLineError: While iterating: a line is too long.
    """
    status = _system.fstat(file.fileno())
    is_small = stat.S_ISREG(status.st_mode) and status.st_size <= LONGEST_LINE
    return file if is_small else _bounded_lines(file, before)


def _bounded_lines(file: IO[bytes], before: int) -> Iterator[bytes]:
    number = before
    while text := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(text) > LONGEST_LINE:
            raise LongLineError(number)
        yield text


def parse_json(data: bytes, loads: Loads | None = None) -> object:
    """
    The value of the JSON text *data*.

    Args:
        loads: A faster reader; the standard one reads what that cannot.

    Raises:
        ValueError: It is not JSON, nests too deeply, or holds too many values.
    """
    containers = check_values(data)
    value = _loaded(data, loads)
    if containers > DEEPEST and _is_deep(value):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return value


def check_values(data: bytes) -> int:
    """
    How many lists and objects the JSON text *data* has at most.

    Raises:
        ValueError: It holds too many values.
    """
    containers = data.count(b"[") + data.count(b"{")
    if len(data) > MOST_VALUES and containers + data.count(b",") > MOST_VALUES:
        raise ValueError(f"holds more than {MOST_VALUES:,} values")
    return containers


def _loaded(data: bytes, loads: Loads | None) -> object:
    # Not at import: stores, which read nothing, start faster without.
    import json

    try:
        if loads is not None:
            try:
                return loads(data)
            except ValueError:
                # Faster readers know neither large integers nor half a surrogate.
                pass
        return json.loads(data)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def line_of(data: bytes, key: str) -> int:
    """The line, from 1, on which *key* stands first in the JSON text *data*; 1 if it does not."""
    import json

    place = data.find(json.dumps(key).encode())
    return data.count(b"\n", 0, max(place, 0)) + 1
