"""
The syntax of replay tokens.  They are copied into a shell, so no other text is displayed as one.
"""

from __future__ import annotations

import re

TAPE_TOKEN = re.compile(r"t1-[0-9a-f]{10}")
"""Token of a tape, which is also its name."""

# MODULE:NAME@SEED,key=value,…  A dash in front would make it an option of a command.

_SEED_TOKEN = re.compile(
    r"(?!-)[A-Za-z0-9_./-]+:[A-Za-z0-9_.]+@-?[0-9]+(,[a-z]+=[A-Za-z0-9_.+-]+)*"
)


def is_token(text: object) -> bool:
    """Whether *text* is the token of a tape or of a seed, which hold harmless characters only."""
    return isinstance(text, str) and any(
        pattern.fullmatch(text) for pattern in (TAPE_TOKEN, _SEED_TOKEN)
    )
