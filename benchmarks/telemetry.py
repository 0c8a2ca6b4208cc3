"""
What telemetry costs a store: ``python benchmarks/telemetry.py``.

The example store does a fixed amount of work, with its assertions sent to a collector over OTLP
each second, and without.  The collector is healthy, is killed while the store works, or takes
connections and never answers.  Pairs are interleaved; the table shows the median of their ratios
with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from threading import Timer

from primitives import ACTIONS, MEMORY, load, ratio, receiving

PROTOCOLS = ("grpc", "http/protobuf")
STATES = ("healthy", "killed", "hangs")
KILLED_AFTER = 2.5
"""Seconds after the start of a process, when its work is under way."""


def sent(directory: str, protocol: str, state: str) -> float:
    """Seconds of work with a collector in that *state*."""
    options = ["--hang"] if state == "hangs" else []
    with receiving(protocol, *options) as (collector, otel):
        killer = Timer(KILLED_AFTER, collector.kill)
        if state == "killed":
            killer.start()
        try:
            return load(directory, otel)
        finally:
            killer.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    where = "in memory" if MEMORY else "on disk"
    print(f"The example store, its data {where}: {pairs} pairs of {ACTIONS:,} actions.\n")
    print("| protocol | collector | × without telemetry | s | without, s |")
    print("|---|---|---|---|---|")
    for protocol in PROTOCOLS:
        for state in STATES:
            with_it: list[float] = []
            without: list[float] = []
            for number in range(pairs):
                for is_sent in (True, False) if number % 2 else (False, True):
                    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
                        if is_sent:
                            with_it.append(sent(directory, protocol, state))
                        else:
                            without.append(load(directory))
            medians = " | ".join(f"{statistics.median(each):.2f}" for each in (with_it, without))
            print(f"| {protocol} | {state} | {ratio(with_it, without)} | {medians} |", flush=True)


if __name__ == "__main__":
    main()
