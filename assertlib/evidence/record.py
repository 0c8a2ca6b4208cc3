"""
The permanent record of a run: totals by shard, and for each trial the assertions that were hit,
true and false, a bit each.

Everything else is derived from these.  Records can be merged, shards by name and trials by id, so
adding a run twice or in parts changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import add
from typing import NamedTuple

from .._text.inputs import LONGEST_LINE, MOST_COUNT
from ..model import Site
from ..recording.records import SlotRecord, TrialRecord
from ..recording.trials import EXPECTS_VIOLATION
from .bits import Renumbering, counted, numbers_in
from .combine import Evidence
from .digest import Digest, Sample
from .revision import known_revision
from .run_hits import RunHits, TrialHits

SCHEMA = 1
PLAIN = ("target", "commit", "branch", "full", "started", "command", "features", "replays")
NO_TRIALS: Sample = ("", "none")
"""The sample of hits outside of trials, in processes that ran no trials."""


class Identity(NamedTuple):
    """The identity that evidence is keyed by: a message and the fingerprint of its condition."""

    kind: str
    message: str
    fingerprint: str
    invariant: str


class Totals(NamedTuple):
    """The true and false hits of each assertion of a run in one shard and sample."""

    true: tuple[int, ...]
    false: tuple[int, ...]


@dataclass
class ShardRecord:
    """One process: the weight of its reading, and its totals by sample."""

    weight: tuple[int, int, int]
    totals: dict[Sample, Totals]

    def as_list(self) -> list[object]:
        """Plain data, for a file."""
        return [self.weight, [[*sample, *totals] for sample, totals in self.totals.items()]]


@dataclass
class TrialRow:
    """One trial: times in nanoseconds since 1970, -1 if unknown, and a bit for each assertion."""

    sample: Sample
    parent: str
    seed: str
    begin: int
    end: int
    true: int = 0
    false: int = 0

    @property
    def hit(self) -> int:
        return self.true | self.false

    @property
    def cost(self) -> int:
        """Its duration in nanoseconds; larger than any real one if its end is unknown."""
        return self.end - self.begin if self.end >= 0 else 1 << 62

    def as_list(self) -> list[object]:
        """Plain data, for a file."""
        bits = [f"{self.true:x}", f"{self.false:x}"]
        return [*self.sample, self.parent, self.seed, self.begin, self.end, *bits]


class Result(NamedTuple):
    """
    The results of one assertion in the trials of one sample of one run.

    A named tuple, since a history may hold millions of them.

    Attributes:
        true, false: Hits in the sample, in and out of trials.
        trials: The number of trials in the sample.
        hit, made_true, made_false: The number of trials in which it was hit, true, and false.
        first, last: Begin of the first trial that hit it and end of the last, in nanoseconds since
            1970; -1 if unknown.
        witness: The replay token of the assertion, or the id of the cheapest trial that made it
            true; empty if there is neither.
    """

    run: str
    identity: Identity
    sample: Sample
    true: int
    false: int
    trials: int
    hit: int
    made_true: int
    made_false: int
    first: int
    last: int
    witness: str


@dataclass
class RunRecord:
    """
    The record of a run.

    Attributes:
        started: Start in nanoseconds since 1970, never before a run that existed already; it
            determines the order of runs.
        assertions: The assertions that bits and totals refer to, in order.
        replays: The replay token of an assertion's outcome, by message.
    """

    id: str
    target: str
    commit: str = ""
    branch: str = ""
    full: bool = False
    started: int = 0
    command: str = ""
    features: dict[str, bool] = field(default_factory=dict)
    assertions: tuple[Identity, ...] = ()
    shards: dict[str, ShardRecord] = field(default_factory=dict)
    trials: dict[str, TrialRow] = field(default_factory=dict)
    replays: dict[str, str] = field(default_factory=dict)

    def merge(self, other: RunRecord) -> None:
        """Add all of *other*, a record of the same run or of a part of it."""
        # New assertions go behind the known ones, so that bits and totals of this record stay
        # valid; only those of the other are renumbered.
        known = {identity: number for number, identity in enumerate(self.assertions)}
        for identity in other.assertions:
            known.setdefault(identity, len(known))
        places = Renumbering([known[identity] for identity in other.assertions])
        self.assertions = tuple(known)
        # A run that is read while it is recorded is partial, so full and the start only grow.
        self.full |= other.full
        self.started = max(self.started, other.started)
        self.commit, self.branch = self.commit or other.commit, self.branch or other.branch
        self.features = {**other.features, **self.features}
        self.replays = {**other.replays, **self.replays}
        for name, shard in other.shards.items():
            before = self.shards.get(name)
            # Counts of a process are replaced, not added: a heavier reading includes a lighter one.
            if before is None or before.weight < shard.weight:
                self.shards[name] = _placed(shard, places)
        for identifier, trial in other.trials.items():
            # Bits are united instead, since each process of a trial contributes its own.
            mine = self.trials.setdefault(identifier, _emptied(trial))
            mine.true |= places.bits(trial.true)
            mine.false |= places.bits(trial.false)
            mine.end = max(mine.end, trial.end)

    def results(self) -> Iterator[Result]:
        """Yield the result of each assertion in each sample, including those without hits."""
        # An assertion that no trial hit is evidence of a low rate, so it needs a row as well.
        sizes = Counter(trial.sample for trial in self.trials.values())
        samples = {*sizes, *(each for shard in self.shards.values() for each in shard.totals)}
        width = len(self.assertions)
        for sample in sorted(samples):
            true, false = self._totals(sample, width)
            mine = [(id, each) for id, each in self.trials.items() if each.sample == sample]
            # Ids break ties, so that the result does not depend on the order of additions.
            mine.sort(key=lambda each: (each[1].begin, each[0]))
            hit = counted((trial.hit for _, trial in mine), width)
            made_true = counted((trial.true for _, trial in mine), width)
            made_false = counted((trial.false for _, trial in mine), width)
            first = _first_with((id, trial, trial.hit) for id, trial in mine)
            last = _first_with((id, trial, trial.hit) for id, trial in reversed(mine))
            mine.sort(key=lambda each: (each[1].cost, each[0]))
            witness = _first_with((id, trial, trial.true) for id, trial in mine)
            for number, identity in enumerate(self.assertions):
                yield Result(
                    self.id,
                    identity,
                    sample,
                    true[number],
                    false[number],
                    sizes[sample],
                    hit[number],
                    made_true[number],
                    made_false[number],
                    first[number][1].begin if number in first else -1,
                    last[number][1].end if number in last else -1,
                    self.replays.get(identity.message)
                    or (witness[number][0] if number in witness else ""),
                )

    def _totals(self, sample: Sample, width: int) -> tuple[list[int], list[int]]:
        true, false = [0] * width, [0] * width
        for shard in self.shards.values():
            totals = shard.totals.get(sample)
            if totals is not None:
                # A shard added before an assertion was known has a shorter row.
                true[: len(totals.true)] = map(add, true, totals.true)
                false[: len(totals.false)] = map(add, false, totals.false)
        # A 64-bit column of a database holds no more.
        true, false = ([min(count, MOST_COUNT) for count in row] for row in (true, false))
        return true, false

    def lines(self) -> Iterator[str]:
        """
        Yield lines of JSON, which `exports.from_json` parses and `merge` joins.

        A run with many trials takes several lines, since readers reject longer ones.
        """
        # Every line repeats the head: a part has to be a valid record of the run by itself.
        plain = {"schema": SCHEMA, "run": self.id}
        plain |= {name: getattr(self, name) for name in PLAIN}
        head = json.dumps({**plain, "assertions": self.assertions})[:-1]
        shards = (("shards", name, each.as_list()) for name, each in self.shards.items())
        trials = (("trials", name, each.as_list()) for name, each in self.trials.items())
        for part in _parts(chain(shards, trials)):
            rest = json.dumps({"shards": part["shards"], "trials": part["trials"]})[1:]
            yield f"{head}, {rest}\n"

    def __repr__(self) -> str:
        return f"<RunRecord {self.id}: {len(self.shards)} shards, {len(self.trials)} trials>"


def _parts(
    entries: Iterable[tuple[str, str, list[object]]],
) -> Iterator[dict[str, dict[str, list[object]]]]:
    """Divide *entries* into the parts that make one line each."""
    part: dict[str, dict[str, list[object]]] = {"shards": {}, "trials": {}}
    size = 0
    for kind, name, entry in entries:
        if size > _PART:
            yield part
            part, size = {"shards": {}, "trials": {}}, 0
        part[kind][name] = entry
        size += len(json.dumps(entry)) + len(name)
    # Even if it is empty: a run without shards and trials takes one line.
    yield part


_PART = LONGEST_LINE // 4
"""Characters of a part, before JSON escapes names that are not ASCII."""


def storable(text: str) -> str:
    """Escape the characters of *text* that databases cannot store: NUL and unpaired surrogates."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _first_with(trials: Iterable[tuple[str, TrialRow, int]]) -> dict[int, tuple[str, TrialRow]]:
    """For each bit, the first of *trials* that has it set in its third item."""
    # Masking the bits that were seen before leaves little work for all but the first trials.
    found: dict[int, tuple[str, TrialRow]] = {}
    seen = 0
    for identifier, trial, bits in trials:
        for number in numbers_in(bits & ~seen):
            found[number] = identifier, trial
        seen |= bits
    return found


