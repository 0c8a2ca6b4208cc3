"""
The algorithm of Wing and Gong with Lowe's memory, as textbooks have it.

One list of calls and returns; the first call that fits is lifted out of it; at a return whose
call is not lifted the last choice is taken back; what was met before is not tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

INFINITE = float("inf")

Step = Callable[[Hashable, object, object], tuple[bool, Hashable]]


class Entry:
    """A call, or a return, in the list."""

    __slots__ = ("match", "next", "number", "operation", "previous")

    def __init__(self, number: int, operation: object) -> None:
        self.number = number
        self.operation = operation
        self.match: Entry | None = None
        self.previous: Entry | None = None
        self.next: Entry | None = None

    def lift(self) -> None:
        """Take call and return out of the list."""
        self._out()
        self.match._out()

    def unlift(self) -> None:
        """Put return and call back."""
        self.match._in()
        self._in()

    def _out(self) -> None:
        self.previous.next = self.next
        if self.next is not None:
            self.next.previous = self.previous

    def _in(self) -> None:
        self.previous.next = self
        if self.next is not None:
            self.next.previous = self


def is_linearizable(operations: Sequence[tuple], initial: Hashable, step: Step) -> bool:
    """
    Judge *operations*, each ``(call, return, input, output)``; one without an end returns at
    `INFINITE`.
    """
    head = entries(operations)
    state, lifted, seen = initial, 0, set()
    stack: list[tuple[Entry, Hashable]] = []
    entry = head.next
    while head.next is not None:
        if entry.match is not None:
            fits, after = step(state, *entry.operation)
            with_it = lifted | 1 << entry.number
            if fits and (with_it, after) not in seen:
                seen.add((with_it, after))
                stack.append((entry, state))
                state, lifted = after, with_it
                entry.lift()
                entry = head.next
            else:
                entry = entry.next
        else:
            if not stack:
                return False
            entry, state = stack.pop()
            lifted &= ~(1 << entry.number)
            entry.unlift()
            entry = entry.next
    return True


def entries(operations: Sequence[tuple]) -> Entry:
    """The list, behind a head that stands for nothing."""
    points = []
    for number, (call, end, asked, told) in enumerate(operations):
        begins, ends = Entry(number, (asked, told)), Entry(number, None)
        begins.match = ends
        points += [(call, 0, number, begins), (end, 1, number, ends)]
    head = last = Entry(-1, None)
    for *_, entry in sorted(points, key=lambda point: point[:3]):
        last.next, entry.previous = entry, last
        last = entry
    return head
