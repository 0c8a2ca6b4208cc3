"""
Writes files and directories for the user alone, and never through a link that a stranger planted.

Evidence holds values of the store, so a run directory is readable by its owner only, unless
``ASSERTLIB_SHARED=1`` leaves that to the umask.  A file gets its name once it is complete; until
then it has an unpredictable one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from .settings import directory_mode, file_mode


def opener(path: str, flags: int) -> int:
    """Open the file *path* of a run directory with *flags*; an ``opener`` for `open`."""
    # A link in the place of the file is refused, since it could lead anywhere.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, file_mode())


def make_directory(path: str | os.PathLike[str]) -> None:
    """
    Create the directory *path*; directories above it get the permissions that the umask leaves.

    An existing directory is left as it is.

    Raises:
        OSError: It cannot be created, or another file has its name.
    """
    os.makedirs(os.path.dirname(os.fspath(path)) or ".", exist_ok=True)
    try:
        os.mkdir(path, directory_mode())
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def hidden_beside(path: str | os.PathLike[str]) -> str:
    """An unpredictable path in the directory of *path*, for a file that is then renamed to it."""
    # In the same directory, since a rename is atomic only within one file system.
    return os.path.join(os.path.dirname(os.fspath(path)), f".{os.urandom(8).hex()}.new")


@contextmanager
def replacing(
    path: str | os.PathLike[str], *, mode: int | None = None, errors: str = "strict"
) -> Iterator[IO[str]]:
    """
    Write a UTF-8 file that replaces the one at *path* once it is complete.

    After an error, the old file is unchanged and the new one is removed.

    Args:
        path: The file to replace or create.
        mode: Permissions before the umask; None means those of files in run directories.
        errors: Treatment of characters that UTF-8 cannot encode, as for `open`.

    Raises:
        OSError: It cannot be written.
    """
    hidden = hidden_beside(path)
    permissions = file_mode() if mode is None else mode
    # O_EXCL and O_NOFOLLOW: even a name that was guessed cannot redirect the write.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(hidden, flags, permissions)
    except OSError as error:
        # Named by the path that the user knows, not by the hidden one.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        with open(fd, "w", encoding="utf-8", errors=errors, newline="") as file:
            yield file
        os.replace(hidden, path)
    except BaseException:
        # Also after Ctrl-C, or an error of the caller inside the `with`.
        with suppress(OSError):
            os.unlink(hidden)
        raise


def write(path: str | os.PathLike[str], text: str) -> None:
    """
    Write *text* to the file *path* of a run directory, which appears complete.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path) as file:
        file.write(text)
