"""
What an assertion costs, against an empty function and against the Antithesis
Python SDK with its handler off: ``python benchmarks/primitives.py``.

Every figure is a ratio of two things timed in turn in the same process: rounds
are interleaved, each contributes one ratio, and the table shows the median
with the smallest and the largest.  Nanoseconds are for orientation only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import timeit

ROUNDS = 15
CALLS = 50_000

SETUP = """
import os
from antithesis import assertions as antithesis

def empty(condition, message):
    pass

import assertlib
from assertlib import always, sometimes, reachable, always_greater_than
from assertlib import Invariant
COST = Invariant("bench.cost")
bound_always = COST.declare_always("bound always")
bound_sometimes = COST.declare_sometimes("bound sometimes")
bound_reachable = COST.declare_reachable("bound reachable")
a, b = 5, 3
"""

# What is timed: the name of the row, antithesis' form, ours.
DIRECT = [
    ("always", "antithesis.always(True, 'a')", "always(True, 'a')"),
    (
        "always, two details",
        "antithesis.always(True, 'd', {'a': a, 'b': b})",
        "always(True, 'd', {'a': a, 'b': b})",
    ),
    ("sometimes", "antithesis.sometimes(True, 's')", "sometimes(True, 's')"),
    ("sometimes, false", "antithesis.sometimes(False, 'f')", "sometimes(False, 'f')"),
    ("reachable", "antithesis.reachable('r')", "reachable('r')"),
    (
        "always_greater_than",
        "antithesis.always_greater_than(a, b, 'g')",
        "always_greater_than(a, b, 'g')",
    ),
]
BOUND = [
    ("always, bound", "antithesis.always(True, 'a')", "bound_always(True)"),
    ("sometimes, bound", "antithesis.sometimes(True, 's')", "bound_sometimes(True)"),
    ("reachable, bound", "antithesis.reachable('r')", "bound_reachable()"),
]
EMPTY = "empty(True, 'a')"
MODES = {
    "memory": {},
    "run directory": {"ASSERTLIB_RUN_DIR": "a temporary directory"},
    "off": {"ASSERTLIB": "off"},
}


def measure() -> list[dict[str, object]]:
    """The rows of one mode, in this process."""
    rows = [*DIRECT, *BOUND]
    timers = {
        statement: timeit.Timer(statement, SETUP if not number else "pass", globals=GLOBALS)
        for number, statement in enumerate(
            dict.fromkeys([EMPTY, *[s for r in rows for s in r[1:]]])
        )
    }
    samples: dict[str, list[float]] = {statement: [] for statement in timers}
    for timer in timers.values():
        timer.timeit(CALLS)
    for _ in range(ROUNDS):
        for statement, timer in timers.items():
            samples[statement].append(timer.timeit(CALLS) / CALLS * 1e9)
    return [
        {
            "row": name,
            "ns": statistics.median(samples[ours]),
            "antithesis_ns": statistics.median(samples[theirs]),
            "empty_ns": statistics.median(samples[EMPTY]),
            "antithesis": ratio(samples[ours], samples[theirs]),
            "empty": ratio(samples[ours], samples[EMPTY]),
        }
        for name, theirs, ours in rows
    ]


GLOBALS: dict[str, object] = {}


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Median, smallest and largest of the ratios round by round."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def in_child(mode: str, directory: str) -> list[dict[str, object]]:
    """The rows of *mode*, in a fresh process."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ASSERTLIB")
    }
    environment.update(MODES[mode])
    if "ASSERTLIB_RUN_DIR" in environment:
        environment["ASSERTLIB_RUN_DIR"] = directory
    command = [sys.executable, __file__, "--child"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def import_cost(directory: str) -> tuple[float, float, float]:
    """
    Milliseconds that ``import assertlib`` adds to ``python -c pass``: median and spread.

    Compiled files are kept in *directory*, as an installation has them.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": directory}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def seconds(code: str) -> float:
        command = [sys.executable, "-c", code]
        return timeit.timeit(lambda: subprocess.run(command, env=environment, check=True), number=1)

    seconds("import assertlib")
    added = [(seconds("import assertlib") - seconds("pass")) * 1000 for _ in range(ROUNDS)]
    return statistics.median(added), min(added), max(added)


def shown(figures: tuple[float, float, float]) -> str:
    median, low, high = figures
    return f"{median:.2f} ({low:.2f}-{high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().child:
        exec(SETUP, GLOBALS)
        print(json.dumps(measure()))
        return
    print(f"Python {sys.version.split()[0]}, {ROUNDS} rounds of {CALLS} calls, interleaved\n")
    print("| mode | call | × antithesis 0.4.0 | × empty call | ns | antithesis ns | empty ns |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for mode in MODES:
            for row in in_child(mode, directory):
                print(
                    f"| {mode} | {row['row']} | {shown(row['antithesis'])} |"
                    f" {shown(row['empty'])} | {row['ns']:.0f} |"
                    f" {row['antithesis_ns']:.0f} | {row['empty_ns']:.0f} |"
                )
        print(f"\n`import assertlib` adds {shown(import_cost(directory))} ms to `python -c pass`.")


if __name__ == "__main__":
    main()
