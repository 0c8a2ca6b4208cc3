"""
Structlog events for violations (error), first true hits (debug) and problems with recording
(warning).

This module never configures structlog, which is up to the program.
"""

from __future__ import annotations

import json

import structlog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..recording.hits import Hit


class StructlogSink:
    """Events ``assertlib.violation``, ``assertlib.first_true`` and ``assertlib.trouble``."""

    def handle(self, hit: Hit) -> None:
        """Log *hit*."""
        # Fetched for each event, so that a later configuration of structlog takes effect.
        logger = structlog.get_logger("assertlib")
        if hit.is_violation:
            logger.error("assertlib.violation", **event_of(hit))
        else:
            logger.debug("assertlib.first_true", **event_of(hit))

    def trouble(self, text: str) -> None:
        """Log *text*, a problem with recording."""
        structlog.get_logger("assertlib").warning("assertlib.trouble", text=text)


def event_of(hit: Hit) -> dict[str, object]:
    """Return the fields of the event for *hit*."""
    event: dict[str, object] = {
        "assertion": hit.message,
        "kind": hit.kind.name,
        "invariant": hit.invariant,
        "location": str(hit.location),
        "count": hit.count,
    }
    if hit.captured is not None:
        event["condition"] = hit.captured.source
        event["values"] = hit.captured.values
    if hit.details is not None:
        event["details"] = _parsed(hit.details)
    if hit.trial is not None:
        event["trial"] = hit.trial
        event["seed"] = hit.seed
    return event


def _parsed(details: str) -> object:
    # Nested fields are of more use to renderers than JSON in a string.  Details that could not be
    # serialised are a repr, which is passed on as it is.
    try:
        return json.loads(details)
    except ValueError:
        return details


def sink() -> StructlogSink:
    """Return the sink called ``structlog``."""
    return StructlogSink()
