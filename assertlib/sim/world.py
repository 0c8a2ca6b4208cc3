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
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from .. import lifecycle
from ..recording.recorder import recorder
from ..recording.settings import OFF
from .disk import PoweredOffError, SimDisk
from .faults import FAULTS, Fault, Nemesis
from .futures import SimFuture
from .loop import SimLoop
from .network import Mailbox, Network
from .process import DEAD, PAUSED, PROCESS, RUNNING, Process
from .tape import Tape

__all__ = ["Host", "World"]

T = TypeVar("T")

_EPOCH = 1_000_000_000.0
_NOTICED_WITHIN = 0.5
"""Seconds until the peers of a crashed host find their connections broken, at most."""


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
        self._world = world
        self._loop = world.loop
        self._main = main
        self._allowed = allow_failures
        self.process = self._new_process()
        self.process.state = DEAD
        self._booted = 0.0
        self._over: SimFuture[object] | None = None
        self.disk = SimDisk(world.loop, world.tape, world.injected, self._crash_in_a_call)

    def _new_process(self) -> Process:
        return Process(self.name, self._allowed, is_host=True)

    @property
    def is_up(self) -> bool:
        """Whether it runs or is paused."""
        return self.process.state != DEAD

    def boot(self) -> None:
        """
        Start a new life of the host, with what its disk holds.

        Raises:
            RuntimeError: It is up.
        """
        if self.is_up:
            raise RuntimeError(f"{self!r} is already up")
        self.boots += 1
        self._booted = self._loop.time()
        self.process = self._new_process()
        self._loop.note(f"{self.name} boots")
        self._over = over = self._loop.create_future()
        over.process, over.is_kept, over.is_main = self.process, True, True
        if self._main is not None:
            task = self.run(self._main(self), name=f"{self.name}.{self.boots}")
            task.add_done_callback(lambda done: _pass_on(done, over))

    def run(self, coro: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
        """Run *coro* as a task of this host's, which dies with it."""
        if not self.is_up:
            coro.close()
            raise RuntimeError(f"{self!r} is down")
        context = contextvars.copy_context()
        context.run(PROCESS.set, self.process)
        return self._loop.create_task(coro, name=name, context=context)

    async def ended(self) -> object:
        """
        Wait until its main function returns, or the host is down; what it returned.

        Raises:
            Exception: What it raised; it is handled then, and fails the trial no more.
        """
        return None if self._over is None else await asyncio.shield(self._over)

    def crash(self) -> None:
        """Cut its power: no ``finally``, no flush; of what was not synced the tape decides."""
        if self.is_up:
            self._world.injected("power-cut", ())
            self._end()
            self.disk.cut_power()

    def _crash_in_a_call(self) -> None:
        """
        The power goes while the host's own code is in the middle of something.

        Raises:
            PoweredOffError: Always, unless it is somebody else's code.
        """
        if PROCESS.get(None) is self.process:
            self.crash()
            self._world.mute()
            raise PoweredOffError

    def kill(self) -> None:
        """End its process as ``kill -9`` does: what was written stays."""
        if self.is_up:
            self._world.injected("kill", ())
            self._end()

    def stop(self) -> None:
        """Let its process end by itself: what was written stays; not a fault."""
        if self.is_up:
            self._end()

    def _end(self) -> None:
        self._loop.note(f"{self.name} is down")
        self._loop.kill(self.process)
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        after = self._world.tape.between(0.0, _NOTICED_WITHIN)
        self._world.network.forget(self.process, after)

    def pause(self) -> None:
        """Let it do nothing, with time going on, until `resume`."""
        if self.process.state == RUNNING:
            self._world.injected("pause", ())
            self._loop.pause(self.process)

    def resume(self) -> None:
        """Let it go on."""
        if self.process.state == PAUSED:
            self._loop.note(f"{self.name} goes on")
            self._loop.resume(self.process)

    def clock(self) -> float:
        """Seconds of its monotonic clock, which begins anew at each boot."""
        return self._loop.time() - self._booted

    def wall_clock(self) -> float:
        """Seconds since the epoch, as far as it knows."""
        return _EPOCH + self._loop.time() + self.skew

    def mailbox(self, port: int) -> Mailbox:
        """A mailbox of this host; others send to (name, *port*)."""
        return _as(self.process, lambda: self._world.network.mailbox(port))

    def __repr__(self) -> str:
        states = {RUNNING: "up", PAUSED: "paused", DEAD: "down"}
        return f"<Host {self.name} {states[self.process.state]}>"


def _pass_on(done: asyncio.Task[object], over: asyncio.Future[object]) -> None:
    if over.done():
        return
    if done.cancelled() or (error := done.exception()) is None:
        over.set_result(None if done.cancelled() else done.result())
    else:
        over.set_exception(error)


def _as(process: Process, function: Callable[[], T]) -> T:
    context = contextvars.copy_context()
    context.run(PROCESS.set, process)
    return context.run(function)


class World:
    """
    The simulated world of one trial.

    Attributes:
        tape: Its choices; the source of all randomness.
        loop: Its event loop.
        network: Its network.
        hosts: Its hosts by name.
        faults: Injected faults, with their times.
    """

    def __init__(self, tape: Tape, loop: SimLoop, allowed: Iterable[str]) -> None:
        self.tape = tape
        self.loop = loop
        self.network = loop.network = Network(loop, tape)
        self.hosts: dict[str, Host] = {}
        self.faults: list[tuple[float, str]] = []
        self.breaks: set[str] = set()
        self._kinds: set[str] = set()
        self._nemesis = Nemesis(self, [FAULTS[name] for name in allowed])

    @property
    def now(self) -> float:
        """Seconds since the trial began."""
        return self.loop.now

    def host(
        self,
        name: str,
        main: Callable[[Host], Coroutine[Any, Any, object]] | None = None,
        *,
        allow_failures: tuple[type[BaseException], ...] = (),
    ) -> Host:
        """
        A new host, which is down.

        An exception that its code leaves unhandled fails the trial: one that ends its main function
        and is not received from `Host.ended`, one of a task never awaited, one of a callback.

        Args:
            main: What it does when it boots.
            allow_failures: Exceptions that it may leave unhandled.

        Raises:
            ValueError: There is one of that name.
        """
        if name in self.hosts:
            raise ValueError(f"a host named {name!r} already exists")
        self.hosts[name] = Host(self, name, main, allow_failures)
        return self.hosts[name]

    def injected(self, name: str, breaks: tuple[str, ...]) -> None:
        """
        Fault *name* has really happened; recorded for the trial.

        Args:
            breaks: The assumptions it breaks, in the words of the catalog's ``assumes``.
        """
        self.loop.note(f"fault: {name}")
        self.faults.append((self.loop.now, name))
        # The first fault of a kind is recorded for the whole trial.
        if name not in self._kinds:
            self._kinds.add(name)
            self.breaks.update(breaks)
            lifecycle.faults([name], breaks=sorted(self.breaks))

    def mute(self) -> None:
        """Count no hits for the rest of this step, since it never happened."""
        if self.loop.after_step is not None:
            return
        mode = recorder.mode
        recorder.configure(mode=OFF)
        self.loop.after_step = lambda: recorder.configure(mode=mode)

    def inject_faults(self, host: Host, only: Iterable[str] = FAULTS) -> asyncio.Task[None]:
        """
        Let faults of this trial's mix happen to *host* from now on.

        To crash, pause or cut it off goes on until the task that is returned is cancelled; what
        lies in wait, in its disk or the network, until `stop_faults`.  Crashes and kills leave it down:
        whoever called has to boot it again.

        Args:
            only: Those that may happen to it.
        """
        allowed = frozenset(only)
        self._nemesis.prepare(host, allowed)
        work = self._nemesis.work(host, allowed)
        return self.loop.create_task(work, name=f"nemesis of {host.name}")

    def stop_faults(self) -> None:
        """End what goes wrong: heal the network, mend the disks, let paused hosts go on."""
        self._nemesis.stop_faults()

    @property
    def mix(self) -> tuple[Fault, ...]:
        """The faults of this trial."""
        return self._nemesis.mix

    def __repr__(self) -> str:
        return f"<World at {self.now:.6f} s, hosts {', '.join(self.hosts) or 'none'}>"
