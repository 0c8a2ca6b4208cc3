"""
A tape whose choices can be removed one by one: each source keeps its own.

On a plain tape, removing a choice hands all choices after it to other decisions.  A replay by source
gives each decision the next choice that the same task made at the same line.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import tape as tapes
from .process import calling
from .tape import FINE, HALF, Tape

__all__ = ["Choice", "SourcedTape"]

_DIGITS = re.compile("[0-9]+")
_SKIPPED = (tapes.__file__, __file__)
_ANY = ("", "")


class Choice(NamedTuple):
    """
    A choice with its source.

    Attributes:
        value: The number that was chosen.
        owner: The host that chose it, or the task outside all hosts.
        place: Task, function and line.
    """

    value: int
    owner: str = ""
    place: str = ""


class SourcedTape(Tape):
    """
    Makes choices like `Tape`, and records the source of each.

    Attributes:
        choices: The choices made so far.
    """

    __slots__ = ("_is_sourced", "_left", "choices")

    def __init__(self, seed: int | None, given: Sequence[Choice], *, is_sourced: bool) -> None:
        """
        Args:
            seed: Seed of the choices after *given*; None for the simplest choices.
            given: The first choices.
            is_sourced: Whether each source takes only its own; otherwise they are taken in order.
        """
        super().__init__(seed)
        self.choices: list[Choice] = []
        self._is_sourced = is_sourced
        self._left: dict[tuple[str, str], deque[int]] = {}
        for value, owner, place in given:
            source = (owner, place) if is_sourced else _ANY
            self._left.setdefault(source, deque()).append(value)

    def choose(self, bound: int) -> int:
        return self._draw(bound, None)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * (self._draw(FINE, None) / FINE)

    def word(self) -> int:
        high, low = self._draw(HALF, self._words), self._draw(HALF, self._words)
        return high << 32 | low

    def _draw(self, bound: int, words: Callable[[int], int] | None) -> int:
        source = _source()
        left = self._left.get(source if self._is_sourced else _ANY)
        if left:
            value = left.popleft() % bound
        else:
            value = words(32) if words else int(self._random() * bound)
        self.values.append(value)
        self.choices.append(Choice(value, *source))
        return value


def _source() -> tuple[str, str]:
    """Return owner and place of the choice that is being made."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename in _SKIPPED and frame.f_back is not None:
        frame = frame.f_back
    place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # Names that asyncio numbers differ once a task is missing.
    name = "" if task is None else _DIGITS.sub("", task.get_name())
    process = calling()
    if process is not None and process.is_host:
        return process.name, f"{name} {place}"
    return name, place
