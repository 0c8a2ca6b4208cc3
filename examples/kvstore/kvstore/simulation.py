"""
The store in a simulated world: ``assertlib sim explore kvstore.simulation:rounds``.

Server, client, log and workload run as they are; network, disk, clocks and crashes are simulated.
A trial goes through some rounds, as `torture` does with real processes: clients work while faults
happen, the server goes down, and the `Verifier` compares what it comes back with to what the
clients were told.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from assertlib import Invariant
from assertlib.random import AntithesisRandom
from assertlib.sim import Host, World

from .client import Client
from .errors import KvError
from .history import History
from .server import Server
from .store import Options, Status, Store
from .verify import Verifier
from .workload import ACTORS, Actor, Session, hold_lease, keep_leases, run_actor, watch, write

__all__ = ["rounds"]

RECOVERS = Invariant("kv.recovers")

PORT = 4000
DATA = "/data"
SNAPSHOT_EVERY = (16, 4)
WATCH_LIMIT = 2
ROUNDS = 4
SHORTEST = 0.15
"""Seconds of load in a round, at least; at most eight times that."""
LATENCY = (0.001, 0.03)
FSYNC = (0.0, 0.01)
BUFFER = 512
"""Bytes that a connection takes before its writer has to wait: little, so that watchers lag."""
LEASES = (hold_lease, keep_leases)
"""Besides those of the workload: leases live and end while a host stands still."""
LAGS = ("pause", "partition", "one-way", "reset")


async def serve(options: Options, host: Host) -> None:
    """What the server's host does when it boots."""
    store = Store.open(host.disk, DATA, clock=host.clock, options=options)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await Server(store, AntithesisRandom()).run(PORT, started, asyncio.Event())


async def rounds(world: World) -> None:
    """Load, crash, restart and judge, a few times."""
    await _Rounds(world).run()


class _Rounds:
    def __init__(self, world: World) -> None:
        self._world = world
        world.network.usual.latency = LATENCY
        world.network.usual.buffer = world.network.usual.high_water = BUFFER
        options = Options(world.tape.pick(SNAPSHOT_EVERY), WATCH_LIMIT)
        self._server = world.host("server", partial(serve, options))
        self._server.disk.faults.sync_takes = FSYNC
        self._clients = world.host("clients")
        self._laggard = world.host("laggard")
        self._actors = _some_actors(world)
        self._history = History()
        self._verifier = Verifier(self._history, AntithesisRandom())

    async def run(self) -> None:
        self._clients.boot()
        self._laggard.boot()
        for number in range(ROUNDS):
            if not await self._round(number):
                return
            assert not self._verifier.complaints, "; ".join(self._verifier.complaints[:3])

    async def _round(self, number: int) -> bool:
        """Whether the store came up again."""
        if number == 0:
            self._server.boot()
            await self._clients.run(self._judge_start())
            self._server.stop()
        await self._load(number)
        await self._crash_again()
        self._world.stop_faults()
        status, error = self._status_of_a_copy()
        RECOVERS.always(
            status is not None, "a store can open what a crash has left behind", {"error": error}
        )
        if status is None:
            return False
        await self._clients.run(self._judge(status, is_last=number == ROUNDS - 1))
        return True

    async def _load(self, number: int) -> None:
        """Let clients work until the server goes down, by a fault or at the end of the round."""
        nemeses = [
            self._world.inject_faults(self._server),
            self._world.inject_faults(self._laggard, only=LAGS),
        ]
        self._server.boot()
        actors = [
            self._host_of(actor).run(self._act(actor, f"{number}.{n}"))
            for n, actor in enumerate(self._actors)
        ]
        with suppress(TimeoutError, OSError, KvError):
            async with asyncio.timeout(SHORTEST * 8.0 ** self._world.tape.between(0.0, 1.0)):
                await self._server.ended()
        for nemesis in nemeses:
            nemesis.cancel()
        self._take_down()
        self._world.network.heal()
        self._laggard.resume()
        await asyncio.gather(*actors)

    async def _crash_again(self) -> None:
        """Now and then the server goes down while it recovers, or before anybody has spoken to it."""
        tape = self._world.tape
        while tape.chance(0.7):
            self._server.boot()
            with suppress(TimeoutError, OSError, KvError):
                async with asyncio.timeout(tape.between(0.0, 0.05)):
                    await self._server.ended()
            self._take_down()

    def _host_of(self, actor: Actor) -> Host:
        return self._laggard if actor in (watch, hold_lease) else self._clients

    def _take_down(self) -> None:
        names = {fault.name for fault in self._world.mix}
        if "power-cut" in names:
            self._server.crash()
        elif "kill" in names:
            self._server.kill()
        else:
            self._server.stop()

    async def _act(self, actor: Actor, name: str) -> None:
        with suppress(OSError):
            async with _connected() as client:
                await run_actor(actor, Session(client, AntithesisRandom(), self._history, name))

    async def _judge_start(self) -> None:
        async with _connected() as client:
            await self._verifier.judge_start(client)

    def _status_of_a_copy(self) -> tuple[Status | None, str]:
        """Where the store will stand when it boots, or why it will not."""
        try:
            store = Store.open(self._server.disk.copy(), DATA, clock=self._server.clock)
        except (KvError, OSError) as error:
            return None, repr(error)
        return store.status(), ""

    async def _judge(self, offline: Status, *, is_last: bool) -> None:
        self._server.boot()
        async with _connected() as client:
            await self._verifier.judge_restart(client, offline)
            if is_last:
                await self._verifier.judge_end(client)
        self._server.stop()


def _some_actors(world: World) -> tuple[Actor, ...]:
    """All of them, or a few, who get in each other's way less and get further."""
    everybody = (*ACTORS, *LEASES)
    if not world.tape.choose(3):
        return everybody
    often = world.tape.pick((0.3, 0.15))
    chosen = tuple(actor for actor in everybody if world.tape.chance(often))
    return chosen or (write,)


@asynccontextmanager
async def _connected() -> AsyncIterator[Client]:
    client = await _connect()
    try:
        yield client
    finally:
        await client.close()


async def _connect() -> Client:
    """A server that has just booted needs a moment to listen."""
    for _ in range(10):
        with suppress(ConnectionRefusedError):
            return await Client.connect(PORT, "server")
        await asyncio.sleep(0.005)
    return await Client.connect(PORT, "server")
