"""
The order of the checks, and what is made of all of them together.
"""

from dataclasses import replace

import pytest

from assertlib.history.history import History, Stream, read_history
from assertlib.history.operations import Operation, Outcome
from assertlib.history.records import Call, Hashed, Header, HistoryError, Note, Return, line
from assertlib.history.requests import (
    Acknowledged,
    Delete,
    Done,
    Event,
    Get,
    Grant,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Refused,
    Value,
    Watch,
)
from assertlib.history.validation import MODELS, READS, REPLICAS, Status, _why, validate

from .worlds import MS, World

SECOND = 1000 * MS


def some_world():
    world = World()
    world.do(Range("", "\0"))
    world.do(Put("a", "1"))
    world.do(Put("a", "2"))
    world.do(Delete("a"))
    return world


def statuses(history):
    return {each.name: each.status for each in validate(history).checks}


def test_a_good_history_without_watches_is_a_success_and_says_what_was_not_judged():
    found = validate(some_world().history())
    assert found.status is Status.SUCCESS
    assert found.named("reliable").status is Status.NOTHING
    assert found.named("linearizable").judged == 4


def test_no_operations_are_no_success():
    assert validate(History(Header("etcd"))).status is Status.UNKNOWN
    assert validate(History(Header("kv"))).status is Status.UNKNOWN


def unanswered(outcome, count=3):
    return [Operation(n, n, Put("x", f"{n}"), 10 * n, 10 * n + 5, outcome) for n in range(count)]


WRITTEN = Operation(8, 8, Put("x", "1"), 80, 85, Outcome.OK, Done())


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        (unanswered(Outcome.UNKNOWN), "none of the 3 operations was answered"),
        (unanswered(Outcome.NOT_APPLIED), "none of the 3 operations was answered"),
        ([*unanswered(Outcome.UNKNOWN), WRITTEN], "1 writes were acknowledged, but no response"),
    ],
)
@pytest.mark.parametrize("model", ["register", "cas-register", "kv"])
def test_answers_that_show_nothing_are_no_success(model, operations, reason):
    found = validate(History(Header(model), operations))
    assert found.status is Status.UNKNOWN
    assert found.named("linearizable").status is Status.NOTHING
    assert reason in found.named("linearizable").reason


def test_only_answered_operations_count_as_judged():
    read = Operation(9, 9, Get("x"), 90, 95, Outcome.OK, Value("1"))
    found = validate(History(Header("kv"), [*unanswered(Outcome.UNKNOWN), WRITTEN, read]))
    assert found.status is Status.SUCCESS
    assert found.named("linearizable").judged == 2


def test_a_key_that_was_never_written_is_judged():
    for value, status in ((None, Status.SUCCESS), ("1", Status.FAILURE)):
        read = Operation(0, 0, Get("x"), 0, 1, Outcome.OK, Value(value))
        assert validate(History(Header("kv"), [read])).status is status


def test_reads_of_the_past_alone_are_no_success():
    read = Range("a", serializable=True)
    answer = Ranged(1, (), 0)
    operations = [Operation(n, n, read, 10 * n, 10 * n + 5, Outcome.OK, answer) for n in range(3)]
    found = validate(History(Header("etcd"), operations))
    assert found.named(READS).status is Status.SUCCESS
    assert found.named("linearizable").status is Status.NOTHING
    assert found.status is Status.UNKNOWN


def test_watches_alone_are_no_success():
    history = History(Header("etcd"), streams=[Stream(1, "w", Watch("a"), 0)])
    assert validate(history).status is Status.UNKNOWN


def test_a_store_that_was_not_empty_is_a_broken_test():
    world = some_world()
    del world.operations[0]
    found = validate(world.history())
    assert found.status is Status.UNKNOWN
    assert found.named("assumptions").status is Status.FAILURE
    assert "not empty at the beginning" in found.named("assumptions").complaints[0].text
    assert found.named("linearizable").status is Status.NOT_CHECKED


