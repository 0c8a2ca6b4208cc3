"""
The simulated network: streams are as asyncio's own.
"""

import asyncio
import errno
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.sim import Tape

from ..forms import by_form
from .lines import (
    KERNEL,
    NO_ANSWER_AFTER,
    PORT,
    booted,
    connect,
    greeting_from,
    is_waiting,
    keep,
    lined,
    listening,
    named_hosts,
)
from .playing import outcomes, play, tapes

FIRST_FREE, LAST_FREE = 32769, 60999

# -- streams deliver -----------------------------------------------------------------

CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "latency": st.sampled_from([(0.0, 0.0), (0.0, 0.1), (0.02, 0.03)]),
        "loss": st.floats(0, 0.5),
        "retransmit": st.floats(0.001, 0.5),
        "fragmentation": st.floats(0, 1),
        "duplication": st.floats(0, 1),
        "buffer": st.integers(1, 300),
    },
)
CUTS = st.lists(
    st.tuples(
        st.sampled_from([("client", "server"), ("server", "client")]),
        st.floats(0, 0.2),
        st.floats(0, 0.3),
    ),
    max_size=3,
)
PIECES = st.lists(st.binary(max_size=200), max_size=8)


async def send(writer, pieces, ends):
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    if ends == "eof":
        writer.write_eof()
    else:
        writer.close()


async def receive(reader, size):
    found = b""
    while data := await reader.read(size):
        found += data
    assert reader.at_eof()
    return found


async def disturb(network, cuts):
    for way, begins, lasts in cuts:
        await asyncio.sleep(begins)
        network.cut(*way)
        await asyncio.sleep(lasts)
        network.heal()


@settings(max_examples=by_form(25, 200))
@given(
    PIECES,
    PIECES,
    CONDITIONS,
    CUTS,
    st.integers(1, 100),
    st.sampled_from(["random", "fifo", "pct3"]),
    tapes,
)
def test_all_bytes_arrive_in_order_and_once(there, back, conditions, cuts, size, policy, tape):
    async def scenario(world):
        near_reader, near, far_reader, far, _ = await lined(world, limit=64)
        for name, value in conditions.items():
            setattr(world.network.conditions, name, value)
        found = await asyncio.gather(
            receive(far_reader, size),
            receive(near_reader, size),
            send(near, there, "eof"),
            send(far, back, "eof"),
            disturb(world.network, cuts),
        )
        return found[:2]

    found = play(scenario, Tape(*tape), policy=policy)
    assert found == [b"".join(there), b"".join(back)]


@settings(max_examples=by_form(20, 100))
@given(PIECES, CONDITIONS, CUTS, tapes)
def test_all_that_was_written_arrives_after_a_close(pieces, conditions, cuts, tape):
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world, limit=64)
        for name, value in conditions.items():
            setattr(world.network.conditions, name, value)
        for piece in pieces:
            near.write(piece)
        near.close()
        found, _ = await asyncio.gather(receive(far_reader, 50), disturb(world.network, cuts))
        return found

    assert play(scenario, Tape(*tape)) == b"".join(pieces)


@pytest.mark.parametrize("size", [100, 1000])
def test_a_stream_takes_any_amount_if_it_is_read(size):
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        world.network.conditions.buffer = 10_000
        for _ in range(20):
            near.write(b"x" * size)
            await far_reader.readexactly(size)
        pieces = [bytes([number % 256]) * size for number in range(200)]
        _, found = await asyncio.gather(send(near, pieces, "eof"), far_reader.read())
        assert near.transport.get_write_buffer_size() == 0
        return found == b"".join(pieces)

    assert play(scenario)


def test_what_is_written_arrives_after_the_latency_and_what_is_lost_once_more_later():
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        conditions = world.network.conditions
        conditions.latency, conditions.retransmit = (0.01, 0.02), 0.2
        times = []
        for loss in (0.0, 0.5):
            conditions.loss = loss
            begin = world.now
            near.write(b"data")
            await far_reader.readexactly(4)
            times.append(world.now - begin)
        return tuple(times)

    times = outcomes(scenario)
    assert all(0.01 <= time <= 0.02 for time, _ in times)
    assert {int(time / 0.2) for _, time in times} >= {0, 1, 2, 3}


