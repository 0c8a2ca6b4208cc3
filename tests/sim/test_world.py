"""
Hosts that boot and crash, and their clocks.
"""

import asyncio
import errno
import signal

import pytest

from .playing import booted, faults_in, outcomes, play

PORT = 4000


# -- lives of a host -----------------------------------------------------------------


def test_a_host_is_down_until_it_boots_and_runs_its_main_function_at_each_boot():
    async def scenario(world):
        lives = []

        async def main(host):
            lives.append((host, host.boots, host.is_up))
            await asyncio.sleep(100)

        host = world.host("server", main)
        assert (host.is_up, host.boots, lives) == (False, 0, [])
        assert world.hosts == {"server": host}
        for _ in range(2):
            host.boot()
            await asyncio.sleep(1)
            host.stop()
            assert not host.is_up
        assert lives == [(host, 1, True), (host, 2, True)]

    play(scenario)


def test_a_host_that_is_up_does_not_boot():
    async def scenario(world):
        host = booted(world, "server")
        with pytest.raises(RuntimeError, match="server up"):
            host.boot()
        host.pause()
        with pytest.raises(RuntimeError, match="paused"):
            host.boot()
        return host.boots

    assert play(scenario) == 1


def test_no_two_hosts_have_one_name():
    async def scenario(world):
        world.host("server")
        with pytest.raises(ValueError, match="'server'"):
            world.host("server")

    play(scenario)


ENDS = pytest.mark.parametrize("end", ["crash", "kill", "stop"])


@ENDS
def test_nothing_of_a_host_runs_after_its_end(end):
    async def scenario(world):
        done = []

        async def work():
            try:
                while True:
                    await asyncio.sleep(0.01)
                    done.append(world.now)
            finally:
                done.append("finally")

        async def main(host):
            loop = asyncio.get_running_loop()
            loop.call_later(1, done.append, "timer")
            loop.run_in_executor(None, done.append, "thread")
            loop.call_later(0.105, lambda: loop.call_soon(done.append, "callback"))
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
                group.create_task(work())

        host = booted(world, "server", main)
        other = host.run(work())
        await asyncio.sleep(0.105)
        getattr(host, end)()
        before = list(done)
        assert not other.done() or other.cancelled()
        await asyncio.sleep(10)
        assert len(before) > 10
        return done == before

    assert play(scenario, policy="random")


@ENDS
def test_ending_what_is_down_does_nothing(end):
    async def scenario(world):
        host = booted(world, "server")
        host.stop()
        getattr(host, end)()
        host.pause()
        host.resume()
        assert faults_in(world) == []
        return host.is_up

    assert play(scenario) is False


def test_a_disk_outlives_its_host_and_a_network_address_does_too():
    async def scenario(world):
        async def main(host):
            file = host.disk.open("/boots")
            file.append(b"x")
            file.sync()
            host.disk.sync_directory("/")
            await asyncio.start_server(lambda _, writer: writer.close(), port=PORT)
            await asyncio.sleep(100)

        host = world.host("server", main)
        for _ in range(3):
            host.boot()
            await asyncio.sleep(0.1)
            _, writer = await asyncio.open_connection("server", PORT)
            writer.close()
            host.crash()
        return host.disk.read("/boots")

    assert outcomes(scenario, 20) == {b"xxx"}


def test_a_paused_host_does_nothing_and_then_all_that_has_come_up():
    async def scenario(world):
        ticks = []

        async def main(host):
            for _ in range(10):
                await asyncio.sleep(0.1)
                ticks.append(round(world.now, 3))

        host = booted(world, "server", main)
        await asyncio.sleep(0.25)
        host.pause()
        host.pause()
        assert host.is_up
        await asyncio.sleep(1)
        host.resume()
        host.resume()
        await host.ended()
        assert faults_in(world) == ["pause"]
        return ticks

    assert play(scenario) == [0.1, 0.2, 1.25, 1.35, 1.45, 1.55, 1.65, 1.75, 1.85, 1.95]


def test_callbacks_of_a_paused_host_keep_their_order():
    async def scenario(world):
        order = []
        paused = asyncio.Event()

        async def main(host):
            loop = asyncio.get_running_loop()
            for number in range(4):
                loop.call_soon(order.append, number)
            host.pause()
            paused.set()

        host = booted(world, "server", main)
        await paused.wait()
        host.resume()
        await asyncio.sleep(1)
        return tuple(order)

    assert outcomes(scenario, policy="random") == {(0, 1, 2, 3)}


def test_a_host_may_crash_while_it_is_paused():
    async def scenario(world):
        ran = []

        async def main(host):
            await asyncio.sleep(0.1)
            ran.append(host.boots)

        host = booted(world, "server", main)
        host.pause()
        await asyncio.sleep(1)
        host.crash()
        host.resume()
        await asyncio.sleep(1)
        assert ran == []
        host.boot()
        await host.ended()
        return ran

    assert play(scenario) == [2]


def test_a_task_of_a_host_gives_its_result_to_who_waits_for_it():
    async def scenario(world):
        async def work():
            await asyncio.sleep(1)
            return "done"

        async def fail():
            raise KeyError("work")

        host = booted(world, "server")
        task = host.run(work(), name="the work")
        assert task.get_name() == "the work"
        with pytest.raises(KeyError, match="work"):
            await host.run(fail())
        return await task

    assert play(scenario) == "done"


@ENDS
def test_who_waits_for_a_task_of_a_host_that_ends_can_give_up(end):
    async def scenario(world):
        host = booted(world, "server")
        task = host.run(asyncio.sleep(100))
        asyncio.get_running_loop().call_later(1, getattr(host, end))
        with pytest.raises((TimeoutError, asyncio.CancelledError)):
            async with asyncio.timeout(5):
                await task
        return world.now

    assert play(scenario) <= 5


