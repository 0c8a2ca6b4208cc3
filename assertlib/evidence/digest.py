"""
What a process left, folded to what evidence needs of it.

A shard tells how often each assertion was true and false in each trial.  Folded, it holds the
totals, and by trial only *whether*, a bit an assertion: ten thousand shards then fit into memory.
How often counts where an assertion was broken, and is kept there.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from ..inputs import MOST_COUNT
from ..model import NOWHERE, Kind, Site
from ..recording.counters import message_hash
from ..recording.hits import Hit
from ..recording.records import (
    Delta,
    ErrorRecord,
    FaultRecord,
    ProofRecord,
    Record,
    Shard,
    TrialRecord,
    added,
)
from ..recording.trials import Trial

_LANE_MOST = 255
_FLAGS = b"\0" + b"\1" * 255
_DIGITS = b"0" + b"1" * 255


class Name(NamedTuple):
    """An assertion as a shard knows it; without a message where only its counters are left."""

    kind: Kind
    message: str | None
    invariant: str | None
    hash: int


class Table:
    """
    The assertions of a run's scan, by number, so that shards can be laid upon each other.

    Attributes:
        names: In order.
    """

    def __init__(self, scan: Sequence[Site]) -> None:
        unique = {(site.kind, site.message): site for site in scan}
        self.names = tuple(
            Name(kind, message, site.invariant, message_hash(message))
            for (kind, message), site in unique.items()
        )
        self._numbers = {
            (name.hash, name.kind.code): number for number, name in enumerate(self.names)
        }
        self._layouts: dict[tuple[tuple[int, int], ...], Layout] = {}

    def layout(self, shard: Shard) -> Layout:
        """How the slots of *shard* lie; most processes of a run declare the same in one order."""
        if shard.identities is None:
            return self._layout(shard)
        key = tuple(shard.identities)
        if key not in self._layouts:
            known = all(map(self._numbers.__contains__, key))
            if not known:
                return self._layout(shard)
            self._layouts[key] = Layout(self.names, [self._numbers[each] for each in key])
        return self._layouts[key]

    def _layout(self, shard: Shard) -> Layout:
        names, numbers = list(self.names), []
        for slot in shard.slots:
            number = self._numbers.get((slot.hash, slot.kind.code))
            if number is None or slot.message not in (None, self.names[number].message):
                number = len(names)
                names.append(Name(slot.kind, slot.message, slot.invariant, slot.hash))
            numbers.append(number)
        return Layout(tuple(names), numbers)


class Layout:
    """
    Which assertion each slot of a shard is.

    Attributes:
        names: All assertions of the run, and those that only this shard knows.
        numbers: The place among them of each slot.
        declared: These, as bits.
    """

    def __init__(self, names: tuple[Name, ...], numbers: list[int]) -> None:
        self.names = names
        self.numbers = numbers
        self.declared = sum(1 << number for number in set(numbers))
        place: dict[int, int] = {}
        # An assertion may have two slots: an exception came between taking one and using it.
        self._again = [
            (slot, place[number])
            for slot, number in enumerate(numbers)
            if place.setdefault(number, slot) != slot
        ]
        # What has no slot is picked from behind the last, where there is a zero.
        order = [place.get(number, len(numbers)) for number in range(len(names))]
        self._pick = None if order == list(range(len(numbers))) else _picking(order)

    def row(self, counts: Sequence[int]) -> Sequence[int]:
        """*counts* by slot as counts by number."""
        missing = len(self.numbers) - len(counts)
        if missing:
            # Later trials know more assertions; damaged files tell of some that nobody knows.
            counts = [*counts[: len(self.numbers)], *[0] * missing]
        if self._again:
            counts = [*counts]
            for slot, first in self._again:
                counts[first] = min(counts[first] + counts[slot], MOST_COUNT)
        return counts if self._pick is None else self._pick([*counts, 0])


class TrialColumns:
    """The trials that a process began, as columns: there may be millions."""

    def __init__(self, records: dict[str, TrialRecord]) -> None:
        self.ids = tuple(records)
        self._place = {identifier: number for number, identifier in enumerate(self.ids)}
        self._begin = array("q", (each.begin for each in records.values()))
        self._began = array("q", (_or_none(each.began) for each in records.values()))
        self._ended = array("q", (_or_none(each.ended) for each in records.values()))
        self._seeds = tuple(each.trial.seed for each in records.values())
        frames: dict[Frame, int] = {}
        self._frame = array(
            "I", (frames.setdefault(_frame(each), len(frames)) for each in records.values())
        )
        self._frames = list(frames)

    def samples(self) -> Iterator[tuple[str, str, str]]:
        """Id, population and sampler of each."""
        known = [(frame[1] or "", frame[2]) for frame in self._frames]
        for identifier, number in zip(self.ids, self._frame, strict=True):
            yield (identifier, *known[number])

    def features(self) -> Iterator[dict[str, bool]]:
        """What was declared in them."""
        for frame in self._frames:
            if frame[-1]:
                yield dict(frame[-1])

    @property
    def ended(self) -> int:
        """How many came to their end."""
        return sum(clock >= 0 for clock in self._ended)

    def __iter__(self) -> Iterator[tuple[str, TrialRecord]]:
        for number, identifier in enumerate(self.ids):
            yield identifier, self._record(number)

    def get(self, identifier: str | None) -> TrialRecord | None:
        """The record of one, if it was begun here."""
        number = self._place.get(identifier or "")
        return None if number is None else self._record(number)

    def _record(self, number: int) -> TrialRecord:
        parent, population, sampler, owner, surviving, features = self._frames[self._frame[number]]
        trial = Trial(
            self.ids[number],
            population=population,
            seed=self._seeds[number],
            sampler=sampler,
            parent=parent,
            owner=owner,
        )
        began, ended = self._began[number], self._ended[number]
        record = TrialRecord(trial, self._begin[number], None if began < 0 else began)
        record.ended = None if ended < 0 else ended
        record.surviving_shards = surviving
        record.features = None if features is None else dict(features)
        return record


def _or_none(clock: int | None) -> int:
    return -1 if clock is None else clock


Sample = tuple[str, str]
"""A population, and how it is sampled."""

Frame = tuple[
    str | None,
    str | None,
    str,
    str | None,
    frozenset[str],
    tuple[tuple[str, bool], ...] | None,
]
"""What many trials share: parent, population, sampler, owner, what outlived them, features."""


def _frame(record: TrialRecord) -> Frame:
    trial = record.trial
    told = record.features
    features = None if told is None else tuple(sorted(told.items())) if told else ()
    return (
        trial.parent, trial.population, trial.sampler, trial.owner, record.surviving_shards, features,
    )  # fmt: skip


@dataclass
class Digest:
    """
    A shard, folded.

    Attributes:
        names: The assertions that numbers and bits stand for.
        declared: Numbers of those that the process knew, as bits.
        true, false: How often each was, by number.
        trials: Those with hits; None is what belongs to none.
        true_in, false_in: By trial, which were true, and false, as bits.
        counts: In how many trials each was true, false, hit at all; None left out.
        broken: How often what must hold was false, by trial and number.
        violations: The hits among these that were recorded.
        refusals: How many evaluations came to nothing.
        clock, clock_id: When the process began to record, and what that may be compared with.
        damage: What of it is missing or contradicts itself: counts are then lower bounds.
        samples: How often each was true and false by population and sampler, where the process
            ran trials of several.
        lines: Where its lines are, for what is looked up later; empty if they are not in a file.
        sites: What it declared, where it is of a language that is read nowhere else.
    """

    name: str
    header: Record
    base: Trial | None
    start: int
    clock: int | None
    clock_id: str
    damage: list[str]
    exited: bool
    durable: bool
    lost_records: int
    truncated_details: int
    dropped_records: int
    refusals: int
    begun: TrialColumns
    faults: list[FaultRecord]
    features: dict[str | None, dict[str, bool]]
    troubles: list[ErrorRecord]
    proofs: list[ProofRecord]
    names: tuple[Name, ...]
    declared: int
    true: array[int]
    false: array[int]
    trials: tuple[str | None, ...]
    true_in: list[int]
    false_in: list[int]
    counts: tuple[bytes, bytes, bytes]
    broken: dict[tuple[str | None, int], int]
    violations: list[Hit]
    samples: dict[Sample, tuple[array[int], array[int]]]
    guidance: dict[str, Record] = field(default_factory=dict)
    lines: str = ""
    sites: tuple[Site, ...] = ()

    @property
    def language(self) -> str:
        """Of the foreign SDK that wrote it, which tells first hits only; empty if it is ours."""
        return language_of(self.header)

    @property
    def process(self) -> str:
        """What it was called while its process lived: foreign shards are made afterwards."""
        return self.name.rpartition("-")[0] if self.language else self.name

    @property
    def weight(self) -> tuple[int, int, int]:
        """How much it tells: of a shard read twice, the later reading tells more."""
        records = len(self.violations) + len(self.troubles) + len(self.proofs) + len(self.trials)
        ended = self.begun.ended
        return sum(self.true) + sum(self.false), records + len(self.begun.ids) + ended, self.exited

    @property
    def is_nameless(self) -> bool:
        """Whether lines of it were lost, so that hits are told by counters alone."""
        return any(name.message is None for name in self.names)

    def __repr__(self) -> str:
        return f"<Digest of {self.name}>"


def digest(shard: Shard, table: Table, lines: str = "") -> Digest:
    """
    Fold *shard*.

    Args:
        table: Of the scan of its run.
        lines: Its file, if there is one; where it is read again later.
    """
    layout = table.layout(shard)
    folding = _Folding(layout, shard.false)
    # What belongs to no trial and broke nothing is told by the totals.
    is_all_written = shard.open_trial is None and not folding.is_broken
    for delta in shard.deltas_written if is_all_written else shard.deltas:
        folding.add(delta)
    columns = folding.by_trial()
    begun = TrialColumns(shard.trials)
    same = {identifier: identifier for identifier in begun.ids}
    return Digest(
        name=shard.name,
        header=shard.header,
        base=shard.base,
        start=shard.start,
        clock=shard.clock,
        clock_id=shard.clock_id,
        damage=[*shard.damage, *_misnamed(shard)],
        exited=shard.exited,
        durable=shard.durable,
        lost_records=shard.lost_records,
        truncated_details=shard.truncated_details,
        dropped_records=shard.dropped_records,
        refusals=max(shard.error_count, len(shard.troubles)),
        begun=begun,
        faults=shard.faults,
        features=shard.features,
        troubles=shard.troubles,
        proofs=shard.proofs,
        names=layout.names,
        declared=layout.declared,
        true=array("Q", layout.row(shard.true)),
        false=array("Q", layout.row(shard.false)),
        trials=tuple(same.get(trial or "", trial) for trial in columns),
        true_in=[folding.bits(true) for true, _ in columns.values()],
        false_in=[folding.bits(false) for _, false in columns.values()],
        counts=folding.counts(columns),
        broken=folding.broken,
        violations=[hit for hit in shard.hits if hit.is_violation] if folding.broken else [],
        samples=_by_sample(shard, begun, layout),
        guidance={} if lines else dict(shard.guidance),
        lines=lines,
        sites=tuple(_declared_sites(shard)),
    )


def _misnamed(shard: Shard) -> Iterator[str]:
    """Where lines and counters call a slot by different names."""
    # Names that the scan knows are what the counters say; the lines need not be read for them.
    if shard.identities is None or not shard.has_details:
        return
    for number in range(len(shard.identities), len(shard.slots)):
        message = shard.slots[number].message
        if message is not None:
            yield f"its lines declare {message!r} as slot {number}, which its counters lack"
    for number, (slot, known) in enumerate(zip(shard.slots, shard.identities, strict=False)):
        if slot.message is None:
            continue
        if (slot.hash or message_hash(slot.message), slot.kind.code) != known:
            yield f"slot {number} of its counters is not {slot.message!r}, as its lines declare it"


def language_of(header: Record) -> str:
    """The language of the foreign SDK that a shard's header tells of; empty if it is ours."""
    source = header.get("source")
    return str(source.get("language")) if isinstance(source, dict) else ""