def test_a_write_may_arrive_in_pieces_only_if_streams_are_fragmented():
    def pieces(fragmentation):
        async def scenario(world):
            _, near, far_reader, _, _ = await lined(world)
            world.network.conditions.fragmentation = fragmentation
            near.write(b"data")
            return await far_reader.read(100)

        return outcomes(scenario)

    assert pieces(0.0) == {b"data"}
    assert pieces(0.5) == {b"d", b"da", b"dat", b"data"}


# -- asyncio's streams on top --------------------------------------------------------


def test_streams_read_lines_and_pieces_as_on_a_real_network():
    async def scenario(world):
        near_reader, near, far_reader, _, _ = await lined(world, limit=20)
        world.network.conditions.fragmentation = 1.0
        near.writelines([b"one\n", b"two\n", b"12345", b"head:body|", b"x" * 30, b"|rest"])
        near.write_eof()
        assert await far_reader.readline() == b"one\n"
        assert await anext(aiter(far_reader)) == b"two\n"
        assert await far_reader.readexactly(5) == b"12345"
        assert await far_reader.readuntil(b":") == b"head:"
        assert await far_reader.readuntil(b"|") == b"body|"
        with pytest.raises(asyncio.LimitOverrunError):
            await far_reader.readuntil(b"|")
        assert await far_reader.readexactly(31) == b"x" * 30 + b"|"
        assert not far_reader.at_eof()
        with pytest.raises(asyncio.IncompleteReadError) as short:
            await far_reader.readexactly(5)
        assert short.value.partial == b"rest"
        assert far_reader.at_eof()
        assert await far_reader.readline() == b""
        assert not near_reader.at_eof()

    play(scenario)


def test_both_ends_agree_on_their_addresses():
    async def scenario(world):
        _, near, _, far, line = await lined(world)
        ends = [
            (end.get_extra_info("sockname"), end.get_extra_info("peername")) for end in (near, far)
        ]
        assert near.get_extra_info("socket").getsockname() == near.get_extra_info("sockname")
        assert near.get_extra_info("cipher") is None
        return ends, [socket.getsockname() for socket in line.listening.sockets]

    (near, far), sockets = play(scenario)
    assert near == far[::-1]
    # By the order of creation, after the scenario itself.
    assert near[0][0] == "10.0.0.2"
    assert near[1] == ("10.0.0.3", PORT)
    assert sockets == [("10.0.0.3", PORT)]


def test_a_server_without_a_port_gets_a_free_one():
    async def scenario(world):
        host = booted(world, "server")
        servers = [
            await host.run(asyncio.start_server(lambda *_: None, port=port)) for port in (0, None)
        ]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        for port in ports:
            await connect(world, "server", port, host=host)
        return len(set(ports))

    assert play(scenario) == 2


# -- the end of a connection ---------------------------------------------------------


def test_who_has_said_all_still_hears_the_answer():
    async def scenario(world):
        near_reader, near, far_reader, far, _ = await lined(world)
        near.write(b"question")
        assert near.can_write_eof()
        near.write_eof()
        assert await far_reader.read() == b"question"
        await asyncio.sleep(1)
        far.write(b"answer")
        far.close()
        return await near_reader.read()

    assert play(scenario) == b"answer"


def test_nothing_can_be_written_after_the_end():
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        near.write_eof()
        with pytest.raises(RuntimeError):
            near.write(b"late")
        return await far_reader.read()

    assert play(scenario) == b""


class Noting(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self):
        self.calls = []

    def connection_made(self, transport):
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data):
        self.calls.append("data")

    def eof_received(self):
        self.calls.append("eof")
        return True

    def connection_lost(self, error):
        self.calls.append("lost")


