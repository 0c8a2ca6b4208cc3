"""
A refusal fails the trial, caught or not, and names the line that reached out.
"""

import asyncio
import contextlib
import os
import time

import pytest

from assertlib.sim import NotSimulatedError, Options, Tape, run_trial

from .running import failure_of, outcome_of


def ask():
    """Start a process."""
    return os.system("true")


ASKED = f"{__file__}:{ask.__code__.co_firstlineno + 2}: os.system starts a process"


# -- where it is caught -------------------------------------------------------------------------


async def in_except_exception(host):
    try:
        ask()
    except Exception:
        pass


async def in_except_base_exception(host):
    try:
        ask()
    except BaseException:
        pass


async def in_suppress(host):
    with contextlib.suppress(RuntimeError):
        ask()


async def in_a_finally_that_returns(host):
    try:
        ask()
    finally:
        return  # noqa: B012


async def in_a_gathering(host):
    async def work():
        ask()

    await asyncio.gather(work(), work(), return_exceptions=True)


async def in_a_group(host):
    async def work():
        ask()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
    except* RuntimeError:
        pass


async def in_a_task_that_is_looked_at(host):
    async def work():
        ask()

    task = asyncio.create_task(work())
    await asyncio.wait([task])
    assert isinstance(task.exception(), NotSimulatedError)


async def in_a_callback(host):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    loop.call_soon(ask)


async def in_a_thread(host):
    with contextlib.suppress(NotSimulatedError):
        await asyncio.to_thread(ask)


async def in_a_protocol(host):
    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            with contextlib.suppress(Exception):
                ask()

    loop = asyncio.get_running_loop()
    await loop.create_server(Protocol, port=4000)
    await loop.create_connection(asyncio.Protocol, host.name, 4000)


async def in_a_handler_of_streams(host):
    async def serve(reader, writer):
        try:
            ask()
        except Exception:
            writer.close()

    await asyncio.start_server(serve, port=4000)
    _, writer = await asyncio.open_connection(host.name, 4000)
    writer.close()


async def in_a_finalizer(host):
    class Thing:
        def __del__(self):
            with contextlib.suppress(Exception):
                ask()

    Thing()


SWALLOWED = [
    in_except_exception,
    in_except_base_exception,
    in_suppress,
    in_a_finally_that_returns,
    in_a_gathering,
    in_a_group,
    in_a_task_that_is_looked_at,
    in_a_callback,
    in_a_thread,
    in_a_protocol,
    in_a_handler_of_streams,
    in_a_finalizer,
]


@pytest.mark.parametrize("main", SWALLOWED, ids=lambda main: main.__name__)
def test_a_refusal_that_is_caught_fails_the_trial(main):
    async def scenario(world):
        world.host("server", main, allow_failures=(Exception,)).boot()
        await asyncio.sleep(1)

    outcome = outcome_of(scenario)
    assert [failure.text.startswith(ASKED) for failure in outcome.failures] == [True]


def test_a_scenario_that_catches_it_fails_too():
    async def scenario(world):
        await in_except_exception(None)

    assert failure_of(scenario).text.startswith(ASKED)


def test_an_uncaught_refusal_is_one_failure_not_two():
    async def scenario(world):
        ask()

    assert len(outcome_of(scenario).failures) == 1


def test_what_is_raised_in_its_place_is_a_failure_of_its_own_and_comes_after_it():
    async def scenario(world):
        try:
            ask()
        except NotSimulatedError as error:
            raise ValueError("no time") from error

    names = [failure.name for failure in outcome_of(scenario).failures]
    assert names[0].startswith("NotSimulatedError: ")
    assert names[1:] == ["ValueError in scenario: no time"]


def test_an_error_of_this_name_that_the_program_makes_itself_is_a_failure():
    async def scenario(world):
        raise NotSimulatedError("mine")

    assert failure_of(scenario).name == "NotSimulatedError in scenario: mine"


# -- how often, and where -----------------------------------------------------------------------


def test_a_place_fails_a_trial_once_and_every_place_does():
    async def scenario(world):
        for _ in range(3):
            with contextlib.suppress(NotSimulatedError):
                os.system("true")  # noqa: ASYNC221
            with contextlib.suppress(NotSimulatedError):
                time.sleep(1)  # noqa: ASYNC251

    for _ in range(2):
        texts = [failure.text for failure in outcome_of(scenario).failures]
        assert len(texts) == 2
        assert "os.system" in texts[0]
        assert "time.sleep" in texts[1]


def test_the_story_shows_who_called_whom_in_the_trial():
    async def scenario(world):
        await in_suppress(None)

    story = failure_of(scenario).text
    assert [word in story for word in ("in scenario", "in in_suppress", "in ask")] == [True] * 3
    assert "outcome_of" not in story, "what is outside of the trial is none of its story"


def test_where_a_library_reaches_out_its_line_is_named_and_the_one_that_called_it(children):
    library = children.directory / "site-packages"
    library.mkdir()
    (library / "dated.py").write_text(
        "import time\n\n"
        "def stamp():\n    try:\n        return time.sleep(1)\n    except RuntimeError:\n        pass\n"
    )

    def scenario():
        import sys

        sys.path.insert(0, "site-packages")
        import dated

        from assertlib.sim import Options, Tape, run_trial

        async def main(world):
            dated.stamp()

        failure = run_trial(main, Tape(1), Options(), name="trial").failure
        return failure.name, failure.text.partition("\n")[0]

    name, text = children.run(scenario).value
    script = children.directory / "child1.py"
    line = script.read_text().splitlines().index("        dated.stamp()") + 1
    assert text.startswith(f"{script}:{line}: time.sleep blocks the event loop")
    assert text.endswith("site-packages/dated.py:5)")
    assert name.startswith(f"NotSimulatedError: child1.py:{line}: time.sleep ")
    assert name.endswith("(called in dated.py:5)"), "a name is the same in every checkout"


# -- what does not count ------------------------------------------------------------------------


def test_what_code_does_after_the_end_of_its_host_never_happened():
    async def scenario(world):
        async def main(host):
            host.crash()
            with contextlib.suppress(NotSimulatedError):
                ask()

        world.host("server", main).boot()
        await asyncio.sleep(1)

    assert outcome_of(scenario).failures == []


def test_what_is_thrown_away_after_the_trial_fails_it_no_more():
    asked = []

    async def scenario(world):
        async def main(host):
            try:
                await asyncio.Event().wait()
            finally:
                asked.append(True)
                ask()

        world.host("server", main).boot()
        await asyncio.sleep(1)

    assert outcome_of(scenario).failures == []
    assert asked == [True]


def test_a_refusal_belongs_to_the_trial_in_which_it_happens():
    async def reaching(world):
        with contextlib.suppress(NotSimulatedError):
            ask()

    async def peaceful(world):
        await asyncio.sleep(1)

    outcomes = [
        run_trial(scenario, Tape(1), Options(), name="trial")
        for scenario in (reaching, peaceful, reaching, peaceful)
    ]
    assert [len(outcome.failures) for outcome in outcomes] == [1, 0, 1, 0]
