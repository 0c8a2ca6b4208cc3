"""
Project files: listing, decoding, and atomic writes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from .._text.inputs import read_named
from .._text.utf8 import decoded
from ..recording.private import replacing


def place_in_repository(directory: Path) -> str:
    """Return the path of *directory* in its git repository, with ``/``; empty outside of one."""
    whole = directory.resolve()
    for each in (whole, *whole.parents):
        # A directory in a clone, a file in a worktree or submodule.
        if (each / ".git").exists():
            return whole.relative_to(each).as_posix()
    return ""


def in_line_ends_of(before: str, text: str) -> str:
    """Return *text* with the line ends of *before*, the content that it replaces."""
    # Normalised first: *text* may already mix both, and must not end up with \r\r\n.
    is_dos = "\r\n" in before
    return text.replace("\r\n", "\n").replace("\n", "\r\n") if is_dos else text


def is_hidden(name: str) -> bool:
    """
    Return whether *name* is that of a hidden file or directory, or of an autosave.

    Editors leave locks (``.#wal.toml``) and autosaves (``#wal.toml#``), macOS leaves AppleDouble
    files (``._wal.toml``).  Backups (``wal.toml~``, ``wal.toml.bak``) change the suffix instead.
    """
    return name.startswith((".", "#"))


def files_in(directory: Path, suffix: str) -> list[Path]:
    """
    Return the files in *directory* whose names end with *suffix*, sorted, without hidden ones.

    Links and directories of such a name are included, so that callers can report them.  The list
    is empty if the directory does not exist.

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
    Return the text of a file without a byte order mark, with lines that end in ``\n``.

    Raises:
        EncodingError: The file is not UTF-8.
        OSError: The file cannot be read, or is not a regular file.
    """
    # Line ends of Windows come first; a lone \r, of old Macs, is one as well.
    return decoded(read_named(path)).replace("\r\n", "\n").replace("\r", "\n")


def read_as_is(path: Path) -> str:
    """
    Return the text of a file without a byte order mark, with its own line ends.

    The text is empty if the file does not exist.

    Raises:
        EncodingError: The file is not UTF-8.
        OSError: The file cannot be read, or is not a regular file.
    """
    try:
        return decoded(read_named(path))
    except FileNotFoundError:
        return ""


def write_whole(path: Path, text: str) -> None:
    """
    Replace the content of the file at *path* with *text*, atomically.

    After an error the file is unchanged, and no temporary file is left behind.

    Raises:
        OSError: The file cannot be written.
    """
    try:
        # Surrogates cannot be encoded; an escape loses less than an error would.
        with replacing(path, mode=0o666, errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        # The error may name the temporary file, which means nothing to users.
        raise OSError(error.errno, error.strerror, str(path)) from None


def ignore_all(directory: Path) -> None:
    """
    Keep *directory* out of version control, unless it has a ``.gitignore`` already.

    Raises:
        OSError: The file cannot be written.
    """
    # Created exclusively, so that not even a dangling link of that name is followed.
    with suppress(FileExistsError), (directory / ".gitignore").open("x", encoding="utf-8") as file:
        file.write("*\n")
