"""
Clusters of real processes on this machine: start, kill, stop and restart.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..errors import AssertlibError, UsageError
from . import processes
from .adapter import Member, Store

READY_WITHIN = 30.0
"""Seconds in which a started member has to serve."""
_POLL = 0.05


class ClusterError(UsageError):
    """A cluster is not ready to be tested; the message names where to look."""


class HarnessError(AssertlibError):
    """A part of the test harness no longer works; the message names it."""


class Process:
    """
    A member's process and its descendants.

    Attributes:
        member: The member it belongs to.
        log: File of its output, shared by all restarts.
        mark: Identifies its processes by their environment.
    """

    def __init__(self, member: Member, command: Sequence[str], log: Path) -> None:
        self.member = member
        self.log = log
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self.mark = f"{member.name}-{secrets.token_hex(8)}"

    @property
    def is_running(self) -> bool:
        """Whether its first process lives, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The number of its first process, while that runs."""
        return self._process.pid if self._process is not None and self.is_running else None

    def pids(self) -> set[int]:
        """All its processes: the first, those it has started, and those these have started."""
        return processes.find(self.mark, self.pid) if self._process is not None else set()

    def start(self) -> None:
        """
        Start it, for the first time or again.

        Raises:
            ClusterError: The program cannot be started.
            HarnessError: A process is left of the last start, and cannot be killed.
        """
        assert not self.is_running
        self.kill()
        self.member.data.mkdir(parents=True, exist_ok=True)
        if self.member.uid is not None:
            os.chown(self.member.data, self.member.uid, -1)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    user=self.member.uid,
                    env=self._environment(),
                    # An interrupt at the terminal is for the campaign alone.
                    start_new_session=True,
                )
            except OSError as error:
                raise ClusterError(f"cannot start {self._command[0]}: {error.strerror}") from None

    def _environment(self) -> dict[str, str]:
        port = self.member.failpoints
        failpoints = {} if port is None else {"GOFAIL_HTTP": f"127.0.0.1:{port}"}
        return {**os.environ, processes.MARK: self.mark, **failpoints}

    def kill(self) -> int:
        """
        Kill all its processes at once, as a crash would.

        Returns:
            How many were alive.

        Raises:
            HarnessError: Some are still alive.
        """
        if self._process is None:
            return 0
        alive = self.pids()
        if not processes.kill(self.mark, self.pid):
            rest = sorted(self.pids())
            raise HarnessError(
                f"{len(rest)} processes of {self.member.name} survive SIGKILL, as: {rest[:5]}"
            )
        self._process.wait()
        return len(alive)

    def ends(self, within: float) -> bool:
        """Wait until it has ended by itself; False if it has not in *within* seconds."""
        assert self._process is not None
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def pause(self) -> None:
        """Stop all its processes, until they are resumed."""
        if self._process is not None:
            processes.stop(self.mark, self.pid)

    def running(self) -> set[int]:
        """Those of its processes that are not stopped."""
        return processes.running(self.mark, self.pid) if self._process is not None else set()

    def resume(self) -> None:
        """Let all its processes go on."""
        if self._process is not None:
            processes.resume(self.mark, self.pid)

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
        members: The members; links between them are set up by the caller.
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

    @property
    def marks(self) -> list[str]:
        """What the processes of the members carry in their environment."""
        return [process.mark for process in self._processes.values()]

    def pids(self) -> dict[str, set[int]]:
        """All processes of each member, by its name."""
        return {name: process.pids() for name, process in self._processes.items()}

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
                f" the adapter reports: {self._problem or 'nothing'};"
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
        """
        End all processes.

        Raises:
            HarnessError: Some are still alive.
        """
        with ExitStack() as stack:
            for process in self._processes.values():
                stack.callback(process.kill)
