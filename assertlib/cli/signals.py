"""
Handles signals that end a command: forward them, wait, judge partial results, and exit as a shell does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ..robustness.processes import descendants, send

STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
SIGNALLED = 128
"""A shell reports death by a signal as this plus the signal number."""

GRACE = 10.0
"""Seconds between a signal and killing the processes that are still running."""

_FOREVER = 86_400.0
_PR_SET_CHILD_SUBREAPER = 36


class Interrupted(BaseException):
    """
    A signal asked this command to end.

    Attributes:
        number: The signal number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """
    Record the first termination signal; the yielded function then raises `Interrupted`.

    An exception from the handler itself could corrupt the code it interrupts, such as the join of
    a thread.  A second signal has its default effect, even during cleanup.
    """
    before = {each: signal.getsignal(each) for each in _wanted()}
    received: list[int] = []

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def note(number: int, _: FrameType | None) -> None:
        restore()
        received.append(number)

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    for each in before:
        signal.signal(each, note)
    try:
        yield check
    finally:
        restore()


def run_until_signalled(work: Coroutine[Any, Any, None]) -> int | None:
    """Run *work*, and cancel it at the first signal; return the number of that signal."""
    # All commands load this module; only campaigns need an event loop.
    import asyncio

    return asyncio.run(_cancelled_by_signals(work))


async def _cancelled_by_signals(work: Coroutine[Any, Any, None]) -> int | None:
    import asyncio

    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop(number: int) -> None:
        if not received:
            task.cancel()
        received.append(number)

    for each in _wanted():
        loop.add_signal_handler(each, stop, each)
    try:
        await task
    except asyncio.CancelledError:
        # Without a signal, the cancellation is not ours to swallow.
        if not received:
            raise
    return received[0] if received else None


def _wanted() -> list[signal.Signals]:
    """The termination signals that are not ignored, as SIGHUP is under nohup."""
    return [each for each in STOPPING if signal.getsignal(each) is not signal.SIG_IGN]


# -- the user's command ----------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """
    How a command ended.

    Attributes:
        code: Its exit code, as a shell reports it.
        signal: The first signal that was forwarded to it, if any.
    """

    code: int
    signal: int | None

    @property
    def was_stopped(self) -> bool:
        """Whether it was cut short."""
        return self.signal is not None or self.code >= SIGNALLED


def supervised(cmd: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """
    Run a command and forward signals to it.

    A signal from the keyboard reaches the whole process group and is left to the command.  Any
    other is forwarded to the command and to the descendants it left behind; processes still
    running after `GRACE`, or at a second signal, are killed.

    Args:
        cmd: The command and its arguments.
        environment: Its environment variables.

    Raises:
        OSError: *cmd* cannot be started.
    """
    _adopt_orphans(1)
    # Blocked before the start: a signal that arrives at any moment is queued for `sigtimedwait`.
    awaited = {*_wanted(), signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    try:
        child = os.posix_spawnp(cmd[0], list(cmd), dict(environment), setsigmask=before)
        return _Supervisor(child, awaited).wait()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _adopt_orphans(0)


class _Supervisor:
    """Waits for one process and, after a signal was forwarded, for its descendants."""

    def __init__(self, child: int, awaited: Collection[int]) -> None:
        self._child = child
        self._awaited = awaited
        self._code: int | None = None
        self._signal: int | None = None
        self._until = time.monotonic() + _FOREVER

    def wait(self) -> Ended:
        while not self._has_ended():
            left = max(0.0, self._until - time.monotonic())
            received = signal.sigtimedwait(self._awaited, left)
            if received is None:
                # Once for each grace period: a process may have been forked during the last round.
                self._send(signal.SIGKILL)
                self._until = time.monotonic() + GRACE
            elif received.si_signo != signal.SIGCHLD and received.si_code <= 0:
                # A positive code means the kernel sent it: from the keyboard, to the whole process group.
                self._stop(received.si_signo)
        assert self._code is not None
        return Ended(self._code, self._signal)

    def _stop(self, number: int) -> None:
        if self._signal is not None:
            self._send(signal.SIGKILL)
            return
        self._signal = number
        self._until = time.monotonic() + GRACE
        # The child has not been reaped, so its pid cannot have been reused.
        os.kill(self._child, number)

    def _has_ended(self) -> bool:
        """Whether all awaited processes have ended."""
        had_ended = self._code is not None
        self._reap()
        if self._code is None:
            return False
        if self._signal is None:
            # It ended by itself, so its background processes may continue.
            return True
        if not had_ended:
            self._send(self._signal)
        return not descendants(os.getpid())

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            # Adopted orphans are reaped as well, or they would remain descendants as zombies.
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child:
                    code = os.waitstatus_to_exitcode(status)
                    self._code = code if code >= 0 else SIGNALLED - code

    def _send(self, number: int) -> None:
        for each in descendants(os.getpid()):
            send(each, number)


def _adopt_orphans(flag: int) -> None:
    """Start or stop adopting the orphans of our descendants (Linux only)."""
    import ctypes

    # Otherwise init adopts them, and they are no longer found as descendants.  Source: prctl(2).
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, flag)
