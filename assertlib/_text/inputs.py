"""
Opens files that others wrote, within bounds.

A run directory, an export or a catalog may come from another machine, so its files are treated as
hostile: only regular files are opened, without blocking, and size, lines and nesting are bounded.
A file that was found in a directory may not be a link; one that a person named may.

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
"""Bytes in a line; the details of a hit take at most 64 KiB."""

LARGEST_FILE = 64 << 20
"""Bytes in a file that is read as a whole."""

MOST_VALUES = 4_000_000
"""Values in one JSON text; each takes up to a few hundred bytes of memory."""

DEEPEST = 200
"""Levels of nesting in JSON; details are written with at most 100, inside their record."""

MOST_SLOTS = 1 << 17
"""Assertions of a process or a run; each message occurs once in code."""

MOST_COUNT = (1 << 63) - 1
"""Largest count of hits, which is also the largest integer of the evidence databases."""

LATEST = MOST_COUNT - (1 << 32)
"""
Largest time in nanoseconds since 1970, or since boot: in the year 2262, a few seconds before the
largest integer, so that later runs can still be ordered after it.
"""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFileError(OSError):
    """A path is not a regular file; `strerror` names its type."""


class TooLargeError(OSError):
    """A file is larger than anything assertlib writes; `strerror` names the bound."""


class LongLineError(ValueError):
    """
    A line is longer than any that assertlib writes.

    Attributes:
        number: Number of the line, from 1.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"longer than {LONGEST_LINE:,} bytes")
        self.number = number


class _system:
    """The functions of the operating system as they were at import."""

    open_file: Callable[..., Any] = staticmethod(open)
    open = staticmethod(os.open)
    close = staticmethod(os.close)
    fstat = staticmethod(os.fstat)
    lstat = staticmethod(os.lstat)
    stat = staticmethod(os.stat)


def open_found(path: str | os.PathLike[str], buffering: int = -1) -> IO[bytes]:
    """
    Open the file at *path*, which was found in a directory and may not be a link.

    Args:
        path: Path of the file.
        buffering: As for the builtin `open`.

    Raises:
        NotAFileError: It is not a regular file.
        OSError: It cannot be read.
    """
    return _open(os.fspath(path), os.O_NOFOLLOW, buffering)


def open_named(path: str | os.PathLike[str], buffering: int = -1) -> IO[bytes]:
    """
    Open the file at *path*, or the target of a link there: a person named or placed it.

    Args:
        path: Path of the file.
        buffering: As for the builtin `open`.

    Raises:
        NotAFileError: It is not a regular file.
        OSError: It cannot be read.
    """
    return _open(os.fspath(path), 0, buffering)


def _open(path: str, flags: int, buffering: int) -> IO[bytes]:
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        descriptor = _system.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except FileNotFoundError:
        # Callers expect a file to be missing; everything else is an error.
        raise
    except OSError as error:
        # A link fails with ELOOP, a socket with ENXIO: the type of the file is the better message.
        raise _not_a_file(path, flags) or error from None
    try:
        # The descriptor is checked, not the path, which may name another file by now.
        mode = _system.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _refused(path, mode)
        file: IO[bytes] = _system.open_file(descriptor, "rb", buffering)
    # Nobody else closes the descriptor before the file object owns it.
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
    """Whether *path* is a regular file, and not a link to one."""
    try:
        return stat.S_ISREG(_system.lstat(path).st_mode)
    # ValueError: the path contains a null character.
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
    The bytes of the file at *path*, or of the target of a link there.

    Raises:
        NotAFileError: It is not a regular file.
        TooLargeError: It has more than *most* bytes.
        OSError: It cannot be read.
    """
    with open_named(path) as file:
        return _whole(file, os.fspath(path), most)


def _whole(file: IO[bytes], path: str, most: int) -> bytes:
    # One byte more shows that there is more, whatever size the file reports, as in /proc.
    data = file.read(most + 1)
    if len(data) > most:
        raise TooLargeError(0, f"is larger than {most:,} bytes", path)
    return data


def lines_in(file: IO[bytes], before: int = 0) -> Iterable[bytes]:
    """
    The lines of *file* from its current position, with their line ends.

    Args:
        file: An open file.
        before: Number of lines before the current position, for the number of a line that is too
            long.

    Raises:
        LongLineError: While iterating: a line is too long.
    """
    # A file below the limit holds no longer line: the lines of the file object need no check.
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
        data: The text, in UTF-8.
        loads: A faster parser, such as that of orjson; the standard one is tried where it fails.

    Raises:
        ValueError: It is not JSON, nests too deeply, or holds too many values.
    """
    # Before parsing, which would allocate all values.
    containers = check_values(data)
    value = _loaded(data, loads)
    # No text nests deeper than it has brackets, so most need no search.
    if containers > DEEPEST and _is_deep(value):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return value


def check_values(data: bytes) -> int:
    """
    An upper bound for the number of lists and objects in the JSON text *data*.

    Raises:
        ValueError: It holds too many values.
    """
    # Brackets and commas in strings count as well; that is much cheaper than parsing.
    containers = data.count(b"[") + data.count(b"{")
    if len(data) > MOST_VALUES and containers + data.count(b",") > MOST_VALUES:
        raise ValueError(f"contains more than {MOST_VALUES:,} values")
    return containers


def _loaded(data: bytes, loads: Loads | None) -> object:
    # Not at import: a store reads no JSON, and starts faster without it.
    import json

    try:
        if loads is not None:
            try:
                return loads(data)
            except ValueError:
                # orjson rejects large integers and unpaired surrogates, which are valid here.
                pass
        return json.loads(data)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None


def _is_deep(value: object) -> bool:
    # Level by level, since a recursion would be as deep as the text.
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
    """The line, from 1, of the first *key* in the JSON text *data*; 1 if it does not occur."""
    import json

    place = data.find(json.dumps(key).encode())
    return data.count(b"\n", 0, max(place, 0)) + 1
