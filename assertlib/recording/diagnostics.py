"""
What is said aloud when recording itself does not work: once each, never raised,
and never while the recorder is locked, because a handler of `logging` may wait
for the recorder.
"""

from __future__ import annotations

from . import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_emitted: set[str] = set()
_pending: list[str] = []
_handler: Callable[[str], bool] | None = None


def set_handler(tell: Callable[[str], bool]) -> None:
    """Have what is said told by *tell* first, which returns whether anybody took it."""
    global _handler
    _handler = tell


def warn_later(text: str) -> None:
    """Have *text* logged at the next `emit`, the first time only."""
    if text not in _emitted:
        _emitted.add(text)
        _pending.append(text)


def emit() -> None:
    """Tell what was noted, to sinks that want to know, else with `log`."""
    while _pending:
        text = _pending.pop(0)
        try:
            if _handler is None or not _handler(text):
                log(text)
        except Exception as error:
            interrupts.reraise(error)
            # Not even that works; the store must go on.
            return


def log(text: str) -> None:
    """Log *text* as a warning of the logger ``assertlib``."""
    import logging

    logging.getLogger("assertlib").warning("assertlib: %s", text)


def warn_once(text: str) -> None:
    """Log *text* as a warning, the first time only; not for use under a lock."""
    warn_later(text)
    emit()
