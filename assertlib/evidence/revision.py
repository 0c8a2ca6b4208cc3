"""
Revisions: the commit that a run was recorded from, and the changes of its work tree.

``46c8d08…`` is a clean commit, ``46c8d08…+dirty.1f0c9e2a7b`` a work tree with changes.  The digest
after ``dirty.`` identifies the changes: runs with equal digests ran the same source.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path

from ..catalog import git
from ..recording.checkout import find_commit
from ..recording.reprs import bounded_repr

_DIRTY = "+dirty"
_DIGEST_CHARACTERS = 10
# External diff programs and text converters are named by the repository, which may be a stranger's.
_DIFFERENCE = ("diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")
# Running the code writes bytecode, which must not count as a change even if git does not ignore it.
_UNTRACKED = ("ls-files", "-z", "--others", "--exclude-standard", "--exclude=__pycache__/")
_REVISION = re.compile(rf"{git.COMMIT.pattern}({re.escape(_DIRTY)}(\.[0-9a-f]+)?)?")


@cache
def find_revision(root: Path) -> str | None:
    """The revision of the repository at *root* or above it; None without a repository."""
    commit = find_commit(str(root))
    if commit is None:
        return None
    difference = _difference(root)
    if not difference:
        return commit
    return f"{commit}{_DIRTY}.{difference}"


def known_revision(value: object) -> str | None:
    """*value* if it is a revision as `find_revision` returns it; None for anything else."""
    return value if isinstance(value, str) and _REVISION.fullmatch(value) else None


def not_a_revision(value: object) -> str:
    """The reason why *value* counts as unknown, without a full stop."""
    shown = bounded_repr(value, 80)
    return f"the commit {shown} is treated as unknown because it is not 7 to 64 hexadecimal digits"


def is_dirty(revision: str | None) -> bool:
    """Whether *revision* denotes a work tree with changes."""
    return _DIRTY in (revision or "")


def commit_of(revision: str) -> str:
    """The commit that *revision* is based on."""
    return revision.partition(_DIRTY)[0]


def short(revision: str, characters: int = 7) -> str:
    """Abbreviate *revision* to *characters* digits: ``46c8d08`` or ``46c8d08+dirty``."""
    return commit_of(revision)[:characters] + (_DIRTY if is_dirty(revision) else "")


def _difference(root: Path) -> str:
    """A digest of the changes in the work tree; empty if there are none."""
    changed = git.output(root, *_DIFFERENCE)
    untracked = git.output(root, *_UNTRACKED)
    if changed is None or untracked is None:
        # If git is missing or does not trust the repository, only the commit is known.
        return ""
    if not changed and not untracked:
        return ""
    # A diff covers tracked files only; a new module changes what runs just as much.
    made = hashlib.sha256(changed)
    for name in sorted(untracked.split(b"\0")):
        made.update(b"\0" + name + b"\0" + _content(root, name))
    return made.hexdigest()[:_DIGEST_CHARACTERS]


def _content(root: Path, name: bytes) -> bytes:
    # Names stay bytes: git's names need not be UTF-8.
    path = os.path.join(os.fsencode(root), name)
    try:
        # Opening a FIFO would block, and a link leads out of the work tree.
        if not os.path.isfile(path) or os.path.islink(path):
            return b""
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""
