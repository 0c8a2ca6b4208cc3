"""
What is wrong with a value, in words of TOML.
"""

from __future__ import annotations

import re

_WORDS = (
    ("Value error, ", ""),
    ("Input should be ", "should be "),
    ("a valid tuple", "a list"),
    ("a valid list", "a list"),
    ("a valid string", "a text"),
    ("a valid integer", "a whole number"),
    ("a valid dictionary or instance of", "a table, of"),
    ("a valid dictionary", "a table"),
    ("String should match pattern", "should match"),
    ("String should have at least 1 character", "should not be empty"),
)


def in_words_of_toml(text: str) -> str:
    """What pydantic says of a value, without words of Python."""
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    return re.sub(r"a table, of _?\w+", "a table", text)
