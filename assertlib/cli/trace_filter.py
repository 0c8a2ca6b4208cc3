"""
The lines of a trace that somebody wants to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..catalog.config import ConfigError
from ..sim.trace_lines import KINDS, LOOP, STEPS, TraceLine, parsed

__all__ = ["TraceFilter"]


class TraceFilter:
    """
    Selects lines of a trace.

    Args:
        only: Kinds of events, separated by commas; empty for all but those of the event loop.
        host: The host that they happened on; empty for any.
        begin: Virtual seconds since the trial began; None for all.
    """

    def __init__(self, only: str, host: str, begin: float | None) -> None:
        """
        Raises:
            ConfigError: A kind does not exist.
        """
        self._kinds = frozenset(filter(None, map(str.strip, only.split(","))))
        self._host = host
        self._begin = begin
        unknown = sorted(self._kinds.difference(KINDS))
        if unknown:
            raise ConfigError(f"--only {unknown[0]}: must be one of {', '.join(KINDS)}")

    @property
    def is_set(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self._kinds or self._host or self._begin is not None)

    def select(self, lines: Sequence[str]) -> Iterator[str]:
        """Iterate over the selected ones of *lines*, without the idle steps of a task that polls."""
        idle: dict[str, set[str]] = {}
        for at, line in enumerate(lines):
            found = parsed(line)
            if found is not None and not self._matches(found):
                continue
            if found is None or not found.text.startswith("run "):
                yield line
                continue
            task = f"{found.host} {found.text.split()[1]}"
            # What a step does follows it in the log.
            is_idle = at + 1 == len(lines) or _is_step(lines[at + 1])
            known = idle.setdefault(task, set())
            if not is_idle:
                known.clear()
            if found.text not in known:
                yield line
            known.add(found.text)

    def _matches(self, line: TraceLine) -> bool:
        if self._begin is not None and line.time < self._begin:
            return False
        # A hit has no host.
        if self._host and line.host not in (self._host, ""):
            return False
        return line.kind in self._kinds if self._kinds else line.kind != LOOP


def _is_step(line: str) -> bool:
    found = parsed(line)
    return found is not None and found.kind in (LOOP, STEPS)
