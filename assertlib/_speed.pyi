from collections.abc import Callable
from typing import Any, Self, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

class Cell:
    def __new__(cls, cells: memoryview[int], index: int) -> Self: ...

class Assertion: ...

def accelerate(
    careful: _F,
    name: str,
    home: str,
    doc: str,
    false_table: dict[str, Any],
    true_table: dict[str, Any],
    marks: dict[str, float],
    shape: int,
    relation: int,
    maximize: bool,
    takes_invariant: bool,
    /,
) -> _F: ...
def bind(function: Callable[..., Any], outcome: bool, cell: Cell | None, /) -> None: ...
def add(cell: Cell, /) -> int: ...
def add_untold(cell: Cell, /) -> bool: ...
