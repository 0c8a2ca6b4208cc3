"""
Short texts for requests, responses and events, for reports and pages.
"""

from __future__ import annotations

from .requests import (
    NO_END,
    Acknowledged,
    Append,
    Committed,
    Compact,
    Compare,
    Delete,
    Deleted,
    Done,
    Event,
    Get,
    Grant,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Refused,
    Request,
    Response,
    Result,
    Revoke,
    Swap,
    Swapped,
    Txn,
    Value,
    Watch,
)

_MANY = 4


def request_in_words(request: Request) -> str:
    """Describe *request*, such as ``put x=1 on lease 7``."""
    # Without a default case, mypy reports every type of request that is missing here.
    match request:
        case Get(key):
            return f"get {key}"
        case Put(key, value, lease):
            return f"put {key}={value}" + (f" on lease {lease}" if lease else "")
        case Append(key, value):
            return f"append {value} to {key}"
        case Swap(key, expected, value):
            return f"swap {key} from {_value(expected)} to {value}"
        case Range():
            return _range(request)
        case Delete(key, end):
            return f"delete {_keys(key, end)}"
        case Txn():
            return _txn(request)
        case Grant(lease, ttl):
            return f"grant lease {lease} for {ttl} s"
        case Revoke(lease):
            return f"revoke lease {lease}"
        case KeepAlive(lease):
            return f"keep lease {lease} alive"
        case Compact(revision):
            return f"compact at {revision}"


def response_in_words(response: Response | Result) -> str:
    """Describe *response*, such as ``swapped`` or ``refused: compacted``."""
    match response:
        case Value(value):
            return _value(value)
        case Done():
            return "done"
        case Swapped(succeeded):
            return "swapped" if succeeded else "not swapped"
        case Ranged(revision, kvs, count):
            return f"{_kvs(kvs, count)}, at revision {revision}"
        case Deleted(count):
            return f"{count} deleted"
        case Committed(revision, succeeded, results):
            # The results share the revision of the transaction, which is named once at the end;
            # those of puts hold nothing.
            parts = [
                response_in_words(each).rpartition(", at revision")[0] or response_in_words(each)
                for each in results
                if not isinstance(each, Done)
            ]
            branch = "" if succeeded else "else: "
            return f"{branch}{'; '.join([*parts, f'revision {revision}'])}"
        case Acknowledged(revision):
            return f"done, at revision {revision}"
        case Refused(reason):
            return f"refused: {reason}"


def watch_in_words(request: Watch) -> str:
    """Describe the keys, the first revision and the filters of a watch."""
    start = f"from revision {request.revision}" if request.revision else "from now on"
    without = f" without {' and '.join(f'{each}s' for each in request.filters)}"
    return f"{_keys(request.key, request.end)} {start}{without if request.filters else ''}"


def event_in_words(event: Event) -> str:
    """Describe one change, such as ``DELETE x at revision 3``."""
    if event.kind == "delete":
        return f"DELETE {event.kv.key} at revision {event.kv.mod_revision}"
    return f"PUT {_kv(event.kv)}"


def _keys(key: str, end: str) -> str:
    if not end:
        return key
    return f"{key}…" if end == NO_END else f"{key}…{end}"


def _value(value: str | None) -> str:
    return "nothing" if value is None else value


def _range(request: Range) -> str:
    words = f"range {_keys(request.key, request.end)}"
    if request.revision:
        words += f" at revision {request.revision}"
    if request.limit:
        words += f", at most {request.limit}"
    return words + (", stale reads allowed" if request.serializable else "")


def _txn(txn: Txn) -> str:
    then = ", ".join(map(request_in_words, txn.then)) or "nothing"
    if not txn.compares:
        return f"txn {then}"
    condition = " and ".join(map(_compare, txn.compares))
    otherwise = ", ".join(map(request_in_words, txn.otherwise))
    return f"txn if {condition} then {then}" + (f" else {otherwise}" if otherwise else "")


def _compare(compare: Compare) -> str:
    keys = _keys(compare.key, compare.end)
    return f"{compare.target}({keys}) {compare.relation} {compare.operand}"


def _kvs(kvs: tuple[KeyValue, ...], count: int) -> str:
    if not count:
        return "nothing"
    # A limit may have cut the answer, so *count* can be greater than the number of pairs.
    listed = ", ".join(_kv(kv) for kv in kvs[:_MANY])
    return listed if len(kvs) <= _MANY and len(kvs) == count else f"{listed}, … of {count} keys"


def _kv(kv: KeyValue) -> str:
    return f"{kv.key}={kv.value} (revision {kv.mod_revision}, version {kv.version})"
