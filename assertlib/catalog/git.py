"""
Runs git on repositories, and with names of commits, that may come from a stranger.

Names of commits match ``COMMIT`` or follow ``--end-of-options``, and paths follow ``--``, so that
none can act as an option.  Settings of the repository start no program: no file system monitor, no
signature check, no download of missing objects.  Filters of ``.gitattributes`` do run where the
work tree is compared; commands that do so run the project's code as well.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{7,64}")
"""The name of a commit: hexadecimal, at least the seven digits that git abbreviates to."""

# core.fsmonitor and signature checks would start programs that a repository names.
_SETTINGS = (
    "-c", "core.fsmonitor=false",
    "-c", "core.quotePath=false",
    "-c", "log.showSignature=false",
)  # fmt: skip
_ENVIRONMENT = {
    # Reading takes no locks, which would get in the way of git commands of the user.
    "GIT_OPTIONAL_LOCKS": "0",
    # In a partial clone, reading a missing object would download it.
    "GIT_NO_LAZY_FETCH": "1",
    # An empty list: no transport may be used, whatever the repository configures.
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_TERMINAL_PROMPT": "0",
}
_WITHIN = 60
"""Timeout of git in seconds, where the caller sets none."""


def run(
    directory: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    within: int = _WITHIN,
    data: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """
    Run git and return its result, whatever the exit code.

    Args:
        directory: Working directory of git.
        arguments: The subcommand and its arguments.
        environment: Variables in addition to those of this process.
        within: Timeout in seconds.
        data: Standard input of git.

    Raises:
        TimeoutError: Git takes longer than *within*.
        OSError: Git cannot be started.
    """
    try:
        return subprocess.run(
            ["git", *_SETTINGS, *arguments],
            cwd=directory,
            env={**_inherited(), **_ENVIRONMENT, **(environment or {})},
            input=data,
            capture_output=True,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"git {arguments[0]} took longer than {within} s"
        raise TimeoutError(errno.ETIMEDOUT, reason) from None


def _inherited() -> dict[str, str]:
    # Set in a hook, these would make another directory than the working directory the repository.
    places = ("GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX")
    return {name: value for name, value in os.environ.items() if name not in places}


def output(directory: Path, *arguments: str) -> bytes | None:
    """Return what git prints with *arguments*, run in *directory*; None if it fails."""
    try:
        done = run(directory, *arguments)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def file_at(directory: Path, commit: str, file: str) -> bytes | None:
    """
    Return the content of a file at a commit.

    Args:
        directory: A directory of the repository.
        commit: Hexadecimal name of the commit.
        file: Path of the file, relative to *directory*.

    Returns:
        The bytes; None if *commit* is not valid or does not contain the file.
    """
    if not COMMIT.fullmatch(commit):
        return None
    # `./` makes the path relative to *directory*; git takes it from the root otherwise.
    return output(directory, "cat-file", "--end-of-options", "blob", f"{commit}:./{file}")


def commit_named(directory: Path, name: str) -> str | None:
    """Return the full name of the commit that *name* stands for in *directory*; None if none."""
    arguments = ("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    found = output(directory, "rev-parse", *arguments)
    return None if found is None else found.decode().strip()
