"""
Hosts that end, crash and pause, and what is left of them.
"""

import ast
import asyncio
import contextvars
import json
import sys

import pytest

from ..support import Children
from .running import failure_of, lines_of, outcome_of, result_of, results_of
from .waiting import HERE, every_policy, forever, turned, turns

# -- contexts -----------------------------------------------------------------------------------

VARIABLE = contextvars.ContextVar("variable", default="unset")


@every_policy
def test_a_task_has_a_context_of_its_own(policy):
    async def scenario(world):
        async def work(number):
            before = VARIABLE.get()
            VARIABLE.set(number)
            await asyncio.sleep(0)
            return before, VARIABLE.get()

        VARIABLE.set("set")
        return await asyncio.gather(*map(work, range(3))), VARIABLE.get()

    expected = [("set", number) for number in range(3)], "set"
    assert results_of(scenario, policy) == [expected] * 12


def test_a_context_may_be_given_even_an_empty_one():
    async def scenario(world):
        VARIABLE.set("mine")
        seen = []

        async def note():
            seen.append(VARIABLE.get())

        world.loop.call_soon(lambda: seen.append(VARIABLE.get()))
        world.loop.call_soon(lambda: seen.append(VARIABLE.get()), context=contextvars.Context())
        await asyncio.sleep(1)
        await asyncio.create_task(note(), context=contextvars.Context())
        await asyncio.create_task(note(), context=contextvars.copy_context())
        return seen

    assert result_of(scenario) == ["mine", "unset", "unset", "mine"]


def test_even_with_an_empty_context_it_is_the_host_that_works():
    async def scenario(world):
        seen = []

        async def tick():
            while True:
                seen.append(world.now)
                await asyncio.sleep(1)

        async def main(host):
            world.loop.call_later(0.5, seen.append, 0.5, context=contextvars.Context())
            world.loop.call_later(1.5, seen.append, 1.5, context=contextvars.Context())
            await asyncio.create_task(tick(), context=contextvars.Context())

        host = world.host("host", main)
        host.boot()
        await asyncio.sleep(1.2)
        host.crash()
        await asyncio.sleep(10)
        return seen

    assert result_of(scenario) == [0.0, 0.5, 1.0]


# -- what goes wrong in callbacks ---------------------------------------------------------------


def test_a_callback_that_fails_is_told_to_the_handler_and_all_goes_on():
    async def scenario(world):
        told = []
        world.loop.set_exception_handler(lambda loop, context: told.append(context))
        world.loop.call_soon(lambda: 1 / 0)
        world.loop.call_later(1, lambda: 1 / 0)
        await asyncio.sleep(2)
        assert world.loop.get_exception_handler() is not None
        return [(type(each["exception"]), bool(each["message"])) for each in told]

    assert result_of(scenario) == [(ZeroDivisionError, True)] * 2


def test_without_a_handler_it_is_in_the_log_and_so_are_errors_that_nobody_asked_for():
    async def scenario(world):
        world.loop.call_soon(lambda: 1 / 0)
        task = asyncio.create_task(asyncio.wait_for(forever(), 1))
        await asyncio.sleep(2)
        assert task.done()

    lines = lines_of(outcome_of(scenario))
    assert any("ZeroDivisionError" in line for line in lines)
    assert any("never retrieved: TimeoutError" in line for line in lines)


def test_it_is_in_the_log_as_the_doing_of_its_host():
    async def scenario(world):
        async def main(host):
            world.loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(1)

        world.host("clumsy", main).boot()
        await asyncio.sleep(2)

    (process,) = {who for _, who, text in outcome_of(scenario).log if "ZeroDivisionError" in text}
    assert process == "clumsy"


def test_a_handler_that_fails_itself_ends_nothing_and_fails_the_trial():
    async def scenario(world):
        def handle(loop, context):
            raise ValueError("clumsy")

        world.loop.set_exception_handler(handle)
        world.loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    outcome = outcome_of(scenario)
    assert outcome.seconds == 1.0
    assert [failure.name for failure in outcome.failures] == ["ValueError in handle: clumsy"]


