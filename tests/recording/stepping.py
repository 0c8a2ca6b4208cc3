"""
Steps the recorder: stops it at each of its lines in turn, and does something hostile there.

``python -m tests.recording.stepping`` is the long form: `make stepping`.  Each step is a forked
process that runs one small program of assertions under a tracer.  At one traced event (a line, a
call or a return in ``recording/`` or in the modules of the calls) it raises, forks, gets a signal
whose handler asserts, is overtaken by a thread, or runs out of memory; or one call of the
operating system fails.  After that everything must be as if it had not happened: see `check`.
"""

import argparse
import errno
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback

try:
    from _testcapi import remove_mem_hooks, set_nomemory
except ImportError:  # Some distributions leave it out.
    remove_mem_hooks = lambda: None  # noqa: E731
    set_nomemory = None
from collections import Counter
from pathlib import Path

import assertlib
from assertlib import (
    Invariant,
    always,
    always_if,
    always_less_than,
    configure,
    reachable,
    sometimes,
    sometimes_each,
    trial,
)
from assertlib.lifecycle import faults, send_event
from assertlib.recording.accelerator import described
from assertlib.recording.reader import read_shards
from assertlib.recording.recorder import recorder
from assertlib.recording.system import system

HOME = os.path.dirname(assertlib.__file__)
TRACED = tuple(os.path.join(HOME, name) for name in ("recording/", "_calls/", "_capture/caller.py"))
PATIENCE = 20
BOUND = Invariant("kv.promise").declare_always("bound")
WRITES = ("pwrite", "posix_fallocate")
FAILING_CALLS = (
    "open", "pwrite", "rename", "mkdir", "ftruncate", "posix_fallocate", "mmap", "flock", "fstat",
)  # fmt: skip


class Interrupt(Exception):
    """As a job's time limit."""


class BaseInterrupt(BaseException):
    """As KeyboardInterrupt."""


# -- the program -------------------------------------------------------------------------------


class Program:
    """
    Runs assertions, and keeps a model of what must be counted.

    Attributes:
        done: How often each outcome of each assertion was evaluated in calls that returned.
        begun: The same, with the call that was interrupted.
        raised: What the calls raised.
    """

    def __init__(self):
        self.done = Counter()
        self.begun = Counter()
        self.raised = []

    def run(self):
        step = self.step
        step([("first", True)], lambda: always(True, "first", {"n": 1}))
        step([("broken", False)], lambda: always(1 > 2, "broken", lambda: {"n": 2}))
        step([("broken", False)], lambda: always(len("x") > 2, "broken", {"odd": object()}))
        self.inside("one", [("first", True)], lambda: always(True, "first"))
        self.inside("two", [("broken", False)], lambda: always(False, "broken"))
        step([("m [antecedent]", True), ("m", True)], lambda: always_if(True, lambda: True, "m"))
        step([("less", True)], lambda: always_less_than(1, 2, "less"))
        step([("less", False)], lambda: always_less_than(3, 2, "less"))
        step([("bound", True)], lambda: BOUND(True))
        step([("bound", False)], lambda: BOUND(False, {"n": 3}))
        step([("seldom", False)], lambda: sometimes(False, "seldom"))
        step([("each [bucket=1]", True)], lambda: sometimes_each(1, "each", expected=[1, 2]))
        step([], lambda: send_event("event", {"n": 1}))
        step([], lambda: faults(["kill"]))
        for number in range(3):
            step([("point", True)], lambda: reachable("point"))
            step([(f"new {number}", True)], lambda n=number: always(True, f"new {n}"))

    def inside(self, name, hits, call):
        """A call in a trial; the trial's own events are interrupted like the call."""

        def in_trial():
            with trial(name):
                call()

        self.step(hits, in_trial)

    def step(self, hits, call):
        self.begun.update(hits)
        self.current = hits
        process = os.getpid()
        try:
            try:
                call()
            finally:
                remove_mem_hooks()
        except (Interrupt, BaseInterrupt, MemoryError) as error:
            self.raised.append(error)
        else:
            if os.getpid() == process:
                self.done.update(hits)


# -- the actions -------------------------------------------------------------------------------


class Action:
    """What happens at an event."""

    raises = None
    """The exception that the program must see."""

    def __init__(self, program):
        self.program = program

    def act(self):
        """Do it, in the middle of the recorder."""

    def finish(self):
        """Wait for what it started."""


class Raises(Action):
    raises = Interrupt

    def act(self):
        raise self.raises


