"""
What simulation costs: messages a second against detangle 0.1.0, and trials of the example store.

Both libraries run the same two programs in turns in this process: mailboxes that play ping-pong,
and lines that go to and fro over asyncio's streams.  A message is one way; each is delivered after
a latency that is a recorded choice.  What is told are ratios of the same run, as median and range.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import detangle

from assertlib import configure
from assertlib.sim import Options, Tape, World, run_trial
from assertlib.sim.engine import local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.faults import DEFAULT

STORE = Path(__file__).resolve().parents[1] / "examples" / "kvstore"
SCENARIO = "kvstore.simulation:rounds"
Scenario = Callable[[World], Coroutine[object, object, object]]


# -- the two programs ---------------------------------------------------------------------------


async def echo_server() -> asyncio.AbstractServer:
    async def handle(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(handle, port=7)


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


def their_echo(trips: int) -> Callable[[], Coroutine[object, object, object]]:
    async def main() -> None:
        server = await detangle.spawn(echo_server(), host="server")
        await detangle.spawn(echo_client(trips), host="client")
        server.close()
        await server.wait_closed()

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


def their_pingpong(trips: int) -> Callable[[], Coroutine[object, object, object]]:
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


def our_rate(scenario: Scenario, trips: int) -> float:
    begin = time.perf_counter()
    outcome = run_trial(scenario, Tape(1), Options(policy="random"), name="benchmark")
    seconds = time.perf_counter() - begin
    assert not outcome.failures, outcome.failures
    return 2 * trips / seconds


def their_rate(main: Callable[[], Coroutine[object, object, object]], trips: int) -> float:
    begin = time.perf_counter()
    detangle.run(main, seed=1, fail_on_callback_error=False, max_steps=20 * trips + 1000)
    return 2 * trips / (time.perf_counter() - begin)


def against_detangle(trips: int, times: int) -> None:
    print(f"messages a second, {trips:,} round trips, {times} times each in turns")
    print("| program | assertlib | detangle 0.1.0 | ratio, median (min-max) |")
    print("|---|---|---|---|")
    for name, ours, theirs in (
        ("ping-pong over mailboxes", our_pingpong(trips), their_pingpong(trips)),
        ("echo over streams", our_echo(trips), their_echo(trips)),
    ):
        our_rate(ours, trips)
        their_rate(theirs, trips)
        pairs = [(our_rate(ours, trips), their_rate(theirs, trips)) for _ in range(times)]
        ratios = sorted(a / b for a, b in pairs)
        mine, others = (statistics.median(column) for column in zip(*pairs, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        print(f"| {name} | {mine:,.0f} | {others:,.0f} | {spread} |")


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
    parser.add_argument("--seeds", type=int, default=200)
    options = parser.parse_args()
    configure(sinks=[])
    against_detangle(options.trips, options.times)
    trials_of_the_store(options.seeds, max(1, options.times // 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
