"""
The nine checks of watches: nothing to say about correct ones, and each planted fault found.
"""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assertlib.history.replay import Replay
from assertlib.history.requests import Delivery, Put, Range, Watch
from assertlib.history.validation import Status, validate
from assertlib.history.watches import CHECKS, check_against, check_stream

from ..forms import by_form
from .worlds import MS, World, streams, worlds, worlds_with_streams


def complaints(world, stream):
    replay = Replay(world.operations, world.found())
    assert replay.unknown is None
    return {each.check for each in (*check_stream(stream), *check_against(stream, replay))}


@settings(max_examples=by_form(75, 600))
@given(worlds_with_streams(lossy=True))
def test_correct_watches_are_not_complained_of(made):
    world, watched = made
    for stream in watched:
        assert complaints(world, stream) == set()


@settings(max_examples=by_form(37, 300))
@given(worlds_with_streams(lossy=True))
def test_a_correct_history_is_a_success_from_end_to_end(made):
    world, watched = made
    found = validate(world.history(watched, world.found()))
    assert found.status is Status.SUCCESS, [each for each in found.checks if each.complaints]


def altered(stream, *deliveries):
    timed = [(10 * at * MS, delivery) for at, delivery in enumerate(deliveries)]
    return replace(stream, deliveries=timed)


def sent(stream):
    return [delivery for _, delivery in stream.deliveries]


def events_of(stream):
    return [event for delivery in sent(stream) for event in delivery.events]


def at_once(stream, events, *, revision=None, progress=False):
    """The same watch, sent *events* in one delivery."""
    last = revision or events[-1].kv.mod_revision
    deliveries = [Delivery(1, created=True), Delivery(last, tuple(events))]
    if progress:
        deliveries.append(Delivery(last))
    return altered(stream, *deliveries)


@st.composite
def watched(draw, *, least, prev_kv=False, start=True, key="a", end="z"):
    """A world and a watch of all of it that was sent at least so many events."""
    world = draw(worlds(least=3))
    request = Watch(key, end, 1 if start else 0, prev_kv=prev_kv)
    stream = draw(streams(world, request))
    everything = [event for events in world.wanted(request, 2, world.last) for event in events]
    assume(len(everything) >= least)
    return world, at_once(stream, everything)


@given(watched(least=1), st.data())
def test_an_event_that_was_not_asked_for_breaks_filter(made, data):
    world, stream = made
    event = data.draw(st.sampled_from(events_of(stream)))
    narrowed = replace(stream, request=replace(stream.request, key="zz", end=""))
    assert "filter" in complaints(world, narrowed)
    unwanted = replace(stream, request=replace(stream.request, filters=(event.kind,)))
    assert "filter" in complaints(world, unwanted)


@given(watched(least=2))
def test_an_event_from_before_breaks_ordered(made):
    world, stream = made
    events = events_of(stream)
    assume(events[0].kv.mod_revision < events[-1].kv.mod_revision)
    assert "ordered" in complaints(world, at_once(stream, [events[-1], *events[:-1]]))


@given(watched(least=1), st.data())
def test_an_event_that_comes_twice_breaks_unique(made, data):
    world, stream = made
    events = events_of(stream)
    again = data.draw(st.integers(0, len(events) - 1))
    twice = [*events[: again + 1], *events[again:]]
    assert "unique" in complaints(world, at_once(stream, twice))


@given(watched(least=2), st.data())
def test_a_revision_in_two_deliveries_breaks_atomic(made, data):
    world, stream = made
    events = events_of(stream)
    splits = [
        at
        for at in range(1, len(events))
        if events[at].kv.mod_revision == events[at - 1].kv.mod_revision
    ]
    assume(splits)
    at = data.draw(st.sampled_from(splits))
    parts = [Delivery(world.last, tuple(part)) for part in (events[:at], events[at:])]
    assert "atomic" in complaints(world, altered(stream, *parts))


@given(watched(least=1), st.data())
def test_an_event_after_its_bookmark_breaks_bookmarkable(made, data):
    world, stream = made
    events = events_of(stream)
    ahead = data.draw(st.integers(events[0].kv.mod_revision, world.last))
    early = altered(stream, Delivery(ahead), Delivery(world.last, tuple(events)))
    assert "bookmarkable" in complaints(world, early)