def _emptied(trial: TrialRow) -> TrialRow:
    return TrialRow(trial.sample, trial.parent, trial.seed, trial.begin, trial.end)


def _placed(shard: ShardRecord, places: Renumbering) -> ShardRecord:
    totals = {sample: _row(places, *each) for sample, each in shard.totals.items()}
    return ShardRecord(shard.weight, totals)


def _row(places: Renumbering, true: Sequence[int], false: Sequence[int]) -> Totals:
    return Totals(tuple(places.row(true)), tuple(places.row(false)))


def record_of(evidence: Evidence, run: str, branch: str = "") -> RunRecord:
    """
    Make the permanent record of a run.

    Trials in which an assertion is violated on purpose are left out.

    Args:
        evidence: The evidence that holds the run.
        run: Id of the run in *evidence*.
        branch: The branch that the run belongs to; empty if unknown.
    """
    info = evidence.runs[run]
    digests = evidence.shards_of(run)
    names = {str(each.header.get("run") or run) for each in digests}
    record = RunRecord(
        # A directory may be renamed; its shards name the run that they were recorded in.
        id=storable(names.pop() if len(names) == 1 else run),
        target=storable(info.target or ""),
        # A run without a description has the commit in the headers of its shards.
        commit=info.commit
        or next((known_revision(d.header.get("commit")) or "" for d in digests), ""),
        branch=storable(branch),
        full=info.full,
        started=info.started or min((each.start for each in digests), default=0),
        command=storable(" ".join(info.command)),
        features={storable(name): on for name, on in info.features.items()},
        replays={storable(name): storable(token) for name, token in info.replays.items()},
    )
    hits = RunHits(evidence, run)
    prints = {(each.kind.name, each.message): each.fingerprint for each in info.scan or ()}
    # The scan comes first, so that parts of one run number its assertions alike.
    # A message may stand at several sites; evidence follows kind and message.
    sites = {(each.kind, each.message): each for each in info.scan or ()}.values()
    known: dict[Identity, int] = {}
    for site in sites:
        known.setdefault(_identity(site, prints), len(known))
    # Counters without a message are left out: nothing would identify them in another run.
    places = Renumbering(
        [
            None if name.message is None else known.setdefault(_identity(name, prints), len(known))
            for name in hits.names
        ]
    )
    record.assertions = tuple(known)
    record.trials = dict(_trials(evidence, run, hits, places))
    for digest, numbered in hits.shards:
        sample = _sample_of(evidence, run, digest)
        totals = digest.samples or {sample: (digest.true, digest.false)}
        record.shards[storable(digest.name)] = ShardRecord(
            digest.weight,
            {
                (storable(population), storable(sampler)): _row(
                    places, numbered.row(true), numbered.row(false)
                )
                for (population, sampler), (true, false) in totals.items()
                if sampler != EXPECTS_VIOLATION
            },
        )
    return record


