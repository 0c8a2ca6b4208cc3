"""
The recorder's lock.
"""

from __future__ import annotations

from _thread import RLock, get_ident

from .troubles import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .hits import LateHit


class PatientLock:
    """
    The recorder's lock; what had to wait for it is done when it is given back.

    Attributes:
        late: Hits that came from inside, out of a signal handler or a finaliser.
    """

    def __init__(self, do: Callable[..., object]) -> None:
        self._lock = RLock()
        self._owner = 0
        self._depth = 0
        self._do = do
        self.late: list[LateHit] = []

    def is_mine(self) -> bool:
        """Whether this thread holds it."""
        return self._owner == get_ident()

    def acquire(self) -> None:
        """Wait for it."""
        self._lock.acquire()
        self._owner = get_ident()
        self._depth += 1

    def release(self) -> None:
        """Give it back."""
        self._depth -= 1
        if not self._depth:
            self._owner = 0
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
        if self.is_mine():
            return
        while self.late:
            self._do(*self.late.pop(0))
        say()
