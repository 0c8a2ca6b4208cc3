"""
Reads what processes left in a run directory.

A torn last line is what a killed process leaves, and is passed over; any other
line that cannot be read is an error that names the file and the line.  Lines
of no interest are told by their first characters and never parsed.
"""

from __future__ import annotations

import json
import os

from ..model import ALWAYS, Location, UsageError, kind_coded, kind_displayed, kind_named
from . import shard, trials
from .counters import CounterFile
from .hits import Captured, Hit
from .records import (
    Delta,
    FaultRecord,
    ProofRecord,
    Record,
    Shard,
    SlotRecord,
    TrialRecord,
    TroubleRecord,
)
from .rundir import RUN_FILE, shard_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ASSERT = "antithesis_assert"
_GUIDANCE = "antithesis_guidance"


class UnreadableRunError(UsageError):
    """A file of a run is not what it should be; the text names file, line and remedy."""


def read_run_file(run_dir: str) -> Record | None:
    """
    The run's description; None when nobody wrote one.

    Raises:
        UnreadableRunError: It is there but is no JSON object.
    """
    path = os.path.join(run_dir, RUN_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableRunError(f"{path}: {error}; remove the run or record it anew") from error
    if not isinstance(data, dict):
        raise UnreadableRunError(f"{path}: not a JSON object; record the run anew")
    return data


def read_shards(run_dir: str) -> list[Shard]:
    """
    The shards of a run, sorted by name.

    Raises:
        UnreadableRunError: One of them holds a bad line that is not its last.
    """
    try:
        names = {os.path.basename(path)[: -len(shard.SUFFIX)] for path in shard_paths(run_dir)}
        names |= {
            name[: -len(shard.COUNTS_SUFFIX)]
            for name in os.listdir(run_dir)
            if name.endswith(shard.COUNTS_SUFFIX)
        }
    except OSError as error:
        raise UnreadableRunError(f"{run_dir}: {error.strerror}") from error
    return [read_shard(os.path.join(run_dir, name)) for name in sorted(names)]


def read_shard(path: str) -> Shard:
    """
    Read one shard; *path* is without suffix.

    Raises:
        UnreadableRunError: A line that is not its last cannot be read.
    """
    reading = _Reading(Shard(os.path.basename(path)))
    records = path + shard.SUFFIX
    if os.path.exists(records):
        for number, key, body in lines_of(records):
            _take(reading, records, number, key, body)
        reading.shard.torn = _is_torn(records)
    reading.finish(_counter_file(path + shard.COUNTS_SUFFIX))
    return reading.shard


def lines_of(path: str) -> Iterator[tuple[int, str, Record]]:
    """
    The whole lines of a shard that hold records of interest, as line number,
    key and body.

    Raises:
        UnreadableRunError: A line cannot be parsed.
    """
    with open(path, "rb") as file:
        yield from _parsed(path, file, 1)


def _parsed(path: str, lines: Iterable[bytes], first: int) -> Iterator[tuple[int, str, Record]]:
    for number, text in enumerate(lines, first):
        if not text.endswith(b"\n"):
            return
        key = _key_of(text)
        if key is None:
            _check_foreign(path, number, text)
            continue
        try:
            body = json.loads(text)[key]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _bad_line(path, number, error) from error
        if not isinstance(body, dict):
            raise _bad_line(path, number, TypeError(f"{key} is not an object"))
        yield number, key, body


class Follower:
    """Reads a shard while its process writes it: at each `read`, what is new."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self._lines = 0
        self._reading = _Reading(Shard(os.path.basename(path)[: -len(shard.SUFFIX)]))

    @property
    def shard(self) -> Shard:
        """What was read so far, without counters."""
        return self._reading.shard

    def read(self) -> None:
        """
        Take the lines that were added.

        Raises:
            UnreadableRunError: One of them cannot be read.
        """
        with open(self._path, "rb") as file:
            if file.seek(0, os.SEEK_END) == self._offset:
                return
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines(keepends=True)
        for number, key, body in _parsed(self._path, lines, self._lines + 1):
            _take(self._reading, self._path, number, key, body)
        self._offset += len(whole)
        self._lines += len(lines)


def _take(reading: _Reading, path: str, number: int, key: str, body: Record) -> None:
    try:
        reading.take(key, body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad_line(path, number, error) from error


_INTERESTING = tuple(
    f'{{"{key}": '.encode()
    for key in (
        _ASSERT,
        _GUIDANCE,
        shard.HEADER,
        shard.SLOT,
        shard.HIT,
        shard.TRIAL,
        shard.DELTA,
        shard.FAULTS,
        shard.FEATURES,
        shard.TROUBLE,
        shard.PROOF,
        shard.EXIT,
    )
)


def _key_of(text: bytes) -> str | None:
    if not text.startswith(_INTERESTING):
        return None
    return text[2 : text.index(b'"', 2)].decode()


def _check_foreign(path: str, number: int, text: bytes) -> None:
    # A user event is none of our business, as long as it is one; there are few.
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad_line(path, number, error) from error
    if not isinstance(body, dict) or not body:
        raise _bad_line(path, number, ValueError("not a record"))


def _bad_line(path: str, number: int, error: Exception) -> UnreadableRunError:
    return UnreadableRunError(
        f"{path}:{number}: cannot be read ({type(error).__name__}: {error}); only the last line of"
        " a shard may be torn, so the file was changed: remove it or record the run anew"
    )


def _is_torn(path: str) -> bool:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"


def _counter_file(path: str) -> CounterFile | None:
    try:
        with open(path, "rb") as file:
            return CounterFile(file.read())
    except (OSError, ValueError):
        # Missing, or cut inside its header: the lines tell what they can.
        return None


class _Reading:
    """One pass over the lines of a shard."""

    def __init__(self, target: Shard) -> None:
        self.shard = target
        self._open: list[str] = []
        self._last_assert: Record = {}
        self._by_name: dict[str, SlotRecord] = {}
        self._numbered: dict[int, SlotRecord] = {}
        self._numbers: dict[str, int] = {}
        self._exit: Record | None = None
        self._has_left = False
        self._rest: str | None = None
        self._takers: dict[str, Callable[[Record], None]] = {
            _ASSERT: self._take_assert,
            _GUIDANCE: self._take_guidance,
            shard.HEADER: self._take_header,
            shard.SLOT: self._take_slot,
            shard.HIT: self._take_hit,
            shard.TRIAL: self._take_trial,
            shard.DELTA: self._take_delta,
            shard.FAULTS: self._take_faults,
            shard.FEATURES: self._take_features,
            shard.TROUBLE: self._take_trouble,
            shard.PROOF: self._take_proof,
            shard.EXIT: self._take_exit,
        }

    def take(self, key: str, body: Record) -> None:
        self._takers[key](body)

    def _take_header(self, body: Record) -> None:
        if body["schema"] != shard.SCHEMA:
            raise ValueError(
                f"shard of schema {body['schema']}, this assertlib reads {shard.SCHEMA}: update it"
            )
        self.shard.header = body
        self.shard.start = _int(body["time"])
        base = body["trial"]
        self.shard.base = trials.from_dict(base) if isinstance(base, dict) else None
        self._features(None, body["features"])

    def _take_assert(self, body: Record) -> None:
        self._last_assert = body

    def _take_slot(self, body: Record) -> None:
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

    def _take_hit(self, body: Record) -> None:
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
        self.shard.hits.append(
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
            )
        )

    def _take_guidance(self, body: Record) -> None:
        if body.get("hit") is True:
            self.shard.guidance[_str(body["id"])] = body

    def _take_trial(self, body: Record) -> None:
        identifier, time = _str(body["id"]), _int(body["time"])
        if body["state"] == "begin":
            features = body.get("features")
            record = TrialRecord(trials.from_dict(body), time)
            record.features = features if isinstance(features, dict) else None
            self.shard.trials[identifier] = record
            self._open.append(identifier)
        elif body["state"] == "left":
            self._rest = _optional(body["around"])
            self._has_left = True
        elif identifier in self._open:
            record = self.shard.trials[identifier]
            record.end = time
            outlived = body["outlived"]
            record.outlived = frozenset(outlived if isinstance(outlived, list) else ())
            del self._open[self._open.index(identifier) :]

    def _take_delta(self, body: Record) -> None:
        self.shard.deltas.append(
            Delta(_optional(body["trial"]), _ints(body["true"]), _ints(body["false"]))
        )

    def _take_faults(self, body: Record) -> None:
        self.shard.faults.append(
            FaultRecord(
                _optional(body["trial"]),
                _int(body["time"]),
                _strs(body["active"]),
                _strs(body["breaks"]),
            )
        )

    def _take_features(self, body: Record) -> None:
        self._features(_optional(body["trial"]), body["features"])

    def _features(self, trial: str | None, features: object) -> None:
        if isinstance(features, dict):
            self.shard.features.setdefault(trial, {}).update(features)

    def _take_trouble(self, body: Record) -> None:
        self.shard.troubles.append(
            TroubleRecord(
                _str(body["message"]),
                _str(body["reason"]),
                _location(body["location"]),
                _optional(body["trial"]),
            )
        )

    def _take_proof(self, body: Record) -> None:
        self.shard.proofs.append(
            ProofRecord(_str(body["defect"]), _str(body["message"]), _optional(body["commit"]))
        )

    def _take_exit(self, body: Record) -> None:
        self._exit = body
        self.shard.exited = True
        self.shard.lost_records = _int(body["lost"])
        self.shard.trouble_count = _int(body["troubles"])
        self.shard.truncated_details = _int(body["truncated"])

    def finish(self, counts: CounterFile | None) -> None:
        """Join lines and counters, and give the rest to the trial that was open."""
        self._add_counts(counts)
        open_trial = self._open[-1] if self._open else None
        if open_trial is None:
            born_in = None if self.shard.base is None else self.shard.base.id
            open_trial = self._rest if self._has_left else born_in
        rest = Delta(
            open_trial,
            _minus(self.shard.true, [delta.true for delta in self.shard.deltas]),
            _minus(self.shard.false, [delta.false for delta in self.shard.deltas]),
        )
        if any(rest.true) or any(rest.false):
            self.shard.deltas.append(rest)

    def _add_counts(self, counts: CounterFile | None) -> None:
        target = self.shard
        target.slots = self._number_slots(counts)
        true = _sum([delta.true for delta in target.deltas])
        false = _sum([delta.false for delta in target.deltas])
        if counts is not None:
            target.durable = counts.durable
            target.lost_records = max(target.lost_records, counts.lost_records)
            target.trouble_count = max(target.trouble_count, counts.troubles)
            target.truncated_details = max(target.truncated_details, counts.truncated_details)
            true = _larger(true, [slot[2] for slot in counts.slots])
            false = _larger(false, [slot[3] for slot in counts.slots])
        if self._exit is not None and "true" in self._exit:
            target.durable = False
            true = _larger(true, _ints(self._exit["true"]))
            false = _larger(false, _ints(self._exit["false"]))
        for hit in target.hits:
            self._count_at_least(hit, true if hit.condition else false)
        target.true, target.false = true, false

    def _number_slots(self, counts: CounterFile | None) -> list[SlotRecord]:
        """Slots by number; one whose line is missing has only what its counters tell."""
        counted = [] if counts is None else counts.slots
        size = max(len(counted), max(self._numbered, default=-1) + 1)
        slots = []
        for number in range(size):
            hashed, code = counted[number][:2] if number < len(counted) else (0, 0)
            nameless = SlotRecord(kind_coded(code) or ALWAYS, hashed)
            slots.append(self._numbered.get(number, nameless))
        return slots

    def _count_at_least(self, hit: Hit, counted: list[int]) -> None:
        number = self._numbers[f"{hit.kind.name} {hit.message}"]
        counted.extend([0] * (number + 1 - len(counted)))
        counted[number] = max(counted[number], hit.count)


def _sum(rows: list[list[int]]) -> list[int]:
    total = [0] * max((len(row) for row in rows), default=0)
    for row in rows:
        for index, value in enumerate(row):
            total[index] += value
    return total


def _larger(left: list[int], right: list[int]) -> list[int]:
    size = max(len(left), len(right))
    padded = (row + [0] * (size - len(row)) for row in (left, right))
    return [max(pair) for pair in zip(*padded, strict=True)]


def _minus(total: list[int], rows: list[list[int]]) -> list[int]:
    parts = _sum(rows)
    parts += [0] * (len(total) - len(parts))
    return [max(0, whole - part) for whole, part in zip(total, parts, strict=False)]


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string was expected, not {value!r}")
    return value


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"an integer was expected, not {value!r}")
    return value


def _ints(value: object) -> list[int]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {value!r}")
    return [_int(each) for each in value]


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
