"""
What became of the records of foreign files, in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..evidence.text import counted, one_line
from ..recording.foreign import IngestStats

_NAMED = 3


def told(accounts: Iterable[IngestStats]) -> Iterator[str]:
    """What became of the records of files."""
    for account in accounts:
        names = sorted(account.understood, key=str.lower)
        parts = [counted(account.understood[name], name) for name in names]
        if account.events:
            events = counted(account.events.total(), "user event")
            parts.append(f"{events} ({_named(account)})")
        known = ", ".join(parts) or "none of them understood"
        languages = f" ({', '.join(account.languages)})" if account.languages else ""
        yield one_line(f"{account.path}{languages}: {counted(account.total, 'record')}: {known}")
        yield from (f"  {line}" for line in trouble(account))


def trouble(account: IngestStats) -> Iterator[str]:
    """What of a file was not understood."""
    return map(one_line, _trouble(account))


def _trouble(account: IngestStats) -> Iterator[str]:
    for name, count in account.unknown.most_common():
        yield f"{account.path}: unknown: {name}, {count:,}×"
    for number, reason in account.unreadable:
        yield f"{account.path}:{number}: cannot be used: {reason}"
    rest = account.unreadable_count - len(account.unreadable)
    if rest:
        yield f"{account.path}: {rest:,} more cannot be used"
    if account.is_torn:
        yield f"{account.path}: the last line is cut off, as a killed process leaves it"


def _named(account: IngestStats) -> str:
    names = [f"{name} {count:,}×" for name, count in account.events.most_common(_NAMED)]
    return ", ".join([*names, "…"] if len(account.events) > _NAMED else names)
