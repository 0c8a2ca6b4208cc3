"""
Random programs that refuse, raise and swallow: a trial fails exactly if a model predicts it.
"""

import asyncio
import os
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.sim import NotSimulatedError

from ..forms import by_form
from .running import POLICIES, outcome_of

APART = 0.01
"""Virtual seconds between the beginnings of two statements."""

LEAF = st.sampled_from(["fine", "refuse", "fail"])
WAYS = (
    "calls", "except", "suppress", "finally", "awaits", "shields", "waits", "gathers", "groups",
    "in_thread", "in_time",
)  # fmt: skip
HANDLING = frozenset(("except", "suppress", "finally", "waits", "gathers", "groups", "in_thread"))
WORK = st.recursive(LEAF, lambda inner: st.tuples(st.sampled_from(WAYS), inner), max_leaves=4)
STARTS = (
    "main", "kept_task", "dropped_task", "selfish_task", "callback", "timer", "thread", "future",
    "selfish_future", "streams", "gathering",
)  # fmt: skip
STATEMENT = st.tuples(st.sampled_from(STARTS), WORK)
PROGRAM = st.lists(STATEMENT, min_size=1, max_size=5)
ENDS = st.sampled_from([None, "crash", "kill", "stop", "reboot"])


class Failed(Exception):
    """What goes wrong in programs."""


# -- the model ----------------------------------------------------------------------------------


def model(work):
    """Whether *work* is refused something, and whether it raises."""
    if isinstance(work, str):
        return work == "refuse", work != "fine"
    way, inner = work
    is_refused, raises = model(inner)
    return is_refused, raises and way not in HANDLING


def must_fail(program, statements):
    """Whether a trial in which so many *statements* have begun must fail."""
    for _, work in program[:statements]:
        is_refused, raises = model(work)
        if is_refused or raises:
            return True
    return False


# -- the program --------------------------------------------------------------------------------


def leaf(name):
    if name == "refuse":
        os.system("true")
    if name == "fail":
        raise Failed


async def do(work):
    if isinstance(work, str):
        leaf(work)
    else:
        await getattr(Ways, work[0])(work[1])


class Ways:
    """What may stand between an exception and the program."""

    async def calls(work):
        await do(work)

    async def suppress(work):
        with suppress(Exception):
            await do(work)

    async def awaits(work):
        await asyncio.create_task(do(work))

    async def shields(work):
        await asyncio.shield(asyncio.create_task(do(work)))

    async def waits(work):
        done, _ = await asyncio.wait([asyncio.create_task(do(work))])
        done.pop().exception()

    async def gathers(work):
        await asyncio.gather(do(work), do("fine"), return_exceptions=True)

    async def groups(work):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(do(work))
        except* Exception:
            pass

    async def in_thread(work):
        with suppress(Exception):
            await asyncio.to_thread(run_through, work)

    async def in_time(work):
        async with asyncio.timeout(1000):
            await do(work)


async def _except(work):
    try:
        await do(work)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError):
            raise


async def _finally(work):
    try:
        await do(work)
    finally:
        return  # noqa: B012


setattr(Ways, "except", _except)
setattr(Ways, "finally", _finally)


def run_through(work):
    """What *work* comes to where nothing can be awaited."""
    is_refused, raises = model(work)
    if is_refused:
        with suppress(NotSimulatedError):
            os.system("true")
    if raises:
        raise Failed


class Starts:
    """How a statement is begun, without looking at its result."""

    async def main(host, work):
        await do(work)

    async def kept_task(host, work):
        host.kept = (getattr(host, "kept", None), asyncio.create_task(do(work)))

    async def dropped_task(host, work):
        asyncio.create_task(do(work))  # noqa: RUF006

    async def selfish_task(host, work):
        async def selfish():
            me = asyncio.current_task()
            await do(work)
            return me

        asyncio.create_task(selfish())  # noqa: RUF006

    async def callback(host, work):
        asyncio.get_running_loop().call_soon(run_through, work)

    async def timer(host, work):
        asyncio.get_running_loop().call_later(APART / 4, run_through, work)

    async def thread(host, work):
        future = asyncio.get_running_loop().run_in_executor(None, run_through, work)
        host.kept = (getattr(host, "kept", None), future)

    async def future(host, work):
        error = None
        try:
            run_through(work)
        except Failed:
            error = Failed()
        if error is not None:
            asyncio.get_running_loop().create_future().set_exception(error)

    async def selfish_future(host, work):
        future = asyncio.get_running_loop().create_future()
        try:
            run_through(work)
        except Failed as error:
            future.set_exception(error)

    async def streams(host, work):
        async def serve(reader, writer):
            try:
                await do(work)
            finally:
                writer.close()

        server = await asyncio.start_server(serve)
        _, writer = await asyncio.open_connection(host.name, server.sockets[0].getsockname()[1])
        writer.close()

    async def gathering(host, work):
        host.kept = (getattr(host, "kept", None), asyncio.gather(do(work), do("fine")))


def played(program, end, after, seed, policy):
    """The outcome of a trial of *program*, and how many of its statements had begun by its end."""
    begun = 0

    async def main(host):
        nonlocal begun
        if host.boots > 1:
            return
        loop = asyncio.get_running_loop()
        for number, (start, work) in enumerate(program):
            await asyncio.sleep(number * 10 * APART + APART - loop.time())
            begun += 1
            await getattr(Starts, start)(host, work)

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        # In the middle of a pause, so that all that has begun is over.
        await asyncio.sleep((after * 10 + 6) * APART)
        if end == "reboot":
            host.stop()
            host.boot()
        elif end is not None:
            getattr(host, end)()
        await asyncio.sleep(1)

    return outcome_of(scenario, seed, policy, log=False), begun


@settings(max_examples=by_form(50, 400), deadline=None)
@given(PROGRAM, ENDS, st.integers(0, 5), st.integers(0, 100), st.sampled_from(POLICIES))
def test_a_trial_fails_exactly_if_something_was_refused_or_left_unhandled(
    program, end, after, seed, policy
):
    outcome, begun = played(program, end, after, seed, policy)
    assert bool(outcome.failures) == must_fail(program, begun), (begun, outcome.failures)


@settings(max_examples=by_form(20, 100), deadline=None)
@given(PROGRAM, ENDS, st.integers(0, 5), st.integers(0, 100), st.sampled_from(POLICIES))
def test_its_tape_fails_in_the_same_ways_in_the_same_order(program, end, after, seed, policy):
    first, second = (played(program, end, after, seed, policy)[0] for _ in range(2))
    assert first.failures == second.failures
