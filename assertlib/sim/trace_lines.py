"""
The parts of a line of a trace, and what kind of event it reports.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["KINDS", "LOOP", "OTHER", "OUTSIDE", "STEPS", "TraceLine", "parsed"]

_LINE = re.compile(r" *([0-9.]+)  (.{10,}?)  (.*)", re.DOTALL)
LOOP, STEPS, OTHER = "loop", "steps", "world"
_BEGINS = {
    LOOP: ("loop: ", "run nemesis of "),
    STEPS: ("run ", "call "),
    "network": ("sends ", "connects ", "is refused ", "the network "),
    "disk": ("disk: ",),
    "hits": ("* ",),
}
_SENT = re.compile(r"sends (?:.*) to (.+):(?:[^:]+), to arrive at ([0-9., ]+)", re.DOTALL)
_CONNECTS = re.compile(r"connects to (.+):(?:[^:]+)")
OUTSIDE = "world"
"""Stands for a host in the lines of code outside all hosts."""
KINDS = (*_BEGINS, OTHER)
"""Kinds of events; `LOOP` are those of the event loop, which explain nothing about the program."""


class TraceLine(NamedTuple):
    """
    A line of a trace.

    Attributes:
        time: Virtual seconds since the trial began.
        host: The host that it happened on; empty for a hit, ``world`` for code outside all hosts.
        text: What happened.
    """

    time: float
    host: str
    text: str

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        begins = _BEGINS.items()
        return next((kind for kind, each in begins if self.text.startswith(each)), OTHER)

    @property
    def begins(self) -> bool:
        """Whether a step or a fault begins with it, to which the following lines belong."""
        return self.text.startswith(("run ", "call ", "loop: ", "fault: "))

    def arrivals(self) -> tuple[str, tuple[float, ...]]:
        """Return the receiver of the message that it reports, and the times of arrival, if any."""
        sent = _SENT.fullmatch(self.text)
        if sent is not None:
            return sent[1], tuple(map(float, sent[2].split(", ")))
        connects = _CONNECTS.fullmatch(self.text)
        return ("", ()) if connects is None else (connects[1], (self.time,))


def parsed(line: str) -> TraceLine | None:
    """Parse *line*; None if it continues the line before."""
    found = _LINE.fullmatch(line)
    return None if found is None else TraceLine(float(found[1]), found[2].strip(), found[3])
