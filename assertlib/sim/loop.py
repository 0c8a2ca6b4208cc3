"""
An asyncio event loop with virtual time, whose scheduling order comes from a tape.

Tasks, futures and everything that asyncio builds on them work unchanged.  Any ready task may run
next; plain callbacks run in the order in which they were scheduled, as asyncio guarantees.  When
nothing is ready, time jumps to the next timer.

The module is over 500 lines because one class has to implement the whole loop interface of asyncio.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import linecache
import os
import re
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .fence import REPLACED
from .futures import Exceptions, SimFuture, SimTask, cancel_outside, end_task
from .loop_network import LoopNetwork
from .names import Names
from .policy import Fifo, Policy
from .process import DEAD, PAUSED, PROCESS, RUNNING, STEP, Handle, Process, nothing
from .refusal import OURS, refused
from .tape import Tape
from .threads import THREAD_TAKES, ThreadEndedError, Threads

T = TypeVar("T")

__all__ = ["DeadlockError", "SimLoop"]

_STEPS = (None, "task_wakeup")
"""Names of what asyncio schedules for a step of a task: a wakeup, or a callable without a name."""

_STEPS_BETWEEN_MARKS = 32
"""Resolution, in steps, with which a guided search locates the choices that led to a state."""


class DeadlockError(RuntimeError):
    """All tasks wait forever, or the step limit was exceeded; the message explains which."""


class SimLoop(LoopNetwork):
    """
    The event loop of one trial.

    Attributes:
        now: Seconds since the start of the trial.
        steps: Number of callbacks and task steps run so far.
        log: Events in order, as time, process and text; empty unless a log is kept.
        made: The number of choices made by each event.
        network: The network of the world.
        deadline: The time at which the trial ends, even if tasks are still waiting.
        after_step: A call to make right after the current step.
        stop_faults: Ends all injected faults.
        exceptions: The registry of unretrieved exceptions.
        outside: The process of code outside all hosts, such as the scenario.
        buried: Unfinished tasks with their dead processes, kept until the trial is over.
        context: The context that the scenario starts with.
    """

    def __init__(
        self,
        tape: Tape,
        policy: Policy,
        *,
        keep_log: bool,
        max_steps: int,
        on_mark: Callable[[], object] | None = None,
    ) -> None:
        """
        Args:
            tape: The choices of the trial.
            policy: Chooses the task that runs next.
            keep_log: Whether to keep a log of events.
            max_steps: Number of steps after which the trial fails.
            on_mark: Called when time begins to pass, and then every few steps; None for no calls.
        """
        self.now = 0.0
        self.steps = 0
        self.tape = tape
        self.keep_log = keep_log
        self.log: list[tuple[float, str, str]] = []
        self.made: list[int] = []
        self.outside = Process("world")
        self.threads = Threads(self)
        self.names = Names()
        self.names.add(self.outside.name)
        self.after_step: Callable[[], None] | None = None
        self.stop_faults: Callable[[], None] = nothing
        self.buried: list[tuple[asyncio.Task[Any], Process]] = []
        self.exceptions = Exceptions(self)
        self._policy = policy
        self._max_steps = max_steps
        self._next_mark = 0 if on_mark else max_steps
        self._on_mark = on_mark
        self._numbers = 0
        self._callbacks: deque[Handle] = deque()
        self._ready: list[Handle] = []
        # Under FIFO, tasks and callbacks share one queue, or the order between them would be lost.
        # Other policies choose from a list by index.
        self._steps: deque[Handle] | list[Handle] = (
            self._callbacks if isinstance(policy, Fifo) else self._ready
        )
        # The number in the middle keeps timers of equal times in order, and handles out of the
        # comparison.
        self._timers: list[tuple[float, int, Handle]] = []
        self._stopping = False
        self._generators: dict[int, Process] = {}
        # Those whose tasks begin at once.
        self._eager: set[Process] = set()
        self.deadline = float("inf")
        self._running = False
        self._closed = False
        self._handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._is_handled_outside = False
        self.context = contextvars.Context()
        self.context.run(PROCESS.set, self.outside)

    # -- the log ----------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Append *text* to the log, with the time and the calling process."""
        if self.keep_log:
            self.log.append((self.now, PROCESS.get(self.outside).name, text))
            self.made.append(len(self.tape.values))

    # -- running ----------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:
        """
        Run until *future* is done and return its result.

        Raises:
            DeadlockError: The future can no longer complete, or the step limit was exceeded.
            TimeoutError: The deadline of the trial has passed.
        """
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._stop_at)
        self.run_forever()
        return task.result()

    def _stop_at(self, _: object) -> None:
        self._stopping = True

    def run_forever(self) -> None:
        """
        Run until `stop` is called.

        Raises:
            RuntimeError: A loop is running in this thread.
        """
        if self._running or events._get_running_loop() is not None:
            raise RuntimeError("an event loop is already running")
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._begin_generator, finalizer=self._finish_generator)
        self._running = True
        self._stopping = False
        events._set_running_loop(self)
        try:
            self._run()
        finally:
            events._set_running_loop(None)
            STEP.process = None
            self._running = False
            sys.set_asyncgen_hooks(*hooks)

    def _run(self) -> None:
        # Every step of every trial passes through this loop, so it is one function with attributes
        # bound to locals; benchmarks/sim.py measures its speed.
        ready, callbacks, timers = self._ready, self._callbacks, self._timers
        pick, pop, step = self._policy.pick, heapq.heappop, STEP
        log = self.log.append if self.keep_log else None
        while not self._stopping:
            if self.after_step is not None:
                self.finish_step()
            # All due timers become ready before anything runs, so that a policy can choose among
            # everything that is ready now.
            if timers and timers[0][0] <= self.now:
                self._enqueue(pop(timers)[2])
                continue
            # All callbacks count as a single candidate, number 0: the policy decides when the next
            # one runs, but not which.
            if callbacks:
                if ready and (at := pick(ready, 1)):
                    handle = ready.pop(at - 1)
                else:
                    handle = callbacks.popleft()
            elif ready:
                handle = ready.pop(pick(ready, 0) if len(ready) > 1 else 0)
            # Time passes only here, when nothing is ready.  Cancelled timers do not advance it.
            elif timers:
                if timers[0][0] > self.deadline and not timers[0][2]._cancelled:
                    self.now = self.deadline
                    raise TimeoutError(
                        f"did not finish within {self.now:g} virtual seconds; {self._waiting()}"
                    )
                when, _, handle = pop(timers)
                if handle._cancelled:
                    continue
                self.now = when
                # A single due timer runs directly; several become ready, and the policy decides.
                if timers and timers[0][0] == self.now:
                    self._enqueue(handle)
                    continue
            else:
                # The first line becomes the name of the failure.  The time is not part of it, so
                # that the same deadlock has the same name in all trials.
                raise DeadlockError(
                    f"deadlock; {self._waiting()}\nafter {self.now:.3f} virtual seconds"
                )
            if handle._cancelled:
                continue
            context = handle._context
            process = self.outside if context is None else context.get(PROCESS, self.outside)
            # RUNNING is 0, so this is one test for paused, dead and busy processes.
            if process.state or process.busy_until > self.now:
                self._defer(process, handle)
                continue
            if process.stall is not None and process.stall(handle):
                continue
            self.steps += 1
            if self.steps > self._next_mark:
                self._mark()
            if log is not None:
                log((self.now, process.name, _described(handle)))
                self.made.append(len(self.tape.values))
            step.process = process
            callback = handle._callback
            if handle.lane:
                # The handle belongs to the task, and its callback refers to the task: left in
                # place, it would form a cycle, and the garbage collector is off during a trial.
                handle._callback = nothing
            try:
                if context is None:
                    callback(*handle._args)
                else:
                    context.run(callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                name = getattr(callback, "__qualname__", type(callback).__name__)
                (context or self.context).run(
                    self.call_exception_handler,
                    {"message": f"exception in {name}", "exception": error},
                )

    def _mark(self) -> None:
        if self.steps > self._max_steps:
            # The number is not part of the first line either: shrinking has a limit of its own.
            raise DeadlockError(
                f"still running at the limit of steps\nafter {self._max_steps:,} steps"
                f" and {self.now:.3f} virtual seconds"
            )
        if self._on_mark is not None and self.now:
            self._on_mark()
            self._next_mark = min(self.steps + _STEPS_BETWEEN_MARKS, self._max_steps)

    def finish_step(self) -> None:
        """Make the call that was deferred to the end of the step, if there is one."""
        after, self.after_step = self.after_step, None
        if after is not None:
            after()

    def _defer(self, process: Process, handle: Handle) -> None:
        # A handle of a dead process is dropped.
        if process.state == PAUSED:
            process.parked.append(handle)
        elif process.state == RUNNING:
            self.at(process.busy_until, handle)

    def _enqueue(self, handle: Handle) -> None:
        (self._steps if handle.lane else self._callbacks).append(handle)

    def _waiting(self) -> str:
        # Only tasks of the scenario: servers wait forever in every deadlock.
        tasks = [task for task in self.outside.tasks if not task.done()]
        names = ", ".join(_where(task) for task in tasks[:5])
        return f"waiting: {names or 'all tasks'}"

    # -- processes --------------------------------------------------------------------------

    def pause(self, process: Process) -> None:
        """Suspend *process* until it is resumed."""
        process.state = PAUSED
        process.paused_at = self.now

    def resume(self, process: Process) -> None:
        """Resume *process*, if it is paused, with everything that was deferred meanwhile."""
        if process.state == PAUSED:
            process.state = RUNNING
            # At the front of the queues, since callbacks keep the order in which they became ready.
            parked = process.parked
            if self._steps is self._callbacks:
                self._callbacks.extendleft(reversed(parked))
            else:
                self._callbacks.extendleft(each for each in reversed(parked) if not each.lane)
                self._ready[:0] = [each for each in parked if each.lane]
            process.parked.clear()

    def kill(self, process: Process) -> None:
        """
        Terminate *process* as a power cut does: none of its code runs again, not even ``finally``.

        Its tasks are kept until the trial is over, because Python runs the ``finally`` blocks of a
        coroutine when it is freed.
        """
        self.exceptions.excuse(process)
        process.state = DEAD
        process.parked.clear()
        running = asyncio.current_task(self)
        tasks = list(process.tasks)
        process.tasks.clear()
        for task in tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                self.buried.append((task, process))
                # The future is cancelled for its waiters in other processes; the coroutine, unlike
                # with Task.cancel, never notices.  The running task, if it ends its own host, is
                # about to set a result, which a cancelled future would refuse.
                if task is not running:
                    cancel_outside(task)

    # -- the interface of asyncio: callbacks and time ---------------------------------------

    def time(self) -> float:
        """Return the time of the calling process, in seconds since the start of the trial."""
        # A blocking call moves the clock of its process ahead of the others'.
        busy_until = PROCESS.get(self.outside).busy_until
        return max(busy_until, self.now)

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """
        Schedule a callback, or the next step of a task.

        Args:
            callback: The function to call.
            args: Its arguments.
            context: The context to run it in; None for a copy of the current one.
        """
        if context is None:
            context = contextvars.copy_context()
        # An empty context would let the callback outlive its host.
        elif PROCESS not in context:
            context.run(PROCESS.set, PROCESS.get(self.outside))
        task = getattr(callback, "__self__", None)
        # Only the name of what asyncio schedules reveals a step.  Other methods of a task, such as
        # cancel, are plain callbacks.
        if type(task) is SimTask and getattr(callback, "__name__", None) in _STEPS:
            handle = task.step
            handle._callback, handle._args, handle._context = callback, args, context
            self._steps.append(handle)
        else:
            handle = Handle(callback, args, context)
            self._callbacks.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """
        Schedule a callback after a delay.

        Args:
            delay: Delay in virtual seconds.
            callback: The function to call.
            args: Its arguments.
            context: The context to run it in; None for a copy of the current one.
        """
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """
        Schedule a callback at a point in time.

        Args:
            when: Time in virtual seconds since the start of the trial.
            callback: The function to call.
            args: Its arguments.
            context: The context to run it in; None for a copy of the current one.
        """
        if context is None:
            context = contextvars.copy_context()
        elif PROCESS not in context:
            context.run(PROCESS.set, PROCESS.get(self.outside))
        return self.at(when, Handle(callback, args, context, when))

    def at(self, when: float, handle: Handle) -> Handle:
        """Schedule *handle* at the time *when*, in virtual seconds, and return it."""
        self._numbers += 1
        heapq.heappush(self._timers, (when, self._numbers, handle))
        return handle

    def next_number(self) -> int:
        """Return a number that is unique in this trial, for names and hashes."""
        self._numbers += 1
        return self._numbers

    def create_future(self) -> SimFuture[Any]:
        return SimFuture(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """
        Create a task of the calling process, or of the process in *context*.

        Args:
            coro: The coroutine to run.
            name: Name of the task; None for a number.
            context: The context to run it in; None for a copy of the current one.

        Raises:
            RuntimeError: The loop is closed.
        """
        if self._closed:
            coro.close()
            raise RuntimeError("Event loop is closed")
        if context is not None and PROCESS not in context:
            context.run(PROCESS.set, PROCESS.get(self.outside))
        self._numbers += 1
        process = (
            PROCESS.get(self.outside) if context is None else context.get(PROCESS, self.outside)
        )
        is_eager = process in self._eager and self._running
        task = SimTask(self._numbers, coro, self, name, context, process, is_eager=is_eager)
        process.tasks[task] = None
        task.add_done_callback(end_task)
        return task

    def run_in_executor(
        self, executor: Any, func: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """
        Run a function in a simulated thread and deliver its result after a delay.

        Args:
            executor: What runs it, such as a `ThreadPoolExecutor`; None for a thread of its own.
            func: The function to run.
            args: Its arguments.
        """
        if executor is not None:
            return asyncio.wrap_future(executor.submit(func, *args), loop=self)
        future: SimFuture[T] = self.create_future()
        # As with a task, an exception that is never retrieved fails the trial even while the future
        # is still referenced.
        future.is_kept = True
        self.threads.start(lambda: self._work(future, func, args))
        return future

    def _work(
        self, future: asyncio.Future[T], func: Callable[..., T], args: tuple[object, ...]
    ) -> None:
        if future.cancelled():
            return
        done: T | None = None
        error: BaseException | None = None
        try:
            done = func(*args)
        except ThreadEndedError:
            raise
        except BaseException as raised:
            error = raised
        self.call_later(self.tape.between(0.0, THREAD_TAKES), _hand_over, future, done, error)

    # -- the interface of asyncio: lifecycle ------------------------------------------------

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Drop everything that has not run."""
        self._closed = True
        # Coroutines that are closed afterwards may still log and fail, which belongs to no trial.
        self.keep_log = False
        self._handler = lambda *_: None
        self._callbacks.clear()
        self._ready.clear()
        self._timers.clear()

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: generators are closed as soon as they are dropped."""

    async def shutdown_default_executor(self) -> None:
        """Do nothing: there are no threads."""

    def set_default_executor(self, executor: Any) -> None:
        """Ignore *executor*: its work runs in steps of the loop."""

    def set_task_factory(self, factory: Any) -> None:
        """
        Set how the calling process creates tasks.

        Args:
            factory: `asyncio.eager_task_factory`, or None for the default.

        Raises:
            NotSimulatedError: Another factory; tasks need the scheduling and hashes of `SimTask`.
        """
        process = PROCESS.get(self.outside)
        if factory is None:
            self._eager.discard(process)
        elif factory is _EAGER_FACTORY:
            self._eager.add(process)
        else:
            raise refused(
                "loop.set_task_factory()", "is not simulated; the loop creates its own kind of task"
            )

    def get_task_factory(self) -> Any:
        return _EAGER_FACTORY if PROCESS.get(self.outside) in self._eager else None

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """Ignore *enabled*: the debug mode of asyncio reads the wall clock."""

    def _begin_generator(self, generator: Any) -> None:
        self._generators[id(generator)] = PROCESS.get(self.outside)

    def _finish_generator(self, generator: Any) -> None:
        # A task of the process that began the generator closes it, whichever process drops the last
        # reference; a generator of a dead process is not closed at all.
        process = self._generators.pop(id(generator), self.outside)
        if self._running and process.state != DEAD:
            context = contextvars.copy_context()
            context.run(PROCESS.set, process)
            self.call_soon(self.create_task, generator.aclose(), context=context)

    # -- the interface of asyncio: errors ---------------------------------------------------

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        """
        Set the handler of exceptions that leave a callback or are never retrieved.

        Args:
            handler: Called with the loop and the context that asyncio describes; None for the
                default handler.
        """
        self._handler = handler
        # A scenario with a handler handles exceptions itself; a host's handler only observes them,
        # since the loop has one handler for all hosts.
        self._is_handled_outside = handler is not None and not PROCESS.get(self.outside).is_host

    def get_exception_handler(self) -> Any:
        return self._handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log the exception in *context*, which asyncio's own loop would write to stderr."""
        if self._running:
            text = f"{context.get('message')}: {context.get('exception')!r}"
            self.note(_ADDRESS.sub("0x...", text))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report the exception described by *context* to the trial and to the handler."""
        if not (self._is_handled_outside or self._closed):
            self.exceptions.report(context)
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            try:
                self._handler(self, context)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                failed = {"message": "the exception handler failed", "exception": error}
                self.exceptions.report(failed)
                self.default_exception_handler(failed)

    # -- the interface of asyncio: signals -------------------------------------------------

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """
        Handle a signal to the calling host; see `Host.signal`.

        Args:
            sig: Its number.
            callback: The function to call.
            args: Its arguments.
        """
        handle = Handle(callback, args, contextvars.copy_context())
        PROCESS.get(self.outside).signals[sig] = handle

    def remove_signal_handler(self, sig: int) -> bool:
        return PROCESS.get(self.outside).signals.pop(sig, None) is not None

    def task_of(self, handle: Handle) -> str:
        """Return the name of the task whose next step is *handle*."""
        task: Any = getattr(handle._callback, "__self__", None)
        return _ADDRESS.sub("0x...", task.get_name())

    def deliver(self, process: Process, sig: int) -> bool:
        """Call the handler that *process* has for the signal *sig*; return False without one."""
        handler = process.signals.get(sig)
        if handler is None:
            return False
        self.call_soon(handler._callback, *handler._args, context=handler._context)
        return True

    def __repr__(self) -> str:
        return f"<SimLoop at {self.now:.6f} s, step {self.steps}>"


def _hand_over(future: asyncio.Future[Any], done: object, error: BaseException | None) -> None:
    # The waiter may have been cancelled while the result was under way.
    if future.done():
        return
    if error is None:
        future.set_result(done)
    else:
        future.set_exception(error)


_EAGER_FACTORY = getattr(asyncio, "eager_task_factory", object())
"""The only factory that can be set; it exists since Python 3.12."""
_ADDRESS = re.compile("0x[0-9a-f]{6,}")
_INTERNAL = ("asyncio.", "assertlib.sim.")
"""Beginnings of the names of modules whose callbacks explain nothing about the program."""
_BELOW = (os.path.dirname(asyncio.__file__) + os.sep, OURS)
"""Directories of code that waits on behalf of the program."""
_MOST = 60
"""Characters of a source line in the log."""


def _described(handle: Handle) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if isinstance(task, SimTask):
        # Addresses differ between processes; the log must not.
        name = task.get_name()
        shown = _ADDRESS.sub("0x...", name) if "0x" in name else name
        return f"run {shown} {_place_of(task)}"
    name = getattr(callback, "__qualname__", type(callback).__name__)
    is_internal = str(getattr(callback, "__module__", "")).startswith(_INTERNAL)
    return f"{'loop:' if is_internal else 'call'} {name}"


def _where(task: asyncio.Task[Any]) -> str:
    name, place = _stands_at(task)
    return f"{name} at {place[0]}:{place[1]}" if place else name


def _place_of(task: asyncio.Task[Any]) -> str:
    """The line where the task goes on, in a file without its directory: logs are compared."""
    name, place = _stands_at(task)
    if place is None:
        return name
    source = linecache.getline(*place).strip()
    return (
        f"{name} at {os.path.basename(place[0])}:{place[1]}{': ' if source else ''}{source[:_MOST]}"
    )


def _stands_at(task: asyncio.Task[Any]) -> tuple[str, tuple[str, int] | None]:
    """The innermost coroutine of the program, which is the one that waits, with file and line."""
    place = None
    coro: Any = task.get_coro()
    name = getattr(coro, "__qualname__", "")
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(_BELOW):
            name, place = coro.__qualname__, (frame.f_code.co_filename, frame.f_lineno)
        coro = getattr(coro, "cr_await", None)
    return name.replace("<locals>.", ""), place


_every_task = asyncio.all_tasks


def _all_tasks(loop: Any = None) -> set[asyncio.Task[Any]]:
    """Return the unfinished tasks of the calling process: a host does not know those of others."""
    loop = loop or asyncio.get_running_loop()
    if type(loop) is not SimLoop:
        return _every_task(loop)
    return {task for task in PROCESS.get(loop.outside).tasks if not task.done()}


REPLACED += ((owner, "all_tasks", _every_task, _all_tasks) for owner in (asyncio, asyncio.tasks))
