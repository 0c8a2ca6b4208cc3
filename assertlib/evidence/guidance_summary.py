"""
A summary of guidance: the closest approach of each rich assertion to its state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..recording.guidance import NUMERIC, closeness
from ..recording.records import Record


def nearest(records: Iterable[tuple[str, Record]], now: Callable[[str], str]) -> dict[str, str]:
    """
    Describe the most extreme guidance record of each assertion.

    Args:
        records: Pairs of a message and a guidance record of it.
        now: Maps a recorded message to the current one, after renames.

    Returns:
        The descriptions by current message, such as ``3 of 5`` or ``2 of 3 at once, without b``.
    """
    best: dict[str, tuple[float, Record]] = {}
    for name, record in records:
        data = record.get("guidance_data")
        # The first record of an assertion only declares it.
        if not isinstance(data, dict):
            continue
        value = closeness(data)
        # One direction of comparison suffices if a value to minimise is negated.
        value = -value if record.get("maximize") is False else value
        message = now(name)
        if message not in best or value > best[message][0]:
            # Propositions may be named "left" and "right"; the empty key keeps them apart.
            best[message] = value, data if record.get("guidance_type") == NUMERIC else {"": data}
    return {message: _in_words(data) for message, (_, data) in best.items()}


def _in_words(data: Record) -> str:
    named = data.get("")
    if not isinstance(named, dict):
        left, right = data.get("left"), data.get("right")
        is_number = isinstance(left, int | float) and isinstance(right, int | float)
        return f"{left} of {right}" if is_number else ""
    holding = sorted(name for name, held in named.items() if held is True)
    missing = sorted(name for name, held in named.items() if held is not True)
    text = f"{len(holding)} of {len(named)} at once"
    return f"{text}, without {', '.join(missing)}" if missing else text
