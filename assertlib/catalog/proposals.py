"""
Collects what a project already states about itself: `assert` statements, and comments and
docstrings about what must hold; in Python, Go and Rust.

Tests are left out, and so are asserts that only check arguments.  What stands in a file that many
others use comes first.
"""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from .._text.inputs import read_named
from .config import Target
from .drafts import name_for
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
_LIMIT = 400
"""Characters of a statement or condition; a statement ends with a whole sentence."""
_TESTS = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|benches|benchmarks|examples?)/|(?:^|/)(?:test_|conftest)"
)
_TEST_FILE = re.compile(r"_test\.(?:go|py|rs)$|(?:^|/)tests?\.rs$")
_FOREIGN_COMMENT = re.compile(r"\s*(?:///?!?|\*)\s?(.*)")
_FOREIGN_ASSERT = re.compile(
    r"\b(?:debug_)?assert!\s*\(\s*(?P<condition>[^,;]+?)\s*(?:,\s*\"(?P<message>[^\"]*)\".*)?\)\s*;"
)
_FOREIGN_FUNCTION = re.compile(
    r"\s*(?:pub(?:\([^)]*\))?\s+)?(?:async\s+)?(?:func|fn)\s+(?:\([^)]*\)\s*)?(\w+)"
)
_BUILTINS = frozenset(dir(builtins))
_Function = ast.FunctionDef | ast.AsyncFunctionDef
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
    """Collect proposals from *target* under *root*, central files first; none for unreadable ones."""
    sources: dict[str, bytes] = {}
    for path in sorted(set(source_files(root, target, []))):
        shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        if not _is_test(shown):
            # Proposals are a help for beginners; `assertlib check` reports files that it cannot read.
            with suppress(OSError):
                sources[shown] = read_named(path)
    ranks = _uses(sources)
    found: list[Proposal] = []
    names: set[str] = set()
    for file in sorted(sources, key=lambda file: (-ranks[file], file)):
        for claim, condition, qualname in _readable(file, sources[file]):
            statement = claim or f"`{condition}`"
            name = name_for(claim or condition, names)
            names.add(name)
            found.append(Proposal(name, statement, condition, file, qualname))
    return found


def _is_test(file: str) -> bool:
    return _TESTS.search(file) is not None or _TEST_FILE.search(file) is not None


def _uses(sources: dict[str, bytes]) -> dict[str, int]:
    """The number of files that mention the module that each file is."""
    words = {file: set(re.findall(rb"\w+", data)) for file, data in sources.items()}
    spread = Counter(word for found in words.values() for word in found)
    # A package is named by its directory, in Go each file is.
    names = {
        file: (
            file.rpartition("/")[0].rpartition("/")[2] if _is_package(file) else PurePath(file).stem
        )
        for file in sources
    }
    return {
        file: spread[name.encode()] - (name.encode() in words[file]) for file, name in names.items()
    }


def _is_package(file: str) -> bool:
    return file.endswith((".go", "/__init__.py", "/mod.rs", "/lib.rs"))


def _readable(file: str, data: bytes) -> list[tuple[str, str, str]]:
    if not file.endswith(".py"):
        return list(_foreign_claims(data.decode("utf-8", "replace")))
    try:
        with deep_recursion():
            return list(_claims(data))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return []


def _foreign_claims(text: str) -> Iterator[tuple[str, str, str]]:
    """Comment, condition and function of each claim in Go or Rust, which are read line by line."""
    block: list[str] = []
    function = "<module>"
    for line in [*text.split("\n"), ""]:
        comment = _FOREIGN_COMMENT.fullmatch(line)
        if comment is not None:
            block.append(comment[1])
            continue
        named = _FOREIGN_FUNCTION.match(line)
        function = named[1] if named else function
        claims = [each for each in _split(" ".join(block)) if _CLAIM_ALONE.search(each)]
        block = []
        asserted = _FOREIGN_ASSERT.search(line)
        if asserted is not None:
            claim = " ".join(claims) or asserted["message"] or ""
            yield _bounded(claim), _bounded(asserted["condition"]), function
            continue
        for claim in claims:
            if not _TASK.match(claim):
                yield _bounded(_LABEL.sub("", claim)), "", function


def _bounded(text: str) -> str:
    """*text* up to the last whole sentence within the limit."""
    text = " ".join(text.split())
    if len(text) <= _LIMIT:
        return text
    sentences = _split(text)
    kept = sentences[0]
    for each in sentences[1:]:
        if len(kept) + len(each) >= _LIMIT:
            break
        kept += f" {each}"
    return kept if len(kept) <= _LIMIT else kept[: _LIMIT - 1].rsplit(" ", 1)[0] + "…"


def _split(text: str) -> list[str]:
    return [each for each in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if each]


def _claims(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Comment or sentence, condition and function of each claim, in order of lines."""
    tree = ast.parse(data)
    nodes = [(tree, "<module>"), *_named(tree, "<module>")]
    functions = [each for each, _ in nodes if isinstance(each, _Function)]
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
        if claim or not (_NARROWS.match(condition) or _checks_arguments(node, functions)):
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
        yield _bounded(_LABEL.sub("", claim)), _bounded(condition), qualname


def _checks_arguments(node: ast.Assert, functions: list[_Function]) -> bool:
    """Whether an assert without words reads only arguments of its function."""
    around = [each for each in functions if each.lineno <= node.lineno <= (each.end_lineno or 0)]
    if not around:
        return False
    arguments = max(around, key=lambda each: each.lineno).args
    names = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    read = {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)}
    return "self" not in read and bool(read) and read <= names | _BUILTINS


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
        for sentence in _split(paragraph):
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
