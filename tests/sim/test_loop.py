"""
The simulated loop is asyncio, with virtual time and any order of tasks.
"""

import asyncio
import contextlib
import contextvars
import itertools
import json
import logging
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings

from ..forms import by_form
from ..support import child_environment
from .programs import ANY, ORDERED, Player, on_asyncio
from .running import POLICIES, failure_of, lines_of, outcome_of, result_of, results_of
from .waiting import HERE, every_policy, forever, turned, turns

# -- the same as asyncio ------------------------------------------------------------------------


def simulated(program, seed=0, policy="random"):
    async def play(world):
        # Programs leave tasks to themselves, on purpose.
        world.loop.set_exception_handler(lambda loop, context: None)
        return await Player().whole(program)

    return result_of(play, seed, policy)


@settings(max_examples=by_form(20, 150))
@given(ANY)
def test_a_program_has_the_result_that_it_has_on_asyncio_in_whatever_order_it_runs(program):
    expected, _ = on_asyncio(program)
    for policy in POLICIES:
        for seed in range(2):
            assert simulated(program, seed, policy)[0] == expected, (policy, seed)


@settings(max_examples=by_form(25, 200))
@given(ORDERED)
def test_first_come_first_served_is_the_very_order_of_asyncio(program):
    assert simulated(program, policy="fifo") == on_asyncio(program)


def test_first_come_first_served_makes_no_difference_between_tasks_and_callbacks():
    async def program():
        loop, seen = asyncio.get_running_loop(), []

        async def note(what):
            seen.append(what)

        tasks = []
        for number in range(3):
            tasks.append(asyncio.create_task(note(f"task {number}")))
            loop.call_soon(seen.append, f"callback {number}")
        await asyncio.gather(*tasks)
        return seen

    assert result_of(lambda _: program(), policy="fifo") == asyncio.run(program())


# -- in which order -----------------------------------------------------------------------------


@every_policy
def test_callbacks_run_in_the_order_in_which_they_were_asked_for(policy):
    async def scenario(world):
        seen = []
        tasks = [asyncio.create_task(turns(5)) for _ in range(3)]
        for number in range(10):
            world.loop.call_soon(seen.append, number)
        await asyncio.gather(*tasks)
        world.loop.call_soon_threadsafe(seen.append, 10)
        await asyncio.sleep(1)
        return seen

    assert results_of(scenario, policy) == [list(range(11))] * 12


@every_policy
def test_a_method_of_a_task_is_a_callback_like_any_other(policy):
    async def scenario(world):
        seen = []
        task = asyncio.create_task(turns(3), name="old")
        for name in ("new", "newer"):
            world.loop.call_soon(task.set_name, name)
            world.loop.call_soon(lambda: seen.append(task.get_name()))
        await asyncio.wait([task], timeout=1)
        return seen, task.done()

    assert results_of(scenario, policy) == [(["new", "newer"], True)] * 12


@every_policy
def test_a_task_that_a_callback_cancels_ends(policy):
    async def scenario(world):
        task = asyncio.create_task(turns(50))
        await asyncio.sleep(0)
        world.loop.call_soon(task.cancel)
        await asyncio.wait([task], timeout=1)
        return task.done(), task.cancelled()

    for done, cancelled in results_of(scenario, policy):
        assert done
        # One that is through with its turns by then is not cancelled any more.
        assert cancelled or policy != "fifo"


@pytest.mark.parametrize("policy", ["random", "pct1", "pct3"])
def test_of_the_tasks_that_are_ready_any_may_run_next(policy):
    async def scenario(world):
        seen = []

        async def note(name):
            seen.append(name)

        await asyncio.gather(*(note(name) for name in "abc"))
        return tuple(seen)

    orders = {result_of(scenario, seed, policy) for seed in range(100)}
    assert orders == set(itertools.permutations("abc"))


@pytest.mark.parametrize("policy", ["random", "pct1", "pct3"])
def test_tasks_and_callbacks_overtake_each_other(policy):
    async def scenario(world):
        seen = []

        async def note():
            seen.append("task")

        task = asyncio.create_task(note())
        world.loop.call_soon(seen.append, "callback")
        await task
        await asyncio.sleep(1)
        return tuple(seen)

    orders = {result_of(scenario, seed, policy) for seed in range(30)}
    assert orders == {("task", "callback"), ("callback", "task")}


@pytest.mark.parametrize("policy", ["fifo", "random", "pct1", "pct3"])
def test_one_that_goes_round_and_round_does_not_keep_the_others_out(policy):
    async def scenario(world):
        done = asyncio.Event()

        async def work():
            await turns(20)
            done.set()

        await asyncio.gather(work(), turned(done.is_set), turned(done.is_set))

    results_of(scenario, policy)


