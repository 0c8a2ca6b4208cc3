"""
Sockets that programs create themselves, on the simulated network.
"""

import asyncio
import contextlib
import socket

import pytest

from assertlib.sim import NotSimulatedError

from .playing import booted, play
from .running import outcome_of

PORT = 4000


async def served(world, serve, call):
    """What *call* returns on one host while *serve* runs on another."""
    server, client = world.host("server", lambda host: serve()), world.host("client")
    server.boot()
    client.boot()
    await asyncio.sleep(0.1)
    return await client.run(call())


def opened(kind=socket.SOCK_STREAM, family=socket.AF_INET):
    made = socket.socket(family, kind)
    made.setblocking(False)
    return made


def listening(port=PORT):
    made = opened()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("", port))
    made.listen(5)
    return made


async def echo_by_socket():
    loop = asyncio.get_running_loop()
    with listening() as door:
        while True:
            accepted, address = await loop.sock_accept(door)
            assert address == accepted.getpeername()
            while data := await loop.sock_recv(accepted, 3):
                await loop.sock_sendall(accepted, data)
            accepted.close()


async def echo_by_server():
    async def echo(reader, writer):
        while data := await reader.read(3):
            writer.write(data)
        writer.close()

    bound = opened()
    bound.bind(("0.0.0.0", PORT))
    server = await asyncio.start_server(echo, sock=bound)
    assert server.sockets[0] is bound
    await server.serve_forever()


async def echo_by_accepted():
    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    loop = asyncio.get_running_loop()
    door = listening()
    while True:
        accepted, _ = await loop.sock_accept(door)
        await loop.connect_accepted_socket(Echo, accepted)


async def talk_by_socket():
    loop = asyncio.get_running_loop()
    with opened() as talking:
        await loop.sock_connect(talking, ("server", PORT))
        assert talking.getpeername() == ("10.0.0.2", PORT)
        await loop.sock_sendall(talking, b"hello")
        heard = b""
        while len(heard) < 5:
            heard += await loop.sock_recv(talking, 2)
        return heard


async def talk_by_stream():
    talking = opened()
    await asyncio.get_running_loop().sock_connect(talking, ("server", PORT))
    reader, writer = await asyncio.open_connection(sock=talking)
    writer.write(b"hello")
    heard = await reader.readexactly(5)
    writer.close()
    return heard


async def talk_by_readers():
    loop = asyncio.get_running_loop()
    talking, heard, over = opened(), [], loop.create_future()
    with contextlib.suppress(BlockingIOError):
        talking.connect(("server", PORT))

    def write():
        assert talking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        loop.remove_writer(talking)
        talking.send(b"hello")

    def read():
        heard.append(talking.recv(2))
        if len(b"".join(heard)) == 5:
            assert loop.remove_reader(talking)
            over.set_result(b"".join(heard))

    loop.add_writer(talking, write)
    loop.add_reader(talking, read)
    return await over


@pytest.mark.parametrize("call", [talk_by_socket, talk_by_stream, talk_by_readers])
@pytest.mark.parametrize("serve", [echo_by_socket, echo_by_server, echo_by_accepted])
def test_sockets_servers_and_streams_talk_to_each_other(serve, call):
    assert play(lambda world: served(world, serve, call)) == b"hello"


def test_a_socket_that_listens_may_become_a_server():
    async def serve():
        async def greet(reader, writer):
            writer.write(b"hello")
            writer.close()

        await (await asyncio.start_server(greet, sock=listening())).serve_forever()

    async def call():
        reader, writer = await asyncio.open_connection("server", PORT)
        heard = await reader.read()
        writer.close()
        return heard

    assert play(lambda world: served(world, serve, call)) == b"hello"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_datagrams_go_through_sockets(family):
    async def serve():
        loop = asyncio.get_running_loop()
        mine = opened(socket.SOCK_DGRAM, family)
        mine.bind(("::" if family == socket.AF_INET6 else "", PORT))
        while True:
            data, sender = await loop.sock_recvfrom(mine, 100)
            await loop.sock_sendto(mine, data[::-1], sender)

    async def call():
        loop = asyncio.get_running_loop()
        mine = opened(socket.SOCK_DGRAM, family)
        await loop.sock_sendto(mine, b"abc", ("server", PORT))
        data, sender = await loop.sock_recvfrom(mine, 100)
        return data, sender[0]

    address = "fd00::2" if family == socket.AF_INET6 else "10.0.0.2"
    assert play(lambda world: served(world, serve, call)) == (b"cba", address)


def test_unix_sockets_connect_programs_of_one_host():
    async def scenario(world):
        async def greet(reader, writer):
            writer.write(b"hello")
            writer.close()

        async def call():
            reader, writer = await asyncio.open_unix_connection("/run/socket")
            heard = await reader.read()
            writer.close()
            return heard

        one, two = booted(world, "one"), booted(world, "two")
        await one.run(asyncio.start_unix_server(greet, "/run/socket"))
        with pytest.raises(ConnectionRefusedError):
            await two.run(call())
        return await one.run(call())

    assert play(scenario) == b"hello"


