"""
Violations (error), first true hits (debug) and trouble with recording (warning) as structlog
events.

Never configures structlog: what it prints and where is the program's affair.
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
        # Not kept: whoever configures structlog later must be heard.
        logger = structlog.get_logger("assertlib")
        if hit.is_violation:
            logger.error("assertlib.violation", **event_of(hit))
        else:
            logger.debug("assertlib.first_true", **event_of(hit))

    def trouble(self, text: str) -> None:
        """Log that recording does not work as it should."""
        structlog.get_logger("assertlib").warning("assertlib.trouble", text=text)


def event_of(hit: Hit) -> dict[str, object]:
    """The fields of a hit's event."""
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
    try:
        return json.loads(details)
    except ValueError:
        return details


def sink() -> StructlogSink:
    """The sink called ``structlog``."""
    return StructlogSink()
