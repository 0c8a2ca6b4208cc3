"""
The one recorder of a process: counts every hit, writes the telling ones.

It must never raise into the store and never hold up one thread for another's
details: user code (details, sinks) runs outside its lock.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from _thread import RLock

from ..model import NOWHERE, PROTOCOL_VERSION, Kind, Location, assert_record
from . import hot, shard, trials
from .counters import (
    FALSE_CELL,
    LOST_CELL,
    TROUBLE_CELL,
    TRUE_CELL,
    TRUNCATED_CELL,
    Counters,
    message_hash,
)
from .encode import NON_FINITE_OPERAND, DetailsEncoder, bounded_repr, line, line_with_details
from .guidance import Watermark, worth_writing
from .hits import Hit
from .rundir import LiveShards, find_commit, shard_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from .counters import Cell
    from .hits import Captured, Where
    from .loader import Explainer, Subscriber

VERSION: Final = "0.1.0"

RECORD, RAISE, OFF = "record", "raise", "off"
MODES = (RECORD, RAISE, OFF)

RUN_DIR_ENV = "ASSERTLIB_RUN_DIR"
MODE_ENV = "ASSERTLIB"
SINKS_ENV = "ASSERTLIB_SINKS"
FEATURES_ENV = "ASSERTLIB_FEATURES"
ROOT_ENV = "ASSERTLIB_ROOT"
COMMIT_ENV = "ASSERTLIB_COMMIT"

_TROUBLES_WRITTEN = 100


class Slot:
    """An assertion that this process has met, and its counters."""

    __slots__ = ("cells", "index", "invariant", "kind", "location", "message", "number", "trial")

    def __init__(
        self,
        number: int,
        kind: Kind,
        message: str,
        invariant: str | None,
        location: Location,
        cell: Cell,
    ) -> None:
        self.number = number
        self.kind = kind
        self.message = message
        self.invariant = invariant
        self.location = location
        self.cells, self.index = cell
        self.trial: str | None = ""  # the trial of the last recorded violation

    def count(self, condition: bool) -> int:
        """Count one hit; returns how many there are now with this outcome."""
        cells = self.cells
        index = self.index + (TRUE_CELL if condition else FALSE_CELL)
        counted = cells[index] + 1
        cells[index] = counted
        return counted

    def cell(self, condition: bool) -> Cell:
        """Where hits with this outcome are counted."""
        return self.cells, self.index + (TRUE_CELL if condition else FALSE_CELL)


class Recorder:
    """Everything the process knows about its own hits."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._lock = RLock()
        self.mode = RECORD
        self.run_dir: str | None = environ.get(RUN_DIR_ENV) or None
        self.features: dict[str, bool] = parse_features(environ.get(FEATURES_ENV, ""))
        self.sinks: list[str | Subscriber] = _words(environ.get(SINKS_ENV, "log"))
        self.root = environ.get(ROOT_ENV) or os.getcwd()
        self._declared: dict[tuple[Kind, str], tuple[str | None, Location]] = {}
        self._base = trials.from_environment(environ.get(trials.ENVIRONMENT))
        self._stack: list[trials.Trial] = []
        self._subscribers: list[Subscriber] | None = None
        self._explainer: Explainer | None = None
        self._explainer_sought = False
        self._warned: set[str] = set()
        self._start_anew()
        mode = environ.get(MODE_ENV, RECORD)
        if mode in MODES:
            self.mode = mode
        else:
            self._warn(f"{MODE_ENV}={mode!r} is no mode, recording; choose from {', '.join(MODES)}")
        if self.mode == OFF:
            hot.reset(off=True)

    def _start_anew(self) -> None:
        self.name = ""
        self._slots: dict[tuple[Kind, str], Slot] = {}
        self._counters: Counters | None = None
        self._writer: shard.ShardWriter | None = None
        self._live: LiveShards | None = None
        self.marks: dict[str, Watermark] = {}
        self._encoder = DetailsEncoder()
        self._flushed: tuple[list[int], list[int]] = ([], [])
        self._troubles = 0
        hot.reset(off=self.mode == OFF)

    # -- configuration ---------------------------------------------------

    def configure(
        self,
        *,
        mode: str | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        features: Mapping[str, bool] | None = None,
        sinks: Iterable[str | Subscriber] | None = None,
    ) -> None:
        """See `assertlib.configure`."""
        if mode is not None and mode not in MODES:
            msg = f"mode must be one of {', '.join(MODES)}, not {mode!r}"
            raise ValueError(msg)
        with self._lock:
            if mode is not None:
                self.mode = mode
                hot.reset(off=mode == OFF)
            if sinks is not None:
                self.sinks = list(sinks)
                self._subscribers = None
            if run_dir is not None:
                self.close()
                self.run_dir = os.path.abspath(os.fspath(run_dir))
                os.environ[RUN_DIR_ENV] = self.run_dir
                self._start_anew()
            if features is not None:
                self._declare_features(features)

    def _declare_features(self, features: Mapping[str, bool]) -> None:
        self.features = {**self.features, **{name: bool(on) for name, on in features.items()}}
        os.environ[FEATURES_ENV] = ",".join(
            f"{name}={'on' if on else 'off'}" for name, on in sorted(self.features.items())
        )
        if self._counters is not None:
            body = {"trial": self.trial_id, "features": self.features}
            self._write([line(shard.FEATURES, body)])

    # -- opening ---------------------------------------------------------

    def _counters_open(self) -> Counters:
        if self._counters is None:
            self._open()
        assert self._counters is not None
        return self._counters

    def _open(self) -> None:
        path = self._open_shard() if self.run_dir is not None else None
        self._counters = Counters(None if path is None else path + shard.COUNTS_SUFFIX)
        if self._writer is not None:
            self._write([self._sdk_line(), self._header_line()])
        if path is not None and not self._counters.durable:
            self._warn(f"counts of {path} are kept in memory only: no space or no permission")
        for (kind, message), (invariant, location) in self._declared.items():
            self._add_slot(kind, message, invariant, location)

    def _open_shard(self) -> str | None:
        assert self.run_dir is not None
        self.name = shard_name()
        path = os.path.join(self.run_dir, self.name)
        try:
            os.makedirs(self.run_dir, exist_ok=True)
            self._writer = shard.ShardWriter(path + shard.SUFFIX)
        except OSError as error:
            self._warn(f"cannot record into {self.run_dir}, hits are only counted: {error}")
        self._live = LiveShards(self.run_dir, self.name)
        return path

    def _sdk_line(self) -> str:
        language = {"name": "Python", "version": sys.version}
        body = {
            "language": language,
            "sdk_version": VERSION,
            "protocol_version": PROTOCOL_VERSION,
        }
        return line("antithesis_sdk", body)

    def _header_line(self) -> str:
        assert self.run_dir is not None
        assert self._counters is not None
        body = {
            "schema": shard.SCHEMA,
            "shard": self.name,
            "run": os.path.basename(self.run_dir),
            "pid": os.getpid(),
            "parent": os.getppid(),
            "time": time.time_ns(),
            "commit": os.environ.get(COMMIT_ENV) or find_commit(os.getcwd()),
            "python": sys.version.split()[0],
            "platform": sys.platform,
            "command": [bounded_repr(word)[1:-1] for word in sys.argv[:20]],
            "mode": self.mode,
            "features": self.features,
            "durable": self._counters.durable,
            "trial": None if self._base is None else self._base.as_dict(),
        }
        return line(shard.HEADER, body)

    # -- writing ---------------------------------------------------------

    def _write(self, lines: list[str]) -> None:
        if self._writer is None:
            if self.run_dir is not None:
                self._counters_open().bump(LOST_CELL)
            return
        if not self._writer.write(lines):
            self._counters_open().bump(LOST_CELL)
            self._warn(f"a record could not be written to {self._writer.path}: no space?")

    def _warn(self, text: str) -> None:
        if text in self._warned:
            return
        self._warned.add(text)
        import logging

        logging.getLogger("assertlib").warning("assertlib: %s", text)

    def trouble(self, message: object, reason: str, where: Where) -> None:
        """An assertion could not be evaluated: recorded, never a pass, never raised."""
        try:
            location = where.location()
            with self._lock:
                self._counters_open().bump(TROUBLE_CELL)
                self._troubles += 1
                if self._troubles <= _TROUBLES_WRITTEN:
                    self._write_trouble(message, reason, location)
            self._warn(f"{location}: assertion {bounded_repr(message)}: {reason}")
        except Exception as error:  # the last line of defence of the store
            self._warn(f"trouble recording trouble: {bounded_repr(error)}")

    def _write_trouble(self, message: object, reason: str, location: Location) -> None:
        body = {
            "message": message if isinstance(message, str) else bounded_repr(message),
            "reason": reason,
            "location": location.wire(),
            "time": time.time_ns(),
            "trial": self.trial_id,
        }
        self._write([line(shard.TROUBLE, body)])

    # -- assertions ------------------------------------------------------

    def declare(self, kind: Kind, message: str, invariant: str | None, where: Where) -> None:
        """Make an assertion known before it is hit."""
        location = where.location()
        with self._lock:
            self._declared[kind, message] = (invariant, location)
            if self._counters is not None and (kind, message) not in self._slots:
                self._add_slot(kind, message, invariant, location)

    def _slot(self, kind: Kind, message: str, invariant: str | None, where: Where) -> Slot:
        slot = self._slots.get((kind, message))
        if slot is not None:
            return slot
        location = where.location()
        with self._lock:
            self._counters_open()
            slot = self._slots.get((kind, message))
            return slot or self._add_slot(kind, message, invariant, location)

    def _add_slot(
        self, kind: Kind, message: str, invariant: str | None, location: Location
    ) -> Slot:
        assert self._counters is not None
        hashed = message_hash(message)
        cell = self._counters.add_slot(hashed, kind.code)
        slot = Slot(len(self._slots), kind, message, invariant, location, cell)
        body = {
            "slot": slot.number,
            "id": message,
            "kind": kind.name,
            "invariant": invariant,
            "hash": f"{hashed:016x}",
        }
        declaration = assert_record(kind, message, location, hit=False, condition=False)
        self._write([line("antithesis_assert", declaration), line(shard.SLOT, body)])
        self._slots[kind, message] = slot
        return slot

    def hit(
        self,
        kind: Kind,
        condition: bool,
        message: str,
        details: object,
        invariant: str | None,
        where: Where,
    ) -> Hit | None:
        """
        Count a hit and write it if it tells something new.

        Returns:
            The record of a violation or of a first hit, else None.
        """
        slot = self._slot(kind, message, invariant, where)
        count = slot.count(condition)
        violation = kind.violated_by_false and not condition
        if not self._is_due(slot, count, condition=condition, violation=violation):
            return None
        captured = None if condition else where.captured()
        hit = self._write_hit(slot, condition, count, details, where.location(), captured)
        self._publish(slot, condition, count, violation=violation)
        if violation or condition:
            self._tell(hit)
        return hit

    def _is_due(self, slot: Slot, count: int, *, condition: bool, violation: bool) -> bool:
        if condition:
            return count == 1
        if violation and (self.mode == RAISE or slot.trial != self.trial_id):
            return True
        return worth_writing(count)

    def _publish(self, slot: Slot, condition: bool, count: int, *, violation: bool) -> None:
        # Only now may the hot path count these hits by itself.
        if violation or self._slots.get((slot.kind, slot.message)) is not slot:
            slot.trial = self.trial_id
            return
        if condition:
            hot.true_tables[slot.kind][slot.message] = slot.cell(True)
        elif count >= 10:
            hot.false_tables[slot.kind][slot.message] = slot.cell(False)

    def _write_hit(
        self,
        slot: Slot,
        condition: bool,
        count: int,
        details: object,
        location: Location,
        captured: Captured | None,
    ) -> Hit:
        encoded = self._encoder.encode(details, slot.message)
        trial = self._current
        hit = Hit(
            kind=slot.kind,
            message=slot.message,
            invariant=slot.invariant,
            condition=condition,
            count=count,
            time=time.time_ns(),
            trial=None if trial is None else trial.id,
            seed=None if trial is None else trial.seed,
            location=location,
            details=encoded.text or encoded.fallback,
            captured=captured,
        )
        if encoded.truncated:
            self._counters_open().bump(TRUNCATED_CELL)
        if self.run_dir is None:
            return hit
        record = assert_record(slot.kind, slot.message, location, hit=True, condition=condition)
        lines = [
            *encoded.diagnostics,
            line_with_details("antithesis_assert", record, "details", encoded.text),
            line(shard.HIT, _hit_body(slot, hit, encoded.fallback)),
        ]
        with self._lock:
            self._write(lines)
        return hit

    # -- guidance --------------------------------------------------------

    def watermark(self, message: str, type: str, *, maximize: bool, where: Where) -> Watermark:
        """The watermark of a rich assertion, declared on the wire when it is new."""
        mark = self.marks.get(message)
        if mark is not None:
            return mark
        with self._lock:
            self._counters_open()
            mark = self.marks.setdefault(message, Watermark(type, maximize=maximize))
            body = mark.record(message, where.location(), hit=False, data=None)
            if self._writer is not None:
                self._write([line("antithesis_guidance", body)])
        return mark

    def guide(
        self, message: str, mark: Watermark, value: float, data: Mapping[str, object], where: Where
    ) -> None:
        """Note how close a rich assertion came."""
        with self._lock:
            if mark.improves(value) and mark.move(value, data) and self._writer is not None:
                self._write_guidance(message, mark, data, where.location())

    def _write_guidance(
        self, message: str, mark: Watermark, data: Mapping[str, object], location: Location
    ) -> None:
        body = mark.record(message, location, hit=True, data=None)
        encoded = self._encoder.encode(data, message)
        if encoded.text is not None:
            text = line_with_details("antithesis_guidance", body, "guidance_data", encoded.text)
            self._write([text])

    def warn_not_finite(self, message: str) -> None:
        """Say once why a comparison with an operand that is not finite gives no guidance."""
        with self._lock:
            lines = self._encoder.warning(NON_FINITE_OPERAND, message)
            if lines and self._writer is not None:
                self._write(lines)

    def _flush_marks(self) -> None:
        for message, mark in self.marks.items():
            data, mark.pending = mark.pending, None
            if data is not None and self._writer is not None:
                self._write_guidance(message, mark, data, NOWHERE)

    # -- subscribers -----------------------------------------------------

    def subscribers(self) -> list[Subscriber]:
        """The sinks, loaded at the first record."""
        if self._subscribers is None:
            self._subscribers = [loaded for sink in self.sinks for loaded in self._load(sink)]
        return self._subscribers

    def _load(self, sink: str | Subscriber) -> list[Subscriber]:
        if not isinstance(sink, str):
            return [sink]
        from .loader import load_sink

        try:
            return [load_sink(sink)]
        except ImportError as error:
            self._warn(f"sink {sink!r} is not used: {error}")
            return []

    def _tell(self, hit: Hit) -> None:
        for subscriber in self.subscribers():
            try:
                subscriber.handle(hit)
            except Exception as error:
                self._warn(f"sink {subscriber!r} failed: {bounded_repr(error)}")

    def explain(self, hit: Hit) -> str | None:
        """The whole story of a violation, where the tools to tell it are installed."""
        if not self._explainer_sought:
            from .loader import load_explainer

            self._explainer_sought = True
            self._explainer = load_explainer()
        try:
            return None if self._explainer is None else self._explainer(hit)
        except Exception as error:
            self._warn(f"a violation could not be explained: {bounded_repr(error)}")
            return None

    # -- trials ----------------------------------------------------------

    @property
    def _current(self) -> trials.Trial | None:
        return self._stack[-1] if self._stack else self._base

    @property
    def trial_id(self) -> str | None:
        """Id of the trial that gets the hits now."""
        return None if self._current is None else self._current.id

    def begin_trial(self, trial: trials.Trial) -> None:
        """Give the hits from now on to *trial*."""
        if self.mode == OFF:
            self._stack.append(trial)
            return
        with self._lock:
            if self.run_dir is not None:
                self._counters_open()
            trial.parent = self.trial_id
            trial.owner = self.name or None
            lines = self._delta_lines()
            body = {**trial.as_dict(), "state": "begin", "time": time.time_ns()}
            self._stack.append(trial)
            if self._writer is not None:
                self._write([*lines, line(shard.TRIAL, body)])
            os.environ[trials.ENVIRONMENT] = trials.to_environment(trial)

    def end_trial(self, trial: trials.Trial) -> None:
        """Close *trial* and what is still open inside it."""
        with self._lock:
            if trial in self._stack:
                self._end_open_trial(trial)
            elif self._base is not None and self._base.id == trial.id:
                # A forked child left the block: the trial is its parent's to end.
                self._write_delta()
                self._base = None

    def _end_open_trial(self, trial: trials.Trial) -> None:
        lines = self._delta_lines()
        del self._stack[self._stack.index(trial) :]
        around = self._current
        if around is None:
            os.environ.pop(trials.ENVIRONMENT, None)
        else:
            os.environ[trials.ENVIRONMENT] = trials.to_environment(around)
        if self._writer is not None:
            self._flush_marks()
            outlived = self._live.names() if self._live is not None else []
            body = {
                "id": trial.id,
                "state": "end",
                "time": time.time_ns(),
                "outlived": outlived,
            }
            self._write([*lines, line(shard.TRIAL, body)])

    def _write_delta(self) -> None:
        lines = self._delta_lines()
        if lines and self._writer is not None:
            self._write(lines)

    def _delta_lines(self) -> list[str]:
        """What was counted since the last delta, for the trial that is open now."""
        if self._counters is None:
            return []
        totals = self._counters.totals()
        true, false = (
            _difference(now, before) for now, before in zip(totals, self._flushed, strict=True)
        )
        self._flushed = totals
        if not true and not false:
            return []
        return [line(shard.DELTA, {"trial": self.trial_id, "true": true, "false": false})]

    # -- lifecycle -------------------------------------------------------

    def faults(self, active: list[str], breaks: list[str]) -> None:
        """Note which faults are injected from now on."""
        body = {
            "trial": self.trial_id,
            "active": active,
            "breaks": breaks,
            "time": time.time_ns(),
        }
        self.write_line(line(shard.FAULTS, body))

    def event(
        self, name: str, details: object, *, inside: tuple[str, dict[str, object]] | None
    ) -> None:
        """
        Write a user event, or, with *inside* as key and body, a lifecycle
        record that holds the details.
        """
        encoded = self._encoder.encode(details, name)
        if inside is None:
            text = f"{{{_json_string(name)}: {encoded.text or '{}'}}}\n"
        else:
            text = line_with_details(inside[0], inside[1], "details", encoded.text)
        self.write_line("".join([*encoded.diagnostics, text]))

    def write_line(self, text: str) -> None:
        """Write whole lines that are no hits."""
        if self.run_dir is None or self.mode == OFF:
            return
        with self._lock:
            self._counters_open()
            self._write([text])

    # -- end of the process, and its children ------------------------------

    def close(self) -> None:
        """Write what is only in memory; counters go on counting, nothing more is written."""
        with self._lock:
            if self._writer is None or self._counters is None:
                return
            self._flush_marks()
            body: dict[str, object] = {"time": time.time_ns()}
            if not self._counters.durable:
                body["true"], body["false"] = self._counters.totals()
            self._write([line(shard.EXIT, body)])
            self._drop_files()

    def _drop_files(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._counters is not None:
            self._counters.close()

    def snapshot(self) -> list[tuple[Kind, str, str | None, int, int]]:
        """Kind, message, invariant, true and false hits of all assertions met so far."""
        with self._lock:
            if self._counters is None:
                return []
            true, false = self._counters.totals()
            slots = list(self._slots.values())
        return [
            (slot.kind, slot.message, slot.invariant, true[slot.number], false[slot.number])
            for slot in slots
        ]

    def before_fork(self) -> None:
        """Keep other threads out while the process is copied."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Let them in again."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """A child counts from zero, into a shard of its own, for the trial it was born in."""
        self._lock = RLock()
        self._drop_files()
        self._base = self._current
        self._stack = []
        self._start_anew()


def _hit_body(slot: Slot, hit: Hit, fallback: str | None) -> dict[str, object]:
    body: dict[str, object] = {
        "slot": slot.number,
        "id": hit.message,
        "condition": hit.condition,
        "count": hit.count,
        "time": hit.time,
        "trial": hit.trial,
        "seed": hit.seed,
    }
    if hit.captured is not None:
        body["source"] = hit.captured.source
        body["values"] = hit.captured.values
    if fallback is not None:
        body["details_repr"] = fallback
    return body


def _difference(now: list[int], before: list[int]) -> list[int]:
    padded = before + [0] * (len(now) - len(before))
    values = [new - old for new, old in zip(now, padded, strict=True)]
    while values and values[-1] == 0:
        values.pop()
    return values


def _json_string(text: str) -> str:
    import json

    return json.dumps(text)


def _words(text: str) -> list[str | Subscriber]:
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_features(text: str) -> dict[str, bool]:
    """Read ``watch=on,auth=off``; a name alone means on."""
    features = {}
    for word in text.split(","):
        name, _, value = word.strip().partition("=")
        if name:
            features[name] = value.lower() not in ("off", "0", "false", "no")
    return features


recorder = Recorder(os.environ)

os.register_at_fork(
    before=lambda: recorder.before_fork(),
    after_in_parent=lambda: recorder.after_fork_in_parent(),
    after_in_child=lambda: recorder.after_fork_in_child(),
)
atexit.register(lambda: recorder.close())
