"""
The store's past, put together from what clients were told and what the store shows.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.history.etcd import Etcd
from assertlib.history.history import History, Stream
from assertlib.history.linearizability import check
from assertlib.history.operations import Operation, Outcome
from assertlib.history.records import Header
from assertlib.history.replay import Replay, resolve
from assertlib.history.requests import (
    Acknowledged,
    Committed,
    Delete,
    Delivery,
    Done,
    Event,
    Grant,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Refused,
    Revoke,
    Watch,
)
from assertlib.history.search import Verdict
from assertlib.history.validation import Status, validate

from ..forms import by_form
from .second_opinion import in_range
from .worlds import World, worlds


@settings(max_examples=by_form(50, 400))
@given(worlds(lossy=True), st.data())
def test_the_replay_is_what_the_store_did(world, data):
    replay = Replay(resolve(world.operations, world.found()), world.found())
    assert replay.last == world.last
    assert replay.unknown is None
    for revision in range(2, world.last + 1):
        assert list(replay.events(revision, revision)) == world.events[revision]
    revision = data.draw(st.integers(1, world.last))
    request = data.draw(st.sampled_from([Range("a"), Range("a", "c"), Range("b", "\0", limit=1)]))
    expected = in_range({"kvs": world.states[revision]}, request, revision)
    assert replay.range(request, revision) == expected


@settings(max_examples=by_form(37, 300))
@given(worlds(lossy=True))
def test_what_became_of_requests_without_an_answer_is_found_out(world):
    resolved = {each.id: each for each in resolve(world.operations, world.found())}
    for each in world.operations:
        if each.outcome is Outcome.UNKNOWN and isinstance(each.request, Put):
            revisions = [
                revision
                for revision, events in world.events.items()
                if any(event.kv.value == each.request.value for event in events)
            ]
            if revisions:
                assert resolved[each.id].revision == revisions[0]
            else:
                assert resolved[each.id].outcome is Outcome.NOT_APPLIED


@settings(max_examples=by_form(75, 600))
@given(worlds(lossy=True), st.data())
def test_what_was_found_out_keeps_a_legal_history_legal(world, data):
    late = 10**12
    never = Operation(99, "late", Put("a", "never"), late)
    neither = Operation(98, "late", Delete(data.draw(st.sampled_from(["a", "b"]))), late)
    resolved = resolve([*world.operations, neither, never], world.found())
    assert check(Etcd(), resolved).verdict is Verdict.OK
    assert resolved[-1].outcome is Outcome.NOT_APPLIED
    assert resolved[-2].revision is None


@given(worlds(lossy=True))
def test_a_write_is_not_given_up_while_a_revision_is_unknown(world):
    world.do(Put("a", "lost"), answered=False)
    gone = world.last
    world.do(Put("a", "told"))
    found = world.found()
    del found[gone]
    resolved = resolve(world.operations, found)
    assert Replay(resolved, found).unknown == gone
    assert all(each.outcome is not Outcome.NOT_APPLIED for each in resolved)


def test_two_writes_that_may_both_have_done_it_are_left_open():
    world = World()
    world.do(Put("a", "1"))
    world.do(Delete("a"), answered=False)
    again = replace(world.operations[-1], id=5)
    resolved = resolve([*world.operations, again], world.found())
    assert [each.revision for each in resolved] == [None, None, None]


def test_revisions_that_two_writes_claim_are_named():
    world = World()
    world.do(Put("a", "1"))
    twin = replace(world.operations[0], id=5, request=Put("b", "2"))
    assert Replay([*world.operations, twin], {}).forked == {2}


def test_a_revoked_lease_takes_its_keys_along_in_one_revision():
    def told(number, request, revision):
        answer = Acknowledged(revision)
        return Operation(number, 0, request, number, number, Outcome.OK, answer)

    world = World()
    world.operations.append(told(0, Grant(7, 60), 1))
    world.state = {"revision": 1, "compacted": -1, "kvs": {}, "leases": (7,)}
    world.do(Put("a", "1", lease=7))
    world.do(Put("b", "2", lease=7))
    world.operations.append(told(9, Revoke(7), 4))
    events = list(Replay(world.operations, {}).events(4, 4))
    assert events == [
        Event("delete", KeyValue(key, "", 0, 4, 0), world.states[3][key]) for key in ("a", "b")
    ]


OK, LOST = Outcome.OK, Outcome.UNKNOWN
SECOND = 10**9
EMPTY = Operation(0, 0, Range("", "\0"), 0, 1, OK, Ranged(1, (), 0))
GONE = Event("delete", KeyValue("a", "", 0, 3, 0), KeyValue("a", "1", 2, 2, 1, 7))


def judged(*operations, found=None, streams=(), end=20):
    history = History(Header("etcd"), [EMPTY, *operations], list(streams), found=found or {})
    history.end = end
    return validate(history).status


def test_what_a_read_shows_and_nobody_was_told_of_is_no_failure():
    seen = Ranged(2, (KeyValue("a", "1", 2, 2, 1),), 1)
    lost = Operation(1, 1, Put("a", "1"), 2, 3, LOST)
    assert judged(lost, Operation(2, 0, Range("a"), 4, 5, OK, seen)) is not Status.FAILURE


def test_what_a_watch_shows_and_nobody_was_told_of_is_no_failure():
    put = Event("put", KeyValue("a", "1", 2, 2, 1))
    deliveries = [(0, Delivery(1, created=True)), (4, Delivery(2, (put,)))]
    stream = Stream(9, "w", Watch("a"), 0, deliveries=deliveries)
    lost = Operation(1, 1, Put("a", "1"), 2, None, LOST)
    assert judged(lost, streams=[stream]) is Status.UNKNOWN


def with_a_lease(*more, ttl=60):
    return (
        Operation(1, 1, Grant(7, ttl), 2, 3, OK, Acknowledged(1)),
        Operation(2, 1, Put("a", "1", 7), 4, 5, OK, Committed(2, True, (Done(),))),
        *more,
    )


def test_a_deletion_without_an_answer_may_come_before_a_revocation_that_would_do_the_same():
    operations = with_a_lease(
        Operation(3, 2, Delete("a"), 6, 7, LOST),
        Operation(4, 0, Range("a"), 8, 9, OK, Ranged(3, (), 0)),
        Operation(5, 1, Revoke(7), 10, 11, OK, Acknowledged(3)),
    )
    assert judged(*operations, found={3: (GONE,)}) is Status.SUCCESS


def test_a_keep_alive_that_is_refused_keeps_nothing_alive():
    gone = Operation(3, 0, Range("a"), 3 * SECOND, 3 * SECOND + 1, OK, Ranged(3, (), 0))
    late = Operation(
        4, 1, KeepAlive(7), 3 * SECOND + 2, 3 * SECOND + 3, OK, Refused("lease-not-found")
    )
    operations = with_a_lease(gone, late, ttl=2)
    assert judged(*operations, found={3: (GONE,)}, end=9 * SECOND) is Status.SUCCESS


def test_a_lease_whose_number_is_granted_again_may_have_ended_before():
    gone = Operation(3, 0, Range("a"), 3 * SECOND, 3 * SECOND + 1, OK, Ranged(3, (), 0))
    again = Operation(4, 1, Grant(7, 60), 4 * SECOND, 4 * SECOND + 1, OK, Acknowledged(3))
    operations = with_a_lease(gone, again, ttl=2)
    assert judged(*operations, found={3: (GONE,)}, end=9 * SECOND) is Status.SUCCESS


def test_a_lease_is_there_though_its_grant_got_no_answer():
    put = Put("a", "1", lease=7)
    grant = Operation(1, 1, Grant(7, 60), 2, 3, LOST)
    told = Operation(2, 1, put, 4, 5, OK, Committed(2, True, (Done(),)))
    event = Event("put", KeyValue("a", "1", 2, 2, 1, 7))
    deliveries = [(0, Delivery(1, created=True)), (6, Delivery(2, (event,)))]
    stream = Stream(9, "w", Watch("a", revision=2), 0, deliveries=deliveries)
    assert judged(grant, told, streams=[stream]) is Status.SUCCESS
    lost = replace(told, outcome=LOST, response=None)
    seen = Ranged(2, (event.kv,), 1)
    read = Operation(3, 0, Range("a"), 6, 7, OK, seen)
    assert judged(grant, lost, read, found={2: (event,)}) is Status.SUCCESS


def test_a_revision_out_of_all_proportion_is_judged_in_no_time():
    wild = Operation(1, 1, Put("a", "1"), 2, 3, OK, Committed(10**12, True, (Done(),)))
    assert judged(wild) is Status.FAILURE


def test_leases_whose_numbers_hash_alike_are_not_taken_for_each_other():
    one, other = 5, 5 + 2**61 - 1
    operations = [
        Operation(0, 0, Grant(one, 60), 0, 1, OK, Acknowledged(1)),
        Operation(1, 0, Grant(other, 60), 2, 3, OK, Acknowledged(1)),
        Operation(2, 1, Put("a", "1", one), 4),
        Operation(3, 2, Put("a", "1", other), 4),
        Operation(4, 3, Put("b", "x"), 5, 6, OK, Committed(4, True, (Done(),))),
        Operation(5, 3, Range("a"), 7, 8, OK, Ranged(4, (KeyValue("a", "1", 2, 3, 2, one),), 1)),
    ]
    assert check(Etcd(), operations).verdict is Verdict.OK
