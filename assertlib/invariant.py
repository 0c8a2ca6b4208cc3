"""
Invariants as objects: what assertions protect, named once per module.
"""

from __future__ import annotations

import time

from . import comparisons, derived, primitives
from .model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    REACHABLE,
    SOMETIMES,
    UNREACHABLE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .primitives import BoundCondition, BoundPoint, Condition, Details

primitives.internal(__file__)


class Invariant:
    """
    An entry of the catalog, as code names it.

    Args:
        id: ``area.kebab-name``, or ``area.kebab-name#clause`` for one of its
            clauses.  ``assertlib check`` reports an id that the catalog lacks.
    """

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        self.id = id

    def __repr__(self) -> str:
        return f"<Invariant {self.id}>"

    def always(
        self,
        condition: Condition,
        message: str,
        details: Details | None = None,
        *,
        every: int = 1,
    ) -> bool:
        """`assertlib.always` for this invariant."""
        return primitives.always(condition, message, details, invariant=self.id, every=every)

    def always_or_unreachable(
        self,
        condition: Condition,
        message: str,
        details: Details | None = None,
        *,
        every: int = 1,
    ) -> bool:
        """`assertlib.always_or_unreachable` for this invariant."""
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
        """`assertlib.sometimes` for this invariant."""
        return primitives.sometimes(condition, message, details, invariant=self.id, every=every)

    def reachable(self, message: str, details: Details | None = None) -> bool:
        """`assertlib.reachable` for this invariant."""
        return primitives.reachable(message, details, invariant=self.id)

    def unreachable(self, message: str, details: Details | None = None) -> bool:
        """`assertlib.unreachable` for this invariant."""
        return primitives.unreachable(message, details, invariant=self.id)

    def always_greater_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.always_greater_than` for this invariant."""
        return comparisons.always_greater_than(left, right, message, details, invariant=self.id)

    def always_greater_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.always_greater_than_or_equal_to` for this invariant."""
        return comparisons.always_greater_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def always_less_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.always_less_than` for this invariant."""
        return comparisons.always_less_than(left, right, message, details, invariant=self.id)

    def always_less_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.always_less_than_or_equal_to` for this invariant."""
        return comparisons.always_less_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def sometimes_greater_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.sometimes_greater_than` for this invariant."""
        return comparisons.sometimes_greater_than(left, right, message, details, invariant=self.id)

    def sometimes_greater_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.sometimes_greater_than_or_equal_to` for this invariant."""
        return comparisons.sometimes_greater_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def sometimes_less_than(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.sometimes_less_than` for this invariant."""
        return comparisons.sometimes_less_than(left, right, message, details, invariant=self.id)

    def sometimes_less_than_or_equal_to(
        self, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.sometimes_less_than_or_equal_to` for this invariant."""
        return comparisons.sometimes_less_than_or_equal_to(
            left, right, message, details, invariant=self.id
        )

    def always_some(
        self,
        named_bools: Mapping[str, Condition],
        message: str,
        details: Details | None = None,
    ) -> bool:
        """`assertlib.always_some` for this invariant."""
        return comparisons.always_some(named_bools, message, details, invariant=self.id)

    def sometimes_all(
        self,
        named_bools: Mapping[str, Condition],
        message: str,
        details: Details | None = None,
    ) -> bool:
        """`assertlib.sometimes_all` for this invariant."""
        return comparisons.sometimes_all(named_bools, message, details, invariant=self.id)

    def always_if(
        self,
        antecedent: Condition,
        consequent: Callable[[], Condition],
        message: str,
        details: Details | None = None,
    ) -> bool:
        """`assertlib.always_if` for this invariant."""
        return derived.always_if(antecedent, consequent, message, details, invariant=self.id)

    def sometimes_both(
        self, condition: Condition, message: str, details: Details | None = None
    ) -> bool:
        """`assertlib.sometimes_both` for this invariant."""
        return derived.sometimes_both(condition, message, details, invariant=self.id)

    def sometimes_each(
        self,
        value: object,
        message: str,
        details: Details | None = None,
        *,
        expected: Collection[object],
    ) -> bool:
        """`assertlib.sometimes_each` for this invariant."""
        return derived.sometimes_each(value, message, details, expected=expected, invariant=self.id)

    def within(
        self,
        seconds: float,
        message: str,
        details: Details | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> derived.within:
        """`assertlib.within` for this invariant."""
        return derived.within(seconds, message, details, clock=clock, invariant=self.id)

    def declare_always(self, message: str) -> BoundCondition:
        """An `always` bound to its name: the fastest form, made once per module."""
        return primitives.bind_condition(ALWAYS, message, self.id)

    def declare_always_or_unreachable(self, message: str) -> BoundCondition:
        """An `always_or_unreachable` bound to its name."""
        return primitives.bind_condition(ALWAYS_OR_UNREACHABLE, message, self.id)

    def declare_sometimes(self, message: str) -> BoundCondition:
        """A `sometimes` bound to its name."""
        return primitives.bind_condition(SOMETIMES, message, self.id)

    def declare_reachable(self, message: str) -> BoundPoint:
        """A `reachable` bound to its name."""
        return primitives.bind_point(REACHABLE, message, self.id)

    def declare_unreachable(self, message: str) -> BoundPoint:
        """An `unreachable` bound to its name."""
        return primitives.bind_point(UNREACHABLE, message, self.id)