@pytest.mark.parametrize("boots", [0, 1])
def test_nobody_waits_for_ever_for_what_a_host_that_is_down_is_to_run(boots):
    async def scenario(world):
        host = world.host("server")
        for _ in range(boots):
            host.boot()
            host.stop()
        with pytest.raises((RuntimeError, TimeoutError, asyncio.CancelledError)):
            async with asyncio.timeout(5):
                await host.run(asyncio.sleep(1))

    play(scenario)


# -- the end of the main function ----------------------------------------------------


def test_the_end_of_a_main_function_can_be_waited_for():
    async def scenario(world):
        async def main(host):
            await asyncio.sleep(2)
            return f"life {host.boots}"

        host = world.host("server", main)
        ends = []
        for _ in range(2):
            host.boot()
            ends.append((await host.ended(), world.now))
            assert await host.ended() == ends[-1][0]
            host.stop()
        return ends

    assert play(scenario) == [("life 1", 2.0), ("life 2", 4.0)]


def test_what_a_main_function_raises_is_raised_to_who_waits_for_it():
    async def scenario(world):
        async def main(host):
            await asyncio.sleep(1)
            raise OSError(errno.EIO, "broken disk")

        with pytest.raises(OSError, match="broken disk"):
            await booted(world, "server", main).ended()

    play(scenario)


@ENDS
@pytest.mark.parametrize("late", [False, True])
def test_who_waits_for_a_main_function_is_told_when_the_host_is_down(end, late):
    async def scenario(world):
        async def main(host):
            await asyncio.sleep(100)

        host = booted(world, "server", main)
        asyncio.get_running_loop().call_later(1, getattr(host, end))
        await asyncio.sleep(2 if late else 0)
        assert await host.ended() is None
        assert not host.is_up
        return world.now

    assert play(scenario) == (2 if late else 1)


def test_a_host_without_a_main_function_ends_when_it_is_down():
    async def scenario(world):
        host = world.host("server")
        assert await host.ended() is None
        host.boot()
        asyncio.get_running_loop().call_later(1, host.stop)
        assert await host.ended() is None
        return world.now

    assert play(scenario) == 1


def test_who_stops_waiting_for_a_main_function_does_not_end_it():
    async def scenario(world):
        async def main(host):
            await asyncio.sleep(5)
            return "done"

        host = booted(world, "server", main)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.ended(), 1)
        return await host.ended()

    assert play(scenario) == "done"


# -- clocks --------------------------------------------------------------------------


def test_a_monotonic_clock_goes_with_time_within_a_life():
    async def scenario(world):
        host = booted(world, "server")
        first = host.clock()
        await asyncio.sleep(10)
        host.skew = 50.0
        assert host.clock() == pytest.approx(first + 10)
        host.stop()
        host.boot()
        return abs(host.clock() - first - 10)

    assert play(scenario) > 1, "a monotonic clock says nothing about another life"


def test_a_wall_clock_goes_on_through_boots_and_may_be_wrong():
    async def scenario(world):
        host, other = booted(world, "server"), booted(world, "other")
        first = host.wall_clock()
        assert first == other.wall_clock()
        await asyncio.sleep(10)
        host.crash()
        host.boot()
        assert host.wall_clock() - first == pytest.approx(10)
        host.skew = -3.0
        assert host.wall_clock() - first == pytest.approx(7)
        assert other.wall_clock() - first == pytest.approx(10)
        assert world.now == pytest.approx(10)

    play(scenario)


# -- signals ------------------------------------------------------------------------------


def test_a_signal_runs_the_handler_of_its_process_and_no_other():
    async def scenario(world):
        received = []

        async def main(host):
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGTERM, received.append, (host.name, host.boots)
            )
            await asyncio.Event().wait()

        one, other = world.host("one", main), world.host("other", main)
        one.boot()
        other.boot()
        await asyncio.sleep(0.1)
        one.signal(signal.SIGTERM)
        assert received == []
        await asyncio.sleep(0.1)
        assert one.is_up
        # The handlers of a process end with it.
        one.kill()
        one.signal(signal.SIGTERM)
        one.boot()
        one.signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        return received, one.is_up, other.is_up

    assert play(scenario) == ([("one", 1)], False, True)


@pytest.mark.parametrize(
    ("number", "is_up"),
    [
        (signal.SIGTERM, False),
        (signal.SIGINT, False),
        (signal.SIGKILL, False),
        (signal.SIGCHLD, True),
    ],
)
def test_a_signal_without_a_handler_does_what_it_does_by_default(number, is_up):
    async def scenario(world):
        host = booted(world, "store")
        host.signal(number)
        return host.is_up

    assert play(scenario) == is_up


def test_a_handler_that_was_removed_is_not_called():
    async def scenario(world):
        async def main(host):
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, lambda: None)
            assert loop.remove_signal_handler(signal.SIGHUP)
            assert not loop.remove_signal_handler(signal.SIGHUP)

        host = world.host("store", main)
        host.boot()
        await host.ended()
        host.signal(signal.SIGHUP)
        return host.is_up

    assert play(scenario) is False


def test_a_host_can_be_stopped_and_continued_by_signals():
    async def scenario(world):
        ticks = []

        async def main(host):
            while True:
                await asyncio.sleep(0.1)
                ticks.append(world.now)

        host = world.host("store", main)
        host.boot()
        await asyncio.sleep(1)
        host.signal(signal.SIGSTOP)
        before = len(ticks)
        await asyncio.sleep(1)
        stopped = len(ticks) - before
        host.signal(signal.SIGCONT)
        await asyncio.sleep(1)
        return before > 0, stopped, len(ticks) > before

    assert play(scenario) == (True, 0, True)
