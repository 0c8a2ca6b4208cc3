"""
The world of a trial: hosts that boot and crash, their network and disks, and injected faults.

A scenario is a coroutine function that takes a `World`:

    async def scenario(world):
        server = world.host("server", serve)
        server.boot()
        ...
        server.crash()
        server.boot()
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
from collections.abc import Callable, Container, Coroutine, Iterable
from typing import Any, Protocol, TypeVar

from .. import lifecycle
from ..recording.recorder import recorder
from ..recording.settings import OFF
from .datagrams import Mailbox
from .disk import PoweredOffError, SimDisk
from .futures import SimFuture
from .loop import SimLoop
from .machines import EPOCH
from .network import Network
from .process import DEAD, PAUSED, PROCESS, RUNNING, Handle, Process
from .tape import Tape

__all__ = ["Host", "World"]

T = TypeVar("T")

_NOTICED_WITHIN = 0.5
"""Longest time until peers of a process that ended notice it, in seconds."""
_IGNORED = (
    signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT, signal.SIGPIPE, signal.SIGXFSZ,
)  # fmt: skip
"""Signals that do not end a process without a handler; Python ignores the last two."""
_LONGEST_STALL = 2.0
"""Longest duration of a stall, in seconds."""


class Host:
    """
    A simulated machine; created by `World.host`.

    Attributes:
        name: Its name and network address.
        disk: Its disk, which survives crashes.
        boots: Number of boots.
        process: Its current or latest process.
        skew: Error of its wall clock, in seconds.
    """

    def __init__(
        self,
        world: World,
        name: str,
        main: Callable[[Host], Coroutine[Any, Any, object]] | None,
        allow_failures: tuple[type[BaseException], ...],
    ) -> None:
        self.name = name
        self.boots = 0
        self.skew = 0.0
        self._stalls = 0.0
        self._stalled: set[Handle] = set()
        self._world = world
        self._loop = world.loop
        self._main = main
        self._allowed = allow_failures
        # A host that has never booted has a dead process, so that there always is one to ask.
        self.process = self._new_process()
        self.process.state = DEAD
        self._booted = 0.0
        self._over: SimFuture[object] | None = None
        self.disk = SimDisk(
            world.loop,
            world.tape,
            lambda fault, breaks: world.injected(fault, breaks, f"the disk of {name}"),
            self._crash_in_a_call,
        )

    def _new_process(self) -> Process:
        process = Process(self.name, self._allowed, self)
        process.stall = self._maybe_stall if self._stalls else None
        return process

    @property
    def is_up(self) -> bool:
        """Whether the host is running or paused."""
        return self.process.state != DEAD

    def boot(self) -> None:
        """
        Start a new process of the host, with the current contents of its disk.

        Raises:
            RuntimeError: The host is already up.
        """
        if self.is_up:
            raise RuntimeError(f"{self!r} is already up")
        self.boots += 1
        self._booted = self._loop.time()
        self.process = self._new_process()
        self._loop.note(f"{self.name} boots")
        self._world.network.power_on(self.name)
        self._over = over = self._loop.create_future()
        # An exception of this life is reported even if nobody awaits the future, and may be
        # retrieved after the host is down.
        over.process, over.is_kept, over.is_main = self.process, True, True
        if self._main is not None:
            task = self.run(self._main(self), name=f"{self.name}.{self.boots}")
            task.add_done_callback(lambda done: _pass_on(done, over))

    def run(self, coro: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
        """
        Run *coro* as a task of this host, called *name*; it ends when the host goes down.

        Raises:
            RuntimeError: The host is down.
        """
        if not self.is_up:
            # Or Python would warn that the coroutine was never awaited.
            coro.close()
            raise RuntimeError(f"{self!r} is down")
        context = contextvars.copy_context()
        context.run(PROCESS.set, self.process)
        return self._loop.create_task(coro, name=name, context=context)

    async def ended(self) -> object:
        """
        Wait until the main function returns or the host is down.

        Returns:
            The result of the main function; None if the host went down first.

        Raises:
            Exception: The exception of the main function, which then no longer fails the trial.
        """
        # Shielded: the future is shared, and a waiter that is cancelled must not cancel it.
        return None if self._over is None else await asyncio.shield(self._over)

    def crash(self) -> None:
        """
        Cut the power: no ``finally``, no flush; the tape decides about unsynced data.

        Its peers receive nothing: they notice by a timeout, by keepalive, or when they send to the
        host after it has booted again, which then resets the connection.
        """
        if self.is_up:
            self._world.injected("power-cut", (), self.name)
            # The process ends first, so that none of its code can use the disk after the cut.
            self._end()
            self._world.network.lose(self.process)
            self.disk.cut_power()

    def _crash_in_a_call(self) -> None:
        """
        Cut the power in the middle of a disk call, if the host's own code makes the call.

        Raises:
            PoweredOffError: The power was cut.
        """
        # The scenario may use the disk of a host to inspect it, which must not crash the host.
        if PROCESS.get(None) is self.process:
            self.crash()
            # Python cannot stop code in the middle of a step: it is unwound instead, and whatever
            # its blocks do meanwhile never happens.
            self._world.mute()
            raise PoweredOffError

    def kill(self) -> None:
        """End the process as ``kill -9`` does; written data stays."""
        if self.is_up:
            self._world.injected("kill", (), self.name)
            self._exit()

    def stop(self) -> None:
        """End the process as if by itself; written data stays, and no fault is recorded."""
        if self.is_up:
            self._exit()

    def _exit(self) -> None:
        self._end()
        after = self._world.tape.between(0.0, _NOTICED_WITHIN)
        self._world.network.forget(self.process, after)

    def _end(self) -> None:
        self._loop.note(f"{self.name} is down")
        self._loop.kill(self.process)
        # The main function never returns now, so its waiters are released.
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def signal(self, number: int) -> None:
        """
        Send a signal to the process, such as ``signal.SIGTERM``.

        The handler that it has set by ``loop.add_signal_handler`` runs soon.  Without one, the
        signal ends the process, if it does so by default.

        Args:
            number: The number of the signal.
        """
        if not self.is_up:
            return
        self._loop.note(f"{self.name} receives {signal.Signals(number).name}")
        if number == signal.SIGKILL:
            self.kill()
        elif number == signal.SIGSTOP:
            self.pause()
        elif number == signal.SIGCONT and self.process.state == PAUSED:
            self.resume()
        elif not self._loop.deliver(self.process, number) and number not in _IGNORED:
            self.stop()

    def pause(self) -> None:
        """Suspend the host until `resume`, while time goes on."""
        self._hold(self)

    def pause_until_released(self) -> Callable[[], None]:
        """Suspend the host until the returned call and until all other pauses have ended."""
        holder = object()
        process = self._hold(holder)
        return lambda: self._release(process, holder)

    def _hold(self, holder: object) -> Process:
        process = self.process
        if process.state == RUNNING:
            self._world.injected("pause", (), self.name)
            self._loop.pause(process)
        process.paused_by.add(holder)
        return process

    def _release(self, process: Process, holder: object) -> None:
        process.paused_by.discard(holder)
        if process is self.process and not process.paused_by:
            self.resume()

    def resume(self) -> None:
        """Resume the host, if it is paused, whoever has paused it."""
        self.process.paused_by.clear()
        if self.process.state == PAUSED:
            self._loop.note(f"{self.name} resumes")
            self._loop.resume(self.process)

    def stall(self, probability: float) -> None:
        """
        Hold up each step of the host's tasks with *probability*, for up to two seconds.

        To the task, the call that it awaits takes longer; the other tasks go on meanwhile.
        """
        self._stalls = probability
        self.process.stall = self._maybe_stall if probability else None

    def _maybe_stall(self, handle: Handle) -> bool:
        tape = self._world.tape
        if handle in self._stalled:
            self._stalled.remove(handle)
            return False
        # Plain callbacks keep their order.
        if not handle.lane or not tape.strikes("stall", self._stalls):
            return False
        self._stalled.add(handle)
        begin = len(tape.values)
        # Cubed, since nothing is known about the times that matter: stalls of milliseconds should
        # occur as well as those of seconds.
        seconds = _LONGEST_STALL * tape.between(0.0, 1.0) ** 3
        tape.label("stall", begin)
        self._world.injected("stall", (), f"{self._loop.task_of(handle)} for {seconds:.3f} s")
        self._loop.at(self._loop.now + seconds, handle)
        return True

    def clock(self) -> float:
        """Return the host's monotonic clock in seconds, which starts at zero at each boot."""
        return self._loop.time() - self._booted

    def wall_clock(self) -> float:
        """Return the host's wall clock in seconds since the epoch, including its `skew`."""
        return EPOCH + self._loop.time() + self.skew

    def mailbox(self, port: int) -> Mailbox:
        """Create a mailbox of this host, which others address as (name, *port*)."""
        return _as(self.process, lambda: self._world.network.mailbox(port))

    def __repr__(self) -> str:
        states = {RUNNING: "up", PAUSED: "paused", DEAD: "down"}
        return f"<Host {self.name} {states[self.process.state]}>"