def test_the_end_of_a_stream_is_told_once():
    async def scenario(world):
        host = booted(world, "server")
        far = Noting()
        loop = asyncio.get_running_loop()
        await host.run(loop.create_server(lambda: far, port=PORT))
        _, writer = await connect(world, "server")
        writer.write(b"data")
        writer.write_eof()
        writer.close()
        await asyncio.sleep(1)
        far.transport.close()
        await asyncio.sleep(1)
        return far.calls

    assert play(scenario) == ["made", "data", "eof", "lost"]


def test_a_closed_stream_takes_no_more():
    async def scenario(world):
        near_reader, near, far_reader, _, _ = await lined(world)
        near.write(b"data")
        near.close()
        assert near.is_closing()
        near.write(b"late")
        await near.wait_closed()
        assert await near_reader.read() == b""
        return await far_reader.read()

    assert play(scenario) == b"data"


def test_a_close_waits_until_everything_is_on_its_way():
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        for _ in range(4):
            near.write(b"x" * KERNEL)
        near.close()
        closed = await is_waiting(near.wait_closed())
        found = await far_reader.read()
        await closed
        return len(found)

    assert play(scenario) == 4 * KERNEL


def test_who_writes_to_an_end_that_was_closed_finds_the_connection_reset():
    async def scenario(world):
        _, near, far_reader, far, _ = await lined(world)
        near.close()
        assert await far_reader.read() == b""
        with pytest.raises(ConnectionError):
            for _ in range(20):
                far.write(b"anyone?")
                await far.drain()
                await asyncio.sleep(0.1)

    play(scenario)


def test_a_reset_breaks_both_ends_and_no_other_connection():
    async def scenario(world):
        near_reader, near, far_reader, far, line = await lined(world)
        other = booted(world, "other")
        third_reader, third = await connect(world, "other", await free(other), host=other)
        near.write(b"lost on its way")
        assert world.network.reset("client") == 1
        for reader, writer in ((near_reader, near), (far_reader, far)):
            with pytest.raises(ConnectionResetError):
                await reader.read()
            with pytest.raises(ConnectionResetError):
                await writer.drain()
        third.write(b"still here")
        assert await third_reader.readexactly(10) == b"still here"
        assert world.network.reset("client") == 0
        assert line.client.is_up

    async def free(host):
        async def echo(reader, writer):
            writer.write(await reader.readexactly(10))

        server = await host.run(asyncio.start_server(echo, port=0))
        return server.sockets[0].getsockname()[1]

    play(scenario)


def test_an_abort_with_unread_data_resets_the_other_end():
    async def scenario(world):
        near_reader, near, far_reader, far, _ = await lined(world)
        near.transport.pause_reading()
        far.write(b"unread")
        await asyncio.sleep(1)
        near.transport.abort()
        assert near.is_closing()
        assert await near_reader.read() == b""
        with pytest.raises(ConnectionResetError):
            await far_reader.read()
        assert far.is_closing()

    play(scenario)


def test_what_was_written_before_an_abort_arrives_whole_or_not_at_all():
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        near.write(b"data")
        near.transport.abort()
        return await far_reader.read()

    assert outcomes(scenario) <= {b"", b"data"}


def test_an_abort_does_not_get_through_a_partition():
    async def scenario(world):
        _, near, far_reader, _, line = await lined(world)
        line.cut()
        near.transport.abort()
        return await is_waiting(far_reader.read(), 5.0)

    assert play(scenario)


# -- connecting ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["server", "localhost", "10.0.0.2", "fd00::2", b"server"], ids=repr
)
def test_nobody_listening_refuses_the_connection(name):
    async def scenario(world):
        for host in ("server", "client"):
            world.host(host).boot()
        with pytest.raises(ConnectionRefusedError):
            await greeting_from(world.hosts["client"], name)
        return world.now

    assert play(scenario) < 0.1


def test_a_name_that_no_host_has_cannot_be_resolved():
    async def scenario(world):
        for ask in (
            greeting_from(booted(world, "client"), "nobody at all"),
            world.loop.getaddrinfo("nobody at all", 80),
        ):
            with pytest.raises(socket.gaierror, match="no host is named 'nobody at all'"):
                await ask

    play(scenario)


