"""
Connections between two hosts, for tests of the network.
"""

import asyncio

PORT = 4000
NOTICED_WITHIN = 0.5
NO_ANSWER_AFTER = 1.0
KERNEL = 65536


class Line:
    """A connection between two hosts, whose ends are the scenario's."""

    def __init__(self, world):
        self.world = world
        self.client = booted(world, "client")
        self.server = booted(world, "server")
        self.listening = None
        self.near = self.far = None

    async def open(self, **options):
        accepted = self.world.loop.create_future()
        self.listening = await self.server.run(
            asyncio.start_server(lambda *end: accepted.set_result(end), port=PORT, **options)
        )
        self.near = await self.client.run(asyncio.open_connection("server", PORT, **options))
        self.far = await accepted
        return self

    def cut(self):
        self.world.network.cut("client", "server")
        self.world.network.cut("server", "client")


async def lined(world, **options):
    """The reader and the writer of both ends of a new connection, and all that is behind them."""
    line = await Line(world).open(**options)
    keep(world, line)
    return *line.near, *line.far, line


def keep(world, thing):
    """Keep a connection from being closed since nobody refers to it any more."""
    vars(world).setdefault("kept", []).append(thing)
    return thing


async def connect(world, name, port=PORT, host=None):
    """Reader and writer of a connection to what is called *name*, from a host or from outside."""
    connecting = asyncio.open_connection(name, port)
    return keep(world, await (connecting if host is None else host.run(connecting)))


def booted(world, name, main=None):
    """A new host that is up."""
    host = world.host(name, main)
    host.boot()
    return host


async def is_waiting(awaitable, seconds=1.0):
    """A task for *awaitable* that is not done after some time."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait([task], timeout=seconds)
    assert not done
    return task


def listening(name, replies=b"hello"):
    """The main function of a host that greets who connects."""

    async def greet(reader, writer):
        writer.write(replies)
        writer.close()

    async def main(host):
        server = await asyncio.start_server(greet, port=PORT)
        await server.serve_forever()

    return main


async def greeting_from(host, name, port=PORT):
    """What a host says that *host* connects to."""

    async def ask():
        reader, writer = await asyncio.open_connection(name, port)
        try:
            return await reader.read()
        finally:
            writer.close()

    return await host.run(ask())


def named_hosts(world, *names):
    async def main(host):
        await asyncio.start_server(
            lambda _, writer: (writer.write(host.name.encode()), writer.close()), port=PORT
        )
        await asyncio.sleep(100)

    for name in names:
        world.host(name, main).boot()
