"""
Histories that a store could have given, and such that it could not, for hypothesis.
"""

import dataclasses

from hypothesis import strategies as st

from assertlib.history.operations import Operation, Outcome
from assertlib.history.requests import (
    Acknowledged,
    Append,
    Committed,
    Compact,
    Compare,
    Delete,
    Done,
    Get,
    Grant,
    Put,
    Range,
    Ranged,
    Revoke,
    Swap,
    Swapped,
    Txn,
    Value,
)

VALUES = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from(["x", "y"])
LEASES = st.sampled_from([0, 0, 0, 7, 8])


def requests_of(keys):
    return st.one_of(
        st.builds(Get, keys),
        st.builds(Get, keys),
        st.builds(Put, keys, VALUES),
        st.builds(Swap, keys, st.none() | VALUES, VALUES),
    )


REGISTER_REQUESTS = requests_of(st.just(""))
KV_REQUESTS = requests_of(KEYS) | st.builds(Append, KEYS, VALUES)


RANGES = st.builds(Range, KEYS) | st.builds(Range, st.just("x"), st.just("z"), limit=st.just(1))
DELETES = st.builds(Delete, KEYS) | st.builds(Delete, st.just("x"), st.just("\0"))
PUTS = st.builds(Put, KEYS, VALUES, LEASES)
COMPARES = st.one_of(
    st.builds(
        Compare,
        KEYS,
        st.sampled_from(["version", "create", "mod", "lease"]),
        st.sampled_from(["=", "!=", "<", ">"]),
        st.integers(0, 3),
        st.sampled_from(["", "", "z"]),
    ),
    st.builds(Compare, KEYS, st.just("value"), st.sampled_from(["=", "!=", "<"]), VALUES),
)
TXNS = st.builds(
    Txn,
    st.lists(COMPARES, max_size=1).map(tuple),
    st.lists(PUTS | DELETES | RANGES, max_size=2, unique_by=lambda each: each.key).map(tuple),
    st.lists(PUTS | RANGES, max_size=1).map(tuple),
)
ETCD_REQUESTS = st.one_of(
    PUTS,
    RANGES,
    TXNS,
    DELETES,
    st.builds(Grant, st.sampled_from([7, 8]), st.just(60)),
    st.builds(Revoke, st.sampled_from([7, 8])),
    st.builds(Compact, st.integers(1, 4)),
)


@st.composite
def histories(draw, requests, store, *, size=6, versions=False):
    """
    A history: what a store did in some order, told with times around it, and then maybe bent.

    What is bent is an answer, a time or the order; often the result is legal all the same.
    """
    count = draw(st.integers(1, size))
    asked = draw(st.lists(requests, min_size=count, max_size=count))
    points = [10 * number for number in range(count)]
    reach = st.sampled_from([0, 3, 4, 12, 25])
    state, operations = None, []
    for number, (request, point) in enumerate(zip(asked, points, strict=True)):
        call, returned = point - draw(reach), point + draw(reach)
        fate = draw(st.integers(0, 7))
        if fate == 0:
            # The end was never seen: it may have happened, or not, or was held back.
            if draw(st.booleans()):
                before, (state, answer) = state, store(state, request)
                if versions and before != state and draw(st.booleans()):
                    made = getattr(answer, "revision", None)
                    moved = made is not None and made > (before or {"revision": 1})["revision"]
                    operations.append(
                        Operation(number, number, request, call, revision=made if moved else None)
                    )
                    continue
            operations.append(Operation(number, number, request, call))
            continue
        state, answer = store(state, request)
        operations.append(Operation(number, number, request, call, returned, Outcome.OK, answer))
    return draw(bent(operations))


