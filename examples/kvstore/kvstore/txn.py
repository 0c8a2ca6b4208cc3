"""The rules of transactions that need no store: duplicate keys and compares."""

from assertlib import Invariant

from .errors import BadRequestError, DuplicateKeyError
from .model import Compare, DeleteRange, KeyValue, Op, Put, Txn

__all__ = ["check", "holds", "put_keys"]

NO_DUPLICATE = Invariant("txn.no-duplicate-key")


def check(txn: Txn) -> None:
    """
    Refuse a transaction that no state could make valid.

    Raises:
        DuplicateKeyError: A branch puts a key twice, or puts a key that it also deletes.
        BadRequestError: A compare's operand is not of the type of its target.
    """
    for compare in txn.compares:
        _check_operand(compare)
    for branch in (txn.success, txn.failure):
        _check_branch(branch)


def holds(compare: Compare, kv: KeyValue | None) -> bool:
    """Whether *compare* is true of *kv*, the pair of its key (None: absent)."""
    actual, operand = _actual(compare, kv), compare.operand
    if compare.relation == "=":
        return actual == operand
    if compare.relation == "!=":
        return actual != operand
    smaller, greater = (actual, operand) if compare.relation == "<" else (operand, actual)
    return _is_less(smaller, greater)


def put_keys(branch: tuple[Op, ...]) -> set[str]:
    """The keys that *branch* writes whatever the state."""
    return {op.key for op in branch if isinstance(op, Put)}


def _actual(compare: Compare, kv: KeyValue | None) -> int | str:
    if compare.target == "value":
        return kv.value if kv else ""
    if kv is None:
        return 0
    match compare.target:
        case "version":
            return kv.version
        case "create":
            return kv.create_revision
        case "mod":
            return kv.mod_revision


def _is_less(smaller: int | str, greater: int | str) -> bool:
    if isinstance(smaller, int) and isinstance(greater, int):
        return smaller < greater
    return str(smaller) < str(greater)


def _check_operand(compare: Compare) -> None:
    expected = str if compare.target == "value" else int
    if not isinstance(compare.operand, expected):
        raise BadRequestError(f"compare of {compare.target} with {compare.operand!r}")


def _check_branch(branch: tuple[Op, ...]) -> None:
    puts = [op.key for op in branch if isinstance(op, Put)]
    spans = [op.span for op in branch if isinstance(op, DeleteRange)]
    twice = len(set(puts)) < len(puts)
    if twice or any(key in span for span in spans for key in puts):
        NO_DUPLICATE.reachable("a transaction that modifies a key twice is refused")
        raise DuplicateKeyError("a branch modifies a key twice")
