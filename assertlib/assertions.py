"""
The assertions under the module and function names of the Antithesis Python SDK.

Code written for that SDK works after its import is changed from ``antithesis.assertions`` to
``assertlib.assertions``.  Source: antithesis 0.4.0.
"""

from __future__ import annotations

from ._calls import primitives
from ._calls.comparisons import Rich
from ._calls.primitives import always, always_or_unreachable, reachable, sometimes, unreachable
from .model import Location, kind_displayed
from .recording.hits import Elsewhere
from .recording.recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

primitives.internal(__file__)

always_greater_than = Rich.always_greater_than
always_greater_than_or_equal_to = Rich.always_greater_than_or_equal_to
always_less_than = Rich.always_less_than
always_less_than_or_equal_to = Rich.always_less_than_or_equal_to
always_some = Rich.always_some
sometimes_all = Rich.sometimes_all
sometimes_greater_than = Rich.sometimes_greater_than
sometimes_greater_than_or_equal_to = Rich.sometimes_greater_than_or_equal_to
sometimes_less_than = Rich.sometimes_less_than
sometimes_less_than_or_equal_to = Rich.sometimes_less_than_or_equal_to

__all__ = [
    "always",
    "always_greater_than",
    "always_greater_than_or_equal_to",
    "always_less_than",
    "always_less_than_or_equal_to",
    "always_or_unreachable",
    "always_some",
    "assert_raw",
    "reachable",
    "sometimes",
    "sometimes_all",
    "sometimes_greater_than",
    "sometimes_greater_than_or_equal_to",
    "sometimes_less_than",
    "sometimes_less_than_or_equal_to",
    "unreachable",
]


def assert_raw(
    condition: bool,
    message: str,
    details: Mapping[str, object] | None,
    loc_filename: str,
    loc_function: str,
    loc_class: str,
    loc_begin_line: int,
    loc_begin_column: int,
    hit: bool,
    must_hit: bool,
    assert_type: str,
    display_type: str,
    assert_id: str,
    guidance_data: Mapping[str, object] | None = None,
) -> None:
    """
    Declare or evaluate an assertion that is located elsewhere, for adapters of other frameworks.

    Args:
        condition: The outcome; ignored by a declaration.
        message: Display name, used only to report an unknown kind.
        details: Context for the record; None for none.
        loc_filename: File of the assertion.
        loc_function: Function that contains the assertion.
        loc_class: Class of that function; empty for none.
        loc_begin_line: Line of the assertion, from 1.
        loc_begin_column: Column of the assertion; 0 if unknown.
        hit: False declares the assertion, True evaluates it.
        must_hit: Whether never being evaluated is a failure; has to match *display_type*.
        assert_type: How the assertion is judged on the wire; has to match *display_type*.
        display_type: The kind on the wire, such as ``AlwaysOrUnreachable``.
        assert_id: The name of the assertion.
        guidance_data: Facts that replace details with the same key; None adds nothing.

    Raises:
        InvariantViolation: The hit is a violation, in mode ``raise``.
    """
    place = Location(
        _text(loc_filename),
        _text(loc_function),
        _text(loc_class),
        _number(loc_begin_line),
        _number(loc_begin_column),
    )
    # The frame of the adapter is not looked at: it holds neither the place nor the condition.
    where = Elsewhere(place)
    kind = kind_displayed(display_type)
    # All three name the kind on the wire.  A contradiction is an error, since readers of the record
    # would each judge the assertion by another of them.
    if kind is None or (kind.must_hit, kind.assert_type) != (must_hit, assert_type):
        given = f"{display_type!r}, {assert_type!r} and must_hit={must_hit}"
        reason = f"{given} do not match any kind of assertion"
        recorder.record_error(message, reason, where)
    elif not hit:
        # Written at once: an assertion that stands elsewhere may never be hit in this process.
        recorder.declare_now(kind, str(assert_id), where)
    else:
        outcome = primitives.evaluate(condition, assert_id)
        if outcome is not None:
            primitives.hit_at(where, kind, outcome, assert_id, details, guidance_data)


# Adapters pass what their framework offers, such as None for an unknown class.  A wrong place must
# not lose the hit.
def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