def test_what_nobody_listens_for_is_an_error_of_the_socket():
    async def scenario(world):
        loop = asyncio.get_running_loop()
        talking = opened()
        with pytest.raises(ConnectionRefusedError):
            await loop.sock_connect(talking, ("world", PORT))
        again = opened()
        assert again.connect_ex(("world", PORT)) != 0
        await asyncio.sleep(1)
        return again.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    assert play(scenario) == 111


def test_a_port_is_bound_once_and_free_again_after_closing():
    async def scenario(world):
        first, second = opened(), opened()
        first.bind(("", PORT))
        with pytest.raises(OSError, match="already in use"):
            second.bind(("", PORT))
        first.close()
        second.bind(("", PORT))
        assert second.getsockname() == ("10.0.0.1", PORT)
        assert first.fileno() == -1 < second.fileno()

    play(scenario)


def test_the_end_of_a_stream_and_a_reset_reach_a_socket():
    async def scenario(world):
        async def shut(reader, writer):
            how = await reader.read(1)
            (writer.close if how == b"c" else lambda: world.network.reset("server"))()

        async def call(how):
            loop = asyncio.get_running_loop()
            with opened() as talking:
                await loop.sock_connect(talking, ("server", PORT))
                await loop.sock_sendall(talking, how)
                return await loop.sock_recv(talking, 10)

        server, client = booted(world, "server"), booted(world, "client")
        await server.run(asyncio.start_server(shut, port=PORT))
        assert await client.run(call(b"c")) == b""
        with pytest.raises(ConnectionResetError):
            await client.run(call(b"r"))

    play(scenario)


def test_a_protocol_with_a_buffer_of_its_own_receives_everything():
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer, self.got, self.over = bytearray(3), b"", asyncio.Event()

        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, nbytes):
            self.got += self.buffer[:nbytes]

        def eof_received(self):
            self.over.set()

    async def serve():
        async def greet(reader, writer):
            writer.write(b"hello world")
            writer.close()

        await (await asyncio.start_server(greet, port=PORT)).serve_forever()

    async def call():
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(Buffered, "server", PORT)
        await protocol.over.wait()
        return protocol.got

    assert play(lambda world: served(world, serve, call)) == b"hello world"


BLOCKING = {
    "connect": lambda made: made.connect(("server", PORT)),
    "accept": lambda made: made.accept(),
    "recv": lambda made: made.recv(1),
    "send": lambda made: made.send(b"x"),
}


@pytest.mark.parametrize("call", BLOCKING.values(), ids=BLOCKING.keys())
def test_a_blocking_call_in_a_step_is_refused(call):
    async def scenario(world):
        with pytest.raises(NotSimulatedError, match="blocks the event loop"):
            call(socket.socket())

    assert "blocks the event loop" in outcome_of(scenario).failure.name


def test_after_a_trial_sockets_are_real_even_for_modules_imported_during_it():
    kept = []

    async def scenario(world):
        kept.append(socket.socket)

    outcome_of(scenario)
    for make in (socket.socket, kept[0]):
        with make() as real:
            assert real.fileno() < 10_000


def test_a_bound_socket_may_become_an_endpoint_for_datagrams():
    class Collecting(asyncio.DatagramProtocol):
        def __init__(self):
            self.got = asyncio.Queue()

        def datagram_received(self, data, addr):
            self.got.put_nowait((data, addr[0]))

    async def scenario(world):
        async def receive():
            bound = opened(socket.SOCK_DGRAM)
            bound.bind(("", PORT))
            await asyncio.sleep(1)
            # The first datagram has arrived before the protocol is there.
            loop = asyncio.get_running_loop()
            _, protocol = await loop.create_datagram_endpoint(Collecting, sock=bound)
            return [await protocol.got.get() for _ in range(2)]

        async def send():
            mine = opened(socket.SOCK_DGRAM)
            for data in (b"early", b"late"):
                await asyncio.get_running_loop().sock_sendto(mine, data, ("server", PORT))
                await asyncio.sleep(2)

        server, client = booted(world, "server"), booted(world, "client")
        receiving = server.run(receive())
        await asyncio.sleep(0.1)
        await client.run(send())
        return await receiving

    assert play(scenario) == [(b"early", "10.0.0.3"), (b"late", "10.0.0.3")]


def test_a_protocol_learns_that_its_connection_was_lost_before():
    async def scenario(world):
        async def call():
            talking = opened()
            await asyncio.get_running_loop().sock_connect(talking, ("server", PORT))
            world.network.reset("server")
            await asyncio.sleep(1)
            reader, _ = await asyncio.open_connection(sock=talking)
            with pytest.raises(ConnectionResetError):
                await reader.read()

        server, client = booted(world, "server"), booted(world, "client")
        await server.run(asyncio.start_server(lambda *_: None, port=PORT))
        await client.run(call())

    play(scenario)


REAL = {
    "recv": lambda loop: loop.sock_recv(object(), 1),
    "connect": lambda loop: loop.sock_connect(object(), ("server", PORT)),
    "connection": lambda loop: loop.create_connection(asyncio.Protocol, sock=object()),
    "server": lambda loop: loop.create_server(asyncio.Protocol, sock=object()),
}


@pytest.mark.parametrize("use", REAL.values(), ids=REAL.keys())
def test_a_real_socket_is_refused(use):
    async def scenario(world):
        with pytest.raises(NotSimulatedError):
            await use(world.loop)

    assert "uses a real socket" in outcome_of(scenario).failure.name