def _declared_sites(shard: Shard) -> Iterator[Site]:
    if language_of(shard.header) in ("", "Python"):
        return
    for slot in shard.slots:
        if slot.message is not None:
            place = slot.location or NOWHERE
            yield Site(
                kind=slot.kind,
                message=slot.message,
                file=place.file,
                qualname=place.qualname,
                line=place.begin_line,
                column=max(1, place.begin_column),
                owner=place.class_name,
            )


def _by_sample(
    shard: Shard, begun: TrialColumns, layout: Layout
) -> dict[Sample, tuple[array[int], array[int]]]:
    of_trial = {identifier: sample for identifier, *sample in begun.samples()}
    if len(set(map(tuple, of_trial.values()))) < 2:
        return {}
    groups: dict[Sample, list[Delta]] = {}
    for delta in shard.deltas:
        population, sampler = of_trial.get(delta.trial or "", ("", ""))
        groups.setdefault((population, sampler), []).append(delta)
    return {
        sample: (
            array("Q", layout.row(added([delta.true for delta in deltas]))),
            array("Q", layout.row(added([delta.false for delta in deltas]))),
        )
        for sample, deltas in groups.items()
    }


class _Folding:
    """
    Lays the counts of trials upon each other.

    Whether an assertion was hit is a byte, and the bytes of all are one number: ``|`` and ``+``
    of such numbers then work on all assertions at once.
    """

    def __init__(self, layout: Layout, false: Sequence[int]) -> None:
        self._layout = layout
        self._size = len(layout.names)
        self._broken = [
            number
            for number, count in zip(layout.numbers, false, strict=False)
            if count and layout.names[number].kind.violated_by_false
        ]
        self._lanes: dict[str | None, tuple[int, int]] = {}
        self.broken: dict[tuple[str | None, int], int] = {}

    def add(self, delta: Delta) -> None:
        """Take what one trial added."""
        true, false = self._layout.row(delta.true), self._layout.row(delta.false)
        before = self._lanes.get(delta.trial, (0, 0))
        self._lanes[delta.trial] = (before[0] | _lanes(true), before[1] | _lanes(false))
        for number in self._broken:
            if false[number]:
                key = delta.trial, number
                self.broken[key] = self.broken.get(key, 0) + false[number]

    @property
    def is_broken(self) -> bool:
        """Whether something that must hold was false."""
        return bool(self._broken)

    def by_trial(self) -> dict[str | None, tuple[int, int]]:
        """Which were true and which false, trial by trial; where there was something."""
        return {trial: lanes for trial, lanes in self._lanes.items() if any(lanes)}

    def bits(self, lanes: int) -> int:
        """A bit for each byte."""
        flags = lanes.to_bytes(self._size, "big")
        return int(flags.translate(_DIGITS) or b"0", 2)

    def counts(self, columns: dict[str | None, tuple[int, int]]) -> tuple[bytes, bytes, bytes]:
        """In how many trials each was true, false, hit, as arrays of 32-bit integers."""
        every = [lanes for trial, lanes in columns.items() if trial is not None]
        true, false, hit = (array("I", [0]) * self._size for _ in range(3))
        for start in range(0, len(every), _LANE_MOST):
            part = every[start : start + _LANE_MOST]
            _add(true, sum(lanes[0] for lanes in part))
            _add(false, sum(lanes[1] for lanes in part))
            _add(hit, sum(lanes[0] | lanes[1] for lanes in part))
        return true.tobytes(), false.tobytes(), hit.tobytes()


def _picking(order: list[int]) -> Callable[[list[int]], Sequence[int]]:
    # With one place, or none, itemgetter gives no tuple.
    return itemgetter(*order) if len(order) > 1 else lambda row: [row[each] for each in order]


def _lanes(row: Sequence[int]) -> int:
    """A byte for each count, 1 if it is any; the first is the lowest."""
    flags = row.translate(_FLAGS) if isinstance(row, bytes) else bytes(map(bool, row))
    return int.from_bytes(flags, "little")


def _add(counts: array[int], lanes: int) -> None:
    for number, count in enumerate(lanes.to_bytes(len(counts), "little")):
        counts[number] += count


def numbers_in(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
