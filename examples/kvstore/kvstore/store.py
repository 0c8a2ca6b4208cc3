"""
The store: log, state machine, watches and leases, and the moment of acknowledgement.

A mutation is answered in five steps: it joins the next batch, the batch is written to the log,
the log is synced, the commands are applied, and only then do the callers learn of it.  Everything
that arrives while the event loop is busy shares one sync.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from assertlib import Invariant, disk

from . import snapshot
from .errors import KvError, LeaseNotFoundError, StoreFailedError
from .lease import Lessor
from .model import Command, LeaseGrant, LeaseResult, LeaseRevoke, Put, Range, RangeResult, Result
from .state import State
from .wal import Entry, Position, Wal, open_log
from .watch import Watcher, WatchHub, WatchSpec

__all__ = ["Options", "Status", "Store"]

FSYNC = Invariant("wal.fsync-before-ack#contents")
WRITTEN = Invariant("wal.written-before-applied")
NO_DIRTY_READ = Invariant("kv.no-dirty-read")
FIRST_REVISION = Invariant("kv.first-revision")
REVISION = Invariant("kv.revision-monotonic")
DURABLE = Invariant("kv.durable-ack")
DISK_FAILS = Invariant("wal.snapshot-file-exists#disk-fails")
REPLAYED = Invariant("kv.durable-ack#replayed")
EXPIRY = Invariant("lease.expiry-deletes-all")

_ack_after_fsync = FSYNC.declare_always("ack follows fsync")
_applied_after_write = WRITTEN.declare_always(
    "a command is durable in the log before it is applied"
)
_read_is_durable = NO_DIRTY_READ.declare_always("a read sees only what a power cut would spare")
_busy_end = EXPIRY.declare_sometimes("a lease's expiry is decided while commands wait for the log")
_late_put = EXPIRY.declare_sometimes(
    "a lease's expiry is decided before a put that attaches a key to it has been logged"
)
_group = FSYNC.declare_sometimes("several writes share one fsync")


@dataclass(frozen=True, slots=True)
class Options:
    """
    How a store behaves.

    Attributes:
        snapshot_every: Log entries between two snapshots.
        watch_limit: Responses that may wait for a slow watcher.
    """

    snapshot_every: int = 10_000
    watch_limit: int = 256


@dataclass(frozen=True, slots=True)
class Status:
    """Where the store stands; *digest* hashes its whole state."""

    revision: int
    compacted: int
    applied_index: int
    digest: str


@dataclass(slots=True)
class _Proposal:
    command: Command
    answer: asyncio.Future[Result]
    position: Position | None = None


class Store:
    """
    A key-value store on one directory; use `open`.

    Every method must be called from one event loop.  *clock* gives monotonic seconds.
    """

    def __init__(
        self, storage: disk.Disk, directory: str, clock: Callable[[], float], options: Options
    ) -> None:
        storage.make_directory(directory)
        log = open_log(storage, directory)
        marker = log.marker
        self._state = snapshot.load(storage, directory, marker) if marker else State()
        self._disk = storage
        self._directory = directory
        self._clock = clock
        self._options = options
        self._wal: Wal = log.wal
        self._snapshot_index = marker.index if marker else 0
        self._durable_index = 0
        self._pending: list[_Proposal] = []
        self._failed: Exception | None = None
        self._replay(log.entries)
        self._hub = WatchHub(self._state, options.watch_limit)
        self._lessor = Lessor()
        for lease, ttl in self._state.leases().items():
            self._lessor.add(lease, ttl, clock())
        REPLAYED.sometimes(
            bool(marker and log.entries), "recovery uses a snapshot and the log after it"
        )

    @classmethod
    def open(
        cls,
        storage: disk.Disk,
        directory: str,
        *,
        clock: Callable[[], float],
        options: Options | None = None,
    ) -> "Store":
        """
        Recover the store in *directory*, or begin one there.

        Raises:
            WalCorruptedError: Records are missing or broken.
            SnapshotBrokenError: The snapshot in use is missing or damaged.
        """
        return cls(storage, directory, clock, options or Options())

    def propose(self, command: Command) -> asyncio.Future[Result]:
        """
        Carry out *command*; the future is done once the command is durable and applied.

        It fails with a `KvError` when the command is refused, and with `StoreFailedError` when the
        disk failed and nobody knows whether the command is in the log.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        if self._failed is not None:
            answer.set_exception(StoreFailedError(str(self._failed)))
            return answer
        if not self._pending:
            loop.call_soon(self._commit)
        self._pending.append(_Proposal(command, answer))
        return answer

    def range(self, op: Range) -> RangeResult:
        """
        Read; the answer is of this very moment.

        Raises:
            KvError: The revision is compacted, or has not happened.
        """
        _read_is_durable(
            self._state.applied_index <= self._durable_index,
            lambda: {"applied": self._state.applied_index, "durable": self._durable_index},
        )
        return self._state.range(op)

    def keep_alive(self, lease: int) -> LeaseResult:
        """
        Let *lease* live its ttl from now on.

        Raises:
            LeaseNotFoundError: There is no such lease, or its expiry is decided.
        """
        ttl = self._lessor.keep_alive(lease, self._clock())
        if ttl is None:
            raise LeaseNotFoundError(f"lease {lease}")
        return LeaseResult(self._state.revision, lease, ttl)

    def expire_leases(self) -> None:
        """Propose the end of every lease that is due; to be called every now and then."""
        due = self._lessor.take_due(self._clock())
        _busy_end(bool(due and self._pending))
        for lease in due:
            _late_put(any(_is_put_on(lease, each.command) for each in self._pending))
            self.propose(LeaseRevoke(lease, expired=True)).add_done_callback(_collect)

    def watch(self, spec: WatchSpec, on_ready: Callable[[], None]) -> Watcher:
        """Begin a watch; *on_ready* is called when there is something to `take`."""
        return self._hub.open(spec, on_ready)

    @property
    def watches(self) -> WatchHub:
        """The running watches, to serve, to ask for progress, and to cancel."""
        return self._hub

    @property
    def leases(self) -> frozenset[int]:
        """The ids of the living leases."""
        return frozenset(self._state.leases())

    @property
    def applied_index(self) -> int:
        """The index of the last log entry that was applied."""
        return self._state.applied_index

    @property
    def has_failed(self) -> bool:
        """Whether the disk failed under the store, which then writes no more."""
        return self._failed is not None

    def status(self) -> Status:
        """Where the store stands."""
        state = self._state
        return Status(state.revision, state.compacted, state.applied_index, state.digest())

    def close(self) -> None:
        """Give the files back; proposals that wait for an answer get none."""
        self._wal.close()

    def _replay(self, entries: tuple[Entry, ...]) -> None:
        saved = self._state.revision
        for entry in entries:
            self._apply(entry.index, entry.command)
            DURABLE.sometimes_each(
                type(entry.command).__name__,
                "each kind of command is replayed from the log",
                expected=("Put", "DeleteRange", "Txn", "Compact", "LeaseGrant", "LeaseRevoke"),
            )
        self._durable_index = self._wal.last_index
        REVISION.always_greater_than_or_equal_to(
            self._state.revision, saved, "replay of the log never lowers the snapshot's revision"
        )
        if self._wal.last_index == 0:
            FIRST_REVISION.always(
                self._state.revision == 1, "a store without history is at revision 1"
            )

    def _commit(self) -> None:
        """Make what is pending durable with one sync, then apply and answer it."""
        batch, self._pending = self._pending, []
        first = self._wal.last_index + 1
        entries = tuple(Entry(first + i, proposal.command) for i, proposal in enumerate(batch))
        try:
            self._save(batch, entries)
            for proposal, entry in zip(batch, entries, strict=True):
                self._carry_out(proposal, entry.index)
            self._maybe_snapshot()
        except Exception as error:
            self._fail(error, batch)
            if not isinstance(error, OSError):
                raise

    def _save(self, batch: list[_Proposal], entries: tuple[Entry, ...]) -> None:
        position = self._wal.append(entries)
        for proposal in batch:
            proposal.position = position
        self._wal.sync()
        self._durable_index = self._wal.last_index
        _group(len(batch) > 1)

    def _carry_out(self, proposal: _Proposal, index: int) -> None:
        _applied_after_write(self._is_durable(proposal), lambda: {"command": proposal.command})
        result = self._apply(index, proposal.command)
        self._hub.publish()
        self._answer(proposal, result)

    def _apply(self, index: int, command: Command) -> Result | KvError:
        try:
            return self._state.apply(index, command)
        except KvError as error:
            return error

    def _answer(self, proposal: _Proposal, result: Result | KvError) -> None:
        _ack_after_fsync(
            self._is_durable(proposal),
            lambda: {"command": proposal.command, "position": proposal.position},
        )
        if isinstance(result, KvError):
            _resolve(proposal.answer, result)
            return
        match proposal.command:
            case LeaseGrant(lease, ttl):
                self._lessor.add(lease, ttl, self._clock())
            case LeaseRevoke(lease, expired=True):
                self._lessor.expire(lease, self._clock())
            case LeaseRevoke(lease):
                self._lessor.forget(lease)
        _resolve(proposal.answer, result)

    def _is_durable(self, proposal: _Proposal) -> bool:
        return proposal.position is not None and self._wal.covers(proposal.position)

    def _maybe_snapshot(self) -> None:
        index = self._state.applied_index
        if index - self._snapshot_index < self._options.snapshot_every:
            return
        try:
            name = snapshot.write(self._disk, self._directory, self._state)
            self._wal.roll(name)
        except OSError:
            DISK_FAILS.reachable("the disk fails during a snapshot")
            raise
        self._snapshot_index = index
        snapshot.remove_except(self._disk, self._directory, name)

    def _fail(self, error: Exception, batch: list[_Proposal]) -> None:
        """What reached the disk is unknown, and asking it again would not tell: stop."""
        self._failed = error
        unanswered = [*batch, *self._pending]
        self._pending = []
        for proposal in unanswered:
            _resolve(proposal.answer, StoreFailedError(str(error)))


def _is_put_on(lease: int, command: Command) -> bool:
    return isinstance(command, Put) and command.lease == lease


def _resolve(answer: asyncio.Future[Result], result: Result | KvError) -> None:
    if answer.done():
        return
    if isinstance(result, KvError):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _collect(answer: asyncio.Future[Result]) -> None:
    """An expiry that a client's revoke or a failed disk forestalled needs no further care."""
    if not answer.cancelled():
        answer.exception()
