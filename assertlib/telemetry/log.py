"""
The default sink: structlog where it is configured, else the standard `logging`.
"""

from __future__ import annotations

import logging
import sys

from ..control_characters import escaped
from ..primitives import brief
from ..recording.diagnostics import log
from ..recording.recorder import recorder
from ..recording.settings import RAISE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..recording.hits import Hit
    from .structlog import StructlogSink


class LoggingSink:
    """Logs violations as errors of the logger ``assertlib``, first hits for debugging."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("assertlib")

    def handle(self, hit: Hit) -> None:
        """Log *hit*."""
        if hit.is_violation:
            self._logger.error("assertlib.violation: %s", brief(hit))
        else:
            self._logger.debug("assertlib.first_true: %s", escaped(hit.message))

    def trouble(self, text: str) -> None:
        """Log that recording does not work as it should."""
        log(escaped(text))


class LogSink:
    """Decides at each record, because programs configure structlog when they like."""

    def __init__(self) -> None:
        self._logging = LoggingSink()
        self._structlog: StructlogSink | None = None

    def handle(self, hit: Hit) -> None:
        """Log *hit* where this program logs; one that is raised says it all itself."""
        if hit.is_violation and (recorder.mode == RAISE or hit.count & (hit.count - 1)):
            return
        self._used().handle(hit)

    def trouble(self, text: str) -> None:
        """Log that recording does not work as it should."""
        self._used().trouble(text)

    def _used(self) -> LoggingSink | StructlogSink:
        structlog = sys.modules.get("structlog")
        if structlog is None or not structlog.is_configured():
            return self._logging
        if self._structlog is None:
            from .structlog import sink as structlog_sink

            self._structlog = structlog_sink()
        return self._structlog


def sink() -> LogSink:
    """The sink called ``log``."""
    return LogSink()
