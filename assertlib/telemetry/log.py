"""
The default sink: structlog if the program has configured it, else the standard `logging`.
"""

from __future__ import annotations

import logging
import sys

from .._calls.primitives import brief
from .._text.control_characters import escaped
from ..recording.diagnostics import log
from ..recording.limits import is_power_of_two
from ..recording.recorder import recorder
from ..recording.settings import RAISE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..recording.hits import Hit
    from .structlog import StructlogSink


class LoggingSink:
    """Log violations as errors of the logger ``assertlib``, and first true hits at debug level."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("assertlib")

    def handle(self, hit: Hit) -> None:
        """Log *hit*."""
        if hit.is_violation and hit.count == 1:
            self._logger.error("assertlib.violation: %s", brief(hit))
        elif hit.is_violation:
            times = f"{hit.kind.name} {hit.message!r} has been violated {hit.count:,} times"
            self._logger.error("assertlib.violation: %s", escaped(times))
        else:
            self._logger.debug("assertlib.first_true: %s", escaped(hit.message))

    def trouble(self, text: str) -> None:
        """Log *text*, a problem with recording."""
        log(escaped(text))


class LogSink:
    """Choose between structlog and `logging` for each record."""

    def __init__(self) -> None:
        self._logging = LoggingSink()
        self._structlog: StructlogSink | None = None

    def handle(self, hit: Hit) -> None:
        """Log *hit* unless it is raised or one of many repetitions."""
        # Of repeated violations, those whose number is a power of two are logged: a violation in
        # a loop must not flood the log.
        if hit.is_violation and (recorder.mode == RAISE or not is_power_of_two(hit.count)):
            return
        self._used().handle(hit)

    def trouble(self, text: str) -> None:
        """Log *text*, a problem with recording."""
        self._used().trouble(text)

    def _used(self) -> LoggingSink | StructlogSink:
        # Looked up for each record, because programs may configure structlog at any time.  It is
        # never imported here: a program that does not use it has not configured it.
        structlog = sys.modules.get("structlog")
        if structlog is None or not structlog.is_configured():
            return self._logging
        if self._structlog is None:
            from .structlog import sink as structlog_sink

            self._structlog = structlog_sink()
        return self._structlog


def sink() -> LogSink:
    """Return the sink called ``log``."""
    return LogSink()
