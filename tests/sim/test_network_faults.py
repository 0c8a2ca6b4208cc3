"""
Partitions, crashes, slow readers, and what may become of datagrams and messages.
"""

import asyncio
import errno
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.sim import Tape

from ..forms import by_form
from .lines import (
    KERNEL,
    NOTICED_WITHIN,
    PORT,
    booted,
    connect,
    greeting_from,
    is_waiting,
    lined,
    listening,
    named_hosts,
)
from .playing import faults_in, outcomes, play, tapes, until
from .running import result_of as play_for_long

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
        world.inject_faults(world.hosts["one"], only=[fault])
        await until(lambda: faults_in(world) or not world.mix)
        return await greeting_from(world.hosts["one"], "localhost")

    assert outcomes(scenario, 20, faults=[fault]) == {b"one"}


# -- crashes -------------------------------------------------------------------------


async def talk(reader, writer):
    """Say something all the time."""
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.01)


@settings(max_examples=by_form(20, 100))
@given(st.sampled_from(["kill", "stop"]), st.floats(0.02, 0.2), tapes)
def test_the_peer_of_a_process_that_ends_finds_out_in_time_and_hears_nothing_more(end, when, tape):
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
        line.server.kill()
        with pytest.raises(ConnectionResetError):
            await near_reader.read()
        return world.now - begin

    times = outcomes(scenario)
    assert min(times) < 0.05
    assert 0.45 < max(times) <= NOTICED_WITHIN


def test_a_peer_behind_a_partition_finds_out_when_it_heals():
    async def scenario(world):
        near_reader, _, _, _, line = await lined(world)
        line.cut()
        line.server.kill()
        reading = asyncio.ensure_future(near_reader.read())
        await asyncio.sleep(10)
        assert not reading.done()
        world.network.heal()
        with pytest.raises(ConnectionResetError):
            await reading

    play(scenario)


# -- power cuts ----------------------------------------------------------------------


def test_a_power_cut_is_silent():
    async def scenario(world):
        near_reader, near, _, _, line = await lined(world)
        line.server.crash()
        near.write(b"anyone?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(near_reader.read(), 300)
        near.write(b"still nobody?")

    play(scenario)


@pytest.mark.parametrize("is_sent", ["before", "after"])
def test_a_host_that_is_up_again_resets_a_connection_on_which_it_receives_data(is_sent):
    async def scenario(world):
        near_reader, near, _, _, line = await lined(world)
        line.server.crash()
        if is_sent == "before":
            near.write(b"anyone?")
        await asyncio.sleep(30)
        line.server.boot()
        reading = asyncio.ensure_future(near_reader.read())
        if is_sent == "after":
            await asyncio.sleep(300)
            assert not reading.done()
            near.write(b"anyone?")
        begin = world.now
        with pytest.raises(ConnectionResetError):
            await reading
        # Data that nobody has confirmed is sent again, after longer and longer times.
        assert world.now - begin < (0.1 if is_sent == "after" else 30)

    play(scenario)


@pytest.mark.parametrize("is_up_again", [False, True])
def test_keepalive_notices_a_power_cut(is_up_again):
    async def scenario(world):
        near_reader, near, _, _, line = await lined(world)
        link = near.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        begin = world.now
        line.server.crash()
        if is_up_again:
            line.server.boot()
        with pytest.raises(ConnectionResetError if is_up_again else TimeoutError):
            await near_reader.read()
        return round(world.now - begin)

    assert play(scenario) == (10 if is_up_again else 25)


def test_data_that_a_host_could_not_send_is_lost_with_its_power():
    async def scenario(world):
        near_reader, _, _, far, line = await lined(world)
        line.cut()
        far.write(b"acknowledged")
        line.server.crash()
        world.network.heal()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(near_reader.read(20), 100)

    play(scenario)


def test_keepalive_does_not_probe_while_data_is_unconfirmed():
    async def scenario(world):
        near_reader, near, _, _, line = await lined(world)
        link = near.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        line.server.crash()
        near.write(b"request")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(near_reader.read(), 100)
        return "waited"

    assert play(scenario) == "waited"


@pytest.mark.parametrize("milliseconds", [0, 3000])
def test_data_that_nothing_confirms_is_given_up_in_the_end(milliseconds):
    async def scenario(world):
        near_reader, near, _, _, line = await lined(world)
        link = near.get_extra_info("socket")
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        line.server.crash()
        begin = world.now
        near.write(b"request")
        with pytest.raises(TimeoutError):
            await near_reader.read()
        return round(world.now - begin)

    seconds = milliseconds // 1000 or 925
    assert {play_for_long(scenario)} == {seconds}


def test_keepalive_of_a_socket_that_the_program_has_made_counts():
    async def scenario(world):
        async def main(host):
            own = socket.socket()
            own.setblocking(False)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(own, ("server", PORT))
            server.crash()
            begin = loop.time()
            with pytest.raises(OSError):
                await loop.sock_recv(own, 10)
            return round(loop.time() - begin)

        server = booted(world, "server", listening(""))
        await asyncio.sleep(0.1)
        client = world.host("client", main)
        client.boot()
        return await client.ended()

    assert play(scenario) == 8


def test_the_reset_of_a_rebooted_host_does_not_cross_a_partition():
    async def scenario(world):
        near_reader, near, _, _, line = await lined(world)
        line.server.crash()
        line.server.boot()
        line.cut()
        near.write(b"anyone?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(near_reader.read(), 300)
        world.network.heal()
        with pytest.raises(ConnectionResetError):
            await near_reader.read()

    play(scenario)


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
        line.server.kill()
        line.server.boot()
        with pytest.raises(ConnectionResetError):
            await near_reader.read()

    play(scenario, Tape(3))


@pytest.mark.parametrize("how", ["kill", "reset", "abort"])
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
        if how == "kill":
            client.kill()
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


@pytest.mark.parametrize("end", ["kill", "reset"])
def test_who_waits_for_room_is_told_that_the_connection_is_gone(end):
    async def scenario(world):
        _, near, _, _, line = await lined(world)
        waiting, _ = await fill(near)
        line.server.kill() if end == "kill" else world.network.reset("server")
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
        assert {sender for _, sender in got} <= {(address, 5000) for address in ("one", "10.0.0.2")}
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
        assert transport.get_extra_info("peername") == ("10.0.0.3", PORT)
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
