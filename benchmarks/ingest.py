"""
What it takes to ingest the output of an SDK: ``python benchmarks/ingest.py``.

A file of the size of a gigabyte, with far more records than any SDK writes, so that only memory
and pace are told by it.  The peer is `json.loads` of each line, with nothing done.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASSERTIONS = 2_000


def write(path: Path, size: int) -> int:
    """Write a file of *size* bytes; returns how many records it has."""
    sdk = {"language": {"name": "Go", "version": "1.22"}, "protocol_version": "1.1.0"}
    count = 1
    with path.open("w", encoding="ascii") as file:
        written = file.write(json.dumps({"antithesis_sdk": sdk}) + "\n")
        while written < size:
            name = f"assertion {count % ASSERTIONS}"
            location = {
                "file": "store.go", "function": "Put", "class": "", "begin_line": count % 900,
                "begin_column": 0,
            }  # fmt: skip
            body = {
                "condition": True, "must_hit": True, "hit": count > ASSERTIONS, "id": name,
                "message": name, "display_type": "Always", "assert_type": "always",
                "location": location, "details": {"term": count, "node": f"n{count % 3}"},
            }  # fmt: skip
            written += file.write(json.dumps({"antithesis_assert": body}) + "\n")
            count += 1
    return count


def ingest(path: str, run: str) -> None:
    """In a process of its own: convert, and tell what it took."""
    import orjson

    from assertlib.recording.foreign import convert

    Path(run).mkdir()
    begin = time.perf_counter()
    account = convert(path, run, "out", loads=orjson.loads)
    print(
        time.perf_counter() - begin,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        account.total,
    )


def peer(path: str) -> None:
    """The same file, read and parsed by the standard library."""
    begin = time.perf_counter()
    count = 0
    with open(path, "rb") as file:
        for line in file:
            json.loads(line)
            count += 1
    print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, count)


def measured(*words: str) -> tuple[float, int, int]:
    done = subprocess.run(
        [sys.executable, __file__, *words], check=True, capture_output=True, text=True
    )
    seconds, memory, records = done.stdout.split()
    return float(seconds), int(memory), int(records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=10**9)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, *rest = options.child
        {"ingest": ingest, "peer": peer}[what](*rest)
        return
    print("| GB | records | s | × json.loads on each line | MB | lost |")
    print("|---|---|---|---|---|---|")
    for size in (options.bytes // 100, options.bytes):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "out.jsonl"
            count = write(path, size)
            seconds, memory, told = measured("--child", "ingest", str(path), f"{directory}/run")
            parsed, _, _ = measured("--child", "peer", str(path))
            print(
                f"| {size / 10**9:.2f} | {count:,} | {seconds:.1f} | {seconds / parsed:.2f}"
                f" | {memory / 1024:.0f} | {count - told} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
