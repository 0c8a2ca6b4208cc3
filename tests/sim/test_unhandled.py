"""
An unhandled exception fails the trial, and the failure names the host.
"""

import asyncio
import contextlib

import pytest

from .running import failure_of, outcome_of, result_of, results_of

PORT = 4000
ENDS = pytest.mark.parametrize("end", ["crash", "kill", "stop"])


class BrokenError(Exception):
    """What goes wrong."""


def fail(*_):
    raise BrokenError("on purpose")


async def broken(*_):
    fail()


NAME = "BrokenError in fail on server: on purpose"


def names_of(main, *, seconds=1.0, policy="random", **options):
    """Names of the failures of a trial in which a host does *main*."""

    async def scenario(world):
        world.host("server", main, **options).boot()
        await asyncio.sleep(seconds)

    return [failure.name for failure in outcome_of(scenario, policy=policy).failures]


# -- the main function --------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["fifo", "random", "pct3"])
def test_a_main_function_that_dies_fails_the_trial(policy):
    assert names_of(broken, policy=policy) == [NAME]


def test_the_failure_has_host_time_and_traceback():
    async def main(host):
        await asyncio.sleep(0.5)
        fail()

    async def scenario(world):
        world.host("server", main).boot()
        await asyncio.sleep(2)

    failure = failure_of(scenario)
    assert failure.at == 0.5
    assert failure.text.startswith("server: ")
    assert "Traceback" in failure.text
    assert f'"{__file__}", line {fail.__code__.co_firstlineno + 1}' in failure.text


def test_it_fails_though_the_scenario_ends_in_the_same_moment():
    async def scenario(world):
        world.host("server", broken).boot()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert failure_of(scenario, policy="fifo").name == NAME


@ENDS
def test_it_fails_though_the_host_is_ended_afterwards(end):
    async def scenario(world):
        host = world.host("server", broken)
        host.boot()
        await asyncio.sleep(1)
        getattr(host, end)()
        await asyncio.sleep(1)

    assert failure_of(scenario).name == NAME


def test_it_fails_though_a_later_life_is_well():
    async def main(host):
        if host.boots == 1:
            fail()

    async def scenario(world):
        host = world.host("server", main)
        for _ in range(2):
            host.boot()
            await asyncio.sleep(1)
            host.stop()

    assert failure_of(scenario).name == NAME


@pytest.mark.parametrize("end", [None, "crash", "kill", "stop"])
def test_a_scenario_that_retrieves_it_has_handled_it(end):
    async def scenario(world):
        host = world.host("server", broken)
        host.boot()
        await asyncio.sleep(1)
        if end is not None:
            getattr(host, end)()
        with pytest.raises(BrokenError):
            await host.ended()
        return True

    assert results_of(scenario) == [True] * 12


def test_a_scenario_that_stopped_waiting_has_not():
    async def main(host):
        await asyncio.sleep(2)
        fail()

    async def scenario(world):
        host = world.host("server", main)
        host.boot()
        with contextlib.suppress(TimeoutError, BrokenError):
            async with asyncio.timeout(1):
                await host.ended()
        await asyncio.sleep(5)

    assert failure_of(scenario).name == NAME


# -- tasks, futures and threads -----------------------------------------------------------------


async def task_that_is_dropped(host):
    asyncio.create_task(broken())  # noqa: RUF006
    await asyncio.sleep(5)


async def task_that_is_kept(host):
    host.task = asyncio.create_task(broken())
    await asyncio.sleep(5)


async def task_that_refers_to_itself(host):
    async def work():
        me = asyncio.current_task()
        assert me is not None
        fail()

    asyncio.create_task(work())  # noqa: RUF006
    await asyncio.sleep(5)


async def task_beside_a_main_function_that_has_returned(host):
    host.task = asyncio.create_task(broken())


async def task_with_a_callback_of_its_own(host):
    tasks = set()
    task = asyncio.create_task(broken())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    del task
    await asyncio.sleep(5)


async def task_of_the_host_that_the_scenario_starts(host):
    host.run(broken())
    await asyncio.sleep(5)


async def gathering_that_is_never_awaited(host):
    host.gathering = asyncio.gather(broken(), asyncio.sleep(0.1))
    await asyncio.sleep(5)


async def work_in_a_thread(host):
    host.future = asyncio.get_running_loop().run_in_executor(None, fail)
    await asyncio.sleep(5)


async def future_that_is_dropped(host):
    asyncio.get_running_loop().create_future().set_exception(BrokenError("on purpose"))
    await asyncio.sleep(5)


