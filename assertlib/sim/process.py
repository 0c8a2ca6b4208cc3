"""
Processes of the simulated world, and their pending callbacks.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, Protocol

__all__ = [
    "DEAD",
    "PAUSED",
    "PROCESS",
    "RUNNING",
    "STEP",
    "Handle",
    "Process",
    "calling",
    "nothing",
]

# RUNNING is 0, so that the loop tests for the other two states at once.
RUNNING, PAUSED, DEAD = 0, 1, 2


class Machine(Protocol):
    """A host, as far as its processes need it."""

    @property
    def skew(self) -> float:
        """The error of its wall clock, in seconds."""

    @property
    def disk(self) -> Any:
        """Its disk."""


class Process:
    """
    One life of a host, from boot to crash; code outside all hosts has a process, too.

    Attributes:
        name: The name of the host.
        state: `RUNNING`, `PAUSED` or `DEAD`.
        allowed: Exceptions that may remain unhandled.
        host: The host whose life it is; None for code outside all hosts.
        busy_since, busy_until: Time during which blocking calls of one step occupy it, in virtual
            seconds.
        paused_by: Those who have paused it; it runs again when none is left.
        paused_at: Time of the latest pause, in virtual seconds.
        stall: Called with each of its steps, to hold it up; returns whether it has.  None for no
            call.
        parked: Callbacks deferred while it is paused.
        tasks: Its unfinished tasks.
        signals: The handlers of signals, by number.
    """

    __slots__ = (
        "allowed", "busy_since", "busy_until", "host", "name", "parked", "paused_at", "paused_by", "signals",
        "stall", "state", "tasks",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        allowed: tuple[type[BaseException], ...] = (),
        host: Machine | None = None,
    ) -> None:
        self.name = name
        self.allowed = allowed
        self.host = host
        self.state = RUNNING
        self.busy_since = self.busy_until = self.paused_at = 0.0
        self.paused_by: set[object] = set()
        self.stall: Callable[[Handle], bool] | None = None
        self.parked: list[Handle] = []
        self.signals: dict[int, Handle] = {}
        # A dict as an ordered set: tasks are ended in the order of their creation.
        self.tasks: dict[asyncio.Task[Any], None] = {}

    @property
    def is_host(self) -> bool:
        """Whether it belongs to a host."""
        return self.host is not None

    @property
    def skew(self) -> float:
        """The error of its wall clock, in seconds."""
        return 0.0 if self.host is None else self.host.skew

    def __repr__(self) -> str:
        return f"<Process {self.name}>"


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("assertlib.sim.process")
"""The process whose code is running; callbacks and tasks inherit it with their context."""


class _Step:
    """The step that the loop is running; an object, since a global would have to be looked up."""

    process: Process | None = None


STEP = _Step()


def calling() -> Process | None:
    """Return the calling process, also for code in a context of its own; None outside trials."""
    return PROCESS.get(None) or STEP.process


class Handle:
    """
    A scheduled callback or timer.

    Attributes:
        lane: The number of the task whose next step it is; 0 for a plain callback.
    """

    # A lean substitute for asyncio.Handle and TimerHandle, without their debug information: at
    # least one is created per message.
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
            callback: The function to call.
            args: Its arguments.
            context: The context to run it in; None for actions of the world, which have no process.
            when: Time in virtual seconds that it was scheduled for; 0.0 for as soon as possible.
        """
        self._callback = callback
        self._args = args
        self._context = context
        self._when = when
        self._cancelled = False
        self.lane = 0

    def cancel(self) -> None:
        """Keep the callback from running."""
        # The loop skips it when its turn comes; removing it from a heap would take linear time.
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def when(self) -> float:
        """Return the time that it is scheduled for, in virtual seconds."""
        return self._when

    def __repr__(self) -> str:
        return f"<Handle {self._callback!r}>"


def nothing() -> None:
    """Stand in for the next step of a task that has none scheduled."""
