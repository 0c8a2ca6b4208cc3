"""
The trace of a trial can be read by somebody who has not written the program.
"""

import asyncio
import sys

from assertlib.cli.trace_filter import TraceFilter
from assertlib.sim.worker import traced

from .running import lines_of, outcome_of


def lines(scenario, only=""):
    outcome = outcome_of(scenario)
    assert outcome.failure is None, outcome.failure.text
    return list(TraceFilter(only, "", None).select([line for line, _ in traced(outcome)]))


def test_a_step_names_task_coroutine_file_line_and_source():
    async def scenario(world):
        await asyncio.create_task(wait_a_moment(), name="waiter")

    async def wait_a_moment():
        await asyncio.sleep(0.25)

    (line,) = [
        each
        for each in lines(scenario)
        if each.lstrip().startswith("0.25") and "run waiter" in each
    ]
    assert "wait_a_moment at test_trace.py:" in line
    assert line.endswith(": await asyncio.sleep(0.25)")


def test_printed_lines_are_part_of_the_trace_and_still_printed(capsys):
    async def scenario(world):
        print("half a", end=" ")
        print("line at 0x7f0000001000")
        print("and another", file=sys.stderr)

    noted = [text for text in lines_of(outcome_of(scenario)) if text.startswith("prints")]
    assert noted == ["prints: half a line at 0x...", "prints: and another"]
    printed = capsys.readouterr()
    assert printed.out == "half a line at 0x7f0000001000\n"
    assert printed.err == "and another\n"


def test_callbacks_of_the_event_loop_are_shown_only_if_asked_for():
    async def scenario(world):
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, own_callback)
        await asyncio.sleep(0.2)

    def own_callback():
        pass

    shown = "\n".join(lines(scenario))
    assert "own_callback" in shown
    assert "loop: " not in shown
    assert "loop: " in "\n".join(lines(scenario, "loop"))


def test_a_task_that_polls_is_shown_once_until_it_does_something():
    async def scenario(world):
        for turn in range(30):
            await asyncio.sleep(0.1)
            if turn == 20:
                print("something")
            await asyncio.sleep(0)

    shown = [line for line in lines(scenario) if line.endswith("await asyncio.sleep(0.1)")]
    assert len(shown) == 2
    both = lines(scenario)
    at = next(number for number, line in enumerate(both) if "prints: something" in line)
    assert both[at - 1].endswith("await asyncio.sleep(0.1)")
