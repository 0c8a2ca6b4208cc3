"""
Watches: every watcher gets the matching changes, in order, from the revision it asked for.

There is one path from history to a watcher.  A watcher knows the next revision it needs; serving
it means to walk from there to the store's revision as long as its outbox has room.  One that
keeps up is served at every change; one that does not becomes a *victim*, and goes on from where
it stood when its client has taken what waits.  If compaction passes it meanwhile, it is
cancelled: a gap is never served.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from assertlib import Invariant

from .model import Event, KeyRange
from .state import State

__all__ = ["WatchHub", "WatchResponse", "WatchSpec", "Watcher"]

ORDERED = Invariant("watch.ordered")
RELIABLE = Invariant("watch.reliable")
ATOMIC = Invariant("watch.atomic")
RESUMABLE = Invariant("watch.resumable")
BOOKMARKABLE = Invariant("watch.bookmarkable")
NOT_BEFORE_START = Invariant("watch.no-event-before-start")
COMPACTED = Invariant("watch.compacted-cancels")
AFTER_CANCEL = Invariant("watch.no-event-after-cancel")
VICTIM = Invariant("watch.reliable#victim-catches-up")
AHEAD = Invariant("watch.no-event-before-start#starts-ahead")
AT_COMPACTION = Invariant("watch.resumable#opens-at-compaction")
BEHIND = Invariant("watch.bookmarkable#asked-while-behind")

_in_order = ORDERED.declare_always("each response has a higher revision than the one before it")
_from_start = NOT_BEFORE_START.declare_always("a response is not from before the start revision")
_after_bookmark = BOOKMARKABLE.declare_always("no event at or below a bookmark follows it")
_not_cancelled = AFTER_CANCEL.declare_always("nothing is queued for a cancelled watcher")
_not_compacted = COMPACTED.declare_always("a watcher is served only from uncompacted history")
_several = ATOMIC.declare_sometimes("one response carries several changes of one revision")
_from_past = RESUMABLE.declare_sometimes("a watch from a past revision is served from history")
_caught_up = VICTIM.declare_sometimes("a slow watcher becomes a victim and catches up")


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """
    What a client wants to see.

    Attributes:
        start: The first revision of interest, which may be in the future; 0 for the next one.
        prev_kv: Whether events carry the pair before them.
    """

    span: KeyRange
    start: int = 0
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False


@dataclass(frozen=True, slots=True)
class WatchResponse:
    """
    All matching changes of one revision; or, without events, a bookmark or the end.

    A bookmark says that everything up to *revision* has been sent.  The end of a watch names the
    compacted revision if that was the cause, and 0 if the client wanted it.
    """

    watch: int
    revision: int
    events: tuple[Event, ...] = ()
    cancelled: bool = False
    compacted: int = 0

    @property
    def is_bookmark(self) -> bool:
        """Whether it says that everything up to its revision has been sent."""
        return not self.events and not self.cancelled


class Watcher:
    """One watch and its outbox, which holds at most *limit* responses besides the last one."""

    def __init__(
        self, watch: int, spec: WatchSpec, start: int, limit: int, on_ready: Callable[[], None]
    ) -> None:
        self.watch = watch
        self.spec = spec
        self.start = start
        self.next = start
        self.is_victim = False
        self.is_cancelled = False
        self.wants_progress = False
        self._limit = limit
        self._outbox: deque[WatchResponse] = deque()
        self._on_ready = on_ready
        self._last = 0
        self._bookmark = 0

    @property
    def is_full(self) -> bool:
        """Whether the client has to take responses before it gets more."""
        return len(self._outbox) >= self._limit

    def select(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Those of *events* that the client asked for, in the form it asked for."""
        return tuple(self._trim(event) for event in events if self._matches(event))

    def push(self, response: WatchResponse) -> None:
        """Queue *response* for the client."""
        _not_cancelled(not self.is_cancelled, lambda: {"response": response})
        if response.events:
            self._check_events(response)
            self._last = response.revision
        elif response.is_bookmark:
            self._bookmark = response.revision
        self.is_cancelled = response.cancelled
        self._outbox.append(response)
        self._on_ready()

    def take(self) -> tuple[WatchResponse, ...]:
        """Everything queued; `WatchHub.serve` then fills the outbox again."""
        taken = tuple(self._outbox)
        self._outbox.clear()
        return taken

    def _matches(self, event: Event) -> bool:
        unwanted = self.spec.no_put if event.kind == "put" else self.spec.no_delete
        return not unwanted and event.kv.key in self.spec.span

    def _trim(self, event: Event) -> Event:
        return event if self.spec.prev_kv else Event(event.kind, event.kv)

    def _check_events(self, response: WatchResponse) -> None:
        revision = response.revision
        _in_order(revision > self._last, lambda: {"last": self._last, "new": revision})
        _from_start(revision >= self.start, lambda: {"start": self.start, "revision": revision})
        _after_bookmark(revision > self._bookmark, lambda: {"bookmark": self._bookmark})
        _several(len(response.events) > 1)


