"""
Comparisons and named propositions: assertions that also record how close they came.

The record is *guidance* on the wire: the extreme of ``left - right``, or of the number of
propositions that held at once.  Reports show it, and guided search builds on the trials that came
closest.

Each function is made from its row in the table of forms.  Source of names and meaning: the
Antithesis SDKs; ``equal_to`` is ours.
"""

from __future__ import annotations

import operator

from .. import forms
from ..forms import Form
from ..recording import fast_path, interrupts
from ..recording.recorder import recorder
from ..recording.reprs import bounded_repr
from ..recording.settings import OFF
from . import primitives
from .primitives import caller, count, merged, refuse, truths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from .primitives import Condition, Details

primitives.internal(__file__)


class Rich(forms.Rich):
    """The functions of the rich forms, each in place of its row in the table."""

    __slots__ = ()


# -- comparisons -------------------------------------------------------------

_COMPARISON = """
Assert that {about}{closeness}.

Args:
    left: The left operand; any object that can be compared with *right*.
    right: The right operand.
    message: The name of the assertion: a string literal used only at this call site.
    details: As for `{base}`; ``left`` and ``right`` are added to them.
    invariant: Id of the catalog entry that the assertion cites, or None to cite no entry.

Returns:
    Whether the comparison holds.  A comparison that raises is recorded as an error, and the result
    is False.
{raises}"""


def _comparison(form: Form) -> Callable[..., bool]:
    holds: Callable[[Any, Any], object] = getattr(operator, form.relation)

    def compare(
        left: object,
        right: object,
        message: str,
        details: Details | None = None,
        *,
        invariant: str | None = None,
    ) -> bool:
        # Compared in each mode, since the result is returned even with recording off.
        try:
            outcome = bool(holds(left, right))
        except Exception as error:
            interrupts.reraise(error)
            return refuse(message, f"its operands cannot be compared: {bounded_repr(error)}")
        if recorder.mode == OFF:
            return _unrecorded(form, outcome, message)
        data = {"left": left, "right": right}
        try:
            return count(form.kind, outcome, message, lambda: merged(details, data), invariant)
        finally:
            # After the hit, since readers of the wire attach guidance to an assertion that has been
            # declared; and in a `finally`, so that a violation that raises is followed by its
            # guidance.
            if form.guidance is not None:
                _guide_gap(form, message, left, right)

    return compare


def _unrecorded(form: Form, outcome: bool, message: str) -> bool:
    """Move *message* to the fast path with recording off, and return *outcome*."""
    try:
        if not fast_path.counted(form.kind, outcome, message):
            recorder.ignore(form.kind, message, outcome, _beyond_all(form))
    except Exception as error:
        interrupts.reraise(error)
    return outcome


def _beyond_all(form: Form) -> float | None:
    """A mark that no value of guidance exceeds; None for a form without guidance."""
    if form.guidance is None:
        return None
    return float("inf") if form.maximize else float("-inf")


def _guide_gap(form: Form, message: str, left: object, right: object) -> None:
    """Record ``left - right`` if it is a new extreme; some operands have no difference."""
    # Such a message has been reported as an error by then.
    if not isinstance(message, str):
        return
    try:
        gap = float(left - right)  # type: ignore[operator]
        if not _is_extreme(form, message, gap):
            return
        if not (_is_finite(left) and _is_finite(right)):
            recorder.warn_not_finite(message)
            return
        _guide(form, message, gap, {"left": left, "right": right})
    except Exception as error:
        interrupts.reraise(error)
        # Texts and other operands without a numeric gap, or one beyond all floats: the comparison
        # counts without guidance.
        return


def _guide(form: Form, message: str, value: float, data: Mapping[str, object]) -> None:
    assert form.guidance is not None
    recorder.guide(message, form.guidance, value, data, caller(), maximize=form.maximize)


def _is_extreme(form: Form, message: str, value: float) -> bool:
    # A filter without the lock.  A mark that is out of date costs a call of the recorder, which
    # compares again under its lock.
    best = fast_path.marks.get(message)
    return best is None or (value > best if form.maximize else value < best)


def _is_finite(value: object) -> bool:
    number = float(value)  # type: ignore[arg-type]
    # For infinities and NaN the difference is NaN.
    return number - number == 0.0


# -- named propositions ------------------------------------------------------

_PROPOSITIONS = """
Assert that {about}{closeness}.

Args:
    named_bools: The propositions by name: bools or objects with a truth value, not callables.
        For an empty mapping, the result is that of `{builtin}`: {empty}.
    message: The name of the assertion: a string literal used only at this call site.
    details: As for `{base}`; the propositions are added to them.
    invariant: Id of the catalog entry that the assertion cites, or None to cite no entry.

Returns:
    Whether the assertion holds.  Propositions without a truth value are recorded as an error and
    return False.
{raises}"""


def _propositions(form: Form) -> Callable[..., bool]:
    together: Callable[[Collection[bool]], bool] = _together(form)

    def combine(
        named_bools: Mapping[str, Condition],
        message: str,
        details: Details | None = None,
        *,
        invariant: str | None = None,
    ) -> bool:
        # Evaluated once, into a copy: outcome, details and guidance must agree, whatever the
        # mapping computes at each access.
        try:
            named = truths(named_bools)
        except Exception as error:
            interrupts.reraise(error)
            return refuse(message, f"its propositions have no truth values: {bounded_repr(error)}")
        outcome = together(named.values())
        if recorder.mode == OFF:
            return _unrecorded(form, outcome, message)
        try:
            return count(form.kind, outcome, message, lambda: merged(details, named), invariant)
        finally:
            _guide_frontier(form, message, named)

    return combine


def _together(form: Form) -> Callable[[Collection[bool]], bool]:
    return all if form.relation == "eq" else any


def _guide_frontier(form: Form, message: str, named: Mapping[str, bool]) -> None:
    """Record how many propositions are true at once if there were never more, or fewer."""
    if not isinstance(message, str):
        return
    holding = sum(named.values())
    try:
        if _is_extreme(form, message, holding):
            _guide(form, message, holding, named)
    except Exception as error:
        interrupts.reraise(error)


# -- from the table ------------------------------------------------------------

_RAISES = """
Raises:
    InvariantViolation: The assertion is violated and the mode is ``raise``.
"""


def _documented(form: Form, text: str) -> str:
    together = _together(form)
    return text.strip("\n").format(
        about=form.about,
        closeness="" if form.guidance is None else ", and record how close it came",
        base=form.kind.name,
        builtin=together.__name__,
        empty=together(()),
        raises=_RAISES if form.kind.violated_by_false else "",
    )


def _function(form: Form) -> Callable[..., bool]:
    makes, text = {
        "comparison": (_comparison, _COMPARISON),
        "propositions": (_propositions, _PROPOSITIONS),
    }[form.shape]
    function = makes(form)
    function.__name__ = function.__qualname__ = form.name
    # The public place, which pickle looks functions up in.
    function.__module__ = "assertlib"
    function.__doc__ = _documented(form, text)
    return fast_path.accelerated(form)(function)


for _form in forms.RICH:
    setattr(Rich, _form.name, _function(_form))
