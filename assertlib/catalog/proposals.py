"""
What an existing project already says about itself: `assert` statements, and comments and
docstrings that tell what must hold.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..inputs import read_named
from .config import Target
from .recursion_limit import deep_recursion
from .scan import source_files

_TELLS = re.compile(r"\b(?:invariants?|must|never|always|guarantee[sd]?)\b", re.IGNORECASE)
_TELLS_ALONE = re.compile(r"\b(?:invariants?|must|never|guarantee[sd]?)\b", re.IGNORECASE)
_TASK = re.compile(r"(?:todo|fixme|xxx|hack)\b", re.IGNORECASE)
_LABEL = re.compile(r"invariants?:\s*", re.IGNORECASE)
_NARROWS = re.compile(r"isinstance\(.*\)\Z|.* is not None\Z", re.DOTALL)
"""What only tells a type checker something."""
_ABOVE = 4
_WORDS = 6
_LIMIT = 200
_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Documented = ast.Module | _Named


@dataclass(frozen=True)
class Proposal:
    """
    Something that seems to have to hold.

    Attributes:
        name: A kebab-case name made of its words, unique among the proposals.
        statement: What a comment says, or the condition.
        condition: What is asserted; empty if there is only the comment.
        file: Where, with the function.
        qualname: The function, or ``<module>``.
    """

    name: str
    statement: str
    condition: str
    file: str
    qualname: str


def proposals(root: Path, target: Target) -> list[Proposal]:
    """What the source of *target* says, in order of file and line; unreadable files say nothing."""
    found: list[Proposal] = []
    names: set[str] = set()
    for path in sorted(set(source_files(root, target, []))):
        shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        for said, condition, qualname in _readable(path):
            statement = said or f"`{condition}`"
            name = _unique(_slug(said or condition), names)
            found.append(Proposal(name, statement, condition, shown, qualname))
    return found


def _readable(path: Path) -> list[tuple[str, str, str]]:
    try:
        with deep_recursion():
            return list(_said(read_named(path)))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return []


def _said(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Comment or sentence, condition and function of each."""
    tree = ast.parse(data)
    nodes = [(tree, "<module>"), *_named(tree, "<module>")]
    comments, alone = _comments(data)
    taken: set[int] = set()
    found: list[tuple[int, str, str, str]] = []
    for node, qualname in nodes:
        if not isinstance(node, ast.Assert):
            continue
        lines = _near(node, comments, alone)
        said = " ".join(comments[line] for line in lines)
        said = said if _TELLS.search(said) else _message(node)
        condition = " ".join(ast.unparse(node.test).split())
        if said or not _NARROWS.match(condition):
            taken.update(lines)
            found.append((node.lineno, said, condition, qualname))
    for line, said in _blocks(comments, alone):
        if line not in taken and _TELLS_ALONE.search(said) and not _TASK.match(said):
            found.append((line, said, "", _function_at(tree, line)))
    for node, qualname in nodes:
        # A module without statements has no docstring either.
        if isinstance(node, _Documented) and node.body:
            found.extend((node.body[0].lineno, said, "", qualname) for said in _sentences(node))
    for _, said, condition, qualname in sorted(found):
        yield _LABEL.sub("", said)[:_LIMIT], condition[:_LIMIT], qualname


def _message(node: ast.Assert) -> str:
    """What the assert itself says."""
    value = node.msg.value if isinstance(node.msg, ast.Constant) else None
    return value.strip() if isinstance(value, str) else ""


def _blocks(comments: dict[int, str], alone: set[int]) -> Iterator[tuple[int, str]]:
    """Comments, with those on consecutive lines as one; each by its first line."""
    for line in sorted(comments):
        if line in alone and line - 1 in alone:
            continue
        last = line
        while line in alone and last + 1 in alone:
            last += 1
        yield line, " ".join(comments[each] for each in range(line, last + 1))


def _comments(data: bytes) -> tuple[dict[int, str], set[int]]:
    """Text of each comment by its line, and the lines that hold nothing else."""
    tokens = [
        token
        for token in tokenize.tokenize(io.BytesIO(data).readline)
        if token.type == tokenize.COMMENT
    ]
    texts = {token.start[0]: token.string.lstrip("#").strip() for token in tokens}
    alone = {token.start[0] for token in tokens if token.line.lstrip().startswith("#")}
    return texts, alone


def _near(node: ast.Assert, comments: dict[int, str], alone: set[int]) -> list[int]:
    """Lines of the comments beside an assert and right above it."""
    lines = list(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    while lines[0] - 1 in alone and node.lineno - lines[0] < _ABOVE:
        lines.insert(0, lines[0] - 1)
    return [line for line in lines if line in comments]


def _sentences(node: _Documented) -> Iterator[str]:
    """What the docstring says must hold."""
    for paragraph in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
            if _TELLS_ALONE.search(sentence):
                yield sentence


def _named(node: ast.AST, qualname: str) -> Iterator[tuple[ast.AST, str]]:
    """All that is below *node*, each with the function or class that it is, or stands in."""
    for child in ast.iter_child_nodes(node):
        inner = _inside(child, qualname) if isinstance(child, _Named) else qualname
        yield child, inner
        yield from _named(child, inner)


def _function_at(node: ast.AST, line: int, qualname: str = "<module>") -> str:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Named) and child.lineno <= line <= (child.end_lineno or 0):
            return _function_at(child, line, _inside(child, qualname))
    return qualname


def _inside(node: _Named, qualname: str) -> str:
    return node.name if qualname == "<module>" else f"{qualname}.{node.name}"


def _slug(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words[:_WORDS]) if len(words) > 1 else f"it-holds-{''.join(words)}".rstrip("-")


def _unique(name: str, names: set[str]) -> str:
    chosen, number = name, 1
    while chosen in names:
        number += 1
        chosen = f"{name}-{number}"
    names.add(chosen)
    return chosen
