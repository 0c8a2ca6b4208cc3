"""
A worker process that runs trials; started by `engine`.

It reads jobs from standard input, one JSON object per line, and answers each with one line.  Output
of the scenario goes to standard error.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TextIO

from .. import lifecycle
from ..recording.trials import GUIDED
from .shrink import Reached, shrink
from .sources import Choice, SourcedTape
from .tape import Tape
from .target import Stamp, TargetError, load, stamp
from .trial import Failure, Features, Options, Outcome, Scenario, run_trial

__all__ = ["Answer", "Job", "TrialRunner", "lost", "main"]

HANGS_AFTER = 60.0
"""Real seconds after which a trial counts as hanging and its process is ended."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """
    A trial to run.

    Attributes:
        name: Id of the trial in the run.
        seed: Seed of the choices after `choices`; None for the simplest choices.
        choices: The first choices.
        sampler: As in `assertlib.trial`; ``shrink`` replays the tape of a failure, and shrinks
            it if it reproduces the failure.
        population: The population that the trial samples; empty for none.
        shows: The failure to shrink.
        until: A failure that ends the trial; empty for none.
        budget: Number of replays for shrinking.
        limit: Time for shrinking, in real seconds; zero for no limit.
        trace: Whether to return the log with assertion hits.
        digest: Whether to keep a log and return its digest.
    """

    name: str
    seed: int | None
    choices: tuple[int, ...] = ()
    sampler: str = "seed-random"
    population: str = ""
    shows: str = ""
    until: str = ""
    budget: int = 0
    limit: float = 0.0
    trace: bool = False
    digest: bool = False


@dataclass
class Answer:
    """
    The result of a job; see `Outcome`.

    Attributes:
        made: For each line of the trace, the number of choices made by then.
    """

    choices: list[int]
    failures: list[Failure] = field(default_factory=list)
    features: Features = field(default_factory=dict)
    shown_at: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    digest: str = ""
    trace: list[str] = field(default_factory=list)
    made: list[int] = field(default_factory=list)

    @property
    def failure(self) -> Failure | None:
        """The first failure within the model."""
        return next((each for each in self.failures if not each.out_of_model), None)

    @property
    def failed(self) -> frozenset[str]:
        """Names of all failures within the model."""
        return _failed(self.failures)


def _failed(failures: Sequence[Failure]) -> frozenset[str]:
    return frozenset(each.name for each in failures if not each.out_of_model)


def lost(error: object) -> Failure:
    """Return the failure of a trial that ended its worker; *error* describes the loss."""
    text = f"{error}: the trial terminated its process or exceeded {HANGS_AFTER:.0f} s"
    return Failure("a trial terminates its process, or hangs", None, 0.0, None, 0, text)


def answer_from(data: dict[str, Any]) -> Answer:
    """Parse the answer of a worker; consumes *data*."""
    failures = [Failure(**each) for each in data.pop("failures")]
    return Answer(failures=failures, **data)


class TrialRunner:
    """Runs jobs of one scenario in this process."""

    def __init__(self, target: str, options: Options) -> None:
        """
        Args:
            target: The scenario; see `target.load`.
            options: Inputs of all trials.

        Raises:
            TargetError: The scenario cannot be loaded.
        """
        self._scenario: Scenario = load(target)
        self._options = options
        # Objects created before the first trial are never garbage; frozen, they are skipped by all
        # later collections.
        gc.collect()
        gc.freeze()

    @property
    def stamp(self) -> Stamp:
        """The environment that trials depend on besides their tapes."""
        return stamp()

    def do(self, job: Job) -> Answer:
        """Run *job* and return its result."""
        if job.sampler == "shrink":
            return self._shrink(job)
        outcome = run_trial(
            self._scenario,
            Tape(job.seed, job.choices),
            self._options,
            name=job.name,
            population=job.population or None,
            seed=job.seed,
            sampler=job.sampler,
            keep_log=job.trace or job.digest,
            keep_places=job.sampler == GUIDED,
            until=job.until,
        )
        lines = list(traced(outcome)) if job.trace else []
        return Answer(
            outcome.choices,
            outcome.failures,
            outcome.features,
            outcome.shown_at,
            sorted({name for _, name in outcome.faults}),
            outcome.steps,
            outcome.seconds,
            outcome.digest() if job.digest else "",
            [text for text, _ in lines],
            [made for _, made in lines],
        )

    def _shrink(self, job: Job) -> Answer:
        given = [Choice(value) for value in job.choices]
        whole = self._played(SourcedTape(None, given, is_sourced=False), self._options)
        answer = Answer(list(job.choices), whole.failures)
        # The caller treats a tape that does not reproduce its failure as flaky.
        if job.shows not in answer.failed:
            return answer

        def fails(
            choices: Sequence[Choice], steps: int, seed: int | None, *, is_sourced: bool = True
        ) -> Reached | None:
            # A watchdog for each trial: shrinking runs many of them.
            faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
            tape = SourcedTape(seed, choices, is_sourced=is_sourced)
            # A candidate that takes longer than the best one cannot replace it.
            options = replace(self._options, steps=steps)
            outcome = self._played(tape, options, until=job.shows)
            if job.shows not in _failed(outcome.failures):
                return None
            made = tape.choices[: len(outcome.choices)]
            return Reached(made, outcome.steps, outcome.labels, outcome.switches)

        first = fails(given, whole.steps, None, is_sourced=False)
        if first is not None:
            answer.choices = shrink(first, fails, job.budget, job.limit or math.inf)
        return answer

    def _played(self, tape: Tape, options: Options, until: str = "") -> Outcome:
        return run_trial(
            self._scenario, tape, options, name="shrinking", sampler="set", until=until
        )


def traced(outcome: Outcome) -> Iterator[tuple[str, int]]:
    """
    Format the log of a trial, with assertion hits at their positions.

    Yields:
        A line, and the number of choices made when it was logged.
    """
    hits = list(outcome.hits)
    for at, ((time, process, text), made) in enumerate(zip(outcome.log, outcome.made, strict=True)):
        while hits and hits[0][0] <= at:
            yield f"{time:12.6f}  {'':10}  * {hits.pop(0)[1]}", made
        yield f"{time:12.6f}  {process:10}  {text}", made
    for _, text in hits:
        yield f"{outcome.seconds:12.6f}  {'':10}  * {text}", len(outcome.choices)


def main() -> int:
    """Serve jobs until the input or the parent process ends."""
    with suppress(OSError, AttributeError):
        # Linux then kills the worker when the thread that started it ends.  Elsewhere the running
        # trial is finished first, and the end of the input ends the worker.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Answers get a descriptor of their own, and descriptor 1 becomes standard error: whatever the
    # scenario prints, even from C code, stays out of the protocol.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    first = json.loads(sys.stdin.readline())
    # Violations are part of the answers; sinks would publish them once per trial.
    lifecycle.configure(sinks=[])
    sys.path[:0] = first["path"]
    options = Options(**{**first["options"], "faults": tuple(first["options"]["faults"])})
    try:
        runner = TrialRunner(first["target"], options)
    except TargetError as error:
        _send(answers, {"error": str(error)})
        return 2
    _send(answers, {"stamp": runner.stamp})
    for line in sys.stdin:
        data = json.loads(line)
        job = Job(**{**data, "choices": tuple(data["choices"])})
        # A watchdog in C: it also ends a trial that holds the GIL, or blocks in a system call.
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
        answer = runner.do(job)
        faulthandler.cancel_dump_traceback_later()
        _send(answers, asdict(answer))
    return 0


def _send(stream: TextIO, data: dict[str, Any]) -> None:
    stream.write(json.dumps(data) + "\n")
    stream.flush()
