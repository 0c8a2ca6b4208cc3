"""
A lock that nothing can leave held.

A signal handler may raise an exception between any two bytecodes of Python code, so a lock with an
``__enter__`` or a ``finally`` in Python can stay held for good.  This one is acquired and released
by C functions alone, at the two ends of one line.
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
    Runs functions one at a time; a thread that holds it may run further ones.

    Attributes:
        is_mine: Whether this thread holds it.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self.is_mine: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]

    def hold_across_forks(self, in_child: Callable[[], object], patience: float = -1) -> None:
        """
        Keep all other threads out of `run` while the process forks.

        Args:
            in_child: Called in the child before the lock is released there.
            patience: Seconds that a fork waits for a thread in `run`; without limit if negative.
        """
        # Without a limit, both hooks of the parent are C functions: however deeply forks nest,
        # nothing can interrupt an acquire or a release half-way.
        acquire, release = self._lock.acquire, self._lock.release
        has_limit = patience >= 0
        os.register_at_fork(
            before=(lambda: acquire(timeout=patience)) if has_limit else acquire,
            # After a wait that was in vain there is nothing to release.
            after_in_parent=(lambda: self.is_mine() and release()) if has_limit else release,
            after_in_child=in_child,
        )
        os.register_at_fork(after_in_child=lambda: release() if self.is_mine() else self._renew())

    def _renew(self) -> None:
        """Reset the lock in a child, where the thread that holds it does not exist."""
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]

    def run(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call *function* with *args* and *named* while no other thread is in `run`."""
        # One line: the interpreter checks for signals after `function`, still inside the `with`,
        # and not again before the lock is released; a tracer sees no line in between.
        with self._lock: return function(*args, **named)  # fmt: skip  # noqa: E701
