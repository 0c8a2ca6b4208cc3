"""
Finds the dangling references of a document: files, symbols and tests that do not exist.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .items import Anchor

_SKIPPED = frozenset(["node_modules", "vendor", "target", "__pycache__", "build", "dist", "venv"])
_PROSE = frozenset(
    [".md", ".markdown", ".rst", ".txt", ".sdoc", ".reqif", ".lock", ".svg", ".html"]
)
_MOST_BYTES = 2_000_000
_PLACE = re.compile(r"[:#]L?(\d+)(?:[-:]L?(\d+))?\Z")
_NODE = re.compile(r"::([\w.\[\]:-]+)\Z")
# Words before a name that it is defined by, in the languages of stores and their tests.
_DEFINES = (
    r"(?:def|class|func|fn|function|fun|sub|type|struct|enum|union|trait|interface|module|mod|macro_rules!"
    r"|object|record|const|static|let|var|val|defmodule|defp?|#define|constexpr|typedef|namespace)"
)


@dataclass(frozen=True)
class Dangling:
    """A dangling reference, and the reason."""

    anchor: Anchor
    reason: str


def dangling(anchors: Iterable[Anchor], document: Path, root: Path) -> list[Dangling]:
    """
    Return the dangling references.

    Args:
        anchors: The references of a document.
        document: The document; relative references may start from its directory.
        root: Directory of the project, where they start otherwise.
    """
    tree = _Tree(root)
    found = ((anchor, _problem(anchor, document, tree)) for anchor in anchors)
    return [Dangling(anchor, reason) for anchor, reason in found if reason]


def _problem(anchor: Anchor, document: Path, tree: _Tree) -> str:
    if anchor.kind == "file":
        return _file_problem(anchor.text, document, tree)
    name = re.split(r"\.|::|#|->", anchor.text.removesuffix("()").removesuffix("!").lstrip("*"))[-1]
    thing = "test" if anchor.kind == "test" else "definition"
    return "" if tree.defines(name) else f"the project has no {thing} with this name"


def _file_problem(text: str, document: Path, tree: _Tree) -> str:
    node = _NODE.search(text)
    place = _PLACE.search(text)
    name = (
        text[: node.start()] if node else text[: place.start()] if place else text.partition("#")[0]
    )
    path = tree.file(name, document.parent)
    if path is None:
        return "no such file"
    if place is not None:
        length = len(_lines(path))
        last = max(int(number) for number in place.groups() if number)
        return "" if last <= length else f"the file has {length} lines"
    if node is not None:
        # A test as pytest names it: the class and function, without parameters.
        inner = [re.sub(r"\[.*", "", part) for part in node[1].split("::")]
        text = "\n".join(_lines(path))
        missing = next((part for part in inner if not _defined(part, text)), "")
        return f"the file defines no {missing}" if missing else ""
    return ""


class _Tree:
    """The files of a project, which are read when the first symbol is looked up."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def file(self, name: str, directory: Path) -> Path | None:
        """The file that *name* means in a document in *directory*."""
        for base in (directory, self._root):
            # The directory of the document need not exist for "../src/x.go" to be a file.
            path = Path(os.path.normpath(base / name))
            if path.is_file():
                return path
        # A document may name a file by the end of its path.
        endings = [path for path in self._paths if path.as_posix().endswith(f"/{name}")]
        return endings[0] if len(endings) == 1 and not name.startswith(".") else None

    def defines(self, name: str) -> bool:
        return any(name in text and _defined(name, text) for text in self._texts)

    @cached_property
    def _paths(self) -> list[Path]:
        return list(_walk(self._root))

    @cached_property
    def _texts(self) -> list[str]:
        return [
            "\n".join(_lines(path)) for path in self._paths if path.suffix.lower() not in _PROSE
        ]


def _walk(root: Path) -> Iterator[Path]:
    for directory, inner, names in os.walk(root):
        inner[:] = sorted(
            name for name in inner if not name.startswith(".") and name not in _SKIPPED
        )
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(directory, name)


def _lines(path: Path) -> list[str]:
    try:
        state = path.stat()
        # Reading a pipe or a device would not end.
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_BYTES:
            return []
        data = path.read_bytes()
    except OSError:
        return []
    # Text has no zero bytes.
    return [] if b"\0" in data[:8192] else data.decode("utf-8", "replace").splitlines()


def _defined(name: str, text: str) -> bool:
    word = re.escape(name)
    # After a defining word; after a receiver of Go; as a C-like function or a case of a test
    # framework; or assigned at the beginning of a line.
    pattern = (
        rf"\b{_DEFINES}\s+(?:\([^()\n]*\)\s*)?(?:[\w:]+(?:\.|::))?{word}\b"
        rf"|^[\w:<>*&~,\t ]+[\s*&]{word}\s*\([^;\n]*\)?[^;\n]*\{{?\s*$"
        rf"|\b(?:TEST|TEST_F|TEST_P|it|test|describe|context)\s*\(\s*(?:\w+\s*,\s*)?[\"'`]?{word}\b"
        rf"|^[ \t]*(?:self\.|pub |export |public |private )*{word}[ \t]*(?::=|=(?!=)|:)"
    )
    return re.search(pattern, text, re.MULTILINE) is not None
