"""
Clients that give a store something to do, and write down what they were told.

Each actor has a connection and a random number generator of its own and works until the
connection breaks.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from assertlib import Invariant

from .client import Client, Watch
from .errors import (
    CompactedError,
    ConnectionLostError,
    FutureRevisionError,
    LeaseNotFoundError,
    OutcomeUnknownError,
)
from .history import Held, History, Read, Swap, WatchLog, Write
from .model import Compare, DeleteRange, KeyRange, Op, Put, TxnResult
from .watch import WatchSpec

__all__ = ["ACTORS", "Session", "follow", "run_actor"]

REVISION = Invariant("kv.revision-monotonic")
TXN_ATOMIC = Invariant("txn.atomic")
CAS = Invariant("txn.single-cas-winner")
CAS_LOST = Invariant("txn.single-cas-winner#lost")

_session_forward = REVISION.declare_always("revisions never go backwards within a session")
_swap_lost = CAS_LOST.declare_sometimes("a swap loses to a competitor")

FREE_KEYS = tuple(f"k{number}" for number in range(12))
PAIRS = 4
SWAP_KEYS = ("swap/0", "swap/1")
PREFIXES = ("k", "k1", "pair/", "swap/", "lease/")
LEASE_TTL = 0.25


class Session:
    """One client's connection and what it needs to work with it."""

    def __init__(self, client: Client, rng: random.Random, history: History, name: str) -> None:
        self.client = client
        self.rng = rng
        self.history = history
        self._name = name
        self._tokens = 0
        self._last = 0

    def token(self) -> str:
        """A value that nobody else writes."""
        self._tokens += 1
        return f"{self._name}-{self._tokens}"

    def saw(self, revision: int) -> int:
        """An answer spoke of *revision*; this session's answers come one after the other."""
        _session_forward(revision >= self._last, lambda: {"last": self._last, "now": revision})
        self._last = revision
        self.history.saw(revision)
        return revision


Actor = Callable[[Session], Awaitable[None]]


async def run_actor(actor: Actor, session: Session) -> None:
    """Let *actor* act until its connection breaks."""
    try:
        while True:
            await actor(session)
    except (ConnectionLostError, OutcomeUnknownError):
        pass


async def write(session: Session) -> None:
    """Put, delete, or read some key."""
    key = session.rng.choice(FREE_KEYS)
    dice = session.rng.random()
    if dice < 0.65:
        await _put(session, key)
    elif dice < 0.85:
        deleted = await session.client.delete(KeyRange(key), prev_kv=True)
        session.saw(deleted.revision)
    elif dice < 0.87:
        deleted = await session.client.delete(KeyRange.prefix("k1"))
        session.saw(deleted.revision)
    else:
        await _read(session, session.rng.choice(("k", "swap/", "lease/")))


async def write_pairs(session: Session) -> None:
    """Write or delete both halves of a pair at once, or look whether they belong together."""
    number = session.rng.randrange(PAIRS)
    keys = (f"pair/a{number}", f"pair/b{number}")
    dice = session.rng.random()
    if dice < 0.6:
        record = Write(session.token(), keys)
        session.history.writes.append(record)
        result = await session.client.txn((), tuple(Put(key, record.token) for key in keys))
        record.outcome, record.revision = "done", session.saw(result.revision)
    elif dice < 0.7:
        both: tuple[Op, ...] = tuple(DeleteRange(KeyRange(key)) for key in keys)
        session.saw((await session.client.txn((), both)).revision)
    else:
        await _read_pairs(session)


async def swap(session: Session) -> None:
    """Read a key and replace what was read, if nobody else was faster."""
    key = session.rng.choice(SWAP_KEYS)
    found = await session.client.range(KeyRange(key))
    expected = found.kvs[0].mod_revision if found.kvs else 0
    record = Swap(session.token(), key, expected)
    session.history.swaps.append(record)
    result = await _swap(session, record)
    record.outcome, record.succeeded = "done", result.succeeded
    record.revision = session.saw(result.revision)
    _swap_lost(not result.succeeded)


async def hold_lease(session: Session) -> None:
    """Keep a lease alive for a while, then leave it, or now and then revoke it."""
    held = await _grant(session)
    with suppress(LeaseNotFoundError):
        await _use_lease(session, held)


async def keep_leases(session: Session) -> None:
    """Use several leases and keep them alive, all at once, until that is too late for all."""
    async with _watching(session, WatchSpec(KeyRange.prefix("lease/"))):
        await _at_once(_keep(session) for _ in range(6))