@st.composite
def coarse_histories(draw, requests, store, *, size=7):
    """
    What a few clients saw by a coarse clock: many stamps are equal, and most clients call again
    at the stamp of their last return.  Then some answers are bent.
    """
    unit = draw(st.sampled_from([10, 20, 40, 1000]))
    clients = draw(st.sampled_from([2, 2, 3]))
    state, operations, point, free_at = None, [], 0, dict.fromkeys(range(clients), 0)
    for number, request in enumerate(draw(st.lists(requests, min_size=1, max_size=size))):
        point = max(point + 10, min(free_at.values()))
        client = draw(st.sampled_from([each for each, free in free_at.items() if free <= point]))
        call = draw(st.integers(free_at[client], point))
        returned = free_at[client] = draw(st.integers(point, point + 25))
        stamps = call // unit, returned // unit
        fate = draw(st.integers(0, 9))
        if fate == 0:
            operations.append(Operation(number, client, request, *stamps, Outcome.NOT_APPLIED))
            continue
        if fate == 1:
            # It may have happened, or not, or later.
            operations.append(Operation(number, client, request, *stamps))
            state = store(state, request)[0] if draw(st.booleans()) else state
            continue
        state, answer = store(state, request)
        operations.append(Operation(number, client, request, *stamps, Outcome.OK, answer))
    return draw(bent(operations, in_time=False))


@st.composite
def bent(draw, operations, *, in_time=True):
    told = [each for each in operations if each.outcome is Outcome.OK]
    for _ in range(draw(st.sampled_from([0, 1, 2, 4])) if told else 0):
        victim = draw(st.sampled_from(told))
        change = draw(st.integers(0, 4)) if in_time else 2
        if change == 0:
            late = draw(st.integers(0, 40))
            new = dataclasses.replace(
                victim, call=victim.call + late, returned=victim.returned + late
            )
        elif change == 1:
            new = dataclasses.replace(victim, returned=victim.call + draw(st.integers(0, 10)))
        else:
            new = dataclasses.replace(victim, response=draw(other_answers(victim, told)))
        if not fits(new):
            continue
        operations = [new if each.id == victim.id else each for each in operations]
        told = [each for each in operations if each.outcome is Outcome.OK]
    return operations


def other_answers(victim, told):
    """Answers that *victim* might have got at another time, or from a store that is wrong."""
    like = [each.response for each in told if type(each.request) is type(victim.request)]
    match victim.response:
        case Value():
            like += [Value(None), Value("a"), Value("b"), Value("c")]
        case Swapped():
            like += [Swapped(True), Swapped(False)]
        case Committed() | Ranged() | Acknowledged() as answer:
            like += [
                dataclasses.replace(answer, revision=answer.revision + by) for by in (-1, 1, 2)
            ]
    return st.sampled_from(like)


def fits(operation):
    """Whether the answer has as many results as the request has changes."""
    request, answer = operation.request, operation.response
    if not isinstance(answer, Committed):
        return True
    if not isinstance(request, Txn):
        return len(answer.results) == 1
    return len(answer.results) == len(request.then if answer.succeeded else request.otherwise)


@st.composite
def litmus_tests(draw, *, clients=3, size=2):
    """
    A few writes and reads of two keys by each client, almost all at one stamp.

    Each key may look right by itself while no order explains both.
    """
    operations = []
    for client in range(clients):
        now = 0
        for _ in range(draw(st.integers(0, size))):
            number = len(operations)
            request = draw(st.builds(Get, KEYS) | st.builds(Put, KEYS, st.just(f"{number}")))
            call = now + draw(st.sampled_from([0, 0, 0, 0, 1]))
            now = call + draw(st.sampled_from([0, 0, 0, 1]))
            operations.append(Operation(number, client, request, call, now, Outcome.OK, Done()))
    written = {
        key: [each.request.value for each in operations if is_put(each, key)] for key in "xy"
    }
    return [
        each
        if isinstance(each.request, Put)
        else dataclasses.replace(
            each, response=Value(draw(st.sampled_from([None, *written[each.request.key]])))
        )
        for each in operations
    ]


def is_put(operation, key):
    return isinstance(operation.request, Put) and operation.request.key == key
