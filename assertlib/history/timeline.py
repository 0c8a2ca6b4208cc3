"""
A history as an HTML page: operations by client and time, with violations marked.

The page is self-contained.  Its data is embedded as JSON, and keys and values are always rendered
as text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypeVar

from .._text import html_page
from .history import FaultInterval, History, Stream
from .operations import ClientId, Operation, Outcome
from .records import Hashed
from .requests import Committed, Delivery, Event, KeyValue, Ranged, Response
from .text import event_in_words, request_in_words, response_in_words, watch_in_words
from .validation import LINEARIZABLE, READS, Check, Validation
from .watches import Complaint, is_progress

T = TypeVar("T")
_call = attrgetter("call")

ALL = 20_000
"""Up to this number, all operations are shown, and all deliveries; of more, only a part."""
PART = 10_000
"""Number of operations, and of deliveries, in that part."""
STILL_OPEN = 1_000
"""Maximum number of earlier operations that may take effect in that part and are added to it."""
COMPLAINTS = 200
"""Maximum number of complaints listed for each check."""
ROOM = 16_000_000
"""Approximate number of characters for all requests, and for all responses and deliveries."""

_KINDS = ("read", "write", "txn", "lease", "compaction")
_KIND_OF = {
    **dict.fromkeys(("get", "range"), "read"),
    **dict.fromkeys(("put", "append", "swap", "delete"), "write"),
    **dict.fromkeys(("grant", "revoke", "keep-alive"), "lease"),
    "txn": "txn",
    "compact": "compaction",
}
# Control characters, and those that are invisible or change the direction of text: a hostile key
# must not look like another one.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def timeline(history: History, validation: Validation) -> str:
    """Render the HTML page of *history* with the results of *validation*."""
    return html_page.render(__package__, "timeline.html", _Content(history, validation).whole())


class _Content:
    """The data of the page; what is numerous is stored as lists without field names."""

    def __init__(self, history: History, validation: Validation) -> None:
        self._history, self._validation = history, validation
        found = validation.linearization
        self._order = found.order if found else ()
        self._stuck = found.stuck if found else None
        self._placed = {each.id: number for number, each in enumerate(self._order, 1)}
        core = validation.core
        self._core = [each.id for each in core.operations] if core else []
        self._related = [each.id for each in core.related] if core else []
        self._opened = {each.id: each.opened for each in history.streams}
        # As recorded: expiries are missing from it, and inferred outcomes differ from it.
        self._outcomes = {each.id: each.outcome for each in history.operations}
        self._focus = self._stuck.call if self._stuck else self._first_complaint()
        self._choose_operations()
        self._choose_deliveries()
        # Shared evenly, so that the size of the page is bounded however the text is distributed.
        self._limit = ROOM // max(1_000, len(self._operations) + self._delivered[0])

    def whole(self) -> dict[str, object]:
        history = self._history
        lanes = {client: lane for lane, client in enumerate(_clients(self._operations))}
        return {
            "about": [*_about(history)],
            "status": self._validation.status,
            "checks": [self._check(each) for each in self._validation.checks],
            # Histories built in memory need not have an end.
            "end": max((history.end, 1, *(each.returned or 0 for each in self._operations))),
            "part": self._part_in_words(),
            "focus": self._focus,
            "windows": [self._operations_window, self._deliveries_window],
            "clients": [_lane(client) for client in lanes],
            "kinds": _KINDS,
            "operations": [self._operation(each, lanes) for each in self._operations],
            "order": len(self._order),
            "stuck": self._stuck.id if self._stuck else None,
            "core": self._core,
            "related": self._related,
            "streams": [self._stream(each) for each in history.streams],
            "faults": [_fault(each) for each in history.faults],
            "hashes": [*_hashes(history.hashes)],
        }

    def _first_complaint(self) -> int | None:
        complaints = (each for check in self._validation.checks for each in check.complaints)
        return next((time for each in complaints if (time := self._time(each)) is not None), None)

    def _time(self, complaint: Complaint) -> int | None:
        """Return the time to show for *complaint*; None if it concerns no moment."""
        # 0 is the default; a missing time falls back to the start of the watch.
        if complaint.time:
            return complaint.time
        return self._opened.get(complaint.watch) if complaint.watch is not None else None

    def _choose_operations(self) -> None:
        # Nothing is judged if an assumption about the test does not hold.
        judged = self._validation.operations or self._history.operations
        operations = sorted((each for each in judged if each.id in self._outcomes), key=_call)
        first, last = _part(operations, self._focus, _call)
        begin, end = self._operations_window = _window(operations, first, last, _call)
        # These overlap the part or may still take effect in it; of many, the latest calls are kept.
        before = [
            each
            for each in operations[:first]
            if each.outcome is Outcome.UNKNOWN or (each.returned or 0) >= begin
        ][-STILL_OPEN:]
        chosen = {each.id: each for each in (*before, *operations[first:last])}
        # Lease expiries belong to no client; only those that the order uses explain anything.
        ends_of_leases = (id for id in self._placed if id not in self._outcomes)
        core = self._core if len(self._core) <= STILL_OPEN else ()
        wanted = {*core, *self._related, *ends_of_leases}
        late = self._history.end if end is None else end
        chosen |= {each.id: each for each in judged if each.id in wanted and each.call <= late}
        self._shown = len(chosen.keys() & self._outcomes.keys()), len(operations)
        self._operations = sorted(chosen.values(), key=_call)

    def _choose_deliveries(self) -> None:
        times = sorted(time for each in self._history.streams for time, _ in each.deliveries)
        first, last = _part(times, self._focus, int)
        self._deliveries_window = _window(times, first, last, int)
        self._delivered = last - first, len(times)

    def _part_in_words(self) -> str:
        """Describe the part that is shown; empty if that is everything."""
        counts = ((*self._shown, "operations"), (*self._delivered, "deliveries of watches"))
        partial = [f"{part:,} of {count:,} {name}" for part, count, name in counts if part < count]
        what = "operation that cannot be placed" if self._stuck else "complaint"
        where = f"around the first {what} at {_ms(self._focus)}"
        if self._focus is None:
            where = "from the beginning"
        return (
            f"{' and '.join(partial)}, {where}; the others are not on this page." if partial else ""
        )

    def _text(self, *lines: str) -> str:
        text = "\n".join(_visible(each) for each in lines)
        if len(text) <= self._limit:
            return text
        return f"{text[: self._limit]} … ({len(text):,} characters)"

    def _check(self, check: Check) -> list[object]:
        complaints = [
            (self._text(*each.text.split("\n")), each.watch, self._time(each))
            for each in check.complaints[:COMPLAINTS]
        ]
        about = [check.name, check.status, check.judged, check.reason, complaints]
        return [*about, len(check.complaints), check.name in {LINEARIZABLE, READS}]

    def _operation(self, operation: Operation, lanes: dict[ClientId, int]) -> list[object]:
        answer = operation.response
        lines = [*_answer(answer)] if answer else [operation.error]
        # The recorded outcome is what the client knew, the other one was inferred later.
        if self._outcomes.get(operation.id, operation.outcome) is not operation.outcome:
            lines.append(
                "its client received no response; the outcome is inferred from the store's contents"
            )
        return [
            operation.id,
            lanes[operation.client],
            _KINDS.index(_KIND_OF[operation.request.op]),
            operation.call,
            # A duration has fewer digits than a time.
            None if operation.returned is None else operation.returned - operation.call,
            operation.outcome,
            self._text(request_in_words(operation.request)),
            self._text(*lines),
            operation.endpoint,
            getattr(answer, "revision", None) or operation.revision,
            # Positions count from 1; the page takes 0 for an operation outside the order.
            self._placed.get(operation.id, 0),
        ]

    def _stream(self, stream: Stream) -> list[object]:
        begin, end = self._deliveries_window
        shown = [
            (time, _sort(delivery), self._text(*_delivery(delivery)))
            for time, delivery in stream.deliveries
            if begin <= time and (end is None or time <= end)
        ]
        pairs = [
            ("watch", f"{stream.id}, {_lane(stream.client)}"),
            ("request", self._text(watch_in_words(stream.request))),
            ("member", stream.endpoint),
            ("opened", _ms(stream.opened)),
            ("closed", _ms(stream.closed)),
            ("error", self._text(stream.error)),
            ("deliveries", f"{len(stream.deliveries):,}"),
        ]
        name = f"watch {stream.id} · {_lane(stream.client)}"
        return [stream.id, name, stream.opened, stream.closed, pairs, shown]


def _part(items: Sequence[T], focus: int | None, time: Callable[[T], int]) -> tuple[int, int]:
    """
    Choose the part of *items* to show.

    Args:
        items: All items, sorted by time.
        focus: Time around which to show items; None for the beginning.
        time: Returns the time of an item.

    Returns:
        The indices of the first item and after the last one.
    """
    if len(items) <= ALL:
        return 0, len(items)
    at = bisect_left(items, focus or 0, key=time)
    first = min(max(0, at - PART // 2), len(items) - PART)
    return first, first + PART


def _window(
    items: Sequence[T], first: int, last: int, time: Callable[[T], int]
) -> tuple[int, int | None]:
    """Return the time span of the chosen *items*; an end of None is that of the history."""
    # A side that was not cut extends to the end of the history, or the page would grey it out.
    return time(items[first]) if first else 0, time(items[last - 1]) if last < len(items) else None


def _visible(text: str) -> str:
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


def _ms(time: int | None) -> str:
    return "never" if time is None else f"{time / 1e6:,.6f}".rstrip("0").rstrip(".") + " ms"


def _clients(operations: Iterable[Operation]) -> list[ClientId]:
    """Return numbered clients in order, followed by named ones."""
    # Numbers and names cannot be compared with each other.
    clients = dict.fromkeys(each.client for each in operations)
    numbered = sorted(each for each in clients if isinstance(each, int))
    return [*numbered, *(each for each in clients if isinstance(each, str))]


def _lane(client: ClientId) -> str:
    return f"client {client}" if isinstance(client, int) else _visible(client)


def _about(history: History) -> Iterator[tuple[str, str]]:
    yield "model", history.header.model
    for name, value in history.header.about.items():
        yield name, str(value)
    if history.header.started:
        # The header may hold any number, such as an infinity.
        try:
            started = datetime.fromtimestamp(history.header.started, UTC)
        except (OverflowError, ValueError, OSError):
            return
        yield "started", started.isoformat(" ", "seconds")


def _fault(interval: FaultInterval) -> list[object]:
    targets, breaks = ", ".join(interval.targets), ", ".join(interval.breaks)
    pairs = [("fault", interval.name), ("targets", targets), ("breaks", breaks)]
    pairs += [("begin", _ms(interval.begin)), ("end", _ms(interval.end))]
    return [f"{interval.name} {targets}", interval.begin, interval.end, pairs]


def _hashes(hashes: Sequence[Hashed]) -> Iterator[list[object]]:
    groups: dict[int, list[Hashed]] = defaultdict(list)
    for each in hashes:
        groups[each.group].append(each)
    for each in hashes:
        values = {
            other.member: f"revision {other.revision}, compacted {other.compacted}, {other.hash}"
            for other in groups[each.group]
        }
        pairs = [("hash", f"of {each.member}, group {each.group}"), ("time", _ms(each.time))]
        yield [each.time, [*pairs, *values.items()], len(set(values.values())) > 1]


def _sort(delivery: Delivery) -> str:
    if delivery.cancelled:
        return "cancelled"
    if is_progress(delivery):
        return "progress"
    return "events" if delivery.events else "created"


def _delivery(delivery: Delivery) -> Iterator[str]:
    yield f"revision {delivery.revision}"
    if delivery.compacted:
        yield f"compacted at {delivery.compacted}"
    yield from map(_event, delivery.events)


def _event(event: Event) -> str:
    text = event_in_words(event) if event.kind == "delete" else f"PUT {_whole(event.kv)}"
    return f"{text}, previously {_whole(event.previous)}" if event.previous else text


def _answer(response: Response) -> Iterator[str]:
    """Yield a short description, then all pairs."""
    yield response_in_words(response)
    results = response.results if isinstance(response, Committed) else [response]
    for each in results:
        if isinstance(each, Ranged):
            yield from map(_whole, each.kvs)


def _whole(kv: KeyValue) -> str:
    revisions = f"created {kv.create_revision}, changed {kv.mod_revision}"
    return f"{kv.key}={kv.value} ({revisions}, version {kv.version}, lease {kv.lease})"
