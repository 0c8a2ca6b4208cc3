"""
Parses TOML from others within bounds, since `tomllib` takes hours for a key of many parts.
"""

from __future__ import annotations

import re
import tomllib

_MOST_CHARACTERS = 4_000_000
_MOST_PARTS = 100
# Possessive quantifiers never backtrack, so the search takes linear time on hostile text, too.
_LONG_KEY = re.compile(
    rf"""(?<![\w."'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}""", re.ASCII
)


def parse_toml(text: str) -> dict[str, object]:
    """
    Parse *text* and return its tables.

    Raises:
        ValueError: The text is not TOML, too long, nested too deeply, or has a key of too many
            parts.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"longer than {_MOST_CHARACTERS:,} characters")
    # Searched in the raw text: a string that looks like such a key is rejected as well.
    long = _LONG_KEY.search(text)
    if long is not None:
        line = text.count("\n", 0, long.start()) + 1
        raise ValueError(f"a key with more than {_MOST_PARTS} parts (at line {line}, column 1)")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("arrays or tables nest too deeply") from None
