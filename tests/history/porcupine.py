"""
Reads the histories that come with Porcupine, where they are: PORCUPINE_DATA names the directory.

Without it there are none, and the tests that use them are skipped.
"""

import os
import re
from pathlib import Path

import pytest

from assertlib.history.operations import Operation, Outcome
from assertlib.history.requests import Append, Done, Get, Put, Swap, Swapped, Value

DATA = Path(
    os.environ.get("PORCUPINE_DATA")
    or Path(__file__).resolve().parents[3] / "shared" / "data" / "porcupine"
)

# porcupine_test.go of Porcupine; the other Jepsen histories are not linearizable.
LINEARIZABLE = {
    *(2, 5, 7, 18, 25, 31, 38, 45, 48, 49, 51, 53, 56, 67, 75, 76, 80, 87, 92, 98),
    *(100, 101, 102),
}

JEPSEN = re.compile(r"jepsen\.util - (\S+)\s+:(\w+)\s+:(\w+)\s+(.*)$")
KV = re.compile(r'\{:process (\d+), :type :(\w+), :f :(\w+), :key "(.*?)", :value (?:nil|"(.*)")\}')


def jepsen_histories():
    """Name, operations and verdict of each register history; a marker if there are none."""
    found = [
        pytest.param(
            path.stem, read_jepsen(path), int(path.stem[-3:]) in LINEARIZABLE, id=path.stem
        )
        for path in sorted(DATA.glob("jepsen/*.log"))
        if path.stat().st_size
    ]
    return found or missing()


def kv_histories():
    """The same for the histories of several keys."""
    found = [
        pytest.param(path.stem, read_kv(path), path.stem.endswith("-ok"), id=path.stem)
        for path in sorted(DATA.glob("kv/*.txt"))
    ]
    return found or missing()


def missing():
    reason = "no histories of Porcupine here; PORCUPINE_DATA names their directory"
    return [pytest.param("none", [], True, marks=pytest.mark.skip(reason=reason))]


def read_jepsen(path):
    collected = Collected()
    for line in path.read_text().splitlines():
        match = JEPSEN.search(line)
        if match is None:
            continue
        process, kind, function, value = match.groups()
        if kind == "invoke":
            collected.call(process, asked(function, value))
        elif kind == "info" or value == ":timed-out":
            collected.lose(process)
        else:
            collected.answer(process, answered(kind, function, value))
    return collected.operations()


def asked(function, value):
    if function == "read":
        return Get("")
    if function == "write":
        return Put("", value)
    expected, new = value.strip("[]").split()
    return Swap("", expected, new)


def answered(kind, function, value):
    if function == "read":
        return Value(None if value == "nil" else value)
    return Done() if function == "write" else Swapped(kind == "ok")


def read_kv(path):
    collected = Collected()
    for line in path.read_text().splitlines():
        process, kind, function, key, value = KV.match(line).groups()
        if kind == "invoke":
            write = {"put": Put, "append": Append}.get(function)
            collected.call(process, Get(key) if write is None else write(key, value))
        else:
            collected.answer(process, Value(value or "") if function == "get" else Done())
    return collected.operations()


class Collected:
    """Operations put together from calls and returns; the time is the number of the line."""

    def __init__(self):
        self.done, self.open, self.time = [], {}, 0

    def call(self, process, request):
        self.time += 1
        self.open[process] = Operation(len(self.done) + len(self.open), process, request, self.time)

    def lose(self, process):
        self.time += 1
        self.done.append(self.open.pop(process))

    def answer(self, process, response):
        self.time += 1
        call = self.open.pop(process)
        self.done.append(
            Operation(call.id, process, call.request, call.call, self.time, Outcome.OK, response)
        )

    def operations(self):
        return [*self.done, *self.open.values()]
