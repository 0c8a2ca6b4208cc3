"""
Models without revisions: a register, one with compare-and-swap, and a store of such registers.
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
        """
        Return all *operations* as a single part.

        Raises:
            UnsupportedRequestError: The requests use more than one key.
        """
        keys = sorted({getattr(each.request, "key", "") for each in operations})
        # Steps ignore the key, so two keys would silently be judged as one value.
        if len(keys) > 1:
            raise UnsupportedRequestError(
                f"the model {self.name!r} has a single register, but the history uses the keys"
                f" {keys[0]!r} and {keys[1]!r}; use the model {KeyValueStore.name!r}, which has one"
                " for each key"
            )
        return [("", list(operations))]

    def step(self, operation: Operation) -> Step[State] | None:
        """
        Return the step of *operation*; None if it has neither effect nor observation.

        Raises:
            UnsupportedRequestError: The model does not support the request, or the response
                does not fit it.
        """
        # Checked before the outcome: an unsupported request is an error even if it failed.
        if not isinstance(operation.request, self.requests):
            raise UnsupportedRequestError(
                f"operation {operation.id}: the model {self.name!r} does not support"
                f" {operation.request!r}"
            )
        if operation.outcome is Outcome.NOT_APPLIED:
            return None
        return _step(operation)

    def steps(self, operations: Sequence[Operation]) -> list[Step[State] | None]:
        needed = _Needed(operations)
        # Only unanswered operations may be left out; the others must appear in every order.
        return [
            _of_use(each, step, needed) if step and each.outcome is Outcome.UNKNOWN else step
            for each, step in zip(operations, map(self.step, operations), strict=True)
        ]


class CasRegister(Register):
    """A register with compare-and-swap."""

    name = "cas-register"
    requests = (Get, Put, Swap)


class KeyValueStore(Register):
    """One register per key; no request spans keys."""

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
        # A read without a response neither changes nor shows anything.
        case Get(), None:
            return None
        case Put(_, value), Done() | None:
            return Step(lambda _: value, is_blind=True)
        case Append(_, value), Done() | None:
            return Step(lambda state: value if state is None else state + value)
        # A failed swap is a read; all that it shows is what the value was not.
        case Swap(_, expected, _), Swapped(False):
            return Step(lambda state: state if state != expected else ILLEGAL, is_read=True)
        # Without a response only success matters: a failed swap would have left no trace.
        case Swap(_, expected, value), Swapped(True) | None:
            return Step(_swap(expected, value))
    raise UnsupportedRequestError(
        f"operation {operation.id}: {operation.response!r} is not a response to"
        f" {operation.request!r}"
    )


class _Needed:
    """
    The values that the register must have held to explain all responses.

    A state that is neither one of these values nor a prefix of one is useless: no response can
    observe it before it is overwritten, so an unanswered operation that leads to it can be left
    out.  A failed swap is explained by any state but one; with such a swap, all states are needed.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        answered = [each for each in operations if each.outcome is Outcome.OK]
        self._all = any(each.response == Swapped(False) for each in answered)
        found = {value for each in answered for value in _conditions(each)}
        self._values = sorted(found)
        # A swap that writes a needed value makes the value it expects needed as well.  Most
        # chains run forward in time, so going backwards usually finds them in one pass.
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
        # If any needed value begins with *value*, the first one that is not less than it does.
        at = bisect_left(self._values, value)
        return self._all or (at < len(self._values) and self._values[at].startswith(value))


def _conditions(operation: Operation) -> set[str]:
    return seen(operation.response) | expected(operation.request)


def _of_use(operation: Operation, step: Step[State], needed: _Needed) -> Step[State] | None:
    """Restrict the *step* of an unanswered *operation* to states that are *needed*."""
    # What an append leads to depends on the state; all others determine it by themselves.
    if not isinstance(operation.request, Append):
        return step if all(value in needed for value in written(operation.request)) else None

    def apply(state: State) -> State | Illegal:
        after = step.apply(state)
        return after if isinstance(after, str) and after in needed else ILLEGAL

    return replace(step, apply=apply)


def _swap(expected: State, value: str) -> Callable[[State], State | Illegal]:
    return lambda state: value if state == expected else ILLEGAL
