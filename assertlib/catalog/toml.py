"""
Parses TOML of others within bounds: `tomllib` takes hours for a key of many parts.
"""

from __future__ import annotations

import re
import tomllib

_MOST_CHARACTERS = 4_000_000
_MOST_PARTS = 100
_LONG_KEY = re.compile(
    rf"""(?<![\w."'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}""", re.ASCII
)


def parse_toml(text: str) -> dict[str, object]:
    """
    The tables of the TOML *text*.

    Raises:
        ValueError: It is not TOML, too long, or has keys of too many parts.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"longer than {_MOST_CHARACTERS:,} characters")
    long = _LONG_KEY.search(text)
    if long is not None:
        line = text.count("\n", 0, long.start()) + 1
        raise ValueError(f"a key of more than {_MOST_PARTS} parts (at line {line}, column 1)")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("arrays or tables nest too deeply") from None
