"""
Clusters of real processes on this machine: started, killed, stopped, started again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from ..model import UsageError
from .adapter import Member, Store

READY_WITHIN = 30.0
"""Seconds in which a started member has to serve."""
_POLL = 0.05


class ClusterError(UsageError):
    """A cluster does not do what it has to before it can be tested; the text says where to look."""


class Process:
    """
    A member's process.

    Attributes:
        member: Whose it is.
        log: Where its output goes, one file over all restarts.
    """

    def __init__(self, member: Member, command: Sequence[str], log: Path) -> None:
        self.member = member
        self.log = log
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_paused = False

    @property
    def is_running(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its number, while it runs."""
        return self._process.pid if self._process is not None and self.is_running else None

    def start(self) -> None:
        """
        Start it, for the first time or again.

        Raises:
            ClusterError: There is no such program.
        """
        assert not self.is_running
        self.member.data.mkdir(parents=True, exist_ok=True)
        if self.member.uid is not None:
            os.chown(self.member.data, self.member.uid, -1)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [*ends_with_us("KILL"), *self._command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    user=self.member.uid,
                    env=self._environment(),
                    # A group of its own, for a store may be started through a script.
                    start_new_session=True,
                )
            except OSError as error:
                raise ClusterError(f"cannot start {self._command[0]}: {error.strerror}") from None

    def _environment(self) -> dict[str, str]:
        port = self.member.failpoints
        return {**os.environ} | ({} if port is None else {"GOFAIL_HTTP": f"127.0.0.1:{port}"})

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._is_paused = False

    def ends(self, within: float) -> bool:
        """Wait until it has ended by itself; False if it has not in *within* seconds."""
        assert self._process is not None
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def pause(self) -> None:
        """Let it do nothing, until it is resumed."""
        self._signal(signal.SIGSTOP)
        self._is_paused = True

    def resume(self) -> None:
        """Let it go on."""
        if self._is_paused:
            self._signal(signal.SIGCONT)
        self._is_paused = False

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def tail(self, lines: int = 5) -> str:
        """The last *lines* of its output."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def ends_with_us(by: str) -> list[str]:
    """A prefix that sends a process the signal *by* when we end, however we do, if there is one."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", by, "--"]


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Cluster:
    """
    The processes of one store.

    Args:
        members: Who they are; what is between them is their maker's business.
    """

    def __init__(self, store: Store, members: Sequence[Member], logs: Path) -> None:
        self.store = store
        self.members = list(members)
        self._problem = ""
        logs.mkdir(parents=True, exist_ok=True)
        self._processes = {
            member.name: Process(
                member, store.command(member, self.members), logs / f"{member.name}.log"
            )
            for member in self.members
        }

    def process(self, member: Member) -> Process:
        """The process of *member*."""
        return self._processes[member.name]

    def pids(self) -> dict[str, int]:
        """The processes that run, by the names of their members."""
        return {
            name: process.pid
            for name, process in self._processes.items()
            if process.pid is not None
        }

    async def start(self) -> None:
        """
        Start all members and wait until they serve.

        Raises:
            ClusterError: They do not.
        """
        for process in self._processes.values():
            process.start()
        await self.ready()

    def check_alive(self) -> None:
        """
        Find out whether a member has ended by itself.

        Raises:
            ClusterError: One has.
        """
        for member in self.members:
            process = self.process(member)
            if not process.is_running:
                raise ClusterError(
                    f"{member.name} of {self.store.name} ended by itself, with exit code"
                    f" {process.code}; its last words, in {process.log}:\n{process.tail()}"
                )

    async def ready(self, within: float = READY_WITHIN) -> None:
        """
        Wait until all members serve.

        Raises:
            ClusterError: One of them does not, in *within* seconds.
        """
        self._problem = ""
        try:
            async with asyncio.timeout(within):
                for member in self.members:
                    await self._serves(member)
        except TimeoutError:
            raise ClusterError(
                f"{member.name} of {self.store.name} does not serve clients after {within:g} s;"
                f" the adapter says: {self._problem or 'nothing'};"
                f" its last words, in {self.process(member).log}:\n{self.process(member).tail()}"
            ) from None

    async def _serves(self, member: Member) -> None:
        while True:
            self.check_alive()
            try:
                connection = await self.store.connect(member)
                try:
                    async with asyncio.timeout(1):
                        await connection.status()
                finally:
                    await connection.close()
            except Exception as error:
                self._problem = f"{type(error).__name__}: {error}"
                await asyncio.sleep(_POLL)
            else:
                return

    def stop(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.kill()
