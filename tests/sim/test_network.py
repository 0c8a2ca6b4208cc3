"""
The simulated network: streams are as asyncio's own, datagrams and messages as bad as allowed.
"""

import asyncio
import errno
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.sim import Tape

from .playing import faults_in, outcomes, play, tapes, until

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


@settings(max_examples=200)
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


@settings(max_examples=100)
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
    assert near[0][0] == "client"
    assert near[1] == ("server", PORT)
    assert sockets == [("server", PORT)]


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


def test_an_abort_resets_the_other_end():
    async def scenario(world):
        near_reader, near, far_reader, far, _ = await lined(world)
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
        found = b""
        with pytest.raises(ConnectionResetError):
            while data := await far_reader.read(10):
                found += data
        return found

    assert outcomes(scenario) <= {b"", b"data"}


def test_an_abort_does_not_get_through_a_partition():
    async def scenario(world):
        _, near, far_reader, _, line = await lined(world)
        line.cut()
        near.transport.abort()
        return await is_waiting(far_reader.read(), 5.0)

    assert play(scenario)


# -- connecting ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["server", "localhost", "nobody at all"])
def test_nobody_listening_refuses_the_connection(name):
    async def scenario(world):
        for host in ("server", "client"):
            world.host(host).boot()
        with pytest.raises(ConnectionRefusedError):
            await greeting_from(world.hosts["client"], name)
        return world.now

    assert play(scenario) < 0.1


def test_a_host_that_is_down_refuses_the_connection():
    async def scenario(world):
        host = booted(world, "server", listening("server"))
        await asyncio.sleep(0.1)
        assert await greeting_from(host, "server") == b"hello"
        host.crash()
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


def named_hosts(world, *names):
    async def main(host):
        await asyncio.start_server(
            lambda _, writer: (writer.write(host.name.encode()), writer.close()), port=PORT
        )
        await asyncio.sleep(100)

    for name in names:
        world.host(name, main).boot()


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


def test_a_name_server_would_say_the_name():
    async def scenario(world):
        loop = asyncio.get_running_loop()
        host = booted(world, "one")
        return [(await host.run(loop.getaddrinfo(name, 80)))[0][4] for name in ("localhost", "two")]

    assert play(scenario) == [("one", 80), ("two", 80)]


# -- partitions ----------------------------------------------------------------------


@pytest.mark.parametrize("inwards", [True, False])
def test_a_partition_of_one_way_leaves_the_other_open(inwards):
    async def scenario(world):
        near_reader, near, far_reader, far, _ = await lined(world)
        way = ("client", "server") if inwards else ("server", "client")
        shut, shut_reader, open_, open_reader = (
            (near, far_reader, far, near_reader)
            if inwards
            else (far, near_reader, near, far_reader)
        )
        world.network.cut(*way)
        assert world.network.is_cut(*way)
        assert not world.network.is_cut(*way[::-1])
        shut.write(b"held")
        open_.write(b"through")
        assert await open_reader.readexactly(7) == b"through"
        held = await is_waiting(shut_reader.readexactly(4))
        world.network.heal()
        return await held

    assert play(scenario) == b"held"


def test_what_is_on_its_way_when_a_partition_begins_does_not_get_through():
    async def scenario(world):
        _, near, far_reader, _, line = await lined(world)
        near.write(b"data")
        line.cut()
        held = await is_waiting(far_reader.readexactly(4))
        world.network.heal()
        return await held

    assert play(scenario) == b"data"


@pytest.mark.parametrize("fault", ["partition", "one-way"])
def test_a_host_that_is_cut_off_from_all_others_reaches_itself(fault):
    async def scenario(world):
        named_hosts(world, "one")
        booted(world, "two")
        world.disturb(world.hosts["one"], only=[fault])
        await until(lambda: faults_in(world) or not world.mix)
        return await greeting_from(world.hosts["one"], "localhost")

    assert outcomes(scenario, 20, faults=[fault]) == {b"one"}


# -- crashes -------------------------------------------------------------------------


async def talk(reader, writer):
    """Say something all the time."""
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.01)


