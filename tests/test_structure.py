"""
The modules of the package import each other in one direction only.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def modules_of(root):
    """The modules below *root* by dotted name; the accelerator stands in its stub."""
    found = {}
    for path in [*root.rglob("*.py"), *root.rglob("*.pyi")]:
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports_of(name, path, modules):
    """
    The modules that one imports anywhere in its text.

    Imports inside functions and those for type checkers count as well: who reads a module has to
    read what it imports.
    """
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, package)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in modules else base


def absolute(node, package):
    if not node.level:
        return node.module
    parts = package.split(".")
    kept = parts[: len(parts) - (node.level - 1)]
    return ".".join([*kept, *filter(None, [node.module])])


def circle_in(root):
    """One circle of imports among the modules below *root*; empty if there is none."""
    modules = modules_of(root)
    graph = {
        name: {each for each in imports_of(name, path, modules) if each in modules} - {name}
        for name, path in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert circle_in(ROOT / "assertlib") == []


CIRCLES = {
    "at the head": "from .b import B\n",
    "for type checkers": "if TYPE_CHECKING:\n    from .b import B\n",
    "inside a function": "def f():\n    from . import b\n",
    "by the whole name": "import package.b\n",
    "through the package above": "from ..package.b import B\n",
}


@pytest.mark.parametrize("text", CIRCLES.values(), ids=CIRCLES.keys())
def test_a_circle_is_found_however_it_is_written(tmp_path, text):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text(text)
    (package / "b.py").write_text("from . import c\n")
    (package / "c.py").write_text("from .a import A\n")
    found = circle_in(package)
    assert set(found) == {"package.a", "package.b", "package.c"}
