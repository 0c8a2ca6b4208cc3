"""
Prints in what order sets of tasks, futures and the like iterate in a trial; one process each time.

What comes before the trial is the first argument.
"""

import asyncio
import json
import random
import sys

from assertlib.sim import Options, Tape, run_trial

COUNT = 30


async def child(number=0):
    await asyncio.sleep(0)
    return number


def order(things):
    return [things.index(each) for each in set(things)]


async def tasks(world):
    made = [asyncio.create_task(child()) for _ in range(COUNT)]
    return order(made)


async def futures(world):
    return order([world.loop.create_future() for _ in range(COUNT)])


async def futures_made_by_hand(world):
    return order([asyncio.Future() for _ in range(COUNT)])


async def gathered(world):
    return order([asyncio.gather(child(), child()) for _ in range(COUNT)])


async def shielded(world):
    return order([asyncio.shield(child()) for _ in range(COUNT)])


async def what_was_waited_for(world):
    done, _ = await asyncio.wait([asyncio.create_task(child(n)) for n in range(COUNT)])
    return [task.result() for task in done]


async def as_completed(world):
    return [await each for each in asyncio.as_completed([child(n) for n in range(COUNT)])]


async def all_tasks(world):
    seen = []
    for _ in range(COUNT):
        made = [asyncio.create_task(child()) for _ in range(world.tape.choose(6) + 1)]
        seen.append([task.get_name() for task in asyncio.all_tasks()])
        await asyncio.wait(made[:2])
    return seen


async def a_group_that_fails(world):
    cancelled = []

    async def wait(number):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(number)

    async def fail():
        await asyncio.sleep(1)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(COUNT):
                group.create_task(wait(number))
            group.create_task(fail())
    except* ValueError:
        pass
    return cancelled


async def writers(world):
    async def serve(reader, writer):
        await reader.read()

    await asyncio.start_server(serve, "127.0.0.1", 4000)
    pairs = [await asyncio.open_connection("127.0.0.1", 4000) for _ in range(COUNT)]
    made = [writer for _, writer in pairs]
    return order(made), order([writer.transport for writer in made])


async def errors_in_the_log(world):
    class Thing:
        pass

    world.loop.call_soon(lambda: {}[Thing()])
    await asyncio.sleep(1)
    return [text for _, _, text in world.loop.log if "Error" in text]


CASES = {
    case.__name__: case
    for case in (
        tasks, futures, futures_made_by_hand, gathered, shielded, what_was_waited_for,
        as_completed, all_tasks, a_group_that_fails, writers, errors_in_the_log,
    )
}  # fmt: skip


async def crowd(world):
    await asyncio.gather(*(asyncio.create_task(child()) for _ in range(1000)))


def played(scenario):
    results = []

    async def noted(world):
        results.append(await scenario(world))

    outcome = run_trial(noted, Tape(3), Options("random"), name="order", keep_log=True)
    return results[0] if results else outcome.failure.name


def prepare(how):
    """Something that must make no difference."""
    if how == "garbage":
        dice = random.Random(5)
        kept = [bytearray(dice.randrange(2000)) for _ in range(20_000)]
        return kept[:: dice.randrange(2, 5)]
    if how == "trials":
        return [played(crowd) for _ in range(2)]
    if how == "asyncio":
        return [asyncio.run(crowd(None)) for _ in range(2)]
    return None


if __name__ == "__main__":
    kept = prepare(sys.argv[1])
    print(json.dumps({name: played(case) for name, case in CASES.items()}))
