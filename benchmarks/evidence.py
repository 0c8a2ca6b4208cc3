"""
What judging many shards costs: ``python benchmarks/evidence.py --shards 1000 10000``.

Each shard is what a process leaves that ran 50 trials of a seed each over 300 assertions: their
declarations, the first true and the first false hit of each with details, one line of counts a
trial, and the counter file.  The shards are made from one that was really recorded.  Time and
memory are those of a process of its own, its workers included.  A second table has the CPU time of
`assertlib gate` on one process with many trials, which is linear in them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assertlib.recording.counters import KIND_CELL, seen_bit

ASSERTIONS, TRIALS = 300, 50
STORE = """
from assertlib import Invariant, trial
import random
I = Invariant("store.holds")
def step(n, dice):
"""
CATALOG = """schema = 1
[holds]
title = "It holds"
kind = "safety"
status = "active"
statement = "It holds."
why = "It is relied on."
debug = "Look."
expects = ["always", "sometimes"]
[[holds.source]]
ref = "a benchmark"
"""
CONFIG = '[tool.assertlib.targets.store]\nsource = ["store.py"]\n'


def make_project(root: Path) -> None:
    """A store with many assertions, half of them promises, half of them states."""
    lines = [STORE]
    for number in range(ASSERTIONS):
        details = f"{{'n': n, 'key': 'k{number}'}}"
        if number % 2:
            text = f"sometimes(dice.random() < {number % 10 / 10 + 0.05}, 'state {number} comes up'"
        else:
            text = f"always(n >= 0, 'promise {number} holds'"
        lines.append(f"    I.{text}, {details})\n")
    (root / "store.py").write_text("".join(lines))
    (root / "catalog").mkdir()
    (root / "catalog/store.toml").write_text(CATALOG)
    (root / "pyproject.toml").write_text(CONFIG)


def record(root: Path) -> Path:
    """One shard of it, really recorded."""
    program = (
        "import store, random; from assertlib import trial\n"
        "with trial('seed 0', population='swarm', seed=0):\n"
        "    for n in range(20): store.step(n, random.Random(n))\n"
    )
    subprocess.run(
        [_assertlib(), "run", "--full", "--", sys.executable, "-c", program],
        cwd=root, check=False, capture_output=True,
    )  # fmt: skip
    (run,) = (root / ".assertlib/runs").iterdir()
    return run


def copies(run: Path, shards: int, seed: int, trials: int = TRIALS) -> None:
    """Fill the run with that many shards like the one in it, of *trials* each."""
    (lines,) = run.glob("*.jsonl")
    counts = lines.with_suffix(".counts").read_bytes()
    name = lines.stem
    kept = [text for text in lines.read_text().splitlines(keepends=True) if _is_kept(text)]
    head, rest = "".join(kept[:2]), "".join(_first_hits(kept[2:]))
    dice = random.Random(seed)
    for number in range(shards):
        mine = f"{number + 2}-{dice.getrandbits(32):08x}"
        text, totals = trials_of(number, mine, dice, trials)
        body = head.replace(name, mine) + rest.replace('"seed 0"', f'"seed {number * trials}"')
        (run / f"{mine}.jsonl").write_text(body + text)
        (run / f"{mine}.counts").write_bytes(with_totals(counts, totals))
    lines.unlink()
    lines.with_suffix(".counts").unlink()


def _is_kept(text: str) -> bool:
    return not text.startswith(
        ('{"assertlib_trial', '{"assertlib_delta', '{"assertlib_exit', '{"antithesis_setup')
    )


def _first_hits(lines: Sequence[str]) -> Iterator[str]:
    """Declarations, and of each assertion the first true and the first false hit."""
    seen: set[tuple[str, bool]] = set()
    before = ""
    for text in lines:
        if text.startswith(('{"assertlib_hit', '{"assertlib_violation')):
            (body,) = json.loads(text).values()
            key = body["id"], body["condition"]
            if key not in seen:
                seen.add(key)
                yield before + text
        elif text.startswith('{"antithesis_assert') and '"hit": true' in text[:80]:
            before = text
        else:
            yield text


def trials_of(
    number: int, name: str, dice: random.Random, trials: int
) -> tuple[str, list[list[int]]]:
    """The lines of the trials of one shard, and what they add up to."""
    lines, totals = [], [[0] * ASSERTIONS, [0] * ASSERTIONS]
    rates = [1.0 if each % 2 == 0 else (each % 10 / 10 + 0.05) for each in range(ASSERTIONS)]
    for trial in range(number * trials, (number + 1) * trials):
        true = [dice.random() < rate for rate in rates]
        counts = [
            [3 * each for each in true],
            [0 if n % 2 == 0 or t else 3 for n, t in enumerate(true)],
        ]
        for total, row in zip(totals, counts, strict=True):
            total[:] = map(sum, zip(total, row, strict=True))
        begin = {
            "id": f"seed {trial}", "owner": name, "parent": None, "population": "swarm",
            "sampler": "seed-random", "seed": trial, "state": "begin", "time": trial, "clock": trial,
            "features": {},
        }  # fmt: skip
        end = {
            "id": f"seed {trial}", "state": "end", "time": trial + 1, "clock": trial + 1,
            "surviving_shards": [],
        }  # fmt: skip
        delta = {"trial": f"seed {trial}", "true": counts[0], "false": counts[1]}
        lines += [
            json.dumps({"assertlib_trial": begin}),
            json.dumps({"assertlib_delta": delta}),
            json.dumps({"assertlib_trial": end}),
        ]
    lines.append(
        json.dumps({"assertlib_exit": {"time": 1, "lost": 0, "troubles": 0, "truncated": 0}})
    )
    return "\n".join(lines) + "\n", totals


def with_totals(counts: bytes, totals: list[list[int]]) -> bytes:
    """The counter file with other counts."""
    cells = memoryview(bytearray(counts)).cast("Q")
    for slot in range(ASSERTIONS):
        cells[8 + 4 * slot + 2] = totals[0][slot]
        cells[8 + 4 * slot + 3] = totals[1][slot]
        for outcome, total in ((True, totals[0]), (False, totals[1])):
            cells[8 + 4 * slot + KIND_CELL] |= seen_bit(outcome) if total[slot] else 0
    return cells.tobytes()


def measured(command: Sequence[str], cwd: Path) -> tuple[float, float]:
    """Seconds of *command*, and the most MB that it and its children had together."""
    most = 0.0
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, sum(_memory(pid) for pid in _family(process.pid)))
            time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - start, most


def gated(trials: int) -> tuple[float, float]:
    """CPU seconds of `assertlib gate` on one process with *trials*, alone and by 1,000 trials."""
    with tempfile.TemporaryDirectory(prefix="assertlib-") as directory:
        root = Path(directory)
        make_project(root)
        copies(record(root), 1, seed=trials, trials=trials)
        before = _cpu_of_children()
        subprocess.run([_assertlib(), "gate"], cwd=root, check=True, capture_output=True)
        seconds = _cpu_of_children() - before
    return seconds, seconds / trials * 1000


def _assertlib() -> str:
    return str(Path(sys.executable).parent / "assertlib")


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def own_postgres() -> Any:
    """The server that the tests use; None where there is none."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    postgres = importlib.import_module("tests.evidence.postgres")
    programs = postgres.binaries()
    if programs is None:
        return None
    server = postgres.Postgres(programs)
    server.start()
    return server