# -- what asyncio promises ----------------------------------------------------------------------


@every_policy
@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Semaphore])
def test_a_lock_is_given_to_whoever_has_waited_longest(kind, policy):
    async def scenario(world):
        lock, asked, got = kind(), [], []

        async def work(name):
            for _ in range(3):
                asked.append(name)
                async with lock:
                    got.append(name)
                    await turns(2)
                await asyncio.sleep(0)

        await asyncio.gather(*map(work, range(4)))
        return asked, got

    for asked, got in results_of(scenario, policy):
        assert got == asked
        assert len(got) == 12


@every_policy
def test_a_queue_keeps_the_order_of_each_of_its_producers(policy):
    async def scenario(world):
        queue, taken = asyncio.Queue(2), []

        async def produce(name):
            for number in range(6):
                await queue.put((name, number))

        async def consume():
            while True:
                taken.append(await queue.get())
                queue.task_done()

        consumer = asyncio.create_task(consume())
        await asyncio.gather(*map(produce, "abc"))
        await queue.join()
        consumer.cancel()
        return taken

    for taken in results_of(scenario, policy):
        for producer in "abc":
            assert [number for name, number in taken if name == producer] == list(range(6))


@every_policy
def test_a_task_is_cancelled_once_and_may_go_on(policy):
    async def scenario(world):
        cancelled = []

        async def endure():
            for _ in range(4):
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError as error:
                    cancelled.append((world.now, str(error)))
            return asyncio.current_task().uncancel()

        task = asyncio.create_task(endure())
        await asyncio.sleep(1.5)
        task.cancel("enough")
        return await task, cancelled, world.now

    assert results_of(scenario, policy) == [(0, [(1.5, "enough")], 3.5)] * 12


@every_policy
def test_a_task_that_is_cancelled_before_it_begins_never_does(policy):
    async def scenario(world):
        began = []

        async def work():
            began.append(True)

        task = asyncio.create_task(work())
        task.cancel()
        await asyncio.wait([task])
        return began, task.cancelled()

    assert results_of(scenario, policy) == [([], True)] * 12


@every_policy
def test_a_task_that_is_cancelled_when_it_is_about_to_go_on_does_not(policy):
    async def scenario(world):
        future, went_on = world.loop.create_future(), []

        async def work():
            await future
            went_on.append(True)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        future.set_result(None)
        task.cancel()
        await asyncio.wait([task])
        return went_on, task.cancelled()

    assert results_of(scenario, policy) == [([], True)] * 12


@every_policy
def test_a_timeout_is_an_error_at_its_very_time(policy):
    async def scenario(world):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                async with asyncio.timeout(7):
                    await forever()
        assert world.now == 5.0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(forever(), 2)
        assert world.now == 7.0
        async with asyncio.timeout(1) as timeout:
            await asyncio.sleep(0.5)
        await asyncio.sleep(10)
        return timeout.expired(), asyncio.current_task().cancelling()

    assert results_of(scenario, policy) == [(False, 0)] * 12


@every_policy
def test_a_group_ends_all_of_its_tasks_and_tells_all_of_their_errors(policy):
    async def scenario(world):
        ended = []

        async def wait():
            try:
                await forever()
            finally:
                await turns(2)
                ended.append(True)

        async def fail(after, error):
            try:
                await asyncio.sleep(after)
            finally:
                raise error

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(wait())
                group.create_task(wait())
                group.create_task(fail(1, KeyError()))
                group.create_task(fail(2, ValueError()))
        return world.now, len(ended), sorted(map(repr, caught.value.exceptions))

    assert results_of(scenario, policy) == [(1.0, 2, ["KeyError()", "ValueError()"])] * 12


