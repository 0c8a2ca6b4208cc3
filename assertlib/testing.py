"""
For tests of code that asserts.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .evidence.watch import RunWatch
from .primitives import InvariantViolation
from .recording import shard
from .recording.checkout import find_commit
from .recording.hits import Hit
from .recording.recorder import recorder
from .recording.settings import COMMIT_ENV
from .recording.system import system
from .recording.trials import EXPECTS_VIOLATION, Trial

__all__ = ["ExpectedViolation", "caught", "expect_violation"]

_numbers = itertools.count(1)


class ExpectedViolation:
    """
    A violation that a test wanted.

    Attributes:
        hits: The false hits that this process recorded, in order.
        error: What was raised, in mode ``raise``.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        self.hits: list[Hit] = []
        self.error: InvariantViolation | None = None

    def handle(self, hit: Hit) -> None:
        """Take note of *hit* if it is the one."""
        if hit.is_violation and hit.message == self.message:
            self.hits.append(hit)

    def __repr__(self) -> str:
        return f"<ExpectedViolation {self.message!r}: {len(self.hits)} hits>"


@contextmanager
def expect_violation(message: str) -> Iterator[ExpectedViolation]:
    """
    Pass only if the assertion called *message* is violated in the block, by
    this process or by a child.

    Such a violation counts nowhere else: not against the test, not in reports.
    In mode ``raise`` the block ends at the violation, in mode ``record`` it
    goes on.

    Raises:
        AssertionError: It was not violated.
    """
    expected = ExpectedViolation(message)
    name = f"{recorder.trial_id or os.getpid()} [expects {next(_numbers)}]"
    trial = Trial(name, population=message, sampler=EXPECTS_VIOLATION)
    recorder.subscribe(expected)
    try:
        recorder.begin_trial(trial)
        yield expected
    except InvariantViolation as violation:
        if violation.message != message:
            raise
        expected.error = violation
    finally:
        recorder.end_trial(trial)
        recorder.unsubscribe(expected)
    if not expected.hits and not _violated_by_a_child(message, name):
        raise AssertionError(f"the assertion {message!r} was not violated")


_watches: dict[str, RunWatch] = {}
"""By run directory: one that was followed so far is not read again."""


def _violated_by_a_child(message: str, trial: str) -> bool:
    run_dir = recorder.run_dir
    if run_dir is None or not system.exists(run_dir):
        return False
    watch = _watches.setdefault(run_dir, RunWatch(Path(run_dir)))
    watch.update()
    return watch.was_violated(message, trial)


def caught(defect: str, message: str) -> None:
    """
    Record that the assertion called *message* caught the seeded defect *defect*.

    Its invariant is *defect-tested* in reports of the run.
    """
    commit = os.environ.get(COMMIT_ENV) or find_commit(recorder.root)
    body = {"defect": defect, "message": message, "commit": commit}
    recorder.note(shard.PROOF, body)
