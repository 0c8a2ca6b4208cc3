"""
Mutants of assertlib, and which of them the tests kill.

``python tests/mutants.py`` changes one expression or statement at a time in a copy of the checkout,
and runs the tests of that room until one fails.  The same seed gives the same mutants, so that two
trees with the same product can be compared::

    python tests/mutants.py --tree ../before --output before.json
    python tests/mutants.py --compare before.json
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PURE = {"ASSERTLIB_PURE": "1"}
CALLS = [
    f"tests/test_{name}.py"
    for name in ("primitives", "comparisons", "derived", "invariant", "antithesis", "testing")
]
# The accelerator hides mutants of the Python that it replaces: those rooms are tested with both.
ROOMS = {
    "recording": (["tests/recording", "tests/accelerator", "tests/invariants", *CALLS], [{}, PURE]),
    "_calls": ([*CALLS, "tests/recording"], [{}, PURE]),
    "evidence": (["tests/evidence", "tests/invariants", "tests/cli/test_gate.py"], [{}]),
    "catalog": (
        [
            "tests/catalog",
            "tests/scan",
            *(f"tests/cli/test_{n}.py" for n in ("catalog", "check", "review")),
        ],
        [{}],
    ),
    "history": (["tests/history", "tests/cli/test_history.py"], [{}]),
    "sim": (["tests/sim", "tests/cli/test_sim.py", "tests/cli/test_sim_verdicts.py"], [{}]),
}
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?|\S+)(?: - .*)?$", re.MULTILINE)
SWAPPED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the text between two offsets of a file in bytes is replaced."""

    room: str
    file: str
    line: int
    operator: str
    start: int
    end: int
    text: str

    @property
    def name(self):
        return f"{self.file}:{self.line} {self.operator}"

    def apply(self, tree):
        path = tree / self.file
        data = path.read_bytes()
        path.write_bytes(data[: self.start] + self.text.encode() + data[self.end :])


# -- generating ------------------------------------------------------------------------------


def choose(tree, seed, count, rooms=tuple(ROOMS)):
    """*count* mutants, as many of each room, and within a room of each operator."""
    dice = random.Random(seed)
    found = {room: by_operator(tree, room) for room in rooms}
    chosen = []
    while len(chosen) < count:
        room = rooms[len(chosen) % len(rooms)]
        sites = found[room][dice.choice(sorted(found[room]))]
        mutant = sites[dice.randrange(len(sites))]
        if mutant not in chosen:
            chosen.append(mutant)
    return chosen


def by_operator(tree, room):
    sites = {}
    for path in sorted((tree / "assertlib" / room).rglob("*.py")):
        for mutant in mutants_of(room, path.relative_to(tree).as_posix(), path.read_bytes()):
            sites.setdefault(mutant.operator, []).append(mutant)
    return sites


def mutants_of(room, file, source) -> Iterator[Mutant]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in _executed(ast.parse(source)):
        for operator, place, text in _changes(node):
            start = starts[place.lineno - 1] + place.col_offset
            end = starts[place.end_lineno - 1] + place.end_col_offset
            if operator == "return early":
                end = start
                text = f"return None\n{' ' * place.col_offset}"
            yield Mutant(room, file, place.lineno, operator, start, end, text)


def _executed(node):
    """Nodes that do something: no types, no docstrings, and no parts of texts, which lack places."""
    yield node
    skipped = {"annotation", "returns"}
    if isinstance(node, (ast.JoinedStr, ast.Raise)) or _is_for_types(node):
        return
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in skipped:
                yield from _executed(child)


