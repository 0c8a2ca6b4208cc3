"""
Traffic of clients: weighted mixes of requests, in which each value is written once.

The mixes are modelled on those of etcd tests/robustness/traffic; ``range-compare`` is the load that
reproduces etcd-io/etcd#13766.
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

# Separate prefixes: reads of all free keys stay small, although there are many bulk keys.
FREE = "key/"
BULK = "bulk/"
PODS = "/registry/pods/"
OUTLIVES = 3600
"""TTL in seconds of leases that are to outlive the campaign."""
BULK_KEYS = 1500
# etcd accepts 128 operations in a transaction by default.
BULK_STEP = 100
_LOOK_BACK = 60


@dataclass(slots=True)
class Shared:
    """
    State shared by all clients of a campaign.

    Attributes:
        rng: Source of random choices of the watchers.
        newest: The highest revision in any response.
        known: Revisions whose changes are known.
        settled: The revision up to which all changes are known, so that history may be compacted.
        numbers: Numbers of values and leases, each used once.
    """

    rng: random.Random
    newest: int = 1
    known: set[int] = field(default_factory=set)
    settled: int = 1
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def value(self) -> str:
        """Return a value that is written only once in the campaign."""
        return f"v{next(self.numbers)}"


@dataclass(slots=True)
class Session:
    """
    The state of one client, learned from its responses.

    Attributes:
        shared: State shared by all clients.
        rng: Source of its random choices.
        keys: Number of different keys.
        seen: The state in which it last saw each key; None if the key did not exist.
        values: The same for stores of registers.
        leases: Leases that it was granted and has not revoked, oldest first.
        plan: Requests that it sends next, before any random ones.
    """

    shared: Shared
    rng: random.Random
    keys: int
    seen: dict[str, KeyValue | None] = field(default_factory=dict)
    values: dict[str, str | None] = field(default_factory=dict)
    leases: list[int] = field(default_factory=list)
    plan: list[Request | Watch] = field(default_factory=list)

    def key(self) -> str:
        """Return a random key."""
        return f"{FREE}{self.rng.randrange(self.keys)}"

    def learn(self, request: Request, response: Response | None) -> None:
        """Update the session from *response* to *request*; None stands for no response."""
        revision = getattr(response, "revision", 0)
        self.shared.newest = max(self.shared.newest, revision)
        # Only a write creates a revision; the one in any other response is that of another request.
        if isinstance(response, Committed) and writes(as_txn(request), response):
            self.shared.known.add(revision)
        match request, response:
            case Range(key, "", 0), Ranged(_, kvs):
                self.seen[key] = kvs[0] if kvs else None
            case Get(key), Value(value):
                self.values[key] = value
            # A failed condition: the alternative branch has read the key for the next attempt.
            case Txn(_, _, (Range(key, ""),)), Committed(_, False, (Ranged(_, kvs),)):
                self.seen[key] = kvs[0] if kvs else None
            case Grant(lease), _ if response is not None:
                self.leases.append(lease)


Maker = Callable[[Session], Request]

STALE, PAST = "serializable reads", "historical reads"
MULTI_KEY, CONDITIONS = "transactions on several keys", "conditions on revisions"
LEASES, UNKNOWN_LEASES = "leases that end", "puts with unknown leases"
WATCHES, PROGRESS, COMPACTION = "watches", "progress notifications", "compaction"
"""The features of `Profile.features`."""
Follow = Callable[[Session, Request, Response], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """
    A kind of traffic.

    Attributes:
        name: Its name on the command line.
        about: Its description in ``assertlib robustness list``.
        model: Name of the model whose stores support it.
        makers: Functions that make requests, with weights.
        keys: Number of different keys.
        clients: Number of concurrent clients.
        rate: Maximum of requests per second, of all clients together.
        needed: Minimum of operations per second; a campaign below it proves nothing.
        watchers: Number of concurrent watches.
        progress: Whether watches request progress notifications.
        watch_prefix: Prefix of the watched keys.
        setup: Requests sent once, before the first round.
        follow: Plans the requests that follow a response.
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

    @property
    def features(self) -> frozenset[str]:
        """The features of a store that the traffic uses, out of those that not every profile does."""
        found = {feature for _, maker in self.makers for feature in _FEATURES.get(maker, ())}
        # The requests of `follow` open watches of their own.
        if self.watchers or self.follow is _watch_from_deletion:
            found.add(WATCHES)
        return frozenset(found | ({PROGRESS} if self.progress else set()))

    def next(self, session: Session) -> Request | Watch:
        """Return the next request of the client: a planned one, or a random one."""
        if session.plan:
            return session.plan.pop(0)
        weights = [weight for weight, _ in self.makers]
        (_, maker) = session.rng.choices(self.makers, weights)[0]
        return maker(session)

    def watch(self, shared: Shared) -> Watch:
        """Return the next request of a watcher, drawn with the generator in *shared*."""
        rng = shared.rng
        # Two of three watches start now, the others in the recent past or the near future.
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
    # Some lists have a limit, so that a response can hold fewer keys than its count.
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
    # Half open: key/1 and key/2, with the default of ten keys.
    return Delete(f"{FREE}1", f"{FREE}3")


