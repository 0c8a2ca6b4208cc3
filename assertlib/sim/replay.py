"""
Replaying a token: the same trial once more, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .engine import unrecorded
from .tapes import Recipe
from .worker import Answer, Job

__all__ = ["Replay", "replay"]


@dataclass
class Replay:
    """
    What came of it.

    Attributes:
        shows: Whether it showed what its tape was kept for; None if it was kept for nothing.
        differences: In what Python, hash seed or source are others than when it was recorded.
    """

    recipe: Recipe
    answer: Answer
    shows: bool | None
    differences: list[str]


def replay(recipe: Recipe, *, trace: bool = True, path: Sequence[str] = ()) -> Replay:
    """
    Run the trial of *recipe*; it records nowhere.

    Raises:
        TargetError: Its scenario cannot be loaded.
        LostWorkerError: The process that ran it ended.
    """
    worker = unrecorded(recipe.target, recipe.options, path)
    try:
        answer = worker.do(
            Job("replay", recipe.seed, recipe.choices, "set", trace=trace, digest=True)
        )
        return Replay(recipe, answer, _shows(recipe, answer), recipe.differences(worker.stamp))
    finally:
        worker.close()


def _shows(recipe: Recipe, answer: Answer) -> bool | None:
    if not recipe.shows:
        return None
    if any(failure.name == recipe.shows for failure in answer.failures):
        return True
    return any(f"{kind} {recipe.shows}" in answer.features for kind in ("sometimes", "reachable"))