def rows_a_second(root: Path, shards: int, address: str | None) -> str:
    """
    How fast the store takes the run in, beyond what reading it takes; a row for each trial,
    process and result.
    """
    if address is None:
        return "not here"
    (run,) = (root / ".assertlib/runs").iterdir()
    program = ADDING.format(run=str(run), address=address)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    return f"{(TRIALS * shards + shards + ASSERTIONS) / float(done.stdout):,.0f}"


ADDING = """
if __name__ == "__main__":
    import time
    from pathlib import Path
    from assertlib.evidence.gather import read_evidence
    from assertlib.evidence.record import record_of
    from assertlib.evidence.store import Store
    evidence = read_evidence([Path({run!r})])
    with Store({address!r}) as store:
        begin = time.perf_counter()
        store.add(record_of(evidence, next(iter(evidence.runs))))
        print(time.perf_counter() - begin)
"""


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(each for child in children for each in _family(int(child)))]


def _memory(pid: int) -> float:
    """MB that the process has for itself, with its part of what it shares."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return (
        next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--gated", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    assertlib = _assertlib()
    postgres = own_postgres()
    print(
        "| shards | trials | GB | `assertlib report`, s | MB | extra time for HTML, s"
        " | into SQLite, rows/s | into PostgreSQL, rows/s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for shards in arguments.shards:
        root = Path(tempfile.mkdtemp(prefix="assertlib-"))
        try:
            make_project(root)
            run = record(root)
            copies(run, shards, seed=shards)
            size = sum(path.stat().st_size for path in run.iterdir()) / 1e9
            command = (assertlib, "report", "--format", "json", "--output", "/dev/null")
            rows = [measured(command, root) for _ in range(arguments.rounds)]
            seconds, memory = (sorted(column) for column in zip(*rows, strict=True))
            middle = len(rows) // 2
            html = (*command[:2], "--format", "html", *command[4:])
            more = min(measured(html, root)[0] for _ in range(arguments.rounds)) - seconds[0]
            added = [
                rows_a_second(root, shards, address)
                for address in (f"sqlite:///{root}/evidence.db", postgres and postgres.database())
            ]
            print(
                f"| {shards:,} | {shards * TRIALS:,} | {size:.1f}"
                f" | {seconds[middle]:.1f} ({seconds[0]:.1f}-{seconds[-1]:.1f})"
                f" | {memory[middle]:.0f} ({memory[0]:.0f}-{memory[-1]:.0f})"
                f" | {more:.1f} | {added[0]} | {added[1]} |",
                flush=True,
            )
        finally:
            shutil.rmtree(root)
    if postgres:
        postgres.remove()
    print(
        "\n| trials of a process | `assertlib gate`, CPU s | CPU s per 1,000 trials |\n|---|---|---|"
    )
    for trials in arguments.gated:
        seconds, each = gated(trials)
        print(f"| {trials:,} | {seconds:.1f} | {each:.2f} |", flush=True)


if __name__ == "__main__":
    main()
