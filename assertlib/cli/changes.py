"""
The changes that options of the command line name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .._text.inputs import read_named
from ..catalog.config import Config
from ..errors import UsageError
from ..knowledge.changes import difference

_STDIN = "-"


def patch_of(config: Config, diff: str | None, *, staged: bool = False) -> str:
    """
    Return the text of the diff that the options name.

    Args:
        config: The configuration of the project.
        diff: Commits, a file, or ``-`` for stdin; None for all uncommitted changes.
        staged: Whether only the changes in git's index are meant.

    Raises:
        UsageError: *diff* is empty, or names commits that do not exist.
    """
    if diff is not None and not diff.strip():
        raise UsageError("--diff is empty; name commits, as in main..HEAD")
    if diff == _STDIN:
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    path = Path(diff) if diff else None
    if path is not None and path.is_fifo():
        # What a shell passes for <(git diff).
        return path.read_bytes().decode("utf-8", "surrogateescape")
    if path is not None and path.is_file():
        return read_named(path).decode("utf-8", "surrogateescape")
    return difference(config.root, diff, staged=staged)
