"""
Warnings about recording itself: each text is emitted once, never raises, and never while the
recorder is locked, because a handler of `logging` may wait for the recorder.
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
    """Queue *text* for the next `emit`, unless it has been queued before."""
    if text not in _emitted:
        _emitted.add(text)
        _pending.append(text)


def emit() -> None:
    """Emit the queued warnings, to the handler or otherwise to the log."""
    while _pending:
        # Taken off first: a handler that asserts emits again, and must not find the same text.
        text = _pending.pop(0)
        try:
            if _handler is None or not _handler(text):
                log(text)
        except Exception as error:
            interrupts.reraise(error)
            # Nothing is left to report this to, and the store must go on.
            return


def log(text: str) -> None:
    """Log *text* as a warning of the logger ``assertlib``."""
    # Not at import: most processes log nothing.
    import logging

    logging.getLogger("assertlib").warning("assertlib: %s", text)


def warn_once(text: str) -> None:
    """Log *text* as a warning, the first time only; not for use under a lock."""
    warn_later(text)
    emit()
