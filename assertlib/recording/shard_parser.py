"""
Parses the records of a shard, one after the other.

All readers need the header, trials, deltas and faults of a shard, which are a small part of it.
Its hits with their details are most of the file, and are parsed in a second pass, on demand.

Over 500 lines, since both passes check their fields with the functions at the end.
"""

from __future__ import annotations

import json
from contextlib import suppress
from operator import gt

from .._text.inputs import LATEST, MOST_COUNT, MOST_SLOTS
from ..errors import quoted
from ..model import ALWAYS, MOST_LINES, Location, kind_coded, kind_displayed, kind_named
from . import shard, trials
from .counter_file import CounterFile
from .counters import message_hash
from .hits import Captured, Hit
from .records import (
    Delta,
    Details,
    ErrorRecord,
    FaultRecord,
    ProofRecord,
    Record,
    Shard,
    SlotRecord,
    TrialRecord,
    added,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..model import Kind

    Takers = Mapping[str, Callable[[Record, int], None]]
    """By key of a record, the function that takes its body and the number of its line."""

ASSERT = "antithesis_assert"
GUIDANCE = "antithesis_guidance"


class DetailsReading:
    """
    A pass over the assertions and their hits.

    Attributes:
        details: The result so far.
    """

    def __init__(self) -> None:
        self.details = Details()
        # A record of ours completes the record of the protocol on the line before it.
        self._last_assert: Record = {}
        self._by_name: dict[str, SlotRecord] = {}
        self._numbered: dict[int, SlotRecord] = {}
        self._numbers: dict[str, int] = {}

    def takers(self) -> Takers:
        """The functions that take the records of this pass."""
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
        # Evidence identifies assertions by this hash, so an altered line must not pass.
        hashed, message = _hash(body["hash"]), _str(body["id"])
        if hashed != message_hash(message):
            raise ValueError(f"{body['hash']} is not the hash of {quoted(message)}")
        slot = SlotRecord(
            _kind(body["kind"]),
            hashed,
            message,
            _optional(body["invariant"]),
            _location(self._last_assert.get("location")),
        )
        number = _slot(body["slot"])
        self._numbered[number] = slot
        self._numbers[f"{slot.kind.name} {slot.message}"] = number
        self._by_name[f"{slot.kind.name} {slot.message}"] = slot

    def _take_hit(self, body: Record, line: int) -> None:
        kind = kind_displayed(_str(self._last_assert["display_type"]))
        if kind is None:
            raise ValueError(f"unknown display_type {self._last_assert['display_type']!r}")
        message = _str(body["id"])
        if self._last_assert.get("id") != message:
            # Both are written at once, so nothing can come in between.
            raise ValueError("the assertion that was hit is not on the line before")
        number, slot = _slot(body["slot"]), self._by_name.get(f"{kind.name} {message}")
        if slot is None:
            # Its declaration was lost on a full disk; the hash 0 marks it as unknown.
            slot = SlotRecord(kind, 0, message)
            self._numbered[number] = slot
            self._by_name[f"{kind.name} {message}"] = slot
            self._numbers[f"{kind.name} {message}"] = number
        seed = body["seed"]
        details = self._last_assert.get("details")
        text = None if details is None else json.dumps(details)
        self.details.hits.append(
            Hit(
                kind=kind,
                message=message,
                invariant=slot.invariant,
                condition=_bool(body["condition"]),
                count=_count(body["count"]),
                time=_time(body["time"]),
                trial=_optional(body["trial"]),
                seed=None if seed is None else _int(seed),
                location=_location(self._last_assert.get("location")),
                details=text or _optional(body.get("details_repr")),
                captured=_captured(body),
                clock=_optional_time(body["clock"]),
                line=line,
                nth=_count(body["nth"]),
            )
        )

    def _take_guidance(self, body: Record, _: int) -> None:
        # With ``hit`` false it is the declaration, which has no data.
        if _bool(body["hit"]):
            self.details.guidance[_str(body["id"])] = body

    def finish(self, counts: CounterFile | None) -> Details:
        """
        Number the slots, and return the result.

        Args:
            counts: The counters; None if they are missing.  A slot that is only in them has no
                message.
        """
        counted = [] if counts is None else counts.slots
        size = max(len(counted), max(self._numbered, default=-1) + 1)
        self.details.slots = []
        for number in range(size):
            hashed, code = counted[number][:2] if number < len(counted) else (0, 0)
            nameless = SlotRecord(kind_coded(code) or ALWAYS, hashed)
            self.details.slots.append(self._numbered.get(number, nameless))
        return self.details

    def count_at_least(self, true: list[int], false: list[int]) -> None:
        """Raise the counts in *true* and *false* to those that the records of hits contain."""
        # Each record has the count of its outcome at that time.
        for hit in self.details.hits:
            number = self._numbers[f"{hit.kind.name} {hit.message}"]
            counted = true if hit.condition else false
            counted.extend([0] * (number + 1 - len(counted)))
            counted[number] = max(counted[number], hit.count)


class Reading:
    """
    A pass over all lines except those of hits.

    Attributes:
        shard: The result, complete after `finish`.
    """

    def __init__(self, target: Shard) -> None:
        self.shard = target
        # `_rest` is the trial of the hits behind the last delta, if a record has determined it.
        self._open: list[str] = []
        self._in_memory: tuple[Sequence[int], Sequence[int]] | None = None
        self._has_left = False
        self._rest: str | None = None
        self._violations: dict[int, int] = {}

    def takers(self) -> Takers:
        """The functions that take the records of this pass."""
        return {
            shard.HEADER: self._take_header,
            shard.TRIAL: self._take_trial,
            shard.DELTA: self._take_delta,
            shard.FAULTS: self._take_faults,
            shard.FEATURES: self._take_features,
            shard.ERROR: self._take_error,
            shard.PROOF: self._take_proof,
            shard.LIMIT: self._take_limit,
            shard.EXIT: self._take_exit,
            shard.VIOLATION: self._take_violation,
        }

    def _take_header(self, body: Record, _: int) -> None:
        # First, since another schema may have other fields.
        if _int(body["schema"]) != shard.SCHEMA:
            raise ValueError(
                f"shard of schema {body['schema']}, but this version of assertlib reads"
                f" {shard.SCHEMA}; update assertlib"
            )
        # The whole header is kept, so fields that are only used later are checked here.
        for name in ("run", "commit"):
            _optional(body.get(name))
        _bool(body.get("durable", False))
        _object(body.get("source", {}))
        self.shard.header = body
        self.shard.start = _time(body["time"])
        self.shard.clock = _optional_time(body["clock"])
        self.shard.clock_id = _str(body["clock_id"])
        base = body["trial"]
        self.shard.base = None if base is None else trials.from_dict(_object(base))
        self._add_features(None, _features(body["features"]))

    def _take_trial(self, body: Record, _: int) -> None:
        identifier, time = _str(body["id"]), _time(body["time"])
        state = body["state"]
        if state == "begin":
            features = body.get("features")
            record = TrialRecord(trials.from_dict(body), time, _optional_time(body["clock"]))
            record.features = None if features is None else _features(features)
            # Bounded, since a damaged shard may begin trials without ending any.
            if len(self._open) == MOST_NESTED:
                raise ValueError(f"trials nest more than {MOST_NESTED:,} levels deep")
            self.shard.trials[identifier] = record
            self._open.append(identifier)
        elif state == "left":
            # A forked child left a trial of its parent, which it does not end.
            self._rest = _optional(body["around"])
            self._has_left = True
        elif state != "end":
            raise ValueError(f"unknown state {state!r}")
        elif identifier in self._open:
            # Trials inside it were left open, for example by threads, and end with it.
            record = self.shard.trials[identifier]
            record.ended = _optional_time(body["clock"])
            record.surviving_shards = frozenset(_strs(body["surviving_shards"]))
            del self._open[self._open.index(identifier) :]

    def _take_delta(self, body: Record, _: int) -> None:
        self.shard.deltas_written.append(
            Delta(_optional(body["trial"]), _counts(body["true"]), _counts(body["false"]))
        )

    def _take_faults(self, body: Record, line: int) -> None:
        self.shard.faults.append(
            FaultRecord(
                _optional(body["trial"]),
                _optional_time(body["clock"]),
                line,
                _strs(body["active"]),
                _strs(body["breaks"]),
            )
        )

    def _take_features(self, body: Record, _: int) -> None:
        self._add_features(_optional(body["trial"]), _features(body["features"]))

    def _add_features(self, trial: str | None, features: dict[str, bool]) -> None:
        self.shard.features.setdefault(trial, {}).update(features)

    def _take_error(self, body: Record, _: int) -> None:
        self.shard.troubles.append(
            ErrorRecord(
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
        """Attribute later hits to no trial: their deltas are no longer written."""
        self._rest, self._has_left = None, True
        self._open.clear()

    def _take_violation(self, body: Record, _: int) -> None:
        """Count the violations that have records, to compare them with the counters."""
        slot, count = _slot(body["slot"]), _count(body["count"])
        self._violations[slot] = max(count, self._violations.get(slot, 0))

    def _take_exit(self, body: Record, _: int) -> None:
        self.shard.lost_records = _count(body["lost"])
        self.shard.error_count = _count(body["troubles"])
        self.shard.truncated_details = _count(body["truncated"])
        self.shard.dropped_records = _count(body.get("dropped", 0))
        # Only a process that counted in memory writes its counts here.
        if "true" in body:
            self._in_memory = (_counts(body["true"]), _counts(body["false"]))
        self.shard.exited = True

    def finish(
        self,
        counts: CounterFile | None,
        details: DetailsReading | None,
        declared: int,
        *,
        in_memory: bool,
    ) -> None:
        """
        Combine lines and counters, and attribute the remaining hits to the trial that was open.

        If counters and records contradict each other, the stricter applies, and the contradiction
        is damage.

        Args:
            counts: The counters; None if they are missing or unreadable.
            details: The hits, if the counters are incomplete; None if they are complete.
            declared: Number of assertions that the lines declare.
            in_memory: Whether the process could keep no counter in a file.
        """
        target = self.shard
        if counts is not None and details is None:
            self._take_counts(counts)
        else:
            self._add_up(counts)
        if details is not None:
            details.count_at_least(target.true, target.false)
        # Counters in memory are expected to lack what was counted after the file was full.
        if counts is not None and counts.durable:
            self._compare(counts, declared)
        # After all sources are combined, since sums of deltas can exceed any counter.
        self._bound()
        was_in_memory = (
            in_memory
            or target.header.get("durable") is False
            or (counts is not None and not counts.durable)
        )
        # The line of a normal exit holds such counts; after a kill they are lost.
        if was_in_memory and self._in_memory is None:
            target.damage.append("its counts were in memory only, and were never written")
        open_trial = self._open[-1] if self._open else None
        if open_trial is None:
            born_in = None if target.base is None else target.base.id
            # None is a valid `_rest`: the child has left all trials.
            open_trial = self._rest if self._has_left else born_in
        target.open_trial = open_trial

    def _bound(self) -> None:
        """Cap counts at the largest that a counter can hold; more is damage."""
        target = self.shard
        if max((*target.true, *target.false), default=0) > MOST_COUNT:
            target.damage.append(f"its trials count more than {MOST_COUNT:,} hits")
            target.true = [min(count, MOST_COUNT) for count in target.true]
            target.false = [min(count, MOST_COUNT) for count in target.false]

    def _compare(self, counts: CounterFile, declared: int) -> None:
        """Compare the counters with the lines; the larger count applies."""
        target = self.shard
        # A slot is named before its declaration is written, so more lines are damage; fewer can be
        # a kill or a full disk.
        if declared > counts.named:
            target.damage.append(
                f"its lines declare {declared} assertions, but its counters name {counts.named}"
            )
        for name, counted, written in (
            ("true", target.true, added([delta.true for delta in target.deltas_written])),
            ("false", target.false, added([delta.false for delta in target.deltas_written])),
        ):
            if _exceeds(written, counted):
                target.damage.append(f"its trials count more {name} hits than its counters")
                counted[:] = _larger(written, counted)
        recorded = [
            self._violations.get(n, 0) for n in range(max(self._violations, default=-1) + 1)
        ]
        if _exceeds(recorded, target.false):
            target.damage.append("its records hold violations that its counters lack")
            target.false = _larger(recorded, target.false)
            target.true += [0] * (len(target.false) - len(target.true))

    def _take_counts(self, counts: CounterFile) -> None:
        """Take the counts from the counter file."""
        target = self.shard
        target.durable = True
        # The line of the exit may be missing, or older than the counters: they go on after it.
        target.lost_records = max(target.lost_records, counts.lost_records)
        target.error_count = max(target.error_count, counts.troubles)
        target.truncated_details = max(target.truncated_details, counts.truncated_details)
        target.dropped_records = max(target.dropped_records, counts.dropped_records)
        target.true = [slot[2] for slot in counts.slots]
        target.false = [slot[3] for slot in counts.slots]

    def _add_up(self, counts: CounterFile | None) -> None:
        """Take lower bounds from all sources, since the counters are incomplete or missing."""
        target = self.shard
        if counts is not None:
            self._take_counts(counts)
        target.durable = counts is not None and counts.durable
        true = _larger(added([delta.true for delta in target.deltas_written]), target.true)
        false = _larger(added([delta.false for delta in target.deltas_written]), target.false)
        if self._in_memory is not None:
            target.durable = False
            true = _larger(true, self._in_memory[0])
            false = _larger(false, self._in_memory[1])
        target.true, target.false = true, false


def _exceeds(written: Sequence[int], counted: Sequence[int]) -> bool:
    """Whether a count in *written* exceeds the one in *counted*."""
    # `map` stops at the shorter row, which counts as padded with zeros.
    return any(map(gt, written, counted)) or any(written[len(counted) :])


def _larger(left: Sequence[int], right: Sequence[int]) -> list[int]:
    size = max(len(left), len(right))
    padded = ([*row, *[0] * (size - len(row))] for row in (left, right))
    return list(map(max, *padded))


MOST_NESTED = 1_000
"""Maximum number of open trials; real ones nest a few levels deep."""


def _wrong(wanted: str, value: object) -> TypeError:
    return TypeError(f"expected {wanted}, not {quoted(value)}")


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    return value


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _int(value: object) -> int:
    # Not `isinstance`: JSON's true and false are integers to Python.
    if type(value) is not int:
        raise _wrong("an integer", value)
    return value


def _number(value: object, most: int) -> int:
    number = _int(value)
    if not 0 <= number <= most:
        raise ValueError(f"{quoted(number)} is not between 0 and {most}")
    return number


def _count(value: object) -> int:
    return _number(value, MOST_COUNT)


def _slot(value: object) -> int:
    return _number(value, MOST_SLOTS - 1)


def _time(value: object) -> int:
    return _number(value, LATEST)


def _optional_time(value: object) -> int | None:
    return None if value is None else _time(value)


def _hash(value: object) -> int:
    text = _str(value)
    # `int` alone would accept signs, spaces and underscores.
    if len(text) != _HASH_DIGITS or not _HEXADECIMAL.issuperset(text):
        raise _wrong(f"{_HASH_DIGITS} hexadecimal digits", value)
    return int(text, 16)


_HASH_DIGITS = 16
_HEXADECIMAL = frozenset("0123456789abcdef")


def _kind(value: object) -> Kind:
    try:
        return kind_named(_str(value))
    except KeyError:
        raise _wrong("a kind", value) from None


def _counts(value: object) -> Sequence[int]:
    counts = _list(value)
    if len(counts) > MOST_SLOTS:
        raise ValueError(f"counts for more than {MOST_SLOTS:,} assertions")
    # The counts of one trial are mostly below 256, and there may be millions of trials: such a row
    # takes a byte per assertion.  The types are checked first, since `bytes` accepts booleans.
    if _JUST_INTEGERS.issuperset(map(type, counts)):
        with suppress(ValueError):
            return bytes(counts)
    for count in counts:
        _count(count)
    return counts


_JUST_INTEGERS = frozenset((int,))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong("a list", value)
    return value


def _object(value: object) -> Record:
    if not isinstance(value, dict):
        raise _wrong("an object", value)
    return value


def _strs(value: object) -> list[str]:
    return [_str(each) for each in _list(value)]


def _features(value: object) -> dict[str, bool]:
    return {name: _bool(on) for name, on in _object(value).items()}


def _optional(value: object) -> str | None:
    return None if value is None else _str(value)


def _captured(body: Record) -> Captured | None:
    source = _optional(body.get("source"))
    values = _object(body.get("values") or {})
    if source is None:
        return None
    return Captured(source, {name: _str(value) for name, value in values.items()})


def _location(value: object) -> Location:
    if value is None:
        return Location("", "", "", 0)
    place = _object(value)
    return Location(
        _str(place["file"]),
        _str(place["function"]),
        _str(place["class"]),
        _number(place["begin_line"], MOST_LINES),
        _number(place["begin_column"], MOST_LINES),
    )