class WatchHub:
    """All watchers of a store."""

    def __init__(self, state: State, limit: int) -> None:
        self._state = state
        self._limit = limit
        self._watchers: dict[int, Watcher] = {}
        self._last_watch = 0

    def open(self, spec: WatchSpec, on_ready: Callable[[], None]) -> Watcher:
        """Begin a watch; *on_ready* is called whenever its outbox has got something."""
        newest = self._state.revision
        self._last_watch += 1
        watcher = Watcher(self._last_watch, spec, spec.start or newest + 1, self._limit, on_ready)
        self._watchers[watcher.watch] = watcher
        AHEAD.sometimes(spec.start > newest + 1, "a watch starts in the future")
        AT_COMPACTION.sometimes(
            0 < spec.start == self._state.compacted,
            "a watch opens exactly at the compacted revision",
        )
        _from_past(self._state.compacted <= watcher.start <= newest)
        self.serve(watcher)
        return watcher

    def publish(self) -> None:
        """The store's revision or compacted revision has moved."""
        for watcher in tuple(self._watchers.values()):
            self.serve(watcher)
            if watcher.next <= self._state.revision:
                watcher.is_victim = True
                RELIABLE.sometimes_greater_than(
                    self._state.revision - watcher.next, 0, "a victim is several revisions behind"
                )

    def serve(self, watcher: Watcher) -> None:
        """Bring *watcher* as far as its outbox allows."""
        if watcher.is_cancelled:
            return
        while watcher.next <= self._state.revision and not watcher.is_full:
            if watcher.next < self._state.compacted:
                self._cancel_compacted(watcher)
                return
            self._deliver(watcher, watcher.next)
            watcher.next += 1
        if watcher.next > self._state.revision:
            self._in_sync(watcher)

    def request_progress(self, watch: int) -> None:
        """Send a bookmark as soon as the watcher is in sync."""
        watcher = self._watchers.get(watch)
        if watcher is None:
            return
        BEHIND.sometimes(
            watcher.next <= self._state.revision, "progress is requested on a watch that is behind"
        )
        watcher.wants_progress = True
        self.serve(watcher)

    def cancel(self, watch: int) -> None:
        """End a watch at its client's wish; what still waits for it is dropped."""
        watcher = self._watchers.pop(watch, None)
        if watcher is not None:
            watcher.take()
            watcher.push(WatchResponse(watch, self._state.revision, cancelled=True))

    def __len__(self) -> int:
        return len(self._watchers)

    def _deliver(self, watcher: Watcher, revision: int) -> None:
        _not_compacted(
            revision >= self._state.compacted, lambda: {"compacted": self._state.compacted}
        )
        events = watcher.select(self._state.events_at(revision))
        if events:
            watcher.push(WatchResponse(watcher.watch, revision, events))

    def _in_sync(self, watcher: Watcher) -> None:
        _caught_up(watcher.is_victim)
        watcher.is_victim = False
        if watcher.wants_progress and watcher.start <= self._state.revision + 1:
            watcher.wants_progress = False
            watcher.push(WatchResponse(watcher.watch, self._state.revision))

    def _cancel_compacted(self, watcher: Watcher) -> None:
        COMPACTED.sometimes(watcher.is_victim, "compaction passes a victim, which is cancelled")
        COMPACTED.sometimes(
            not watcher.is_victim, "a watch below the compacted revision is cancelled"
        )
        del self._watchers[watcher.watch]
        compacted = self._state.compacted
        watcher.push(WatchResponse(watcher.watch, self._state.revision, (), True, compacted))
