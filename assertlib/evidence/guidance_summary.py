"""
How near rich assertions came, as the processes kept it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..recording.guidance import NUMERIC, closeness
from ..recording.records import Record


def nearest(records: Iterable[tuple[str, Record]], now: Callable[[str], str]) -> dict[str, str]:
    """
    The most extreme of *records*, name and body, in words, by what each is called today.

    Args:
        now: What an assertion is called today, by what it was called then.
    """
    best: dict[str, tuple[float, Record]] = {}
    for name, record in records:
        data = record.get("guidance_data")
        if not isinstance(data, dict):
            continue
        value = closeness(data)
        value = -value if record.get("maximize") is False else value
        message = now(name)
        if message not in best or value > best[message][0]:
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
