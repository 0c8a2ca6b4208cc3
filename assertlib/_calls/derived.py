"""
Derived assertions: each expands to ordinary ones with names of their own.

Readers of the wire format that support ordinary assertions only therefore judge them correctly.
"""

from __future__ import annotations

import time

from ..model import (
    ALWAYS,
    OTHER_BUCKET,
    antecedent_message,
    bucket_message,
    bucket_of,
    false_message,
)
from ..recording import fast_path, interrupts
from ..recording.recorder import recorder
from ..recording.reprs import bounded_repr
from ..recording.settings import OFF
from . import primitives
from .primitives import (
    InvariantViolation,
    always_or_unreachable,
    caller,
    evaluate,
    merged,
    record_at,
    refuse,
    sometimes,
)

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
    Assert that *consequent* holds on every evaluation in which *antecedent* does.

    The antecedent is recorded as a sometimes of its own, ``message [antecedent]``.  If it was
    evaluated and never held, the verdict is vacuous instead of satisfied.

    Args:
        antecedent: When the claim applies: a condition as for `always`.
        consequent: What must hold then: a lambda or local function without required arguments,
            called only if the antecedent holds.
        message: The name of the assertion: a string literal used only at this call site.
        details: As for `always`; recorded with both halves.
        invariant: Id of the catalog entry that the assertion protects, or None to cite no entry.

    Returns:
        The truth of the consequent; True if the antecedent is false or could not be evaluated.

    Raises:
        InvariantViolation: The antecedent holds and the consequent is false, in mode ``raise``.
    """
    # An antecedent that could not be evaluated has been reported by then, and also returns False:
    # the consequent is not put to the test.
    name = _derived(antecedent_message, message)
    if not sometimes(antecedent, name, details, invariant=invariant):
        return True
    if not callable(consequent):
        return refuse(message, "the consequent of always_if must be a callable: write lambda: …")
    # An always would be reported as unreached if the antecedent never holds, which the antecedent's
    # own assertion reports already.
    return always_or_unreachable(consequent, message, details, invariant=invariant)


def sometimes_both(
    condition: Condition,
    message: str,
    details: Details | None = None,
    *,
    invariant: str | None = None,
) -> bool:
    """
    Assert that *condition* is true at least once, and false at least once, in a run.

    The second half is recorded as a sometimes of its own, ``message [false]``.

    Args:
        condition: A condition as for `always`, evaluated once per call.
        message: The name of the assertion: a string literal used only at this call site.
        details: As for `sometimes`; recorded with both halves.
        invariant: Id of the catalog entry that the assertion puts to the test, or None to cite no
            entry.

    Returns:
        The truth of the condition; False if it could not be evaluated, and True for a callable
        with recording off.
    """
    # `evaluate` calls a callable in each mode; `sometimes` does not with recording off.
    if recorder.mode == OFF:
        return sometimes(condition, message, details, invariant=invariant)
    # Evaluated here, once: the two halves must see the same outcome, and an error must count for
    # neither of them.
    outcome = evaluate(condition, message)
    if outcome is None:
        return False
    sometimes(outcome, message, details, invariant=invariant)
    sometimes(not outcome, _derived(false_message, message), details, invariant=invariant)
    return outcome


# By message, from each expected bucket to the name of its assertion.  A message has one call site,
# so the *expected* of its first call stands for all.
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
    Assert that *value* takes each of the *expected* values at least once in a run.

    Each of them is recorded as a sometimes of its own, ``message [bucket=value]``.  Other values
    are counted in ``message [bucket=other]``, which may stay empty.

    Args:
        value: The current value.  Its bucket is named by its text, by the name of an enum's
            member, or else by its ``repr``.
        message: The name of the assertion: a string literal used only at this call site.
        details: As for `sometimes`.
        expected: The values to be seen, such as an enum, a range or a tuple of strings.  It is
            read at the first call only.  ``assertlib check`` has to be able to resolve it from the
            source.
        invariant: Id of the catalog entry that the assertion puts to the test, or None to cite no
            entry.

    Returns:
        Whether *value* is one of the expected values.  A value that could not be assigned to a
        bucket is recorded as an error and returns False.
    """
    # Reported by `sometimes`, as for each other call; no bucket can be named after it.
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
        return refuse(
            message, f"its value could not be assigned to a bucket: {bounded_repr(error)}"
        )
    # Not a sometimes: a value outside of *expected* may appear, and need not.
    if name is None:
        other = bucket_message(message, OTHER_BUCKET)
        always_or_unreachable(True, other, details, invariant=invariant)
        return False
    return sometimes(True, name, details, invariant=invariant)


# Names are made once: the hot path would otherwise build, and hash, a string per call.
_derived_names: dict[tuple[Callable[[str], str], str], str] = {}


def _derived(name: Callable[[str], str], message: str) -> str:
    if not isinstance(message, str):
        # The recorder reports it.
        return message
    # Only plain strings are looked up: the class of another may define any method.
    if type(message) is not str:
        return name(str.__str__(message))
    found = _derived_names.get((name, message))
    if found is None:
        found = _derived_names[name, message] = name(message)
    return found


class within:
    """
    Assert that a block finishes within *seconds* and does not raise.

    A context manager, sync and async.  A block that ends late, or with an exception, is a false
    hit of an always.  One that is cancelled, or still open when the process dies, is not counted.

    Args:
        seconds: Time limit in seconds.
        message: The name of the assertion: a string literal used only at this call site.
        details: As for `always`; the ``seconds`` taken, the ``limit`` and the class of an
            ``exception`` are added to them.
        clock: Returns the current time in seconds; replaced in tests and in simulated time.
        invariant: Id of the catalog entry that the assertion protects, or None to cite no entry.

    Raises:
        InvariantViolation: At the end of a block that is late or raised, in mode ``raise``.
    """

    # The default clock is bound at import, so that a test of the store that patches
    # `time.monotonic` does not change what is recorded.
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
        """Return the time; None with recording off, or if the clock failed, which is recorded."""
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
        # CancelledError, KeyboardInterrupt and SystemExit do not derive from Exception: the block
        # was not allowed to finish, which proves nothing about it.  A violation inside of the
        # block has been recorded already, under its own name.
        if kind is not None and (
            not issubclass(kind, Exception) or issubclass(kind, InvariantViolation)
        ):
            return
        # No start: recording was off when the block was entered, or the clock failed.
        end = None if self._start is None else self._now()
        if self._start is None or end is None:
            return
        took = end - self._start
        try:
            in_time = took <= self._seconds
        except Exception as failure:
            interrupts.reraise(failure)
            refuse(self._message, f"its time limit is not a number: {bounded_repr(failure)}")
            return
        # A block in time is counted like any true hit; its facts are for records.
        if kind is None and in_time and fast_path.counted(ALWAYS, True, self._message):
            return
        facts: dict[str, object] = {"seconds": took, "limit": self._seconds}
        if kind is not None:
            facts["exception"] = kind.__name__
        # The frame of the caller is at the end of the block, not at a call with a condition, so
        # there is nothing to capture.
        record_at(
            caller(captures=False),
            ALWAYS,
            kind is None and in_time,
            self._message,
            lambda: merged(self._details, facts),
            self._invariant,
        )

    # Neither end awaits anything, so the time of other tasks counts only if they run inside.
    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