def test_a_client_that_asks_two_things_at_once_is_a_broken_test():
    world = some_world()
    first, second = world.operations[1:3]
    world.operations[2] = replace(second, client=first.client, call=first.call + 1)
    (complaint,) = validate(world.history()).named("assumptions").complaints
    assert "was still open" in complaint.text


def of_lines(*records):
    return validate(read_history([line(Header("kv")), *map(line, records)], "h.jsonl"))


def test_a_call_at_the_stamp_of_the_last_return_comes_after_it():
    wrote = Call(1, "a", 0, Put("x", "1")), Return(1, 10, Outcome.OK, Done())
    for seen, status in (("1", Status.SUCCESS), (None, Status.FAILURE)):
        read = Call(2, "a", 10, Get("x")), Return(2, 10, Outcome.OK, Value(seen))
        assert of_lines(*wrote, *read).status is status


def test_a_call_before_the_return_is_a_broken_test_even_at_its_stamp():
    first, second = Call(1, "a", 0, Put("x", "1")), Call(2, "a", 10, Get("x"))
    done, seen = Return(1, 10, Outcome.OK, Done()), Return(2, 20, Outcome.OK, Value("1"))
    found = of_lines(first, second, done, seen)
    assert found.status is Status.UNKNOWN
    assert "was still open" in found.named("assumptions").complaints[0].text


def test_lines_of_clients_may_be_in_any_order_but_those_of_one():
    wrote = Call(1, "a", 0, Put("x", "1")), Return(1, 10, Outcome.OK, Done())
    read = Call(2, "b", 20, Get("x")), Return(2, 30, Outcome.OK, Value("1"))
    assert of_lines(*read, *wrote).status is Status.SUCCESS
    wrote_later = Call(3, "a", 40, Put("x", "2")), Return(3, 50, Outcome.OK, Done())
    found = of_lines(*wrote_later, *read, *wrote)
    assert found.status is Status.UNKNOWN
    assert "the clock of its client stepped back" in found.named("assumptions").complaints[0].text


def test_a_clock_that_steps_back_while_an_operation_runs_is_a_broken_test():
    found = of_lines(Call(1, "a", 50, Get("x")), Return(1, 10, Outcome.OK, Value(None)))
    assert found.status is Status.UNKNOWN
    assert "ends before it begins" in found.named("assumptions").complaints[0].text


def test_times_since_1970_are_as_good_as_any():
    now = 1_790_000_000 * SECOND
    wrote = Call(1, "a", now, Put("x", "1")), Return(1, now + 1, Outcome.OK, Done())
    for seen, status in (("1", Status.SUCCESS), (None, Status.FAILURE)):
        read = Call(2, "b", now + 2, Get("x")), Return(2, now + 3, Outcome.OK, Value(seen))
        assert of_lines(*wrote, *read).status is status


def test_an_operation_that_ends_before_it_begins_is_a_broken_test():
    world = some_world()
    world.operations[1] = replace(world.operations[1], returned=0)
    assert validate(world.history()).status is Status.UNKNOWN


def test_a_load_that_is_too_small_is_no_success_but_hides_no_failure():
    history = some_world().history()
    history.notes.append(Note(1, "load", {"rate": 3.0, "needed": 50.0}))
    found = validate(history)
    assert found.status is Status.UNKNOWN
    assert "3 operations per second" in found.named("load").reason
    history.hashes += [Hashed(9, 1, "m1", 4, -1, 1), Hashed(9, 1, "m2", 4, -1, 2)]
    assert validate(history).status is Status.FAILURE


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (Hashed(9, 1, "m2", 5, -1, 1), "revision: m1 4, m2 5"),
        (Hashed(9, 1, "m2", 4, 3, 1), "compacted revision: m1 -1, m2 3"),
        (Hashed(9, 1, "m2", 4, -1, 2), "hash: m1 1, m2 2"),
    ],
)
def test_members_that_differ_are_a_failure(other, told):
    history = some_world().history()
    history.hashes += [Hashed(9, 1, "m1", 4, -1, 1), other]
    (complaint,) = validate(history).named(REPLICAS).complaints
    assert complaint.text == f"members differ in their {told}"


