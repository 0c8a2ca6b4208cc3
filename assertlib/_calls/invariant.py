"""
Invariants as objects: the catalog entries that assertions protect, named once per module.
"""

from __future__ import annotations

import time

from ..model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    REACHABLE,
    SOMETIMES,
    UNREACHABLE,
)
from . import comparisons, derived, primitives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .primitives import BoundCondition, BoundPoint, Condition, Details

primitives.internal(__file__)


class Invariant:
    """
    A reference from code to an entry of the catalog.

    Each method is the assertion of the same name in `assertlib`, citing this entry.  All but
    `within` and the declarations evaluate the assertion and return a bool.

    Args:
        id: ``area.kebab-name``; with ``#clause`` or ``#state`` behind it, one clause or state of
            the entry.  ``assertlib check`` reports an id that the catalog lacks.

    Example:
        >>> REVISION = Invariant("kv.revision-monotonic")
        >>> REVISION.always(6 > 5, "apply moves the revision forward", {"from": 5})
        True
    """

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        # Not checked here: a store runs without its catalog.
        self.id = id

    def __repr__(self) -> str:
        return f"<Invariant {self.id}>"

    # The methods are spelled out, since generated ones would hide their parameters from type
    # checkers and from `inspect.signature`.  tests/test_invariant.py compares each signature with
    # that of its assertion.

    def always(
        self,
        condition: Condition,
        message: str,
        details: Details | None = None,
        *,
        every: int = 1,
    ) -> bool:
        """
        Assert that *condition* holds on every evaluation, and that a full run evaluates it.

        Args:
            condition: A bool, an object with a truth value, or a lambda or local function that
                returns one; see `assertlib.always`.
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.
            every: Sampling interval of a callable condition, as a number of evaluations; 1
                evaluates each call.

        Returns:
            The truth of the condition; True if it was skipped, False if it could not be evaluated.

        Raises:
            InvariantViolation: The condition is false, in mode ``raise``.
        """
        return primitives.always(condition, message, details, invariant=self.id, every=every)

    def always_or_unreachable(
        self,
        condition: Condition,
        message: str,
        details: Details | None = None,
        *,
        every: int = 1,
    ) -> bool:
        """
        Assert that *condition* holds on every evaluation, if there is any.

        Args:
            condition: A bool, an object with a truth value, or a lambda or local function that
                returns one; see `assertlib.always_or_unreachable`.
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.
            every: Sampling interval of a callable condition, as a number of evaluations; 1
                evaluates each call.

        Returns:
            The truth of the condition; True if it was skipped, False if it could not be evaluated.

        Raises:
            InvariantViolation: The condition is false, in mode ``raise``.
        """
        return primitives.always_or_unreachable(
            condition, message, details, invariant=self.id, every=every
        )

    def sometimes(
        self,
        condition: Condition,
        message: str,
        details: Details | None = None,
        *,
        every: int = 1,
    ) -> bool:
        """
        Assert that *condition* holds at least once in a run.

        Args:
            condition: A bool, an object with a truth value, or a lambda or local function that
                returns one; see `assertlib.sometimes`.
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.
            every: Sampling interval of a callable condition, as a number of evaluations; 1
                evaluates each call.

        Returns:
            The truth of the condition; True if it was skipped, False if it could not be evaluated.
        """
        return primitives.sometimes(condition, message, details, invariant=self.id, every=every)

    def reachable(self, message: str, details: Details | None = None) -> bool:
        """
        Assert that this line is reached at least once in a run.

        Args:
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.

        Returns:
            True.
        """
        return primitives.reachable(message, details, invariant=self.id)

    def unreachable(self, message: str, details: Details | None = None) -> bool:
        """
        Assert that this line is never reached.

        Args:
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.

        Returns:
            False.

        Raises:
            InvariantViolation: The line was reached, in mode ``raise``.
        """
        return primitives.unreachable(message, details, invariant=self.id)

    def always_greater_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left > right`` on every evaluation.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `always`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.

        Raises:
            InvariantViolation: The comparison is false, in mode ``raise``.
        """
        return comparisons.always_greater_than(left, right, message, details, invariant=self.id)

    def always_greater_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left >= right`` on every evaluation.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `always`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.

        Raises:
            InvariantViolation: The comparison is false, in mode ``raise``.
        """
        return comparisons.always_greater_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def always_less_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left < right`` on every evaluation.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `always`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.

        Raises:
            InvariantViolation: The comparison is false, in mode ``raise``.
        """
        return comparisons.always_less_than(left, right, message, details, invariant=self.id)

    def always_less_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left <= right`` on every evaluation.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `always`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.

        Raises:
            InvariantViolation: The comparison is false, in mode ``raise``.
        """
        return comparisons.always_less_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def sometimes_greater_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left > right`` at least once in a run.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `sometimes`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.
        """
        return comparisons.sometimes_greater_than(left, right, message, details, invariant=self.id)

    def sometimes_greater_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left >= right`` at least once in a run.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `sometimes`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.
        """
        return comparisons.sometimes_greater_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def sometimes_less_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left < right`` at least once in a run.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `sometimes`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.
        """
        return comparisons.sometimes_less_than(left, right, message, details, invariant=self.id)

    def sometimes_less_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that ``left <= right`` at least once in a run.

        Args:
            left: The left operand; any object that compares with *right*.
            right: The right operand.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `sometimes`; the operands are added to them.

        Returns:
            Whether the comparison holds; False if it raises.
        """
        return comparisons.sometimes_less_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def always_some(
        self,
        named_bools: Mapping[str, Condition],
        message: str,
        details: Details | None = None,
    ) -> bool:
        """
        Assert that at least one of several propositions holds on every evaluation.

        Args:
            named_bools: The propositions by name: bools or objects with a truth value.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `always`; the propositions are added to them.

        Returns:
            Whether one holds.

        Raises:
            InvariantViolation: None of them holds, in mode ``raise``.
        """
        return comparisons.always_some(named_bools, message, details, invariant=self.id)

    def sometimes_all(
        self,
        named_bools: Mapping[str, Condition],
        message: str,
        details: Details | None = None,
    ) -> bool:
        """
        Assert that several propositions hold at the same time at least once in a run.

        Args:
            named_bools: The propositions by name: bools or objects with a truth value.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `sometimes`; the propositions are added to them.

        Returns:
            Whether all hold.
        """
        return comparisons.sometimes_all(named_bools, message, details, invariant=self.id)

    def always_if(
        self,
        antecedent: Condition,
        consequent: Callable[[], Condition],
        message: str,
        details: Details | None = None,
    ) -> bool:
        """
        Assert that *consequent* holds on every evaluation in which *antecedent* does.

        Args:
            antecedent: When the claim applies: a condition as for `always`.
            consequent: What must hold then: a lambda or local function, called only then.
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.

        Returns:
            The truth of the consequent; True if the antecedent does not hold.

        Raises:
            InvariantViolation: The consequent is false, in mode ``raise``.
        """
        return derived.always_if(antecedent, consequent, message, details, invariant=self.id)

    def sometimes_both(
        self, condition: Condition, message: str, details: Details | None = None
    ) -> bool:
        """
        Assert that *condition* is true at least once, and false at least once, in a run.

        Args:
            condition: A condition as for `sometimes`, evaluated once per call.
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.

        Returns:
            The truth of the condition.
        """
        return derived.sometimes_both(condition, message, details, invariant=self.id)

    def sometimes_each(
        self,
        value: object,
        message: str,
        details: Details | None = None,
        *,
        expected: Collection[object],
    ) -> bool:
        """
        Assert that *value* takes each of the *expected* values at least once in a run.

        Args:
            value: The current value.
            message: A string literal, used at this call site only: the name of the assertion.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.
            expected: The values to be seen, such as an enum, a range or a tuple of strings.

        Returns:
            Whether *value* is one of the expected values.
        """
        return derived.sometimes_each(value, message, details, expected=expected, invariant=self.id)

    def within(
        self,
        seconds: float,
        message: str,
        details: Details | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> derived.within:
        """
        Assert that a block finishes within *seconds* and does not raise.

        Args:
            seconds: Time limit in seconds.
            message: A string literal, used at this call site only: the name of the assertion.
            details: As for `always`; the time taken and the limit are added to them.
            clock: Returns the current time in seconds; replaced in tests and in simulated time.

        Returns:
            A context manager, sync and async.  In mode ``raise``, its end raises an
            `InvariantViolation` for a block that is late or raised.
        """
        return derived.within(seconds, message, details, clock=clock, invariant=self.id)

    def declare_always(self, message: str) -> BoundCondition:
        """
        Declare an `always` with a fixed name: the fastest form, for hot code.

        Declare bound assertions at the top of a module, so that a run lists them even if they are
        never hit.

        Args:
            message: A string literal: the name of the assertion.

        Returns:
            A callable of *condition* and, optionally, *details*, to be called at one place.
        """
        return primitives.bind_condition(ALWAYS, message, self.id)

    def declare_always_or_unreachable(self, message: str) -> BoundCondition:
        """Declare an `always_or_unreachable` with a fixed name; see `declare_always`."""
        return primitives.bind_condition(ALWAYS_OR_UNREACHABLE, message, self.id)

    def declare_sometimes(self, message: str) -> BoundCondition:
        """Declare a `sometimes` with a fixed name; see `declare_always`."""
        return primitives.bind_condition(SOMETIMES, message, self.id)

    def declare_reachable(self, message: str) -> BoundPoint:
        """Declare a `reachable` with a fixed name; see `declare_always`."""
        return primitives.bind_point(REACHABLE, message, self.id)

    def declare_unreachable(self, message: str) -> BoundPoint:
        """Declare an `unreachable` with a fixed name; see `declare_always`."""
        return primitives.bind_point(UNREACHABLE, message, self.id)
