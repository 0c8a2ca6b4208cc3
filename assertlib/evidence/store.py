"""
The evidence store: permanent records of runs in SQLite or PostgreSQL.

Over 500 lines, since writing and reading of a run share the layout of its rows and stand side by
side, as do the two databases where they differ.
"""

from __future__ import annotations

import json
import os
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError

from .._text.inputs import LATEST
from ..recording.settings import file_mode
from . import schema
from .address import Address, StoreError
from .digest import Sample
from .record import Identity, Result, RunRecord, ShardRecord, Totals, TrialRow
from .schema import assertions, meta, results, runs, samples, shards, trials

DEFAULT = Path(".assertlib") / "evidence.db"
_BUSY_SECONDS = 60
_CONNECT_SECONDS = 10
_LIMITS = {"statement_timeout": "120s", "lock_timeout": f"{_BUSY_SECONDS}s"}
"""Limits in PostgreSQL, unless the server, the role of its user or the address sets others."""
_WRITES = "assertlib_writes"
_ROWS = 5_000
_LOCK = 0x61737372
"""Key of the advisory lock under which tables are created or upgraded, in PostgreSQL."""


@dataclass(frozen=True)
class StoredRun:
    """The description of a stored run, without its results."""

    id: str
    target: str
    commit: str
    branch: str
    full: bool
    started: int
    command: str


