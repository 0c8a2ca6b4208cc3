"""
Selects the source files that can hold an assertion, and parses them into modules.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from ..findings import Finding, unreadable
from .modules import read_module
from .references import DECLARES, HOMES, endings
from .scopes import Binding, Definition, FunctionNode, Import, Module, Parameter, module_name

LANGUAGES = {".py": "Python", ".go": "Go", ".rs": "Rust"}
"""The languages of the scanner, by file suffix."""

_REMEMBERED = 512
# Searching bytes is much cheaper than parsing, and most files of a project mention neither.
_MARKS = (b"assertlib", b"antithesis")


def not_python(file: str, line: int, reason: str) -> Finding:
    """Return the finding about *file*, which is not Python for a *reason*; *line* 0 means all of it."""
    return unreadable(file, f" as Python: {reason}", line)


def parse_all(sources: dict[str, bytes], findings: list[Finding]) -> list[Module]:
    """
    Parse the files that can hold an assertion and the files that those import.

    A file that uses an assertion under some name may hand it on under another, as in a re-export,
    so the search is repeated until no further file is found.

    Args:
        sources: Contents by file name.
        findings: Receives a finding for each file that cannot be parsed.

    Returns:
        The modules in order of their file names.
    """
    # Files leave `rest` once they are parsed, so each round searches fewer of them.
    parsed: dict[str, Module] = {}
    rest = dict(sources)
    wanted = [name for name, data in rest.items() if any(mark in data for mark in _MARKS)]
    while wanted:
        _parse_these(wanted, rest, parsed, findings)
        names = _names_handed_on(list(parsed.values()))
        pattern = re.compile(rb"\b(?:" + b"|".join(map(re.escape, names)) + rb")\b")
        wanted = [name for name, data in rest.items() if names and pattern.search(data)]
    # Once: the imported files only supply constants and enums, and need no assertions themselves.
    _parse_these(_imported(parsed, rest), rest, parsed, findings)
    return [parsed[name] for name in sorted(parsed)]


def _parse_these(
    names: list[str],
    rest: dict[str, bytes],
    parsed: dict[str, Module],
    findings: list[Finding],
) -> None:
    for name in names:
        data = rest.pop(name)
        module = _parse(name, data)
        if isinstance(module, Finding):
            findings.append(module)
        else:
            parsed[name] = module


def _imported(parsed: dict[str, Module], rest: dict[str, bytes]) -> list[str]:
    """Files that parsed modules import from, since they may define constants and enums."""
    by_ending: dict[str, list[str]] = {}
    for name in rest:
        for ending in endings(module_name(name)[0]):
            by_ending.setdefault(ending, []).append(name)
    imported = {
        name
        for module in parsed.values()
        for bindings in module.scope.bindings.values()
        for binding in bindings
        if isinstance(binding, Import)
        for dotted in (binding.module, f"{binding.module}.{binding.attribute}")
        for name in by_ending.get(dotted, ())
    }
    return sorted(imported)


def _names_handed_on(modules: list[Module]) -> list[bytes]:
    """Names through which other files can reach assertions of these modules."""
    names: set[str] = set()
    # Repeated until nothing is added: an alias in one module may depend on a name of any other.
    size = -1
    while size != len(names):
        size = len(names)
        for module in modules:
            for name, bindings in module.scope.bindings.items():
                if any(_may_assert(binding, names) for binding in bindings):
                    names.add(name)
    return sorted(name.encode() for name in names)


def _may_assert(binding: Binding, names: set[str]) -> bool:
    if isinstance(binding, Import):
        return binding.module in HOMES or binding.attribute in names
    if isinstance(binding, Definition):
        return _asserts_inside(binding.node, names)
    if isinstance(binding, Parameter):
        return False
    return isinstance(binding.value, _HANDED_ON) and _hands_on(binding.value, names)


_HANDED_ON = (ast.Call, ast.Name, ast.Attribute)


def _hands_on(value: ast.expr, names: set[str]) -> bool:
    """Whether *value* is an Invariant, a bound assertion, or another name for one of *names*."""
    # By name, before anything can be resolved: a wrong guess only costs parsing a file in vain.
    if _last_name(value) in names:
        return True
    parts = {_last_name(node) for node in ast.walk(value)}
    return any("Invariant" in part or part.startswith(DECLARES) for part in parts)


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _asserts_inside(node: FunctionNode | ast.ClassDef, names: set[str]) -> bool:
    """Whether a function may be a wrapper, or a class uses something that asserts."""
    # Any decorator may be `assertlib.wrapper` under another name.
    if isinstance(node, FunctionNode):
        return bool(node.decorator_list)
    parts = _names_in(node)
    return "Invariant" in parts or not names.isdisjoint(parts)


@lru_cache(maxsize=_REMEMBERED)
def _names_in(node: ast.AST) -> frozenset[str]:
    return frozenset(part.id for part in ast.walk(node) if isinstance(part, ast.Name))


# Keyed by content as well: a file that changes between two scans is parsed again.
@lru_cache(maxsize=_REMEMBERED)
def _parse(name: str, data: bytes) -> Module | Finding:
    """The module or the finding about it; targets that share a file share its module."""
    try:
        tree = ast.parse(data, name)
        source = data.decode(_encoding(data))
        return read_module(name, source, tree)
    except SyntaxError as error:
        return not_python(name, error.lineno or 0, error.msg)
    except RecursionError:
        return not_python(name, 0, "it is nested too deeply")
    # What the parser raises for zero bytes and odd encodings depends on the version of Python.
    except (ValueError, MemoryError, LookupError) as error:
        return not_python(name, 0, str(error))


def _encoding(data: bytes) -> str:
    import io
    import tokenize

    return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
