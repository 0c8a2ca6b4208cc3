"""
Running git, on repositories and with names of commits that may be a stranger's.

Only what ``COMMIT`` matches is given to git as a commit, everything else stands behind
``--end-of-options``, and paths behind ``--``.  Settings of the repository start no program: no
monitor, no check of signatures, no download of missing objects.  Filters of ``.gitattributes`` do
run where the work tree is compared; whoever does that runs the project's code as well.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{7,64}")
"""The name of a commit: hexadecimal, whole or shortened to no less than git does."""

_SETTINGS = (
    "-c", "core.fsmonitor=false",
    "-c", "core.quotePath=false",
    "-c", "log.showSignature=false",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    # An empty list: no transport may be used, whatever the repository configures.
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_TERMINAL_PROMPT": "0",
}
_WITHIN = 60
"""Seconds that git may take."""


def run(
    directory: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """
    Run git in *directory*, whatever its exit code.

    Args:
        environment: Variables besides those of this process.

    Raises:
        OSError: There is no git, or it takes longer than a minute.
    """
    try:
        return subprocess.run(
            ["git", *_SETTINGS, *arguments],
            cwd=directory,
            env={**os.environ, **_ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"git {arguments[0]} took longer than {_WITHIN} s"
        raise TimeoutError(errno.ETIMEDOUT, reason) from None


def output(directory: Path, *arguments: str) -> bytes | None:
    """What git prints; None without git, without a repository, or if git fails."""
    try:
        done = run(directory, *arguments)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def file_at(directory: Path, commit: str, file: str) -> bytes | None:
    """The content of *file*, a path below *directory*, at *commit*; None where that has none."""
    if not COMMIT.fullmatch(commit):
        return None
    return output(directory, "cat-file", "--end-of-options", "blob", f"{commit}:./{file}")


def commit_named(directory: Path, name: str) -> str | None:
    """The full name of the commit that *name*, such as a tag, stands for; None if there is none."""
    arguments = ("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    found = output(directory, "rev-parse", *arguments)
    return None if found is None else found.decode().strip()
