"""
The tables of the evidence store, and the migrations that create them.

Bits of a bitmap and positions in totals are indexes into the run's list of assertions.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    inspect,
)

metadata = MetaData()

meta = Table(
    "assertlib_meta", metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)  # fmt: skip

runs = Table(
    "assertlib_runs", metadata,
    Column("id", Text, primary_key=True),
    Column("target", Text, nullable=False, index=True),
    Column("commit", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("full", Boolean, nullable=False),
    # Nanoseconds since 1970, and the order of runs: a run that is added as the newest starts after
    # all others, whatever its clock showed.
    Column("started", BigInteger, nullable=False, index=True),
    Column("command", Text, nullable=False),
    # JSON: features by name, replay tokens by message, and ids of assertions.  Bits and
    # totals are positions in the last.
    Column("features", Text, nullable=False),
    Column("replays", Text, nullable=False),
    Column("assertions", Text, nullable=False),
)  # fmt: skip

assertions = Table(
    "assertlib_assertions", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("message", Text, nullable=False, index=True),
    Column("fingerprint", Text, nullable=False),
    Column("invariant", Text, nullable=False, index=True),
    UniqueConstraint("kind", "message", "fingerprint", "invariant"),
)  # fmt: skip

samples = Table(
    "assertlib_samples", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("population", Text, nullable=False),
    Column("sampler", Text, nullable=False),
    UniqueConstraint("population", "sampler"),
)  # fmt: skip

# One row per process and sample, so that adding a process twice does not count it twice.  Totals
# are 64-bit integers, little-endian on each machine.
shards = Table(
    "assertlib_shards", metadata,
    Column("run", Text, ForeignKey("assertlib_runs.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sample", Integer, ForeignKey("assertlib_samples.id"), primary_key=True),
    # JSON; decides which of two readings of a process is the later one.
    Column("weight", Text, nullable=False),
    Column("true", LargeBinary, nullable=False),
    Column("false", LargeBinary, nullable=False),
)  # fmt: skip

trials = Table(
    "assertlib_trials", metadata,
    Column("run", Text, ForeignKey("assertlib_runs.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("sample", Integer, ForeignKey("assertlib_samples.id"), nullable=False),
    Column("parent", Text, nullable=False),
    # Text, as seeds may be integers of any size.
    Column("seed", Text, nullable=False),
    # Nanoseconds since 1970; the end is -1 if it was not recorded.
    Column("begin", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("hit", LargeBinary, nullable=False),
    Column("true", LargeBinary, nullable=False),
    Column("false", LargeBinary, nullable=False),
)  # fmt: skip

# Derived from shards and trials whenever they change: the gate reads whole histories, for which
# unpacking every trial would take too long.
results = Table(
    "assertlib_results", metadata,
    Column("run", Text, ForeignKey("assertlib_runs.id"), primary_key=True),
    Column("sample", Integer, ForeignKey("assertlib_samples.id"), primary_key=True),
    Column("assertion", Integer, ForeignKey("assertlib_assertions.id"), primary_key=True),
    Column("true", BigInteger, nullable=False),
    Column("false", BigInteger, nullable=False),
    Column("trials", Integer, nullable=False),
    Column("hit", Integer, nullable=False),
    Column("made_true", Integer, nullable=False),
    Column("made_false", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("witness", Text, nullable=False),
)  # fmt: skip

# Their rows are deleted before that of the run, which they refer to.
OF_A_RUN = (results, trials, shards)


def _first_tables(connection: Connection) -> None:
    metadata.create_all(connection)


STEPS: list[Callable[[Connection], None]] = [_first_tables]
"""The migrations from each version to the next; their number is the newest version."""


def version_of(connection: Connection) -> int:
    """The schema version of the store behind *connection*; 0 if it has no tables yet."""
    if not inspect(connection).has_table(meta.name):
        return 0
    found = connection.execute(meta.select().where(meta.c.key == "version")).first()
    return 0 if found is None else int(found.value)
