"""
The default sink: structlog where it is configured, else the standard `logging`.
"""

from __future__ import annotations

import logging
import sys

from ..primitives import brief
from ..recording.recorder import recorder
from ..recording.settings import RAISE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..recording.hits import Hit
    from ..recording.loader import Subscriber


class LoggingSink:
    """Logs violations as errors of the logger ``assertlib``, first hits for debugging."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("assertlib")

    def handle(self, hit: Hit) -> None:
        """Log *hit*."""
        if hit.is_violation:
            self._logger.error("assertlib.violation: %s", brief(hit))
        else:
            self._logger.debug("assertlib.first_true: %s", hit.message)


class LogSink:
    """Decides at each record, because programs configure structlog when they like."""

    def __init__(self) -> None:
        self._logging = LoggingSink()
        self._structlog: Subscriber | None = None

    def handle(self, hit: Hit) -> None:
        """Log *hit* where this program logs; one that is raised says it all itself."""
        if hit.is_violation and (recorder.mode == RAISE or hit.count & (hit.count - 1)):
            return
        structlog = sys.modules.get("structlog")
        if structlog is None or not structlog.is_configured():
            self._logging.handle(hit)
            return
        if self._structlog is None:
            from .structlog import sink as structlog_sink

            self._structlog = structlog_sink()
        self._structlog.handle(hit)


def sink() -> LogSink:
    """The sink called ``log``."""
    return LogSink()
