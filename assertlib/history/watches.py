"""
Validate watches: etcd's guarantees, checked against the deliveries to each watch.

There are nine checks, with the rules of etcd tests/robustness/validate/watch.go.  Five of them
need only the stream, four also the store's past states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .history import Stream
from .replay import Replay
from .requests import Delivery, Event, Watch, covers
from .text import event_in_words, watch_in_words

BY_STREAM = ("filter", "ordered", "unique", "atomic", "bookmarkable")
BY_REPLAY = ("resumable", "is-create", "reliable", "prev-kv")
CHECKS = BY_STREAM + BY_REPLAY


@dataclass(frozen=True, slots=True)
class Complaint:
    """
    A violation found by a check.

    Attributes:
        check: Name of the check.
        text: Description of the violation.
        watch: The affected watch; None if it does not concern a watch.
        time: Arrival time of the offending data; 0 if unknown.
    """

    check: str
    text: str
    watch: int | None = None
    time: int = 0


def check_stream(stream: Stream) -> Iterator[Complaint]:
    """Yield violations in *stream* that are evident without the store's past states."""
    for name, found in (
        ("filter", _filter(stream)),
        ("ordered", _ordered(stream)),
        ("unique", _unique(stream)),
        ("atomic", _atomic(stream)),
        ("bookmarkable", _bookmarkable(stream)),
    ):
        yield from _named(stream, name, found)


def check_against(stream: Stream, replay: Replay) -> Iterator[Complaint]:
    """Yield violations in *stream* with respect to *replay*, the store's past states."""
    for name, found in (
        ("resumable", _resumable(stream, replay)),
        ("is-create", _is_create(stream, replay)),
        ("reliable", _reliable(stream, replay)),
        ("prev-kv", _prev_kv(stream, replay)),
    ):
        yield from _named(stream, name, found)


_Found = Iterator[tuple[int, str]]


def _named(stream: Stream, check: str, found: _Found) -> Iterator[Complaint]:
    for time, text in found:
        message = f"watch {stream.id} of {watch_in_words(stream.request)}: {text}"
        yield Complaint(check, message, stream.id, time)


def _events(stream: Stream) -> Iterator[tuple[int, Event]]:
    for time, delivery in stream.deliveries:
        for event in delivery.events:
            yield time, event


def is_progress(delivery: Delivery) -> bool:
    """Whether *delivery* is a progress notification and nothing else."""
    # Creations and cancellations have no events either.
    return not (delivery.events or delivery.created or delivery.cancelled)


def matches(request: Watch, event: Event) -> bool:
    """Whether *request* asks for *event*."""
    return covers(request.key, request.end, event.kv.key) and event.kind not in request.filters


def _filter(stream: Stream) -> _Found:
    for time, event in _events(stream):
        if not matches(stream.request, event):
            yield time, f"{event_in_words(event)} was not requested"


def _ordered(stream: Stream) -> _Found:
    last = 1
    for time, event in _events(stream):
        if event.kv.mod_revision < last:
            yield time, f"{event_in_words(event)} arrived after revision {last}"
        # Set even if it is lower, so that a single step back is reported once.
        last = event.kv.mod_revision


def _unique(stream: Stream) -> _Found:
    # A transaction changes each key at most once, so revision and key identify an event.
    seen: set[tuple[int, str]] = set()
    for time, event in _events(stream):
        what = (event.kv.mod_revision, event.kv.key)
        if what in seen:
            yield time, f"{event_in_words(event)} was delivered twice"
        seen.add(what)


def _atomic(stream: Stream) -> _Found:
    last = 0
    for time, delivery in stream.deliveries:
        # Comparing neighbours suffices: a revision that returns later violates `ordered`.
        if delivery.events:
            if delivery.events[0].kv.mod_revision == last:
                yield time, f"revision {last} is split across two deliveries"
            last = delivery.events[-1].kv.mod_revision


