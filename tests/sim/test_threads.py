"""
Threads of a trial: real ones, one at a time, in an order that the tape decides.
"""

import asyncio
import concurrent.futures
import queue
import threading
import time

import pytest

from assertlib import always

from .playing import booted
from .running import failure_of, outcome_of, result_of, results_of


def test_a_thread_and_the_loop_pass_work_through_queues():
    async def scenario(world):
        loop = asyncio.get_running_loop()
        asked, answered = queue.Queue(), asyncio.Queue()

        def work():
            while (number := asked.get()) is not None:
                loop.call_soon_threadsafe(answered.put_nowait, number * 2)

        thread = threading.Thread(target=work, name="worker")
        thread.start()
        assert thread.is_alive()
        answers = []
        for number in range(3):
            asked.put(number)
            answers.append(await answered.get())
        asked.put(None)
        await asyncio.to_thread(thread.join)
        assert not thread.is_alive()
        return answers

    assert result_of(scenario) == [0, 2, 4]


def test_the_tape_decides_the_order_of_threads():
    async def scenario(world):
        seen = []

        def work(number):
            for step in range(2):
                time.sleep(0.001)
                seen.append((number, step))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            await asyncio.to_thread(each.join)
        return tuple(seen)

    first = results_of(scenario, seeds=20)
    assert results_of(scenario, seeds=20) == first
    assert len(set(first)) > 3


def test_a_race_between_blocking_calls_is_found_and_replays():
    async def scenario(world):
        balance = [100]

        def withdraw():
            seen = balance[0]
            time.sleep(0.001)
            balance[0] = seen - 60 if seen >= 60 else seen

        threads = [threading.Thread(target=withdraw) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            await asyncio.to_thread(each.join)
        always(balance[0] == 40 or balance[0] == 100 - 60, "money is withdrawn once")
        return balance[0]

    assert set(results_of(scenario)) == {40}


def test_locks_exclude_each_other_and_time_out():
    async def scenario(world):
        lock, inside, order = threading.Lock(), [], []

        def work(number):
            with lock:
                inside.append(number)
                assert inside == [number]
                time.sleep(0.01)
                inside.remove(number)
                order.append(number)

        def impatient():
            time.sleep(0.003)
            began = time.monotonic()
            assert not lock.acquire(timeout=0.001)
            return time.monotonic() - began

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for each in threads:
            each.start()
        waited = await asyncio.to_thread(impatient)
        for each in threads:
            await asyncio.to_thread(each.join)
        assert sorted(order) == [0, 1, 2]
        return waited

    assert result_of(scenario) == pytest.approx(0.001)


def test_conditions_events_semaphores_and_barriers_work():
    async def scenario(world):
        condition, event = threading.Condition(), threading.Event()
        seats, barrier = threading.Semaphore(2), threading.Barrier(2)
        log = []

        def wait():
            with condition:
                assert condition.wait_for(lambda: "ready" in log, timeout=10)
            assert event.wait(10)
            with seats:
                barrier.wait()
            return True

        def signal():
            time.sleep(1)
            with condition:
                log.append("ready")
                condition.notify_all()
            event.set()
            with seats:
                barrier.wait()
            return True

        return await asyncio.gather(asyncio.to_thread(wait), asyncio.to_thread(signal))

    assert result_of(scenario) == [True, True]


def test_a_pool_runs_as_many_at_once_as_it_has_threads():
    async def scenario(world):
        loop, busy, most = asyncio.get_running_loop(), [0], [0]

        def work():
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            time.sleep(1)
            busy[0] -= 1

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, work) for _ in range(4)))
        return most[0], round(world.now)

    assert result_of(scenario) == (2, 2)


def test_a_coroutine_can_be_run_from_a_thread():
    async def scenario(world):
        loop = asyncio.get_running_loop()

        def work():
            return asyncio.run_coroutine_threadsafe(asyncio.sleep(5, "slept"), loop).result()

        return await asyncio.to_thread(work), round(world.now)

    assert result_of(scenario) == ("slept", 5)


def test_an_exception_that_leaves_a_thread_fails_the_trial():
    async def scenario(world):
        def work():
            raise KeyError("key")

        threading.Thread(target=work).start()
        await asyncio.sleep(1)

    assert failure_of(scenario).name.startswith("KeyError in work")


def test_threads_of_a_host_end_with_it_and_leave_nothing_behind():
    before = threading.active_count()
    seen = []

    async def scenario(world):
        async def main(host):
            threading.Thread(target=tick, daemon=True).start()
            await asyncio.sleep(100)

        def tick():
            try:
                while True:
                    seen.append(time.monotonic())
                    time.sleep(1)
            finally:
                seen.append("unwound")

        host = booted(world, "host", main)
        await asyncio.sleep(3.5)
        host.crash()
        await asyncio.sleep(10)
        assert len(seen) == 4

    outcome = outcome_of(scenario, log=False)
    assert outcome.failure is None, outcome.failure
    assert seen.pop() == "unwound"
    assert threading.active_count() == before


def test_what_is_made_in_a_trial_works_afterwards():
    kept = []

    async def scenario(world):
        kept.extend([threading.Lock(), threading.RLock(), queue.Queue(), queue.SimpleQueue()])

    outcome_of(scenario)
    lock, again, first, second = kept
    with lock, again, again:
        assert lock.locked()
    for each in (first, second):
        threading.Thread(target=each.put, args=(1,)).start()
        assert each.get(timeout=10) == 1


def test_executors_and_threads_that_a_trial_leaves_are_over_when_python_ends(children):
    def scenario():
        import asyncio
        import threading
        from concurrent.futures import ThreadPoolExecutor

        from assertlib.sim import Options, Tape, run_trial

        kept = []

        async def main(world):
            pool, thread = ThreadPoolExecutor(2), threading.Thread(target=print)
            kept.extend([pool, thread])
            thread.start()
            await asyncio.get_running_loop().run_in_executor(pool, int, "5")
            waiting = threading.Thread(target=threading.Event().wait)
            kept.append(waiting)
            waiting.start()
            await asyncio.sleep(1)

        assert run_trial(main, Tape(0), Options(), name="trial").failure is None
        for thread in kept[1:]:
            thread.join()
            assert not thread.is_alive()
        return "done"

    outcome = children.run(scenario)
    assert outcome.value == "done"
    assert outcome.err == ""


def test_a_poll_from_a_step_does_not_block():
    async def scenario(world):
        lock, event = threading.Lock(), threading.Event()
        thread = threading.Thread(target=event.wait)
        thread.start()
        with lock:
            polls = [lock.acquire(timeout=0), lock.acquire(False), event.wait(0), thread.join(0)]
        event.set()
        return polls

    assert result_of(scenario) == [False, False, False, None]
