"""
The lines of a trace that somebody wants to see.
"""

from __future__ import annotations

import re

from ..catalog.config import ConfigError

__all__ = ["TraceFilter"]

_LINE = re.compile(r" *([0-9.]+)  (.{10,}?)  (.*)", re.DOTALL)
_KINDS = {
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
        only: Kinds of events, separated by commas; empty for all.
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

    def matches(self, line: str) -> bool:
        """Whether *line* is selected."""
        found = _LINE.fullmatch(line)
        if found is None:
            return True
        time, host, text = found.groups()
        if self._begin is not None and float(time) < self._begin:
            return False
        # A hit has no host.
        if self._host and host.strip() not in (self._host, ""):
            return False
        return not self._kinds or _kind(text) in self._kinds


def _kind(text: str) -> str:
    return next((kind for kind, begins in _KINDS.items() if text.startswith(begins)), _OTHER)
