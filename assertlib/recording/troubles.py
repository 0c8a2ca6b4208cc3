"""
What is said aloud when recording itself does not work: once each, never raised.
"""

from __future__ import annotations

_said: set[str] = set()


def warn_once(text: str) -> None:
    """Log *text* as a warning of the logger ``assertlib``, the first time only."""
    if text in _said:
        return
    _said.add(text)
    import logging

    logging.getLogger("assertlib").warning("assertlib: %s", text)
