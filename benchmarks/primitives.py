"""
What assertions cost: ``python benchmarks/primitives.py``.

The calls are held against an empty Python function with the same arguments and
against the Antithesis Python SDK with its handler off; the example store
against itself with recording off; and a process with many assertions against
one with few.  Every ratio is of two things timed in turn: rounds are
interleaved, each contributes one ratio, and the tables show the median with
the smallest and the largest.  Nanoseconds are for orientation only.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 15
CALLS = 50_000
PAIRS = 15
ACTIONS = 12_000
ASSERTIONS = (10, 1_000, 100_000)

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where the example store keeps its data: the moods of a disk would drown its assertions."""

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "kvstore"

SETUP = """
from antithesis import assertions as antithesis
from assertlib import *

CLAIM = Invariant("bench.cost")
bound_always = CLAIM.declare_always("bound always")
bound_sometimes = CLAIM.declare_sometimes("bound sometimes")
bound_reachable = CLAIM.declare_reachable("bound reachable")
a, b = 5, 3

holds = lambda: True

def empty():
    pass

def empty1(one):
    pass

def empty2(one, two):
    pass

def empty3(one, two, three):
    pass
"""

# The name of the row; ours; an empty function with the same arguments; antithesis' form.
ROWS = [
    ("`always`", "always(True, 'm')", "empty2(True, 'm')", "always(True, 'm')"),
    (
        "`always`, a dict of two details",
        "always(True, 'd', {'a': a, 'b': b})",
        "empty3(True, 'd', {'a': a, 'b': b})",
        "always(True, 'd', {'a': a, 'b': b})",
    ),
    (
        "`always`, a lambda for details",
        "always(True, 'l', lambda: {'a': a, 'b': b})",
        "empty3(True, 'l', lambda: {'a': a, 'b': b})",
        "always(True, 'l', {'a': a, 'b': b})",
    ),
    (
        "`always`, a lambda for condition",
        "always(lambda: True, 'c')",
        "empty2(lambda: True, 'c')",
        "always(True, 'c')",
    ),
    (
        "`always`, a lambda, `every=1000`",
        "always(lambda: True, 'e', every=1000)",
        "empty2(lambda: True, 'e')",
        "always(True, 'e')",
    ),
    (
        "`always`, a function, `every=1000`",
        "always(holds, 'h', every=1000)",
        "empty2(holds, 'h')",
        "always(True, 'h')",
    ),
    ("`Invariant.always`", "CLAIM.always(True, 'i')", "empty2(True, 'i')", "always(True, 'i')"),
    ("`sometimes`", "sometimes(True, 's')", "empty2(True, 's')", "sometimes(True, 's')"),
    ("`sometimes`, false", "sometimes(False, 'f')", "empty2(False, 'f')", "sometimes(False, 'f')"),
    ("`reachable`", "reachable('r')", "empty1('r')", "reachable('r')"),
    (
        "`always_greater_than`",
        "always_greater_than(a, b, 'g')",
        "empty3(a, b, 'g')",
        "always_greater_than(a, b, 'g')",
    ),
    (
        "`Invariant.always_greater_than`",
        "CLAIM.always_greater_than(a, b, 'ig')",
        "empty3(a, b, 'ig')",
        "always_greater_than(a, b, 'ig')",
    ),
    (
        "`always_equal_to`",
        "always_equal_to(a, b + 2, 'q')",
        "empty3(a, b + 2, 'q')",
        "always(a == b + 2, 'q')",
    ),
    (
        "`sometimes_all` of three",
        "sometimes_all({'x': True, 'y': True, 'z': False}, 'a')",
        "empty2({'x': True, 'y': True, 'z': False}, 'a')",
        "sometimes_all({'x': True, 'y': True, 'z': False}, 'a')",
    ),
    ("`always`, bound", "bound_always(True)", "empty1(True)", "always(True, 'm')"),
    (
        "`sometimes`, bound, false",
        "bound_sometimes(False)",
        "empty1(False)",
        "sometimes(False, 'f')",
    ),
    ("`reachable`, bound", "bound_reachable()", "empty()", "reachable('r')"),
    (
        "`always`, bound, a lambda",
        "bound_always(lambda: True)",
        "empty1(lambda: True)",
        "always(True, 'm')",
    ),
    (
        "`always_if`, the antecedent holds",
        "always_if(True, lambda: True, 'o')",
        "empty3(True, lambda: True, 'o')",
        "always(True, 'o')",
    ),
    (
        "`always_if`, the antecedent is false",
        "always_if(False, lambda: True, 'n')",
        "empty3(False, lambda: True, 'n')",
        "always(True, 'n')",
    ),
    (
        "`sometimes_each` of two",
        "sometimes_each('x', 'k', expected=('x', 'y'))",
        "empty3('x', 'k', ('x', 'y'))",
        "sometimes(True, 'k')",
    ),
    (
        "`within`",
        "with within(60, 'w'): pass",
        "empty2(60, 'w')",
        "always(True, 'w')",
    ),
]

