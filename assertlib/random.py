"""
Randomness that a deterministic platform can decide, with the names of the
Antithesis Python SDK 0.4.0.

Ask at the moment of the decision; don't keep values or seed a generator with
them.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .recording.loader import load_platform

T = TypeVar("T")

_WORD = 64
_NO_STATE = "the state of this generator is the platform's; it cannot be read or set"


def _usual() -> int:
    """From the platform, if there is one, else from the system."""
    platform = load_platform()
    return _random.getrandbits(_WORD) if platform is None else platform.random()


_source: Callable[[], int] = _usual


def decided_by(source: Callable[[], int] | None) -> None:
    """Let *source* make the words of 64 bits from now on; None for what does it usually."""
    global _source
    _source = source or _usual


def get_random() -> int:
    """A random integer of 64 bits."""
    return _source()


def random_choice(things: list[T]) -> T:
    """
    One of *things*, each as likely as the other.

    Raises:
        IndexError: There are none.
    """
    if not things:
        msg = "cannot choose from an empty sequence"
        raise IndexError(msg)
    return things[AntithesisRandom().randrange(len(things))]


class AntithesisRandom(_random.Random):
    """A `random.Random` that draws every bit from `get_random`."""

    def seed(self, a: Any = None, version: int = 2) -> None:
        """Nothing is seeded: the state of this generator is the platform's."""

    def random(self) -> float:
        """A number in [0, 1) of 53 random bits."""
        return (get_random() >> (_WORD - 53)) / (1 << 53)

    def getrandbits(self, k: int, /) -> int:
        """
        An integer of *k* random bits.

        Raises:
            ValueError: *k* is negative.
        """
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        words = -(-k // _WORD)
        value = 0
        for _ in range(words):
            value = value << _WORD | get_random()
        return value >> (words * _WORD - k)

    def getstate(self) -> NoReturn:
        """
        Raises:
            NotImplementedError: The state is the platform's.
        """
        raise NotImplementedError(_NO_STATE)

    def setstate(self, state: Any, /) -> NoReturn:
        """
        Raises:
            NotImplementedError: The state is the platform's.
        """
        raise NotImplementedError(_NO_STATE)
