"""
Futures and tasks of a trial, with reproducible hashes and a registry of exceptions.

asyncio reports an unretrieved exception when its future is freed, which depends on remaining
references and on the garbage collector.  Here every exception is registered when it is raised, and
those still unretrieved at the end of the trial are reported.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, TypeVar

from .fence import REPLACED
from .process import DEAD, PAUSED, PROCESS, Handle, Process, nothing
from .tape import Tape

__all__ = [
    "Exceptions",
    "Raised",
    "SimFuture",
    "SimTask",
    "Unhandled",
    "cancel_outside",
    "end_task",
]

T = TypeVar("T")

_MANY = 256
"""Number of registered exceptions beyond which retrieved ones are dropped from the registry."""


@dataclass(slots=True)
class Raised:
    """
    An exception held by a future until it is retrieved.

    Attributes:
        process: The process whose code raised it.
        at: The time of that process when it was raised, in seconds.
        choices: Number of choices on the tape by then.
        is_excused: Whether the process ended before it could retrieve the exception.
    """

    process: Process
    at: float
    choices: int
    is_excused: bool = False


@dataclass(frozen=True, slots=True)
class Unhandled:
    """
    An unretrieved exception, or one raised by a callback.

    Attributes:
        message: The description given by asyncio.
        raised: Where and when it was raised.
    """

    error: BaseException
    message: str
    raised: Raised


class _AnyFuture(type):
    """Lets `SimFuture` replace asyncio.Future in a trial, of which tasks are instances, too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _FUTURE)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _FUTURE)


_FUTURE = asyncio.Future


class SimFuture(asyncio.Future[T], metaclass=_AnyFuture):
    """
    A future hashed by a serial number, so that sets of futures iterate in a reproducible order.

    The number is assigned on first use, since few futures are ever hashed.

    Attributes:
        process: The process that its exception is attributed to; None for the one that sets it.
        is_kept: Whether an unretrieved exception is reported at the end of the trial even if the
            future is still referenced; otherwise only an unreferenced future is reported.
        is_main: Whether it is the result of a host's main function, which the scenario may retrieve
            after the host is down.
        raised: Where and when its exception was raised; None without one.
    """

    process: Process | None = None
    is_kept = is_main = False
    raised: Raised | None = None

    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        super().set_exception(exception)
        # A future that asyncio itself fails has a waiter inside asyncio, or is freed soon and then
        # reported by asyncio.
        if self.is_kept or not _is_of_asyncio(sys._getframe(1)):
            _note_raised(self, self.process)

    def __hash__(self) -> int:
        return _hash(self)


class SimTask(asyncio.Task[T]):
    """
    A task hashed by its serial number.

    Attributes:
        number: Its serial number.
        process: The process that it belongs to.
        step: The handle of its next step; one for all steps, as only one is ever scheduled.
        is_kept: As for `SimFuture`.
        raised: As for `SimFuture`.
    """

    is_kept = True
    raised: Raised | None = None

    def __init__(
        self,
        number: int,
        coro: Coroutine[Any, Any, T],
        loop: asyncio.AbstractEventLoop,
        name: str | None,
        context: contextvars.Context | None,
        process: Process,
        *,
        is_eager: bool = False,
    ) -> None:
        self.number = number
        self.process = process
        self.step = Handle(nothing, (), None)
        self.step.lane = number
        # Python 3.12 introduced the argument.
        options: Any = {"eager_start": True} if is_eager else {}
        # The base class schedules or runs the first step, which needs the attributes above.
        super().__init__(coro, loop=loop, name=name or f"task-{number}", context=context, **options)

    def __hash__(self) -> int:
        return self.number


class Loop(Protocol):
    """The loop of a trial, as far as exceptions are concerned; see `SimLoop`."""

    now: float
    tape: Tape
    outside: Process

    def call_exception_handler(self, context: dict[str, Any]) -> None: ...


