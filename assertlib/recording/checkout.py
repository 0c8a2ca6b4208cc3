"""
The commit and the branch that are checked out at a directory or above it, read without running git.

The nearest ``.git`` may come from a stranger, for example in a shared directory or an archive.  It
is read only if git would trust it (``safe.directory``): the work tree, its ``.git`` and the
directories that this names must belong to the effective user, or, for root, to the user who called
sudo.  Unlike git, this module supports no configured exceptions.  Even then, only regular files of
a bounded size are read, symbolic links are not followed, and only a well-formed commit or branch
name is returned.
"""

from __future__ import annotations

import os
import stat

from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SMALL = 4096
_PACKED = 32 << 20
"""Largest file of one line, and largest ``packed-refs``, in bytes; larger ones are not read."""

_DIGITS = "0123456789abcdef"
_LENGTHS = (40, 64)
_REF = "ref: "
_GITDIR = "gitdir: "
_BRANCHES = "refs/heads/"


def find_commit(start: str) -> str | None:
    """The commit checked out at *start* or above it; None if none can be read and trusted."""
    try:
        repository = _repository(start)
        return None if repository is None else _head_commit(*repository)
    except (OSError, ValueError):
        return None


def find_branch(start: str) -> str | None:
    """The branch checked out at *start* or above it; None if none can be read and trusted."""
    try:
        repository = _repository(start)
        name = None if repository is None else _ref_of(_line(repository[0], "HEAD"))
    except (OSError, ValueError):
        return None
    return name.removeprefix(_BRANCHES) if name and name.startswith(_BRANCHES) else None


def _repository(start: str) -> tuple[str, str] | None:
    """
    The git directory of the work tree at *start* or above it, and the one that holds its branches.

    They differ if the work tree was created by ``git worktree add``.
    """
    directory = start
    # The nearest one decides, even if it is not trusted: git would not look further up either.
    while not system.exists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    git = os.path.join(directory, ".git")
    owners = _owners()
    # The work tree as well: a stranger who owns it could replace its ``.git``.
    if not _is_trusted(directory, owners) or not _is_trusted(git, owners):
        return None
    if not stat.S_ISDIR(system.stat(git).st_mode):
        # In a linked work tree or a submodule, ``.git`` is a file that names the directory.
        target = _line(directory, ".git")
        if not target.startswith(_GITDIR):
            return None
        git = os.path.join(directory, target.removeprefix(_GITDIR))
    common = git
    if system.exists(os.path.join(git, "commondir")):
        common = os.path.join(git, _line(git, "commondir"))
    return (git, common) if all(_is_trusted(each, owners) for each in (git, common)) else None


def _owners() -> Collection[int]:
    """User ids whose files are trusted."""
    user = system.geteuid()
    caller = os.environ.get("SUDO_UID", "")
    return (0, int(caller)) if user == 0 and caller.isdecimal() else (user,)


def _is_trusted(path: str, owners: Collection[int]) -> bool:
    """Whether the file at *path*, and a link that leads to it, belong to *owners*."""
    return system.lstat(path).st_uid in owners and system.stat(path).st_uid in owners


def _head_commit(git: str, common: str) -> str | None:
    head = _line(git, "HEAD")
    name = _ref_of(head)
    if name is None:
        return _commit(head)
    # A linked work tree has refs of its own, such as those of a bisection.
    for directory in (git, common):
        if system.exists(os.path.join(directory, name)):
            return _commit(_line(directory, name))
    return _packed(common, name)


def _ref_of(head: str) -> str | None:
    """The full name of the ref in *head*; None if there is none, or git would reject it."""
    # The name becomes part of a path, so it must not lead out of the directory of git.
    name = head.removeprefix(_REF)
    is_name = head.startswith(f"{_REF}refs/") and ".." not in name and name.isprintable()
    return name if is_name else None


def _commit(text: str) -> str | None:
    return text if len(text) in _LENGTHS and not text.strip(_DIGITS) else None


def _packed(directory: str, name: str) -> str | None:
    # One search through the bytes; the line feed in front makes the first line like all others.
    data = b"\n" + _content(os.path.join(directory, "packed-refs"), _PACKED)
    end = data.find(b" %s\n" % name.encode())
    start = data.rfind(b"\n", 0, max(end, 0)) + 1
    return _commit(data[start:end].decode("ascii")) if end > 0 else None


def _line(directory: str, name: str) -> str:
    return _content(os.path.join(directory, name), _SMALL).decode().strip()


def _content(path: str, limit: int) -> bytes:
    """
    The content of the regular file at *path*.

    Raises:
        OSError: It is a link or not a regular file, is larger than *limit* bytes, or changed while
            it was read.
    """
    # Without O_NONBLOCK, opening a FIFO would wait for a writer.
    fd = system.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = system.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise OSError(f"{path}: not a regular file of at most {limit} bytes")
        content = system.read(fd, status.st_size)
    finally:
        system.close(fd)
    if len(content) != status.st_size:
        raise OSError(f"{path}: changed while it was being read")
    return content
