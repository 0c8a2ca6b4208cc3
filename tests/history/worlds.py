"""
A store's past, and what correct watches are sent of it, made up by hypothesis.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from assertlib.history.history import History, Stream
from assertlib.history.operations import Operation, Outcome
from assertlib.history.records import Header
from assertlib.history.requests import (
    Delete,
    Delivery,
    Event,
    Grant,
    KeyValue,
    Put,
    Range,
    Revoke,
    Txn,
    Watch,
)

from .second_opinion import etcd, is_in

MS = 10**6


@dataclass
class World:
    """
    One client that does one thing after the other.

    Attributes:
        states: The store's keys by revision.
        events: What each revision changed, by revision.
    """

    operations: list = field(default_factory=list)
    states: dict = field(default_factory=lambda: {1: {}})
    events: dict = field(default_factory=dict)
    state: dict = None
    lost: list = field(default_factory=list)

    @property
    def last(self):
        return max(self.states)

    def lose(self, request):
        """Ask for *request*, which never gets anywhere."""
        number = len(self.operations)
        call, returned = 10 * number * MS, (10 * number + 5) * MS
        self.operations.append(Operation(number, number, request, call, returned))

    def do(self, request, *, answered=True):
        """Carry *request* out; without an answer nobody is told."""
        number = len(self.operations)
        before = self.states[self.last]
        self.state, answer = etcd(self.state, request)
        revision = self.state["revision"]
        if revision > self.last:
            self.states[revision] = self.state["kvs"]
            self.events[revision] = changes(before, self.state["kvs"], revision)
            # Whether a revocation made a revision its answer does not say.
            if not answered or isinstance(request, Revoke):
                self.lost.append(revision)
        call, returned = 10 * number * MS, (10 * number + 5) * MS
        outcome = Outcome.OK if answered else Outcome.UNKNOWN
        response = answer if answered else None
        self.operations.append(
            Operation(number, number, request, call, returned, outcome, response)
        )
        return answer

    def history(self, streams=(), found=None):
        return History(
            Header("etcd"),
            list(self.operations),
            list(streams),
            found=found or {},
            end=10 * len(self.operations) * MS,
        )

    def was_revoked(self, revision):
        """Whether an answered revocation made *revision*."""
        return any(
            isinstance(each.request, Revoke) and getattr(each.response, "revision", 0) == revision
            for each in self.operations
        )

    def found(self):
        """What reading the store tells about revisions that nobody was told of."""
        return {revision: tuple(self.events[revision]) for revision in self.lost}

    def wanted(self, request, first, last):
        """Events that a watch of *request* has to be sent, by revision."""
        by_revision = []
        for revision in range(first, last + 1):
            events = [
                event if request.prev_kv else event._replace(previous=None)
                for event in self.events.get(revision, ())
                if is_in(event.kv.key, request.key, request.end)
                and event.kind not in request.filters
            ]
            if events:
                by_revision.append(events)
        return by_revision


def changes(before, after, revision):
    events = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if new is None:
            events.append(Event("delete", KeyValue(key, "", 0, revision, 0), old))
        elif new.mod_revision == revision:
            events.append(Event("put", new, old))
    return events


LEASE = 7
KEYS = st.sampled_from(["a", "b", "c"])
WRITES = st.one_of(
    st.builds(lambda key: ("put", key), KEYS),
    st.builds(lambda key: ("put", key), KEYS),
    st.builds(lambda key: ("delete", key), KEYS),
    st.builds(lambda keys: ("several", tuple(keys)), st.lists(KEYS, min_size=2, unique=True)),
    st.just(("delete-all", None)),
    st.builds(lambda key: ("put-on-lease", key), KEYS),
    st.just(("revoke", None)),
    st.builds(lambda key: ("read", key), KEYS),
)


@st.composite
def worlds(draw, *, lossy=False, least=1):
    """A store's past; if it is *lossy*, some writes got no answer, and some never arrived."""
    world = World()
    world.do(Range("", "\0"))
    world.do(Grant(LEASE, 3600))
    for number, (kind, what) in enumerate(draw(st.lists(WRITES, min_size=least, max_size=12))):
        fate = draw(st.integers(0, 4)) if lossy else 2
        asked = request(kind, what, f"v{number}")
        if fate == 0:
            world.lose(asked)
        else:
            world.do(asked, answered=fate > 1)
    return world


def request(kind, what, value):
    match kind:
        case "put":
            return Put(what, value)
        case "delete":
            return Delete(what)
        case "several":
            return Txn((), tuple(Put(key, f"{value}{key}") for key in what))
        case "put-on-lease":
            return Put(what, value, lease=LEASE)
        case "revoke":
            return Revoke(LEASE)
        case "delete-all":
            return Delete("a", "z")
        case "read":
            return Range(what)


@st.composite
def watches(draw, world):
    return Watch(
        draw(KEYS),
        draw(st.sampled_from(["", "z", "\0"])),
        draw(st.integers(0, world.last)),
        draw(st.booleans()),
        filters=draw(st.sampled_from([(), (), ("put",), ("delete",)])),
    )


@st.composite
def streams(draw, world, request=None, number=0):
    """What a correct store sends a watch, in deliveries of whole revisions, with bookmarks."""
    request = request or draw(watches(world))
    first = request.revision or draw(st.integers(1, world.last)) + 1
    until = draw(st.integers(max(first - 1, 1), world.last)) if first <= world.last else world.last
    deliveries = [Delivery(max(first - 1, 1), created=True)]
    pending = world.wanted(request, first, until)
    while pending:
        count = draw(st.integers(1, len(pending)))
        batch = [event for events in pending[:count] for event in events]
        pending = pending[count:]
        deliveries.append(Delivery(until, tuple(batch)))
        reached = batch[-1].kv.mod_revision
        if draw(st.booleans()):
            deliveries.append(Delivery(reached))
    if draw(st.booleans()) and until >= first:
        deliveries.append(Delivery(until))
    timed = [(10 * at * MS, delivery) for at, delivery in enumerate(deliveries)]
    return Stream(number, "w", request, 0, deliveries=timed)


@st.composite
def worlds_with_streams(draw, *, lossy=False):
    world = draw(worlds(lossy=lossy))
    count = draw(st.integers(1, 3))
    return world, [draw(streams(world, number=number)) for number in range(count)]
