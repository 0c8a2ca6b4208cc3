"""
One trial: a scenario in its own world, from a tape to an outcome.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import os
import re
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .. import lifecycle
from .. import random as choices
from .._calls.primitives import InvariantViolation
from ..recording.hits import Hit
from ..recording.recorder import recorder
from ..recording.settings import OFF
from .faults import FAULTS
from .fence import fenced
from .files import Files
from .futures import Unhandled
from .log_records import logged
from .loop import SimLoop
from .machines import Machines
from .nemesis import Nemesis
from .policy import SWARM, policy_named
from .process import DEAD, PROCESS, Process
from .refusal import NotSimulatedError, Refusal, overseen, project_stack
from .tape import Tape
from .world import World

__all__ = ["Failure", "Features", "Options", "Outcome", "Scenario", "run_trial"]

Scenario = Callable[[World], Coroutine[Any, Any, object]]
_SKIPPED = (f"{Path(__file__).parents[1]}{os.sep}", f"{Path(asyncio.__file__).parent}{os.sep}")
"""Directories of code that is skipped when locating a failure in the project."""

SET_UP = "set-up"
"""The pseudo-state that is reached when time begins to pass."""

Features = dict[str, float]
"""States that a trial reached, with their counts, and extremes of rich assertions."""


@dataclass(frozen=True, slots=True)
class Options:
    """
    Inputs of a trial besides its tape.

    Attributes:
        policy: How tasks are scheduled; see `policy.policy_named`.
        faults: Faults to inject.
        seconds: Virtual seconds after which the trial fails.
        steps: Steps after which the trial fails.
        assumes: The assumptions of each invariant, by id.
    """

    policy: str = SWARM
    faults: tuple[str, ...] = ()
    seconds: float = 600.0
    steps: int = 1_000_000
    assumes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A failure of a trial.

    Attributes:
        name: The message of the assertion, or type and place of an error.
        invariant: The invariant that the assertion cites; None without one.
        at: Virtual seconds since the trial began.
        after: Virtual seconds since the last fault; None without a fault.
        choices: Number of choices made by then.
        text: The full description.
        out_of_model: Whether an earlier fault broke an assumption of the invariant.
    """

    name: str
    invariant: str | None
    at: float
    after: float | None
    choices: int
    text: str
    out_of_model: bool = False


@dataclass(slots=True)
class Outcome:
    """
    The result of a trial.

    Attributes:
        choices: Its tape.
        failures: Its failures, in the order in which they happened.
        features: States it reached that a search may look for.
        shown_at: Approximate number of choices made when each state was reached, and, under
            `SET_UP`, before time began to pass; if requested.
        faults: Injected faults, with their times in virtual seconds.
        steps: Number of steps run.
        seconds: Virtual seconds that passed.
        log: Events as time, process and text; empty unless a log is kept.
        made: For each event, the number of choices made by then.
        hits: Assertion hits, as position in the log and text.
        labels, switches: The choices that depend on faults; see `Tape`.
    """

    choices: list[int]
    failures: list[Failure]
    features: Features
    shown_at: dict[str, int]
    faults: list[tuple[float, str]]
    steps: int
    seconds: float
    log: list[tuple[float, str, str]]
    made: list[int]
    hits: list[tuple[int, str]]
    labels: dict[int, str]
    switches: dict[int, str]

    def lines(self) -> Iterator[str]:
        """Iterate over the lines of the log, which are the same for a tape in every process."""
        for time, process, text in self.log:
            yield f"{time:.9f} {process}: {text}\n"

    def digest(self) -> str:
        """Return a hash of tape and log."""
        made = hashlib.sha256(repr(self.choices).encode())
        # Surrogates, as in names from the file system, cannot be encoded otherwise.
        for line in self.lines():
            made.update(line.encode("utf-8", "backslashreplace"))
        return made.hexdigest()

    @property
    def failure(self) -> Failure | None:
        """The first failure within the model, or None."""
        return next((each for each in self.failures if not each.out_of_model), None)


