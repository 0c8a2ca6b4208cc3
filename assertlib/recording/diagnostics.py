"""
Warnings about recording itself: each text once, never raised, and never while the recorder is
locked, because a handler of `logging` may wait for the recorder.
"""

from __future__ import annotations

from . import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_emitted: set[str] = set()
_pending: list[str] = []
_handler: Callable[[str], bool] | None = None


def set_handler(handler: Callable[[str], bool]) -> None:
    """Pass each warning to *handler* first, which returns False to have it logged instead."""
    global _handler
    _handler = handler


def warn_later(text: str) -> None:
    """Have *text* logged at the next `emit`, the first time only."""
    if text not in _emitted:
        _emitted.add(text)
        _pending.append(text)


def emit() -> None:
    """Emit the warnings that are pending, to the handler or else to the log."""
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
