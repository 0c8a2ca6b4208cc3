"""
``python -m kvstore.load``: a fixed amount of work for a server in this process, timed.

One client on a real connection goes through a sequence of actions that follows from the seed, so
whatever else changes, the store must end up in the same state.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass

from assertlib import disk

from .client import Client
from .history import History
from .server import Server
from .store import Options, Status, Store
from .workload import Session, swap, write, write_pairs

__all__ = ["Load", "main", "run_load"]

OPTIONS = Options(snapshot_every=500)


@dataclass(frozen=True, slots=True)
class Load:
    """How long *actions* took, and the state they led to."""

    actions: int
    seconds: float
    status: Status

    def __str__(self) -> str:
        state = f"revision {self.status.revision}, digest {self.status.digest}"
        return f"{self.actions} actions in {self.seconds:.3f} s: {state}"


async def run_load(directory: str, actions: int, seed: int) -> Load:
    """Carry out *actions* on a store in the empty *directory*."""
    rng = random.Random(seed)
    store = Store.open(disk.RealDisk(), directory, clock=time.monotonic, options=OPTIONS)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(Server(store, random.Random(seed)).run(0, started, stop))
    client = await Client.connect(await started)
    session = Session(client, rng, History(), "load")
    begin = time.perf_counter()
    for _ in range(actions):
        await rng.choice((write, write_pairs, swap))(session)
    seconds = time.perf_counter() - begin
    status = await client.status()
    await client.close()
    stop.set()
    await serving
    return Load(actions, seconds, status)


def main(arguments: list[str] | None = None) -> int:
    """Run one load and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m kvstore.load", description=__doc__)
    parser.add_argument("--actions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", help="keep the data in this empty directory")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="kvstore-load-") as directory:
        print(asyncio.run(run_load(options.dir or directory, options.actions, options.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
