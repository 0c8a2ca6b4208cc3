"""
The changes of a repository, as git prints them.
"""

from __future__ import annotations

from pathlib import Path

from ..catalog import git
from ..errors import UsageError

# The prefixes are set, since a user's settings may change or remove them; external programs and
# text converters are named by the repository, which may be a stranger's.
_DIFF = (
    "diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M", "--relative",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip


def untracked(root: Path) -> list[str]:
    """Return the files under *root* that git does not track and does not ignore."""
    listed = git.output(root, "ls-files", "-z", "--others", "--exclude-standard")
    return [name for name in (listed or b"").decode("utf-8", "surrogateescape").split("\0") if name]


def difference(root: Path, commits: str | None, *, staged: bool = False) -> str:
    """
    Return the diff of files under a directory, with paths relative to it.

    Args:
        root: The directory.
        commits: A commit or range as ``git diff`` takes it; None for all uncommitted changes.
        staged: Whether only the changes in the index are meant.

    Raises:
        UsageError: Git is missing, *root* is in no repository, or the commits do not exist.
    """
    arguments = ["--cached"] if staged else ["--end-of-options", commits or "HEAD"]
    try:
        done = git.run(root, *_DIFF, *arguments, "--")
    except OSError as error:
        raise UsageError(f"git: {error.strerror}; pass a diff on stdin with --diff -") from None
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
        what = "--staged" if staged else commits or "uncommitted changes"
        raise UsageError(f"git diff {what}: {reason[0].removeprefix('fatal: ')}")
    return done.stdout.decode("utf-8", "surrogateescape")
