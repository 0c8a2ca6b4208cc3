"""
Replay a token: run the same trial again in a separate process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .engine import LostWorkerError, unrecorded
from .tapes import TrialSpec
from .worker import Answer, Job, lost

__all__ = ["CAUSES", "Replay", "replay"]

CAUSES = (
    "the trial depends on something that is not on its tape: ordering or hashes based on addresses,"
    " real time, threads, or state that outlives a trial (module globals, real files)"
)
"""Possible reasons for a failure that does not replay."""


@dataclass
class Replay:
    """
    The result of a replay.

    Attributes:
        spec: The replayed trial.
        answer: Its result.
        shows: Whether it reproduced the failure or state that its tape was kept for; None if it was
            kept for neither.
        differences: Changes of Python, hash seed, addresses or source since the recording.
    """

    spec: TrialSpec
    answer: Answer
    shows: bool | None
    differences: list[str]

    @property
    def is_flaky(self) -> bool:
        """Whether a failure is gone although nothing has changed."""
        # After a change, a failure that is gone may just have been fixed.
        return self.spec.fails and self.shows is False and not self.differences

    @property
    def is_wrong(self) -> bool:
        """Whether the trial fails, or no longer reproduces what it must."""
        # A fixed failure is welcome; a state that is no longer reached makes its witness stale,
        # whatever has changed.
        is_gone = self.shows is False and (self.is_flaky or not self.spec.fails)
        return is_gone or self.answer.failure is not None


def replay(spec: TrialSpec, *, trace: bool = True, path: Sequence[str] = ()) -> Replay:
    """
    Run a trial again, up to the failure that it was kept for, without recording it.

    Args:
        spec: The trial.
        trace: Whether to keep its log, with assertion hits, in the answer.
        path: Directories to search first for modules.

    Raises:
        TargetError: The scenario cannot be loaded.
        LostWorkerError: The process ended while it loaded the scenario.
    """
    # What happens after the failure explains nothing.
    until = spec.shows if spec.fails else ""
    job = Job("replay", spec.seed, spec.choices, "set", until=until, trace=trace, digest=True)
    worker = unrecorded(spec.target, spec.options, path)
    try:
        answer = worker.do(job)
    except LostWorkerError as error:
        # A trial that ends its process may be the very failure to reproduce.
        answer = Answer(list(spec.choices), [lost(error)])
    finally:
        worker.close()
    return Replay(spec, answer, _shows(spec, answer), spec.differences(worker.stamp))


def _shows(spec: TrialSpec, answer: Answer) -> bool | None:
    if not spec.shows:
        return None
    if spec.fails:
        return spec.shows in answer.failed
    return any(f"{kind} {spec.shows}" in answer.features for kind in ("sometimes", "reachable"))
