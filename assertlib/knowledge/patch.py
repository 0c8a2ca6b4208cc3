"""
Unified diffs: the files and lines that a change touches, and where these lines are in the tree.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import UsageError

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")
_HEADER = re.compile(r'diff --git (?:"?a/(?P<old>.+?)"?) (?:"?b/(?P<new>.+?)"?)$')
_COMBINED = re.compile(r"^diff --(?:cc|combined) ", re.MULTILINE)
_ESCAPE = re.compile(r"\\([abfnrtv\"\\]|[0-7]{3})")
_ESCAPED = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, '"': 34, "\\": 92}
_NOWHERE = "/dev/null"
_DISTANCE = 200
"""Lines that a hunk may have moved since the diff was made."""


class PatchError(UsageError):
    """A text is not a unified diff."""


@dataclass
class Hunk:
    """
    One group of changed lines with the unchanged lines around them.

    Attributes:
        old: First line of the hunk before the change, from 1.
        new: First line of the hunk after the change, from 1.
        section: What diff prints after the second ``@@``: the function, as far as it knows it.
        lines: The lines, each with its mark: a space, ``-`` or ``+``.
    """

    old: int
    new: int
    section: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    @property
    def changed(self) -> list[str]:
        """The text of the removed and added lines."""
        return [text for mark, text in self.lines if mark != " "]

    def side(self, mark: str) -> list[str]:
        """Return the lines of one side: with mark ``-`` before the change, with ``+`` after it."""
        return [text for each, text in self.lines if each in (" ", mark)]

    def touched(self, mark: str) -> list[int]:
        """
        Return the changed lines of one side, as offsets from the hunk's first line.

        Where the other side has lines and this one has none, these are the lines around the gap.
        """
        found: set[int] = set()
        count = len(self.side(mark))
        at = 0
        for is_changed, group in itertools.groupby(self.lines, key=lambda line: line[0] != " "):
            here = sum(each in (" ", mark) for each, _ in group)
            if is_changed and here:
                found.update(range(at, at + here))
            elif is_changed:
                # The other side has lines between two lines of this side.
                found.update(line for line in (at - 1, at) if 0 <= line < count)
            at += here
        return sorted(found)


@dataclass
class FileChange:
    """
    The change of one file.

    Attributes:
        old: Path before the change; None for a new file.
        new: Path after the change; None for a deleted file.
        hunks: The changed lines; empty for a binary file, and for a rename without an edit.
    """

    old: str | None
    new: str | None
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The paths under which the tree may hold the file, the later one first."""
        return list(dict.fromkeys(path for path in (self.new, self.old) if path is not None))


def read_patch(text: str) -> list[FileChange]:
    """
    Read a unified diff as git, diff and code review tools write it; other lines are ignored.

    Raises:
        PatchError: The text has content, and none of it is a change of a file.
    """
    if _COMBINED.search(text):
        raise PatchError(
            "a combined diff of a merge; pass a diff against one parent, as MERGE~1..MERGE"
        )
    changes = list(_changes(text.split("\n")))
    if not changes and text.strip():
        raise PatchError("not a unified diff; pass the output of `git diff`")
    return changes


def _changes(lines: Sequence[str]) -> Iterator[FileChange]:
    current: FileChange | None = None
    at = 0
    while at < len(lines):
        line = lines[at].removesuffix("\r")
        header = _HEADER.match(line)
        if header is not None:
            if current is not None:
                yield current
            current = FileChange(_unquoted(header["old"]), _unquoted(header["new"]))
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            # Both lines are needed: a removed line may begin with two hyphens as well, but those
            # in hunks are read below.
            if current is not None and current.hunks:
                yield current
                current = None
            old, new = _path(line[4:], "a/"), _path(lines[at + 1][4:], "b/")
            current = FileChange(old, new)
            at += 1
        elif current is not None and (found := _HUNK.match(line)):
            hunk, at = _hunk(found, lines, at + 1)
            current.hunks.append(hunk)
            continue
        at += 1
    if current is not None:
        yield current


def _hunk(found: re.Match[str], lines: Sequence[str], at: int) -> tuple[Hunk, int]:
    """Read the hunk whose first line is *at*; return it, and the line after it."""
    left, right = int(found[2] or 1), int(found[4] or 1)
    # An empty side is given by the line before it.
    hunk = Hunk(int(found[1]) + (left == 0), int(found[3]) + (right == 0), found[5].strip())
    while at < len(lines) and (left > 0 or right > 0):
        line = lines[at]
        # Editors and mail programs strip the space of an empty context line.
        mark, text = (line[0], line[1:]) if line else (" ", "")
        if mark == "\\":
            at += 1
            continue
        if mark not in " -+":
            break
        left -= mark != "+"
        right -= mark != "-"
        hunk.lines.append((mark, text.removesuffix("\r")))
        at += 1
    return hunk, at


def _path(text: str, prefix: str) -> str | None:
    # A tab separates the timestamp that diff prints.
    name = _unquoted(text.removesuffix("\r").partition("\t")[0])
    return None if name == _NOWHERE else name.removeprefix(prefix)


def _unquoted(name: str) -> str:
    """Undo the quotes of git around unusual names."""
    if not (len(name) > 1 and name[0] == name[-1] == '"'):
        return name
    inner = name[1:-1]
    parts: list[bytes] = []
    end = 0
    for found in _ESCAPE.finditer(inner):
        code = _ESCAPED.get(found[1])
        value = int(found[1], 8) & 0xFF if code is None else code
        parts += [inner[end : found.start()].encode("utf-8", "surrogateescape"), bytes([value])]
        end = found.end()
    parts.append(inner[end:].encode("utf-8", "surrogateescape"))
    return b"".join(parts).decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Located:
    """
    The place of a hunk in a file of the tree.

    Attributes:
        lines: The touched lines of the file, from 1.
        is_applied: Whether the file has the change already.
    """

    lines: tuple[int, ...]
    is_applied: bool


def locate(hunk: Hunk, text: Sequence[str]) -> Located | None:
    """
    Find a hunk in the lines of a file, which has the change already or not yet.

    Args:
        hunk: The changed lines.
        text: The lines of the file.

    Returns:
        The place nearest to the line numbers of the hunk; None if the file has neither side.
    """
    # The new side first: where only the context differs, both fit, and a diff of commits that are
    # checked out is the common case.
    for distance in range(_DISTANCE + 1):
        for mark, start in (("+", hunk.new), ("-", hunk.old)):
            for begin in sorted({start - distance, start + distance}):
                if _fits(hunk.side(mark), text, begin - 1):
                    lines = tuple(begin + offset for offset in hunk.touched(mark))
                    return Located(lines, is_applied=mark == "+")
    return None


def _fits(side: Sequence[str], text: Sequence[str], at: int) -> bool:
    if at < 0 or at + len(side) > len(text) or not side:
        return False
    return all(one == other for one, other in zip(side, text[at : at + len(side)], strict=True))
