"""
Processes of the simulated world, and their pending callbacks.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .futures import SimTask

__all__ = ["DEAD", "PAUSED", "PROCESS", "RUNNING", "Handle", "Process", "nothing"]

RUNNING, PAUSED, DEAD = 0, 1, 2


class Process:
    """
    One life of a host, from boot to crash; code outside all hosts has a process, too.

    Attributes:
        state: Running, paused or dead.
        allowed: Exceptions that may remain unhandled.
        is_host: Whether it belongs to a host.
        busy_until: Time until which a blocking call occupies it.
        paused_at: Time of the last pause.
        parked: Callbacks deferred while it was paused.
    """

    __slots__ = (
        "allowed", "busy_until", "is_host", "name", "parked", "paused_at", "state", "tasks",
    )  # fmt: skip

    def __init__(
        self, name: str, allowed: tuple[type[BaseException], ...] = (), *, is_host: bool = False
    ) -> None:
        self.name = name
        self.allowed = allowed
        self.is_host = is_host
        self.state = RUNNING
        self.busy_until = self.paused_at = 0.0
        self.parked: list[Handle] = []
        self.tasks: dict[SimTask[Any], None] = {}

    def __repr__(self) -> str:
        return f"<Process {self.name}>"


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("assertlib.sim.process")
"""Whose code runs; callbacks and tasks inherit it with their context."""


class Handle:
    """
    A scheduled callback or timer.

    Attributes:
        lane: The number of the task whose next step it is; 0 for a plain callback.
    """

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_when", "lane")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: contextvars.Context | None,
        when: float = 0.0,
    ) -> None:
        """
        Args:
            context: What it runs in; None for the world's own doings.
        """
        self._callback = callback
        self._args = args
        self._context = context
        self._when = when
        self._cancelled = False
        self.lane = 0

    def cancel(self) -> None:
        """Do not run it."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it will not run."""
        return self._cancelled

    def when(self) -> float:
        """The time it waits for, in seconds."""
        return self._when

    def __repr__(self) -> str:
        return f"<Handle {self._callback!r}>"


def nothing() -> None:
    """What a task does whose next step is not known yet."""
