"""
Invariants as objects: the catalog entries that assertions protect, named once per module.
"""

from __future__ import annotations

import time

from .. import forms
from ..forms import Form
from ..model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    REACHABLE,
    SOMETIMES,
    UNREACHABLE,
)
from ..recording import fast_path
from . import comparisons, derived, liveness, primitives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from .primitives import BoundCondition, BoundPoint, Condition, Details

primitives.internal(__file__)


class Invariant(forms.Plain, forms.Rich):
    """
    A reference from code to an entry of the catalog.

    Each method is the assertion of the same name in `assertlib`, citing this entry.  All but
    `within` and the declarations evaluate the assertion and return a bool.  The methods of forms
    that make one ordinary assertion come from the table of forms.

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
            message: The name of the assertion: a string literal used only at this call site.
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
            message: The name of the assertion: a string literal used only at this call site.
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
            message: The name of the assertion: a string literal used only at this call site.
            details: A mapping, or a callable that returns one; evaluated only when a record is
                written.  None records no details.
            expected: The values to be seen, such as an enum, a range or a tuple of strings.

        Returns:
            Whether *value* is one of the expected values.
        """
        return derived.sometimes_each(value, message, details, expected=expected, invariant=self.id)

    def eventually(
        self,
        condition: Callable[[], object],
        message: str,
        details: Details | None = None,
        *,
        after_faults_stop: float,
    ) -> Coroutine[object, object, bool]:
        """
        Assert that *condition* becomes true in time once faults have stopped.

        Args:
            condition: A function without arguments, which may be a coroutine function.
            message: The name of the assertion: a string literal used only at this call site.
            details: As for `always`; the time limit and the last error are added to them.
            after_faults_stop: Time limit in seconds.

        Returns:
            A coroutine that returns whether the condition became true in time; see `eventually`.
        """
        return liveness.eventually(
            condition,
            message,
            details,
            after_faults_stop=after_faults_stop,
            invariant=self.id,
        )

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
            message: The name of the assertion: a string literal used only at this call site.
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


def _condition(function: Callable[..., bool]) -> Callable[..., bool]:
    def method(
        self: Invariant,
        condition: Condition,
        message: str,
        details: Details | None = None,
        *,
        every: int = 1,
    ) -> bool:
        return function(condition, message, details, invariant=self.id, every=every)

    return method


def _point(function: Callable[..., bool]) -> Callable[..., bool]:
    def method(self: Invariant, message: str, details: Details | None = None) -> bool:
        return function(message, details, invariant=self.id)

    return method


def _comparison(function: Callable[..., bool]) -> Callable[..., bool]:
    def method(
        self: Invariant, left: object, right: object, message: str, details: Details | None = None
    ) -> bool:
        return function(left, right, message, details, invariant=self.id)

    return method


def _propositions(function: Callable[..., bool]) -> Callable[..., bool]:
    def method(
        self: Invariant,
        named_bools: Mapping[str, Condition],
        message: str,
        details: Details | None = None,
    ) -> bool:
        return function(named_bools, message, details, invariant=self.id)

    return method


_SHAPES = {
    "condition": _condition,
    "point": _point,
    "comparison": _comparison,
    "propositions": _propositions,
}


def _method(form: Form) -> Callable[..., bool]:
    function = getattr(comparisons.Rich if form.relation else primitives, form.name)
    method = _SHAPES[form.shape](function)
    method.__name__ = form.name
    method.__qualname__ = f"{Invariant.__name__}.{form.name}"
    method.__doc__ = (
        f"Assert that {form.about}.\n\n"
        f"The parameters and the result are those of `assertlib.{form.name}`."
    )
    # An unreachable has nothing to count without a record: each hit is a violation.
    if form.kind is UNREACHABLE:
        return method
    return fast_path.accelerated_method(method, form, Invariant)


for _form in forms.ORDINARY:
    setattr(Invariant, _form.name, _method(_form))
