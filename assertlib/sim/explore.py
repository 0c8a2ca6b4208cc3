"""
Explore a scenario: one trial per seed, or a search guided by the states that assertions look for.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..recording.trials import GUIDED, SEED_RANDOM
from .corpus import Corpus
from .determinism import Difference, differences
from .engine import Engine, LostWorkerError, Worker, unrecorded
from .faults import faults_in_words
from .replay import replay
from .tapes import TrialSpec
from .target import Stamp
from .trial import Failure, Options
from .worker import Answer, Job, lost

__all__ = ["Exploration", "Found", "Plan", "reproduced"]

_MOST_LOST = 20
_SHRINK_BUDGET = 5000
"""Replays to shrink a failure with."""
_LEAST_SECONDS = 1.0
"""Time to shrink a failure when the time of the exploration is over, in real seconds."""
_WARM_UP = 20
"""Random trials before guidance starts: until then the rarity of states is unknown."""
_STILL_RANDOM = 0.3
"""Share of random trials in a guided search; they reach what no known setup leads to."""


@dataclass(frozen=True)
class Plan:
    """
    The inputs of an exploration.

    Attributes:
        target: The scenario; see `target.load`.
        options: Inputs of all trials.
        seeds: Number of trials of all shards together.
        first: The first seed.
        part: Shard number, from 1, and number of shards; seeds are distributed round-robin.
        seconds: Real seconds after which no more trials start; None for no limit.
        quiet: Trials without a new state, bucket or watermark after which the exploration ends;
            None to go on.
        jobs: Number of workers.
        guided: Whether to build on trials that reached new states.
        stops: Whether a failure ends the exploration.
        path: Directories to search first for modules.
        digests: Whether every trial keeps a log and reports its digest.
        checks: Number of trials to run again in another process, to see whether they are the same.
        shrinks: Number of replays that shrink the tape of each failure; zero disables both
            replaying and shrinking.
    """

    target: str
    options: Options
    seeds: int
    first: int = 0
    part: tuple[int, int] = (1, 1)
    seconds: float | None = None
    quiet: int | None = None
    jobs: int = 1
    guided: bool = False
    stops: Callable[[Found], bool] = lambda _: False
    path: tuple[str, ...] = ()
    digests: bool = False
    shrinks: int = _SHRINK_BUDGET
    checks: int = 0

    @property
    def population(self) -> str:
        """The population that the trials sample."""
        faults = faults_in_words(self.options.faults)
        return f"{self.target}, policy {self.options.policy}, faults {faults}"

    def mine(self) -> Iterator[int]:
        """Iterate over the seeds of this shard."""
        which, parts = self.part
        return iter(range(self.first + which - 1, self.first + self.seeds, parts))


@dataclass
class Found:
    """
    A distinct failure of an exploration.

    Attributes:
        failure: Its first occurrence.
        trial: Number of the first failing trial, from 1.
        times: Number of trials that failed this way.
        spec: The trial that reproduces the failure, shrunk if time allowed.
        is_flaky: Whether its own tape did not reproduce the failure.
    """

    failure: Failure
    trial: int
    times: int
    spec: TrialSpec
    is_flaky: bool = False


def reproduced(
    spec: TrialSpec, budget: int, path: Sequence[str] = (), seconds: float = 0.0
) -> tuple[TrialSpec, frozenset[str]]:
    """
    Replay a failure and shrink its tape as far as the budget allows.

    Replays and shrinking attempts run in unrecorded workers, since they are not trials.  A fresh
    worker verifies that the shortest tape fails.

    Args:
        spec: The trial that failed, and the name of its failure.
        budget: Number of replays for shrinking.
        path: Directories to search first for modules.
        seconds: Time for shrinking, in real seconds; zero for no limit.

    Returns:
        The spec with the shortest tape, and the names of the failures of *spec* itself.

    Raises:
        LostWorkerError: A worker ended before its first trial.
    """
    job = Job(
        "shrinking", None, spec.choices, "shrink", shows=spec.shows, budget=budget, limit=seconds
    )
    worker = unrecorded(spec.target, spec.options, path)
    try:
        answer = worker.do(job)
    except LostWorkerError:
        # This tape, or a shorter one, kills its process.  A replay distinguishes the two, since it
        # reports the loss of its worker as a failure.
        return spec, replay(spec, trace=False, path=path).answer.failed
    finally:
        worker.close()
    # The shrinking worker has run many trials, and state that outlives a trial may have made the
    # last ones fail.
    shorter = replace(spec, choices=tuple(answer.choices))
    is_sure = spec.shows in answer.failed and replay(shorter, trace=False, path=path).shows
    return (shorter if is_sure else spec), answer.failed


@dataclass
class Exploration:
    """
    An exploration, running or finished.

    Attributes:
        plan: The inputs.
        engine: Starts the workers.
        report: Receives each progress message.
        tick: Called periodically while the exploration runs.
        trials: Number of completed trials.
        steps: Number of steps of all trials.
        virtual: Virtual seconds of all trials.
        found: Failures by name, without those outside the model.
        lost: Number of lost workers, each with at most the trial it was running.
        digests: Log digests by trial name, if requested.
        differences: Trials that took another course when they were run again.
        curve: Pairs of trial number and number of states reached by then.
        stamp: The environment of the workers.
    """

    plan: Plan
    engine: Engine
    report: Callable[[str], None] = lambda _: None
    tick: Callable[[], None] = lambda: None
    trials: int = 0
    steps: int = 0
    virtual: float = 0.0
    found: dict[str, Found] = field(default_factory=dict)
    lost: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    curve: list[tuple[int, int]] = field(default_factory=list)
    stamp: Stamp = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.plan
        # Shards draw from different generators, or all would make the same decisions.
        self.corpus = Corpus(random.Random(f"{plan.first}/{plan.part}"))
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._ended: float | None = None
        self._over = threading.Event()
        self._seeds = plan.mine()
        self._again: list[Job] = []
        self._begun = 0
        self._sampled: list[tuple[Job, str]] = []
        self._lost_with: set[str] = set()
        self._states: list[str] = []
        self._error: Exception | None = None

    def run(self, *, here: bool = False) -> None:
        """
        Explore until all trials are done, time is up, or a failure stops the exploration.

        Args:
            here: Whether to run in the current thread, for debugging.

        Raises:
            TargetError: The scenario cannot be loaded.
            LostWorkerError: Too many workers were lost.
        """
        try:
            if here:
                self._work()
            else:
                self._work_in_threads()
        finally:
            self._ended = time.monotonic()
        if self._error is not None:
            raise self._error

    def _work_in_threads(self) -> None:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.plan.jobs)]
        for thread in threads:
            thread.start()
        try:
            # Joined in slices: `tick` prints progress, and raises for signals, which their handlers
            # only note.  An exception out of a handler could break the join.
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
                    self.tick()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    @property
    def elapsed(self) -> float:
        """Real seconds since the start, or the total duration once finished."""
        now = time.monotonic() if self._ended is None else self._ended
        return now - self._began

    # -- workers ----------------------------------------------------------------------------

    def _work(self) -> None:
        worker: Worker | None = None
        try:
            while not self._over.is_set():
                job = self._next()
                if job is None:
                    return
                try:
                    worker = worker or self._start_worker()
                    answer = worker.do(job)
                except LostWorkerError as error:
                    self._on_worker_lost(job, error, was_running=worker is not None)
                    worker = None
                    continue
                self._learn(job, answer)
        except Exception as error:
            # An exception of a thread would only be printed; `run` raises it in the caller.
            self._error = error
            self._over.set()
        finally:
            if worker is not None:
                worker.close()

    def _start_worker(self) -> Worker:
        worker = self.engine()
        self.stamp = worker.stamp
        return worker

    def _on_worker_lost(self, job: Job, error: LostWorkerError, *, was_running: bool) -> None:
        # A trial is repeated once, since its worker may have died for a reason of its own, such as
        # a lost node.  A trial that loses two workers is a failure itself.  The trial counts as
        # running only if its worker had started.
        with self._lock:
            self.lost += 1
            is_second = job.name in self._lost_with
            if was_running:
                self._lost_with.add(job.name)
            if not is_second:
                self._again.append(job)
                self.report(f"lost: {error}; repeating its trial {job.name!r}")
        if is_second:
            self._learn(job, Answer(list(job.choices), [lost(error)]))
        if self.lost >= _MOST_LOST:
            raise LostWorkerError(f"{self.lost} workers were lost; the last error: {error}")

    # -- jobs -------------------------------------------------------------------------------

    def _next(self) -> Job | None:
        with self._lock:
            if self._again:
                return self._again.pop()
            plan = self.plan
            if plan.seconds is not None and self.elapsed >= plan.seconds:
                return None
            seed = next(self._seeds, None)
            if seed is None:
                return None
            if plan.guided and self._is_searching():
                return self._job(seed, f"guided {seed}", self.corpus.child(), GUIDED)
            return self._job(seed, f"seed {seed}", (), GUIDED if plan.guided else SEED_RANDOM)

    def _is_searching(self) -> bool:
        corpus = self.corpus
        known = corpus.trials >= _WARM_UP and bool(corpus.latest)
        return known and corpus.rng.random() >= _STILL_RANDOM

    def _job(self, seed: int, name: str, choices: Sequence[int], sampler: str) -> Job:
        plan = self.plan
        self._begun += 1
        digest = plan.digests or self._begun <= plan.checks
        return Job(name, seed, tuple(choices), sampler, plan.population, digest=digest)

    # -- results ----------------------------------------------------------------------------

    def _learn(self, job: Job, answer: Answer) -> None:
        with self._lock:
            self.trials += 1
            number = self.trials
            self.steps += answer.steps
            self.virtual += answer.seconds
            if answer.digest:
                self.digests[job.name] = answer.digest
                self._sampled.append((job, answer.digest))
            for name in self.corpus.learn(answer.choices, answer.features, answer.shown_at):
                if name in answer.features:
                    self._report_new(name, number)
            self._end_if_quiet()
        new = [each for each in answer.failures if self._is_new(job, answer, each, number)]
        # Outside the lock, since shrinking takes seconds; other workers go on meanwhile.  An answer
        # without steps stands for a lost worker, whose tape is unknown.
        if new and answer.steps and self.plan.shrinks:
            self._check([self.found[each.name] for each in new])

    def _end_if_quiet(self) -> None:
        quiet, corpus = self.plan.quiet, self.corpus
        if quiet is not None and corpus.trials - corpus.newest >= quiet and not self._over.is_set():
            self._over.set()
            self.report(f"quiet: nothing new in {quiet:,} trials")

    def _report_new(self, name: str, number: int) -> None:
        # Guidance uses both outcomes of a condition; only the wanted one is a state to report.
        kind, _, message = name.partition(" ")
        if kind in ("sometimes", "reachable") and not message.endswith(" [not]"):
            self._states.append(name)
            self.curve.append((number, len(self._states)))
            self.report(f"new: {message}")

    def _is_new(self, job: Job, answer: Answer, failure: Failure, number: int) -> bool:
        """Count a failure; return whether it is the first of its name."""
        plan = self.plan
        with self._lock:
            if failure.out_of_model:
                return False
            known = self.found.get(failure.name)
            if known is not None:
                known.times += 1
                return False
            spec = TrialSpec(
                plan.target, plan.options, job.seed, job.choices, self.stamp, failure.name, True
            )
            # The complete tape replaces the seed, which would continue a shrunk tape with other
            # choices; `whole` still replays the original trial.
            if answer.steps:
                whole = job.seed, job.choices
                spec = replace(spec, seed=None, choices=tuple(answer.choices), whole=whole)
            found = self.found[failure.name] = Found(failure, number, 1, spec)
            self.report(f"FAILED: {failure.name}, in trial {job.name!r}")
            if plan.stops(found):
                self._over.set()
        return True

    def _check(self, new: list[Found]) -> None:
        """Replay the trial that revealed the *new* failures; shrink the tape of the first."""
        # The others mostly are consequences of the first failure: they keep the whole tape.
        first = new[0]
        self.report(f"shrinking, with at most {self.plan.shrinks:,} replays: {first.failure.name}")
        try:
            first.spec, failed = reproduced(
                first.spec, self.plan.shrinks, self.plan.path, self._time_left()
            )
        except LostWorkerError as error:
            self.report(f"cannot replay: {error}")
            return
        for found in new:
            found.is_flaky = found.failure.name not in failed
            if found.is_flaky:
                self.report(f"FLAKY, not reproduced by its tape: {found.failure.name}")
        if not first.is_flaky:
            self.report(f"shrunk to {len(first.spec.choices):,} choices: {first.failure.name}")

    def _time_left(self) -> float:
        """Real seconds for shrinking; zero for no limit."""
        if self.plan.seconds is None:
            return 0.0
        return max(_LEAST_SECONDS, self.plan.seconds - self.elapsed)

    def check_determinism(self) -> None:
        """Run the first trials again in another process, and note which of them differ."""
        plan = self.plan
        sample = self._sampled[: plan.checks]
        if not sample:
            return
        try:
            found = differences(plan.target, plan.options, sample, plan.path)
        except LostWorkerError as error:
            # What could not be checked is no pass.
            self.report(f"cannot repeat a trial: {error}")
            found = [Difference(job.name) for job, _ in sample]
        self.differences.extend(found)

    def witnesses(self) -> dict[str, TrialSpec]:
        """Return a trial with a short tape for each sometimes and reachable that was reached."""
        plan = self.plan
        specs = {}
        for name in self._states:
            _, _, message = name.partition(" ")
            choices = self.corpus.witnesses[name]
            specs[message] = TrialSpec(
                plan.target, plan.options, None, choices, self.stamp, message
            )
        return specs
