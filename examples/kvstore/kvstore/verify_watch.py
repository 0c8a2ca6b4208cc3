"""What one watch sent, judged by the ledger of all watches."""

from collections import Counter

from assertlib import Invariant

from .history import Ledger, WatchLog
from .model import Event
from .watch import WatchSpec

__all__ = ["judge_watch"]

ORDERED = Invariant("watch.ordered")
UNIQUE = Invariant("watch.unique")
RELIABLE = Invariant("watch.reliable")
ATOMIC = Invariant("watch.atomic")
RESUMABLE = Invariant("watch.resumable")
BOOKMARKABLE = Invariant("watch.bookmarkable")
NOT_BEFORE_START = Invariant("watch.no-event-before-start")
FILTER = Invariant("watch.filter")
IS_CREATE = Invariant("watch.is-create")
PREV_KV = Invariant("watch.prev-kv")
COMPACTED = Invariant("watch.compacted-cancels")
AFTER_CANCEL = Invariant("watch.no-event-after-cancel")
DELETE_MOD = Invariant("watch.delete-modrev")

_filtered = FILTER.declare_always("each event has a key and a kind that the watch asked for")
_mod_of_deletion = DELETE_MOD.declare_always("a delete event carries the revision of the deletion")
_created = IS_CREATE.declare_always("an event creates its key iff the key was absent before")


def judge_watch(log: WatchLog, ledger: Ledger, whole_from: int) -> bool:
    """
    Whether *log* keeps every promise of a watch.

    Args:
        log: What the watch sent.
        ledger: What all watches together saw; *log* is part of it.
        whole_from: The ledger misses nothing from this revision on.
    """
    judged = [_judge_order(log), _judge_completeness(log, ledger), _judge_end(log)]
    judged += [_judge_event(log.spec, revision, event) for revision, event in log.events()]
    judged += [_judge_past(event, ledger, whole_from) for _, event in log.events()]
    if log.resumes is not None:
        judged.append(_judge_resumption(log.resumes, log, ledger))
    return all(judged)


def _judge_order(log: WatchLog) -> bool:
    revisions = [revision for revision, _ in log.events()]
    carriers = [response.revision for _, response in log.responses if response.events]
    times = Counter((revision, event.kv.key) for revision, event in log.events())
    return all(
        (
            ORDERED.always(
                revisions == sorted(revisions),
                "a client sees revisions in order",
                lambda: {"revisions": revisions},
            ),
            UNIQUE.always(
                not times or max(times.values()) == 1,
                "a client sees each change once",
                lambda: {"repeated": [change for change, n in times.items() if n > 1]},
            ),
            ATOMIC.always(
                len(set(carriers)) == len(carriers),
                "the changes of a revision come in one response",
                lambda: {"split": [at for at, n in Counter(carriers).items() if n > 1]},
            ),
            NOT_BEFORE_START.always(
                all(revision >= log.spec.start for revision in revisions),
                "a client sees nothing from before the start of its watch",
                lambda: {"start": log.spec.start, "revisions": revisions[:3]},
            ),
        )
    )


def _judge_completeness(log: WatchLog, ledger: Ledger) -> bool:
    delivered = {(revision, event.kv.key) for revision, event in log.events()}
    first = log.spec.start or min((revision for revision, _ in delivered), default=0)
    last = max((revision for revision, _ in delivered), default=0)
    missing = _expected(log.spec, ledger, first, last) - delivered
    return all(
        (
            RELIABLE.always(
                not missing,
                "no change between two delivered ones is missing",
                lambda: {"spec": log.spec, "missing": sorted(missing)[:5]},
            ),
            _judge_bookmarks(log, ledger, first),
        )
    )


def _judge_bookmarks(log: WatchLog, ledger: Ledger, first: int) -> bool:
    delivered: set[tuple[int, str]] = set()
    bookmark = 0
    holds = True
    for _, response in log.responses:
        delivered |= {(response.revision, event.kv.key) for event in response.events}
        if response.events:
            holds &= response.revision > bookmark
        elif response.is_bookmark and first:
            bookmark = response.revision
            holds &= _expected(log.spec, ledger, first, bookmark) <= delivered
    return BOOKMARKABLE.always(
        holds,
        "a bookmark comes after every change up to it and before all others",
        lambda: {"spec": log.spec, "last": bookmark},
    )


def _judge_end(log: WatchLog) -> bool:
    ends = [n for n, (_, response) in enumerate(log.responses) if response.cancelled]
    compacted = log.responses[-1][1].compacted if log.responses else 0
    reached = max((revision for revision, _ in log.events()), default=log.spec.start - 1)
    return all(
        (
            AFTER_CANCEL.always(
                ends in ([], [len(log.responses) - 1]),
                "a client sees nothing after the end of its watch",
                lambda: {"ends": ends, "responses": len(log.responses)},
            ),
            COMPACTED.always(
                compacted == 0 or compacted > reached + 1,
                "a watch that is cancelled because of compaction needed a compacted revision",
                lambda: {"compacted": compacted, "reached": reached},
            ),
        )
    )


def _judge_event(spec: WatchSpec, revision: int, event: Event) -> bool:
    unwanted = (spec.no_put and event.kind == "put") or (spec.no_delete and event.kind == "delete")
    matches = event.kv.key.startswith(spec.span.key) and not unwanted
    at_revision = event.kind == "put" or event.kv.mod_revision == revision
    return all(
        (
            _filtered(matches, lambda: {"spec": spec, "event": event}),
            _mod_of_deletion(at_revision, lambda: {"revision": revision, "event": event}),
        )
    )


def _judge_past(event: Event, ledger: Ledger, whole_from: int) -> bool:
    """Compare what *event* says of the past with the change before it, where that is known."""
    before = ledger.before(event.kv.key, event.kv.mod_revision)
    is_known = event.kv.mod_revision >= whole_from and (
        whole_from <= 2 or (before is not None and before.kv.mod_revision >= whole_from)
    )
    if not is_known:
        return True
    old = before.kv if before is not None and before.kind == "put" else None
    creates = event.kind == "put" and old is None
    return all(
        (
            _created(event.is_create == creates, lambda: {"event": event, "before": before}),
            PREV_KV.always_if(
                event.prev is not None,
                lambda: event.prev == old,
                "a previous pair is what the preceding change left",
                lambda: {"event": event, "before": before},
            ),
        )
    )


def _judge_resumption(broken: WatchLog, log: WatchLog, ledger: Ledger) -> bool:
    seen = [*broken.events(), *log.events()]
    changes = [(revision, event.kv.key) for revision, event in seen]
    first, last = min(changes, default=(0, ""))[0], max(changes, default=(0, ""))[0]
    expected = _expected(log.spec, ledger, first, last)
    return RESUMABLE.always(
        len(changes) == len(set(changes)) and set(changes) == expected,
        "a resumed watch continues without gaps or repetition",
        lambda: {"spec": log.spec, "missing": sorted(expected - set(changes))[:5]},
    )


def _expected(spec: WatchSpec, ledger: Ledger, first: int, last: int) -> set[tuple[int, str]]:
    """The changes that a watch of *spec* owes its client from *first* to *last*."""
    return {
        (revision, event.kv.key)
        for revision, event in ledger.between(first, last)
        if event.kv.key.startswith(spec.span.key)
        and not (spec.no_put if event.kind == "put" else spec.no_delete)
    }