@settings(max_examples=100)
@given(st.sampled_from(["crash", "kill", "stop"]), st.floats(0.02, 0.2), tapes)
def test_the_peer_of_a_host_that_goes_down_finds_out_in_time_and_hears_nothing_more(
    end, when, tape
):
    async def scenario(world):
        async def main(host):
            await asyncio.start_server(talk, port=PORT)
            await asyncio.sleep(100)

        server, client = booted(world, "server", main), booted(world, "client")
        await asyncio.sleep(0)
        reader, writer = await connect(world, "server", host=client)
        down = asyncio.get_running_loop().call_later(when, getattr(server, end))
        with pytest.raises(ConnectionResetError):
            while await reader.read(10):
                pass
        assert down.when() <= world.now <= down.when() + NOTICED_WITHIN
        assert not server.is_up
        for _ in range(10):
            await asyncio.sleep(0.1)
            with pytest.raises(ConnectionResetError):
                await reader.read(10)
            with pytest.raises(ConnectionResetError):
                writer.write(b"anyone?")
                await writer.drain()

    play(scenario, Tape(*tape), policy="random")


def test_when_a_peer_finds_out_is_up_to_the_tape():
    async def scenario(world):
        near_reader, _, _, _, line = await lined(world)
        begin = world.now
        line.server.crash()
        with pytest.raises(ConnectionResetError):
            await near_reader.read()
        return world.now - begin

    times = outcomes(scenario)
    assert min(times) < 0.05
    assert 0.45 < max(times) <= NOTICED_WITHIN


def test_a_rebooted_host_has_its_ports_back_and_none_of_its_connections():
    async def scenario(world):
        host = world.host("server", listening("server"))
        for _ in range(3):
            host.boot()
            await asyncio.sleep(0.1)
            assert await greeting_from(host, "server") == b"hello"
            host.crash()

    play(scenario)


def test_what_a_dead_host_had_under_way_is_not_said_by_its_next_life():
    async def scenario(world):
        near_reader, _, _, far, line = await lined(world)
        world.network.conditions.latency = (1.0, 1.0)
        far.write(b"from the grave")
        line.server.crash()
        line.server.boot()
        with pytest.raises(ConnectionResetError):
            await near_reader.read()

    play(scenario, Tape(3))


@pytest.mark.parametrize("how", ["crash", "reset", "abort"])
def test_a_connection_that_is_gone_before_it_is_accepted_is_no_trap(how):
    async def scenario(world):
        ended = []

        async def serve(reader, writer):
            try:
                ended.append(await reader.read())
            except ConnectionError as error:
                ended.append(error)

        server, client = booted(world, "server"), booted(world, "client")
        await server.run(asyncio.start_server(serve, port=PORT))
        server.pause()
        _, writer = await connect(world, "server", host=client)
        if how == "crash":
            client.crash()
        elif how == "reset":
            world.network.reset("client")
        else:
            writer.transport.abort()
        await asyncio.sleep(1)
        server.resume()
        await asyncio.sleep(10)
        return len(ended)

    assert play(scenario) == 1


# -- backpressure --------------------------------------------------------------------


async def fill(writer):
    """Write until the writer has to wait; the task that waits, and how much was written."""
    total = 0
    while True:
        writer.write(b"x" * 10_000)
        total += 10_000
        task = asyncio.ensure_future(writer.drain())
        done, _ = await asyncio.wait([task], timeout=1.0)
        if not done:
            return task, total
        assert total < 10_000_000


def test_who_writes_faster_than_the_other_reads_has_to_wait():
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        waiting, total = await fill(near)
        assert total < 10 * KERNEL
        assert near.transport.get_write_buffer_size() > 0
        await far_reader.readexactly(total)
        await waiting
        assert near.transport.get_write_buffer_size() == 0

    play(scenario)


def test_who_writes_to_a_paused_host_has_to_wait():
    async def scenario(world):
        async def swallow(reader, writer):
            while await reader.read(KERNEL):
                pass

        server = booted(world, "server")
        await server.run(asyncio.start_server(swallow, port=PORT))
        _, writer = await connect(world, "server")
        server.pause()
        waiting, total = await fill(writer)
        assert KERNEL <= total < 10 * KERNEL
        server.resume()
        await waiting

    play(scenario)


def test_a_paused_host_sends_nothing_that_it_still_has():
    async def scenario(world):
        _, near, far_reader, _, line = await lined(world)
        _, total = await fill(near)
        kept = near.transport.get_write_buffer_size()
        line.client.pause()
        await far_reader.readexactly(total - kept)
        rest = await is_waiting(far_reader.readexactly(kept))
        line.client.resume()
        return len(await rest) == kept > 0

    assert play(scenario)