@every_policy
def test_what_is_shielded_goes_on(policy):
    async def scenario(world):
        inner = asyncio.create_task(asyncio.sleep(3, "done"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 1)
        return await inner, world.now

    assert results_of(scenario, policy) == [("done", 3.0)] * 12


@every_policy
def test_what_is_to_be_called_when_a_task_is_done_is_called_in_order(policy):
    async def scenario(world):
        seen = []
        task = asyncio.create_task(turns(2))
        for number in range(5):
            task.add_done_callback(lambda _, number=number: seen.append(number))
        await asyncio.sleep(1)
        return seen

    assert results_of(scenario, policy) == [list(range(5))] * 12


@every_policy
def test_futures_may_be_gathered_and_waited_for(policy):
    async def scenario(world):
        futures = [world.loop.create_future() for _ in range(4)]
        for number, future in enumerate(futures):
            world.loop.call_later(4 - number, future.set_result, number)
        done, pending = await asyncio.wait(futures, timeout=2.5)
        assert {future.result() for future in done} == {2, 3}
        assert pending == set(futures[:2])
        work = [world.loop.run_in_executor(None, int, "4")]
        return await asyncio.gather(*futures, *work)

    assert results_of(scenario, policy) == [[0, 1, 2, 3, 4]] * 12


def test_futures_and_tasks_are_what_they_are_called():
    async def scenario(world):
        future, task = asyncio.Future(), asyncio.create_task(forever())
        gathered = asyncio.gather(task)
        for each in (future, world.loop.create_future(), task, gathered, asyncio.shield(task)):
            assert isinstance(each, asyncio.Future)
            assert asyncio.isfuture(each)
        assert isinstance(task, asyncio.Task)
        assert not isinstance(future, asyncio.Task)
        assert not isinstance(world, asyncio.Future)
        assert issubclass(asyncio.Task, asyncio.Future)
        assert issubclass(type(task), asyncio.Future)
        future.set_result("done")
        return await future

    assert result_of(scenario) == "done"


# -- threads ------------------------------------------------------------------------------------


def test_work_in_threads_runs_in_any_order():
    async def scenario(world):
        seen = []
        work = [world.loop.run_in_executor(None, seen.append, number) for number in range(3)]
        for each in work:
            await each
        return tuple(seen)

    orders = set(results_of(scenario, seeds=60))
    assert orders == set(itertools.permutations(range(3)))


def test_work_in_threads_takes_the_context_along_and_brings_nothing_back():
    variable = contextvars.ContextVar("variable")

    async def scenario(world):
        variable.set("mine")
        seen = await asyncio.to_thread(variable.get)
        await asyncio.to_thread(variable.set, "other")
        return seen, variable.get()

    assert result_of(scenario) == ("mine", "mine")


class Stop(BaseException):
    """No Exception, yet nothing that ends a process."""


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError, Stop])
def test_what_is_raised_in_a_thread_is_raised_where_it_is_awaited(error):
    async def scenario(world):
        def work():
            raise error

        with pytest.raises(error):
            await asyncio.to_thread(work)
        return world.now < 1.0

    assert result_of(scenario)


def test_in_a_thread_there_is_no_running_loop():
    async def scenario(world):
        with pytest.raises(RuntimeError, match="no running event loop"):
            await asyncio.to_thread(asyncio.get_running_loop)

    result_of(scenario)


# -- virtual time -------------------------------------------------------------------------------


def test_hours_pass_at_once():
    async def scenario(world):
        await asyncio.sleep(100 * 3600)

    outcome = outcome_of(scenario)
    assert outcome.failure is None
    assert outcome.seconds == 360_000.0
    assert outcome.steps < 10


@every_policy
def test_timers_come_in_the_order_of_their_times_and_equal_ones_as_they_were_set(policy):
    async def scenario(world):
        seen = []

        def note(name):
            seen.append((world.loop.time(), name))

        for number, when in enumerate((3, 1, 2, 1)):
            world.loop.call_later(when, note, number)
        world.loop.call_at(2, note, "at")
        world.loop.call_later(1.5, note, "cancelled").cancel()
        await asyncio.sleep(5)
        return seen

    expected = [(1, 1), (1, 3), (2, 2), (2, "at"), (3, 0)]
    assert results_of(scenario, policy) == [expected] * 12


def test_what_should_have_been_called_before_is_called_now():
    async def scenario(world):
        await asyncio.sleep(5)
        seen = []
        world.loop.call_at(1, seen.append, "late")
        world.loop.call_later(-1, seen.append, "late, too")
        await asyncio.sleep(0.5)
        return seen, world.now

    assert result_of(scenario) == (["late", "late, too"], 5.5)


def test_time_stands_still_while_there_is_something_to_do():
    async def scenario(world):
        world.loop.call_later(1e-9, world.loop.note, "time has passed")
        await turns(1000)
        return world.now

    assert results_of(scenario) == [0.0] * 12


def names_line(text, function, offset):
    """How often *text* names a line of *function*, in whatever way."""
    line = function.__code__.co_firstlineno + offset
    return len(re.findall(rf'{re.escape(__file__)}(?::|", line ){line}\b', text))


def test_a_deadlock_is_an_error_at_once_that_says_where():
    async def scenario(world):
        await asyncio.sleep(3)
        await asyncio.Event().wait()

    failure = failure_of(scenario)
    assert "deadlock" in failure.name
    assert failure.at == 3.0
    assert names_line(failure.text, scenario, 2)


def test_a_deadlock_names_all_who_wait():
    async def one(lock, other):
        async with lock:
            await asyncio.sleep(1)
            async with other:
                pass

    async def scenario(world):
        locks = asyncio.Lock(), asyncio.Lock()
        await asyncio.gather(one(*locks), one(*reversed(locks)))

    failure = failure_of(scenario)
    assert "deadlock" in failure.name
    assert names_line(failure.text, one, 3) == 2