def test_nothing_is_told_to_the_handler_where_nothing_went_wrong():
    async def scenario(world):
        told = []
        world.loop.set_exception_handler(lambda loop, context: told.append(context))
        for end in ("crash", "kill", "stop"):
            host = world.host(end)
            host.boot()
            task = host.run(turns(1))
            await turned(task.done)
            getattr(host, end)()
        await asyncio.sleep(1)
        return told

    assert results_of(scenario, seeds=20) == [[]] * 20


def test_what_is_raised_to_end_the_process_is_a_failure_of_the_trial():
    async def scenario(world):
        await asyncio.sleep(1)
        sys.exit(3)

    failure = failure_of(scenario)
    assert "SystemExit" in failure.name
    assert failure.at == 1.0


# -- asynchronous generators --------------------------------------------------------------------


@every_policy
def test_a_generator_that_is_left_half_way_is_closed_by_the_loop(policy):
    async def scenario(world):
        closed = []

        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(1)
                closed.append(world.now)

        async for _ in numbers():
            break
        await asyncio.sleep(5)
        return closed

    assert results_of(scenario, policy) == [[1.0]] * 12


def test_a_generator_of_a_host_that_crashed_is_not_closed_whoever_drops_it():
    async def scenario(world):
        closed, shared = [], []

        async def numbers():
            try:
                yield 1
            finally:
                closed.append(world.now)

        async def main(host):
            shared.append(numbers())
            await anext(shared[0])
            await forever()

        host = world.host("host", main)
        host.boot()
        await asyncio.sleep(1)
        host.crash()
        shared.clear()
        await asyncio.sleep(1)
        return closed

    assert result_of(scenario) == []


# -- hosts that end -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crashes(tmp_path_factory):
    """What blocks of hosts that end still did; and whatever was said of it."""
    children = Children(tmp_path_factory.mktemp("crashes"))
    source = (HERE / "crashes.py").read_text(encoding="utf-8")
    outcome = children.run(source, env={"PYTHONWARNINGS": "error"})
    (path,) = children.run_dir.glob("*.jsonl")
    events = path.read_text(encoding="utf-8").splitlines().count('{"it did something": {}}')
    return json.loads(outcome.out), events, outcome.err


