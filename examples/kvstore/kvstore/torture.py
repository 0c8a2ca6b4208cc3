"""
``python -m kvstore.torture``: load a real server, kill it, and see what is left.

Each trial starts a server process on an empty directory and goes through some rounds: clients
work, the process is killed at a random moment, its directory is replayed by another process and
by the restarted server, and the `Verifier` compares both with what the clients were told.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

from assertlib import Invariant, disk, lifecycle, trial

from .client import Client
from .history import History
from .store import Options, Status, Store
from .verify import Verifier
from .workload import ACTORS, Actor, Session, run_actor

__all__ = ["ServerProcess", "main", "replay_elsewhere", "run_trial"]

DURABLE = Invariant("kv.durable-ack")
UNDER_LOAD = Invariant("kv.durable-ack#under-load")
AMBIGUOUS = Invariant("kv.ambiguous-all-or-nothing")

_under_load = UNDER_LOAD.declare_sometimes("a store is killed after it has acknowledged 100 writes")

ROUNDS = 3
PATIENCE = 20.0
"""Longest wait for the first acknowledged write of a trial, in seconds."""
OPTIONS = Options(snapshot_every=150, watch_limit=4)


class ServerProcess:
    """A server in a process of its own, ended when the block is left."""

    def __init__(self, directory: str, options: Options, seed: int) -> None:
        command = [sys.executable, "-m", "kvstore", "serve", directory, "--announce"]
        command += ["--snapshot-every", str(options.snapshot_every)]
        command += ["--watch-limit", str(options.watch_limit), "--seed", str(seed)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env=environment, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def port(self) -> int:
        """
        Wait until clients can connect.

        Raises:
            RuntimeError: The server ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with status {self._process.wait()}")
        return int(line)

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.terminate()

    def wait(self) -> int:
        """Its exit status."""
        return self._process.wait()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial went; *writes* counts the acknowledged ones."""

    seed: int
    writes: int
    revision: int
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "ok" if not self.complaints else f"FAILED: {'; '.join(self.complaints[:3])}"
        return f"seed {self.seed}: revision {self.revision}, {self.writes} writes, {verdict}"


def replay_elsewhere(directory: str) -> Status:
    """What the log in *directory* leads to, found on a copy of it."""
    with tempfile.TemporaryDirectory(prefix="kvstore-replay-") as parent:
        copy = os.path.join(parent, "copy")
        shutil.copytree(directory, copy)
        store = Store.open(disk.RealDisk(), copy, clock=time.monotonic)
        status = store.status()
        store.close()
        return status


def run_trial(directory: str, seed: int) -> Outcome:
    """One trial on the empty *directory*."""
    with trial(f"torture-{seed}", population="kill", seed=seed):
        return asyncio.run(_Trial(directory, seed).run())


class _Trial:
    def __init__(self, directory: str, seed: int) -> None:
        self._directory = directory
        self._seed = seed
        self._rng = random.Random(seed)
        self._history = History()
        self._verifier = Verifier(self._history, random.Random(self._rng.random()))
        self._writes = 0

    async def run(self) -> Outcome:
        complaints = self._verifier.complaints
        try:
            for number in range(ROUNDS):
                await self._round(number)
        except Exception as error:
            # A server that does not start, or dies while it is judged, fails its trial only.
            complaints.append(repr(error))
        return Outcome(self._seed, self._writes, self._history.newest, tuple(complaints))

    async def _round(self, number: int) -> None:
        """Load, kill, restart, judge."""
        with self._server() as server:
            port = server.port()
            if number == 0:
                async with _connected(port) as client:
                    await self._verifier.judge_start(client)
            await self._load_and_kill(server, port, number)
        offline = replay_elsewhere(self._directory)
        with self._server() as server:
            async with _connected(server.port()) as client:
                await self._verifier.judge_restart(client, offline)
                if number == ROUNDS - 1:
                    await self._verifier.judge_end(client)

    def _server(self) -> ServerProcess:
        return ServerProcess(self._directory, OPTIONS, self._seed)

    async def _load_and_kill(self, server: ServerProcess, port: int, number: int) -> None:
        actors = [self._act(port, actor, f"{number}.{n}") for n, actor in enumerate(ACTORS)]
        tasks = [asyncio.create_task(actor) for actor in actors]
        # A trial without a write proves nothing, and on a busy machine the first one takes long.
        if number == 0:
            await self._first_write()
        await asyncio.sleep(self._rng.uniform(0.05, 0.4))
        lifecycle.faults(active=["kill"])
        server.kill()
        await asyncio.gather(*tasks)
        lifecycle.faults(active=[])
        done = sum(write.outcome == "done" for write in self._history.writes)
        self._writes += done
        _under_load(done >= 100)
        AMBIGUOUS.sometimes_all(
            {
                "write": any(write.outcome == "unknown" for write in self._history.writes),
                "swap": any(swap.outcome == "unknown" for swap in self._history.swaps),
                "lease": any(not held.keys for held in self._history.held),
                "watch": any(not log.is_cancelled for log in self._history.watches),
            },
            "a kill hits a write, a swap, a new lease and a watch at the same time",
        )

    async def _first_write(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if any(write.outcome == "done" for write in self._history.writes):
                return
            await asyncio.sleep(0.01)

    async def _act(self, port: int, actor: Actor, name: str) -> None:
        rng = random.Random(f"{self._seed}.{name}")
        with suppress(OSError):
            async with _connected(port) as client:
                await run_actor(actor, Session(client, rng, self._history, name))


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[Client]:
    client = await Client.connect(port)
    try:
        yield client
    finally:
        await client.close()


def main(arguments: list[str] | None = None) -> int:
    """Run trials until time or number is reached; the exit status is 1 if one failed."""
    options = _parser().parse_args(arguments)
    parent = options.dir or tempfile.mkdtemp(prefix="kvstore-torture-")
    print(f"torture: first seed {options.seed}, data in {parent}", flush=True)
    try:
        outcomes = list(_run_trials(options, parent))
    except KeyboardInterrupt:
        print("torture: interrupted")
        return 128 + signal.SIGINT
    finally:
        if options.dir is None:
            shutil.rmtree(parent, ignore_errors=True)
    failed = [outcome.seed for outcome in outcomes if outcome.complaints]
    writes = sum(outcome.writes for outcome in outcomes)
    print(f"torture: {len(outcomes)} trials, {writes} writes acknowledged, {len(failed)} failed")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kvstore.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="begin no trial after this")
    parser.add_argument("--trials", type=int, default=0, help="run so many, whatever the time")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--dir", help="keep the data of each trial below this directory")
    return parser


def _run_trials(options: argparse.Namespace, parent: str) -> Iterator[Outcome]:
    end = time.monotonic() + options.seconds
    number = 0
    while number < options.trials if options.trials else time.monotonic() < end:
        seed = options.seed + number
        outcome = run_trial(tempfile.mkdtemp(prefix=f"{seed}-", dir=parent), seed)
        print(outcome, flush=True)
        yield outcome
        number += 1


if __name__ == "__main__":
    # As with Ctrl-C, the blocks that end servers and remove data have to be left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
