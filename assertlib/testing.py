"""
For tests of code that asserts.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .primitives import InvariantViolation
from .recording import shard
from .recording.hits import Hit
from .recording.reader import read_shards
from .recording.recorder import recorder
from .recording.rundir import find_commit
from .recording.settings import COMMIT_ENV
from .recording.trials import EXPECTS_VIOLATION, Trial, ancestry

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
    subscribers = recorder.sinks.loaded()
    subscribers.append(expected)
    recorder.begin_trial(trial)
    try:
        yield expected
    except InvariantViolation as violation:
        if violation.message != message:
            raise
        expected.error = violation
    finally:
        recorder.end_trial(trial)
        subscribers.remove(expected)
    if not expected.hits and not _violated_by_a_child(message, name):
        raise AssertionError(f"the assertion {message!r} was not violated")


def _violated_by_a_child(message: str, trial: str) -> bool:
    if recorder.run_dir is None:
        return False
    shards = read_shards(recorder.run_dir)
    known = {name: record.trial for left in shards for name, record in left.trials.items()}
    return any(
        hit.is_violation
        and hit.message == message
        and any(each.id == trial for each in ancestry(hit.trial, known))
        for left in shards
        for hit in left.hits
    )


def caught(defect: str, message: str) -> None:
    """
    Record that the assertion called *message* caught the kept defect *defect*.

    Its invariant is *proven* in reports of the run.
    """
    commit = os.environ.get(COMMIT_ENV) or find_commit(recorder.root)
    body = {"defect": defect, "message": message, "commit": commit}
    recorder.note(shard.PROOF, body)