def kinds_of_blocks():
    tree = ast.parse((HERE / "crashes.py").read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
    return [name for name in names if name.startswith("block_")]


@pytest.mark.parametrize("end", ["crash", "kill", "stop"])
@pytest.mark.parametrize("kind", kinds_of_blocks())
def test_no_block_of_a_host_that_ends_does_anything(crashes, kind, end):
    done = crashes[0][f"{kind} {end}"]
    fault = {"crash": ["power-cut"], "kill": ["kill"], "stop": []}[end]
    assert done == {
        "failures": [],
        "during": 0,
        "hits": 0,
        "log": [],
        "faults": fault,
        "features": [],
    }


@pytest.mark.parametrize("kind", kinds_of_blocks())
def test_each_of_these_blocks_does_something_where_it_is_cancelled(crashes, kind):
    done = crashes[0][f"{kind} cancel"]
    assert done["during"] > 0
    assert done["hits"] == done["during"]
    assert done["features"] == ["reachable it did something"]
    assert done["failures"] == []


def test_nothing_else_is_recorded_of_what_has_ended_and_nothing_is_said(crashes):
    found, events, said = crashes
    assert events == sum(each["during"] for each in found.values())
    assert said == ""


def test_all_that_a_host_has_started_ends_with_it():
    async def scenario(world):
        seen = []

        async def tick(name):
            while True:
                await asyncio.sleep(0.4)
                seen.append(name)

        def again():
            seen.append("again")
            world.loop.call_later(0.3, again)

        def work():
            seen.append("work")

        async def main(host):
            again()
            world.loop.run_in_executor(None, work)
            task = asyncio.create_task(tick("task"))
            task.add_done_callback(seen.append)
            await asyncio.gather(asyncio.ensure_future(tick("ensured")), tick("gathered"))

        host = world.host("host", main)
        host.boot()
        await asyncio.sleep(5)
        assert {"again", "work", "task", "ensured", "gathered"} == set(seen)
        host.crash()
        seen.clear()
        host.boot()
        await asyncio.sleep(1)
        assert seen
        host.kill()
        seen.clear()
        await asyncio.sleep(100)
        return seen

    assert results_of(scenario) == [[]] * 12


@pytest.mark.parametrize("end", ["crash", "kill", "stop"])
@pytest.mark.parametrize("before", [True, False])
def test_whoever_waits_for_a_host_goes_on_when_it_is_down(before, end):
    async def scenario(world):
        host = world.host("host", lambda _: forever())
        host.boot()
        if before:
            getattr(host, end)()
        else:
            world.loop.call_later(1, getattr(host, end))
        ended = await host.ended()
        return ended, world.now, host.is_up

    assert result_of(scenario) == (None, 0.0 if before else 1.0, False)


def test_whoever_waits_for_a_host_gets_what_its_main_function_returns_or_raises():
    async def scenario(world):
        async def fail():
            raise KeyError(await asyncio.sleep(1, "key"))

        returns = world.host("returns", lambda _: asyncio.sleep(1, "value"))
        raises = world.host("raises", lambda _: fail())
        returns.boot()
        raises.boot()
        with pytest.raises(KeyError):
            await raises.ended()
        return await returns.ended()

    assert result_of(scenario) == "value"


def disk_append(world, host, seen):
    host.disk.open("file").append(b", and more")


def disk_rename(world, host, seen):
    host.disk.rename("file", "other")


def disk_remove(world, host, seen):
    host.disk.remove("file")


def disk_sync(world, host, seen):
    host.disk.open("file").sync()


def message(world, host, seen):
    host.mailbox(2).send(("other", 1), "still here")


def callback(world, host, seen):
    world.loop.call_soon(seen.append, "callback")


def timer(world, host, seen):
    world.loop.call_later(1, seen.append, "timer")


def task(world, host, seen):
    async def note():
        seen.append("task")

    seen.tasks.append(asyncio.create_task(note()))


class Seen(list):
    """What was seen, and a place to keep tasks at."""

    def __init__(self):
        super().__init__()
        self.tasks = []


@pytest.mark.parametrize(
    "effect",
    [disk_append, disk_rename, disk_remove, disk_sync, message, callback, timer, task],
)
def test_code_that_is_cut_off_in_a_call_of_the_disk_has_no_effect_any_more(effect):
    async def scenario(world):
        seen = Seen()

        async def main(host):
            file = host.disk.open("file")
            file.append(b"durable")
            file.sync()
            host.disk.sync_directory("/")
            host.disk.faults.cut = 1.0
            try:
                file.append(b"lost")
            finally:
                host.disk.faults.cut = 0.0
                effect(world, host, seen)

        async def receive(mailbox):
            seen.append(await mailbox.receive())

        other = world.host("other")
        other.boot()
        other.run(receive(other.mailbox(1)))
        host = world.host("host", main)
        host.boot()
        await host.ended()
        assert not host.is_up
        await asyncio.sleep(10)
        return seen, host.disk.list("/"), host.disk.read("file")

    assert results_of(scenario) == [([], ["file"], b"durable")] * 12


def test_a_scenario_that_waits_for_code_that_is_cut_off_does_not_raise():
    async def scenario(world):
        async def work(host):
            host.disk.faults.cut = 1.0
            host.disk.open("file").append(b"data")

        host = world.host("host")
        host.boot()
        await host.run(work(host))

    assert outcome_of(scenario).failure is not None


@pytest.mark.parametrize("end", ["crash", "kill", "stop"])
def test_whoever_waits_for_work_of_a_host_that_ends_is_told(end):
    async def scenario(world):
        host = world.host("host")
        host.boot()
        work = host.run(forever())
        world.loop.call_later(1, getattr(host, end))
        with pytest.raises(asyncio.CancelledError):
            await work
        return world.now

    assert result_of(scenario) == 1.0


@pytest.mark.parametrize("end", ["crash", "kill", "stop"])
def test_a_host_may_end_itself(end):
    async def scenario(world):
        told, seen = [], []
        world.loop.set_exception_handler(lambda loop, context: told.append(context))

        async def main(host):
            await asyncio.sleep(1)
            world.loop.call_soon(seen.append, "callback")
            getattr(host, end)()

        host = world.host("host", main)
        host.boot()
        ended = await host.ended()
        await asyncio.sleep(1)
        return ended, host.is_up, seen, told

    assert results_of(scenario) == [(None, False, [], [])] * 12


def test_a_host_sees_no_tasks_but_its_own():
    async def scenario(world):
        seen = []

        async def main(host):
            other = asyncio.create_task(forever())
            await asyncio.sleep(1)
            seen.append(len(asyncio.all_tasks()))
            other.cancel()

        for name in ("a", "b"):
            world.host(name, main).boot()
        await asyncio.sleep(2)
        return seen

    assert result_of(scenario) == [2, 2]


def test_what_is_run_on_a_host_that_is_down_is_an_error():
    async def scenario(world):
        work = turns(1)
        with pytest.raises(RuntimeError):
            world.host("host").run(work)
        work.close()

    result_of(scenario)


# -- hosts that pause ---------------------------------------------------------------------------


def test_a_paused_host_does_nothing_and_then_all_of_it():
    async def scenario(world):
        seen = []

        async def main(host):
            for _ in range(10):
                await asyncio.sleep(1)
                seen.append(world.now)

        host = world.host("host", main)
        host.boot()
        await asyncio.sleep(2.5)
        host.pause()
        await asyncio.sleep(10)
        assert seen == [1.0, 2.0]
        host.resume()
        await asyncio.sleep(1.2)
        return seen

    assert results_of(scenario) == [[1.0, 2.0, 12.5, 13.5]] * 12


@every_policy
@pytest.mark.parametrize("apart", [0.0, 0.3])
def test_a_paused_host_keeps_the_order_of_its_callbacks(policy, apart):
    async def scenario(world):
        seen = []

        async def main(host):
            for number in range(8):
                world.loop.call_soon(seen.append, number)
            for number in range(8, 12):
                world.loop.call_later(number / 10, seen.append, number)
            await forever()

        host = world.host("host", main)
        host.boot()
        for _ in range(10):
            await asyncio.sleep(apart)
            host.pause()
            await asyncio.sleep(apart)
            host.resume()
        await asyncio.sleep(5)
        return seen

    assert results_of(scenario, policy) == [list(range(12))] * 12


@pytest.mark.parametrize("turns_between", [1, 2, 3])
def test_first_come_is_first_served_across_a_pause_too(turns_between):
    async def scenario(world):
        seen = []

        async def note(number):
            seen.append(number)

        async def main(host):
            tasks = []
            for number in range(0, 8, 2):
                world.loop.call_soon(seen.append, number)
                tasks.append(asyncio.create_task(note(number + 1)))
            await asyncio.gather(*tasks)

        host = world.host("host", main)
        host.boot()
        for _ in range(4):
            await turns(turns_between)
            host.pause()
            await turns(turns_between)
            host.resume()
        await asyncio.sleep(1)
        return seen

    assert result_of(scenario, policy="fifo") == list(range(8))


@every_policy
def test_a_host_that_waits_for_its_disk_does_nothing_else_and_keeps_its_order(policy):
    async def scenario(world):
        seen, ticks = [], []

        async def tick():
            while True:
                await asyncio.sleep(0.2)
                ticks.append(round(world.now, 6))

        async def main(host):
            file = host.disk.open("file")
            for number in range(4):
                world.loop.call_soon(seen.append, number)
            world.loop.call_later(0.5, seen.append, "timer")
            file.sync()
            assert world.loop.time() == 1.0
            world.loop.call_soon(lambda: seen.append(world.now))
            await forever()

        host = world.host("host", main)
        host.disk.faults.sync_takes = (1.0, 1.0)
        host.boot()
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.9)
        assert ticks == [0.2, 0.4, 0.6, 0.8]
        assert len(seen) in (0, 4)
        await asyncio.sleep(1)
        ticking.cancel()
        return [each for each in seen if each != "timer"]

    # What was called before the disk was asked may run before it, too.
    assert results_of(scenario, policy) == [[0, 1, 2, 3, 1.0]] * 12


