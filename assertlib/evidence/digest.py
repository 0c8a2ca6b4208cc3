"""
Digests: shards folded to what evidence needs of them.

A shard records how often each assertion was true and false in each trial.  A digest holds the
totals, but by trial only *whether*, one bit per assertion, so that ten thousand shards fit into
memory.  Counts by trial are kept only for violations, whose number matters.

Over 500 lines, since the columns of a digest are defined next to the one pass that fills them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from .._text.inputs import MOST_COUNT
from ..model import NOWHERE, Site
from ..recording.counters import message_hash
from ..recording.hits import Hit
from ..recording.records import (
    Delta,
    ErrorRecord,
    FaultRecord,
    ProofRecord,
    Record,
    Shard,
    SlotRecord,
    TrialRecord,
    added,
)
from ..recording.trials import Trial

_FLAGS = b"\0" + b"\1" * 255
_DIGITS = b"0" + b"1" * 255


class Table:
    """
    The assertions of a run's scan, numbered, so that counts of different shards can be added up.

    Args:
        scan: The assertions that the scan found; empty if the run was not scanned.

    Attributes:
        names: The assertions in order of their numbers.
    """

    def __init__(self, scan: Sequence[Site]) -> None:
        # A message may stand at several sites; evidence follows kind and message.
        unique = {(site.kind, site.message): site for site in scan}
        self.names = tuple(
            SlotRecord(kind, message_hash(message), message, site.invariant)
            for (kind, message), site in unique.items()
        )
        self._numbers = {
            (name.hash, name.kind.code): number for number, name in enumerate(self.names)
        }
        self._layouts: dict[tuple[tuple[int, int], ...], Layout] = {}

    def layout(self, shard: Shard) -> Layout:
        """The layout of *shard*, shared with shards that declare the same slots in one order."""
        if shard.identities is None:
            return self._layout(shard)
        # Counters hold identities without names.  If the scan has all of them, it supplies the
        # names, and the details need not be parsed.
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
            # The message is compared as well: a declaration may be damaged, or a hash collide.
            if number is None or slot.message not in (None, self.names[number].message):
                number = len(names)
                # Without its place: shards that declare the same then have equal names.
                names.append(slot._replace(location=None))
            numbers.append(number)
        return Layout(tuple(names), numbers)


class Layout:
    """
    A mapping from the slots of a shard to numbers of assertions.

    Attributes:
        names: All assertions of the run's scan, followed by those that only this shard declares.
        numbers: For each slot, the index of its assertion in *names*.
        declared: The set of these numbers, as bits.
    """

    def __init__(self, names: tuple[SlotRecord, ...], numbers: list[int]) -> None:
        self.names = names
        self.numbers = numbers
        self.declared = sum(1 << number for number in set(numbers))
        place: dict[int, int] = {}
        # An assertion has two slots if an exception interrupted a process between taking a slot
        # and using it.  Their counts are added up, or the second would hide the first.
        self._again = [
            (slot, place[number])
            for slot, number in enumerate(numbers)
            if place.setdefault(number, slot) != slot
        ]
        # Assertions without a slot pick the position behind the last one, where `row` puts a zero.
        order = [place.get(number, len(numbers)) for number in range(len(names))]
        self._pick = None if order == list(range(len(numbers))) else _picking(order)

    def row(self, counts: Sequence[int]) -> Sequence[int]:
        """Reorder *counts* by slot into counts by number."""
        missing = len(self.numbers) - len(counts)
        if missing:
            # Counts of early trials lack the slots that were declared later.  Damaged files have
            # counts of slots that were never declared, which are cut off.
            counts = [*counts[: len(self.numbers)], *[0] * missing]
        if self._again:
            counts = [*counts]
            for slot, first in self._again:
                counts[first] = min(counts[first] + counts[slot], MOST_COUNT)
        return counts if self._pick is None else self._pick([*counts, 0])


class TrialColumns:
    """
    The trials that a process began, in columns, since there may be millions.

    Args:
        records: The records of the trials by id, in order.
    """

    def __init__(self, records: dict[str, TrialRecord]) -> None:
        self.ids = tuple(records)
        self._place = {identifier: number for number, identifier in enumerate(self.ids)}
        self._begin = array("q", (each.begin for each in records.values()))
        self._began = array("q", (_or_none(each.began) for each in records.values()))
        self._ended = array("q", (_or_none(each.ended) for each in records.values()))
        self._seeds = tuple(each.trial.seed for each in records.values())
        # Trials differ in id, times and seed; everything else is stored once per combination.
        frames: dict[Frame, int] = {}
        self._frame = array(
            "I", (frames.setdefault(_frame(each), len(frames)) for each in records.values())
        )
        self._frames = list(frames)

    def samples(self) -> Iterator[tuple[str, str, str]]:
        """Yield id, population and sampler of each trial."""
        known = [(frame[1] or "", frame[2]) for frame in self._frames]
        for identifier, number in zip(self.ids, self._frame, strict=True):
            yield (identifier, *known[number])

    def features(self) -> Iterator[dict[str, bool]]:
        """Yield the features declared in the trials, once for each combination."""
        for frame in self._frames:
            if frame[-1]:
                yield dict(frame[-1])

    @property
    def ended(self) -> int:
        """The number of trials that ended."""
        return sum(clock >= 0 for clock in self._ended)

    def __iter__(self) -> Iterator[tuple[str, TrialRecord]]:
        for number, identifier in enumerate(self.ids):
            yield identifier, self._record(number)

    def get(self, identifier: str | None) -> TrialRecord | None:
        """The record of a trial; None if another process began it."""
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
    # Arrays hold no None; readings of the boot-time clock are never negative.
    return -1 if clock is None else clock


Sample = tuple[str, str]
"""A population and its sampler."""

Frame = tuple[
    str | None,
    str | None,
    str,
    str | None,
    frozenset[str],
    tuple[tuple[str, bool], ...] | None,
]
"""What many trials share: parent, population, sampler, owner, surviving shards, features."""


def _frame(record: TrialRecord) -> Frame:
    trial = record.trial
    declared = record.features
    # None, no features recorded, is not the same as none declared.
    features = None if declared is None else tuple(sorted(declared.items())) if declared else ()
    return (
        trial.parent, trial.population, trial.sampler, trial.owner, record.surviving_shards, features,
    )  # fmt: skip


@dataclass
class Digest:
    """
    A folded shard.

    Attributes:
        names: The assertions that numbers and bits refer to.
        declared: The numbers of the assertions that the process declared, as bits.
        true, false: Totals of true and false hits by number.
        trials: Ids of the trials with hits; None stands for hits outside of trials.
        true_in, false_in: For each of these trials, the assertions that were true, and false, as
            bits.
        broken: The number of violations by trial and number.
        violations: The recorded hits among these violations.
        refusals: The number of evaluations that failed, because of a condition without a truth
            value for example.
        clock, clock_id: The boot-time clock when the process began to record, and the identity of
            that clock; only readings of one clock are comparable.
        damage: Parts that are missing or contradictory: counts are then lower bounds.
        samples: Totals of true and false hits by population and sampler, for processes with
            trials of several samples; empty otherwise.
        lines: The file of the shard's lines, for later lookups; empty if there is no file.
        sites: The declared assertions of a process in a language that is not scanned.
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
    names: tuple[SlotRecord, ...]
    declared: int
    true: array[int]
    false: array[int]
    trials: tuple[str | None, ...]
    true_in: list[int]
    false_in: list[int]
    broken: dict[tuple[str | None, int], int]
    violations: list[Hit]
    samples: dict[Sample, tuple[array[int], array[int]]]
    guidance: dict[str, Record] = field(default_factory=dict)
    lines: str = ""
    sites: tuple[Site, ...] = ()

    @property
    def language(self) -> str:
        """The language of the SDK that wrote it, which records first hits only; empty if ours."""
        return language_of(self.header)

    @property
    def process(self) -> str:
        """The name of the process while it ran; foreign shards are made afterwards."""
        return self.name.rpartition("-")[0] if self.language else self.name

    @property
    def weight(self) -> tuple[int, int, int]:
        """The amount of information: of two readings of a shard, the later one weighs more."""
        # Every component grows monotonically while the process runs.
        records = len(self.violations) + len(self.troubles) + len(self.proofs) + len(self.trials)
        ended = self.begun.ended
        return sum(self.true) + sum(self.false), records + len(self.begun.ids) + ended, self.exited

    @property
    def is_nameless(self) -> bool:
        """Whether lines were lost, so that some assertions have counters but no message."""
        return any(name.message is None for name in self.names)

    def __repr__(self) -> str:
        return f"<Digest of {self.name}>"


