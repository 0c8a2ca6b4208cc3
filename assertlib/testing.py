"""
Helpers for tests of code that contains assertions.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._calls.primitives import InvariantViolation
from .evidence.watch import RunWatch
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
    The violation that a test expects.

    Attributes:
        message: Message of the assertion that must be violated.
        hits: The false hits that this process recorded, in order.
        error: The exception that ended the block in mode ``raise``; None if none did.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        self.hits: list[Hit] = []
        self.error: InvariantViolation | None = None

    def handle(self, hit: Hit) -> None:
        """Keep *hit* if it is the expected violation."""
        if hit.is_violation and hit.message == self.message:
            self.hits.append(hit)

    def __repr__(self) -> str:
        return f"<ExpectedViolation {self.message!r}: {len(self.hits)} hits>"


@contextmanager
def expect_violation(message: str) -> Iterator[ExpectedViolation]:
    """
    Expect the assertion *message* to be violated in the block, by this process or a child.

    An expected violation neither fails the test nor appears in reports.
    In mode ``raise`` the block ends at the violation; in mode ``record`` it continues.

    Raises:
        AssertionError: The assertion was not violated.
        InvariantViolation: Another assertion was violated, in mode ``raise``.
    """
    expected = ExpectedViolation(message)
    # The trial id matches a child's violations to this block, so it must be unique in the run.
    # A bare number would collide with that of another process.
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
    # The shards of other processes are read only if this process recorded no such hit.
    if not expected.hits and not _violated_by_a_child(message, name):
        raise AssertionError(f"the assertion {message!r} was not violated")


_watches: dict[str, RunWatch] = {}
"""
The watch of each run directory.  It is kept, so that shards are read on from where the previous
block left off.
"""


def _violated_by_a_child(message: str, trial: str) -> bool:
    run_dir = recorder.run_dir
    # `RunWatch` treats a missing directory as damage; before the first record it is merely not
    # created yet.  `os.path` may be patched by the test.
    if run_dir is None or not system.exists(run_dir):
        return False
    watch = _watches.setdefault(run_dir, RunWatch(Path(run_dir)))
    watch.update()
    return watch.was_violated(message, trial)


def caught(defect: str, message: str) -> None:
    """
    Record that the assertion *message* caught the seeded defect *defect*.

    Reports of the run then list its invariant as *defect-tested*.
    """
    commit = os.environ.get(COMMIT_ENV) or find_commit(recorder.root)
    body = {"defect": defect, "message": message, "commit": commit}
    recorder.note(shard.PROOF, body)