def _bookmarkable(stream: Stream) -> _Found:
    progress = event_revision = 0
    for time, delivery in stream.deliveries:
        for event in delivery.events:
            event_revision = event.kv.mod_revision
            # Progress covers its own revision, so an event at that revision is too late.
            if event_revision <= progress:
                yield (
                    time,
                    f"{event_in_words(event)} arrived after progress to revision {progress}",
                )
        if is_progress(delivery):
            before = max(progress, event_revision)
            if delivery.revision < before:
                yield (
                    time,
                    f"a progress notification for revision {delivery.revision} arrived after revision {before}",
                )
            progress = delivery.revision


def _resumable(stream: Stream, replay: Replay) -> _Found:
    start = stream.request.revision
    first = next(_events(stream), None)
    # A watch from now has no known first event; if nothing came, `reliable` reports the loss.
    if start == 0 or first is None:
        return
    time, event = first
    expected = next(
        (each for each in replay.events(start, replay.last) if matches(stream.request, each)),
        None,
    )
    if expected is None or _content(event) != _content(expected):
        wanted, came = _event_or_nothing(expected), event_in_words(event)
        yield time, f"the first event from revision {start} is {wanted}, but {came} arrived"


def _is_create(stream: Stream, replay: Replay) -> _Found:
    for time, event in _events(stream):
        before = replay.kv(event.kv.key, event.kv.mod_revision - 1)
        if event.is_create != (event.kind == "put" and before is None):
            claim = "a creation" if event.is_create else "an update"
            text = (
                f"{event_in_words(event)} claims to be {claim}, but the previous pair was {before}"
            )
            yield time, text


def _reliable(stream: Stream, replay: Replay) -> _Found:
    bounds = _window(stream)
    if bounds is None:
        return
    first, last = bounds
    came = [(time, event) for time, event in _events(stream)]
    expected = [each for each in replay.events(first, last) if matches(stream.request, each)]
    # Only the first difference is reported, since everything after it is shifted.
    for (time, event), wanted in zip(came, expected, strict=False):
        if _content(event) != _content(wanted):
            yield (
                time,
                f"{event_in_words(wanted)} was expected, but {event_in_words(event)} arrived",
            )
            return
    if len(came) > len(expected):
        time, event = came[len(expected)]
        yield (
            time,
            f"{event_in_words(event)} arrived, but no such event exists up to revision {last}",
        )
    elif len(came) < len(expected):
        time, missing = stream.deliveries[-1][0], event_in_words(expected[len(came)])
        yield time, f"{missing} did not arrive, although the watch reached revision {last}"


def _window(stream: Stream) -> tuple[int, int] | None:
    """Return the first and the last revision whose events must all have arrived."""
    # Creations and cancellations carry a revision as well, but promise no events up to it.
    reports = [each for _, each in stream.deliveries if each.events or is_progress(each)]
    if not reports:
        return None
    first = stream.request.revision
    if first == 0:
        # The start of a watch from now is known only by its first event or notification.
        first = (
            reports[0].events[0].kv.mod_revision if reports[0].events else reports[0].revision + 1
        )
    return first, max(_reached(each) for each in reports)


def _reached(delivery: Delivery) -> int:
    return delivery.events[-1].kv.mod_revision if delivery.events else delivery.revision


def _prev_kv(stream: Stream, replay: Replay) -> _Found:
    if not stream.request.prev_kv:
        return
    for time, event in _events(stream):
        before = replay.kv(event.kv.key, event.kv.mod_revision - 1)
        # A missing pair is legal, since it may be compacted away.
        if event.previous is not None and event.previous != before:
            yield time, f"{event_in_words(event)} names the wrong previous value; it was {before}"


def _event_or_nothing(event: Event | None) -> str:
    return "nothing" if event is None else event_in_words(event)


def _content(event: Event) -> tuple[object, ...]:
    # The previous pair is optional and has a check of its own.
    return event.kind, event.kv
