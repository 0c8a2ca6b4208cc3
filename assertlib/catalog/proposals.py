"""
Collects what a project already states about itself: `assert` statements, and comments and
docstrings about what must hold.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .._text.inputs import read_named
from .config import Target
from .recursion_limit import deep_recursion
from .scan import source_files

_CLAIM = re.compile(r"\b(?:invariants?|must|never|always|guarantee[sd]?)\b", re.IGNORECASE)
# Without an assert beside it, "always" is more often a description than a requirement.
_CLAIM_ALONE = re.compile(r"\b(?:invariants?|must|never|guarantee[sd]?)\b", re.IGNORECASE)
_TASK = re.compile(r"(?:todo|fixme|xxx|hack)\b", re.IGNORECASE)
_LABEL = re.compile(r"invariants?:\s*", re.IGNORECASE)
_NARROWS = re.compile(r"isinstance\(.*\)\Z|.* is not None\Z", re.DOTALL)
"""Asserts that only narrow a type for a type checker."""
_ABOVE = 4
"""Lines above an assert in which comments belong to it."""
_WORDS = 6
"""Words of a statement that make up the name of its draft."""
_LIMIT = 200
"""Characters of a statement or condition."""
_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Documented = ast.Module | _Named


@dataclass(frozen=True)
class Proposal:
    """
    A statement in source that may deserve an invariant.

    Attributes:
        name: A kebab-case name made of its words, unique among the proposals.
        statement: The comment or sentence, or else the condition.
        condition: The asserted condition; empty for a comment or sentence without an assert.
        file: Path of the file, from the root of the project.
        qualname: The function or class that contains it, or ``<module>``.
    """

    name: str
    statement: str
    condition: str
    file: str
    qualname: str


def proposals(root: Path, target: Target) -> list[Proposal]:
    """Collect proposals from *target* under *root*, by file and line; none for unreadable files."""
    found: list[Proposal] = []
    names: set[str] = set()
    for path in sorted(set(source_files(root, target, []))):
        shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        for claim, condition, qualname in _readable(path):
            statement = claim or f"`{condition}`"
            name = _unique(_slug(claim or condition), names)
            found.append(Proposal(name, statement, condition, shown, qualname))
    return found


def _readable(path: Path) -> list[tuple[str, str, str]]:
    try:
        with deep_recursion():
            return list(_claims(read_named(path)))
    # Proposals are a help for beginners; `assertlib check` reports files that it cannot read.
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return []


def _claims(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Comment or sentence, condition and function of each claim, in order of lines."""
    tree = ast.parse(data)
    nodes = [(tree, "<module>"), *_named(tree, "<module>")]
    comments, alone = _comments(data)
    taken: set[int] = set()
    found: list[tuple[int, str, str, str]] = []
    for node, qualname in nodes:
        if not isinstance(node, ast.Assert):
            continue
        # Comments are not part of the syntax tree, so they are found by line.
        lines = _near(node, comments, alone)
        # A comment that claims nothing would be a worse name than the message of the assert.
        claim = " ".join(comments[line] for line in lines)
        claim = claim if _CLAIM.search(claim) else _message(node)
        condition = " ".join(ast.unparse(node.test).split())
        if claim or not _NARROWS.match(condition):
            # These comments belong to the assert, and must not be proposed a second time.
            taken.update(lines)
            found.append((node.lineno, claim, condition, qualname))
    for line, claim in _blocks(comments, alone):
        if line not in taken and _CLAIM_ALONE.search(claim) and not _TASK.match(claim):
            found.append((line, claim, "", _function_at(tree, line)))
    for node, qualname in nodes:
        # A module without statements has no docstring either.
        if isinstance(node, _Documented) and node.body:
            found.extend((node.body[0].lineno, claim, "", qualname) for claim in _sentences(node))
    for _, claim, condition, qualname in sorted(found):
        yield _LABEL.sub("", claim)[:_LIMIT], condition[:_LIMIT], qualname


def _message(node: ast.Assert) -> str:
    """The message of an assert, if it is a literal string."""
    value = node.msg.value if isinstance(node.msg, ast.Constant) else None
    return value.strip() if isinstance(value, str) else ""


def _blocks(comments: dict[int, str], alone: set[int]) -> Iterator[tuple[int, str]]:
    """Comments with their first line; those on consecutive lines of their own are joined."""
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
    # A comment behind code belongs to its line and never continues on the next.
    alone = {token.start[0] for token in tokens if token.line.lstrip().startswith("#")}
    return texts, alone


def _near(node: ast.Assert, comments: dict[int, str], alone: set[int]) -> list[int]:
    """Lines of the comments beside an assert and right above it."""
    lines = list(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    while lines[0] - 1 in alone and node.lineno - lines[0] < _ABOVE:
        lines.insert(0, lines[0] - 1)
    return [line for line in lines if line in comments]


def _sentences(node: _Documented) -> Iterator[str]:
    """The sentences of a docstring about what must hold."""
    for paragraph in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
            if _CLAIM_ALONE.search(sentence):
                yield sentence


def _named(node: ast.AST, qualname: str) -> Iterator[tuple[ast.AST, str]]:
    """All nodes below *node*, each with the innermost function or class that is or contains it."""
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
    # A single word makes a poor name, and text in other scripts leaves none.
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words[:_WORDS]) if len(words) > 1 else f"it-holds-{''.join(words)}".rstrip("-")


def _unique(name: str, names: set[str]) -> str:
    # Statements may begin with the same words, and a second table of one name is not TOML.
    chosen, number = name, 1
    while chosen in names:
        number += 1
        chosen = f"{name}-{number}"
    names.add(chosen)
    return chosen
