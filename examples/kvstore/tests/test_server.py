"""Client and server over a socket of this machine."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from kvstore.client import Client
from kvstore.errors import (
    BadRequestError,
    CompactedError,
    ConnectionLostError,
    FutureRevisionError,
    LeaseNotFoundError,
    OutcomeUnknownError,
    StoreFailedError,
)
from kvstore.model import Compare, KeyRange, KeyValue, Put
from kvstore.server import Server
from kvstore.store import Options, Store
from kvstore.testing import FragileDisk, ManualClock
from kvstore.watch import WatchSpec
from kvstore.wire import Request, frame, read_message

from assertlib import disk

EVERYTHING = KeyRange.everything()
Scenario = Callable[[int], Awaitable[None]]


class Rig:
    """Runs scenarios against a server in the same event loop."""

    def __init__(self, directory: str, clock: ManualClock, storage: disk.Disk) -> None:
        self.rng = random.Random(1)
        self._directory = directory
        self._clock = clock
        self._storage = storage

    def run(self, scenario: Scenario, options: Options | None = None) -> None:
        asyncio.run(self._run(scenario, options))

    async def _run(self, scenario: Scenario, options: Options | None) -> None:
        store = Store.open(self._storage, self._directory, clock=self._clock, options=options)
        stop = asyncio.Event()
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = Server(store, self.rng, tick=0.001)
        running = asyncio.create_task(server.run(0, started, stop))
        try:
            await scenario(await started)
        finally:
            stop.set()
            await running


@pytest.fixture
def fragile() -> FragileDisk:
    return FragileDisk()


@pytest.fixture
def rig(data: str, clock: ManualClock, fragile: FragileDisk) -> Rig:
    return Rig(data, clock, fragile)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    client = await Client.connect(port)
    try:
        yield client
    finally:
        await client.close()


def test_a_client_gets_back_what_another_has_put(rig: Rig) -> None:
    async def scenario(port: int) -> None:
        async with connected(port) as one, connected(port) as other:
            put = await one.put("a", "é\0", prev_kv=True)
            found = await other.range(KeyRange("a"))
            assert found.kvs == (KeyValue("a", "é\0", put.revision, put.revision, 1),)
            assert (await other.delete(EVERYTHING)).deleted == 1
            assert (await one.range(EVERYTHING)).count == 0

    rig.run(scenario)


def test_the_id_of_a_lease_that_is_gone_is_not_given_again(rig: Rig) -> None:
    class SameAgain(random.Random):
        def randrange(self, *_: int) -> int:
            return 0

    rig.rng = SameAgain()

    async def scenario(port: int) -> None:
        async with connected(port) as client:
            first = await client.grant(60.0)
            await client.revoke(first.lease)
            second = await client.grant(60.0)
            assert second.lease != first.lease

    rig.run(scenario)


def test_refusals_arrive_as_what_they_are(rig: Rig) -> None:
    async def scenario(port: int) -> None:
        async with connected(port) as client:
            for value in "123":
                await client.put("a", value)
            await client.compact(3)
            with pytest.raises(CompactedError):
                await client.range(EVERYTHING, revision=2)
            with pytest.raises(FutureRevisionError):
                await client.range(EVERYTHING, revision=9)
            with pytest.raises(LeaseNotFoundError):
                await client.keep_alive(12)

    rig.run(scenario)


def test_of_many_swaps_at_once_one_wins(rig: Rig) -> None:
    async def scenario(port: int) -> None:
        async with connected(port) as client:
            absent = (Compare("lock", "version", "=", 0),)
            attempts = [client.txn(absent, (Put("lock", str(n)),)) for n in range(20)]
            results = await asyncio.gather(*attempts)
            assert sum(result.succeeded for result in results) == 1

    rig.run(scenario)


def test_a_watch_over_the_wire_bookmarks_and_ends(rig: Rig) -> None:
    async def scenario(port: int) -> None:
        async with connected(port) as client:
            watch = await client.watch(WatchSpec(EVERYTHING))
            await asyncio.gather(*(client.put(f"k{n}", "x") for n in range(10)))
            await watch.request_progress()
            revisions = []
            async for response in watch:
                revisions.append(response.revision)
                if response.is_bookmark:
                    await watch.cancel()
            assert revisions == [*range(2, 12), 11, 11]

    rig.run(scenario, Options(watch_limit=3))


def test_a_lease_ends_when_its_time_is_over(rig: Rig, clock: ManualClock) -> None:
    async def scenario(port: int) -> None:
        async with connected(port) as client:
            lease = (await client.grant(5.0)).lease
            await client.put("a", "x", lease=lease)
            watch = await client.watch(WatchSpec(KeyRange("a")))
            clock.advance(5.0)
            async for response in watch:
                assert response.events[0].kind == "delete"
                break
            with pytest.raises(LeaseNotFoundError):
                await client.keep_alive(lease)

    rig.run(scenario)


def test_a_mutation_without_an_answer_is_unknown_and_a_read_is_lost() -> None:
    async def scenario() -> None:
        arrived = asyncio.Event()

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_message(reader)
            await read_message(reader)
            writer.close()
            arrived.set()

        listener = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with listener:
            client = await Client.connect(listener.sockets[0].getsockname()[1])
            outcomes = await asyncio.gather(
                client.put("a", "1"), client.range(EVERYTHING), return_exceptions=True
            )
            assert [type(o) for o in outcomes] == [OutcomeUnknownError, ConnectionLostError]
            with pytest.raises(ConnectionLostError, match="not sent"):
                await client.put("a", "2")
            await arrived.wait()
            await client.close()

    asyncio.run(scenario())


def test_a_watch_whose_connection_breaks_says_so(rig: Rig) -> None:
    async def scenario(port: int) -> None:
        client = await Client.connect(port)
        watch = await client.watch(WatchSpec(EVERYTHING))
        await client.close()
        with pytest.raises(ConnectionLostError):
            await anext(aiter(watch))

    rig.run(scenario)


def test_a_server_whose_disk_fails_leaves_the_write_in_doubt_and_stops(
    rig: Rig, fragile: FragileDisk
) -> None:
    async def scenario(port: int) -> None:
        async with connected(port) as client:
            await client.put("a", "1")
            fragile.fail_next()
            with pytest.raises(StoreFailedError):
                await client.put("a", "2")

    rig.run(scenario)


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\x02{]",
        b'\0\0\0\x10{"type":"Bogus"}',
        b'\0\0\0\x1e{"type":"Watching","watch":1}\n',
    ],
)
def test_a_client_that_talks_nonsense_is_cut_off_and_others_are_not(
    rig: Rig, message: bytes
) -> None:
    async def scenario(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(message)
        assert await reader.read() == b""
        writer.close()
        async with connected(port) as client:
            assert (await client.status()).revision == 1

    rig.run(scenario)


def test_a_frame_is_checked_against_the_declared_types() -> None:
    async def scenario() -> None:
        reader = asyncio.StreamReader()
        message = frame(Request(1, Put("a", "1")))
        reader.feed_data(message.replace(b'"1"', b"1.0"))
        with pytest.raises(BadRequestError, match="field 'value'"):
            await read_message(reader)

    asyncio.run(scenario())