def _pass_on(done: asyncio.Task[object], over: asyncio.Future[object]) -> None:
    # The exception is retrieved from the task and set on the future, so it is reported only once.
    if over.done():
        return
    if done.cancelled() or (error := done.exception()) is None:
        over.set_result(None if done.cancelled() else done.result())
    else:
        over.set_exception(error)


def _as(process: Process, function: Callable[[], T]) -> T:
    # The network takes the calling process from the context.
    context = contextvars.copy_context()
    context.run(PROCESS.set, process)
    return context.run(function)


class Fault(Protocol):
    """A kind of fault, as a scenario sees it."""

    @property
    def name(self) -> str:
        """Its name on the command line and in records."""

    @property
    def about(self) -> str:
        """A one-line description."""

    @property
    def breaks(self) -> tuple[str, ...]:
        """The assumptions it breaks, in the terms of the catalog's ``assumes``."""


class Nemesis(Protocol):
    """What injects the faults of a trial."""

    @property
    def mix(self) -> tuple[Fault, ...]:
        """The faults drawn for this trial."""

    def prepare(self, host: Host, only: Container[str] | None) -> None:
        """Arm the faults of the mix on *host*, limited to those named in *only*, if given."""

    def work(self, host: Host, only: Container[str] | None) -> Coroutine[Any, Any, None]:
        """Inject one fault after another into *host*, limited to those named in *only*, if given."""

    def stop_faults(self) -> None:
        """Heal the network, mend all disks and resume all hosts."""