def test_an_address_that_no_host_has_does_not_answer():
    async def scenario(world):
        with pytest.raises(TimeoutError):
            await greeting_from(booted(world, "client"), "10.9.9.9")

    play(scenario)


def test_a_host_without_power_does_not_answer():
    async def scenario(world):
        host = booted(world, "server", listening("server"))
        await asyncio.sleep(0.1)
        host.crash()
        begin = world.now
        with pytest.raises(TimeoutError):
            await connect(world, "server")
        assert world.now > begin + 0.9
        host.boot()
        await asyncio.sleep(0.1)
        assert await greeting_from(host, "server") == b"hello"

    play(scenario)


def test_a_host_whose_process_has_ended_refuses_the_connection():
    async def scenario(world):
        host = booted(world, "server", listening("server"))
        await asyncio.sleep(0.1)
        assert await greeting_from(host, "server") == b"hello"
        host.kill()
        await connect(world, "server")

    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        play(scenario)


@pytest.mark.parametrize(
    "ways",
    [[("client", "server")], [("server", "client")], [("client", "server"), ("server", "client")]],
)
def test_a_connection_through_a_partition_times_out(ways):
    async def scenario(world):
        booted(world, "server", listening("server"))
        client = booted(world, "client")
        for way in ways:
            world.network.cut(*way)
        with pytest.raises(TimeoutError):
            await greeting_from(client, "server")
        took = world.now
        world.network.heal()
        assert await greeting_from(client, "server") == b"hello"
        return took

    assert NO_ANSWER_AFTER <= play(scenario) <= NO_ANSWER_AFTER + 0.1


def test_a_port_is_listened_on_once():
    async def scenario(world):
        host = booted(world, "server", listening("server"))
        await asyncio.sleep(0)
        with pytest.raises(OSError, check=lambda error: error.errno == errno.EADDRINUSE):
            await host.run(asyncio.start_server(lambda *_: None, port=PORT))
        booted(world, "other", listening("other"))
        await asyncio.sleep(0.1)
        return await greeting_from(host, "other")

    assert play(scenario) == b"hello"


def test_a_closed_server_takes_no_new_connection_and_keeps_the_old_ones():
    async def scenario(world):
        _, near, far_reader, _, line = await lined(world)
        server = line.listening
        assert server.is_serving()
        server.close()
        assert not server.is_serving()
        assert not server.sockets
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await greeting_from(line.client, "server")
        near.write(b"still here")
        assert await far_reader.readexactly(10) == b"still here"
        await line.server.run(asyncio.start_server(lambda *_: None, port=PORT))

    play(scenario)


def test_a_connection_that_a_closing_server_did_not_accept_any_more_is_reset():
    async def scenario(world):
        host = booted(world, "server")
        server = await host.run(asyncio.start_server(lambda *_: None, port=PORT))
        host.pause()
        reader, _ = await connect(world, "server")
        server.close()
        host.resume()
        with pytest.raises(ConnectionResetError):
            await reader.read()

    play(scenario)


def test_a_server_that_is_cancelled_listens_no_more():
    async def scenario(world):
        host = booted(world, "server")

        async def serve():
            async with await asyncio.start_server(lambda *_: None, port=PORT) as server:
                await server.serve_forever()

        task = host.run(serve())
        await asyncio.sleep(0.1)
        await connect(world, "server", host=host)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionRefusedError):
            await connect(world, "server", host=host)

    play(scenario)


def test_a_server_that_is_closed_no_longer_serves_for_ever():
    async def scenario(world):
        server = await asyncio.start_server(lambda *_: None, port=PORT)
        task = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0.1)
        server.close()
        done, _ = await asyncio.wait([task], timeout=10)
        return done == {task} and task.cancelled()

    assert play(scenario)


def test_a_server_that_shall_not_start_yet_does_not():
    async def scenario(world):
        server = await asyncio.start_server(lambda *_: None, port=PORT, start_serving=False)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await connect(world, "world")
        await server.start_serving()
        assert server.is_serving()
        await connect(world, "world")

    play(scenario)


