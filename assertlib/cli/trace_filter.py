"""
The lines of a trace that somebody wants to see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..catalog.config import ConfigError

__all__ = ["TraceFilter"]

_LINE = re.compile(r" *([0-9.]+)  (.{10,}?)  (.*)", re.DOTALL)
_LOOP = "loop"
_KINDS = {
    _LOOP: ("loop: ", "run nemesis of "),
    "steps": ("run ", "call "),
    "network": ("sends ", "connects ", "is refused ", "the network "),
    "disk": ("disk: ",),
    "hits": ("* ",),
}
_OTHER = "world"


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
        unknown = sorted(self._kinds - {*_KINDS, _OTHER})
        if unknown:
            raise ConfigError(f"--only {unknown[0]}: must be one of {', '.join([*_KINDS, _OTHER])}")

    @property
    def is_set(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self._kinds or self._host or self._begin is not None)

    def select(self, lines: Sequence[str]) -> Iterator[str]:
        """Iterate over the selected ones of *lines*, without the idle steps of a task that polls."""
        idle: dict[str, set[str]] = {}
        for at, line in enumerate(lines):
            if not self._matches(line):
                continue
            found = _LINE.fullmatch(line)
            if found is None or not found[3].startswith("run "):
                yield line
                continue
            task = f"{found[2]} {found[3].split()[1]}"
            # What a step does follows it in the log.
            is_idle = at + 1 == len(lines) or _is_step(lines[at + 1])
            known = idle.setdefault(task, set())
            if not is_idle:
                known.clear()
            if found[3] not in known:
                yield line
            known.add(found[3])

    def _matches(self, line: str) -> bool:
        found = _LINE.fullmatch(line)
        if found is None:
            return True
        time, host, text = found.groups()
        if self._begin is not None and float(time) < self._begin:
            return False
        # A hit has no host.
        if self._host and host.strip() not in (self._host, ""):
            return False
        kind = _kind(text)
        return kind in self._kinds if self._kinds else kind != _LOOP


def _is_step(line: str) -> bool:
    found = _LINE.fullmatch(line)
    return found is not None and _kind(found[3]) in (_LOOP, "steps")


def _kind(text: str) -> str:
    return next((kind for kind, begins in _KINDS.items() if text.startswith(begins)), _OTHER)
