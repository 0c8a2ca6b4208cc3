"""
A lock that nothing can leave held.

An exception out of a signal handler may arrive between any two bytecodes of Python code, so a
lock with an ``__enter__`` or a ``finally`` in Python can stay held for good.  This one is taken
and given back by C functions only, at the two ends of one line.
"""

from __future__ import annotations

import os
from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")


class Lock:
    """
    Runs functions one at a time; the thread that holds it may run more.

    Attributes:
        is_mine: Whether this thread holds it.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self.is_mine: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]

    def hold_across_forks(self, in_child: Callable[[], object], patience: float = -1) -> None:
        """
        Keep all other threads out of `run` while the process is copied.

        Args:
            in_child: What to do in the child before it is released.
            patience: Seconds that a fork waits for a thread in `run`; without limit if negative.
        """
        # All pairs of taking and giving back are C functions: however deeply forks nest, nothing
        # that interrupts a hook in Python can upset them.
        acquire, release = self._lock.acquire, self._lock.release
        os.register_at_fork(
            before=acquire if patience < 0 else lambda: acquire(timeout=patience),
            after_in_parent=release,
            after_in_child=in_child,
        )
        os.register_at_fork(after_in_child=lambda: release() if self.is_mine() else self._renew())

    def _renew(self) -> None:
        """Begin anew in a child: a thread that only the parent has holds the lock."""
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]

    def run(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call *function* while no other thread is in `run`."""
        # One line: the interpreter looks for signals after `function`, inside of the `with`, and
        # then not before the lock is released; a tracer sees no line in between.
        with self._lock: return function(*args, **named)  # fmt: skip  # noqa: E701