def test_the_same_deadlock_has_the_same_name_whenever_it_happens():
    async def scenario(world):
        await asyncio.sleep(world.tape.between(0, 100))
        await asyncio.Event().wait()

    first, second = (failure_of(scenario, seed) for seed in (1, 2))
    assert first.at != second.at
    assert first.name == second.name


def test_going_on_for_too_long_has_the_same_name_whenever_it_is_noticed():
    async def scenario(world):
        while True:  # noqa: ASYNC110
            await asyncio.sleep(world.tape.between(0, 100))

    for limit in ({"steps": 100}, {"seconds": 1000.0}):
        first, second = (failure_of(scenario, seed, **limit) for seed in (1, 2))
        assert first.name == second.name
        assert "deadlock after" not in first.name


def test_a_trial_whose_time_is_up_fails_and_says_where_it_was():
    async def scenario(world):
        for _ in itertools.count():
            await asyncio.sleep(7)

    failure = failure_of(scenario, seconds=100.0)
    assert failure.at == 100.0
    assert "TimeoutError" in failure.name
    assert names_line(failure.text, scenario, 2)


@pytest.mark.parametrize("error", [asyncio.CancelledError, BaseException])
def test_a_trial_whose_time_is_up_fails_even_if_it_will_not_be_cancelled(error):
    async def scenario(world):
        with contextlib.suppress(error):
            await asyncio.sleep(1000)

    assert "Timeout" in failure_of(scenario, seconds=100.0).name


@every_policy
def test_a_program_that_never_ends_runs_into_the_limit_of_steps(policy):
    async def scenario(world):
        await asyncio.gather(turned(lambda: False), turned(lambda: False))

    failure = failure_of(scenario, policy=policy, steps=500)
    assert "still running at the limit of steps" in failure.name
    assert "after 500 steps" in failure.text


def test_callbacks_that_never_end_run_into_the_limit_of_steps():
    async def scenario(world):
        def again():
            world.loop.call_soon(again)

        again()
        await forever()

    assert "still running at the limit of steps" in failure_of(scenario, steps=500).name


# -- names and numbers --------------------------------------------------------------------------


async def names(world):
    made = [asyncio.create_task(turns(n)) for n in range(3)]
    named = asyncio.create_task(turns(1), name="mine")
    await asyncio.gather(*made, named, turns(2))
    return sorted([*(task.get_name() for task in made), named.get_name()])


def test_names_of_tasks_do_not_depend_on_earlier_trials():
    first = result_of(names)
    result_of(lambda world: asyncio.gather(*(turns(2) for _ in range(50))))
    asyncio.run(turns(5))
    assert result_of(names) == first
    assert "mine" in first
    assert len(set(first)) == 4


BEFORE = ("nothing", "garbage", "trials", "asyncio")


@pytest.fixture(scope="module")
def orders():
    """How sets iterate, in processes that differ in what they did before and in their hashes."""
    found = []
    for number, before in enumerate(BEFORE):
        done = subprocess.run(
            [sys.executable, HERE / "orders.py", before],
            env=child_environment(PYTHONHASHSEED=str(number)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    return found


@pytest.mark.parametrize(
    "case",
    [
        "tasks",
        "futures",
        "futures_made_by_hand",
        "gathered",
        "shielded",
        "what_was_waited_for",
        "as_completed",
        "all_tasks",
        "a_group_that_fails",
        "writers",
        "errors_in_the_log",
    ],
)
def test_what_a_trial_shows_is_alike_in_every_process(orders, case):
    first, *others = [found[case] for found in orders]
    assert isinstance(first, list), first
    assert first
    assert others == [first] * 3


def test_a_failure_has_the_same_name_wherever_its_objects_lie():
    kept = []

    async def scenario(world):
        kept.append(object())
        raise ValueError(f"{kept[-1]!r} is broken")

    first, second = failure_of(scenario), failure_of(scenario)
    assert "is broken" in first.name
    assert first.name == second.name


def test_log_records_are_in_the_log_of_a_trial_without_addresses():
    async def scenario(world):
        async def main(host):
            logging.getLogger("store").warning("a\n%s %r", "slow disk", object())
            logging.getLogger("store").debug("not shown")

        host = world.host("server", main)
        host.boot()
        await host.ended()

    first, second = (lines_of(outcome_of(scenario)) for _ in range(2))
    assert first == second
    assert "log: WARNING store: a slow disk <object object at 0x...>" in first
    assert "_Notes" not in str(logging.getLogger().handlers)
