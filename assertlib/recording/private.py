"""
Files and directories that are written for the user alone, and through no link of a stranger.

Evidence holds values of the store, so that what lies in a run directory is readable by its owner
only; ``ASSERTLIB_SHARED=1`` leaves that to the umask.  Files appear whole under their names: until
then they have names that nobody can predict.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from .settings import directory_mode, file_mode


def opener(path: str, flags: int) -> int:
    """Open a file of a run directory; for the parameter ``opener`` of `open`."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, file_mode())


def make_directory(path: str | os.PathLike[str]) -> None:
    """
    Make the directory at *path*; those above it have the permissions that the umask leaves.

    One that exists is left as it is.

    Raises:
        OSError: It cannot be made.
    """
    os.makedirs(os.path.dirname(os.fspath(path)) or ".", exist_ok=True)
    try:
        os.mkdir(path, directory_mode())
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def hidden_beside(path: str | os.PathLike[str]) -> str:
    """An unpredictable path in the directory of *path*, for what is then renamed to it."""
    return os.path.join(os.path.dirname(os.fspath(path)), f".{os.urandom(8).hex()}.new")


@contextmanager
def replacing(
    path: str | os.PathLike[str], *, mode: int | None = None, errors: str = "strict"
) -> Iterator[IO[str]]:
    """
    A file, written as UTF-8, that takes the place of the one at *path* once it is complete.

    After an error the old one is as it was, and nothing lies beside it.

    Args:
        mode: Permissions before the umask; those of a run directory by default.
        errors: What happens to characters that UTF-8 lacks, as for `open`.

    Raises:
        OSError: It cannot be written.
    """
    hidden = hidden_beside(path)
    permissions = file_mode() if mode is None else mode
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(hidden, flags, permissions)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        with open(fd, "w", encoding="utf-8", errors=errors, newline="") as file:
            yield file
        os.replace(hidden, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(hidden)
        raise


def write(path: str | os.PathLike[str], text: str) -> None:
    """
    Put *text* into the file at *path* of a run directory, whole.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path) as file:
        file.write(text)
