"""
Simulated threads: real ones, of which one runs at a time and only when the loop lets it.

A thread runs in a step of the loop until it blocks or ends, so that the tape decides about threads
as it does about tasks, and a trial with threads is as reproducible as one without.  It may block on
locks and everything that the standard library builds on them (conditions, events, semaphores,
queues, futures), on `time.sleep`, and on `Thread.join`.
"""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .loop_network import LoopNetwork
from .process import PROCESS
from .refusal import ORIGIN, origin, refused

__all__ = [
    "THREAD_TAKES",
    "SimLock",
    "SimThread",
    "ThreadEndedError",
    "Threads",
    "current",
    "replacements",
]

_allocate = _thread.allocate_lock
_begin = _thread.start_new_thread
_ident = threading.get_ident
THREAD_TAKES = 0.002
"""Longest time for a thread to start, and to deliver its result, in seconds."""
_MOST_UNWINDINGS = 100
"""How often a thread that is ended may block again before it is left behind."""

_threads: dict[int, SimThread] = {}
"""The simulated threads that have begun, by identity."""


class ThreadEndedError(BaseException):
    """Unwinds a thread whose process or trial is over."""


def current() -> SimThread | None:
    """The simulated thread that the caller runs in; None in a step of the loop, or elsewhere."""
    return _threads.get(_ident())


class SimThread:
    """
    A thread of a trial.

    Args:
        threads: All threads of the trial.
        work: What it runs; exceptions that leave it are unhandled.
    """

    def __init__(self, threads: Threads, work: Callable[[], object]) -> None:
        self._all = threads
        self._work = work
        # A context can be entered once at a time: the steps of the loop have another one.
        self.context = contextvars.copy_context()
        self._inside = self.context.copy()
        self._inside.run(ORIGIN.set, origin())
        self.process = PROCESS.get(threads.loop.outside)
        self.is_over = False
        self._may_run = _allocate()
        self._may_run.acquire()
        self._is_ending = False
        self._is_scheduled = False
        self._has_begun = False
        self._joining: list[SimThread] = []

    def wake(self) -> None:
        """Let it continue in a step of its own."""
        if not (self._is_scheduled or self.is_over):
            self._is_scheduled = True
            self._all.loop.call_soon(self._step, context=self.context)

    def _step(self) -> None:
        # A step that waited for it may have run it already.
        if self._is_scheduled and not self.is_over:
            self._is_scheduled = False
            self._switch()

    def _switch(self) -> None:
        """Let it run until it blocks or ends; called by the thread of the loop."""
        if not self._has_begun:
            self._has_begun = True
            _begin(self._run, ())
        self._may_run.release()
        self._all.has_yielded.acquire()

    def _run(self) -> None:
        self._may_run.acquire()
        _threads[_ident()] = self
        self._all.idents.add(_ident())
        try:
            if not self._is_ending:
                self._inside.run(self._work)
        except (ThreadEndedError, SystemExit):
            pass
        except BaseException as error:
            if not self._is_ending:
                context = {"message": "exception in a thread", "exception": error}
                self._inside.run(self._all.loop.call_exception_handler, context)
        finally:
            self.is_over = True
            for each in self._joining:
                each.wake()
            self._all.running.pop(self, None)
            self._all.idents.discard(_ident())
            del _threads[_ident()]
            self._all.has_yielded.release()

    def wait(self, is_ready: Callable[[], bool], seconds: float = -1.0) -> bool:
        """
        Block until it is woken and *is_ready* holds.

        Args:
            is_ready: Called each time that it is woken.
            seconds: Virtual seconds to wait at most; negative for no limit.

        Returns:
            Whether *is_ready* holds.
        """
        loop = self._all.loop
        until = loop.time() + seconds
        timer = loop.call_later(seconds, self.wake, context=self.context) if seconds >= 0 else None
        while not is_ready():
            if timer is not None and loop.time() >= until:
                return False
            self._yield()
        if timer is not None:
            timer.cancel()
        return True

    def _yield(self) -> None:
        self._all.has_yielded.release()
        self._may_run.acquire()
        if self._is_ending:
            raise ThreadEndedError

    def sleep(self, seconds: float) -> None:
        """Block for a time."""
        self.wait(lambda: False, max(0.0, seconds))

    def join(self, seconds: float) -> None:
        """
        Block the calling thread until this one is over, for at most *seconds* unless negative.

        Raises:
            NotSimulatedError: It would block the event loop.
        """
        me = current()
        if self.is_over or seconds == 0:
            return
        if me is not None:
            self._joining.append(me)
            me.wait(lambda: self.is_over, seconds)
        elif not self._all.run_until(lambda: self.is_over):
            raise refused("Thread.join", "blocks the event loop; use asyncio.to_thread")

    def end(self) -> None:
        """Unwind it, after its process or its trial is over."""
        self._is_ending = True
        for _ in range(_MOST_UNWINDINGS):
            if self.is_over or not self._has_begun:
                break
            self._switch()
        # Nobody has to wait for what is left behind.
        self.is_over = True

    def __repr__(self) -> str:
        return f"<SimThread of {self.process.name}>"