@given(watched(least=1), st.integers(1, 5))
def test_a_bookmark_that_goes_back_breaks_bookmarkable(made, back):
    world, stream = made
    last = events_of(stream)[-1].kv.mod_revision
    later = altered(stream, *sent(stream), Delivery(last), Delivery(last - back))
    assert "bookmarkable" in complaints(world, later)


@given(watched(least=2))
def test_a_first_event_that_is_not_the_first_breaks_resumable(made):
    world, stream = made
    events = events_of(stream)
    first = events[0].kv.mod_revision
    rest = [event for event in events if event.kv.mod_revision > first]
    assume(rest)
    assert "resumable" in complaints(world, at_once(stream, rest))


@given(watched(least=1), st.data())
def test_a_wrong_word_about_creation_breaks_is_create(made, data):
    world, stream = made
    events = events_of(stream)
    puts = [at for at, event in enumerate(events) if event.kind == "put"]
    assume(puts)
    at = data.draw(st.sampled_from(puts))
    kv = events[at].kv
    version = 2 if kv.version == 1 else 1
    events[at] = events[at]._replace(kv=kv._replace(version=version))
    assert "is-create" in complaints(world, at_once(stream, events))


@given(watched(least=3), st.data())
def test_an_event_that_is_left_out_breaks_reliable(made, data):
    world, stream = made
    events = events_of(stream)
    gone = data.draw(st.integers(1, len(events) - 2))
    assert "reliable" in complaints(world, at_once(stream, events[:gone] + events[gone + 1 :]))


@given(watched(least=1))
def test_a_last_event_that_is_left_out_breaks_reliable_once_progress_is_told(made):
    world, stream = made
    events = events_of(stream)
    last = events[-1].kv.mod_revision
    short = altered(stream, Delivery(last, tuple(events[:-1])), Delivery(last))
    assert "reliable" in complaints(world, short)


@given(watched(least=1), st.data())
def test_an_event_that_never_happened_breaks_reliable(made, data):
    world, stream = made
    events = events_of(stream)
    at = data.draw(st.integers(0, len(events) - 1))
    kv = events[at].kv
    events[at] = events[at]._replace(kv=kv._replace(value="never written"))
    assert "reliable" in complaints(world, at_once(stream, events))


@given(watched(least=1, prev_kv=True), st.data())
def test_a_wrong_pair_before_breaks_prev_kv(made, data):
    world, stream = made
    events = events_of(stream)
    replaced = [at for at, event in enumerate(events) if event.previous is not None]
    assume(replaced)
    at = data.draw(st.sampled_from(replaced))
    wrong = events[at].previous._replace(value="another")
    events[at] = events[at]._replace(previous=wrong)
    assert "prev-kv" in complaints(world, at_once(stream, events))
    # It may be gone by compaction, so none at all is no fault.
    events[at] = events[at]._replace(previous=None)
    assert complaints(world, at_once(stream, events)) == set()


@settings(max_examples=by_form(25, 50))
@given(worlds_with_streams())
def test_every_check_is_named_in_the_verdict(made):
    world, watched = made
    names = [each.name for each in validate(world.history(watched)).checks]
    assert set(CHECKS) <= set(names)


@settings(max_examples=by_form(20, 100))
@given(worlds(lossy=True), st.data())
def test_a_revision_without_content_leaves_the_checks_that_need_it_undecided(world, data):
    world.do(Put("a", "lost"), answered=False)
    gone = world.last
    world.do(Put("a", "told"))
    stream = data.draw(streams(world))
    found = world.found()
    del found[gone]
    result = validate(world.history([stream], found))
    assert result.named("reliable").status is Status.UNKNOWN
    assert f"the changes in revision {gone} are unknown" in result.named("reliable").reason
    assert result.status is Status.UNKNOWN


@pytest.mark.parametrize("name", CHECKS)
def test_after_an_illegal_order_nothing_is_held_against_the_past(name):
    world = two_puts()
    wrong = world.operations[1]
    answer = replace(wrong.response, revision=wrong.response.revision + 7)
    world.operations[1] = replace(wrong, response=answer)
    result = validate(world.history())
    assert result.named("linearizable").status is Status.FAILURE
    assert result.named(name).status is Status.NOT_CHECKED


def two_puts():
    world = World()
    world.do(Range("", "\0"))
    world.do(Put("a", "1"))
    world.do(Put("a", "2"))
    return world