class World:
    """
    The simulated world of one trial.

    Attributes:
        tape: Its choices; the source of all randomness.
        loop: Its event loop.
        network: Its network.
        hosts: Its hosts by name.
        faults: Injected faults, with their times in virtual seconds.
        breaks: The assumptions that these faults break.
    """

    def __init__(self, tape: Tape, loop: SimLoop, nemesis: Callable[[World], Nemesis]) -> None:
        """
        Args:
            tape: The choices of the trial.
            loop: Its loop.
            nemesis: Creates what injects the faults; called once the world is complete.
        """
        self.tape = tape
        self.loop = loop
        self.network = loop.network = Network(loop, tape)
        self.hosts: dict[str, Host] = {}
        self.faults: list[tuple[float, str]] = []
        self.breaks: set[str] = set()
        self._kinds: set[str] = set()
        self._nemesis = nemesis(self)
        self._injections: list[asyncio.Task[None]] = []
        loop.stop_faults = self.stop_faults

    @property
    def now(self) -> float:
        """Virtual seconds since the start of the trial."""
        return self.loop.now

    def host(
        self,
        name: str,
        main: Callable[[Host], Coroutine[Any, Any, object]] | None = None,
        *,
        allow_failures: tuple[type[BaseException], ...] = (),
    ) -> Host:
        """
        Create a host, which is down until `Host.boot`.

        An exception that its code leaves unhandled fails the trial: one that ends its main function
        and is not received from `Host.ended`, one of a task never awaited, one of a callback.

        Args:
            name: Its name and network address.
            main: The coroutine function to run at each boot; None for a host without code of its
                own.
            allow_failures: Exceptions that it may leave unhandled.

        Raises:
            ValueError: A host of this name already exists.
        """
        if name in self.hosts:
            raise ValueError(f"a host named {name!r} already exists")
        self.network.names.add(name)
        self.hosts[name] = Host(self, name, main, allow_failures)
        return self.hosts[name]

    def injected(self, name: str, breaks: tuple[str, ...], what: str = "") -> None:
        """
        Record that fault *name* has taken effect.

        Args:
            name: The name of the fault.
            breaks: The assumptions it breaks, in the terms of the catalog's ``assumes``.
            what: What it affects, for the log.
        """
        self.loop.note(f"fault: {name}{' of ' if what else ''}{what}")
        self.faults.append((self.loop.now, name))
        # Only the first fault of a kind is written to the run: it stays active for the rest of the
        # trial, and a violation after it is out of model.
        if name not in self._kinds:
            self._kinds.add(name)
            self.breaks.update(breaks)
            lifecycle.faults([name], breaks=sorted(self.breaks))

    def mute(self) -> None:
        """Record no hits for the rest of this step, which never happens in the world."""
        # A second power cut in the same step must not save OFF as the mode to restore.
        if self.loop.after_step is not None:
            return
        mode = recorder.mode
        recorder.configure(mode=OFF)
        self.loop.after_step = lambda: recorder.configure(mode=mode)

    def inject_faults(self, host: Host, only: Iterable[str] | None = None) -> asyncio.Task[None]:
        """
        Inject faults of this trial's mix into *host* from now on.

        Crashes, pauses and partitions continue until the returned task is cancelled or until
        `stop_faults`, which also ends the faults armed in the disk or the network.  Crashes and
        kills leave the host down: the caller has to boot it again.

        Args:
            host: The host to inject into.
            only: Names of the faults to inject, as far as they are in the mix; None for all.

        Returns:
            The task that injects the faults.
        """
        allowed = None if only is None else frozenset(only)
        self._nemesis.prepare(host, allowed)
        work = self._nemesis.work(host, allowed)
        task = self.loop.create_task(work, name=f"nemesis of {host.name}")
        self._injections.append(task)
        return task

    def stop_faults(self) -> None:
        """Stop injecting faults, heal the network, mend all disks and resume all hosts."""
        for task in self._injections:
            task.cancel()
        self._injections.clear()
        self._nemesis.stop_faults()

    @property
    def mix(self) -> tuple[Fault, ...]:
        """The faults drawn for this trial."""
        return self._nemesis.mix

    def __repr__(self) -> str:
        return f"<World at {self.now:.6f} s, hosts {', '.join(self.hosts) or 'none'}>"
