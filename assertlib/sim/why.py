"""
Find the step that makes a failure likely.

The trial is repeated from prefixes of its tape, each with many random continuations.  Where the
share of failing continuations jumps, the choices made there are those that matter: after them the
failure is hard to avoid, before them it was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .engine import LostWorkerError, Worker, unrecorded
from .tapes import TrialSpec
from .trace_lines import OUTSIDE, STEPS, TraceLine, parsed
from .worker import Job

__all__ = ["Jump", "Point", "Why", "why"]

_POINTS = 40
"""Prefixes to try at most; bisection needs fewer unless several steps matter."""
_ENDS = 3
"""Prefixes to try in any case: none, up to the first step, and up to the failure."""


@dataclass(frozen=True)
class Point:
    """
    The continuations of one prefix.

    Attributes:
        choices: The length of the prefix.
        failed: The number of continuations with the failure.
        trials: The number of continuations.
    """

    choices: int
    failed: int
    trials: int

    @property
    def rate(self) -> float:
        """The share of continuations with the failure."""
        return self.failed / self.trials


@dataclass(frozen=True)
class Jump:
    """
    The steepest rise between two prefixes.

    Attributes:
        before, after: The two prefixes.
        lines: The first and the last line of the trace between which the choices were made.
    """

    before: Point
    after: Point
    lines: tuple[int, int]


@dataclass(frozen=True)
class Why:
    """
    The answer.

    Attributes:
        failure: The name of the failure.
        points: The prefixes that were tried, by length.
        drawn: The prefix that ends before the first step of a host: policy, mix of faults, and what
            the scenario draws to set itself up.
        faults: The faults that were injected until the failure.
        jump: The steepest rise from the first step on; None if the rate never rises.
        trace: The lines of the trace until the failure.
        made: For each of these lines, the number of choices made by then.
    """

    failure: str
    points: tuple[Point, ...]
    drawn: Point
    faults: tuple[str, ...]
    jump: Jump | None
    trace: tuple[str, ...]
    made: tuple[int, ...]


def why(
    spec: TrialSpec,
    *,
    repeats: int,
    seconds: float,
    path: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> Why:
    """
    Find the step at which the failure of *spec* becomes likely.

    Args:
        spec: A trial that was kept for its failure.
        repeats: The number of continuations of each prefix; equal numbers give equal results.
        seconds: Real seconds after which no further prefix is tried.
        path: Directories to search first for modules.
        report: Receives a line for each prefix.

    Raises:
        ValueError: The trial was not kept for a failure, or does not fail any more.
        TargetError: The scenario cannot be loaded.
        LostWorkerError: A continuation ended its process.
    """
    if not (spec.fails and spec.shows):
        raise ValueError("the token does not identify a failure")
    worker = unrecorded(spec.target, spec.options, path)
    try:
        return _Search(spec, worker, repeats, time.monotonic() + seconds, report).run()
    finally:
        worker.close()


class _Search:
    def __init__(
        self,
        spec: TrialSpec,
        worker: Worker,
        repeats: int,
        deadline: float,
        report: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._worker = worker
        self._repeats = repeats
        self._deadline = deadline
        self._report = report
        self._points: dict[int, Point] = {}

    def run(self) -> Why:
        spec = self._spec
        job = Job("why", None, spec.choices, "set", until=spec.shows, trace=True)
        answer = self._worker.do(job)
        failure = next((each for each in answer.failures if each.name == spec.shows), None)
        if failure is None:
            raise ValueError(f"the trial does not fail any more: {spec.shows}")
        # The choices that the trial has made, simplest ones behind the end of its tape included.
        made = answer.choices[: failure.choices]
        trace = tuple(parsed(line) for line in answer.trace)
        drawn = min(_set_up(trace, answer.made), len(made))
        for length in dict.fromkeys((0, drawn, len(made))):
            self._try(made, length)
        while len(self._points) < _POINTS and time.monotonic() < self._deadline:
            middle = self._steepest(drawn)
            if middle is None:
                break
            self._try(made, middle)
        points = tuple(self._points[each] for each in sorted(self._points))
        steps = [point for point in points if point.choices >= drawn]
        jump = _jump(steps, trace, answer.made)
        return Why(
            spec.shows, points, steps[0], tuple(answer.faults), jump,
            tuple(answer.trace), tuple(answer.made),
        )  # fmt: skip

    def _try(self, made: Sequence[int], length: int) -> None:
        failed = 0
        for seed in range(self._repeats):
            # The answer needs the ends, which are always tried in full.
            if len(self._points) >= _ENDS and time.monotonic() > self._deadline:
                return
            job = Job(f"why {seed}", seed, tuple(made[:length]), "set", until=self._spec.shows)
            try:
                failed += self._spec.shows in self._worker.do(job).failed
            except LostWorkerError as error:
                raise LostWorkerError(f"a continuation of {length} choices: {error}") from None
        point = self._points[length] = Point(length, failed, self._repeats)
        self._report(f"{length:,} choices: fails in {point.failed} of {point.trials}")

    def _steepest(self, drawn: int) -> int | None:
        """The middle of the interval with the steepest rise that can still be divided."""
        lengths = sorted(each for each in self._points if each >= drawn)
        wide = [
            (self._points[after].rate - self._points[before].rate, before, after)
            for before, after in pairwise(lengths)
            if after - before > 1
        ]
        rise, before, after = max(wide, default=(0.0, 0, 0))
        return (before + after) // 2 if rise > 0 else None


def _set_up(trace: Sequence[TraceLine | None], made: Sequence[int]) -> int:
    """Return the number of choices made before the first step of a host."""
    # No step made them, so the rise begins after them.
    for event, count in zip(trace, made, strict=True):
        if event is not None and event.kind == STEPS and event.host != OUTSIDE:
            return count
    return made[0] if made else 0


def _jump(
    points: Sequence[Point], trace: Sequence[TraceLine | None], made: Sequence[int]
) -> Jump | None:
    # The first of several that are equally steep.
    rises = list(pairwise(points))
    if not rises:
        return None
    before, after = max(rises, key=lambda each: each[1].rate - each[0].rate)
    if after.rate <= before.rate:
        return None
    # A choice may be logged by the step that makes it, or only show in the line after it.
    first = max((line for line, count in enumerate(made) if count <= before.choices), default=0)
    while first and not ((event := trace[first]) and event.begins):
        first -= 1
    last = next((line for line, count in enumerate(made) if count >= after.choices), first)
    return Jump(before, after, (first, last))