# -- names ---------------------------------------------------------------------------

ITSELF = ["127.0.0.1", "localhost", "0.0.0.0", "", None, "::1", "::"]


@pytest.mark.parametrize("name", ITSELF)
def test_names_of_the_host_itself_mean_itself_when_it_listens(name):
    async def scenario(world):
        named_hosts(world, "one", "two")
        await asyncio.sleep(0.1)
        return [await greeting_from(world.hosts[host], name) for host in ("one", "two")]

    assert play(scenario) == [b"one", b"two"]


@pytest.mark.parametrize("name", ITSELF)
def test_names_of_the_host_itself_mean_one_that_listens_when_it_does_not(name):
    async def scenario(world):
        named_hosts(world, "one")
        world.host("two").boot()
        await asyncio.sleep(0.1)
        return await greeting_from(world.hosts["two"], name)

    assert play(scenario) == b"one"


def test_names_and_addresses_are_resolved_as_by_a_name_server():
    async def scenario(world):
        loop = asyncio.get_running_loop()
        for name in ("one", "two"):
            booted(world, name)
        found = await loop.getaddrinfo("two", "80", type=socket.SOCK_STREAM)
        assert found == socket.getaddrinfo("two", 80, type=socket.SOCK_STREAM)
        assert [(each[0], each[4]) for each in found] == [
            (socket.AF_INET, ("10.0.0.3", 80)),
            (socket.AF_INET6, ("fd00::3", 80, 0, 0)),
        ]
        assert await loop.getnameinfo(("10.0.0.3", 80)) == ("two", "80")
        assert socket.gethostbyname("one") == "10.0.0.2"
        assert socket.gethostbyname("localhost") == "127.0.0.1"
        passive = socket.getaddrinfo(None, 80, socket.AF_INET, 0, 0, socket.AI_PASSIVE)
        assert passive[0][4] == ("0.0.0.0", 80)

    play(scenario)


# -- free ports ----------------------------------------------------------------------


async def ports_of(world, count):
    """The next free ports, as listeners get them."""

    async def serve():
        server = await asyncio.start_server(lambda *_: None, port=0)
        return keep(world, server).sockets[0].getsockname()[1]

    host = world.hosts.get("server") or booted(world, "server")
    return [await host.run(serve()) for _ in range(count)]


@pytest.mark.parametrize("kind", ["stream", "datagram", "connection"])
def test_a_free_port_is_one_that_is_not_in_use(kind):
    async def scenario(world):
        host = booted(world, "server")
        first = FIRST_FREE
        if kind == "stream":
            await host.run(asyncio.start_server(lambda *_: None, port=first))
        elif kind == "datagram":
            opened = world.loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("", first)
            )
            await host.run(opened)
        else:
            await host.run(asyncio.start_server(lambda *_: None, port=PORT))
            _, writer = await connect(world, "server", host=host)
            assert writer.get_extra_info("sockname") == ("10.0.0.2", first)
            world.network._ports -= 1
        return await ports_of(world, 2)

    assert play(scenario) == [FIRST_FREE + 1, FIRST_FREE + 2]


def test_free_ports_begin_again_after_the_last_one():
    async def scenario(world):
        world.network._ports = LAST_FREE - 1
        return await ports_of(world, 3)

    assert play(scenario) == [LAST_FREE, FIRST_FREE, FIRST_FREE + 1]


def test_no_port_is_free_if_all_are_in_use(monkeypatch):
    monkeypatch.setattr("assertlib.sim.network._LAST_PORT", FIRST_FREE + 1)

    async def scenario(world):
        ports = await ports_of(world, 2)
        with pytest.raises(OSError, match="no port on server is free") as caught:
            await ports_of(world, 1)
        return ports, caught.value.errno

    assert play(scenario) == ([FIRST_FREE, FIRST_FREE + 1], errno.EADDRINUSE)


def test_an_abort_after_a_close_is_an_ordinary_end():
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        near.write(b"last")
        near.close()
        near.transport.abort()
        return await far_reader.read()

    assert play(scenario) == b"last"