def test_who_writes_into_a_partition_has_to_wait():
    async def scenario(world):
        _, near, far_reader, _, line = await lined(world)
        line.cut()
        waiting, total = await fill(near)
        world.network.heal()
        assert len(await far_reader.readexactly(total)) == total
        await waiting

    play(scenario)


@pytest.mark.parametrize("end", ["crash", "reset"])
def test_who_waits_for_room_is_told_that_the_connection_is_gone(end):
    async def scenario(world):
        _, near, _, _, line = await lined(world)
        waiting, _ = await fill(near)
        line.server.crash() if end == "crash" else world.network.reset("server")
        with pytest.raises(ConnectionResetError):
            await waiting

    play(scenario)


def test_the_kernel_takes_as_much_as_the_conditions_say():
    async def scenario(world):
        totals = []
        for number, buffer in enumerate((256, 1_000_000)):
            world.network.conditions.buffer = buffer
            server = await asyncio.start_server(lambda *_: None, port=PORT + number)
            _, writer = await connect(world, "world", PORT + number)
            totals.append((await fill(writer))[1])
            server.close()
        return totals

    small, large = play(scenario)
    assert small < 4 * KERNEL < 1_000_000 < large


# -- datagrams and mailboxes ---------------------------------------------------------


class Collecting(asyncio.DatagramProtocol):
    """Keeps what it gets."""

    def __init__(self):
        self.got = []

    def datagram_received(self, data, sender):
        self.got.append((data, sender))


async def by_datagrams(world, sender, receiver):
    """What sends from one host to another, and a list of what has come, with who sent it."""
    loop = asyncio.get_running_loop()
    _, end = await receiver.run(
        loop.create_datagram_endpoint(Collecting, local_addr=("0.0.0.0", PORT))
    )
    transport, _ = await sender.run(
        loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("0.0.0.0", 5000))
    )
    return lambda data: transport.sendto(data, (receiver.name, PORT)), end.got


async def by_mail(world, sender, receiver):
    """The same with mailboxes."""
    got = []
    box = receiver.mailbox(PORT)

    async def collect():
        while True:
            got.append(await box.receive())

    receiver.run(collect())
    out = sender.mailbox(5000)
    return lambda data: out.send((receiver.name, PORT), data), got


both = pytest.mark.parametrize("way", [by_datagrams, by_mail])


def sent(way, count, **conditions):
    """How *count* messages may arrive that are sent one after the other."""

    async def scenario(world):
        one, two = booted(world, "one"), booted(world, "two")
        for name, value in conditions.items():
            setattr(world.network.conditions, name, value)
        send, got = await way(world, one, two)
        for number in range(count):
            send(b"%d" % number)
        await asyncio.sleep(10)
        assert {sender for _, sender in got} <= {("one", 5000)}
        return tuple(int(data) for data, _ in got)

    return outcomes(scenario, policy="swarm")


SAME = (0.01, 0.01)


@both
def test_messages_arrive_once_and_in_order_where_the_network_allows_nothing_else(way):
    assert sent(way, 5, latency=SAME) == {(0, 1, 2, 3, 4)}


@both
def test_messages_are_overtaken_where_some_take_longer(way):
    assert sent(way, 2, latency=(0.01, 0.02)) == {(0, 1), (1, 0)}


@both
def test_messages_are_lost_with_loss(way):
    assert sent(way, 2, latency=SAME, loss=0.3) == {(), (0,), (1,), (0, 1)}


@both
def test_messages_are_doubled_with_duplication(way):
    assert sent(way, 1, latency=SAME, duplication=0.5) == {(0,), (0, 0)}


@both
def test_what_is_doubled_may_be_far_apart(way):
    assert (0, 1, 0) in sent(way, 2, latency=(0.0, 0.1), duplication=0.5)


@both
def test_messages_are_lost_in_a_partition_also_those_on_their_way(way):
    async def scenario(world):
        one, two = booted(world, "one"), booted(world, "two")
        send, got = await way(world, one, two)
        send(b"on its way")
        world.network.cut("one", "two")
        send(b"cut off")
        await asyncio.sleep(1)
        world.network.heal()
        send(b"healed")
        world.network.cut("two", "one")
        await asyncio.sleep(1)
        return [data for data, _ in got]

    assert play(scenario) == [b"healed"]


