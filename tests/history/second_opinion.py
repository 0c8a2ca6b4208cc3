"""
Linearizability by trying everything, and the stores it is about, written as plainly as can be
and without a line of what is tested.
"""

from assertlib.history.operations import Outcome
from assertlib.history.requests import (
    Acknowledged,
    Append,
    Committed,
    Compact,
    Delete,
    Deleted,
    Done,
    Get,
    Grant,
    KeyValue,
    Put,
    Range,
    Ranged,
    Refused,
    Revoke,
    Swap,
    Swapped,
    Txn,
    Value,
)


def is_linearizable(operations, store):
    """
    Whether some order of *operations* fits, and is in keeping with real time.

    Operations of one client stand in the order in which it called them.
    """
    earlier = {
        each.id: [other for other in operations[:at] if other.client == each.client]
        for at, each in enumerate(operations)
    }
    told = [each for each in operations if each.outcome is Outcome.OK]
    untold = [each for each in operations if each.outcome is Outcome.UNKNOWN]
    taken = {each.revision for each in untold}

    def can_be(each, state, after):
        if "revision" not in after:
            return True
        made = after["revision"]
        if each.revision is not None:
            return made == each.revision
        return made == (state or {}).get("revision", 1) or made not in taken

    def goes_on(told, untold, state):
        if not told:
            return True
        # Nothing may be put after what had been called when it had returned already.
        horizon = min(each.returned for each in told)

        def may_come(each):
            return each.call <= horizon and not any(other in told for other in earlier[each.id])

        for each in told:
            if may_come(each):
                after, answer = store(state, each.request)
                if answer == each.response and goes_on(
                    [other for other in told if other is not each], untold, after
                ):
                    return True
        for each in untold:
            if may_come(each):
                after, _ = store(state, each.request)
                if can_be(each, state, after) and goes_on(
                    told, [other for other in untold if other is not each], after
                ):
                    return True
        return False

    return goes_on(told, untold, None)


def registers(state, request):
    """A store of registers; its state is a dict."""
    state = dict(state or {})
    old = state.get(request.key)
    match request:
        case Get():
            return state, Value(old)
        case Put(key, value):
            return {**state, key: value}, Done()
        case Append(key, value):
            return {**state, key: (old or "") + value}, Done()
        case Swap(key, expected, value):
            if old != expected:
                return state, Swapped(False)
            return {**state, key: value}, Swapped(True)


def etcd(state, request):
    """An etcd; its state is a dict of what it is made of."""
    state = state or {"revision": 1, "compacted": -1, "kvs": {}, "leases": ()}
    match request:
        case Range():
            return state, in_range(state, request, state["revision"])
        case Grant(lease):
            if lease in state["leases"]:
                return state, Refused("lease-exists")
            return {**state, "leases": (*state["leases"], lease)}, Acknowledged(state["revision"])
        case Revoke(lease):
            if lease not in state["leases"]:
                return state, Refused("lease-not-found")
            kept = {key: kv for key, kv in state["kvs"].items() if kv.lease != lease}
            revision = state["revision"] + (len(kept) < len(state["kvs"]))
            leases = tuple(each for each in state["leases"] if each != lease)
            new = {**state, "revision": revision, "kvs": kept, "leases": leases}
            return new, Acknowledged(revision)
        case Compact(revision):
            if revision <= state["compacted"]:
                return state, Refused("compacted")
            if revision > state["revision"]:
                return state, Refused("future-revision")
            return {**state, "compacted": revision}, Acknowledged(state["revision"])
        case Put() | Delete():
            return transaction(state, Txn((), (request,)))
        case Txn():
            return transaction(state, request)


def transaction(state, txn):
    succeeded = all(compares(state["kvs"], each) for each in txn.compares)
    branch = txn.then if succeeded else txn.otherwise
    for each in branch:
        if isinstance(each, Put) and each.lease and each.lease not in state["leases"]:
            return state, Refused("lease-not-found")
    kvs, results, revision, is_changed = dict(state["kvs"]), [], state["revision"] + 1, False
    for each in branch:
        match each:
            case Put(key, value, lease):
                old = kvs.get(key)
                kvs[key] = KeyValue(
                    key,
                    value,
                    old.create_revision if old else revision,
                    revision,
                    old.version + 1 if old else 1,
                    lease,
                )
                is_changed = True
                results.append(Done())
            case Delete(key, end):
                gone = [name for name in kvs if is_in(name, key, end)]
                for name in gone:
                    del kvs[name]
                is_changed = is_changed or bool(gone)
                results.append(Deleted(len(gone)))
            case Range():
                results.append((each, dict(kvs)))
    if not is_changed:
        revision = state["revision"]
    answers = tuple(
        in_range({"kvs": each[1]}, each[0], revision) if isinstance(each, tuple) else each
        for each in results
    )
    return {**state, "revision": revision, "kvs": kvs}, Committed(revision, succeeded, answers)


def compares(kvs, compare):
    def holds(value):
        operand = compare.operand
        return {
            "=": value == operand,
            "!=": value != operand,
            "<": value < operand,
            ">": value > operand,
        }[compare.relation]

    def field(kv):
        return {
            "value": kv.value,
            "version": kv.version,
            "create": kv.create_revision,
            "mod": kv.mod_revision,
            "lease": kv.lease,
        }[compare.target]

    there = [kv for key, kv in kvs.items() if is_in(key, compare.key, compare.end)]
    if there:
        return all(holds(field(kv)) for kv in there)
    return False if compare.target == "value" else holds(0)


def in_range(state, request, revision):
    found = [kv for key, kv in sorted(state["kvs"].items()) if is_in(key, request.key, request.end)]
    kept = found[: request.limit] if request.limit else found
    return Ranged(revision, tuple(kept), len(found))


def is_in(key, start, end):
    if end == "":
        return key == start
    if end == "\0":
        return key >= start
    return start <= key < end
