"""
What clients ask for: weighted mixes of requests, each value written once.

The mixes are those of etcd tests/robustness/traffic, in spirit; ``range-compare`` is the load
under which etcd-io/etcd#13766 shows.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..history.etcd import as_txn, writes
from ..history.requests import (
    Committed,
    Compact,
    Compare,
    Delete,
    Get,
    Grant,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Request,
    Response,
    Revoke,
    Swap,
    Txn,
    Value,
    Watch,
    prefix_end,
)

FREE = "key/"
BULK = "bulk/"
PODS = "/registry/pods/"
OUTLIVES = 3600
"""Seconds; no campaign is longer, so these leases do not expire."""
BULK_KEYS = 1500
BULK_STEP = 100
_LOOK_BACK = 60


@dataclass(slots=True)
class Shared:
    """
    What the clients of a campaign have in common.

    Attributes:
        newest: The highest revision that an answer spoke of.
        known: Revisions of which it is known what they changed.
        settled: The revision up to which the content of all is known, so that it may be
            compacted away.
    """

    rng: random.Random
    newest: int = 1
    known: set[int] = field(default_factory=set)
    settled: int = 1
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def value(self) -> str:
        """A value that nobody else writes."""
        return f"v{next(self.numbers)}"


@dataclass(slots=True)
class Session:
    """
    What one client knows from its answers.

    Attributes:
        seen: What it saw last under a key; None if there was nothing.
        leases: Leases that it was granted and has not given back.
        plan: Requests that come next, whatever the dice say.
    """

    shared: Shared
    rng: random.Random
    keys: int
    seen: dict[str, KeyValue | None] = field(default_factory=dict)
    values: dict[str, str | None] = field(default_factory=dict)
    leases: list[int] = field(default_factory=list)
    plan: list[Request | Watch] = field(default_factory=list)

    def key(self) -> str:
        """Some key."""
        return f"{FREE}{self.rng.randrange(self.keys)}"

    def learn(self, request: Request, response: Response | None) -> None:
        """Update the session from *response*."""
        revision = getattr(response, "revision", 0)
        self.shared.newest = max(self.shared.newest, revision)
        if isinstance(response, Committed) and writes(as_txn(request), response):
            self.shared.known.add(revision)
        match request, response:
            case Range(key, "", 0), Ranged(_, kvs):
                self.seen[key] = kvs[0] if kvs else None
            case Get(key), Value(value):
                self.values[key] = value
            case Txn(_, _, (Range(key, ""),)), Committed(_, False, (Ranged(_, kvs),)):
                self.seen[key] = kvs[0] if kvs else None
            case Grant(lease), _ if response is not None:
                self.leases.append(lease)


Maker = Callable[[Session], Request]
Follow = Callable[[Session, Request, Response], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """
    A kind of traffic.

    Attributes:
        model: Which stores it is for.
        makers: What is asked for, with weights.
        keys: Over how many keys.
        clients: How many ask at once.
        rate: At most so many requests a second, all together.
        needed: At least so many, or the test proves nothing.
        watchers: How many watch at once.
        progress: Whether watches ask how far they are.
        setup: What is asked for before all else.
        follow: Plans what comes after an answer.
    """

    name: str
    about: str
    model: str
    makers: tuple[tuple[int, Maker], ...]
    keys: int = 10
    clients: int = 8
    rate: float = 1000.0
    needed: float = 50.0
    watchers: int = 0
    progress: bool = False
    watch_prefix: str = FREE
    setup: Sequence[Request] = ()
    follow: Follow = lambda *_: None

    def next(self, session: Session) -> Request | Watch:
        """What a client asks for next."""
        if session.plan:
            return session.plan.pop(0)
        weights = [weight for weight, _ in self.makers]
        (_, maker) = session.rng.choices(self.makers, weights)[0]
        return maker(session)

    def watch(self, shared: Shared) -> Watch:
        """What a watcher asks for next: from some revision, near the present."""
        rng = shared.rng
        revision = rng.choice((0, 0, shared.newest + rng.randint(-_LOOK_BACK, _LOOK_BACK)))
        return Watch(
            self.watch_prefix,
            prefix_end(self.watch_prefix),
            max(revision, 0),
            prev_kv=rng.random() < 0.5,
            progress_notify=self.progress,
            filters=rng.choice(((), (), (), ("put",), ("delete",))),
        )


# -- requests -----------------------------------------------------------------------------


def _get(session: Session) -> Request:
    return Range(session.key())


def _list_all(session: Session) -> Request:
    return Range(FREE, prefix_end(FREE), limit=session.rng.choice((0, 0, 3)))


def _stale_get(session: Session) -> Request:
    return Range(session.key(), serializable=True)


def _read_past(session: Session) -> Request:
    revision = max(1, session.shared.newest - session.rng.randrange(_LOOK_BACK))
    return Range(FREE, prefix_end(FREE), revision=revision)


def _put(session: Session) -> Request:
    return Put(session.key(), session.shared.value())


def _delete(session: Session) -> Request:
    return Delete(session.key())


def _delete_some(session: Session) -> Request:
    return Delete(f"{FREE}1", f"{FREE}3")


def _several(session: Session) -> Request:
    keys = sorted({session.key() for _ in range(4)})
    dice = [session.rng.randrange(4) for _ in keys]
    return Txn((), tuple(_part(session, key, die) for key, die in zip(keys, dice, strict=True)))


def _part(session: Session, key: str, die: int) -> Range | Put | Delete:
    if die == 0:
        return Range(key)
    return Delete(key) if die == 1 else Put(key, session.shared.value())


def _compare_and_set(session: Session) -> Request:
    key = session.key()
    known = session.seen.get(key)
    expected = 0 if known is None else known.mod_revision
    return Txn(
        (Compare(key, "mod", "=", expected),), (Put(key, session.shared.value()),), (Range(key),)
    )


def _put_on_lease(session: Session) -> Request:
    if session.leases:
        return Put(session.key(), session.shared.value(), lease=session.leases[-1])
    return _grant(session)


def _put_on_no_lease(session: Session) -> Request:
    return Put(session.key(), session.shared.value(), lease=next(session.shared.numbers))


def _grant(session: Session) -> Request:
    return Grant(next(session.shared.numbers), OUTLIVES)


def _revoke(session: Session) -> Request:
    return Revoke(session.leases.pop(0)) if session.leases else _grant(session)


def _compact(session: Session) -> Request:
    if session.shared.settled < 3:
        return _get(session)
    return Compact(session.rng.randint(2, session.shared.settled))


# -- etcd-io/etcd#13766 ----------------------------------------------------------------------


FILL = tuple(
    Txn(
        (),
        tuple(
            Put(f"{BULK}{number:05}", f"b{number}")
            for number in range(start, min(start + BULK_STEP, BULK_KEYS))
        ),
    )
    for start in range(0, BULK_KEYS, BULK_STEP)
)
"""Many keys, a transaction at a time."""


def _range_compare(session: Session) -> Request:
    """A put on a condition that takes long to look at, so that a crash is likely to hit it."""
    key = session.key()
    slow = Compare(BULK, "version", ">", 0, end=prefix_end(BULK))
    return Txn((slow,), (Put(key, session.shared.value()),), (Range(key),))


# -- Kubernetes --------------------------------------------------------------------------------


def _pod(session: Session) -> str:
    return f"{PODS}{session.rng.randrange(session.keys)}"


def _kube_list(session: Session) -> Request:
    rng = session.rng
    if rng.random() < 0.5:
        return Range(PODS, prefix_end(PODS), limit=3)
    return Range(PODS, prefix_end(PODS), serializable=rng.random() < 0.3)


def _kube_get(session: Session) -> Request:
    return Range(_pod(session))


def _kube_write(session: Session) -> Request:
    """Create, update or delete on condition of the revision that was seen last."""
    key = _pod(session)
    known = session.seen.get(key)
    expected = 0 if known is None else known.mod_revision
    change: Put | Delete = Put(key, session.shared.value())
    if known is not None and session.rng.random() < 0.3:
        change = Delete(key)
    return Txn((Compare(key, "mod", "=", expected),), (change,), (Range(key),))


# -- leases that end ----------------------------------------------------------------------------

SHORT = 2
"""Seconds; etcd lets no lease live for less."""


def _short_lease(session: Session) -> Request:
    lease = next(session.shared.numbers)
    keys = [f"{FREE}lease/{lease}/{number}" for number in range(session.rng.randint(1, 3))]
    session.plan += [Put(key, session.shared.value(), lease=lease) for key in keys]
    if session.rng.random() < 0.5:
        session.plan.append(KeepAlive(lease))
    return Grant(lease, SHORT)


# -- etcd-io/etcd#18089 and #19179 -----------------------------------------------------------------


def _put_and_delete(session: Session) -> Request:
    key = session.key()
    session.plan += [Put(key, session.shared.value()), Delete(key)]
    return Put(key, session.shared.value())


def _watch_from_deletion(session: Session, request: Request, response: Response) -> None:
    """After a deletion: overwrite the key, compact at the deletion, and watch from there."""
    match request, response:
        case Delete(key), Committed(revision):
            session.plan += [
                Put(key, session.shared.value()),
                Compact(revision),
                Watch(FREE, prefix_end(FREE), revision),
            ]


# -- stores of registers ------------------------------------------------------------------------


def _register_get(session: Session) -> Request:
    return Get(session.key())


def _register_put(session: Session) -> Request:
    return Put(session.key(), session.shared.value())


def _register_swap(session: Session) -> Request:
    key = session.key()
    return Swap(key, session.values.get(key), session.shared.value())


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "mixed",
            "puts, deletes, transactions, leases, reads now and in the past, and watches",
            "etcd",
            (
                (15, _get),
                (8, _list_all),
                (10, _stale_get),
                (7, _read_past),
                (5, _delete),
                (2, _delete_some),
                (10, _several),
                (5, _put_on_lease),
                (1, _put_on_no_lease),
                (3, _revoke),
                (10, _compare_and_set),
                (20, _put),
                (1, _compact),
            ),
            watchers=3,
        ),
        Profile(
            "put",
            "puts, a few reads and transactions",
            "etcd",
            ((20, _put), (5, _several), (10, _get), (5, _list_all)),
            watchers=1,
        ),
        Profile(
            "range-compare",
            f"puts on a condition over {BULK_KEYS:,} keys, which take long to apply",
            "etcd",
            ((20, _range_compare), (3, _get), (1, _list_all)),
            setup=FILL,
        ),
        Profile(
            "kubernetes",
            "what an API server does: lists, and writes on condition of a revision",
            "etcd",
            ((10, _kube_list), (15, _kube_get), (40, _kube_write), (1, _compact)),
            keys=12,
            watchers=4,
            watch_prefix=PODS,
        ),
        Profile(
            "lease-expiry",
            "leases of two seconds, kept alive or left",
            "etcd",
            ((20, _short_lease), (10, _get), (5, _list_all), (10, _put)),
            rate=100.0,
            needed=10.0,
            watchers=2,
        ),
        Profile(
            "progress",
            "as put, with watches that ask how far they are",
            "etcd",
            ((20, _put), (5, _delete), (5, _several), (5, _get)),
            watchers=4,
            progress=True,
        ),
        Profile(
            "compaction",
            "keys deleted, history compacted at the deletion, and watched from there",
            "etcd",
            ((1, _put_and_delete),),
            clients=1,
            rate=100.0,
            needed=2.0,
            follow=_watch_from_deletion,
        ),
        Profile(
            "registers",
            "gets, puts and swaps of single keys",
            "kv",
            ((10, _register_get), (10, _register_put), (10, _register_swap)),
        ),
    )
}
