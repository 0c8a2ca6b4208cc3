"""
The interface of a model: a sequential specification that histories are checked against.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from ..errors import UsageError
from .operations import Operation

S = TypeVar("S")


# A member of an enum: None is a valid state, and type checkers narrow `is ILLEGAL`.
class _Illegal(Enum):
    ILLEGAL = "illegal"


Illegal: TypeAlias = Literal[_Illegal.ILLEGAL]
ILLEGAL: Final = _Illegal.ILLEGAL
"""The result of a step in a state in which the recorded response is impossible."""


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """
    The precomputed effect of an operation on a state.

    Attributes:
        apply: Returns the next state, or `ILLEGAL`; it never modifies its argument.
        is_read: Whether the operation leaves every state unchanged.
        before: Version of the state that the operation was applied to; None if not reported.
        after: Version of the resulting state; None if not reported.
        is_blind: Whether the next state is independent of the previous one.
        keeps_version: For an operation of unknown outcome without versions: whether its effect
            may leave the version unchanged.
    """

    apply: Callable[[S], S | Illegal]
    # The search prunes by what follows; whether a step fits a state is decided by `apply` alone.
    is_read: bool = False
    before: int | None = None
    after: int | None = None
    is_blind: bool = False
    keeps_version: bool = False


class UnsupportedRequestError(UsageError, ValueError):
    """A history contains a request that the model does not support."""


class Model(Protocol[S]):
    """
    The sequential specification of a store.

    States are immutable values that are compared by their `key`.
    """

    name: str

    def initial(self) -> S:
        """Return the state of a new store."""
        ...

    def key(self, state: S) -> Hashable:
        """Return a hashable key that identifies *state*."""
        ...

    def version(self, state: S) -> int | None:
        """Return the version of *state*, which never decreases; None without versions."""
        ...

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        """Split *operations* into named parts that can be judged independently."""
        ...

    def step(self, operation: Operation) -> Step[S] | None:
        """
        Return the step of *operation*; None if it has neither effect nor observation.

        Raises:
            UnsupportedRequestError: The model does not support the request.
        """
        ...

    def steps(self, operations: Sequence[Operation]) -> list[Step[S] | None]:
        """
        Return the steps of *operations*, assuming that there are no other operations.

        A step of unknown outcome may reject states that none of the operations can distinguish
        from the previous one.

        Raises:
            UnsupportedRequestError: The model does not support one of the requests.
        """
        ...
