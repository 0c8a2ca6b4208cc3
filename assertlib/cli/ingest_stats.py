"""
Formats what was read from the output files of other SDKs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..evidence.text import counted, one_line
from ..recording.foreign import IngestStats

_NAMED = 3


def describe(stats: Iterable[IngestStats]) -> Iterator[str]:
    """Summarise each file: records understood, events, languages, and problems."""
    for file in stats:
        names = sorted(file.understood, key=str.lower)
        parts = [counted(file.understood[name], name) for name in names]
        if file.events:
            events = counted(file.events.total(), "user event")
            parts.append(f"{events} ({_events(file)})")
        known = ", ".join(parts) or "none of them recognized"
        languages = f" ({', '.join(file.languages)})" if file.languages else ""
        yield one_line(f"{file.path}{languages}: {counted(file.total, 'record')}: {known}")
        yield from (f"  {line}" for line in problems(file))


def problems(file: IngestStats) -> Iterator[str]:
    """List the unknown, unreadable and truncated records of a file."""
    return map(one_line, _problems(file))


def _problems(file: IngestStats) -> Iterator[str]:
    for name, count in file.unknown.most_common():
        yield f"{file.path}: unknown: {name}, {count:,}×"
    for number, reason in file.unreadable:
        yield f"{file.path}:{number}: unusable: {reason}"
    rest = file.unreadable_count - len(file.unreadable)
    if rest:
        yield f"{file.path}: {rest:,} more unusable records"
    if file.is_torn:
        yield f"{file.path}: the last line is truncated, as happens when a process is killed"


def _events(file: IngestStats) -> str:
    names = [f"{name} {count:,}×" for name, count in file.events.most_common(_NAMED)]
    return ", ".join([*names, "…"] if len(file.events) > _NAMED else names)
