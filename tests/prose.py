"""
Measures how the project reads: ``python -m tests.prose``.

Words that carry no sentence, comments, sections of docstrings, size and complexity of functions.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "assertlib"
TELLING = re.compile(r"(?<!\.)\b(?:tell|tells|told|telling)\b", re.IGNORECASE)
FEW = 2
"""How many parameters a signature on one line may have without an ``Args`` section."""
LONG_MODULE = 500


def python_files():
    """The package, without what is generated."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "_pb2" not in path.name)


def prose_files():
    """Where the project's own words stand; the prose of catalogs is quoted from elsewhere."""
    docs = [path for path in (ROOT / "docs").rglob("*.md") if "invariants" not in path.parts]
    return [*python_files(), *sorted(docs), *sorted(ROOT.glob("*.md"))]


def telling_words():
    """Uses of the words, and the lines looked at."""
    texts = [path.read_text(encoding="utf-8") for path in prose_files()]
    return sum(len(TELLING.findall(text)) for text in texts), sum(map(_lines, texts))


def _lines(text):
    return text.count("\n")


def commented_lines():
    """Lines of Python that hold a comment, and all lines of Python."""
    comments = lines = 0
    for path in python_files():
        text = path.read_text(encoding="utf-8")
        lines += _lines(text)
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            is_directive = re.match(r"#\s*(?:noqa|type:|fmt:|pragma|ruff)", token.string)
            comments += token.type == tokenize.COMMENT and not is_directive
    return comments, lines


@dataclass
class Function:
    """A public function, or a public method of a public class."""

    path: Path
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    parameters: list[str] = field(default_factory=list)

    def __str__(self):
        return f"{self.path.relative_to(PACKAGE).with_suffix('').as_posix()}:{self.name}"

    @property
    def docstring(self):
        return ast.get_docstring(self.node) or ""

    @property
    def is_one_line(self):
        return self.node.body[0].lineno <= self.node.lineno + 1

    @property
    def lacks_args(self):
        """Whether readers must guess at its parameters."""
        return "Args:" not in self.docstring and not self._needs_no_args

    @property
    def _needs_no_args(self):
        is_plain = self.is_one_line and len(self.parameters) <= FEW
        return is_plain or all(f"*{each}*" in self.docstring for each in self.parameters)

    @property
    def lacks_raises(self):
        """Whether it raises an error of its own that its docstring does not name."""
        raised = any(
            isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call)
            for each in _own_nodes(self.node)
        )
        return raised and "Raises:" not in self.docstring


def _own_nodes(function):
    """The nodes of a function without those of functions and classes inside it."""
    waiting = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def public_functions():
    for path in python_files():
        if not any(part.startswith("_") for part in path.relative_to(PACKAGE).parts[:-1]):
            yield from _functions(path, ast.parse(path.read_text(encoding="utf-8")).body, "")


def _functions(path, body, prefix):
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _functions(path, node.body, f"{node.name}.")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(node):
            yield Function(path, prefix + node.name, node, _parameters(node))


def _is_public(node):
    wrapped = {getattr(each, "id", getattr(each, "attr", "")) for each in node.decorator_list}
    # The docstring of a command is what its --help shows, which lists the options itself.
    return not node.name.startswith("_") and not wrapped & {"overload", "setter", "command"}


def _parameters(node):
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [each.arg for each in every if each.arg not in ("self", "cls", "_")]


def complex_functions(limit=10):
    """Names of the functions whose cyclomatic complexity is above *limit*."""
    command = [
        *(Path(sys.executable).with_name("ruff"), "check", "--isolated", "--select", "C901"),
        *("--config", f"lint.mccabe.max-complexity={limit}", "--output-format", "concise", PACKAGE),
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    return re.findall(r"C901 `(\w+)`", done.stdout)


def all_functions():
    """The number of functions in the package, private ones included."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in python_files())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return sum(isinstance(node, kinds) for tree in trees for node in ast.walk(tree))


def long_modules():
    """Modules of more than 500 lines, and whether their head gives a reason."""
    found = {}
    for path in python_files():
        text = path.read_text(encoding="utf-8")
        if _lines(text) > LONG_MODULE:
            head = ast.get_docstring(ast.parse(text)) or ""
            found[path.relative_to(PACKAGE).as_posix()] = _lines(text), "500 lines" in head
    return found


def main():
    told, lines = telling_words()
    print(f"tell, tells, told: {told} in {lines} lines, {1000 * told / lines:.2f} per 1,000")
    comments, lines = commented_lines()
    print(f"comments: {comments} in {lines} lines of Python, {100 * comments / lines:.1f}%")
    functions = list(public_functions())
    with_parameters = [each for each in functions if each.parameters]
    lacking = [each for each in with_parameters if each.lacks_args]
    print(f"public functions with parameters: {len(with_parameters)}, without Args: {len(lacking)}")
    raising = [each for each in functions if each.lacks_raises]
    print(f"public functions that raise without Raises: {len(raising)}")
    complicated = complex_functions()
    print(f"functions above complexity 10: {len(complicated)} of {all_functions()}")
    for name, (lines, has_reason) in long_modules().items():
        print(f"{name}: {lines} lines, {'with' if has_reason else 'WITHOUT'} a reason at its head")


if __name__ == "__main__":
    main()
