"""
A network that is bad on request, between real processes.
"""

import asyncio
import os
import random
import socket
import struct
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.robustness.cluster import free_ports
from assertlib.robustness.proxy import BLACKHOLE, CUT, WHOLE, Network, Route, Rule, owner_of

from ..forms import by_form
from ..leaks import sockets

PATIENCE = 10
SOON = 0.3

ECHO = """
import asyncio, sys

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def main(port):
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main(int(sys.argv[1])))
"""


@pytest.fixture
def echo():
    """A process that sends back what it is sent; its port and number."""
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-c", ECHO, str(port)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    yield port, process.pid
    process.kill()
    process.wait()
    process.stdout.close()


@asynccontextmanager
async def network(echo):
    """A network to the echo, which knows this process as ``us``."""
    target, pid = echo
    (port,) = free_ports(1)
    pids = {"us": {os.getpid()}, "echo": {pid}}
    async with Network([Route("echo", port, target)], lambda: pids, random.Random(1)) as made:
        yield made, port


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def say(streams, text=b"hello"):
    reader, writer = streams
    writer.write(text)
    await writer.drain()
    return await asyncio.wait_for(reader.readexactly(len(text)), PATIENCE)


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def is_silent(streams):
    try:
        await asyncio.wait_for(streams[0].read(1), SOON)
    except TimeoutError:
        return True
    return False


def test_what_is_sent_through_a_whole_network_arrives(echo):
    async def run():
        async with network(echo) as (_, port), AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            text = random.Random(1).randbytes(1_000_000)
            streams[1].write(text)
            assert await asyncio.wait_for(streams[0].readexactly(len(text)), PATIENCE) == text
            streams[1].write_eof()
            assert await asyncio.wait_for(streams[0].read(), PATIENCE) == b""

    asyncio.run(run())


@pytest.mark.parametrize("way", [("us", "echo"), ("echo", "us")])
def test_a_cut_way_holds_up_what_is_sent_until_it_is_whole_again(echo, way):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            await say(streams)
            await made.set([way], CUT)
            streams[1].write(b"later")
            assert await is_silent(streams)
            await made.set([way], WHOLE)
            assert await asyncio.wait_for(streams[0].readexactly(5), PATIENCE) == b"later"

    asyncio.run(run())


@pytest.mark.parametrize("rule", [CUT, BLACKHOLE])
def test_the_end_of_a_stream_does_not_pass_a_way_that_carries_nothing(echo, rule):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            await say(streams)
            await made.set([("us", "echo")], rule)
            streams[1].write_eof()
            assert await is_silent(streams)
            await made.set([("us", "echo")], WHOLE)
            with suppress(ConnectionResetError):  # A blackhole breaks the connection at its end.
                assert await asyncio.wait_for(streams[0].read(), PATIENCE) == b""

    asyncio.run(run())


def test_a_network_that_cannot_listen_on_all_its_ports_leaves_none_open(echo):
    async def run():
        first, second = free_ports(2)
        with socket.create_server(("127.0.0.1", second)):
            routes = [Route("a", first, echo[0]), Route("b", second, echo[0])]
            with pytest.raises(OSError):
                async with Network(routes, dict, random.Random(1)):
                    pass

    before = sockets()
    asyncio.run(run())
    assert sockets() == before


def test_a_way_that_is_cut_for_others_is_whole_for_us(echo):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            await made.set([("echo", "other"), ("other", "echo")], CUT)
            assert await say(await stack.enter_async_context(connected(port))) == b"hello"

    asyncio.run(run())


def test_a_new_connection_over_a_cut_way_reaches_nobody_until_it_is_whole(echo):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            await made.set([("us", "echo")], CUT)
            streams = await stack.enter_async_context(connected(port))
            streams[1].write(b"hello")
            assert await is_silent(streams)
            await made.set([("us", "echo")], WHOLE)
            assert await asyncio.wait_for(streams[0].readexactly(5), PATIENCE) == b"hello"

    asyncio.run(run())


def test_a_blackhole_loses_what_is_sent_and_breaks_the_connection_afterwards(echo):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            await say(streams)
            await made.set([("us", "echo")], BLACKHOLE)
            streams[1].write(b"lost")
            assert await is_silent(streams)
            await made.set([("us", "echo")], WHOLE)
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(streams[0].readexactly(1), PATIENCE)
            assert await say(await stack.enter_async_context(connected(port))) == b"hello"

    asyncio.run(run())


def test_a_reset_breaks_connections_and_lets_new_ones_in(echo):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            await say(streams)
            made.reset("us")
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(streams[0].readexactly(1), PATIENCE)
            assert await say(await stack.enter_async_context(connected(port))) == b"hello"

    asyncio.run(run())


