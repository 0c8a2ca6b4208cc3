"""
Check that trials are deterministic: run some of them again in other processes.

A trial that differs from its first run depends on something that is not on its tape, and its token
replays nothing reliably.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from .engine import LostWorkerError, unrecorded
from .trial import Options
from .worker import Job

__all__ = ["Difference", "differences"]

_OVER = "(the trial is over)"


@dataclass(frozen=True)
class Difference:
    """
    A trial that took two courses.

    Attributes:
        trial: Its name.
        number: The number of events before the first one that differs, which both runs share.
        before: The last step of the store among these, which led to the difference.
        events: That event in both runs, as in a trace; empty if two further runs were the same.
    """

    trial: str
    number: int = 0
    before: str = ""
    events: tuple[str, str] = ("", "")

    def lines(self) -> list[str]:
        """Describe it, for a terminal."""
        head = f"NOT DETERMINISTIC: trial {self.trial!r} ran differently in another process"
        if not any(self.events):
            return [head]
        return [
            f"{head}; the first {self.number:,} events were identical, and the last common step was",
            f"    {self.before}",
            "the first difference is",
            *(f"    {event}" for event in self.events),
        ]


def differences(
    target: str, options: Options, known: Sequence[tuple[Job, str]], path: Sequence[str] = ()
) -> list[Difference]:
    """
    Run trials again, in a new process and in reverse order, and compare them with *known*.

    Args:
        target: The scenario; see `target.load`.
        options: Inputs of all trials.
        known: Trials that were run, each with the digest of its log.
        path: Directories to search first for modules.

    Raises:
        TargetError: The scenario cannot be loaded.
        LostWorkerError: A process ended while it loaded the scenario.
    """
    jobs = [replace(job, sampler="set", population="", digest=True) for job, _ in known]
    again = _digests(target, options, jobs[::-1], path)
    return [
        _first_difference(target, options, jobs, job, path)
        for job, digest in known
        if again[job.name] != digest
    ]


def _digests(
    target: str, options: Options, jobs: Sequence[Job], path: Sequence[str]
) -> dict[str, str]:
    worker = unrecorded(target, options, path)
    found = {}
    try:
        for job in jobs:
            try:
                found[job.name] = worker.do(job).digest
            except LostWorkerError:
                # It did not end its process the first time.
                found[job.name] = ""
                worker = unrecorded(target, options, path)
    finally:
        worker.close()
    return found


def _first_difference(
    target: str, options: Options, jobs: Sequence[Job], job: Job, path: Sequence[str]
) -> Difference:
    """Find the first event that differs, between a trial after the others and one before them."""
    others = [each for each in jobs if each.name != job.name]
    orders: list[list[Job]] = [others, []]
    try:
        traces = [_trace(target, options, [*before, job], path) for before in orders]
    except LostWorkerError:
        return Difference(job.name)
    for number, (one, other) in enumerate(zip_longest(*traces, fillvalue=_OVER)):
        if one != other:
            steps = (each.strip() for each in reversed(traces[0][:number]) if " at " in each)
            return Difference(job.name, number, next(steps, "-"), (one.strip(), other.strip()))
    return Difference(job.name)


def _trace(target: str, options: Options, jobs: Sequence[Job], path: Sequence[str]) -> list[str]:
    """Run *jobs* in one process; return the trace of the last one."""
    worker = unrecorded(target, options, path)
    try:
        return [worker.do(replace(job, trace=True)) for job in jobs][-1].trace
    finally:
        worker.close()
