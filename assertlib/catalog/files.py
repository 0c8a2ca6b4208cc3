"""
Files that are written whole or not at all.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def place_in_repository(directory: Path) -> str:
    """Where *directory* lies in its git repository, with ``/``; empty outside of any."""
    whole = directory.resolve()
    for each in (whole, *whole.parents):
        if (each / ".git").exists():
            return whole.relative_to(each).as_posix()
    return ""


def in_line_ends_of(before: str, text: str) -> str:
    """*text* with the line ends of *before*: a file keeps those that it has."""
    is_dos = "\r\n" in before
    return text.replace("\r\n", "\n").replace("\n", "\r\n") if is_dos else text


def read_as_is(path: Path) -> str:
    """
    The text of a file with its line ends; empty if there is none.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
        OSError: It cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""


def write_whole(path: Path, text: str) -> None:
    """
    Put *text* into the file at *path*; after an error it is as it was, and nothing lies beside it.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        # What is no Unicode is shown, since it cannot be kept.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
