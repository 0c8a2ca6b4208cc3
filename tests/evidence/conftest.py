"""
Runs made by hand, shard by shard, and what is made of them.
"""

import itertools
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from assertlib.catalog.loader import Catalog, Entry
from assertlib.catalog.model import Invariant
from assertlib.evidence.combine import Evidence
from assertlib.evidence.runs import RunInfo
from assertlib.evidence.summary import summarise
from assertlib.model import ALWAYS_OR_UNREACHABLE, SOMETIMES, Location, Site, antecedent_message
from assertlib.recording.counters import message_hash
from assertlib.recording.hits import Hit
from assertlib.recording.records import (
    Delta,
    ErrorRecord,
    FaultRecord,
    ProofRecord,
    Shard,
    SlotRecord,
    TrialRecord,
)
from assertlib.recording.trials import Trial

from ..support import add_run, clean_environment
from .postgres import HOW, Postgres, binaries

HERE = Location("store.py", "put", "Store", 7)


class ShardMaker:
    """What one process left, call by call: each call is a line, and times are the clock's."""

    def __init__(self, name, *, start=0, base=None, clock_id="boot", owner=None):
        self.shard = Shard(name)
        self.shard.start = self.shard.clock = start
        self.shard.clock_id = clock_id
        self.lines = itertools.count(1)
        self.violations = Counter()
        self.shard.durable = True
        self.shard.base = None if base is None else Trial(base, owner=owner)

    def slot(self, kind, message, invariant=None):
        for number, slot in enumerate(self.shard.slots):
            if (slot.kind, slot.message) == (kind, message):
                return number
        self.shard.slots.append(SlotRecord(kind, message_hash(message), message, invariant, HERE))
        self.shard.true.append(0)
        self.shard.false.append(0)
        return len(self.shard.slots) - 1

    def hit(
        self, kind, message, condition=True, *, times=1, trial=None, time=0, invariant=None, **told
    ):
        number = self.slot(kind, message, invariant)
        counts = [0] * number + [times]
        counted = self.shard.true if condition else self.shard.false
        counted[number] += times
        delta = Delta(trial, counts, []) if condition else Delta(trial, [], counts)
        self.shard.deltas_written.append(delta)
        nth = 0
        if kind.violated_by_false and not condition:
            self.violations[kind, message, trial] += 1
            nth = self.violations[kind, message, trial]
        body = {"details": None, "captured": None, "seed": None, "nth": nth, "clock": time, **told}
        self.shard.hits.append(
            Hit(
                kind=kind,
                message=message,
                invariant=invariant,
                condition=condition,
                count=counted[number],
                time=time,
                trial=trial,
                location=HERE,
                line=next(self.lines),
                **body,
            )
        )
        return self

    def trial(self, id, *, begin=0, end=None, outlived=(), **fields):
        record = TrialRecord(Trial(id, **fields), begin, begin)
        record.ended = end
        record.surviving_shards = frozenset(outlived)
        self.shard.trials[id] = record
        return self

    def faults(self, *active, trial=None, time=0, breaks=()):
        line = next(self.lines)
        self.shard.faults.append(FaultRecord(trial, time, line, list(active), list(breaks)))
        return self

    def features(self, features, trial=None):
        self.shard.features.setdefault(trial, {}).update(features)
        return self

    def trouble(self, message, reason="it could not be called", trial=None):
        self.shard.troubles.append(ErrorRecord(message, reason, HERE, trial))
        return self

    def proof(self, message, defect="lost-fsync", commit="4f2c1e0"):
        self.shard.proofs.append(ProofRecord(defect, message, commit))
        return self

    def guidance(self, message, **body):
        self.shard.guidance[message] = {"id": message, "hit": True, **body}
        return self


class Run:
    """One run: what is known of it, and its shards."""

    def __init__(self, id, *, full=True, scan=(), features=None, commit=None, out_of_reach=None):
        self.info = RunInfo(
            id=id,
            path=Path(id),
            target="store",
            full=full,
            commit=commit,
            command=(),
            features=features or {},
            scan=None if scan is None else tuple(scan),
            out_of_reach=out_of_reach or {},
        )
        self.shards = []

    def process(self, name="1-a", **fields):
        maker = ShardMaker(name, **fields)
        self.shards.append(maker.shard)
        return maker


class World:
    """A project with its source as scanned, its catalog and its runs."""

    def __init__(self):
        self.sites = []
        self.catalog = Catalog()
        self.runs = []

    def site(self, kind, message, invariant=None, *, fingerprint="as-it-was", origin=None):
        site = Site(
            kind=kind,
            message=message,
            file="store.py",
            qualname="put",
            line=7,
            column=5,
            invariant=invariant,
            fingerprint=fingerprint,
            origin=origin,
        )
        self.sites.append(site)
        return site

    def always_if(self, message, invariant=None):
        self.site(ALWAYS_OR_UNREACHABLE, message, invariant)
        self.site(SOMETIMES, antecedent_message(message), invariant, origin=message)

    def invariant(self, id, **fields):
        body = {
            "title": f"The title of {id}",
            "kind": "safety",
            "status": "active",
            "statement": f"The statement of {id}.",
            "why": f"The reason of {id}.",
            "expects": ["always"],
            **fields,
        }
        entry = Entry(id, Invariant.model_validate(body), "catalog/kv.toml", 3)
        self.catalog.entries[id] = entry
        return entry

    def run(self, id="run-1", *, sites=None, scanned=True, **fields):
        scan = (self.sites if sites is None else sites) if scanned else None
        run = Run(id, scan=scan, **fields)
        self.runs.append(run)
        return run

    def evidence(self):
        evidence = Evidence()
        for run in self.runs:
            add_run(evidence, run.info, run.shards)
        return evidence

    def summary(self):
        return summarise(self.evidence(), self.catalog, "store", self.sites)

    def result(self, message):
        (found,) = [each for each in self.summary().assertions if each.message == message]
        return found

    def verdict(self, message):
        return self.result(message).verdict.value

    def invariant_result(self, id):
        (found,) = [each for each in self.summary().invariants if each.entry.id == id]
        return found

    def level(self, id):
        return self.invariant_result(id).standing.level.value


@pytest.fixture(scope="session")
def postgres():
    programs = binaries()
    if programs is None:
        pytest.skip(HOW)
    server = Postgres(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def world():
    return World()


@pytest.fixture(scope="session")
def new_world():
    """For properties, which need a fresh one for each example."""
    return World


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run-1"


@pytest.fixture
def child(tmp_path, run_dir):
    """Runs Python source in a process that records; returns what it printed."""

    def run(source, *, expect=0, **environment):
        inherited = clean_environment()
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)],
            env={**inherited, "ASSERTLIB_RUN_DIR": str(run_dir), **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == expect, done.stderr
        return done.stdout

    return run