async def future_that_refers_to_itself(host):
    def lose():
        future = asyncio.get_running_loop().create_future()
        try:
            fail()
        except BrokenError as error:
            future.set_exception(error)

    lose()
    await asyncio.sleep(5)


async def callback(host):
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(5)


async def timer(host):
    asyncio.get_running_loop().call_later(0.5, fail)
    await asyncio.sleep(5)


async def callback_of_a_task(host):
    asyncio.create_task(asyncio.sleep(0)).add_done_callback(fail)
    await asyncio.sleep(5)


async def protocol(host):
    class Protocol(asyncio.Protocol):
        data_received = fail

    loop = asyncio.get_running_loop()
    await loop.create_server(Protocol, port=PORT)
    transport, _ = await loop.create_connection(asyncio.Protocol, host.name, PORT)
    transport.write(b"data")
    await asyncio.sleep(5)


async def handler_of_streams(host):
    await asyncio.start_server(broken, port=PORT)
    _, writer = await asyncio.open_connection(host.name, PORT)
    await asyncio.sleep(5)
    writer.close()


async def generator_that_is_closed_by_the_loop(host):
    async def numbers():
        try:
            yield 1
        finally:
            fail()

    async for _ in numbers():
        break
    await asyncio.sleep(5)


LOST = [
    task_that_is_dropped,
    task_that_is_kept,
    task_that_refers_to_itself,
    task_beside_a_main_function_that_has_returned,
    task_with_a_callback_of_its_own,
    task_of_the_host_that_the_scenario_starts,
    gathering_that_is_never_awaited,
    work_in_a_thread,
    future_that_is_dropped,
    future_that_refers_to_itself,
    callback,
    timer,
    callback_of_a_task,
    protocol,
    handler_of_streams,
    generator_that_is_closed_by_the_loop,
]
every_way = pytest.mark.parametrize("main", LOST, ids=lambda main: main.__name__)


@every_way
def test_what_is_left_unhandled_fails_the_trial_once(main):
    (name,) = names_of(main, seconds=2)
    assert name.startswith("BrokenError ")
    assert name.endswith(" on server: on purpose")


@every_way
@pytest.mark.parametrize("end", ["crash", "stop"])
def test_it_fails_though_its_host_is_ended_later(main, end):
    async def scenario(world):
        host = world.host("server", main)
        host.boot()
        await asyncio.sleep(2)
        getattr(host, end)()
        await asyncio.sleep(1)

    assert failure_of(scenario).name.startswith("BrokenError ")


@every_way
def test_what_a_scenario_expects_fails_nothing(main):
    assert names_of(main, seconds=2, allow_failures=(OSError, BrokenError)) == []
    assert names_of(main, seconds=2, allow_failures=(Exception,)) == []


@every_way
def test_what_it_does_not_expect_fails_all_the_same(main):
    assert len(names_of(main, seconds=2, allow_failures=(OSError,))) == 1


def test_a_task_of_the_scenario_that_is_never_awaited_fails_the_trial():
    async def scenario(world):
        asyncio.create_task(broken())  # noqa: RUF006
        await asyncio.sleep(1)

    assert failure_of(scenario).name == "BrokenError in fail: on purpose"


def test_of_a_group_what_is_not_allowed_is_left():
    async def main(host):
        async with asyncio.TaskGroup() as group:
            group.create_task(broken())
            group.create_task(asyncio.to_thread(int, "no number"))
            await asyncio.sleep(0)

    both = (BrokenError, ValueError)
    assert names_of(main, policy="fifo", allow_failures=both) == []
    (name,) = names_of(main, policy="fifo", allow_failures=(ValueError,))
    assert name.startswith("ExceptionGroup ")


def test_a_handler_of_the_scenario_handles_and_one_of_a_host_does_not():
    def scenario_with(handled_by):
        async def main(host):
            if handled_by == "host":
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            asyncio.get_running_loop().call_soon(fail)

        async def scenario(world):
            if handled_by == "scenario":
                world.loop.set_exception_handler(lambda *_: None)
            world.host("server", main).boot()
            await asyncio.sleep(1)

        return [failure.name for failure in outcome_of(scenario).failures]

    assert scenario_with("scenario") == []
    assert scenario_with("host") == [NAME]


# -- what is handled, or never happened ---------------------------------------------------------


async def awaited(host):
    with contextlib.suppress(BrokenError):
        await asyncio.create_task(broken())


