"""
Plays programs of assertions and tells what came of each step: one process for each twin.

A program is a list of Python expressions.  It is read from standard input as a line of JSON,
``[run directory, mode, steps]``; the answer is a line of JSON with what each step returned or
raised.
"""

import copy  # noqa: F401
import json
import linecache
import os
import pickle  # noqa: F401
import sys

import assertlib
from assertlib import *  # noqa: F403
from assertlib import Invariant, lifecycle
from assertlib.recording.accelerator import speed

CLAIM = Invariant("twin.claim")


class Truth:
    """Something with a truth of its own."""

    def __init__(self, truth):
        self._truth = truth

    def __bool__(self):
        if self._truth is None:
            raise ValueError("neither")
        return self._truth

    def __repr__(self):
        return f"Truth({self._truth})"


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Mapping(dict):
    def items(self):
        return [(key, not value) for key, value in super().items()]


class Fields:
    """A place for values that the conditions of a program name."""

    rev = 6


def generator():
    yield True


async def coroutine():
    return True


def named():
    return True


bound = {
    kind: getattr(CLAIM, f"declare_{kind}")(f"bound {kind}")
    for kind in ("always", "always_or_unreachable", "sometimes", "reachable", "unreachable")
}
fields, rev = Fields(), 6
trials = []
ticks = []


def ticked(value):
    """Return *value*, and count how often a condition ran."""
    ticks.append(value)
    return value


def local(value):
    def condition():
        return ticked(value)

    return condition


def begin(id):
    trials.append(lifecycle.trial(id))
    trials[-1].__enter__()


def end():
    if trials:
        trials.pop().__exit__(None, None, None)


def fork(step):
    """Carry *step* out in a child that is forked here."""
    child = os.fork()
    if child == 0:
        try:
            eval(step, globals())
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def told(step):
    """What *step* returns or raises, without addresses and the places inside assertlib."""
    try:
        return repr(eval(compile("\n" * told.line + step, "program.py", "eval"), globals()))
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


told.line = 0


def play(run_dir, mode, steps):
    """Carry out *steps* in order, recording into *run_dir*."""
    source = ["\n", *(step + "\n" for step in steps)]
    linecache.cache["program.py"] = (len(source), None, source, "program.py")
    assertlib.configure(run_dir=run_dir, mode=mode, sinks=[])
    results = []
    for told.line, step in enumerate(steps, 1):
        results.append(told(step))
    while trials:
        end()
    results.append(repr(ticks))
    ticks.clear()
    # What was held back is written when counters change hands.
    assertlib.configure(run_dir=os.devnull, mode="record")
    return results


if __name__ == "__main__":
    print(json.dumps(speed is not None), flush=True)
    for line in sys.stdin:
        print(json.dumps(play(*json.loads(line))), flush=True)
