"""
Project files: listing, decoding, and atomic writes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ..inputs import read_named
from ..recording.private import replacing
from ..utf8 import decoded


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


def is_hidden(name: str) -> bool:
    """
    Whether the name marks a file or directory of a tool: hidden, or an autosave.

    Editors leave locks (``.#wal.toml``) and autosaves (``#wal.toml#``), macOS leaves AppleDouble
    files (``._wal.toml``).  Backups (``wal.toml~``, ``wal.toml.bak``) change the suffix instead.
    """
    return name.startswith((".", "#"))


def files_in(directory: Path, suffix: str) -> list[Path]:
    """
    The files in *directory* whose names end with *suffix*, sorted, without hidden ones.

    Empty if the directory does not exist.

    Raises:
        OSError: The directory cannot be read.
    """
    if not directory.is_dir():
        return []
    return sorted(
        path
        for path in directory.iterdir()
        if path.name.endswith(suffix) and not is_hidden(path.name)
    )


def read_text(path: Path) -> str:
    r"""
    The text of a file, without a byte order mark, its lines ended by ``\n``.

    Raises:
        EncodingError: It is not UTF-8.
        OSError: It cannot be read, or is not a regular file.
    """
    return decoded(read_named(path)).replace("\r\n", "\n").replace("\r", "\n")


def read_as_is(path: Path) -> str:
    """
    The text of a file with its line ends, without a byte order mark; empty if there is none.

    Raises:
        EncodingError: It is not UTF-8.
        OSError: It cannot be read, or is not a regular file.
    """
    try:
        return decoded(read_named(path))
    except FileNotFoundError:
        return ""


def write_whole(path: Path, text: str) -> None:
    """
    Put *text* into the file at *path*; after an error it is as it was, and nothing lies beside it.

    Raises:
        OSError: It cannot be written.
    """
    try:
        # What is no Unicode is shown, since it cannot be kept.
        with replacing(path, mode=0o666, errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def ignore_all(directory: Path) -> None:
    """
    Keep *directory* out of version control, unless its ``.gitignore`` decides otherwise.

    Raises:
        OSError: It cannot be written.
    """
    # Exclusively: a link that leads nowhere exists, too.
    with suppress(FileExistsError), (directory / ".gitignore").open("x", encoding="utf-8") as file:
        file.write("*\n")
