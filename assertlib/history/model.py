"""
What a model of a store has to be, so that histories can be judged by it.
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
    What an operation means to a state, worked out once.

    Attributes:
        apply: The state after it, or `ILLEGAL`; it never changes the state it is given.
        is_read: Whether it leaves every state as it is.
        before: The version of the only state it can have found, where the store told.
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
    """A history holds a request that the model does not know."""


class Model(Protocol[S]):
    """
    A store that does one thing after the other.

    A state is a value: comparable by its `key`, never changed.
    """

    name: str

    def initial(self) -> S:
        """The state of a store that is new."""
        ...

    def key(self, state: S) -> Hashable:
        """What tells *state* from others."""
        ...

    def version(self, state: S) -> int | None:
        """The version of *state*, for a store that reports versions; it never goes down."""
        ...

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        """The parts of a history that can be judged each by itself, with their names."""
        ...

    def step(self, operation: Operation) -> Step[S] | None:
        """
        What *operation* means; None if it tells nothing and changes nothing.

        Raises:
            UnsupportedRequestError: The model does not know such requests.
        """
        ...

    def steps(self, operations: Sequence[Operation]) -> list[Step[S] | None]:
        """
        What each of *operations* means where these are all there are.

        One of unknown outcome may be refused states whose difference none of them can notice.

        Raises:
            UnsupportedRequestError: The model does not know one of the requests.
        """
        ...
