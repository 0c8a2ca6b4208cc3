"""
How servers end, how large datagrams may be, services by name, eager tasks, and the root logger.
"""

import asyncio
import errno
import logging
import socket
import sys

import pytest

from assertlib.sim import Tape

from .playing import booted, play
from .running import outcome_of


async def ask(writer, reader):
    writer.write(b"line\n")
    return await reader.readline()


@pytest.mark.parametrize("end", ["close_clients", "abort_clients"])
def test_a_server_ends_the_connections_that_it_has_accepted(end):
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line)

    async def scenario(world):
        server, client = booted(world, "server"), booted(world, "client")
        listening = await server.run(asyncio.start_server(echo, port=7))

        async def client_main():
            pairs = [await asyncio.open_connection("server", 7) for _ in range(2)]
            for reader, writer in pairs:
                await ask(writer, reader)
            getattr(listening, end)()
            ends = [await reader.read() for reader, _ in pairs]
            # It accepts further connections.
            pairs.append(await asyncio.open_connection("server", 7))
            reader, writer = pairs[-1]
            answer = await ask(writer, reader)
            for _, each in pairs:
                each.close()
            return ends, answer

        return await client.run(client_main())

    assert play(scenario) == ([b"", b""], b"line\n")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not wait either")
def test_a_closed_server_waits_for_its_connections():
    async def echo(reader, writer):
        await reader.read()
        writer.close()

    async def scenario(world):
        server, client = booted(world, "server"), booted(world, "client")
        listening = await server.run(asyncio.start_server(echo, port=7))

        async def client_main():
            _, writer = await asyncio.open_connection("server", 7)
            await asyncio.sleep(5)
            writer.close()

        talking = client.run(client_main())
        await asyncio.sleep(1)
        listening.close()
        await listening.wait_closed()
        waited = world.now
        await talking
        return waited >= 5

    assert play(scenario)


def test_a_datagram_that_no_network_carries_is_an_error_of_its_protocol():
    errors = []

    class Sender(asyncio.DatagramProtocol):
        def error_received(self, exc):
            errors.append(exc.errno)

    async def scenario(world):
        client = booted(world, "client")

        async def main():
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(Sender, remote_addr=("127.0.0.1", 9))
            transport.sendto(bytes(65_507))
            transport.sendto(bytes(65_508))
            raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            raw.setblocking(False)
            with pytest.raises(OSError, match="too long"):
                raw.sendto(bytes(65_508), ("127.0.0.1", 9))
            raw.close()

        await client.run(main())

    play(scenario)
    assert errors == [errno.EMSGSIZE]


def test_large_datagrams_are_lost_more_often_than_small_ones():
    arrived = {100: 0, 60_000: 0}

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            arrived[len(data)] += 1

    async def scenario(world):
        server, client = booted(world, "server"), booted(world, "client")
        world.network.worsen().loss = 0.05

        async def listen():
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(Receiver, local_addr=("0.0.0.0", 7))

        async def send():
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("server", 7)
            )
            for _ in range(300):
                for size in arrived:
                    transport.sendto(bytes(size))
                await asyncio.sleep(0.1)

        await server.run(listen())
        await client.run(send())

    play(scenario, Tape(7))
    # 0.95 to the power of the number of fragments, 1 and 41: 285 and 37 of 300.
    assert 260 < arrived[100] < 300
    assert 10 < arrived[60_000] < 80


def test_a_service_is_resolved_to_its_port():
    async def scenario(world):
        client = booted(world, "client")

        async def main():
            found = socket.getaddrinfo("client", "http", type=socket.SOCK_STREAM)
            with pytest.raises(socket.gaierror, match="Servname"):
                socket.getaddrinfo("client", "no-such-service")
            server = await asyncio.start_server(lambda _, writer: writer.close(), port=80)
            reader, writer = await asyncio.open_connection("client", "http")
            ended = await reader.read()
            writer.close()
            server.close()
            return {place[1] for *_, place in found}, ended

        return await client.run(main())

    assert play(scenario) == ({80}, b"")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_eager_tasks_begin_at_once_on_the_host_that_wants_them():
    async def scenario(world):
        ann, bob = booted(world, "ann"), booted(world, "bob")

        async def main(*, is_eager):
            loop = asyncio.get_running_loop()
            if is_eager:
                loop.set_task_factory(asyncio.eager_task_factory)
            order = []

            async def child():
                order.append("child")
                await asyncio.sleep(1)
                return "done"

            task = asyncio.create_task(child())
            order.append("main")
            begun = list(order)
            return [*begun, await task]

        return await ann.run(main(is_eager=True)), await bob.run(main(is_eager=False))

    eager, plain = play(scenario)
    assert eager == ["child", "main", "done"]
    assert plain == ["main", "done"]


def test_another_task_factory_is_refused():
    async def scenario(_):
        asyncio.get_running_loop().set_task_factory(lambda loop, coro: None)

    assert "set_task_factory" in outcome_of(scenario).failure.name


def test_what_a_host_configures_at_the_root_logger_ends_with_the_trial():
    root = logging.getLogger()
    before = root.level, root.handlers[:]

    async def scenario(_):
        logging.basicConfig(level="DEBUG", force=True)
        logging.getLogger("store").debug("begun")
        return root.level

    assert play(scenario) == logging.DEBUG
    assert (root.level, root.handlers) == before
