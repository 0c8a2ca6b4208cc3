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
"""Seconds within which a started member has to serve clients."""
_POLL = 0.05


class ClusterError(UsageError):
    """A cluster is not ready to be tested; the message gives the reason and the log."""


class HarnessError(AssertlibError):
    """A part of the test harness no longer works; the message names that part."""


class Process:
    """
    The process of a member, with its descendants.

    Args:
        member: The member.
        command: Its command line.
        log: File that receives the output of all its starts.

    Attributes:
        member: The member.
        log: File that receives the output of all its starts.
        mark: Value in the environment that identifies its processes.
    """

    def __init__(self, member: Member, command: Sequence[str], log: Path) -> None:
        self.member = member
        self.log = log
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        # Random: members have the same names in every campaign on this machine.
        self.mark = f"{member.name}-{secrets.token_hex(8)}"

    @property
    def is_running(self) -> bool:
        """Whether the first process is alive, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """ID of the first process; None unless it is alive."""
        return self._process.pid if self._process is not None and self.is_running else None

    def pids(self) -> set[int]:
        """Return the IDs of all its processes: the first one and its descendants."""
        return processes.find(self.mark, self.pid) if self._process is not None else set()

    def start(self) -> None:
        """
        Start the process, initially or after it has ended.

        Raises:
            ClusterError: The program cannot be started.
            HarnessError: A process of the previous start cannot be killed.
        """
        assert not self.is_running
        # Descendants outlive a first process that crashed, and may still hold port and data.
        self.kill()
        self.member.data.mkdir(parents=True, exist_ok=True)
        # The directory was created by the campaign's user; the member has to write to it.
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
                    # Ctrl-C at the terminal signals the campaign, which then ends its members.
                    start_new_session=True,
                )
            except OSError as error:
                raise ClusterError(f"cannot start {self._command[0]}: {error.strerror}") from None

    def _environment(self) -> dict[str, str]:
        # Programs built with gofail serve their failpoints at the address in GOFAIL_HTTP.
        port = self.member.failpoints
        failpoints = {} if port is None else {"GOFAIL_HTTP": f"127.0.0.1:{port}"}
        return {**os.environ, processes.MARK: self.mark, **failpoints}

    def kill(self) -> int:
        """
        Kill all processes at once, as a crash would.

        Returns:
            The number of processes that were alive.

        Raises:
            HarnessError: Some processes are still alive.
        """
        if self._process is None:
            return 0
        alive = self.pids()
        if not processes.kill(self.mark, self.pid):
            rest = sorted(self.pids())
            raise HarnessError(
                f"{len(rest)} processes of {self.member.name} survived SIGKILL, including {rest[:5]}"
            )
        # The first process is dead by now, so this only reaps it.
        self._process.wait()
        return len(alive)

    def ends(self, within: float) -> bool:
        """Wait *within* seconds for the first process to exit; return whether it has."""
        assert self._process is not None
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def pause(self) -> None:
        """Stop all processes with SIGSTOP until they are resumed."""
        if self._process is not None:
            processes.stop(self.mark, self.pid)

    def running(self) -> set[int]:
        """Return the IDs of its processes that are not stopped."""
        return processes.running(self.mark, self.pid) if self._process is not None else set()

    def resume(self) -> None:
        """Continue all processes."""
        if self._process is not None:
            processes.resume(self.mark, self.pid)

    @property
    def code(self) -> int | None:
        """Exit code of the first process; None while it runs, negative after a signal."""
        return None if self._process is None else self._process.poll()

    def tail(self, lines: int = 5) -> str:
        """Return the last *lines* of the output."""
        if not self.log.exists():
            return ""
        # The log of a long campaign is large; a few lines fit into its last 16 KiB.
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def free_ports(count: int) -> list[int]:
    """Return *count* different ports on 127.0.0.1 that are not in use."""
    # All sockets are bound at once: one that was closed could get its port assigned again.  After
    # the return, nothing reserves the ports until the members listen.
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Cluster:
    """
    The members of one store, with their processes.

    Args:
        store: The adapter of the store.
        members: The members; the caller sets up the links between them.
        logs: Directory that receives one log for each member.
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
        """Return the process of *member*."""
        return self._processes[member.name]

    @property
    def marks(self) -> list[str]:
        """The values in the environment that identify the processes of the members."""
        return [process.mark for process in self._processes.values()]

    def pids(self) -> dict[str, set[int]]:
        """Return the process IDs of each member, by its name."""
        return {name: process.pids() for name, process in self._processes.items()}

    async def start(self) -> None:
        """
        Start all members and wait until they serve clients.

        Raises:
            ClusterError: A member cannot be started, exited, or does not serve clients in time.
            HarnessError: A process of an earlier start cannot be killed.
        """
        # Members of a replicated store serve only once a majority is up, so none is awaited
        # before all are started.
        for process in self._processes.values():
            process.start()
        await self.ready()

    def check_alive(self) -> None:
        """
        Verify that no member has exited by itself.

        Raises:
            ClusterError: A member has; the message quotes the end of its log.
        """
        for member in self.members:
            process = self.process(member)
            if not process.is_running:
                raise ClusterError(
                    f"{member.name} of {self.store.name} exited on its own with exit code"
                    f" {process.code}; the end of {process.log}:\n{process.tail()}"
                )

    async def ready(self, within: float = READY_WITHIN) -> None:
        """
        Wait until all members serve clients.

        Args:
            within: Seconds to wait, for all members together.

        Raises:
            ClusterError: A member does not serve clients in time, or has exited.
        """
        self._problem = ""
        try:
            async with asyncio.timeout(within):
                for member in self.members:
                    await self._serves(member)
        except TimeoutError:
            # `member` is the one that was awaited when time ran out.
            raise ClusterError(
                f"{member.name} of {self.store.name} is still not serving clients after"
                f" {within:g} s;"
                f" the adapter reports: {self._problem or 'nothing'};"
                f" the end of {self.process(member).log}:\n{self.process(member).tail()}"
            ) from None

    async def _serves(self, member: Member) -> None:
        while True:
            # Outside the try block: an exit is reported at once, not retried until the deadline.
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
        Kill all processes.

        Raises:
            HarnessError: Some processes are still alive.
        """
        # The stack calls every callback, also after one of them has raised.
        with ExitStack() as stack:
            for process in self._processes.values():
                stack.callback(process.kill)
