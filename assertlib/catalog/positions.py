"""
Where the keys of a TOML file stand, which `tomllib` does not tell.

A small tokeniser: table headers and the keys below them, with multi-line
strings passed over.  Keys inside inline tables have the place of their owner.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
Position = tuple[int, int]

_BARE = r"[A-Za-z0-9_-]+"
_KEY = rf"(?:{_BARE}|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"^\s*({_DOTTED})\s*=")
_PART = re.compile(_KEY)
_STRINGS = re.compile(r"\"\"\"|'''|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#")


def positions(text: str) -> dict[Path, Position]:
    """Line and column, from 1, of each table and key."""
    found: dict[Path, Position] = {}
    arrays: dict[Path, int] = {}
    table: Path = ()
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        if inside:
            inside = _quote_after(line, inside)
            continue
        header = _HEADER.match(line)
        if header is not None:
            table = _table(header, arrays)
            found.setdefault(table, (number, header.start(1) + 1))
            continue
        key = _ASSIGNMENT.match(line)
        if key is not None:
            found.setdefault((*table, *_parts(key[1])), (number, key.start(1) + 1))
            line = line[key.end() :]
        inside = _quote_after(line, "")
    return found


def nearest(found: dict[Path, Position], path: Path) -> Position:
    """The place of *path*, or of the innermost owner that has one."""
    while path:
        if path in found:
            return found[path]
        path = path[:-1]
    return (1, 1)


def _table(header: re.Match[str], arrays: dict[Path, int]) -> Path:
    names = _parts(header[2])
    path: Path = ()
    for name in names[:-1]:
        path = (*path, name)
        if path in arrays:
            path = (*path, arrays[path])
    path = (*path, names[-1])
    if header[1] == "[[":
        arrays[path] = arrays.get(path, -1) + 1
        return (*path, arrays[path])
    return path


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _quote_after(line: str, inside: str) -> str:
    """The multi-line quote that is open at the end of *line*, if any."""
    position = 0
    while True:
        if inside:
            end = line.find(inside, position)
            if end < 0:
                return inside
            position = end + 3
            inside = ""
        token = _STRINGS.search(line, position)
        if token is None or token[0] == "#":
            return ""
        position = token.end()
        if token[0] in ('"""', "'''"):
            inside = token[0]