class RaisesBase(Raises):
    raises = BaseInterrupt


class Signals(Action):
    """A signal whose handler asserts, and violates."""

    def act(self):
        def handler(number, frame):
            self.program.begun.update([("handled", True), ("violated", False)])
            always(True, "handled")
            always(False, "violated", {"in": "handler"})
            self.program.done.update([("handled", True), ("violated", False)])

        signal.signal(signal.SIGUSR1, handler)
        signal.raise_signal(signal.SIGUSR1)


class Threads(Action):
    """Another thread asserts at the same time, as far as the lock lets it."""

    def act(self):
        self.program.begun.update([("threaded", True), ("violated", False)])
        self.program.done.update([("threaded", True), ("violated", False)])

        def overtake():
            always(True, "threaded")
            always(False, "violated")

        self.thread = threading.Thread(target=overtake, daemon=True)
        self.thread.start()

    def finish(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the thread that overtook hangs"


class Forks(Action):
    """
    A fork in a signal handler; the child completes the program, and counts what it evaluated.

    What the parent had begun is the parent's.
    """

    child = None

    def act(self):
        self.child = os.fork()
        if not self.child:
            self.program.done.clear()
            # The call that was interrupted may be the parent's alone.
            self.program.begun = Counter(self.program.current)

    def finish(self):
        if self.child:
            deadline = time.monotonic() + PATIENCE
            while not (ended := os.waitpid(self.child, os.WNOHANG))[0]:
                assert time.monotonic() < deadline, "the child hangs"
                time.sleep(0.001)
            assert ended[1] == 0, "the child failed, see above"


class NoMemory(Action):
    """The next allocations fail, for the program and the recorder alike."""

    raises = MemoryError

    def act(self):
        first = self.number % 7
        set_nomemory(first, first + 1 + self.number % 3)


ACTIONS = {
    "raise": Raises,
    "raise base": RaisesBase,
    "signal": Signals,
    "thread": Threads,
    "fork": Forks,
    "no memory": NoMemory,
}
CALLS = ("system call", "full disk")
"""What happens in the operating system, and not at a line."""


# -- one step ----------------------------------------------------------------------------------


class Tracer:
    """Counts the events in the recorder, and acts at one."""

    def __init__(self, at, action):
        self.at = at
        self.action = action
        self.count = 0
        self.place = ""
        self.events = {}

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        self.step(frame, event)
        return self.step_in

    def step_in(self, frame, event, argument):
        self.step(frame, event)
        return self.step_in

    def step(self, frame, event):
        self.count += 1
        if self.at is None:
            line = f"{frame.f_code.co_filename}:{frame.f_lineno} ({event})"
            self.events.setdefault(line, []).append(self.count - 1)
        elif self.count - 1 == self.at:
            code = frame.f_code
            self.place = f"{code.co_filename}:{frame.f_lineno} ({code.co_name} {event})"
            self.action.act()


def run(directory, action, at, number):
    """Run the program in this process, interrupted at event *at*, and check what is left."""
    program = Program()
    configure(run_dir=directory, sinks=[])
    acting = ACTIONS[action](program) if action in ACTIONS else Action(program)
    acting.number = number
    tracer = Tracer(at if action not in CALLS else -1, acting)
    if action in CALLS:
        fail_calls(action, at)
    sys.settrace(tracer)
    try:
        program.run()
    finally:
        sys.settrace(None)
    try:
        FULL[0] = False
        if tracer.place or action in CALLS:
            acting.finish()
            check(directory, program, acting)
    except BaseException:
        print(f"{action} at event {at} of {described()}: {tracer.place}", file=sys.stderr)
        raise
    return tracer.events, bool(tracer.place) or FAILED[0]


FAILED = [False]
FULL = [False]
"""Whether a full disk has no space yet."""


def fail_calls(action, at):
    """Let one call of the operating system fail, or the disk be full from one write on."""
    calls = iter(range(1 << 30))
    FULL[0] = action == "full disk"
    number, names = (errno.ENOSPC, WRITES) if FULL[0] else (errno.EIO, FAILING_CALLS)

    def failing(function):
        def call(*args, **named):
            this = next(calls)
            if this == at or (this > at and FULL[0]):
                FAILED[0] = True
                raise OSError(number, os.strerror(number))
            return function(*args, **named)

        return call

    for name in names:
        setattr(system, name, staticmethod(failing(getattr(system, name))))


def check(directory, program, action):
    """Lock free, exception seen, threads alive, counts exact, later violations recorded."""
    assert not recorder._lock.is_mine(), "the lock is held"
    expected = [action.raises] if action.raises and type(action) is not NoMemory else []
    raised = [type(error) for error in program.raised]
    assert raised == expected or (type(action) is NoMemory and len(raised) <= 1), raised
    worked = threading.Thread(target=lambda: always(True, "by another thread"), daemon=True)
    worked.start()
    worked.join(PATIENCE)
    assert not worked.is_alive(), "another thread hangs"
    # Without memory for its call, `__exit__` of a trial does not run.
    still_open = recorder.trial_id
    assert still_open is None or (type(action) is NoMemory and program.raised), still_open
    always(False, "later", {"x": 1})
    with trial("last"):
        always(False, "later")
    for _ in range(20):
        always(True, "first")
    later = Counter({("by another thread", True): 1, ("later", False): 2, ("first", True): 20})
    recorder.at_exit()
    shards = [each for each in read_shards(str(directory)) if each.header.get("pid") == os.getpid()]
    compare(shards, program.done + later, program.begun + later)
    recorded = {(hit.message, hit.trial) for each in shards for hit in each.hits if hit.nth}
    lost = sum(each.lost_records for each in shards)
    assert recorded >= {("later", still_open), ("later", "last")} or lost, sorted(
        map(str, recorded)
    )


def compare(shards, least, most):
    """Hold what was counted against what the program did."""
    counted = Counter()
    for each in shards:
        assert not each.damage, each.damage
        for slot, true, false in zip(each.slots, each.true, each.false, strict=True):
            counted[slot.message, True] += true
            counted[slot.message, False] += false
    counted = +counted
    troubles = sum(each.error_count for each in shards)
    for name in least.keys() | most.keys() | counted.keys():
        missing = least[name] - counted[name]
        assert missing <= 0 or troubles, f"{name}: {counted[name]} counted, {least[name]} made"
        assert counted[name] <= most[name], f"{name}: {counted[name]} counted, {most[name]} made"


def isolated(action, at, number):
    """
    One step in a forked process; with *at* None, none.

    Returns:
        The events of each place, and whether the action was taken.
    """
    # Removed by this process alone, not by the children that a step forks.
    with tempfile.TemporaryDirectory() as directory:
        return isolated_in(Path(directory) / "run", action, at, number)


def isolated_in(directory, action, at, number):
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(out)
        code = 1
        try:
            result = json.dumps(run(directory, action, at, number))
            os.write(into, f"{result}\n".encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(into)
    with open(out, "rb") as file:
        answer = file.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise AssertionError(f"{action} at event {at} (number {number}): see above")
    # A child that the step forked has answered before.
    return json.loads(answer.splitlines()[-1])


def steps(action, seed, sample, within=""):
    """
    Take the steps of one action.

    Args:
        sample: At how many lines; at all if None.
        within: Text that a line's place contains, such as a file name.

    Returns:
        At how many lines, and at how many there could be.
    """
    rng = random.Random(f"{seed} {action}")
    if action in CALLS:
        lines = [[at] for at in range(next(n for n in range(10_000) if not fails(action, n)))]
    else:
        places, _ = isolated(action, None, 0)
        lines = [events for place, events in places.items() if within in place]
        assert lines, f"no place contains {within!r}"
    taken = lines if sample is None else rng.sample(lines, min(sample, len(lines)))
    for events in taken:
        # The first time that the line runs, and one of the others.
        for at in {events[0], rng.choice(events)}:
            isolated(action, at, at + seed)
    return len(taken), len(lines)


def fails(action, at):
    return isolated(action, at, at)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="places for each action; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", default="", help="only places that contain this text")
    parser.add_argument("--action", choices=[*ACTIONS, *CALLS], action="append")
    parser.add_argument("--event", type=int, help="only this one, as a failure names it")
    options = parser.parse_args()
    print(f"seed {options.seed}, {described()}")
    if set_nomemory is None:
        del ACTIONS["no memory"]
    for action in options.action or [*ACTIONS, *CALLS]:
        if options.event is not None:
            _, taken = isolated(action, options.event, options.event + options.seed)
            assert taken, f"{action}: there are fewer events"
            continue
        taken, size = steps(action, options.seed, options.sample, options.within)
        print(f"{action}: at {taken:,} of {size:,} places, no failure", flush=True)


if __name__ == "__main__":
    main()
