"""
The small models: a register, one with compare-and-swap, and a store of such registers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from .model import ILLEGAL, Illegal, Step, UnsupportedRequestError
from .operations import Operation, Outcome
from .requests import Append, Done, Get, Put, Swap, Swapped, Value, expected, seen, written

State = str | None


class Register:
    """A single value that can be written and read; initially absent."""

    name = "register"
    requests: tuple[type, ...] = (Get, Put)

    def initial(self) -> State:
        return None

    def key(self, state: State) -> Hashable:
        return state

    def version(self, state: State) -> int | None:
        return None

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        keys = sorted({getattr(each.request, "key", "") for each in operations})
        if len(keys) > 1:
            raise UnsupportedRequestError(
                f"the model {self.name!r} has one register, and there are requests for the keys"
                f" {keys[0]!r} and {keys[1]!r}; use the model {KeyValueStore.name!r}, which has many"
            )
        return [("", list(operations))]

    def step(self, operation: Operation) -> Step[State] | None:
        if not isinstance(operation.request, self.requests):
            raise UnsupportedRequestError(
                f"operation {operation.id}: the model {self.name!r} knows no {operation.request!r}"
            )
        if operation.outcome is Outcome.NOT_APPLIED:
            return None
        return _step(operation)

    def steps(self, operations: Sequence[Operation]) -> list[Step[State] | None]:
        needed = _Needed(operations)
        return [
            _of_use(each, step, needed) if step and each.outcome is Outcome.UNKNOWN else step
            for each, step in zip(operations, map(self.step, operations), strict=True)
        ]


class CasRegister(Register):
    """A register whose value can also be replaced if it is the expected one."""

    name = "cas-register"
    requests = (Get, Put, Swap)


class KeyValueStore(Register):
    """A register for each key, without anything that spans keys."""

    name = "kv"
    requests = (Get, Put, Swap, Append)

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        by_key: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            by_key[getattr(operation.request, "key", "")].append(operation)
        return sorted(by_key.items())


def _step(operation: Operation) -> Step[State] | None:
    match operation.request, operation.response:
        case Get(), Value(value):
            return Step(lambda state: state if state == value else ILLEGAL, is_read=True)
        case Get(), None:
            return None
        case Put(_, value), Done() | None:
            return Step(lambda _: value, is_blind=True)
        case Append(_, value), Done() | None:
            return Step(lambda state: value if state is None else state + value)
        case Swap(_, expected, _), Swapped(False):
            return Step(lambda state: state if state != expected else ILLEGAL, is_read=True)
        case Swap(_, expected, value), Swapped(True) | None:
            return Step(_swap(expected, value))
    raise UnsupportedRequestError(
        f"operation {operation.id}: {operation.response!r} is no answer to {operation.request!r}"
    )


class _Needed:
    """
    The values that the register has to have had for the answers to be what they are.

    A state that is neither one of them nor the beginning of one is of no use: until it is
    overwritten it is seen by nothing, so what led to it without an answer can be left out.
    A swap that failed is content with any state but one, so then all are of use.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        answered = [each for each in operations if each.outcome is Outcome.OK]
        self._all = any(each.response == Swapped(False) for each in answered)
        found = {value for each in answered for value in _conditions(each)}
        self._values = sorted(found)
        # What a swap of use expects is needed as well; mostly it was written before.
        swaps = [
            each.request
            for each in reversed(operations)
            if each.outcome is Outcome.UNKNOWN and isinstance(each.request, Swap)
        ]
        size = -1
        while not self._all and size < len(self._values):
            size = len(self._values)
            for swap in swaps:
                value = swap.expected
                if value is not None and value not in found and swap.value in self:
                    found.add(value)
                    insort(self._values, value)

    def __contains__(self, value: str) -> bool:
        at = bisect_left(self._values, value)
        return self._all or (at < len(self._values) and self._values[at].startswith(value))


def _conditions(operation: Operation) -> set[str]:
    return seen(operation.response) | expected(operation.request)


def _of_use(operation: Operation, step: Step[State], needed: _Needed) -> Step[State] | None:
    """The *step* of an *operation* without an answer, for states that are *needed* only."""
    if not isinstance(operation.request, Append):
        return step if all(value in needed for value in written(operation.request)) else None

    def apply(state: State) -> State | Illegal:
        after = step.apply(state)
        return after if isinstance(after, str) and after in needed else ILLEGAL

    return replace(step, apply=apply)


def _swap(expected: State, value: str) -> Callable[[State], State | Illegal]:
    return lambda state: value if state == expected else ILLEGAL
