"""
The positions of keys in a TOML file, which `tomllib` does not provide.

A small tokeniser finds table headers and the keys below them, and skips strings, comments and
everything inside brackets.  A key inside an inline table has the position of its owner.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]
Position = tuple[int, int]

_BASIC = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL = r"'[^'\n]*'"
_KEY = rf"(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})"
_DOTTED = re.compile(rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*")
_PART = re.compile(_KEY)
# One or two quotation marks may stand right before the three that close a multi-line string.
_MULTI_LINE = r'"""(?:[^\\]|\\.)*?"{3,5}' + r"|'''.*?'{3,5}"
_COMMENT = r"\#[^\n]*"
# Multi-line strings first: the first two of three quotation marks would match as an empty string.
_SKIPPED = re.compile(f"{_MULTI_LINE}|{_BASIC}|{_LITERAL}|{_COMMENT}", re.DOTALL)
_PLAIN = re.compile(r"""[^\n\[\]{}"'#]+""")
_SPACE = re.compile(rf"(?:[ \t\r\n]|{_COMMENT})*")


def positions(text: str) -> dict[Path, Position]:
    """Return line and column, from 1, of each table and key in TOML *text*."""
    found: dict[Path, Position] = {}
    line, counted = 1, 0
    for path, offset in _keys(text):
        # Counted from the previous key on, so that a large file takes linear time.
        line += text.count("\n", counted, offset)
        counted = offset
        place = (line, offset - text.rfind("\n", 0, offset))
        for end in range(1, len(path) + 1):
            # A table may exist through its keys or subtables only; the first of them is its place.
            found.setdefault(path[:end], place)
    return found


def nearest(found: dict[Path, Position], path: Path) -> Position:
    """Return the position of *path* in *found*, or of its innermost owner that has one."""
    while path:
        if path in found:
            return found[path]
        path = path[:-1]
    return (1, 1)


def _keys(text: str) -> Iterator[tuple[Path, int]]:
    """Path and offset of each table header and key, in order."""
    table: Path = ()
    arrays: dict[Path, int] = {}
    offset = 0
    while True:
        offset = _end_of(_SPACE, text, offset)
        brackets = 2 if text.startswith("[[", offset) else 1 if text.startswith("[", offset) else 0
        start = offset + brackets
        while brackets and text[start : start + 1] in (" ", "\t"):
            start += 1
        key = _DOTTED.match(text, start)
        if key is None:
            # Not TOML from here on, which the parser reports.
            return
        if brackets:
            table = _table(_names(key[0]), arrays, is_array=brackets == 2)
            yield table, offset
        else:
            yield (*table, *_names(key[0])), start
        offset = _end_of_statement(text, key.end(), depth=-brackets)


def _end_of(pattern: re.Pattern[str], text: str, offset: int) -> int:
    match = pattern.match(text, offset)
    return offset if match is None else match.end()


def _end_of_statement(text: str, offset: int, depth: int) -> int:
    """The end of the line on which all brackets and strings are closed."""
    depth = abs(depth)
    while offset < len(text):
        skipped = _PLAIN.match(text, offset) or _SKIPPED.match(text, offset)
        if skipped is not None:
            offset = skipped.end()
            continue
        character = text[offset]
        depth += (character in "[{") - (character in "]}")
        if character == "\n" and depth <= 0:
            return offset
        offset += 1
    return offset


def _table(names: tuple[str, ...], arrays: dict[Path, int], *, is_array: bool) -> Path:
    path: Path = ()
    for name in names[:-1]:
        path = (*path, name)
        # In a header, the name of an array of tables stands for its latest element.
        if path in arrays:
            path = (*path, arrays[path])
    path = (*path, names[-1])
    if not is_array:
        return path
    arrays[path] = arrays.get(path, -1) + 1
    return (*path, arrays[path])


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(_name(part) for part in _PART.findall(dotted))


def _name(part: str) -> str:
    if part[0] not in "\"'":
        return part
    try:
        return str(tomllib.loads(f"name = {part}")["name"])
    except tomllib.TOMLDecodeError:
        return part[1:-1]