def _is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _changes(node):
    """Operator, the node whose text is replaced, and the new text."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While)) and not _is_for_types(node):
        yield "negate a condition", node.test, f"(not ({ast.unparse(node.test)}))"
    if isinstance(node, ast.Compare):
        changed = [SWAPPED[type(node.ops[0])](), *node.ops[1:]]
        text = ast.unparse(ast.Compare(node.left, changed, node.comparators))
        yield "swap a comparison", node, f"({text})"
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "swap and/or", node, f"({ast.unparse(ast.BoolOp(other, node.values))})"
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield "off by one", node, f"({node.value + 1})"
    if _may_be_dropped(node):
        yield "drop a statement", node, "pass"
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        # A body of one line beside its `def` has no line of its own to return before.
        if body and body[0].lineno > node.lineno and not _does_nothing(body):
            yield "return early", _Start(body[0]), ""


def _does_nothing(body):
    return isinstance(body[0], ast.Pass) or (
        isinstance(body[0], ast.Return) and ast.unparse(body[0]) in ("return", "return None")
    )


class _Start:
    """Where a statement starts: at its first decorator, if it has one."""

    def __init__(self, statement):
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement, *decorators], key=lambda each: each.lineno)
        self.lineno = self.end_lineno = first.lineno
        self.col_offset = self.end_col_offset = statement.col_offset


def _may_be_dropped(node):
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        # A name that is never assigned ends in an error at once.
        return all(isinstance(each, (ast.Attribute, ast.Subscript)) for each in node.targets)
    return isinstance(node, (ast.AugAssign, ast.Delete, ast.Continue))


# -- running ---------------------------------------------------------------------------------


class Trees:
    """Copies of a checkout, and which of their tests fail without any mutant."""

    def __init__(self, tree, directory, marks, seconds):
        self.tree = tree
        self.directory = directory
        self.marks = marks
        self.seconds = seconds
        self.broken = {}

    def copy(self):
        target = Path(tempfile.mkdtemp(dir=self.directory)) / "copy"
        git = ["git", "-C", str(self.tree), "ls-files", "-z", "--cached", "--others"]
        names = subprocess.run(
            [*git, "--exclude-standard"], capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, names.split("\0")):
            if (self.tree / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.tree / name, target / name)
        for built in (self.tree / "assertlib").glob("_speed*.so"):
            shutil.copy2(built, target / "assertlib")
        # Tests ask for the commit; what is above the copy is none of theirs.
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a mutant"]):
            identity = ["-c", "user.name=mutants", "-c", "user.email=mutants@localhost"]
            subprocess.run(["git", *identity, *words], cwd=target, check=True, capture_output=True)
        return target

    def fails_without(self, room):
        """The tests that fail in a copy as it is, and so show nothing of a mutant."""
        if room not in self.broken:
            copy = self.copy()
            names = set()
            for variables in ROOMS[room][1]:
                ended, out = self.pytest(copy, room, variables, [], 10 * self.seconds)
                if ended is None:
                    raise SystemExit(f"the tests of {room} take more than {10 * self.seconds} s")
                names.update(FAILED.findall(out))
            shutil.rmtree(copy.parent)
            self.broken[room] = sorted(names)
        return self.broken[room]

    def verdict(self, mutant):
        """The test that kills *mutant*; empty if it lives."""
        known = self.fails_without(mutant.room)
        options = ["-x", *(f"--deselect={name}" for name in known)]
        copy = self.copy()
        mutant.apply(copy)
        try:
            for variables in ROOMS[mutant.room][1]:
                ended, out = self.pytest(copy, mutant.room, variables, options, self.seconds)
                if ended is None:
                    return "(out of time)"
                # 1: a test failed; 5: none was left; others: pytest itself could not go on.
                if ended:
                    return (FAILED.findall(out) or [f"(pytest ends with {ended})"])[0]
        finally:
            shutil.rmtree(copy.parent, ignore_errors=True)
        return ""

    def pytest(self, copy, room, variables, options, seconds):
        """Exit code and output of the tests of a room; the code is None if they took too long."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ASSERTLIB")}
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider"),
            *("-m", self.marks, *options, *(p for p in ROOMS[room][0] if (copy / p).exists())),
        ]
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                command, cwd=copy, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**environment, **variables, "PYTHONPATH": str(copy), "COLUMNS": "300"},
            )  # fmt: skip
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
            output.seek(0)
            return code, output.read()


# -- telling ---------------------------------------------------------------------------------


def table(results):
    yield "| mutant | killed | by |"
    yield "|---|---|---|"
    for each in results:
        killed = "yes" if each["killed_by"] else "no"
        yield f"| {each['name']} | {killed} | {each['killed_by']} |"


def lost(results, others):
    """The mutants that the other tree kills and this one does not, with what killed them there."""
    known = {_identity(each): each for each in others}
    for each in results:
        other = known.get(_identity(each))
        if other is None:
            yield f"{each['name']}: the other tree has no such mutant"
        elif other["killed_by"] and not each["killed_by"]:
            yield f"{each['name']}: killed there by {other['killed_by']}"


def _identity(result):
    return tuple(result[key] for key in ("file", "start", "end", "text"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--first", type=int, metavar="N", help="run the first N of them only")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=list(ROOMS))
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout")
    parser.add_argument("--marks", default="not long", help="the tests: an expression of marks")
    parser.add_argument("--seconds", type=float, default=600, help="for a mutant and one twin")
    parser.add_argument("--output", type=Path, help="file for the results, in JSON")
    parser.add_argument("--compare", type=Path, metavar="OTHER.json")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        trees = Trees(options.tree.resolve(), directory, options.marks, options.seconds)
        chosen = choose(trees.tree, options.seed, options.count, options.rooms)
        for mutant in chosen[: options.first]:
            began = time.monotonic()
            killer = trees.verdict(mutant)
            took = round(time.monotonic() - began)
            print(f"{mutant.name}: {killer or 'lives'} ({took} s)", file=sys.stderr, flush=True)
            results.append({"name": mutant.name, **asdict(mutant), "killed_by": killer})
            if options.output:
                options.output.write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(table(results)))
    print(f"{sum(bool(each['killed_by']) for each in results)} of {len(results)} killed")
    if options.compare:
        missing = list(lost(results, json.loads(options.compare.read_text())))
        print("\n".join(missing) or "each mutant that the other tree kills is killed here, too")
        sys.exit(bool(missing))


if __name__ == "__main__":
    main()
