"""
Histories that are recorded while they happen, and judged on the spot.
"""

import asyncio
import itertools

import pytest

from assertlib.history import (
    History,
    HistoryError,
    Outcome,
    Recorder,
    Status,
    read_history,
    validate,
)
from assertlib.history.requests import Done, Get, Put, Value

from ..sim.running import outcome_of


@pytest.fixture
def recorder():
    return Recorder("kv", clock=itertools.count().__next__, store="a cache")


def put(recorder, client, value):
    with recorder.operation(client, Put("x", value)) as operation:
        operation.ok(Done())


def get(recorder, client, value):
    with recorder.operation(client, Get("x")) as operation:
        operation.ok(Value(value))


def test_a_history_that_one_order_explains_has_no_complaint(recorder):
    put(recorder, "a", "old")
    put(recorder, "b", "new")
    get(recorder, "a", "new")
    assert recorder.complaint() == ""
    assert isinstance(recorder.history(), History)


def test_a_stale_read_is_explained_by_the_smallest_part(recorder):
    put(recorder, "a", "old")
    put(recorder, "a", "new")
    get(recorder, "b", "old")
    complaint = recorder.complaint()
    assert "no order of the operations of 'x' explains #3 client b: get x" in complaint
    assert "the smallest illegal part" in complaint


def test_an_exception_leaves_the_outcome_unknown_and_goes_on(recorder):
    with pytest.raises(TimeoutError), recorder.operation("a", Put("x", "lost")):
        raise TimeoutError
    with pytest.raises(ConnectionError), recorder.operation("a", Put("x", "never")) as operation:
        operation.not_applied()
        raise ConnectionRefusedError
    (lost, never) = recorder.history().operations
    assert (lost.outcome, lost.error) == (Outcome.UNKNOWN, "TimeoutError()")
    assert never.outcome == Outcome.NOT_APPLIED
    for value in ("lost", None):
        get(recorder, "b", value)
    assert recorder.complaint() != ""


def test_a_history_without_answers_or_beyond_the_budget_is_a_complaint(recorder):
    assert recorder.complaint() != ""
    put(recorder, "a", "1")
    assert recorder.complaint() != ""
    get(recorder, "a", "1")
    assert recorder.complaint() == ""
    with recorder.operation(1, Put("x", "2")), recorder.operation(2, Get("x")) as reading:
        reading.ok(Value("2"))
    assert recorder.complaint() == ""
    assert "linearizable" in recorder.complaint(budget=0)


def test_the_lines_are_those_of_a_file(recorder):
    put(recorder, "a", "1")
    get(recorder, "a", "1")
    found = read_history(recorder.lines(), "history.jsonl")
    assert found == recorder.history()
    assert validate(found).status is Status.SUCCESS


def test_a_return_without_a_call_is_an_error(recorder):
    put(recorder, "a", "1")
    del recorder.records[0]
    with pytest.raises(HistoryError, match="which never began"):
        recorder.complaint()


def test_in_a_trial_the_history_has_virtual_times():
    found = []

    async def scenario(world):
        recorder = Recorder("register")
        with recorder.operation("a", Put("x", "1")) as operation:
            await asyncio.sleep(2)
            operation.ok(Done())
        get(recorder, "a", "1")
        assert recorder.complaint() == ""
        found.append(recorder.history().operations[0].returned)

    assert outcome_of(scenario).failure is None
    assert found == [2_000_000_000]