class _Watcher:
    """Turns violations, refusals and unhandled exceptions into failures; keeps traced hits."""

    def __init__(self, world: World, options: Options, until: str) -> None:
        self.is_over = False
        self._until = until
        self.failures: list[Failure] = []
        self.hits: list[tuple[int, str]] = []
        self._world = world
        self._options = options

    def handle(self, hit: Hit) -> None:
        """Note *hit*, and add a failure if it is a violation."""
        loop = self._world.loop
        self.hits.append((len(loop.log), f"{hit.kind.name} {hit.message!r} is {hit.condition}"))
        if not hit.is_violation or self._knows(hit.message):
            return
        assumed = self._options.assumes.get((hit.invariant or "").partition("#")[0], ())
        # The explanation must not offer a replay by trial or seed: the tape of the failure replays
        # it.
        hit = copy(hit)
        hit.trial = hit.seed = None
        self._add(
            hit.message,
            hit.invariant,
            recorder.explain(hit) or _describe(hit),
            self._world.now,
            self._made(),
            out_of_model=bool(self._world.breaks & set(assumed)),
        )

    def refusal(self, error: NotSimulatedError, refusal: Refusal) -> bool:
        """Add a failure for a refused call; return whether the call counts."""
        # Code that unwinds after the end of its process does nothing in the simulated world.
        if PROCESS.get(self._world.loop.outside).state == DEAD:
            return False
        if not self._knows(refusal.name):
            self._add(
                refusal.name, None, f"{error}\n{project_stack()}", self._world.now, self._made()
            )
        return True

    def unhandled(self, found: Unhandled) -> None:
        """Add a failure for an unhandled exception, unless its host may leave it unhandled."""
        raised = found.raised
        error = _unexplained(found.error, (*raised.process.allowed, asyncio.CancelledError))
        if error is not None:
            name = _name_of(error, raised.process.name if raised.process.is_host else "")
            text = f"{raised.process.name}: {found.message}\n{_traceback(error)}"
            self._add(name, None, text, raised.at, raised.choices)

    def scenario_raised(self, error: BaseException) -> None:
        """Add a failure for *error*, which ended the scenario."""
        left = _unexplained(error)
        if left is not None:
            self._add(_name_of(left), None, _traceback(left), self._world.now, self._made())

    def _made(self) -> int:
        return len(self._world.tape.values)

    def _knows(self, name: str) -> bool:
        return any(name == known.name for known in self.failures)

    def _add(
        self,
        name: str,
        invariant: str | None,
        text: str,
        at: float,
        choices: int,
        *,
        out_of_model: bool = False,
    ) -> None:
        if self._knows(name):
            return
        # An exception may be reported long after it was raised; only faults up to then count.
        fault = max((when for when, _ in self._world.faults if when <= at), default=None)
        after = None if fault is None else at - fault
        self.failures.append(Failure(name, invariant, at, after, choices, text, out_of_model))
        if name == self._until:
            self.is_over = True
            self._world.loop.stop()
        # Unretrieved exceptions are reported at the end only, and may be the cause of all others.
        # The tape orders what happens at the same virtual time.
        self.failures.sort(key=lambda failure: failure.choices)


def run_trial(
    scenario: Scenario,
    tape: Tape,
    options: Options,
    *,
    name: str,
    population: str | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    keep_log: bool = False,
    keep_places: bool = False,
    until: str = "",
) -> Outcome:
    """
    Run a scenario once; errors in the scenario become failures of the outcome.

    Args:
        scenario: The coroutine function to run.
        tape: The choices of the trial.
        options: Its other inputs.
        name: Id of the trial in the run.
        population: The population that the trial samples; None for none.
        seed: The seed to record for the trial; None for none.
        sampler: As in `assertlib.trial`.
        keep_log: Whether to keep a log of all events.
        keep_places: Whether to record where on the tape each state was reached.
        until: The name of a failure that ends the trial; empty for none.

    Raises:
        KeyboardInterrupt: The trial was interrupted.
    """
    shown = _ReachedStates(tape)
    # Abstract for mypy only: the rest of the interface is added to the class at import.
    loop = SimLoop(  # type: ignore[abstract]
        tape,
        policy_named(options.policy, tape),
        keep_log=keep_log,
        max_steps=options.steps,
        on_mark=shown.look if keep_places else None,
    )
    nemesis = partial(Nemesis, allowed=[FAULTS[name] for name in options.faults])
    with (
        lifecycle.trial(name, population=population, seed=seed, sampler=sampler),
        _isolated(tape, loop),
    ):
        world = loop.context.run(World, tape, loop, nemesis)
        shown.begin()
        watcher = _Watcher(world, options, until)
        loop.exceptions.on_unhandled = watcher.unhandled
        try:
            # In a copy, so that variables set by the scenario stay out of the loop's own context.
            with _subscribed(watcher), overseen(watcher.refusal), logged(loop):
                loop.context.copy().run(_play, scenario, world, watcher, options)
                features = shown.look()
            # Everything is copied before the cleanup, which runs code and may make choices.
            outcome = Outcome(
                list(tape.values),
                watcher.failures,
                features,
                shown.at if keep_places else {},
                list(world.faults),
                loop.steps,
                loop.now,
                list(loop.log),
                list(loop.made),
                watcher.hits,
                dict(tape.labels),
                dict(tape.switches),
            )
        finally:
            # Also of an interrupted trial, or its blocks would run after it, on the real machine.
            _clean_up(world)
    return outcome


def _play(scenario: Scenario, world: World, watcher: _Watcher, options: Options) -> None:
    try:
        world.loop.deadline = options.seconds
        world.loop.run_until_complete(scenario(world))
    except KeyboardInterrupt:
        raise
    # SystemExit and GeneratorExit of a scenario must fail the trial and not end its worker.
    except BaseException as error:
        # The failure that was looked for ends the trial before the scenario has a result.
        if not (watcher.is_over and isinstance(error, asyncio.InvalidStateError)):
            watcher.scenario_raised(error)
    hosts = (host.process for host in world.hosts.values())
    world.loop.exceptions.end([world.loop.outside, *hosts])


