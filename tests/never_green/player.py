"""
Plays a random program: a list of steps in JSON, and prints nothing.

Steps nest: a thread, a forked child and a trial hold steps of their own.  `model` says what a
program violates without running it.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack

from assertlib import Invariant, always, lifecycle, sometimes, trial, unreachable
from assertlib.testing import expect_violation

PROMISE = Invariant("kv.promise")
bound = PROMISE.declare_always("bound")
REAL = {name: getattr(os, name) for name in ("write", "open", "fstat", "ftruncate")}
CLOCKS = {name: getattr(time, name) for name in ("time", "time_ns", "monotonic", "monotonic_ns")}
CENTURY = 100 * 365 * 86_400


def play(steps):
    for name, *rest in steps:
        PLAYERS[name](*rest)


def hit(kind, outcome):
    match kind:
        case "direct":
            PROMISE.always(outcome, "direct")
        case "bound":
            bound(outcome)
        case "sometimes":
            sometimes(outcome, "sometimes")
        case "unreachable" if not outcome:
            unreachable("unreachable", invariant="kv.promise")
        case "other":
            always(outcome, "other")


def in_trial(name, steps):
    with trial(name):
        play(steps)


def in_thread(steps):
    thread = threading.Thread(target=play, args=(steps,))
    thread.start()
    thread.join()


def in_child(steps, end):
    child = os.fork()
    if child == 0:
        try:
            play(steps)
        finally:
            if end == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
    os.waitpid(child, 0)


def expecting(message, steps):
    with ExitStack() as stack:
        stack.callback(lambda: None)
        try:
            with expect_violation(message):
                play(steps)
        except AssertionError:
            pass


def fault(breaks):
    lifecycle.faults(["fault"], breaks=["fsync-honest"] if breaks else [])


def clock(step):
    for name, real in CLOCKS.items():
        unit = 10**9 if name.endswith("_ns") else 1
        stepped = {
            "still": lambda real=real, unit=unit: 4_070_908_800 * unit,
            "ahead": lambda real=real, unit=unit: real() + CENTURY * unit,
            "back": lambda real=real, unit=unit: real() - CENTURY * unit,
            "right": real,
        }[step]
        setattr(time, name, stepped)


def patched(is_patched):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for name, real in REAL.items():
        setattr(os, name, full if is_patched else real)


def disk(is_full):
    import resource

    limit = 1 if is_full else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


PLAYERS = {
    "hit": hit,
    "trial": in_trial,
    "thread": in_thread,
    "child": in_child,
    "expect": expecting,
    "fault": fault,
    "clock": clock,
    "patch": patched,
    "disk": disk,
}


# -- the model ----------------------------------------------------------------------------------

PROTECTED = ("direct", "bound", "unreachable")
"""Of the invariant that assumes what a fault may break."""


def violations(steps):
    """
    The messages that a program violates in the model, in the order of evaluation.

    A violation after a fault that breaks what its invariant assumes, in its trial or one around it,
    is out of the model; outside of all trials no fault excuses anything.
    """
    found = []
    _walk(steps, (), {}, (), found)
    return found


def _walk(steps, around, broken, expected, found):
    for name, *rest in steps:
        match name:
            case "hit":
                kind, outcome = rest
                excused = kind in PROTECTED and any(broken.get(each) for each in around)
                if kind == "sometimes" or outcome or kind in expected or excused:
                    continue
                found.append(kind)
            case "trial":
                _walk(rest[1], (*around, object()), broken, expected, found)
            case "thread" | "child":
                _walk(rest[0], around, broken, expected, found)
            case "expect":
                # It is a trial of its own, and a fault in it is that trial's.
                _walk(rest[1], (*around, object()), broken, (*expected, rest[0]), found)
            case "fault" if rest[0] and around:
                broken[around[-1]] = True


if __name__ == "__main__":
    # Python ignores SIGXFSZ; a step that cannot be played is an error of the test's.
    threading.excepthook = lambda _: os._exit(70)
    play(json.loads(sys.argv[1]))