class Store:
    """A database of runs; every change of a run is atomic.  A context manager."""

    def __init__(self, url: str | Path) -> None:
        """
        Args:
            url: An address as SQLAlchemy writes it, such as ``postgresql://host/name``, or the path
                of an SQLite file, which is created if it does not exist.

        Raises:
            StoreError: The database cannot be opened, or is newer than this version of assertlib.
        """
        self._address = address = Address(url)
        try:
            self._engine = sa.create_engine(address.url, **_options(address))
        except ModuleNotFoundError as error:
            raise StoreError(
                f"{address.shown} needs {error.name}: pip install 'assertlib-sdk[postgres]'"
            ) from None
        except (SQLAlchemyError, ValueError, TypeError) as error:
            raise self._error(error) from None
        if self._is_sqlite:
            # Before the first connection, which would create the file with other permissions.
            _create_private(address.url.database)
            _prepare_sqlite(self._engine)
        else:
            _limit_waiting(self._engine)
        try:
            self._prepare()
        except BaseException:
            # The caller has no store to close if its construction fails.
            self.close()
            raise

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Close all connections to the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        engine = self._engine.execution_options(**{_WRITES: True})
        with self._errors(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of the database into errors of the store."""
        try:
            yield
        except SQLAlchemyError as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> StoreError:
        # Drivers append hints on further lines; the first one is the reason.
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = self._address.without_secrets(lines[0] if lines else type(error).__name__)
        return StoreError(f"{self._address.shown}: {reason}")

    def _prepare(self) -> None:
        with self._reading() as connection:
            # A user with read permission only must not need more to open an existing store.
            if schema.version_of(connection) == len(schema.STEPS):
                return
        with self._writing() as connection:
            if not self._is_sqlite:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            # Read again under the lock: another process may have upgraded meanwhile.
            version = schema.version_of(connection)
            newest = len(schema.STEPS)
            if version > newest:
                raise StoreError(
                    f"{self._address.shown}: schema {version}, but this version of assertlib knows"
                    f" {newest}; update assertlib"
                )
            for step in schema.STEPS[version:]:
                step(connection)
            if version < newest:
                connection.execute(meta.delete().where(meta.c.key == "version"))
                connection.execute(meta.insert().values(key="version", value=str(newest)))

    # -- adding --------------------------------------------------------------------------

    def add(self, record: RunRecord, *, newest: bool = False) -> bool:
        """
        Add a run, or merge more evidence into a stored one.

        Args:
            record: The run, or a part of it.
            newest: Whether to order a new run after all stored ones, whatever its start.

        Returns:
            Whether the store has changed.

        Raises:
            StoreError: The record could not be written; the store is unchanged.
        """
        with self._writing() as connection:
            self._lock(connection, record.id)
            # Read, merged and replaced in one transaction, or two writers would each lose the
            # shards of the other.
            known = self._stored(connection, record.id)
            if known is not None and _holds(known, record):
                return False
            merged = record
            if known is not None:
                merged = known
                merged.merge(record)
            elif newest:
                # Machines that add to one store have clocks that differ; the gate judges the runs
                # that it adds as the last ones.
                after = min(_last_start(connection) + 1, LATEST)
                merged.started = max(record.started, after)
            self._replace(connection, merged)
            return True

    def _lock(self, connection: sa.Connection, run: str) -> None:
        """Admit a single writer per run; SQLite has a single writer anyway."""
        if not self._is_sqlite:
            key = sa.func.hashtextextended(run, 0)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    def _replace(self, connection: sa.Connection, record: RunRecord) -> None:
        # All rows of the run: a merge may add assertions, which widens totals and bitmaps, and
        # results are derived from everything.
        _remove(connection, [record.id])
        numbers = self._assertion_ids(connection, record.assertions)
        connection.execute(
            runs.insert().values(
                id=record.id,
                target=record.target,
                commit=record.commit,
                branch=record.branch,
                full=record.full,
                started=record.started,
                command=record.command,
                features=json.dumps(record.features),
                replays=json.dumps(record.replays),
                assertions=json.dumps([numbers[each] for each in record.assertions]),
            )
        )
        found = {trial.sample for trial in record.trials.values()}
        found |= {sample for shard in record.shards.values() for sample in shard.totals}
        ids = self._sample_ids(connection, sorted(found))
        width = len(record.assertions)
        _insert(connection, shards, _shard_rows(record, ids))
        _insert(connection, trials, _trial_rows(record, ids, width))
        rows = (_result_row(result, ids, numbers) for result in record.results())
        _insert(connection, results, rows)

    def _assertion_ids(
        self, connection: sa.Connection, identities: Sequence[Identity]
    ) -> dict[Identity, int]:
        # By message, which is indexed; further assertions with these messages do no harm.
        rows = [identity._asdict() for identity in identities]
        _insert_missing(connection, assertions, rows)
        return {
            Identity(row.kind, row.message, row.fingerprint, row.invariant): row.id
            for part in _parts([identity.message for identity in identities])
            for row in connection.execute(assertions.select().where(assertions.c.message.in_(part)))
        }

    def _sample_ids(self, connection: sa.Connection, found: Sequence[Sample]) -> dict[Sample, int]:
        rows = [{"population": population, "sampler": sampler} for population, sampler in found]
        _insert_missing(connection, samples, rows)
        return {
            (row.population, row.sampler): row.id for row in connection.execute(samples.select())
        }

    # -- reading -------------------------------------------------------------------------

    def run(self, id: str) -> RunRecord | None:
        """
        Read the complete record of a run.

        Args:
            id: Id of the run.

        Returns:
            The record; None if the store has no such run.

        Raises:
            StoreError: The database cannot be read.
        """
        with self._reading() as connection:
            return self._stored(connection, id)

    def _stored(self, connection: sa.Connection, id: str) -> RunRecord | None:
        row = connection.execute(runs.select().where(runs.c.id == id)).first()
        if row is None:
            return None
        numbers = json.loads(row.assertions)
        identities = _identities(connection)
        kinds = _samples(connection)
        record = RunRecord(
            id=row.id,
            target=row.target,
            commit=row.commit,
            branch=row.branch,
            full=row.full,
            started=row.started,
            command=row.command,
            features=json.loads(row.features),
            replays=json.loads(row.replays),
            assertions=tuple(identities[number] for number in numbers),
        )
        for each in connection.execute(shards.select().where(shards.c.run == id)):
            weight = tuple(json.loads(each.weight))
            shard = record.shards.setdefault(each.name, ShardRecord(weight, {}))
            shard.totals[kinds[each.sample]] = Totals(_counts(each.true), _counts(each.false))
        for each in connection.execute(trials.select().where(trials.c.run == id)):
            record.trials[each.id] = TrialRow(
                kinds[each.sample], each.parent, each.seed, each.begin, each.end,
                _bits(each.true), _bits(each.false),
            )  # fmt: skip
        return record

    def runs(self, target: str | None = None, last: int | None = None) -> list[StoredRun]:
        """
        List the stored runs, oldest first.

        Args:
            target: Only runs of this target; None for those of all targets.
            last: Only the newest runs, this many at most; None for all.

        Raises:
            StoreError: The database cannot be read.
        """
        columns = [runs.c[name] for name in StoredRun.__dataclass_fields__]
        # Newest first, so that the database applies the limit; reversed below.
        query = sa.select(*columns).order_by(runs.c.started.desc(), runs.c.id.desc())
        if target is not None:
            query = query.where(runs.c.target == target)
        if last is not None:
            query = query.limit(last)
        with self._reading() as connection:
            return [StoredRun(*row) for row in connection.execute(query)][::-1]

    def results(self, of: Iterable[str]) -> Iterator[Result]:
        """
        Yield the results of assertions in the runs *of*, run by run in that order.

        Raises:
            StoreError: The database cannot be read.
        """
        with self._reading() as connection:
            identities, kinds = _identities(connection), _samples(connection)
            for part in _parts(list(of)):
                found: dict[str, list[Result]] = defaultdict(list)
                rows = connection.execute(results.select().where(results.c.run.in_(part)))
                for run, sample, assertion, *values in rows:
                    identity = identities[assertion]
                    found[run].append(Result(run, identity, kinds[sample], *values))
                # The database returns rows in any order; a history depends on that of the runs.
                for run in part:
                    yield from found[run]

    def sampled(self, of: Sequence[str]) -> set[tuple[Identity, Sample]]:
        """
        The assertions of the runs *of*, each with the samples whose trials had it.

        Raises:
            StoreError: The database cannot be read.
        """
        # Pairs of ids, as one pair recurs in each of the runs.
        pairs: set[tuple[int, int]] = set()
        with self._reading() as connection:
            identities, kinds = _identities(connection), _samples(connection)
            for part in _parts(list(of)):
                query = (
                    sa.select(results.c.assertion, results.c.sample)
                    .where(results.c.run.in_(part), results.c.trials > 0)
                    .distinct()
                )
                pairs.update((row[0], row[1]) for row in connection.execute(query))
        return {(identities[assertion], kinds[sample]) for assertion, sample in pairs}

    # -- removing ------------------------------------------------------------------------

    def remove(self, ids: Sequence[str]) -> None:
        """
        Delete runs.

        Args:
            ids: Ids of the runs; unknown ones are ignored.

        Raises:
            StoreError: The runs could not be deleted; the store is unchanged.
        """
        with self._writing() as connection:
            for part in _parts(list(ids)):
                _remove(connection, part)

    def __repr__(self) -> str:
        return f"<Store {self._address.shown}>"


def _options(address: Address) -> dict[str, object]:
    if address.is_sqlite:
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    limits = {} if "connect_timeout" in address.url.query else {"connect_timeout": _CONNECT_SECONDS}
    return {"pool_pre_ping": True, "connect_args": limits}


def _limit_waiting(engine: sa.Engine) -> None:
    """
    Limit the waiting of statements in PostgreSQL.

    Statements set the limits, since connection poolers reject them as parameters of a connection.
    """

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        # '0', no limit, is the default of the server; any other value was chosen on purpose.
        for name, limit in _LIMITS.items():
            cursor.execute(
                "SELECT set_config(%s, %s, false) WHERE current_setting(%s) = '0'",
                (name, limit, name),
            )
        cursor.close()
        # Settings of a session are undone if the transaction that made them is rolled back.
        connection.commit()


def _create_private(database: str | None) -> None:
    """
    Create the file of a new database with the permissions of a run; SQLite's own are 0644.

    A file that exists is not opened: closing it would drop the locks of this process on it.
    Source: SQLite, "How To Corrupt An SQLite Database File", 2.2.
    """
    if database is None or database.startswith((":memory:", "file:")):
        return
    # SQLite itself reports a path that cannot be opened.
    with suppress(OSError):
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file_mode()))


def _prepare_sqlite(engine: sa.Engine) -> None:
    """
    Begin transactions that write with BEGIN IMMEDIATE.

    Two transactions that upgrade their read locks would deadlock, and SQLite resolves that by
    failing one of them without waiting.
    """

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: object, _: object) -> None:
        # The driver begins transactions by itself otherwise, and only before the first write.
        connection.isolation_level = None  # type: ignore[attr-defined]

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _holds(known: RunRecord, record: RunRecord) -> bool:
    """Whether *known* holds everything in *record*."""
    # Weights and ids suffice: new bits of a known trial come from a shard that is new or heavier.
    return (
        known.full >= record.full
        and set(record.assertions) <= set(known.assertions)
        and record.replays.items() <= known.replays.items()
        and all(
            name in known.shards and known.shards[name].weight >= shard.weight
            for name, shard in record.shards.items()
        )
        and record.trials.keys() <= known.trials.keys()
    )


def _last_start(connection: sa.Connection) -> int:
    last: int | None = connection.scalar(sa.select(sa.func.max(runs.c.started)))
    return last or 0


def _remove(connection: sa.Connection, ids: Sequence[str]) -> None:
    for table in schema.OF_A_RUN:
        connection.execute(table.delete().where(table.c.run.in_(ids)))
    connection.execute(runs.delete().where(runs.c.id.in_(ids)))


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterator[dict[str, object]]) -> None:
    # In portions, as a run may have millions of trials.
    part: list[dict[str, object]] = []
    for row in rows:
        part.append(row)
        if len(part) == _ROWS:
            connection.execute(table.insert(), part)
            part = []
    if part:
        connection.execute(table.insert(), part)


def _insert_missing(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]
) -> None:
    if not rows:
        return
    # Imported here, so that a command loads the dialect of its own database only.
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        connection.execute(sqlite_insert(table).on_conflict_do_nothing(), list(rows))
        return
    from sqlalchemy.dialects.postgresql import insert

    # All writers insert in one order, or two of them could deadlock on each other's rows.
    ordered = sorted(rows, key=lambda row: tuple(map(str, row.values())))
    connection.execute(insert(table).on_conflict_do_nothing(), ordered)


def _parts(values: list[str]) -> Iterator[list[str]]:
    # Databases limit the number of parameters of a statement; older SQLite to 999.
    for start in range(0, len(values), 500):
        yield values[start : start + 500]


def _identities(connection: sa.Connection) -> dict[int, Identity]:
    return {
        row.id: Identity(row.kind, row.message, row.fingerprint, row.invariant)
        for row in connection.execute(assertions.select())
    }


def _samples(connection: sa.Connection) -> dict[int, Sample]:
    return {row.id: (row.population, row.sampler) for row in connection.execute(samples.select())}


def _shard_rows(record: RunRecord, ids: Mapping[Sample, int]) -> Iterator[dict[str, object]]:
    for name, shard in record.shards.items():
        # Also without hits: a row with zeros records that the process was added.
        for sample, totals in shard.totals.items():
            yield {
                "run": record.id,
                "name": name,
                "sample": ids[sample],
                "weight": json.dumps(shard.weight),
                "true": _packed(totals.true),
                "false": _packed(totals.false),
            }


def _trial_rows(
    record: RunRecord, ids: Mapping[Sample, int], width: int
) -> Iterator[dict[str, object]]:
    size = (width + 7) // 8
    for identifier, trial in record.trials.items():
        yield {
            "run": record.id,
            "id": identifier,
            "sample": ids[trial.sample],
            "parent": trial.parent,
            "seed": trial.seed,
            "begin": trial.begin,
            "end": trial.end,
            "hit": trial.hit.to_bytes(size, "little"),
            "true": trial.true.to_bytes(size, "little"),
            "false": trial.false.to_bytes(size, "little"),
        }


def _result_row(
    result: Result, ids: Mapping[Sample, int], numbers: Mapping[Identity, int]
) -> dict[str, object]:
    row = result._asdict()
    assertion = numbers[row.pop("identity")]
    return {**row, "sample": ids[result.sample], "assertion": assertion}


def _packed(counts: tuple[int, ...]) -> bytes:
    """Pack *counts* as 64-bit integers, little-endian on each machine: a store may be shared."""
    return struct.pack(f"<{len(counts)}Q", *counts)


def _counts(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 8}Q", data)


def _bits(data: bytes) -> int:
    return int.from_bytes(data, "little")