@both
def test_what_is_sent_to_nobody_is_lost_without_a_word(way):
    async def scenario(world):
        one, two = booted(world, "one"), booted(world, "two")
        send, got = await way(world, one, two)
        two.kill()
        send(b"anyone?")
        await asyncio.sleep(1)
        two.boot()
        _, anew = await way(world, booted(world, "three"), two)
        send(b"again")
        await asyncio.sleep(1)
        return got, [data for data, _ in anew]

    assert play(scenario) == ([], [b"again"])


@both
def test_a_paused_host_gets_its_messages_when_it_goes_on(way):
    async def scenario(world):
        one, two = booted(world, "one"), booted(world, "two")
        send, got = await way(world, one, two)
        two.pause()
        send(b"data")
        await asyncio.sleep(1)
        early = list(got)
        two.resume()
        await asyncio.sleep(0.001)
        return early, len(got)

    assert play(scenario) == ([], 1)


@both
def test_a_host_reaches_itself_by_a_name_of_its_own(way):
    async def scenario(world):
        one = booted(world, "one")
        loop = asyncio.get_running_loop()
        if way is by_datagrams:
            transport, end = await one.run(
                loop.create_datagram_endpoint(Collecting, local_addr=("127.0.0.1", PORT))
            )
            transport.sendto(b"data", ("127.0.0.1", PORT))
            await asyncio.sleep(1)
            return [data for data, _ in end.got]
        box = one.mailbox(PORT)
        box.send(("localhost", PORT), b"data")
        async with asyncio.timeout(1):
            return [(await box.receive())[0]]

    assert play(scenario) == [b"data"]


def test_an_endpoint_that_is_connected_sends_without_an_address():
    async def scenario(world):
        one, two = booted(world, "one"), booted(world, "two")
        loop = asyncio.get_running_loop()
        _, end = await two.run(
            loop.create_datagram_endpoint(Collecting, local_addr=("0.0.0.0", PORT))
        )
        transport, _ = await one.run(
            loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("two", PORT))
        )
        assert transport.get_extra_info("peername") == ("two", PORT)
        transport.sendto(b"data")
        await asyncio.sleep(1)
        assert [sender for _, sender in end.got] == [transport.get_extra_info("sockname")]
        transport.close()
        assert transport.is_closing()
        transport.sendto(b"late")
        await asyncio.sleep(1)
        return [data for data, _ in end.got]

    assert play(scenario) == [b"data"]


def test_a_port_for_datagrams_is_taken_once():
    async def scenario(world):
        loop = asyncio.get_running_loop()
        address = ("0.0.0.0", PORT)
        await loop.create_datagram_endpoint(Collecting, local_addr=address)
        with pytest.raises(OSError, check=lambda error: error.errno == errno.EADDRINUSE):
            await loop.create_datagram_endpoint(Collecting, local_addr=address)

    play(scenario)


def test_a_receiver_that_gives_up_takes_no_message_from_another_one():
    async def scenario(world):
        box = world.hosts["one"].mailbox(PORT)
        first = asyncio.ensure_future(box.receive())
        second = asyncio.ensure_future(box.receive())
        await asyncio.sleep(0)
        box.put(("data", ("two", 1)))
        first.cancel()
        done, _ = await asyncio.wait([second], timeout=1.0)
        return len(done)

    async def with_host(world):
        world.host("one").boot()
        return await scenario(world)

    assert play(with_host) == 1


def test_messages_that_wait_are_received_in_the_order_of_their_arrival():
    async def scenario(world):
        one = booted(world, "one")
        box, out = one.mailbox(PORT), one.mailbox(PORT + 1)
        assert (box.address, out.address) == (("one", PORT), ("one", PORT + 1))
        for number in range(5):
            out.send(box.address, number)
            await asyncio.sleep(0.1)
        return [await box.receive() for _ in range(5)]

    assert play(scenario) == [(number, ("one", PORT + 1)) for number in range(5)]


def test_streams_are_in_order_whatever_datagrams_are():
    async def scenario(world):
        _, near, far_reader, _, _ = await lined(world)
        world.network.conditions.latency = (0.0, 0.1)
        for number in range(20):
            near.write(b"%02d" % number)
            await asyncio.sleep(0.001)
        found = await far_reader.readexactly(40)
        numbers = [int(found[at : at + 2]) for at in range(0, 40, 2)]
        return all(one + 1 == other for one, other in pairwise(numbers))

    assert outcomes(scenario, 50) == {True}
