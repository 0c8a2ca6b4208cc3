"""
What judging a history costs: ``python benchmarks/linearizability.py``.

Histories of Jepsen against a textbook checker that runs beside ours, in turn: each round
contributes one ratio, and the table shows the median with the smallest and the largest.
Histories of an etcd with revisions, 20 clients, from 1,000 to 100,000 operations, each in a
process of its own; a share of the requests has no answer.

PORCUPINE_DATA names the directory with the histories that come with Porcupine.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assertlib.history.etcd import Etcd, State, apply
from assertlib.history.linearizability import check
from assertlib.history.operations import Operation, Outcome
from assertlib.history.register import CasRegister
from assertlib.history.requests import (
    Compare,
    Delete,
    Get,
    Put,
    Range,
    Request,
    Swap,
    Txn,
    prefix_end,
)
from assertlib.history.search import Verdict
from benchmarks.textbook import INFINITE, is_linearizable
from tests.history.porcupine import DATA, LINEARIZABLE, read_jepsen

ROUNDS = 5
SIZES = (1_000, 10_000, 100_000)
CLIENTS = 20
KEYS = 50
UNANSWERED = 0.002


# -- Jepsen -------------------------------------------------------------------------------------


def step(state: str | None, asked: tuple, told: object) -> tuple[bool, str | None]:
    """The register as porcupine_test.go has it."""
    kind = asked[0]
    if kind == "get":
        return told == state, state
    if kind == "put":
        return True, asked[1]
    holds = state == asked[1]
    return told is None or told == holds, asked[2] if holds else state


def as_tuples(operations: Sequence[Operation]) -> list[tuple]:
    """The history in the words of the textbook; reads without an answer tell nothing."""
    return [
        (each.call, INFINITE if each.returned is None else each.returned, *in_out(each))
        for each in operations
        if each.returned is not None or not isinstance(each.request, Get)
    ]


def in_out(operation: Operation) -> tuple[tuple, object]:
    match operation.request, operation.response:
        case Get(), answer:
            return ("get",), answer.value
        case Put(_, value), _:
            return ("put", value), None
        case Swap(_, expected, value), answer:
            return ("swap", expected, value), None if answer is None else answer.succeeded


def timed(judge: Callable[[int], bool], verdicts: dict[int, bool]) -> float:
    """Seconds that *judge* takes for all histories; its verdicts have to be right."""
    began = time.perf_counter()
    found = {number: judge(number) for number in verdicts}
    took = time.perf_counter() - began
    assert found == verdicts, {number for number in verdicts if found[number] != verdicts[number]}
    return took


def tell_jepsen() -> None:
    paths = [path for path in sorted(DATA.glob("jepsen/*.log")) if path.stat().st_size]
    if not paths:
        print("No histories of Porcupine here: PORCUPINE_DATA names their directory.\n")
        return
    histories = {int(path.stem[-3:]): read_jepsen(path) for path in paths}
    plain = {number: as_tuples(operations) for number, operations in histories.items()}
    verdicts = {number: number in LINEARIZABLE for number in histories}

    def ours(number: int) -> bool:
        return check(CasRegister(), histories[number]).verdict is Verdict.OK

    def textbook(number: int) -> bool:
        return is_linearizable(plain[number], None, step)

    rounds = [(timed(ours, verdicts), timed(textbook, verdicts)) for _ in range(ROUNDS)]
    ratios = sorted(mine / theirs for mine, theirs in rounds)
    print(f"{len(histories)} histories of Jepsen, all verdicts right\n")
    print("| ours, × textbook | ours, s | textbook, s |")
    print("|---|---|---|")
    print(
        f"| {statistics.median(ratios):.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f})"
        f" | {statistics.median(mine for mine, _ in rounds):.3f}"
        f" | {statistics.median(theirs for _, theirs in rounds):.2f} |\n"
    )


# -- etcd ---------------------------------------------------------------------------------------


def etcd_history(count: int, seed: int) -> list[Operation]:
    """What clients saw of a store that does each request at some moment of its call."""
    rng = random.Random(seed)
    moments = []
    for client in range(CLIENTS):
        now = rng.uniform(0, 10)
        for _ in range(count // CLIENTS):
            call, moment = now, now + rng.uniform(0, 10)
            now = moment + rng.uniform(0, 10)
            moments.append((moment, call, now, client))
            now += rng.random()
    state: State = Etcd().initial()
    operations = []
    for number, (_, call, returned, client) in enumerate(sorted(moments)):
        request = some_request(rng, state, number)
        is_lost = rng.random() < UNANSWERED
        if is_lost and rng.random() < 0.5:
            operations.append(Operation(number, client, request, to_ns(call)))
            continue
        after, answer = apply(state, as_write(request))
        if isinstance(request, Range):
            answer = answer.results[0]
        state = after
        if is_lost:
            operations.append(Operation(number, client, request, to_ns(call)))
        else:
            operations.append(
                Operation(number, client, request, to_ns(call), to_ns(returned), Outcome.OK, answer)
            )
    return operations


def as_write(request: Request) -> Request:
    return Txn((), (request,)) if isinstance(request, Range) else request


def to_ns(seconds: float) -> int:
    return int(seconds * 10**9)


def some_request(rng: random.Random, state: State, number: int) -> Request:
    key, die = f"k{rng.randrange(KEYS)}", rng.random()
    if die < 0.3:
        return Range(key)
    if die < 0.35:
        return Range("k", prefix_end("k"))
    if die < 0.75:
        return Put(key, f"v{number}")
    if die < 0.8:
        return Delete(key)
    known = state.kvs.get(key)
    expected = known.mod_revision if known is not None and rng.random() < 0.7 else 0
    return Txn((Compare(key, "mod", "=", expected),), (Put(key, f"v{number}"),), (Range(key),))


def measure(count: int) -> dict[str, float]:
    """Seconds and megabytes for a history of *count* operations, in this process."""
    operations = etcd_history(count, seed=count)
    began = time.perf_counter()
    found = check(Etcd(), operations)
    took = time.perf_counter() - began
    assert found.verdict is Verdict.OK, found.reason
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lost = sum(each.outcome is Outcome.UNKNOWN for each in operations)
    return {"seconds": took, "memory": memory, "steps": found.steps, "lost": lost}


def tell_etcd() -> None:
    print(f"etcd with revisions, {CLIENTS} clients\n")
    print("| operations | unanswered | s | µs each | steps | MB |")
    print("|---|---|---|---|---|---|")
    for count in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        print(
            f"| {count:,} | {found['lost']} | {found['seconds']:.2f}"
            f" | {found['seconds'] / count * 1e6:.0f} | {found['steps']:,}"
            f" | {found['memory']:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    tell_jepsen()
    tell_etcd()


if __name__ == "__main__":
    main()