def digest(shard: Shard, table: Table, lines: str = "") -> Digest:
    """
    Fold a shard.

    Args:
        shard: The shard as it was read.
        table: The table of its run's scan.
        lines: The file of its lines, which is read again when details are needed; empty if the
            shard is not in a file.
    """
    layout = table.layout(shard)
    folding = _Folding(layout, shard.false)
    # The rest that the process did not write is computed by subtraction.  If it belongs to no trial
    # and violated nothing, the totals hold it already.
    is_all_written = shard.open_trial is None and not folding.is_broken
    for delta in shard.deltas_written if is_all_written else shard.deltas:
        folding.add(delta)
    columns = folding.by_trial()
    begun = TrialColumns(shard.trials)
    # Equal ids become one string: the parsed ones would take as much memory again.
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
        # The exit record counts refusals that were not recorded; a killed process has none.
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
        broken=folding.broken,
        # Hits are parsed on demand; a shard without violations is never parsed for them.
        violations=[hit for hit in shard.hits if hit.is_violation] if folding.broken else [],
        samples=_by_sample(shard, begun, layout),
        guidance={} if lines else dict(shard.guidance),
        lines=lines,
        sites=tuple(_declared_sites(shard)),
    )


def _misnamed(shard: Shard) -> Iterator[str]:
    """Describe the slots whose names differ between lines and counters."""
    # Where the scan knows all identities in the counters, the lines were not read, and their names
    # are not used.
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
            yield (
                f"its lines declare {slot.message!r} as slot {number}, but its counters declare"
                " another assertion"
            )


