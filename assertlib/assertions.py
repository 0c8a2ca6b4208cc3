"""
The assertions under the names and in the place of the Antithesis Python SDK.

Code written for it works after changing the import: ``antithesis.assertions``
to ``assertlib.assertions``.  Source: antithesis 0.4.0.
"""

from __future__ import annotations

from . import primitives
from .comparisons import (
    always_greater_than,
    always_greater_than_or_equal_to,
    always_less_than,
    always_less_than_or_equal_to,
    always_some,
    sometimes_all,
    sometimes_greater_than,
    sometimes_greater_than_or_equal_to,
    sometimes_less_than,
    sometimes_less_than_or_equal_to,
)
from .model import Location, kind_displayed
from .primitives import always, always_or_unreachable, reachable, sometimes, unreachable
from .recording.hits import Elsewhere
from .recording.recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

primitives.internal(__file__)

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
    Declare (``hit=False``) or evaluate an assertion that stands elsewhere, for
    adapters of other frameworks.

    *display_type* determines the kind; *must_hit* and *assert_type* follow from
    it.  *guidance_data* is merged over *details*.
    """
    place = Location(
        _text(loc_filename),
        _text(loc_function),
        _text(loc_class),
        _number(loc_begin_line),
        _number(loc_begin_column),
    )
    where = Elsewhere(place)
    kind = kind_displayed(display_type)
    if kind is None or (kind.must_hit, kind.assert_type) != (must_hit, assert_type):
        reason = f"{display_type!r}, {assert_type!r}, must_hit={must_hit} is no kind of assertion"
        recorder.record_error(message, reason, where)
    elif not hit:
        recorder.declare_now(kind, str(assert_id), where)
    else:
        outcome = primitives.evaluate(condition, assert_id)
        if outcome is not None:
            primitives.hit_at(where, kind, outcome, assert_id, details, guidance_data)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