def test_members_are_compared_within_a_round_only():
    history = some_world().history()
    history.hashes += [Hashed(8, 1, "m1", 3, -1, 7), Hashed(9, 2, "m1", 4, -1, 1)]
    assert validate(history).status is Status.SUCCESS


def past_read(world, request, answer):
    number = len(world.operations)
    call = 10 * number * MS
    world.operations.append(Operation(number, number, request, call, call + MS, Outcome.OK, answer))
    return statuses(world.history())[READS]


def test_reads_of_the_past_are_held_against_it():
    kv = KeyValue("a", "1", 2, 2, 1)
    at_2, stale = Range("a", revision=2), Range("a", serializable=True)
    assert past_read(some_world(), at_2, Ranged(4, (kv,), 1)) is Status.SUCCESS
    assert past_read(some_world(), at_2, Ranged(4, (), 0)) is Status.FAILURE
    assert past_read(some_world(), at_2, Ranged(4, (kv,), 2)) is Status.FAILURE
    assert past_read(some_world(), stale, Ranged(2, (kv,), 1)) is Status.SUCCESS
    assert past_read(some_world(), stale, Ranged(4, (kv,), 1)) is Status.FAILURE


def test_an_answer_from_the_future_is_a_failure_and_a_refusal_is_none():
    later = Range("a", revision=9)
    assert past_read(some_world(), later, Ranged(4, (), 0)) is Status.FAILURE
    assert past_read(some_world(), later, Refused("future-revision")) is Status.SUCCESS


def lease_history(*, kept_alive=(), gone_at, ttl=2):
    """A lease with a key, which is gone when a read comes at *gone_at* seconds."""

    def told(number, request, at, answer):
        call = int(at * SECOND)
        return Operation(number, number, request, call, call + MS, Outcome.OK, answer)

    operations = [
        told(0, Range("", "\0"), 0.0, Ranged(1, (), 0)),
        told(1, Grant(7, ttl), 0.1, Acknowledged(1)),
    ]
    world = World()
    world.state = {"revision": 1, "compacted": -1, "kvs": {}, "leases": (7,)}
    answer = world.do(Put("a", "1", lease=7))
    operations.append(told(2, Put("a", "1", lease=7), 0.2, answer))
    operations += [
        told(3 + number, KeepAlive(7), at, Acknowledged(2)) for number, at in enumerate(kept_alive)
    ]
    operations.append(told(90, Range("a"), gone_at, Ranged(3, (), 0)))
    deletion = Event("delete", KeyValue("a", "", 0, 3, 0), world.states[2]["a"])
    return History(
        Header("etcd"), operations, found={3: (deletion,)}, end=int((gone_at + 1) * SECOND)
    )


def test_a_lease_may_end_by_itself_once_its_time_is_over():
    assert validate(lease_history(gone_at=2.5)).status is Status.SUCCESS


def test_a_lease_that_ends_before_its_time_is_illegal():
    assert statuses(lease_history(gone_at=1.5))["linearizable"] is Status.FAILURE


def test_a_lease_that_is_kept_alive_may_not_end_yet():
    history = lease_history(kept_alive=[1.0, 2.0], gone_at=3.5)
    assert statuses(history)["linearizable"] is Status.FAILURE
    history = lease_history(kept_alive=[1.0, 2.0], gone_at=4.5)
    assert validate(history).status is Status.SUCCESS


def test_small_models_have_no_past_to_be_held_against():
    operations = [
        Operation(0, 0, Put("x", "1"), 0, 1, Outcome.OK, Done()),
        Operation(1, 0, Get("x"), 2, 3, Outcome.OK, Value("1")),
    ]
    found = validate(History(Header("kv"), operations))
    assert found.status is Status.SUCCESS
    names = [each.name for each in found.checks]
    assert names == ["assumptions", "load", "recovery", "linearizable"]


