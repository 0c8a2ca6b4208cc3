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
    "the trial depends on something that is not on its tape: an order or a hash by address, real"
    " time, threads, or state that outlives a trial (module globals, real files)"
)
"""Why a failure may not replay."""


@dataclass
class Replay:
    """
    The result of a replay.

    Attributes:
        shows: Whether it reproduced what its tape was kept for; None if the tape has no purpose.
        differences: Changes of Python, hash seed, addresses or source since the recording.
    """

    spec: TrialSpec
    answer: Answer
    shows: bool | None
    differences: list[str]

    @property
    def is_flaky(self) -> bool:
        """Whether a failure is gone though nothing has changed."""
        return self.spec.fails and self.shows is False and not self.differences

    @property
    def is_wrong(self) -> bool:
        """Whether the trial fails, or does not show what it must: a failure may have been mended."""
        is_gone = self.shows is False and (self.is_flaky or not self.spec.fails)
        return is_gone or self.answer.failure is not None


def replay(spec: TrialSpec, *, trace: bool = True, path: Sequence[str] = ()) -> Replay:
    """
    Run the trial of *spec* without recording it.

    Raises:
        TargetError: Its scenario cannot be loaded.
        LostWorkerError: The process that loads it ended.
    """
    job = Job("replay", spec.seed, spec.choices, "set", trace=trace, digest=True)
    worker = unrecorded(spec.target, spec.options, path)
    try:
        answer = worker.do(job)
    except LostWorkerError as error:
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
