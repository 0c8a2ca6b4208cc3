"""
Translates validation errors of pydantic into the terms of TOML.
"""

from __future__ import annotations

import re

# Applied in this order: a phrase stands before the shorter ones that it contains.
_WORDS = (
    ("Value error, ", ""),
    ("Input should be ", "should be "),
    ("a valid tuple", "a list"),
    ("a valid list", "a list"),
    ("a valid string", "a string"),
    ("a valid integer", "a whole number"),
    ("a valid dictionary or instance of", "a table, of"),
    ("a valid dictionary", "a table"),
    ("String should match pattern", "should match"),
    ("String should have at least 1 character", "should not be empty"),
)


def in_words_of_toml(text: str) -> str:
    """Return *text*, an error message of pydantic, without Python terms."""
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    # The name of a model class follows, which means nothing to readers.
    return re.sub(r"a table, of _?\w+", "a table", text)
