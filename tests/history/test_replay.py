"""
The store's past, put together from what clients were told and what the store shows.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.history.etcd import Etcd
from assertlib.history.linearizability import Verdict, check
from assertlib.history.operations import Operation, Outcome
from assertlib.history.replay import Replay, resolve
from assertlib.history.requests import (
    Acknowledged,
    Delete,
    Event,
    Grant,
    KeyValue,
    Put,
    Range,
    Revoke,
)

from .second_opinion import in_range
from .worlds import World, worlds


@settings(max_examples=400)
@given(worlds(lossy=True), st.data())
def test_the_replay_is_what_the_store_did(world, data):
    replay = Replay(resolve(world.operations, world.found()), world.found())
    assert replay.last == world.last
    assert replay.unknown == []
    for revision in range(2, world.last + 1):
        assert list(replay.events(revision, revision)) == world.events[revision]
    revision = data.draw(st.integers(1, world.last))
    request = data.draw(st.sampled_from([Range("a"), Range("a", "c"), Range("b", "\0", limit=1)]))
    expected = in_range({"kvs": world.states[revision]}, request, revision)
    assert replay.range(request, revision) == expected


@settings(max_examples=300)
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


@settings(max_examples=600)
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
    assert Replay(resolved, found).unknown == [gone]
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