def test_a_delay_lets_bytes_come_later_and_in_order(echo):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            await made.set([("us", "echo"), ("echo", "us")], Rule(delay=0.1, jitter=0.09))
            began = asyncio.get_running_loop().time()
            for number in range(20):
                streams[1].write(bytes([number]))
                await streams[1].drain()
                await asyncio.sleep(0)
            found = await asyncio.wait_for(streams[0].readexactly(20), PATIENCE)
            assert found == bytes(range(20))
            assert asyncio.get_running_loop().time() - began > 0.02

    asyncio.run(run())


def test_a_process_that_is_not_there_is_told_as_by_a_closed_port():
    async def run():
        port, target = free_ports(2)
        made = Network([Route("gone", port, target)], dict, random.Random(1))
        async with made, AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(streams[0].readexactly(1), PATIENCE)

    asyncio.run(run())


def test_the_end_of_the_network_breaks_what_is_open(echo):
    async def run():
        async with AsyncExitStack() as stack:
            async with network(echo) as (_, port):
                streams = await stack.enter_async_context(connected(port))
                await say(streams)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(streams[0].readexactly(1), PATIENCE)

    asyncio.run(run())


@settings(max_examples=by_form(25, 50))
@given(st.floats(0, 0.5), st.floats(0, 1), st.floats(0, 0.9))
def test_delays_are_never_negative(delay, jitter, loss):
    made = Network([], dict, random.Random(1))
    asyncio.run(made.set([("a", "b")], Rule(delay=delay, jitter=jitter, loss=loss)))
    assert all(made.delay(("a", "b")) >= 0 for _ in range(20))


@pytest.mark.parametrize(
    ("rule", "affected"),
    [(WHOLE, 0), (CUT, 5), (BLACKHOLE, 5), (Rule(delay=0.01), 5), (Rule(loss=0.9999), 5)],
)
def test_what_a_rule_does_to_bytes_is_counted_on_its_way_alone(echo, rule, affected):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            streams = await stack.enter_async_context(connected(port))
            await say(streams)
            assert not made.affected
            await made.set([("us", "echo")], rule)
            streams[1].write(b"later")
            await until(lambda: made.carried["us", "echo"] == 10)
            assert made.affected["us", "echo"] == affected
            assert made.affected["echo", "us"] == 0

    asyncio.run(run())


def test_a_connection_that_has_to_wait_is_counted(echo):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            await made.set([("us", "echo")], CUT)
            await stack.enter_async_context(connected(port))
            await until(lambda: made.waiting["us", "echo"] == 1)

    asyncio.run(run())


def test_a_reset_counts_the_connections_it_breaks(echo):
    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            assert made.reset("us") == 0
            for _ in range(3):
                await say(await stack.enter_async_context(connected(port)))
            assert made.reset("us") == 3

    asyncio.run(run())


def test_why_nothing_was_affected_is_reported(echo):
    ways = [("us", "echo"), ("echo", "us")]

    async def run():
        async with network(echo) as (made, port), AsyncExitStack() as stack:
            assert "does the adapter use peer_address?" in made.why_idle(ways)
            await say(await stack.enter_async_context(connected(port)))
            assert made.why_idle(ways) == "the members exchanged nothing while it lasted"
            assert made.why_idle([("us", "other")]) == made.why_idle(ways)
        async with stranger(echo) as (made, port), AsyncExitStack() as stack:
            await say(await stack.enter_async_context(connected(port)))
            assert made.why_idle(ways) == (
                "connections to echo came from processes that belong to no member"
            )

    asyncio.run(run())


@asynccontextmanager
async def stranger(echo):
    """The same network, which does not know this process."""
    target, pid = echo
    (port,) = free_ports(1)
    async with Network(
        [Route("echo", port, target)], lambda: {"echo": {pid}}, random.Random(1)
    ) as made:
        yield made, port


def test_nobody_owns_a_port_that_is_free():
    (port,) = free_ports(1)
    assert owner_of(port, {"us": {os.getpid()}, "gone": {2**22 - 1}}) is None


@pytest.mark.parametrize("is_open", [True, False])
def test_a_caller_that_is_gone_before_it_is_served_leaves_no_socket_open(echo, is_open):
    def call_and_reset(port):
        with socket.create_connection(("127.0.0.1", port)) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def scenario():
        async with network(echo) as (_, port):
            # The loop is held up meanwhile, so that it accepts callers that are gone.
            for _ in range(20):
                call_and_reset(port)
            if is_open:
                await asyncio.sleep(0.05)

    before = sockets()
    asyncio.run(scenario())
    assert sockets() == before


def test_a_caller_that_is_accepted_as_the_network_closes_leaves_no_socket_open(echo):
    async def scenario(steps):
        async with network(echo) as (_, port):
            with socket.create_connection(("127.0.0.1", port)):
                for _ in range(steps):
                    await asyncio.sleep(0)

    before = sockets()
    for steps in range(20):
        asyncio.run(scenario(steps))
        assert sockets() == before, steps
