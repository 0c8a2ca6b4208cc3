"""
What functions read, write and call, by name: as much of a program's structure as is needed to
relate a change to the assertions that it may break.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..catalog.recursion_limit import deep_recursion

Place = tuple[str, str]
"""File, from the root of the project, and qualified name of a function."""
MODULE = "<module>"
"""The name of the top-level code of a file."""
_ASSIGNED = re.compile(
    r"\.(\w+)(?:\[[^\]]*\])?\s*(?:[-+*/%&|^@]|//|\*\*|<<|>>)?=(?!=)|\bdel\s+[\w.]*\.(\w+)"
)
CITED = re.compile(r"\b[a-z0-9]+(?:-[a-z0-9]+)*\.[a-z0-9]+(?:-[a-z0-9]+)*\b")
_WORD = re.compile(r"[^\W\d_]{3,}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Methods of the standard containers that change the container.
MUTATORS = _words(
    """
    append extend insert remove pop popleft clear add discard update setdefault appendleft sort
    reverse popitem
    """
)
# So common that sharing them relates nothing.
_COMMON = _words("self cls int str bytes len list dict set tuple sorted bool None True")
_GRAMMAR = _words(
    """
    and any are been but can does each else every for from has have into its may must never none not
    once one only other out over same than that the their then there they this was what when where
    whether which while who whose will with without yet elif except finally import pass raise return
    yield self true false int str await async def class lambda
    """
)
_NAME = re.compile(r"[^\W\d]\w*")
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_KEYWORDS = frozenset(keyword.kwlist)
_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Function:
    """
    One function of a source file, without the functions inside it.

    Attributes:
        file: Path from the root of the project.
        qualname: Name with the classes and functions around it; ``<module>`` for top-level code.
        first: First line, decorators included, from 1.
        last: Last line.
        reads: Names of attributes and variables that it loads.
        writes: Names of attributes and module variables that it assigns or mutates.
        calls: Last part of the names that it calls.
        sources: For each local variable and parameter, the names that its value is made of.
        cites: Words in its comments and strings that look like ids of invariants.
    """

    file: str
    qualname: str
    first: int
    last: int
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    sources: dict[str, frozenset[str]] = field(default_factory=dict)
    cites: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The last part of its name."""
        return self.qualname.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """The class or function that contains it; empty at the top of a module."""
        return self.qualname.rpartition(".")[0]

    @property
    def place(self) -> Place:
        """File and name, which together identify it."""
        return self.file, self.qualname


def functions_of(file: str, data: bytes) -> list[Function]:
    """
    Return the functions of a Python file, and one for its top-level code.

    Args:
        file: Path from the root of the project.
        data: Its content.

    Returns:
        An empty list if the content cannot be parsed.
    """
    try:
        with deep_recursion():
            tree = ast.parse(data)
            return list(_functions(file, tree, data.decode("utf-8", "replace").split("\n")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _functions(file: str, tree: ast.Module, lines: list[str]) -> Iterator[Function]:
    inner = list(_named(tree, ""))
    spans = [(1, len(lines) + 1), *(_span(node) for node, _ in inner)]
    # Each line belongs to the innermost function: those inside come later and take their lines.
    owners = [0] * (len(lines) + 2)
    for number, (first, end) in enumerate(spans):
        owners[first:end] = [number] * (end - first)
    own: dict[int, list[str]] = {}
    for at, line in enumerate(lines, 1):
        own.setdefault(owners[at], []).append(line)
    nodes: list[tuple[ast.AST, str]] = [(tree, MODULE), *inner]
    for number, (node, qualname) in enumerate(nodes):
        yield _function(file, qualname, node, spans[number], own.get(number, []))


def _named(node: ast.AST, outside: str) -> Iterator[tuple[_Named, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Named):
            qualname = f"{outside}.{child.name}" if outside else child.name
            yield child, qualname
            yield from _named(child, qualname)
        else:
            yield from _named(child, outside)


def _span(node: _Named) -> tuple[int, int]:
    """First line, and the line after the last."""
    first = min((each.lineno for each in node.decorator_list), default=node.lineno)
    return first, (node.end_lineno or node.lineno) + 1


def _function(
    file: str, qualname: str, node: ast.AST, span: tuple[int, int], lines: list[str]
) -> Function:
    names = _Names()
    names.visit_body(node)
    return Function(
        file,
        qualname,
        span[0],
        span[1] - 1,
        frozenset(names.reads - _COMMON),
        frozenset(names.writes - _COMMON),
        frozenset(names.calls - _COMMON),
        {name: frozenset(found - _COMMON) for name, found in names.sources.items()},
        frozenset(CITED.findall("\n".join(lines))),
    )


class _Names(ast.NodeVisitor):
    """Collects the names of one function; those of functions inside it are left out."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.calls: set[str] = set()
        self.sources: dict[str, set[str]] = {}

    def visit_body(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child)

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, _Named):
            return
        if isinstance(node, ast.Call):
            self._take_call(node)
        elif isinstance(node, ast.Attribute):
            (self.reads if isinstance(node.ctx, ast.Load) else self.writes).add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self.reads.add(node.id)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            self.writes.add(last_name(node.value))
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            self._take_assignment(node)
        elif isinstance(node, ast.arg):
            self.sources.setdefault(node.arg, set())
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._take_source(node.target, node.iter)
        super().generic_visit(node)

    def _take_call(self, node: ast.Call) -> None:
        name = last_name(node.func)
        self.calls.add(name)
        if name in MUTATORS and isinstance(node.func, ast.Attribute):
            self.writes.add(last_name(node.func.value))

    def _take_assignment(
        self, node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr
    ) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if node.value is not None:
                self._take_source(target, node.value)
            # `x.y += 1` reads what it writes.
            if isinstance(node, ast.AugAssign):
                self.reads.add(last_name(target))

    def _take_source(self, target: ast.expr, value: ast.expr) -> None:
        found = names_in(value)
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self.sources.setdefault(node.id, set()).update(found)


def assigned_in(lines: Iterable[str]) -> set[str]:
    """Return the attributes that lines of code assign or delete, found without parsing them."""
    return {one or other for line in lines for one, other in _ASSIGNED.findall(line)}


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name; of an index or a call, that of what it is applied to."""
    while isinstance(node, ast.Subscript | ast.Call | ast.Await | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def names_in(node: ast.AST) -> set[str]:
    """Return the attributes, variables and functions that an expression mentions."""
    found = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return found | {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def names_in_text(text: str) -> set[str]:
    """Return the names that an expression in source form mentions; it may be cut off."""
    # Not by the parser: there are hundreds of conditions, and a change is asked about in a moment.
    return set(_NAME.findall(_STRING.sub("", text))) - _COMMON - _KEYWORDS


def names_in_lines(lines: Iterable[str]) -> set[str]:
    """Return the names in lines of code; those in comments of Python are left out."""
    return {name for line in lines for name in _NAME.findall(line.partition("#")[0])}


def words_of(text: str) -> list[str]:
    """
    Return the words of prose or of names in code, in lower case and without a plural s.

    Words of the grammar, of English or of Python, are left out.
    """
    words = _WORD.findall(_CAMEL.sub(" ", text.replace("_", " ")).lower())
    return [word.removesuffix("s") for word in words if word not in _GRAMMAR]
