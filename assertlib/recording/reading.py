"""
Takes the records of a shard, one after the other.

What every reader needs of a shard is little: its header, trials, deltas and faults.  The rest,
its hits with their details, is most of the file, and is taken only where somebody asks for it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from operator import gt

from ..model import ALWAYS, Location, kind_coded, kind_displayed, kind_named
from . import shard, trials
from .counters import CounterFile
from .hits import Captured, Hit
from .records import (
    Delta,
    Details,
    FaultRecord,
    ProofRecord,
    Record,
    Shard,
    SlotRecord,
    TrialRecord,
    TroubleRecord,
    added,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Takers = Mapping[str, Callable[[Record, int], None]]
    """What takes each kind of record, given its body and the number of its line."""

ASSERT = "antithesis_assert"
GUIDANCE = "antithesis_guidance"


class DetailsReading:
    """One pass over the lines that tell of assertions and their hits."""

    def __init__(self) -> None:
        self.details = Details()
        self._last_assert: Record = {}
        self._by_name: dict[str, SlotRecord] = {}
        self._numbered: dict[int, SlotRecord] = {}
        self._numbers: dict[str, int] = {}

    def takers(self) -> Takers:
        """What takes each kind of record."""
        return {
            ASSERT: self._take_assert,
            GUIDANCE: self._take_guidance,
            shard.SLOT: self._take_slot,
            shard.HIT: self._take_hit,
            shard.VIOLATION: self._take_hit,
        }

    def _take_assert(self, body: Record, _: int) -> None:
        self._last_assert = body

    def _take_slot(self, body: Record, _: int) -> None:
        slot = SlotRecord(
            kind_named(_str(body["kind"])),
            int(_str(body["hash"]), 16),
            _str(body["id"]),
            _optional(body["invariant"]),
            _location(self._last_assert.get("location")),
        )
        self._numbered[_int(body["slot"])] = slot
        self._numbers[f"{slot.kind.name} {slot.message}"] = _int(body["slot"])
        self._by_name[f"{slot.kind.name} {slot.message}"] = slot

    def _take_hit(self, body: Record, line: int) -> None:
        kind = kind_displayed(_str(self._last_assert["display_type"]))
        if kind is None:
            raise ValueError(f"unknown display_type {self._last_assert['display_type']!r}")
        message = _str(body["id"])
        slot = self._by_name.get(f"{kind.name} {message}")
        if slot is None:
            # Its declaration was lost, on a full disk.
            slot = SlotRecord(kind, 0, message)
            self._numbered[_int(body["slot"])] = slot
            self._by_name[f"{kind.name} {message}"] = slot
            self._numbers[f"{kind.name} {message}"] = _int(body["slot"])
        seed = body["seed"]
        details = self._last_assert.get("details")
        text = None if details is None else json.dumps(details)
        self.details.hits.append(
            Hit(
                kind=kind,
                message=message,
                invariant=None if slot is None else slot.invariant,
                condition=body["condition"] is True,
                count=_int(body["count"]),
                time=_int(body["time"]),
                trial=_optional(body["trial"]),
                seed=None if seed is None else _int(seed),
                location=_location(self._last_assert.get("location")),
                details=text or _optional(body.get("details_repr")),
                captured=_captured(body),
                clock=_optional_int(body["clock"]),
                line=line,
                nth=_int(body["nth"]),
            )
        )

    def _take_guidance(self, body: Record, _: int) -> None:
        if body.get("hit") is True:
            self.details.guidance[_str(body["id"])] = body

    def finish(self, counts: CounterFile | None) -> Details:
        """Number the slots; one whose line is missing has only what its counters tell."""
        counted = [] if counts is None else counts.slots
        size = max(len(counted), max(self._numbered, default=-1) + 1)
        self.details.slots = []
        for number in range(size):
            hashed, code = counted[number][:2] if number < len(counted) else (0, 0)
            nameless = SlotRecord(kind_coded(code) or ALWAYS, hashed)
            self.details.slots.append(self._numbered.get(number, nameless))
        return self.details

    def count_at_least(self, true: list[int], false: list[int]) -> None:
        """Make the counters, which were lost, those that the hits tell of."""
        for hit in self.details.hits:
            number = self._numbers[f"{hit.kind.name} {hit.message}"]
            counted = true if hit.condition else false
            counted.extend([0] * (number + 1 - len(counted)))
            counted[number] = max(counted[number], hit.count)


class Reading:
    """One pass over all other lines."""

    def __init__(self, target: Shard) -> None:
        self.shard = target
        self._open: list[str] = []
        self._exit: Record | None = None
        self._has_left = False
        self._rest: str | None = None
        self._violations: dict[int, int] = {}

    def takers(self) -> Takers:
        """What takes each kind of record."""
        return {
            shard.HEADER: self._take_header,
            shard.TRIAL: self._take_trial,
            shard.DELTA: self._take_delta,
            shard.FAULTS: self._take_faults,
            shard.FEATURES: self._take_features,
            shard.TROUBLE: self._take_trouble,
            shard.PROOF: self._take_proof,
            shard.LIMIT: self._take_limit,
            shard.EXIT: self._take_exit,
            shard.VIOLATION: self._take_violation,
        }

    def _take_header(self, body: Record, _: int) -> None:
        if body["schema"] != shard.SCHEMA:
            raise ValueError(
                f"shard of schema {body['schema']}, this assertlib reads {shard.SCHEMA}: update it"
            )
        self.shard.header = body
        self.shard.start = _int(body["time"])
        self.shard.clock = _optional_int(body["clock"])
        self.shard.clock_id = _str(body["clock_id"])
        base = body["trial"]
        self.shard.base = trials.from_dict(base) if isinstance(base, dict) else None
        self._features(None, body["features"])

    def _take_trial(self, body: Record, _: int) -> None:
        identifier, time = _str(body["id"]), _int(body["time"])
        if body["state"] == "begin":
            features = body.get("features")
            record = TrialRecord(trials.from_dict(body), time, _optional_int(body["clock"]))
            record.features = features if isinstance(features, dict) else None
            self.shard.trials[identifier] = record
            self._open.append(identifier)
        elif body["state"] == "left":
            self._rest = _optional(body["around"])
            self._has_left = True
        elif identifier in self._open:
            record = self.shard.trials[identifier]
            record.ended = _optional_int(body["clock"])
            outlived = body["outlived"]
            record.outlived = frozenset(outlived if isinstance(outlived, list) else ())
            del self._open[self._open.index(identifier) :]

    def _take_delta(self, body: Record, _: int) -> None:
        self.shard.told.append(
            Delta(_optional(body["trial"]), _ints(body["true"]), _ints(body["false"]))
        )

    def _take_faults(self, body: Record, line: int) -> None:
        self.shard.faults.append(
            FaultRecord(
                _optional(body["trial"]),
                _optional_int(body["clock"]),
                line,
                _strs(body["active"]),
                _strs(body["breaks"]),
            )
        )

    def _take_features(self, body: Record, _: int) -> None:
        self._features(_optional(body["trial"]), body["features"])

    def _features(self, trial: str | None, features: object) -> None:
        if isinstance(features, dict):
            self.shard.features.setdefault(trial, {}).update(features)

    def _take_trouble(self, body: Record, _: int) -> None:
        self.shard.troubles.append(
            TroubleRecord(
                _str(body["message"]),
                _str(body["reason"]),
                _location(body["location"]),
                _optional(body["trial"]),
            )
        )

    def _take_proof(self, body: Record, _: int) -> None:
        self.shard.proofs.append(
            ProofRecord(_str(body["defect"]), _str(body["message"]), _optional(body["commit"]))
        )

    def _take_limit(self, _: Record, __: int) -> None:
        """Of what was counted later, nobody knows the trial."""
        self._rest, self._has_left = None, True
        self._open.clear()

    def _take_violation(self, body: Record, _: int) -> None:
        """Count the violations that have records, whatever the counters hold."""
        slot, count = _int(body["slot"]), _int(body["count"])
        self._violations[slot] = max(count, self._violations.get(slot, 0))

    def _take_exit(self, body: Record, _: int) -> None:
        self._exit = body
        self.shard.exited = True
        self.shard.lost_records = _int(body["lost"])
        self.shard.trouble_count = _int(body["troubles"])
        self.shard.truncated_details = _int(body["truncated"])
        self.shard.dropped_records = _int(body.get("dropped", 0))

    def finish(
        self,
        counts: CounterFile | None,
        details: DetailsReading | None,
        declared: int,
        *,
        in_memory: bool,
    ) -> None:
        """
        Join lines and counters, and give the rest to the trial that was open.

        Of counters and records that contradict each other the stricter holds, and the
        contradiction is damage.

        Args:
            details: What the hits tell, where the counters do not tell all.
            declared: How many assertions the lines declare.
            in_memory: Whether no counter could be put into a file.
        """
        target = self.shard
        if counts is not None and details is None:
            self._take_counts(counts)
        else:
            self._add_up(counts)
        if details is not None:
            details.count_at_least(target.true, target.false)
        if counts is not None and counts.durable:
            self._compare(counts, declared)
        was_in_memory = (
            in_memory
            or target.header.get("durable") is False
            or (counts is not None and not counts.durable)
        )
        if was_in_memory and "true" not in (self._exit or {}):
            target.damage.append("its counts were in memory only, and were never written")
        open_trial = self._open[-1] if self._open else None
        if open_trial is None:
            born_in = None if target.base is None else target.base.id
            open_trial = self._rest if self._has_left else born_in
        target.open_trial = open_trial

    def _compare(self, counts: CounterFile, declared: int) -> None:
        """Hold the counters against the lines."""
        target = self.shard
        if declared > counts.named:
            target.damage.append(
                f"its lines declare {declared} assertions, its counters {counts.named}"
            )
        for name, counted, told in (
            ("true", target.true, added([delta.true for delta in target.told])),
            ("false", target.false, added([delta.false for delta in target.told])),
        ):
            if _exceeds(told, counted):
                target.damage.append(f"its trials count more {name} hits than its counters")
                counted[:] = _larger(told, counted)
        recorded = [
            self._violations.get(n, 0) for n in range(max(self._violations, default=-1) + 1)
        ]
        if _exceeds(recorded, target.false):
            target.damage.append("its records hold violations that its counters lack")
            target.false = _larger(recorded, target.false)
            target.true += [0] * (len(target.false) - len(target.true))

    def _take_counts(self, counts: CounterFile) -> None:
        """The counters tell all."""
        target = self.shard
        target.durable = True
        target.lost_records = max(target.lost_records, counts.lost_records)
        target.trouble_count = max(target.trouble_count, counts.troubles)
        target.truncated_details = max(target.truncated_details, counts.truncated_details)
        target.dropped_records = max(target.dropped_records, counts.dropped_records)
        target.true = [slot[2] for slot in counts.slots]
        target.false = [slot[3] for slot in counts.slots]

    def _add_up(self, counts: CounterFile | None) -> None:
        """Counters that are damaged, or not durable, are at least what the lines tell."""
        target = self.shard
        if counts is not None:
            self._take_counts(counts)
        target.durable = counts is not None and counts.durable
        true = _larger(added([delta.true for delta in target.told]), target.true)
        false = _larger(added([delta.false for delta in target.told]), target.false)
        if self._exit is not None and "true" in self._exit:
            target.durable = False
            true = _larger(true, _ints(self._exit["true"]))
            false = _larger(false, _ints(self._exit["false"]))
        target.true, target.false = true, false


def _exceeds(told: Sequence[int], counted: Sequence[int]) -> bool:
    """Whether anything is more often in *told* than in *counted*."""
    return any(map(gt, told, counted)) or any(told[len(counted) :])


def _larger(left: Sequence[int], right: Sequence[int]) -> list[int]:
    size = max(len(left), len(right))
    padded = ([*row, *[0] * (size - len(row))] for row in (left, right))
    return list(map(max, *padded))


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string was expected, not {value!r}")
    return value


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"an integer was expected, not {value!r}")
    return value


def _optional_int(value: object) -> int | None:
    return None if value is None else _int(value)


def _ints(value: object) -> Sequence[int]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {value!r}")
    # Counts of one trial are mostly small, and there may be millions of them.
    with suppress(ValueError):
        return bytes(value)
    if not _JUST_INTEGERS.issuperset(map(type, value)):
        raise TypeError(f"a list of integers was expected, not {value!r}")
    return value


_JUST_INTEGERS = frozenset((int,))


def _strs(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {value!r}")
    return [_str(each) for each in value]


def _optional(value: object) -> str | None:
    return None if value is None else _str(value)


def _captured(body: Record) -> Captured | None:
    source, values = body.get("source"), body.get("values")
    if source is None:
        return None
    known = values if isinstance(values, dict) else {}
    return Captured(_str(source), {name: _str(value) for name, value in known.items()})


def _location(value: object) -> Location:
    if not isinstance(value, dict):
        return Location("", "", "", 0)
    return Location(
        _str(value["file"]),
        _str(value["function"]),
        _str(value["class"]),
        _int(value["begin_line"]),
        _int(value["begin_column"]),
    )