class Threads:
    """
    The threads of one trial.

    Args:
        loop: Its loop.

    Attributes:
        idents: The identities of the real threads that belong to the trial.
        running: The threads that are not over, as an ordered set.
        has_yielded: Released by a thread that gives the control back to the loop.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.idents = {_ident()}
        self.running: dict[SimThread, None] = {}
        self.has_yielded = _allocate()
        self.has_yielded.acquire()

    def start(self, work: Callable[[], object]) -> SimThread:
        """Run *work* in a new thread of the calling process, after a delay that the tape chooses."""
        thread = SimThread(self, work)
        self.running[thread] = None
        thread._is_scheduled = True
        delay = self.loop.tape.between(0.0, THREAD_TAKES)
        self.loop.call_later(delay, thread._step, context=thread.context)
        return thread

    def run_until(self, is_ready: Callable[[], bool]) -> bool:
        """
        Run threads of the calling process in the current step, as far as they can run at once.

        Args:
            is_ready: Called before each of them.

        Returns:
            Whether *is_ready* held in the end; if it did not, waiting would block the event loop.
        """
        process = PROCESS.get(self.loop.outside)
        while not is_ready():
            able = (each for each in self.running if each._is_scheduled and each.process is process)
            thread = next(able, None)
            if thread is None:
                return False
            thread._step()
        return True

    def end(self) -> None:
        """Unwind all threads, at the end of the trial."""
        # An executor would report that its worker was ended.
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            for thread in list(self.running):
                thread.end()
        finally:
            logging.disable(level)
        self.running.clear()


class SimLock:
    """
    A lock; in a simulated thread, waiting for it lets others run.

    Elsewhere it is like a real one, since what was created in a trial may be used afterwards.
    """

    def __init__(self) -> None:
        self._lock = _allocate()
        self._waiting: deque[SimThread] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1.0) -> bool:
        """
        Take the lock, waiting for it if *blocking*, for *timeout* seconds unless negative.

        Returns:
            Whether it was taken.

        Raises:
            NotSimulatedError: Waiting would block the event loop.
        """
        if self._lock.acquire(False):
            return True
        if not blocking or timeout == 0:
            return False
        me = current()
        if me is None:
            loop = asyncio._get_running_loop()
            if not isinstance(loop, LoopNetwork):
                return self._lock.acquire(blocking, timeout)
            if loop.threads.run_until(lambda: self._lock.acquire(False)):
                return True
            raise refused("Lock.acquire", "blocks the event loop; use asyncio's locks")
        self._waiting.append(me)
        try:
            return me.wait(lambda: self._lock.acquire(False), timeout)
        finally:
            if me in self._waiting:
                self._waiting.remove(me)

    def release(self) -> None:
        self._lock.release()
        if self._waiting:
            self._waiting[0].wake()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._lock = _allocate()

    def __repr__(self) -> str:
        return f"<SimLock {'locked' if self.locked() else 'unlocked'}>"


# -- what stands for the standard library -----------------------------------------------------


def replacements(
    threads: Callable[[], Threads], virtual: Callable[[Any, Any], Any]
) -> Iterator[tuple[Any, str, Any, Any]]:
    """
    Yield owner, name, real value, and what stands for it during a trial.

    Args:
        threads: Returns the threads of the running trial.
        virtual: Combines a real function and its virtual one into one that calls the latter if the
            caller belongs to a trial.
    """
    start = threading.Thread.start
    mine = virtual(start, lambda thread: _start(threads(), thread))
    yield threading.Thread, "start", start, mine

    def start_new_thread(function: Any, args: Any, kwargs: Any = None) -> int:
        return id(threads().start(lambda: function(*args, **(kwargs or {}))))

    yield _thread, "start_new_thread", _begin, virtual(_begin, start_new_thread)
    for owner, name in (
        (_thread, "allocate_lock"), (threading, "Lock"), (threading, "_allocate_lock"),
    ):  # fmt: skip
        yield owner, name, getattr(owner, name), SimLock
    # The ones of Python instead of C, which use the locks above.
    yield threading, "RLock", threading.RLock, threading._PyRLock  # type: ignore[attr-defined]
    yield queue, "SimpleQueue", queue.SimpleQueue, queue._PySimpleQueue  # type: ignore[attr-defined]


def _start(threads: Threads, thread: threading.Thread) -> None:
    if thread._started.is_set() or "join" in vars(thread):  # type: ignore[attr-defined]
        raise RuntimeError("threads can only be started once")

    def work() -> None:
        ident = _ident()
        thread._ident = ident  # type: ignore[attr-defined]
        thread._started.set()  # type: ignore[attr-defined]
        threading._active[ident] = thread  # type: ignore[attr-defined]
        try:
            thread.run()
        finally:
            del threading._active[ident]  # type: ignore[attr-defined]

    mine = threads.start(work)

    def join(timeout: float | None = None) -> None:
        mine.join(-1.0 if timeout is None else max(0.0, timeout))

    # On the object itself, since executors join their threads when Python ends, after all trials.
    vars(thread).update(join=join, is_alive=lambda: not mine.is_over)
