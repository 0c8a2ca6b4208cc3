"""
How campaigns start this store and talk to it: ``assertlib robustness run kvstore.adapter:KvStore``.
"""

import sys
from collections.abc import AsyncIterator, Sequence

from assertlib.history import requests as asked
from assertlib.robustness.adapter import Connection, Member, NotAppliedError, Status, Store

from . import model
from .client import Client
from .errors import (
    BadRequestError,
    CompactedError,
    ConnectionLostError,
    DuplicateKeyError,
    FutureRevisionError,
    KvError,
    LeaseExistsError,
    LeaseNotFoundError,
)
from .model import KeyRange
from .watch import WatchSpec

__all__ = ["KvStore"]

_REFUSALS: dict[type[KvError], asked.Reason] = {
    CompactedError: "compacted",
    FutureRevisionError: "future-revision",
    LeaseExistsError: "lease-exists",
    LeaseNotFoundError: "lease-not-found",
}


class KvStore(Store):
    """One process; a directory outlives it."""

    name = "kvstore"
    model = "etcd"
    profile = "mixed"

    def command(self, member: Member, members: Sequence[Member]) -> list[str]:
        serve = [sys.executable, "-m", "kvstore", "serve", str(member.data)]
        return [*serve, "--port", str(member.port)]

    async def connect(self, member: Member) -> "KvConnection":
        return KvConnection(await Client.connect(member.port))


class KvConnection(Connection):
    """A client, in the words of histories."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def do(self, request: asked.Request) -> asked.Response:
        try:
            return await self._ask(request)
        except (BadRequestError, DuplicateKeyError, ConnectionLostError) as error:
            raise NotAppliedError(error) from error
        except tuple(_REFUSALS) as error:
            return asked.Refused(_REFUSALS[type(error)])

    async def _ask(self, request: asked.Request) -> asked.Response:
        client = self._client
        match request:
            case asked.Range(key, end, revision, limit):
                return _ranged(await client.range(KeyRange(key, end), revision, limit))
            case asked.Put() | asked.Delete():
                done = await client.txn((), (_op(request),))
                return asked.Committed(done.revision, True, _results(done))
            case asked.Txn(compares, then, otherwise):
                done = await client.txn(
                    tuple(_compare(each) for each in compares),
                    tuple(_op(each) for each in then),
                    tuple(_op(each) for each in otherwise),
                )
                return asked.Committed(done.revision, done.succeeded, _results(done))
            case asked.Grant(lease, ttl):
                return asked.Acknowledged((await client.grant(ttl, lease)).revision)
            case asked.Revoke(lease):
                return asked.Acknowledged((await client.revoke(lease)).revision)
            case asked.KeepAlive(lease):
                return asked.Acknowledged((await client.keep_alive(lease)).revision)
            case asked.Compact(revision):
                return asked.Acknowledged((await client.compact(revision)).revision)
        raise NotAppliedError(f"kvstore knows no {request!r}")

    async def status(self) -> Status:
        status = await self._client.status()
        return Status(status.revision, status.compacted, int(status.digest[:12], 16))

    async def watch(self, request: asked.Watch) -> AsyncIterator[asked.Delivery]:
        watch = await self._client.watch(
            WatchSpec(
                KeyRange(request.key, request.end),
                request.revision,
                request.prev_kv,
                no_put="put" in request.filters,
                no_delete="delete" in request.filters,
            )
        )
        if request.progress_notify:
            await watch.request_progress()
        async for response in watch:
            yield asked.Delivery(
                response.revision,
                tuple(_event(event) for event in response.events),
                cancelled=response.cancelled,
                compacted=response.compacted,
            )

    async def close(self) -> None:
        await self._client.close()


def _op(change: asked.Change) -> model.Op:
    match change:
        case asked.Put(key, value, lease):
            return model.Put(key, value, lease)
        case asked.Delete(key, end):
            return model.DeleteRange(KeyRange(key, end))
        case asked.Range(key, end, revision, limit):
            return model.Range(KeyRange(key, end), revision, limit)


def _compare(compare: asked.Compare) -> model.Compare:
    if compare.end or compare.target == "lease":
        raise NotAppliedError(f"kvstore knows no {compare!r}")
    return model.Compare(compare.key, compare.target, compare.relation, compare.operand)


def _results(done: model.TxnResult) -> tuple[asked.Result, ...]:
    return tuple(_result(each, done.revision) for each in done.results)


def _result(result: model.OpResult, revision: int) -> asked.Result:
    match result:
        case model.PutResult():
            return asked.Done()
        case model.DeleteResult(_, deleted):
            return asked.Deleted(deleted)
        case model.RangeResult():
            return asked.Ranged(revision, _ranged(result).kvs, result.count)


def _ranged(result: model.RangeResult) -> asked.Ranged:
    return asked.Ranged(result.revision, tuple(_kv(kv) for kv in result.kvs), result.count)


def _kv(kv: model.KeyValue) -> asked.KeyValue:
    return asked.KeyValue(
        kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease
    )


def _event(event: model.Event) -> asked.Event:
    previous = None if event.prev is None else _kv(event.prev)
    kv = _kv(event.kv)
    # A deletion is told by its key and revision alone.
    lean = kv if event.kind == "put" else kv._replace(value="", lease=0)
    return asked.Event(event.kind, lean, previous)
