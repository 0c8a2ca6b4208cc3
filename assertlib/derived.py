"""
Derived assertions: each is made of ordinary ones with names of their own, so
that readers which know only those judge them rightly.
"""

from __future__ import annotations

import time

from . import primitives
from .model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    OTHER_BUCKET,
    antecedent_message,
    bucket_message,
    bucket_of,
    false_message,
)
from .primitives import (
    InvariantViolation,
    always_or_unreachable,
    caller,
    evaluate,
    merged,
    record_at,
    refuse,
    slow_path,
    sometimes,
)
from .recording import interrupts
from .recording.recorder import recorder
from .recording.reprs import bounded_repr
from .recording.settings import OFF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType
    from typing import Self

    from .primitives import Condition, Details

primitives.internal(__file__)


def always_if(
    antecedent: Condition,
    consequent: Callable[[], Condition],
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Claim that *consequent* holds each time that *antecedent* does.

    *consequent* is a callable, evaluated only then.  The antecedent is an
    assertion of its own, ``message [antecedent]``, so that a claim whose
    antecedent never held is distinguished from one that was evaluated.
    """
    name = _derived(antecedent_message, message)
    if not sometimes(antecedent, name, details, invariant=invariant):
        return True
    if not callable(consequent):
        return refuse(message, "the consequent of always_if must be a callable: write lambda: …")
    return slow_path(ALWAYS_OR_UNREACHABLE, consequent, message, details, invariant)


def sometimes_both(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """Claim that *condition* is seen true and seen false in a run (``message [false]``)."""
    if recorder.mode == OFF:
        return sometimes(condition, message, details, invariant=invariant)
    outcome = evaluate(condition, message)
    if outcome is None:
        return False
    sometimes(outcome, message, details, invariant=invariant)
    sometimes(not outcome, _derived(false_message, message), details, invariant=invariant)
    return outcome


_buckets: dict[str, dict[str, str]] = {}


def sometimes_each(
    value: object,
    message: str,
    details: Details | None = None,
    *,
    expected: Collection[object],
    invariant: str | None = None,
) -> bool:
    """
    Claim that *value* takes each of the *expected* values in a run.

    Each is an assertion of its own, ``message [bucket=value]``; values not
    expected fall into ``message [bucket=other]``, which may stay empty.

    Returns:
        Whether *value* is one of the expected ones.
    """
    if not isinstance(message, str):
        return sometimes(True, message, details, invariant=invariant)
    try:
        names = _buckets.get(message)
        if names is None:
            names = {bucket_of(each): "" for each in expected}
            names = {bucket: bucket_message(message, bucket) for bucket in names}
            _buckets[message] = names
        name = names.get(bucket_of(value))
    except Exception as error:
        interrupts.reraise(error)
        return refuse(message, f"its value falls into no bucket: {bounded_repr(error)}")
    if name is None:
        other = bucket_message(message, OTHER_BUCKET)
        always_or_unreachable(True, other, details, invariant=invariant)
        return False
    return sometimes(True, name, details, invariant=invariant)


_derived_names: dict[tuple[Callable[[str], str], str], str] = {}


def _derived(name: Callable[[str], str], message: str) -> str:
    if not isinstance(message, str):
        # The recorder reports it.
        return message
    found = _derived_names.get((name, message))
    if found is None:
        found = _derived_names[name, message] = name(message)
    return found


class within:
    """
    Claim that the block is left, without an exception, after at most *seconds*.

    A context manager, sync and async.  Late, or left by an exception, is
    false; cancelled, or still open when the process dies, is neither.

    Args:
        seconds: The longest it may take.
        clock: Tells the time in seconds; for tests and simulated time.
    """

    def __init__(
        self,
        seconds: float,
        message: str,
        details: Details | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        invariant: str | None = None,
    ) -> None:
        self._seconds = seconds
        self._message = message
        self._details = details
        self._clock = clock
        self._invariant = invariant
        self._start: float | None = None

    def __enter__(self) -> Self:
        """Start the clock."""
        self._start = self._now()
        return self

    def _now(self) -> float | None:
        """The time, None, and a trouble recorded, if the clock fails."""
        if recorder.mode == OFF:
            return None
        try:
            return float(self._clock())
        except Exception as error:
            interrupts.reraise(error)
            refuse(self._message, f"its clock raised {bounded_repr(error)}")
            return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Cancellation, KeyboardInterrupt and SystemExit are no Exceptions: the
        # block was not allowed to finish, which proves nothing about it.
        # A violation inside has been recorded already.
        if kind is not None and (
            not issubclass(kind, Exception) or issubclass(kind, InvariantViolation)
        ):
            return
        end = None if self._start is None else self._now()
        if self._start is None or end is None:
            return
        took = end - self._start
        try:
            in_time = took <= self._seconds
        except Exception as trouble:
            interrupts.reraise(trouble)
            refuse(self._message, f"its seconds are no number: {bounded_repr(trouble)}")
            return
        facts: dict[str, object] = {"seconds": took, "limit": self._seconds}
        if kind is not None:
            facts["exception"] = kind.__name__
        record_at(
            caller(captures=False),
            ALWAYS,
            kind is None and in_time,
            self._message,
            lambda: merged(self._details, facts),
            self._invariant,
        )

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
