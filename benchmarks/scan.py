"""
What `assertlib check` costs: ``python benchmarks/scan.py``.

On this repository, from start to end of the process.  And on a generated tree in which a few files
of very many hold an assertion, beside ``python -m antithesis.catalog``, which reads the same tree
for the same assertions; the two run in turns, and each round contributes one ratio.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASSERTLIB = (str(Path(sys.executable).parent / "assertlib"), "check")

CONFIG = '[tool.assertlib.targets.store]\nsource = ["store"]\ncatalog = ["catalog"]\n'
CATALOG = """schema = 1
[holds]
title = "It holds"
kind = "safety"
status = "draft"
statement = "It holds."
why = "It is relied on."
debug = "Look."
expects = ["always"]
[[holds.source]]
ref = "a benchmark"
"""
FUNCTION = '''
def step_{number}(self, key: str, value: int = 0) -> dict[str, int]:
    """Move one step on from *key*."""
    table = {{each: len(each) + value for each in (key, "a", "b", "c")}}
    if value > {number} and key not in table:
        raise KeyError(f"{{key}} is not there: {{sorted(table)}}")
    for name, size in sorted(table.items()):
        while size > 100:
            size -= {number} + 1
        table[name] = max(size, value)
    return table
'''
ASSERTING = """
def check_{number}(first: int, second: int) -> bool:
    return always(first <= second, "step {number} is in order", {{}})
"""


def generate(root: Path, files: int, lines: int, asserting: int, assertions: int) -> int:
    """A package of that size; returns how many lines it has."""
    body = FUNCTION.count("\n")
    functions = lines // files // body + 1
    total = 0
    (root / "store").mkdir(parents=True)
    (root / "catalog").mkdir()
    (root / "pyproject.toml").write_text(CONFIG)
    (root / "catalog/kv.toml").write_text(CATALOG)
    each = assertions // asserting
    for number in range(files):
        text = "".join(FUNCTION.format(number=n) for n in range(functions))
        if number < asserting:
            first = number * each
            text += "".join(ASSERTING.format(number=n) for n in range(first, first + each))
            text = "from antithesis.assertions import always\n" + text
        (root / f"store/module_{number}.py").write_text(text)
        total += text.count("\n")
    return total


def timed(command: Sequence[str], directory: Path) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - start


def rounds(commands: Sequence[Sequence[str]], directory: Path, times: int) -> Iterator[list[float]]:
    for _ in range(times):
        yield [timed(command, directory) for command in commands]


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def here(times: int) -> None:
    strict = [row[0] for row in rounds([(*ASSERTLIB, "--strict")], ROOT, times)]
    print(f"`assertlib check --strict` on this repository, {times} times: {spread(strict)} s")


def large(times: int, files: int, lines: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        total = generate(root, files, lines, asserting=50, assertions=500)
        peer = (sys.executable, "-m", "antithesis.catalog", "store", "-o", "catalog.json")
        rows = list(rounds([ASSERTLIB, peer], root, times))
    ratios = [ours / theirs for ours, theirs in rows]
    print(f"\n{files:,} files, {total:,} lines, 500 assertions in 50 files, {times} times in turns")
    print("| | seconds, median (min-max) |")
    print("|---|---|")
    print(f"| `assertlib check` | {spread([row[0] for row in rows])} |")
    print(f"| `python -m antithesis.catalog` 0.4.0 | {spread([row[1] for row in rows])} |")
    print(f"| ratio | {spread(ratios)} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    here(max(options.times, 5))
    large(options.times, options.files, options.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