async def waited_for(host):
    done, _ = await asyncio.wait([asyncio.create_task(broken())])
    assert done.pop().exception()


async def gathered(host):
    await asyncio.gather(broken(), broken(), return_exceptions=True)


async def gathered_and_caught(host):
    with contextlib.suppress(BrokenError):
        await asyncio.gather(broken(), broken(), asyncio.sleep(0.1))


async def grouped(host):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(broken())
            group.create_task(broken())
    except* BrokenError:
        pass


async def shielded(host):
    with contextlib.suppress(BrokenError):
        await asyncio.shield(asyncio.create_task(broken()))


async def in_a_thread(host):
    with contextlib.suppress(BrokenError):
        await asyncio.to_thread(fail)


async def cancelled(host):
    host.task = asyncio.create_task(asyncio.sleep(5))
    await asyncio.sleep(0.1)
    host.task.cancel()


async def late(host):
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(5), 0.1)


async def reset(host):
    async def serve(reader, writer):
        writer.transport.abort()

    await asyncio.start_server(serve, port=PORT)
    host.reader, host.writer = await asyncio.open_connection(host.name, PORT)
    with contextlib.suppress(ConnectionError):
        await host.reader.read()


async def ended_by_itself(host):
    host.crash()
    fail()


HANDLED = [
    awaited, waited_for, gathered, gathered_and_caught, grouped, shielded, in_a_thread, cancelled,
    late, reset, ended_by_itself,
]  # fmt: skip


@pytest.mark.parametrize("main", HANDLED, ids=lambda main: main.__name__)
@pytest.mark.parametrize("policy", ["fifo", "random", "pct3"])
def test_what_is_handled_fails_nothing(main, policy):
    assert names_of(main, seconds=2, policy=policy) == []


@ENDS
def test_an_exception_that_the_end_of_its_host_left_no_time_to_retrieve_fails_nothing(end):
    async def scenario(world):
        async def main(host):
            task = asyncio.create_task(broken_at_one())
            with contextlib.suppress(BrokenError):
                await task

        async def broken_at_one():
            await asyncio.sleep(1)
            # The power goes in the same moment, before the other task gets its turn.
            world.loop.call_soon(getattr(host, end), context=world.loop.context.copy())
            fail()

        host = world.host("server", main)
        host.boot()
        await asyncio.sleep(2)
        return host.is_up

    assert result_of(scenario, policy="fifo") is False


def test_a_host_that_is_paused_could_not_look():
    async def scenario(world):
        async def main(host):
            task = asyncio.create_task(broken_at_one())
            with contextlib.suppress(BrokenError):
                await task

        async def broken_at_one():
            await asyncio.sleep(1)
            world.loop.call_soon(host.pause, context=world.loop.context.copy())
            fail()

        host = world.host("server", main)
        host.boot()
        await asyncio.sleep(5)
        host.crash()
        return "crashed"

    assert result_of(scenario, policy="fifo") == "crashed"


# -- several ------------------------------------------------------------------------------------


@ENDS
def test_a_host_that_is_blocked_by_a_sync_could_not_look(end):
    async def main(host):
        log = host.disk.open("/log")
        host.disk.faults.sync_takes = (1.0, 1.0)
        await asyncio.sleep(0.1)
        # The first sync ends before the host does; the second one lasts longer.
        log.sync()
        answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda future: future.exception())
        answer.set_exception(BrokenError("on purpose"))
        del answer
        log.sync()
        await asyncio.sleep(10)

    async def scenario(world):
        host = world.host("server", main)
        host.boot()
        await asyncio.sleep(1.5)
        getattr(host, end)()
        await asyncio.sleep(3)

    assert not outcome_of(scenario).failures


def test_the_cause_comes_before_what_follows_from_it():
    async def scenario(world):
        world.host("server", broken).boot()
        await asyncio.sleep(1)
        await asyncio.open_connection("server", PORT)

    names = [failure.name for failure in outcome_of(scenario).failures]
    assert [name.partition(" ")[0] for name in names] == ["BrokenError", "ConnectionRefusedError"]


def test_failures_come_in_the_same_order_every_time():
    async def scenario(world):
        async def main(host):
            await asyncio.sleep(world.tape.between(0, 1))
            raise BrokenError(host.name)

        for number in range(5):
            world.host(f"server {number}", main).boot()
        await asyncio.sleep(2)

    for seed in range(5):
        runs = [[f.name for f in outcome_of(scenario, seed).failures] for _ in range(3)]
        assert len(runs[0]) == 5
        assert runs[0] == runs[1] == runs[2]