def language_of(header: Record) -> str:
    """The language of the foreign SDK named in a shard's *header*; empty if the shard is ours."""
    source = header.get("source")
    return str(source.get("language")) if isinstance(source, dict) else ""


def _declared_sites(shard: Shard) -> Iterator[Site]:
    # Python is scanned, so that a declaration which the scan lacks is a finding.
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
    # With a single sample the totals are enough, and the deltas need not be added up again.
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
    Combines the counts of trials.

    Whether an assertion was hit is a byte, its lane, and the lanes of all assertions form one
    integer: ``|`` and ``+`` of such integers process all assertions at once.
    """

    def __init__(self, layout: Layout, false: Sequence[int]) -> None:
        self._layout = layout
        self._size = len(layout.names)
        # Several slots may be of one assertion, whose hits must not count twice.
        self._broken = {
            number
            for number, count in zip(layout.numbers, false, strict=False)
            if count and layout.names[number].kind.violated_by_false
        }
        self._lanes: dict[str | None, tuple[int, int]] = {}
        self.broken: dict[tuple[str | None, int], int] = {}

    def add(self, delta: Delta) -> None:
        """Add the hits of one trial; a trial may have several deltas."""
        true, false = self._layout.row(delta.true), self._layout.row(delta.false)
        before = self._lanes.get(delta.trial, (0, 0))
        self._lanes[delta.trial] = (before[0] | _lanes(true), before[1] | _lanes(false))
        for number in self._broken:
            if false[number]:
                key = delta.trial, number
                self.broken[key] = self.broken.get(key, 0) + false[number]

    @property
    def is_broken(self) -> bool:
        """Whether any assertion was violated."""
        return bool(self._broken)

    def by_trial(self) -> dict[str | None, tuple[int, int]]:
        """The lanes of true and of false assertions for each trial with hits."""
        return {trial: lanes for trial, lanes in self._lanes.items() if any(lanes)}

    def bits(self, lanes: int) -> int:
        """Compress lanes to bits."""
        # Parsing digits of base 2 takes linear time; shifting bit by bit would be quadratic.
        flags = lanes.to_bytes(self._size, "big")
        return int(flags.translate(_DIGITS) or b"0", 2)


def _picking(order: list[int]) -> Callable[[list[int]], Sequence[int]]:
    # With a single item itemgetter returns no tuple, and with none it raises.
    return itemgetter(*order) if len(order) > 1 else lambda row: [row[each] for each in order]


def _lanes(row: Sequence[int]) -> int:
    """A byte for each count, 1 if it is not zero; the first count is the lowest byte."""
    # Rows of small counts are parsed to bytes, which translate at the speed of C.
    flags = row.translate(_FLAGS) if isinstance(row, bytes) else bytes(map(bool, row))
    return int.from_bytes(flags, "little")
