"""
Values as short texts.
"""

from __future__ import annotations


def bounded_repr(value: object, limit: int = 200) -> str:
    """``repr`` that never raises and is at most *limit* characters long."""
    import reprlib

    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = shortener.maxlong = limit
    shortener.maxdict = shortener.maxlist = shortener.maxtuple = shortener.maxset = 20
    try:
        text = shortener.repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}, repr failed: {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"
