"""
Sets of assertions as integers, a bit for each number, and operations on many of them at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import add

_MOST = 255
_FLAGS = bytes(each == ord("1") for each in range(256))


def numbers_in(bits: int) -> Iterator[int]:
    """The positions of the set bits in *bits*, in ascending order."""
    # Isolating the lowest bit takes a step per set bit instead of one per assertion.
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def counted(sets: Iterable[int], width: int) -> list[int]:
    """The number of *sets* that hold each number below *width*."""
    # Every bit becomes a byte, so that one addition of integers counts all bits at once; the sums
    # are emptied before a byte overflows.
    counts = [0] * width
    lanes = taken = 0
    for each in sets:
        flags = format(each, f"0{width}b").encode().translate(_FLAGS)
        lanes += int.from_bytes(flags, "little")
        taken += 1
        if taken == _MOST:
            counts = list(map(add, counts, lanes.to_bytes(width, "little")))
            lanes = taken = 0
    return list(map(add, counts, lanes.to_bytes(width, "little")))[::-1]


class Renumbering:
    """
    A mapping from numbers of assertions to other numbers.

    Args:
        places: The new number of each old one; None if the assertion is left out.  Assertions with
            the same new number become one.
    """

    def __init__(self, places: Sequence[int | None]) -> None:
        self.places = places
        self.width = max((place + 1 for place in places if place is not None), default=0)
        self.is_identity = list(places) == list(range(len(places)))
        self._moves = list(_moves(places))

    def bits(self, bits: int) -> int:
        """Renumber a set."""
        if self.is_identity:
            return bits
        moved = 0
        for mask, shift in self._moves:
            part = bits & mask
            moved |= part << shift if shift >= 0 else part >> -shift
        return moved

    def row(self, counts: Sequence[int]) -> Sequence[int]:
        """Renumber a row of counts; a row that lacks the last numbers counts as zero there."""
        if self.is_identity:
            return counts
        row = [0] * self.width
        for place, count in zip(self.places, counts, strict=False):
            if place is not None:
                row[place] += count
        return row


def _moves(places: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """The parts of a renumbering that keep their order: the old bits, and how far they shift."""
    # Renumberings are almost the identity, so that a few shifts move all bits of a set.
    starts = [
        number
        for number, place in enumerate(places)
        if not number or place is None or places[number - 1] != place - 1
    ]
    for start, end in pairwise([*starts, len(places)]):
        place = places[start]
        if place is not None:
            yield (1 << end) - (1 << start), place - start