def _several(session: Session) -> Request:
    # Without repetitions: etcd rejects a transaction that writes a key twice.
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
    # Numbers are never reused, so no lease of this number exists: the store has to refuse.
    return Put(session.key(), session.shared.value(), lease=next(session.shared.numbers))


def _grant(session: Session) -> Request:
    return Grant(next(session.shared.numbers), OUTLIVES)


def _revoke(session: Session) -> Request:
    # Dropped whatever the response: a lease that may be gone is not used again.
    return Revoke(session.leases.pop(0)) if session.leases else _grant(session)


def _compact(session: Session) -> Request:
    # Never beyond the settled revision: the campaign reads the changes of later ones from the
    # store, which cannot show them once they are compacted.
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
"""Transactions that write `BULK_KEYS` keys."""


def _range_compare(session: Session) -> Request:
    """Make a put with a condition that is slow to evaluate, so that a crash is likely to hit it."""
    key = session.key()
    # Holds for every bulk key, so the store has to compare all of them.
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
    """Make a write conditional on the revision of the key that the client saw last."""
    key = _pod(session)
    # 0 is the revision of a key that does not exist: the write is then a creation.
    known = session.seen.get(key)
    expected = 0 if known is None else known.mod_revision
    change: Put | Delete = Put(key, session.shared.value())
    if known is not None and session.rng.random() < 0.3:
        change = Delete(key)
    return Txn((Compare(key, "mod", "=", expected),), (change,), (Range(key),))


# -- leases that end ----------------------------------------------------------------------------

SHORT = 2
"""TTL in seconds; etcd raises shorter ones to this minimum."""


def _short_lease(session: Session) -> Request:
    lease = next(session.shared.numbers)
    # Keys of their own: any other client that overwrote one would detach it from the lease.
    keys = [f"{FREE}lease/{lease}/{number}" for number in range(session.rng.randint(1, 3))]
    session.plan += [Put(key, session.shared.value(), lease=lease) for key in keys]
    if session.rng.random() < 0.5:
        session.plan.append(KeepAlive(lease))
    return Grant(lease, SHORT)


# -- etcd-io/etcd#18089 and #19179 -----------------------------------------------------------------


def _put_and_delete(session: Session) -> Request:
    # Written twice before it is deleted, so compaction has older versions to drop.
    key = session.key()
    session.plan += [Put(key, session.shared.value()), Delete(key)]
    return Put(key, session.shared.value())


def _watch_from_deletion(session: Session, request: Request, response: Response) -> None:
    """Plan, after a deletion, to write the key, compact at the deletion, and watch from there."""
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
    # Another client may have written since, so some swaps succeed and others fail.
    key = session.key()
    return Swap(key, session.values.get(key), session.shared.value())


_FEATURES: dict[Maker, tuple[str, ...]] = {
    _stale_get: (STALE,),
    _kube_list: (STALE,),
    _read_past: (PAST,),
    _several: (MULTI_KEY,),
    _short_lease: (LEASES, MULTI_KEY),
    _put_on_no_lease: (UNKNOWN_LEASES,),
    _compare_and_set: (CONDITIONS,),
    _kube_write: (CONDITIONS,),
    _compact: (COMPACTION,),
    _put_and_delete: (COMPACTION,),
}

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "mixed",
            "puts, deletes, transactions, leases, reads of current and past revisions, and watches",
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
            f"puts conditional on {BULK_KEYS:,} keys, which take a long time to apply",
            "etcd",
            ((20, _range_compare), (3, _get), (1, _list_all)),
            setup=FILL,
        ),
        Profile(
            "kubernetes",
            "requests of an API server: lists, and writes conditional on a revision",
            "etcd",
            ((10, _kube_list), (15, _kube_get), (40, _kube_write), (1, _compact)),
            keys=12,
            watchers=4,
            watch_prefix=PODS,
        ),
        Profile(
            "lease-expiry",
            "leases of two seconds, kept alive or abandoned",
            "etcd",
            ((20, _short_lease), (10, _get), (5, _list_all), (10, _put)),
            rate=100.0,
            needed=10.0,
            watchers=2,
        ),
        Profile(
            "progress",
            "like `put`, but with watches that request progress notifications",
            "etcd",
            ((20, _put), (5, _delete), (5, _several), (5, _get)),
            watchers=4,
            progress=True,
        ),
        Profile(
            "compaction",
            "deletions of a key, compaction of the history at the deletion, and watches from there",
            "etcd",
            ((1, _put_and_delete),),
            # Another client could compact further before the watch starts, which would cancel it.
            clients=1,
            rate=100.0,
            needed=2.0,
            follow=_watch_from_deletion,
        ),
        Profile(
            "registers",
            "gets, puts and swaps of individual keys",
            "kv",
            ((10, _register_get), (10, _register_put), (10, _register_swap)),
        ),
    )
}