async def _at_once(calls: Iterable[Awaitable[None]]) -> None:
    """Make *calls* at once; the first that fails has failed them all."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _keep(session: Session) -> None:
    held = await _grant(session)
    with suppress(LeaseNotFoundError):
        while True:
            if session.rng.random() < 0.4:
                session.history.saw(await _put_on(session, held))
            else:
                await _keep_alive(session, held)
            await asyncio.sleep(session.rng.uniform(0, LEASE_TTL))


async def _grant(session: Session) -> Held:
    sent = asyncio.get_running_loop().time()
    grant = await session.client.grant(LEASE_TTL)
    held = Held(grant.lease, grant.ttl, sent)
    session.history.held.append(held)
    return held


async def _put_on(session: Session, held: Held) -> int:
    key = f"lease/{session.token()}"
    revision = (await session.client.put(key, key, lease=held.lease)).revision
    held.keys.append(key)
    return revision


async def _keep_alive(session: Session, held: Held) -> None:
    sent = asyncio.get_running_loop().time()
    await session.client.keep_alive(held.lease)
    held.renewed = sent


async def _use_lease(session: Session, held: Held) -> None:
    for _ in range(session.rng.randint(1, 3)):
        session.saw(await _put_on(session, held))
    for _ in range(session.rng.randrange(4)):
        await asyncio.sleep(session.rng.uniform(0, LEASE_TTL / 2))
        await _keep_alive(session, held)
    if session.rng.random() < 0.3:
        held.is_revoked = True
        session.saw((await session.client.revoke(held.lease)).revision)


async def compact(session: Session) -> None:
    """Every now and then forget the past, preferably just at a deletion."""
    await asyncio.sleep(session.rng.uniform(0.02, 0.12))
    at = session.history.newest - session.rng.randrange(session.rng.choice((5, 40)))
    key = session.rng.choice(FREE_KEYS)
    dice = session.rng.random()
    if dice < 0.3:
        # What is sent at once is carried out at once: one of these is the deletion's revision.
        guesses = range(session.history.newest + 1, session.history.newest + 5)
        await _at_once((_delete(session, key), *(_compact(session, each) for each in guesses)))
        return
    if dice < 0.6:
        deleted = await session.client.delete(KeyRange(key))
        at = session.saw(deleted.revision) if deleted.deleted else at
    await _compact(session, at)


async def _delete(session: Session, key: str) -> None:
    session.history.saw((await session.client.delete(KeyRange(key))).revision)


async def _compact(session: Session, revision: int) -> None:
    with suppress(CompactedError, FutureRevisionError):
        session.history.saw((await session.client.compact(revision)).revision)


async def look_back(session: Session) -> None:
    """Read the past, which a later read has to find unchanged."""
    await asyncio.sleep(session.rng.uniform(0, 0.01))
    revision = max(1, session.history.newest - session.rng.randrange(60))
    await _read(session, "k", revision)


async def watch(session: Session) -> None:
    """Watch some prefix from some revision for a while."""
    status = await session.client.status()
    starts = (0, status.revision - 30, status.compacted, status.compacted - 1, status.revision + 5)
    spec = WatchSpec(
        KeyRange.prefix(session.rng.choice(PREFIXES)),
        max(0, session.rng.choice(starts)),
        prev_kv=session.rng.random() < 0.5,
        no_put=session.rng.random() < 0.1,
        no_delete=session.rng.random() < 0.1,
    )
    async with _watching(session, spec) as opened:
        await _ask_for_progress(session, opened)


@asynccontextmanager
async def _watching(session: Session, spec: WatchSpec) -> AsyncIterator[Watch]:
    """Watch, and write down what is seen, until the block is left."""
    opened = await session.client.watch(spec)
    log = WatchLog(spec)
    session.history.watches.append(log)
    reader = asyncio.create_task(follow(opened, log, session.history))
    try:
        yield opened
        if not reader.done():
            await opened.cancel()
    finally:
        await asyncio.gather(reader, return_exceptions=True)


async def _ask_for_progress(session: Session, opened: Watch) -> None:
    """Ask now and then, without waiting for the answer before."""
    asked = []
    for _ in range(session.rng.randrange(6)):
        await asyncio.sleep(session.rng.uniform(0, 0.04))
        asked.append(asyncio.create_task(opened.request_progress()))
    await _at_once(asked)


async def audit(session: Session) -> None:
    """Watch everything, from where the last audit stopped."""
    spec = WatchSpec(KeyRange.everything(), session.history.audited + 1, prev_kv=True)
    opened = await session.client.watch(spec)
    log = WatchLog(spec)
    session.history.watches.append(log)
    await follow(opened, log, session.history)
    session.history.audited = log.responses[-1][1].compacted - 1


async def follow(
    watch: Watch, log: WatchLog, history: History, *, until_bookmark: bool = False
) -> None:
    """Write down what *watch* sends until it ends, or cancel it at the first bookmark."""
    async for response in watch:
        log.responses.append((asyncio.get_running_loop().time(), response))
        history.saw(response.revision)
        if until_bookmark and response.is_bookmark:
            await watch.cancel()


async def _put(session: Session, key: str) -> None:
    record = Write(session.token(), (key,))
    session.history.writes.append(record)
    result = await session.client.put(key, record.token, prev_kv=True)
    record.outcome, record.revision = "done", session.saw(result.revision)


async def _read(session: Session, prefix: str, revision: int = 0) -> Read | None:
    try:
        found = await session.client.range(KeyRange.prefix(prefix), revision)
    except (CompactedError, FutureRevisionError):
        return None
    read = Read(prefix, revision or session.saw(found.revision), found.kvs)
    session.history.reads.append(read)
    return read


async def _read_pairs(session: Session) -> None:
    read = await _read(session, "pair/")
    assert read is not None
    halves = {kv.key.removeprefix("pair/"): (kv.value, kv.mod_revision) for kv in read.kvs}
    apart = [n for n in range(PAIRS) if halves.get(f"a{n}") != halves.get(f"b{n}")]
    TXN_ATOMIC.always(
        not apart,
        "a read finds both halves of a pair from one transaction",
        lambda: {"apart": apart, "halves": halves},
    )


async def _swap(session: Session, record: Swap) -> TxnResult:
    return await session.client.txn(
        (Compare(record.key, "mod", "=", record.expected),), (Put(record.key, record.token),)
    )


ACTORS: tuple[Actor, ...] = (
    audit,
    write,
    write,
    write,
    write_pairs,
    swap,
    swap,
    hold_lease,
    compact,
    look_back,
    watch,
    watch,
)
