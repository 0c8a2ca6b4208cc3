"""
What simulation costs: messages a second against detangle and simloom, and trials of the store.

Two libraries at a time run the same programs in turns in this process: mailboxes or datagrams that
play ping-pong, and lines that go to and fro over asyncio's streams.  A message is one way; each is
delivered after a latency that is a recorded choice.  The ratios are those of one run, as median and
range.  A peer that is not installed is left out; simloom needs Python 3.12 (see
``programs_served.py`` for an environment with both).
"""

import argparse
import asyncio
import importlib
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assertlib import configure
from assertlib.sim import Options, Tape, World, run_trial
from assertlib.sim.engine import local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.faults import DEFAULT

STORE = Path(__file__).resolve().parents[1] / "examples" / "kvstore"
SCENARIO = "kvstore.simulation:rounds"
Scenario = Callable[[World], Coroutine[object, object, object]]
Rate = Callable[[int], float]
"""Runs so many round trips; returns messages per second."""


# -- the programs ---------------------------------------------------------------------------------


async def echo_server(address: str | None = None) -> asyncio.AbstractServer:
    async def handle(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(handle, address, port=7)


async def echo_client(trips: int) -> None:
    reader, writer = await asyncio.open_connection("server", 7)
    for number in range(trips):
        line = b"%d\n" % number
        writer.write(line)
        await writer.drain()
        assert await reader.readline() == line
    writer.close()
    await writer.wait_closed()


def our_echo(trips: int) -> Scenario:
    async def scenario(world: World) -> None:
        server, client = world.host("server"), world.host("client")
        server.boot()
        client.boot()
        await server.run(echo_server())
        await client.run(echo_client(trips))

    return scenario


def detangle_echo(trips: int) -> Callable[[], Coroutine[object, object, object]]:
    import detangle

    async def main() -> None:
        server = await detangle.spawn(echo_server(), host="server")
        await detangle.spawn(echo_client(trips), host="client")
        server.close()
        await server.wait_closed()

    return main


def simloom_echo(trips: int) -> Callable[[Any], Coroutine[object, object, object]]:
    async def main(world: Any) -> None:
        # The server listens on all addresses, which simloom takes for one of its own.
        world.net.dns.register("server", "0.0.0.0")
        server = await world.host("server").spawn(echo_server("0.0.0.0"))
        await world.host("client").spawn(echo_client(trips))
        server.close()

    return main


class Ping(asyncio.DatagramProtocol):
    """Counts up with its peer over datagrams."""

    def __init__(self, trips: int) -> None:
        self.trips, self.ended = trips, asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        number = int(data) + 1
        if number == self.trips:
            self.ended.set_result(None)
        else:
            self.transport.sendto(b"%d" % number, addr)


class Pong(Ping):
    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def datagram_server(address: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Pong(0), local_addr=(address, 7))


async def datagram_client(address: str, trips: int) -> None:
    loop = asyncio.get_running_loop()
    transport, ping = await loop.create_datagram_endpoint(
        lambda: Ping(trips), remote_addr=(address, 7)
    )
    transport.sendto(b"0")
    await ping.ended


def our_datagrams(trips: int) -> Scenario:
    async def scenario(world: World) -> None:
        server, client = world.host("server"), world.host("client")
        server.boot()
        client.boot()
        await server.run(datagram_server("server"))
        await client.run(datagram_client("server", trips))

    return scenario


def simloom_datagrams(trips: int) -> Callable[[Any], Coroutine[object, object, object]]:
    async def main(world: Any) -> None:
        await world.host("server").spawn(datagram_server("10.0.0.1"))
        await world.host("client").spawn(datagram_client("10.0.0.1", trips))

    return main


def our_pingpong(trips: int) -> Scenario:
    async def scenario(world: World) -> None:
        a, b = world.host("a"), world.host("b")
        a.boot()
        b.boot()

        async def ping() -> None:
            box = a.mailbox(1)
            for number in range(trips):
                box.send(("b", 1), number)
                got, _ = await box.receive()
                assert got == number

        async def pong() -> None:
            box = b.mailbox(1)
            for _ in range(trips):
                message, sender = await box.receive()
                box.send(sender, message)

        ponging = b.run(pong())
        await a.run(ping())
        await ponging

    return scenario


def detangle_pingpong(trips: int) -> Callable[[], Coroutine[object, object, object]]:
    import detangle

    async def main() -> None:
        net = detangle.network()

        async def ping() -> None:
            box = net.mailbox(1)
            for number in range(trips):
                box.send(("b", 1), number)
                got, _ = await box.recv()
                assert got == number

        async def pong() -> None:
            box = net.mailbox(1)
            for _ in range(trips):
                message, sender = await box.recv()
                box.send(sender, message)

        ponging = detangle.spawn(pong(), host="b")
        await detangle.spawn(ping(), host="a")
        await ponging

    return main


# -- measuring ------------------------------------------------------------------------------------


def ours(program: Callable[[int], Scenario]) -> Rate:
    def rate(trips: int) -> float:
        begin = time.perf_counter()
        outcome = run_trial(program(trips), Tape(1), Options(policy="random"), name="benchmark")
        seconds = time.perf_counter() - begin
        assert not outcome.failures, outcome.failures
        return 2 * trips / seconds

    return rate


def detangles(program: Callable[[int], Any]) -> Rate:
    def rate(trips: int) -> float:
        import detangle

        begin = time.perf_counter()
        detangle.run(
            program(trips), seed=1, fail_on_callback_error=False, max_steps=20 * trips + 1000
        )
        return 2 * trips / (time.perf_counter() - begin)

    return rate


def simlooms(program: Callable[[int], Any]) -> Rate:
    def rate(trips: int) -> float:
        import simloom

        begin = time.perf_counter()
        simloom.run(program(trips), seed=1, virtual_time=True, seed_randomness=True)
        return 2 * trips / (time.perf_counter() - begin)

    return rate


PAIRS = (
    ("ping-pong over mailboxes", "detangle", ours(our_pingpong), detangles(detangle_pingpong)),
    ("echo over streams", "detangle", ours(our_echo), detangles(detangle_echo)),
    ("ping-pong over datagrams", "simloom", ours(our_datagrams), simlooms(simloom_datagrams)),
    ("echo over streams", "simloom", ours(our_echo), simlooms(simloom_echo)),
)
"""Program, peer, and what runs the program here and there."""


def against_peers(trips: int, times: int) -> None:
    print(f"messages a second, {trips:,} round trips, {times} times each in turns")
    print("| program | assertlib | peer | | ratio, median (min-max) |")
    print("|---|---|---|---|---|")
    for name, peer, own, other in PAIRS:
        if importlib.util.find_spec(peer) is None:
            continue
        importlib.import_module(peer)
        own(trips)
        other(trips)
        pairs = [(own(trips), other(trips)) for _ in range(times)]
        ratios = sorted(a / b for a, b in pairs)
        mine, others = (statistics.median(column) for column in zip(*pairs, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        print(f"| {name} | {mine:,.0f} | {peer} {version(peer)} | {others:,.0f} | {spread} |")


def explored(jobs: int, seeds: int) -> Exploration:
    options = Options(faults=DEFAULT)
    plan = Plan(SCENARIO, options, seeds, jobs=jobs, path=(str(STORE),))
    environment = {k: v for k, v in os.environ.items() if k != "ASSERTLIB_RUN_DIR"}
    exploration = Exploration(plan, local(plan.target, options, environment, plan.path))
    exploration.run()
    assert exploration.trials == seeds, exploration.trials
    return exploration


def trials_of_the_store(seeds: int, times: int) -> None:
    print(f"\ntrials of {SCENARIO}, default faults, {seeds} seeds, {times} times in turns")
    print("| jobs | trials per second | virtual seconds per second | relative to 1 job |")
    print("|---|---|---|---|")
    rows = [(explored(1, seeds), explored(2, seeds)) for _ in range(times)]
    for column, jobs in enumerate((1, 2)):
        rates = sorted(row[column].trials / row[column].elapsed for row in rows)
        virtual = statistics.median(row[column].virtual / row[column].elapsed for row in rows)
        ratios = sorted(row[0].elapsed / row[column].elapsed for row in rows)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        print(f"| {jobs} | {statistics.median(rates):.1f} | {virtual:.1f} | {spread} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trips", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=200, help="0: not the store")
    options = parser.parse_args()
    configure(sinks=[])
    against_peers(options.trips, options.times)
    if options.seeds:
        trials_of_the_store(options.seeds, max(1, options.times // 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