class Exceptions:
    """
    The exceptions in a trial that have not been retrieved yet.

    Attributes:
        on_unhandled: Called with every unhandled exception.
    """

    def __init__(self, loop: Loop) -> None:
        self.on_unhandled: Callable[[Unhandled], None] = lambda _: None
        self._loop = loop
        self._held: list[weakref.ref[Any]] = []
        self._prune_at = _MANY

    def note(self, future: Any, process: Process) -> None:
        """Register *future*, which holds an exception of *process* that must be retrieved."""
        future.raised = self._raised_now(process)
        # Weak references, so that futures are freed, and then reported by asyncio, as usual.
        self._held.append(weakref.ref(future))
        # The limit grows with what is left, which keeps the cost of pruning linear overall.
        if len(self._held) > self._prune_at:
            self._held = [weakref.ref(each) for each in self._unretrieved()]
            self._prune_at = _MANY + 2 * len(self._held)

    def _raised_now(self, process: Process) -> Raised:
        loop = self._loop
        at = max(loop.now, process.busy_until)
        return Raised(process, at, len(loop.tape.values), is_excused=process.state == DEAD)

    def _unretrieved(self) -> Iterator[Any]:
        """Iterate over futures with unretrieved exceptions, in the order of those."""
        # asyncio clears this flag when an exception is retrieved.
        for reference in self._held:
            future = reference()
            if future is not None and future._log_traceback:
                yield future

    def excuse(self, process: Process) -> None:
        """Excuse exceptions that *process*, which ends now, had no time to retrieve."""
        # A paused process could not run since the pause, and one that blocks in a call not since its
        # step began.  An exception of the very same moment is excused, too, unless the scenario
        # could still retrieve it.
        moment = self._loop.now
        if process.busy_until > moment:
            moment = process.busy_since
        if process.state == PAUSED:
            moment = min(moment, process.paused_at)
        for future in self._unretrieved():
            raised = future.raised
            is_late = raised.at > moment or (raised.at == moment and not _is_main(future))
            if raised.process is process and is_late:
                raised.is_excused = True

    def report(self, context: dict[str, Any]) -> None:
        """
        Report an unhandled exception.

        Args:
            context: The context of the exception, as asyncio passes it to exception handlers.
        """
        error, source = context.get("exception"), context.get("task") or context.get("future")
        if error is None:
            return
        raised = _raised(source)
        if raised is None:
            process = getattr(source, "process", None) or PROCESS.get(self._loop.outside)
            raised = self._raised_now(process)
        if not raised.is_excused:
            self.on_unhandled(Unhandled(error, str(context.get("message")), raised))

    def end(self, processes: Iterable[Process]) -> None:
        """Report what is unretrieved at the end of the trial; *processes* may still have tasks."""
        for process in processes:
            for task in list(process.tasks):
                # The task has just failed: its done callback, which registers the exception, has
                # not run yet.
                if _raised(task) is None and _exception_of(task) is not None:
                    self.note(task, process)
        for future in [each for each in self._unretrieved() if each.is_kept]:
            self._give_up(future)
        if any(True for _ in self._unretrieved()):
            # Futures in reference cycles are freed now, and asyncio reports them.  The collector is
            # off during a trial, so this point in time is reproducible.
            gc.collect()

    def _give_up(self, future: Any) -> None:
        # Or asyncio would report the future a second time when it is freed.
        future._log_traceback = False
        kind = "task" if isinstance(future, SimTask) else "future"
        self._loop.call_exception_handler(
            {
                "message": f"{kind.capitalize()} exception was never retrieved",
                "exception": _exception_of(future),
                kind: future,
            }
        )


def _exception_of(future: Any) -> BaseException | None:
    """Return the exception of *future* without marking it as retrieved."""
    error: BaseException | None = future._exception
    return error


def _raised(future: Any) -> Raised | None:
    raised: Raised | None = getattr(future, "raised", None)
    return raised


def _is_main(future: Any) -> bool:
    return getattr(future, "is_main", False)


def end_task(task: SimTask[Any]) -> None:
    """Forget *task*, which is done, and register its exception; the first of its callbacks."""
    task.process.tasks.pop(task, None)
    if _exception_of(task) is not None:
        _note_raised(task, task.process)


def _note_raised(future: Any, process: Process | None) -> None:
    loop = future._loop
    if _is_simulated(loop):
        loop.exceptions.note(future, process or PROCESS.get(loop.outside))


def _is_simulated(loop: Any) -> bool:
    return isinstance(getattr(loop, "exceptions", None), Exceptions)


def _fail_gathering(future: Any, exception: Any) -> None:
    """Set and register the exception of a future of `asyncio.gather`."""
    _FUTURE.set_exception(future, exception)
    _note_raised(future, None)


def _is_of_asyncio(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("asyncio.")


def _number_of(thing: Any, loop: Any) -> int:
    """Return the serial number that *thing* hashes by, assigning it on first use."""
    number: int | None = getattr(thing, "_number", None)
    if number is None:
        number = thing._number = loop.next_number()
    return number


def _hash(thing: Any) -> int:
    """Hash a future or a stream writer by number in a trial, and by address elsewhere."""
    loop = thing._loop
    return _number_of(thing, loop) if _is_simulated(loop) else object.__hash__(thing)


def cancel_outside(task: asyncio.Task[Any]) -> None:
    """Cancel *task* for its waiters, leaving its coroutine alone."""
    # Task.cancel would throw CancelledError into the coroutine, whose blocks would then run.
    _FUTURE.cancel(task)


REPLACED.append((asyncio, "Future", _FUTURE, SimFuture))
# asyncio creates these objects by itself, so their classes are changed instead of replaced.
asyncio.tasks._GatheringFuture.__hash__ = _hash  # type: ignore[attr-defined]
asyncio.tasks._GatheringFuture.set_exception = _fail_gathering  # type: ignore[attr-defined]
asyncio.tasks._GatheringFuture.is_kept = True  # type: ignore[attr-defined]
asyncio.StreamWriter.__hash__ = _hash  # type: ignore[assignment, method-assign]