SINK_ROWS = ("`always`", "`sometimes`, false", "`always_greater_than`", "`always`, bound")
"""The rows that are measured with OpenTelemetry attached, too."""

KNOWN = 300
"""How many assertions it then reports each second."""

ACCELERATED: dict[str, str] = {}
PURE = {"ASSERTLIB_PURE": "1"}
TWINS = {"accelerated": ACCELERATED, "pure Python": PURE}
OFF = {"ASSERTLIB": "off"}

RECEIVER = Path(__file__).resolve().parent.parent / "tests" / "telemetry" / "receiver.py"


# -- measuring ---------------------------------------------------------------------


def environment(*changes: dict[str, str]) -> dict[str, str]:
    """What a child sees, without what this process was told."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("ASSERTLIB")}
    return {**clean, **{name: text for change in changes for name, text in change.items()}}


def output_of(command: list[str], directory: str, *changes: dict[str, str]) -> str:
    """What a fresh process prints that records into *directory*."""
    recording = {"ASSERTLIB_RUN_DIR": f"{directory}/run", "TMPDIR": directory}
    done = subprocess.run(
        [sys.executable, *command],
        env=environment(recording, *changes),
        cwd=EXAMPLE,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def in_child(part: str, *changes: dict[str, str]) -> dict[str, object]:
    """What a fresh process measures."""
    with tempfile.TemporaryDirectory() as directory:
        return json.loads(
            output_of([os.path.abspath(__file__), "--child", part], directory, *changes)
        )


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Median, smallest and largest of the ratios round by round."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    low, high = min(ratios), max(ratios)
    return f"{statistics.median(ratios):.3f} ({low:.3f}-{high:.3f})"


def calls() -> dict[str, list[float]]:
    """Nanoseconds of each statement, round by round, in this process."""
    place: dict[str, object] = {}
    exec(SETUP, place)
    statements = dict.fromkeys(
        statement
        for _, ours, empty, theirs in ROWS
        for statement in (ours, empty, f"antithesis.{theirs}")
    )
    timers = {each: timeit.Timer(each, globals=place) for each in statements}
    for timer in timers.values():
        timer.timeit(CALLS)
    samples: dict[str, list[float]] = {each: [] for each in statements}
    for _ in range(ROUNDS):
        for each, timer in timers.items():
            samples[each].append(timer.timeit(CALLS) / CALLS * 1e9)
    return samples


def sink_calls() -> dict[str, float]:
    """Nanoseconds of some statements, with whatever sinks the environment asks for."""
    place: dict[str, object] = {}
    exec(SETUP, place)
    exec(f"for number in range({KNOWN}): always(True, f'known {{number}}')", place)
    found = {}
    for name, ours, _, _ in ROWS:
        if name in SINK_ROWS:
            timer = timeit.Timer(ours, globals=place)
            timer.timeit(CALLS)
            rounds = [timer.timeit(CALLS) / CALLS * 1e9 for _ in range(ROUNDS * 2)]
            found[name] = statistics.median(rounds)
    return found


@contextmanager
def receiving(
    protocol: str, *options: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A collector in a process of its own, and what a process is told to export to it."""
    command = [sys.executable, str(RECEIVER), protocol, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield (
                process,
                {
                    "ASSERTLIB_OTEL": "1",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                    "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
                    "NO_PROXY": "127.0.0.1",
                },
            )
        finally:
            process.kill()


def load(directory: str, *changes: dict[str, str]) -> float:
    """Seconds that the example store takes for a fixed amount of work."""
    told = output_of(["-m", "kvstore.load", "--actions", str(ACTIONS)], directory, *changes)
    return float(told.split(" in ")[1].split()[0])


def footprint(count: int) -> dict[str, float]:
    """What *count* bound assertions cost this process and its shard, each hit once."""
    import resource
    import time

    import assertlib

    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    names = [f"an assertion whose message is of usual length, {number}" for number in range(count)]
    assertlib.always(True, "what is loaded at the first record")
    claim, before, begin = assertlib.Invariant("bench.cost"), resident(), time.perf_counter()
    bound = [claim.declare_always(name) for name in names]
    declared = time.perf_counter()
    for each in bound:
        each(True)
    hit = time.perf_counter()
    sizes = {
        path.suffix: path.stat().st_size for path in Path(os.environ["ASSERTLIB_RUN_DIR"]).iterdir()
    }
    return {
        "memory": resident() - before,
        "declare": declared - begin,
        "hit": hit - declared,
        "lines": sizes[".jsonl"],
        "counters": sizes[".counts"],
    }


def import_cost(directory: str) -> list[float]:
    """
    Milliseconds that ``import assertlib`` adds to ``python -c pass``, round by round.

    Compiled files are kept in *directory*, as an installation has them.
    """
    place = environment({"PYTHONPYCACHEPREFIX": directory})
    place.pop("PYTHONDONTWRITEBYTECODE", None)

    def seconds(code: str) -> float:
        command = [sys.executable, "-c", code]
        return timeit.timeit(lambda: subprocess.run(command, env=place, check=True), number=1)

    seconds("import assertlib")
    return [(seconds("import assertlib") - seconds("pass")) * 1000 for _ in range(ROUNDS)]


# -- telling -----------------------------------------------------------------------


def tell_calls() -> None:
    print(
        "| implementation | call | × antithesis 0.4.0 | × empty call | ns | antithesis ns"
        " | empty ns |"
    )
    print("|---|---|---|---|---|---|---|")
    for twin, change in TWINS.items():
        for state, off in ((twin, {}), (f"{twin}, off", OFF)):
            samples: dict[str, list[float]] = in_child("calls", change, off)  # type: ignore[assignment]
            for name, ours, empty, theirs in ROWS:
                mine, nothing, peer = (samples[s] for s in (ours, empty, f"antithesis.{theirs}"))
                figures = " | ".join(
                    f"{statistics.median(each):.0f}" for each in (mine, peer, nothing)
                )
                print(
                    f"| {state} | {name} | {ratio(mine, peer)} | {ratio(mine, nothing)} | {figures} |",
                    flush=True,
                )


def tell_store() -> None:
    print("| implementation | × recording off | s | off, s |")
    print("|---|---|---|---|")
    for twin, change in TWINS.items():
        recorded, off = [], []
        for number in range(PAIRS):
            with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
                pair = [(recorded, [change]), (off, [change, OFF])]
                for seconds, changes in pair if number % 2 else reversed(pair):
                    seconds.append(load(directory, *changes))
        medians = " | ".join(f"{statistics.median(each):.2f}" for each in (recorded, off))
        print(f"| {twin} | {ratio(recorded, off)} | {medians} |", flush=True)


def tell_sink() -> None:
    print("| implementation | call | × without | ns | without, ns |")
    print("|---|---|---|---|---|")
    for twin, change in TWINS.items():
        sent: list[dict[str, float]] = []
        plain: list[dict[str, float]] = []
        with receiving("http/protobuf") as (_, otel):
            for number in range(PAIRS):
                pair = [(sent, [change, otel]), (plain, [change])]
                for rows, changes in pair if number % 2 else reversed(pair):
                    rows.append(in_child("sink", *changes))  # type: ignore[arg-type]
        for name in SINK_ROWS:
            mine, without = [row[name] for row in sent], [row[name] for row in plain]
            medians = " | ".join(f"{statistics.median(each):.0f}" for each in (mine, without))
            print(f"| {twin} | {name} | {ratio(mine, without)} | {medians} |", flush=True)


def tell_footprint() -> None:
    print(
        "| implementation | assertions | memory, bytes each | shard, bytes each"
        " | counters, bytes each | declare, µs each | first hit, µs each |"
    )
    print("|---|---|---|---|---|---|---|")
    for twin, change in TWINS.items():
        for count in ASSERTIONS:
            it: dict[str, float] = in_child(str(count), change)  # type: ignore[assignment]
            times = [it[name] / count * 1e6 for name in ("declare", "hit")]
            sizes = [it[name] / count for name in ("memory", "lines", "counters")]
            figures = [f"{size:.0f}" for size in sizes] + [f"{each:.1f}" for each in times]
            print(f"| {twin} | {count:,} | {' | '.join(figures)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    part = parser.parse_args().child
    if part is not None:
        parts = {"calls": calls, "sink": sink_calls}
        print(json.dumps(parts[part]() if part in parts else footprint(int(part))))
        return
    print(f"Python {sys.version.split()[0]}\n")
    print(f"Calls: {ROUNDS} rounds of {CALLS:,} calls, interleaved.\n")
    tell_calls()
    where = "in memory" if MEMORY else "on disk"
    print(f"\nThe example store, its data {where}: {PAIRS} pairs of {ACTIONS:,} actions.\n")
    tell_store()
    print(
        f"\nWith OpenTelemetry attached, {KNOWN} assertions sent each second over HTTP to a"
        f" collector: {PAIRS} pairs of processes.\n"
    )
    tell_sink()
    print("\nMany assertions in one process, each declared and hit once.\n")
    tell_footprint()
    with tempfile.TemporaryDirectory() as directory:
        added = import_cost(directory)
    spread = f"{min(added):.1f} to {max(added):.1f}"
    median = statistics.median(added)
    print(f"\n`import assertlib` adds {median:.1f} ({spread}) ms to `python -c pass`.")


if __name__ == "__main__":
    main()
