"""
The small models: a register, one with compare-and-swap, and a store of such registers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from .model import ILLEGAL, Illegal, Step, UnsupportedRequestError
from .operations import Operation, Outcome
from .requests import Append, Done, Get, Put, Swap, Swapped, Value

State = str | None


class Register:
    """One value, which is written and read; at first there is none."""

    name = "register"
    requests: tuple[type, ...] = (Get, Put)

    def initial(self) -> State:
        return None

    def key(self, state: State) -> Hashable:
        return state

    def version(self, state: State) -> int | None:
        return None

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        return [("", list(operations))]

    def step(self, operation: Operation) -> Step[State] | None:
        if not isinstance(operation.request, self.requests):
            raise UnsupportedRequestError(
                f"operation {operation.id}: the model {self.name!r} knows no {operation.request!r}"
            )
        if operation.outcome is Outcome.NOT_APPLIED:
            return None
        return _step(operation)


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


def _swap(expected: State, value: str) -> Callable[[State], State | Illegal]:
    return lambda state: value if state == expected else ILLEGAL