def not_compared(history, *members):
    history.notes += [Note(9, "not compared", {"member": member}) for member in members]
    return validate(history).named(REPLICAS)


def test_a_member_that_could_not_be_compared_is_named_and_no_success():
    history = some_world().history()
    history.hashes += [Hashed(9, 1, "m1", 4, -1, 1), Hashed(9, 1, "m2", 4, -1, 1)]
    check = not_compared(history, "m3", "m3", "m4")
    assert check.status is Status.UNKNOWN
    assert (
        check.reason == "not compared because a status was missing: m3 in 2 rounds, m4 in 1 round"
    )


def test_members_that_differ_are_a_failure_though_another_could_not_be_compared():
    history = some_world().history()
    history.hashes += [Hashed(9, 1, "m1", 4, -1, 1), Hashed(9, 1, "m2", 4, -1, 2)]
    assert not_compared(history, "m3").status is Status.FAILURE


def test_members_of_a_store_without_hashes_are_missed_too():
    operations = [Operation(0, 0, Put("x", "1"), 0, 1, Outcome.OK, Done())]
    history = History(Header("kv"), operations)
    check = not_compared(history, "m3")
    assert check.status is Status.UNKNOWN


def test_members_of_any_store_that_tell_hashes_are_compared():
    operations = [Operation(0, 0, Put("x", "1"), 0, 1, Outcome.OK, Done())]
    hashes = [Hashed(8, 1, f"m{n}", 0, -1, n) for n in (1, 2)]
    assert validate(History(Header("kv"), operations, hashes=hashes)).status is Status.FAILURE


def test_watches_that_are_sent_nothing_at_all_are_no_success():
    history = some_world().history()
    history.streams.append(Stream(1, "w", Watch("a"), 0, error="it is broken"))
    found = validate(history)
    assert found.status is Status.UNKNOWN
    assert "it is broken" in found.named("reliable").reason


def test_a_store_that_does_not_come_back_is_a_failure():
    history = some_world().history()
    history.notes.append(Note(1, "recovered", {"fault": "kill"}))
    assert validate(history).status is Status.SUCCESS
    history.notes.append(Note(2, "not recovered", {"error": "m1 does not serve"}))
    found = validate(history)
    assert found.status is Status.FAILURE
    assert found.named("recovery").complaints[0].text == "m1 does not serve"


def test_an_illegal_history_names_its_smallest_part():
    operations = [
        Operation(0, 0, Put("x", "1"), 0, 1, Outcome.OK, Done()),
        Operation(1, 0, Put("x", "2"), 2, 3, Outcome.OK, Done()),
        Operation(2, 1, Get("x"), 4, 5, Outcome.OK, Value("1")),
    ]
    (complaint,) = validate(History(Header("kv"), operations)).named("linearizable").complaints
    assert "the smallest illegal part:" in complaint.text
    assert "#2 client 1: get x → 1" in complaint.text


def test_a_part_that_is_not_minimal_says_so_and_how_large_it_is():
    found = validate(History(Header("kv"), LONG))
    assert found.core is not None
    large = replace(found.core, operations=tuple(LONG), is_minimal=False)
    text = list(_why(History(Header("kv"), LONG), "why", large, LONG[-1]))
    assert text[1] == "an illegal part, not minimal, of 41 operations:"
    assert "  … and 29 more" in text
    # The ones that are shown are the last before what cannot be explained.
    assert f"  {LONG[-1]}" in text


LONG = [
    *(Operation(n, 0, Put("x", f"{n}"), 2 * n, 2 * n + 1, Outcome.OK, Done()) for n in range(40)),
    Operation(40, 1, Get("x"), 98, 99, Outcome.OK, Value("7")),
]


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(HistoryError, match="unknown model 'zk'; available: register, cas-register"):
        validate(History(Header("zk")))
    assert "etcd" in MODELS
