"""
Randomness that a deterministic platform can control, with the names of the Antithesis Python SDK
0.4.0.

Draw a value when it is needed; don't store values or seed a generator with them.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .recording.loader import load_platform

T = TypeVar("T")

_WORD = 64
_NO_STATE = "the state of this generator belongs to the platform; it cannot be read or set"


def _usual() -> int:
    """A word from the platform if there is one, otherwise from the `random` module."""
    # The module's shared generator: a program that seeds it repeats its choices.
    platform = load_platform()
    return _random.getrandbits(_WORD) if platform is None else platform.random()


_source: Callable[[], int] = _usual


def decided_by(source: Callable[[], int] | None) -> None:
    """
    Draw all 64-bit words from *source* from now on; None restores the default.

    A simulated trial draws them from its tape.
    """
    global _source
    _source = source or _usual


def get_random() -> int:
    """A random integer of 64 bits."""
    return _source()


def random_choice(things: list[T]) -> T:
    """
    One of *things*, each with the same probability.

    Raises:
        IndexError: *things* is empty.
    """
    if not things:
        msg = "cannot choose from an empty sequence"
        raise IndexError(msg)
    # `randrange` is unbiased; a remainder of one word would favour the first things.
    return things[AntithesisRandom().randrange(len(things))]


class AntithesisRandom(_random.Random):
    """A `random.Random` that draws every bit from `get_random`."""

    def seed(self, a: Any = None, version: int = 2) -> None:
        """Do nothing: the platform owns the state of this generator."""

    def random(self) -> float:
        """A number in [0, 1) with 53 random bits."""
        # As many as the mantissa of a float holds, so that the result is never rounded up to 1.
        return (get_random() >> (_WORD - 53)) / (1 << 53)

    def getrandbits(self, k: int, /) -> int:
        """
        An integer of *k* random bits.

        Raises:
            ValueError: *k* is negative.
        """
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        # Whole words are drawn, and the surplus bits of the last one dropped.
        words = -(-k // _WORD)
        value = 0
        for _ in range(words):
            value = value << _WORD | get_random()
        return value >> (words * _WORD - k)

    def getstate(self) -> NoReturn:
        """
        Refuse to return a state.

        Raises:
            NotImplementedError: The platform owns the state.
        """
        raise NotImplementedError(_NO_STATE)

    def setstate(self, state: Any, /) -> NoReturn:
        """
        Refuse to set a state.

        Raises:
            NotImplementedError: The platform owns the state.
        """
        raise NotImplementedError(_NO_STATE)