def test_a_host_goes_on_while_one_of_its_threads_waits_for_the_disk():
    async def scenario(world):
        ticks = []

        async def tick():
            while True:
                await asyncio.sleep(0.25)
                ticks.append(world.now)

        async def main(host):
            ticking = asyncio.create_task(tick())
            file = host.disk.open("file")
            file.append(b"data")
            await asyncio.to_thread(file.sync)
            ticking.cancel()
            return file.synced, world.now

        host = world.host("host", main)
        host.disk.faults.sync_takes = (1.0, 1.0)
        host.boot()
        synced, at = await host.ended()
        return synced, round(at, 1), ticks

    assert result_of(scenario) == (4, 1.0, [0.25, 0.5, 0.75, 1.0])


# -- after the trial ----------------------------------------------------------------------------


def test_nothing_is_left_of_a_trial_and_nothing_is_said(children):
    def scenario():
        import asyncio
        import gc
        import weakref

        from assertlib.sim import Options, Tape, run_trial

        loops, kept = [], []

        async def forever():
            await asyncio.Event().wait()

        async def fail():
            raise ValueError("nobody asks")

        async def stubborn():
            while True:
                try:
                    await asyncio.sleep(5)
                finally:
                    await asyncio.sleep(0)

        async def numbers():
            try:
                yield 1
            finally:
                await asyncio.sleep(1)

        async def serve(reader, writer):
            try:
                await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()

        async def starts():
            try:
                await forever()
            finally:
                kept.append(asyncio.create_task(forever()))

        async def mess(host):
            tasks = [asyncio.create_task(each()) for each in (forever, fail, stubborn, starts)]
            async for _ in numbers():
                break
            await asyncio.start_server(serve, host.name, 4000)
            pair = await asyncio.open_connection(host.name, 4000)
            loop = asyncio.get_running_loop()
            loop.call_later(1e5, tasks.clear)
            loop.run_in_executor(None, tasks.copy)
            asyncio.shield(forever())
            asyncio.gather(forever(), stubborn())
            await asyncio.wait_for(forever(), 1e5)
            del pair

        async def leave(world, end):
            loops.append(weakref.ref(world.loop))
            for number in range(3):
                world.host(f"host {number}", mess, allow_failures=(ValueError, OSError)).boot()
            await mess(world.hosts["host 0"]) if end == "timeout" else await asyncio.sleep(1)
            world.hosts["host 1"].crash()
            world.hosts["host 1"].boot()
            world.hosts["host 2"].pause()
            kept = [
                asyncio.create_task(forever()),
                world.hosts["host 0"].run(mess(world.hosts["host 0"])),
            ]
            if end == "error":
                raise KeyError(end)
            while end == "steps" and kept:  # noqa: ASYNC110
                await asyncio.sleep(0)

        ends = ("result", "error", "timeout", "steps")
        for seed, end in enumerate(ends * 3):
            outcome = run_trial(
                lambda world, end=end: leave(world, end),
                Tape(seed),
                Options(steps=3000),
                name=end,
                keep_log=True,
            )
            assert (outcome.failure is None) == (end == "result"), outcome.failure
            digest = outcome.digest()
            gc.collect()
            assert outcome.digest() == digest, "the log has changed after the trial"
        return [loop() for loop in loops if loop() is not None], gc.garbage, gc.isenabled()

    outcome = children.run(scenario, env={"PYTHONWARNINGS": "error", "PYTHONASYNCIODEBUG": "1"})
    assert outcome.value == ([], [], True)
    assert outcome.err == ""


def test_what_is_collected_after_the_trial_adds_nothing_to_it(children):
    def scenario():
        import asyncio
        import gc

        from assertlib.sim import Options, Tape, run_trial

        told = []

        async def fail():
            error = ValueError("nobody asks")
            error.task = asyncio.current_task()
            raise error

        async def main(world):
            if world.tape.choose(2):
                world.loop.set_exception_handler(lambda loop, context: told.append(context))
            task = asyncio.create_task(fail())
            await asyncio.sleep(1)
            assert task.done()

        more = []
        for seed in range(6):
            told.clear()
            outcome = run_trial(main, Tape(seed), Options(), name="trial", keep_log=True)
            before = len(outcome.log), len(outcome.failures) + len(told)
            gc.collect()
            after = len(outcome.log), len(outcome.failures) + len(told)
            more.append((before[1], before == after))
        return more

    assert children.run(scenario).value == [(1, True)] * 6


def test_where_a_loop_runs_already_a_trial_cannot():
    async def main():
        return failure_of(forever_in)

    async def forever_in(world):
        await forever()

    assert "already running" in asyncio.run(main()).text