def _trials(
    evidence: Evidence, run: str, hits: RunHits, places: Renumbering
) -> Iterator[tuple[str, TrialRow]]:
    """Yield the trials of *run* by id, with their hits."""
    for trial, population, sampler in evidence.samples():
        facts = evidence.facts_of(trial) if trial[0] == run else None
        # Hits of these trials do not count: their violations are the purpose of the test.
        if facts is None or sampler == EXPECTS_VIOLATION or trial[1] is None:
            continue
        mine = hits.trials.get(trial[1], TrialHits())
        yield (
            storable(trial[1]),
            TrialRow(
                sample=(storable(population), storable(sampler)),
                parent=storable(facts.trial.parent or ""),
                seed="" if facts.trial.seed is None else str(facts.trial.seed),
                begin=min(each.begin for each in facts.records),
                end=max(map(_end, facts.records)),
                true=places.bits(mine.true),
                false=places.bits(mine.false),
            ),
        )


def _end(record: TrialRecord) -> int:
    """The end of a trial: its begin plus its duration by the boot-time clock, which never steps."""
    if record.began is None or record.ended is None:
        return -1
    return min(record.begin + max(0, record.ended - record.began), MOST_COUNT)


def _identity(assertion: Site | SlotRecord, prints: dict[tuple[str, str], str]) -> Identity:
    kind, message = assertion.kind.name, assertion.message or ""
    fingerprint = storable(prints.get((kind, message), ""))
    return Identity(kind, storable(message), fingerprint, storable(assertion.invariant or ""))


def _sample_of(evidence: Evidence, run: str, digest: Digest) -> Sample:
    """The sample of all hits of a process whose trials belong to one sample at most."""
    for _, population, sampler in digest.begun.samples():
        return population, sampler
    facts = evidence.facts_of((run, digest.base.id)) if digest.base else None
    return NO_TRIALS if facts is None else (facts.trial.population or "", facts.trial.sampler)
