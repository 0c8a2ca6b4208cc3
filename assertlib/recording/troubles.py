"""
What is said aloud when recording itself does not work: once each, never raised,
and never while the recorder is locked, because a handler of `logging` may wait
for the recorder.
"""

from __future__ import annotations

_said: set[str] = set()
_unsaid: list[str] = []


def warn_later(text: str) -> None:
    """Have *text* logged at the next `say`, the first time only."""
    if text not in _said:
        _said.add(text)
        _unsaid.append(text)


def say() -> None:
    """Log what was noted, as warnings of the logger ``assertlib``."""
    while _unsaid:
        text = _unsaid.pop(0)
        try:
            import logging

            logging.getLogger("assertlib").warning("assertlib: %s", text)
        except Exception:
            # Not even that works; the store must go on.
            return


def warn_once(text: str) -> None:
    """Log *text* as a warning, the first time only; not for use under a lock."""
    warn_later(text)
    say()
