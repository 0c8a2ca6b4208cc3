from collections.abc import Callable
from typing import Any, Self, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

ABI: int

class Cell:
    def __new__(cls, cells: memoryview[int], index: int) -> Self: ...

class Assertion:
    slow_path: Callable[..., Any]

class Method:
    slow_path: Callable[..., Any]

class Evaluated:
    def result(self) -> object: ...

SCRATCH: Cell

def accelerate(
    slow_path: _F,
    name: str,
    home: str,
    text: str,
    reduced: tuple[Callable[..., object], tuple[object, ...]] | tuple[()],
    false_table: dict[str, Any],
    true_table: dict[str, Any],
    marks: dict[str, float],
    samples: dict[str, Any],
    shape: int,
    relation: int,
    direction: int,
    owner: type | None,
    /,
) -> _F: ...
def bind(function: Callable[..., Any], outcome: bool, cell: Cell | None, /) -> None: ...
def add(cell: Cell, /) -> None: ...
def take(cell: Cell, /) -> int: ...
def add_noted(slot: object, column: int, evaluation: object, /) -> None: ...
def guard(cells: memoryview[int], /) -> None: ...
def increment_unless_power_of_two(cell: Cell, /) -> bool: ...