def _unexplained(
    error: BaseException, allowed: tuple[type[BaseException], ...] = ()
) -> BaseException | None:
    """Return what is left of *error*, or of a group, without allowed and reported exceptions."""

    def is_known(each: BaseException) -> bool:
        is_reported = isinstance(each, NotSimulatedError) and each.is_reported
        return is_reported or isinstance(each, (InvariantViolation, *allowed))

    if isinstance(error, BaseExceptionGroup):
        return error.split(is_known)[1]
    return None if is_known(error) else error


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _is_ours(filename: str) -> bool:
    return filename.startswith(_SKIPPED)


def _name_of(error: BaseException, host: str = "") -> str:
    # Functions instead of lines, and no addresses: the name identifies a failure across trials,
    # processes and small changes of the code.
    stack = traceback.extract_tb(error.__traceback__)
    theirs = [each for each in stack if not _is_ours(each.filename)]
    place = f" in {theirs[-1].name}" if theirs else ""
    place += f" on {host}" if host else ""
    text = re.sub("0x[0-9a-f]{6,}", "0x...", str(error)).split("\n", 1)[0][:160]
    return f"{type(error).__name__}{place}: {text}" if text else f"{type(error).__name__}{place}"


def _describe(hit: Hit) -> str:
    lines = [f"{hit.kind.name} {hit.message!r} is violated", f"  at {hit.location}"]
    if hit.source:
        lines.append(f"  condition: {hit.source}")
    lines += [f"    {name} = {value}" for name, value in hit.values.items()]
    if hit.details:
        lines.append(f"  details: {hit.details}")
    return "\n".join(lines)


# -- states reached ---------------------------------------------------------------------------


class _ReachedStates:
    """
    The states a trial has reached so far.

    Attributes:
        at: Number of choices made when each state was first noticed.
    """

    def __init__(self, tape: Tape) -> None:
        self.at: dict[str, int] = {}
        self._tape = tape

    def begin(self) -> None:
        """Remember the counts of earlier trials, to be subtracted."""
        self._counts, self._extremes = _counts(), recorder.watermarks()

    def look(self) -> Features:
        """Return all states reached so far, and note the choices made by now."""
        features = _features(self._counts, self._extremes)
        for name in (SET_UP, *features):
            self.at.setdefault(name, len(self._tape.values))
        return features


def _counts() -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (kind.name, message): (true, false) for kind, message, _, true, false in recorder.snapshot()
    }


def _features(
    before: dict[tuple[str, str], tuple[int, int]], extremes: dict[str, float]
) -> Features:
    features: Features = {}
    for (kind, message), (true, false) in _counts().items():
        was_true, was_false = before.get((kind, message), (0, 0))
        if true > was_true:
            features[f"{kind} {message}"] = float(true - was_true)
        if false > was_false:
            features[f"{kind} {message} [not]"] = float(false - was_false)
    for message, extreme in recorder.watermarks().items():
        if extreme != extremes.get(message):
            features[f"extreme {message}"] = extreme
    return features


# -- keeping trials apart ---------------------------------------------------------------------


@contextmanager
def _subscribed(watcher: _Watcher) -> Iterator[None]:
    recorder.subscribe(watcher)
    try:
        yield
    finally:
        recorder.unsubscribe(watcher)


@contextmanager
def _isolated(tape: Tape, loop: SimLoop) -> Iterator[None]:
    """Replace other sources of nondeterminism: clocks, entropy, and garbage collection."""
    # A collection runs finalisers, at a point that depends on everything allocated before.
    collects = gc.isenabled()
    gc.disable()
    choices.decided_by(tape.word)
    try:
        machines = Machines(loop.time, tape.word, loop.outside, loop.names, loop.threads)
        with fenced(machines, Files(loop.outside, loop.next_number)):
            yield
    finally:
        choices.decided_by(None)
        if collects:
            gc.enable()


def _clean_up(world: World) -> None:
    """
    End what is left over without any effect on the outcome.

    A coroutine runs its ``finally`` blocks when it is freed, which must not happen to a crashed one
    during the trial; so all of them are closed here, where nothing is recorded.
    """
    loop = world.loop
    loop.finish_step()
    # All processes die first, so that nothing the blocks do can reach another host.
    for host in world.hosts.values():
        loop.kill(host.process)
    loop.kill(loop.outside)
    world.network.close()
    loop.close()
    mode = recorder.mode
    recorder.configure(mode=OFF)
    # The blocks may call asyncio functions that need a running loop.
    asyncio._set_running_loop(loop)
    try:
        loop.threads.end()
        for task, process in loop.buried:
            _close(task.get_coro(), process)
        loop.buried.clear()
    finally:
        asyncio._set_running_loop(None)
        recorder.configure(mode=mode)


def _close(coroutine: Any, process: Process) -> None:
    context = contextvars.Context()
    # As a new process of the host: disk calls of a dead one would raise PoweredOffError.
    context.run(PROCESS.set, Process(process.name, host=process.host))
    # Bounded, since a coroutine that catches every exception in a loop never closes.
    for _ in range(100):
        try:
            context.run(coroutine.close)
        except BaseException:
            # The block awaits or raises while it is closed; further blocks may follow.
            pass
        else:
            break
