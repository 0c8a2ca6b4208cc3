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


class _Illegal(Enum):
    ILLEGAL = "illegal"


Illegal: TypeAlias = Literal[_Illegal.ILLEGAL]
ILLEGAL: Final = _Illegal.ILLEGAL
"""What comes of an operation in a state in which it cannot have been answered like that."""


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """
    The precomputed effect of an operation on a state.

    Attributes:
        apply: The state after it, or `ILLEGAL`; it never changes the state it is given.
        is_read: Whether it leaves every state as it is.
        before: The version of the state it was applied to, if the store reported it.
        after: The version of the state it left.
        is_blind: Whether the state after it does not depend on the one before.
        keeps_version: For one of unknown outcome without versions, whether its effect may
            leave the version as it is.
    """

    apply: Callable[[S], S | Illegal]
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

    A state is a value: comparable by its `key`, never changed.
    """

    name: str

    def initial(self) -> S:
        """The state of a store that is new."""
        ...

    def key(self, state: S) -> Hashable:
        """A hashable key that identifies *state*."""
        ...

    def version(self, state: S) -> int | None:
        """The version of *state*, for a store that reports versions; it never goes down."""
        ...

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        """The parts of a history that can be judged each by itself, with their names."""
        ...

    def step(self, operation: Operation) -> Step[S] | None:
        """
        The step of *operation*; None if it has neither effect nor observation.

        Raises:
            UnsupportedRequestError: The model does not know such requests.
        """
        ...

    def steps(self, operations: Sequence[Operation]) -> list[Step[S] | None]:
        """
        The steps of *operations*, given that no other operations exist.

        One of unknown outcome may be refused states whose difference none of them can notice.

        Raises:
            UnsupportedRequestError: The model does not know one of the requests.
        """
        ...
