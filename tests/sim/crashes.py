"""
Prints what is still done by the blocks of a host that ends, by kind of block and of end.

What they do is noted, counted by the recorder, written to the disk and told to the world.
"""

import asyncio
import contextlib
import gc
import json
import random

from assertlib import lifecycle, reachable
from assertlib.recording.recorder import recorder
from assertlib.sim import Options, Tape, run_trial

ENDS = ("crash", "kill", "stop", "cancel")


async def forever():
    await asyncio.Event().wait()


async def block_finally(host, effect):
    try:
        await forever()
    finally:
        effect()


async def block_except(host, effect):
    try:
        await forever()
    except BaseException:
        effect()
        raise


async def block_finally_that_awaits(host, effect):
    try:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
    finally:
        effect()


async def block_finally_that_awaits_twice(host, effect):
    try:
        try:
            try:
                await forever()
            finally:
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
    finally:
        effect()


async def block_finally_that_cancels_a_task(host, effect):
    task = asyncio.create_task(block_finally(host, effect))
    try:
        await forever()
    finally:
        task.cancel()
        try:
            await task
        finally:
            effect()


async def block_aexit(host, effect):
    class Guard:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            effect()
            await asyncio.sleep(0)
            effect()

    async with Guard():
        await forever()


async def block_exit(host, effect):
    with contextlib.ExitStack() as stack:
        stack.callback(effect)
        await forever()


async def block_asynccontextmanager(host, effect):
    @contextlib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            effect()

    async with manager():
        await forever()


async def block_asyncgen(host, effect):
    async def numbers():
        try:
            yield 1
            await forever()
        finally:
            effect()

    async for _ in numbers():
        await asyncio.sleep(0)


async def block_asyncgen_left(host, effect):
    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(5)
            effect()

    async for _ in numbers():
        break
    await forever()


async def block_generator(host, effect):
    def numbers():
        try:
            yield from range(9)
        finally:
            effect()

    for _ in numbers():
        await forever()


async def block_task(host, effect):
    task = asyncio.create_task(block_finally(host, effect))
    await asyncio.gather(task)


async def block_group(host, effect):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(block_finally(host, effect))
            group.create_task(block_except(host, effect))
    finally:
        effect()


async def block_timeout(host, effect):
    async with asyncio.timeout(1000):
        await block_finally(host, effect)


async def block_wait_for(host, effect):
    await asyncio.wait_for(block_finally(host, effect), 1000)


async def block_lock(host, effect):
    lock = asyncio.Lock()

    async def second():
        await asyncio.sleep(0)
        async with lock:
            effect()

    task = asyncio.create_task(second())
    async with lock:
        await forever()
    await task


async def block_queue(host, effect):
    queue = asyncio.Queue()

    async def work():
        try:
            await queue.get()
        finally:
            effect()

    await asyncio.gather(work(), work())


async def block_server(host, effect):
    async def serve(reader, writer):
        try:
            await reader.read()
        finally:
            effect()
            writer.close()

    server = await asyncio.start_server(serve, host.name, 4000)
    reader, writer = await asyncio.open_connection(host.name, 4000)
    try:
        async with server:
            await reader.read()
    finally:
        effect()
        writer.close()
        await writer.wait_closed()


KINDS = {name: kind for name, kind in globals().items() if name.startswith("block_")}


def play(kind, end, seed):
    done = []

    async def scenario(world):
        host = world.host("mortal")

        def effect():
            done.append(world.now)
            reachable("it did something")
            lifecycle.send_event("it did something", {})
            world.injected("something", ("something",))
            world.loop.note("it did something")
            host.disk.open("something").append(b"something")

        host.boot()
        task = host.run(kind(host, effect))
        await asyncio.sleep(1.0)
        if end == "cancel":
            task.cancel()
        else:
            getattr(host, end)()
            host.boot()
            host.run(asyncio.sleep(1.0))
        await asyncio.sleep(10.0)
        gc.collect()

    outcome = run_trial(
        scenario, Tape(seed), Options("random"), name=f"{kind.__name__}, {end}", keep_log=True
    )
    lines = [text for _, _, text in outcome.log]
    gc.collect()
    return {
        "failures": [each.text for each in outcome.failures],
        "during": len([at for at in done if at < 11.0]),
        "hits": _hits(),
        "log": [line for line in lines if "something" in line],
        "faults": [name for _, name in outcome.faults],
        "features": sorted(outcome.features),
    }


def _hits():
    """How often it was counted since the last call."""
    true = sum(hits for _, message, _, hits, _ in recorder.snapshot() if "something" in message)
    before, _hits.before = getattr(_hits, "before", 0), true
    return true - before


if __name__ == "__main__":
    dice = random.Random(1)
    print(
        json.dumps(
            {
                f"{name} {end}": play(kind, end, dice.getrandbits(32))
                for name, kind in KINDS.items()
                for end in ENDS
            }
        )
    )
