"""
What a replay token looks like: it is copied into a shell, so nothing else is shown as one.
"""

from __future__ import annotations

import re

TAPE_TOKEN = re.compile(r"t1-[0-9a-f]{10}")
"""The name of a tape."""

_SEED_TOKEN = re.compile(
    r"(?!-)[A-Za-z0-9_./-]+:[A-Za-z0-9_.]+@-?[0-9]+(,[a-z]+=[A-Za-z0-9_.+-]+)*"
)


def is_token(text: object) -> bool:
    """Whether *text* is the name of a tape, or the token of a seed, of harmless characters alone."""
    return isinstance(text, str) and any(
        pattern.fullmatch(text) for pattern in (TAPE_TOKEN, _SEED_TOKEN)
    )
