"""
How messages share the range of latencies: each by chance, ranked by link, or at a few levels.

Latencies that are drawn for each message rarely keep one link slow for long, and hardly ever let two
messages arrive at once.  Ranks are PCT for messages: every link has a random priority, and after a
random number of messages the link that sends becomes the slowest.  Source: Burckhardt,
Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding
Bugs", ASPLOS 2010.
"""

from __future__ import annotations

from .policy import drawn_step
from .tape import FINE, Tape

__all__ = ["Pace"]

_EACH, _RANKED, _LEVELS = "each", "ranked", "levels"
_KINDS = (_EACH, _EACH, _RANKED, _LEVELS)
_CHANGES = 2
"""Number of times that a link becomes the slowest."""
_FEW = 3
"""Number of levels."""
_LOWEST = 1.0 - 1.0 / FINE
"""Share of the range, which does not include its end."""


class Pace:
    """
    Draws the latencies of a trial.

    Attributes:
        is_each: Whether the latency of each message is drawn by itself.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._kind = tape.pick(_KINDS)
        self.is_each = self._kind == _EACH
        self._ranks: dict[tuple[str, str], float] = {}
        is_ranked = self._kind == _RANKED
        self._changes = {drawn_step(tape) for _ in range(_CHANGES)} if is_ranked else set()
        self._sent = 0

    def latency(self, low: float, high: float, link: tuple[str, str]) -> float:
        """
        Draw the latency of a message.

        Args:
            low, high: The range, in seconds.
            link: Sender and receiver.
        """
        if self.is_each:
            return self._tape.between(low, high)
        share = self._rank(link) if self._kind == _RANKED else self._tape.choose(_FEW) / _FEW
        return low + (high - low) * share

    def _rank(self, link: tuple[str, str]) -> float:
        self._sent += 1
        if link not in self._ranks:
            self._ranks[link] = self._tape.between(0.0, 1.0)
        if self._sent in self._changes:
            self._ranks[link] = _LOWEST
        return self._ranks[link]
