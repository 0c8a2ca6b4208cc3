"""Watches: what is delivered, when, and what happens to those that do not keep up."""

from collections.abc import Callable

import pytest
from kvstore.model import (
    Command,
    Compact,
    DeleteRange,
    Event,
    KeyRange,
    KeyValue,
    Put,
    Txn,
)
from kvstore.state import State
from kvstore.watch import Watcher, WatchHub, WatchResponse, WatchSpec

EVERYTHING = KeyRange.everything()


class Room:
    """A state, its watchers, and the commands that both get to see."""

    def __init__(self, limit: int = 100) -> None:
        self.state = State()
        self.hub = WatchHub(self.state, limit)
        self.calls = 0

    def do(self, *commands: Command) -> None:
        for command in commands:
            self.state.apply(self.state.applied_index + 1, command)
            self.hub.publish()

    def watch(self, span: KeyRange = EVERYTHING, start: int = 0, **options: bool) -> Watcher:
        return self.hub.open(WatchSpec(span, start, **options), self._called)

    def drain(self, watcher: Watcher) -> list[WatchResponse]:
        """Take and be served until nothing more comes."""
        responses: list[WatchResponse] = []
        while taken := watcher.take():
            responses += taken
            self.hub.serve(watcher)
        return responses

    def _called(self) -> None:
        self.calls += 1


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def narrow() -> Callable[[int], Room]:
    return lambda limit: Room(limit)


def revisions(responses: list[WatchResponse]) -> list[int]:
    return [response.revision for response in responses]


def puts(*values: str) -> list[Command]:
    return [Put("a", value) for value in values]


def test_a_watch_without_a_start_sees_what_comes_after_it(room: Room) -> None:
    room.do(*puts("1"))
    watcher = room.watch()
    room.do(*puts("2", "3"))
    assert revisions(room.drain(watcher)) == [3, 4]
    assert room.calls == 2


def test_a_watch_from_the_past_is_served_from_history(room: Room) -> None:
    room.do(*puts("1", "2", "3"))
    watcher = room.watch(start=3)
    room.do(*puts("4"))
    assert revisions(room.drain(watcher)) == [3, 4, 5]


def test_a_watch_from_the_future_waits(room: Room) -> None:
    watcher = room.watch(start=4)
    room.do(*puts("1", "2", "3"))
    assert revisions(room.drain(watcher)) == [4]


def test_a_transaction_arrives_in_one_response(room: Room) -> None:
    watcher = room.watch()
    room.do(Txn(success=(Put("a", "1"), Put("b", "1"))))
    (response,) = room.drain(watcher)
    assert [event.kv.key for event in response.events] == ["a", "b"]


def test_a_watch_sees_its_range_and_nothing_else(room: Room) -> None:
    watcher = room.watch(KeyRange("b", "d"))
    room.do(*(Put(key, "x") for key in "abcd"))
    assert revisions(room.drain(watcher)) == [3, 4]


def test_filters_take_one_kind_of_event_away(room: Room) -> None:
    without_puts = room.watch(no_put=True)
    without_deletes = room.watch(no_delete=True)
    room.do(Put("a", "1"), DeleteRange(EVERYTHING))
    assert revisions(room.drain(without_puts)) == [3]
    assert revisions(room.drain(without_deletes)) == [2]


def test_events_carry_the_pair_before_them_when_asked(room: Room) -> None:
    watcher = room.watch(prev_kv=True)
    room.do(Put("a", "1"), Put("a", "2"), DeleteRange(KeyRange("a")))
    first, second = KeyValue("a", "1", 2, 2, 1), KeyValue("a", "2", 2, 3, 2)
    tombstone = KeyValue("a", "", 0, 4, 0)
    assert [event for response in room.drain(watcher) for event in response.events] == [
        Event("put", first),
        Event("put", second, first),
        Event("delete", tombstone, second),
    ]


def test_only_the_first_put_of_a_generation_creates(room: Room) -> None:
    watcher = room.watch()
    room.do(*puts("1", "2"), DeleteRange(KeyRange("a")), *puts("3"))
    creates = [event.is_create for response in room.drain(watcher) for event in response.events]
    assert creates == [True, False, False, True]


def test_a_slow_watcher_becomes_a_victim_and_misses_nothing(
    narrow: Callable[[int], Room],
) -> None:
    room = narrow(2)
    watcher = room.watch()
    room.do(*puts("1", "2", "3", "4", "5"))
    assert watcher.is_victim
    assert revisions(room.drain(watcher)) == [2, 3, 4, 5, 6]
    assert not watcher.is_victim


def test_a_victim_that_compaction_passes_is_cancelled_and_told_why(
    narrow: Callable[[int], Room],
) -> None:
    room = narrow(2)
    watcher = room.watch()
    room.do(*puts("1", "2", "3", "4", "5"), Compact(6))
    *delivered, end = room.drain(watcher)
    assert revisions(delivered) == [2, 3]
    assert (end.cancelled, end.compacted) == (True, 6)
    room.do(*puts("6"))
    assert room.drain(watcher) == []


def test_a_watch_below_the_compaction_is_cancelled_and_one_at_it_is_served(room: Room) -> None:
    room.do(Put("a", "1"), DeleteRange(KeyRange("a")), Compact(3))
    (end,) = room.drain(room.watch(start=2))
    assert (end.cancelled, end.compacted, len(room.hub)) == (True, 3, 0)
    (response,) = room.drain(room.watch(start=3))
    assert [event.kind for event in response.events] == ["delete"]


def test_a_bookmark_waits_until_the_watcher_is_in_sync(narrow: Callable[[int], Room]) -> None:
    room = narrow(2)
    watcher = room.watch()
    room.do(*puts("1", "2", "3"))
    room.hub.request_progress(watcher.watch)
    *delivered, bookmark = room.drain(watcher)
    assert revisions(delivered) == [2, 3, 4]
    assert bookmark.is_bookmark
    assert bookmark.revision == 4


def test_a_bookmark_for_a_future_watch_waits_for_its_start(room: Room) -> None:
    watcher = room.watch(start=4)
    room.hub.request_progress(watcher.watch)
    room.do(*puts("1"))
    assert room.drain(watcher) == []
    room.do(*puts("2"))
    assert [response.is_bookmark for response in room.drain(watcher)] == [True]


def test_a_cancelled_watch_gets_its_end_and_then_nothing(room: Room) -> None:
    watcher = room.watch()
    room.do(*puts("1"))
    room.hub.cancel(watcher.watch)
    room.hub.cancel(watcher.watch)
    room.hub.request_progress(watcher.watch)
    room.do(*puts("2"))
    (end,) = room.drain(watcher)
    assert (end.cancelled, end.compacted) == (True, 0)


def test_a_watch_id_is_never_used_again(room: Room) -> None:
    first = room.watch()
    room.hub.cancel(first.watch)
    assert room.watch().watch != first.watch
