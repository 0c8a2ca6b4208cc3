"""
The one recorder of a process: counts every hit, writes the telling ones.

It must never raise into the store and never hold up one thread for another's
details: user code (details, sinks) runs outside its lock.

Over 500 lines, since all that the one lock protects is in one class: hits, trials, configuration,
forks and the end of the process.
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import get_ident

from ..model import Kind, Location, assert_record
from . import hot, shard, trials
from .checkout import find_commit
from .counters import DROPPED_CELL, TROUBLE_CELL, TRUNCATED_CELL, load_hashing
from .encode import DetailsEncoder, json_text, line, line_with_details, load_json
from .guidance import Guide, worth_writing
from .hits import Elsewhere, Hit
from .limits import Limits, limits_of
from .loader import load_platform
from .lock import PatientLock
from .reprs import bounded_repr, redact, redacted_command
from .session import Session, Slot
from .settings import (
    COMMIT_ENV,
    FEATURES_ENV,
    MODES,
    OFF,
    RAISE,
    REDACT_ENV,
    ROOT_ENV,
    RUN_DIR_ENV,
    absolute,
    mode_of,
    parse_features,
    sinks_of,
    words,
    working_directory,
)
from .sinks import Sinks
from .system import system
from .troubles import told_by, warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, MutableMapping

    from .hits import Captured, LateHit, Where
    from .loader import Explainer, Platform, Subscriber

_TROUBLES_WRITTEN = 100
_UNCOUNTED_KEPT = 1000


class Recorder:
    """
    Everything the process knows about its own hits.

    Attributes:
        mode: ``record``, ``raise`` or ``off``.
        run_dir: Where it records; None if hits are only counted.
        sinks: What hits are handed to besides.
        refusals: How many evaluations came to nothing, since their condition had no truth value.
        root: Directory that file names in records are relative to.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._lock = PatientLock(self.hit)
        self.mode = mode_of(environ)
        self.run_dir: str | None = absolute(environ.get(RUN_DIR_ENV) or None)
        if self.run_dir is not None:
            environ[RUN_DIR_ENV] = self.run_dir
        self.root = environ.get(ROOT_ENV) or working_directory()
        self.features = parse_features(environ.get(FEATURES_ENV, ""))
        redact(words(environ.get(REDACT_ENV, "")))
        self._limits = limits_of(environ)
        self.sinks = Sinks(sinks_of(environ))
        self._explainer: Explainer | None = None
        self._explainer_sought = False
        self._declared: dict[tuple[Kind, str], tuple[str | None, Location]] = {}
        # What it was born in, the innermost last.
        born_in = trials.from_environment(environ.get(trials.ENVIRONMENT))
        self._bases: list[trials.Trial] = [] if born_in is None else [born_in]
        self._stack: list[trials.Trial] = []
        self._begun: dict[str, int] = {}
        self._raising_thread: int | None = None
        self._uncounted: list[LateHit] = []
        self._past: dict[tuple[Kind, str], tuple[str | None, int, int]] = {}
        self._start_anew()

    def _start_anew(self) -> None:
        self._session: Session | None = None
        self._encoder = DetailsEncoder()
        self._guide = Guide(self._encoder, self._write_now, whole=self._platform is not None)
        self._violated: dict[str | None, dict[tuple[Kind, str], int]] = {}
        self.refusals = 0
        hot.reset()

    def _opened(self) -> Session:
        """The session, begun at its first use."""
        if self._session is None:
            self._session = Session(
                self.run_dir,
                self._facts(),
                lambda: self.trial_id,
                self._limits.shard_bytes,
                self._platform,
            )
            for (kind, message), (invariant, location) in self._declared.items():
                self._session.add_slot(kind, message, invariant, location)
            for trial in self._stack:
                self._write_begin(self._session, trial, [])
        return self._session

    def _facts(self) -> dict[str, object]:
        return {
            "run": os.path.basename(self.run_dir or ""),
            "commit": os.environ.get(COMMIT_ENV) or find_commit(working_directory()),
            "command": [bounded_repr(word)[1:-1] for word in redacted_command(sys.argv)[:20]],
            "mode": self.mode,
            "features": self.features,
            "trial": self._bases[-1].as_dict() if self._bases else None,
        }

    # -- configuration ---------------------------------------------------

    def configure(
        self,
        *,
        mode: str | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        features: Mapping[str, bool] | None = None,
        sinks: Iterable[str | Subscriber] | None = None,
        redacted: Collection[str] | None = None,
        max_records_per_second: int | None = None,
        max_shard_bytes: int | None = None,
    ) -> None:
        """See `assertlib.configure`."""
        if mode is not None and mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        limits = Limits(
            self._limits.records_per_second
            if max_records_per_second is None
            else max_records_per_second,
            self._limits.shard_bytes if max_shard_bytes is None else max_shard_bytes,
        )
        with self._lock:
            if mode is not None:
                self.mode = mode
                hot.reset()
            if (max_records_per_second, max_shard_bytes) != (None, None):
                self._limit(limits)
            if sinks is not None:
                self.sinks = Sinks(sinks, self.sinks.subscribers)
            if run_dir is not None:
                self._write_exit()
                if self._session is not None:
                    self._session.drop()
                self._past = self._totals()
                self.run_dir = os.path.abspath(os.fspath(run_dir))
                os.environ[RUN_DIR_ENV] = self.run_dir
                self._start_anew()
            if features is not None:
                self._declare_features(features)
            if redacted is not None:
                redact(redacted)
                os.environ[REDACT_ENV] = ",".join(redacted)

    def _limit(self, limits: Limits) -> None:
        self._limits = limits
        os.environ.update(limits.as_environment())
        if self._session is not None:
            self._session.limit(limits.shard_bytes)

    def _declare_features(self, features: Mapping[str, bool]) -> None:
        self.features = {**self.features, **{name: bool(on) for name, on in features.items()}}
        os.environ[FEATURES_ENV] = ",".join(
            f"{name}={'on' if on else 'off'}" for name, on in sorted(self.features.items())
        )
        if self._session is not None:
            body = {"trial": self.trial_id, "features": self.features}
            self._session.write([line(shard.FEATURES, body)])

    def raise_only_here(self) -> None:
        """
        In mode ``raise``, raise in the calling thread alone; elsewhere a violation is recorded.

        A test fails at its end for what its other threads violate.  Raising there would kill a
        worker, and with it whoever waits for its answer.
        """
        self._raising_thread = get_ident()

    @property
    def raises_here(self) -> bool:
        """Whether a violation in this thread raises."""
        return self.mode == RAISE and self._raising_thread in (None, get_ident())

    def subscribe(self, subscriber: Subscriber) -> None:
        """Hand *subscriber* every violation and first true hit of this process from now on."""
        self.sinks.subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Hand it no more."""
        self.sinks.subscribers.remove(subscriber)

    def explained_by(self, explainer: Explainer) -> None:
        """Explain violations with *explainer*, instead of with what is found where they happen."""
        self._explainer, self._explainer_sought = explainer, True

    # -- assertions ------------------------------------------------------

    def declare(self, kind: Kind, message: str, invariant: str | None, where: Where) -> None:
        """Make an assertion known before it is hit; written with the first record."""
        location = where.location()
        with self._lock:
            self._declared[kind, message] = (invariant, location)
            if self._session is not None and (kind, message) not in self._session.slots:
                self._session.add_slot(kind, message, invariant, location)

    def declare_now(self, kind: Kind, message: str, where: Where) -> None:
        """Write the declaration of an assertion that may never be hit here."""
        if self.mode == OFF:
            return
        self._slot(kind, message, None, where)

    def _slot(self, kind: Kind, message: str, invariant: str | None, where: Where) -> Slot:
        session = self._session
        slot = None if session is None else session.slots.get((kind, message))
        if slot is not None:
            return slot
        location = where.location()
        with self._lock:
            session = self._opened()
            slot = session.slots.get((kind, message))
            return slot or session.add_slot(kind, message, _id_of(invariant), location)

    def hit(
        self,
        kind: Kind,
        condition: bool,
        message: str,
        details: object,
        invariant: str | None,
        where: Where,
        clock: int | None = None,
    ) -> Hit | None:
        """
        Count a hit and write it if it is news.

        Args:
            clock: When it was evaluated; now, if not given.

        Returns:
            The record, None if none was needed.
        """
        if clock is None:
            clock = system.clock()
        if self._lock.is_mine():
            # A signal handler or a finaliser, in the middle of a record: it must wait.
            place = Elsewhere(where.location())
            self._lock.late.append((kind, condition, message, details, invariant, place, clock))
            return None
        if self._uncounted:
            self._count_again()
        try:
            slot = self._slot(kind, message, invariant, where)
            if not slot.has_seen(condition):
                with self._lock:
                    slot.mark(condition)
        except Exception:
            self._keep(kind, condition, message, invariant, where, clock)
            raise
        count = slot.count(condition)
        nth = self._number(slot) if kind.violated_by_false and not condition else 0
        if not self._is_due(count, nth, condition=condition):
            self._publish(slot, condition, count, violation=nth > 0)
            return None
        # The first violation of a trial is what the trial is judged by.
        is_first = count == 1 or nth == 1
        if not is_first and not self.raises_here and not self._limits.allow_a_record():
            self._drop(slot, condition, count, violation=nth > 0)
            return None
        captured = None if condition else where.captured()
        location = where.location()
        hit = self._write_hit(slot, condition, count, nth, clock, details, location, captured)
        self._publish(slot, condition, count, violation=nth > 0)
        self.sinks.tell(hit)
        return hit

    def _keep(
        self,
        kind: Kind,
        condition: bool,
        message: str,
        invariant: str | None,
        where: Where,
        clock: int,
    ) -> None:
        """Keep a hit that could not even be counted: for want of descriptors, nothing imports."""
        if len(self._uncounted) < _UNCOUNTED_KEPT:
            place = Elsewhere(where.location())
            self._uncounted.append((kind, condition, message, None, invariant, place, clock))

    def _count_again(self) -> None:
        kept, self._uncounted = self._uncounted, []
        for number, hit in enumerate(kept):
            try:
                self.hit(*hit)
            except Exception:
                # It has kept itself; those behind it would fare no better.
                self._uncounted += kept[number + 1 :]
                return

    def _number(self, slot: Slot) -> int:
        """Count a violation in its trial; how many there are now."""
        with self._lock:
            numbers = self._violated.setdefault(self.trial_id, {})
            key = slot.kind, slot.message
            numbers[key] = numbers.get(key, 0) + 1
            return numbers[key]

    def _drop(self, slot: Slot, condition: bool, count: int, *, violation: bool) -> None:
        with self._lock:
            self._opened().counters.bump(DROPPED_CELL)
        self._publish(slot, condition, count, violation=violation)

    def _is_due(self, count: int, nth: int, *, condition: bool) -> bool:
        if condition:
            return count == 1
        return nth == 1 or (nth > 0 and self.raises_here) or worth_writing(count)

    def _publish(self, slot: Slot, condition: bool, count: int, *, violation: bool) -> None:
        """Let the hot path count hits like this one by itself from now on."""
        if violation or not (condition or count >= 10):
            return
        with self._lock:
            if self._owns(slot) and self.mode != OFF:
                hot.publish(slot.kind, slot.message, condition, slot.cell(condition))

    def _owns(self, slot: Slot) -> bool:
        """Whether counters have not changed hands since *slot* was met."""
        session = self._session
        return session is not None and session.slots.get((slot.kind, slot.message)) is slot

    def ignore(self, kind: Kind, message: str, condition: bool) -> None:
        """With recording off, let hits like this one go nowhere, at no cost."""
        with self._lock:
            if self.mode == OFF:
                hot.publish(kind, message, condition, hot.SCRATCH)

    def _write_hit(
        self,
        slot: Slot,
        condition: bool,
        count: int,
        nth: int,
        clock: int,
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
            time=system.wall_clock(),
            trial=None if trial is None else trial.id,
            seed=None if trial is None else trial.seed,
            location=location,
            details=encoded.text or encoded.fallback,
            captured=captured,
            clock=clock,
            nth=nth,
        )
        with self._lock:
            session = self._opened()
            if encoded.truncated:
                session.counters.bump(TRUNCATED_CELL)
            if self._is_recorded and self._owns(slot):
                record = assert_record(
                    slot.kind, slot.message, location, hit=True, condition=condition
                )
                body = line_with_details("antithesis_assert", record, "details", encoded.text)
                key = shard.VIOLATION if nth else shard.HIT
                extra = line(key, _hit_body(slot, hit, encoded.fallback))
                session.write([*encoded.diagnostics, body, extra], is_news=count == 1)
        return hit

    def trouble(self, message: object, reason: str, where: Where) -> None:
        """An assertion could not be evaluated: recorded, never a pass, never raised."""
        if self.mode == OFF:
            return
        try:
            location = where.location()
            with self._lock:
                self._opened().counters.bump(TROUBLE_CELL)
                self.refusals += 1
                if self.refusals <= _TROUBLES_WRITTEN:
                    self._write_trouble(message, reason, location)
            warn_once(f"{location}: assertion {bounded_repr(message)}: {reason}")
        except Exception:  # the last line of defence of the store
            warn_once("an assertion could neither be evaluated nor reported")

    def _write_trouble(self, message: object, reason: str, location: Location) -> None:
        if not self._is_recorded:
            return
        body = {
            "message": message if isinstance(message, str) else bounded_repr(message),
            "reason": reason,
            "location": location.wire(),
            "time": system.wall_clock(),
            "trial": self.trial_id,
        }
        self._opened().write([line(shard.TROUBLE, body)])

    def guide(
        self,
        message: str,
        type: str,
        value: float,
        data: Mapping[str, object],
        where: Where,
        *,
        maximize: bool,
    ) -> None:
        """Note how close a rich assertion came."""
        with self._lock:
            self._guide.note(message, type, value, data, where, maximize=maximize)

    def watermarks(self) -> dict[str, float]:
        """How near each rich assertion has come in this process; more is nearer."""
        with self._lock:
            return self._guide.extremes()

    def warn_not_finite(self, message: str) -> None:
        """Say once that an operand which is not finite gives no guidance."""
        with self._lock:
            self._guide.warn_not_finite(message)

    @property
    def _platform(self) -> Platform | None:
        return None if self.mode == OFF else load_platform()

    @property
    def _is_recorded(self) -> bool:
        """Whether records go anywhere."""
        return self.run_dir is not None or self._platform is not None

    def _write_now(self, lines: list[str]) -> None:
        if self._is_recorded:
            self._opened().write(lines)

    def snapshot(self) -> list[tuple[Kind, str, str | None, int, int]]:
        """
        Kind, message, invariant, true and false hits of all assertions this process has met, into
        whatever it recorded; they only grow.
        """
        return [(*name, *told) for name, told in self._totals().items()]

    def _totals(self) -> dict[tuple[Kind, str], tuple[str | None, int, int]]:
        with self._lock:
            totals = dict(self._past)
            session = self._session
            if session is None:
                return totals
            true, false = session.counters.totals()
            for name, slot in session.slots.items():
                _, before_true, before_false = totals.get(name, (None, 0, 0))
                totals[name] = (
                    slot.invariant,
                    before_true + true[slot.number],
                    before_false + false[slot.number],
                )
            return totals

    # -- explaining ------------------------------------------------------

    def explain(self, hit: Hit) -> str | None:
        """The whole story of a violation, where the tools to tell it are installed."""
        if not self._explainer_sought:
            from .loader import load_explainer

            self._explainer_sought = True
            self._explainer = load_explainer()
        try:
            return None if self._explainer is None else self._explainer(hit)
        except Exception as error:
            warn_once(f"a violation could not be explained: {bounded_repr(error)}")
            return None

    # -- trials ----------------------------------------------------------

    @property
    def _current(self) -> trials.Trial | None:
        around = self._stack or self._bases
        return around[-1] if around else None

    @property
    def around(self) -> tuple[trials.Trial, ...]:
        """The trials that are under way, the innermost last."""
        return (*self._bases, *self._stack)

    @property
    def shard_name(self) -> str:
        """Name of the shard that this process writes now; empty if it writes none."""
        return "" if self._session is None else self._session.name

    @property
    def trial_id(self) -> str | None:
        """Id of the trial that gets the hits now."""
        return None if self._current is None else self._current.id

    def begin_trial(self, trial: trials.Trial) -> None:
        """Give the hits from now on to *trial*; one that was begun before gets a number."""
        try:
            with self._lock:
                self._begin(trial)
        except Exception as error:
            # No descriptors left, for one: the trial goes on unrecorded.
            warn_once(f"trial {trial.id!r} is not recorded: {bounded_repr(error)}")

    def _begin(self, trial: trials.Trial) -> None:
        if self.mode != OFF:
            times = self._begun[trial.id] = self._begun.get(trial.id, 0) + 1
            if times > 1:
                trial.id = f"{trial.id} ({times})"
            trial.parent = self.trial_id
            if self.run_dir is not None:
                session = self._opened()
                self._write_begin(session, trial, self._delta_lines())
            self._stack.append(trial)
            self._export_trial()

    def _write_begin(self, session: Session, trial: trials.Trial, before: list[str]) -> None:
        trial.owner = session.name
        body = {
            **trial.as_dict(),
            "state": "begin",
            "time": system.wall_clock(),
            "clock": system.clock(),
            "features": self.features,
        }
        session.write([*before, line(shard.TRIAL, body)])

    def end_trial(self, trial: trials.Trial) -> None:
        """Close *trial* and what is still open inside it."""
        try:
            with self._lock:
                self._end(trial)
        except Exception as error:
            warn_once(f"the end of trial {trial.id!r} is not recorded: {bounded_repr(error)}")

    def _end(self, trial: trials.Trial) -> None:
        if trial in self._stack:
            self._end_open_trial(trial)
        elif trial in self._bases:
            # A forked child left the block: the trial is its parent's to end.
            lines = self._delta_lines()
            del self._bases[self._bases.index(trial) :]
            self._export_trial()
            body = {
                "id": trial.id,
                "state": "left",
                "around": self.trial_id,
                "time": system.wall_clock(),
            }
            self._write_now([*lines, line(shard.TRIAL, body)])

    def _end_open_trial(self, trial: trials.Trial) -> None:
        lines = self._delta_lines()
        for ended in self._stack[self._stack.index(trial) :]:
            self._violated.pop(ended.id, None)
        del self._stack[self._stack.index(trial) :]
        self._export_trial()
        session = self._session
        if session is not None and session.is_written and trial.owner == session.name:
            self._guide.flush()
            body = {
                "id": trial.id,
                "state": "end",
                "time": system.wall_clock(),
                "clock": system.clock(),
                "outlived": session.others_alive(),
            }
            session.write([*lines, line(shard.TRIAL, body)])

    def _export_trial(self) -> None:
        if self._current is None:
            os.environ.pop(trials.ENVIRONMENT, None)
        else:
            os.environ[trials.ENVIRONMENT] = trials.to_environment(self._current)

    def _delta_lines(self) -> list[str]:
        return [] if self._session is None else self._session.delta()

    # -- lifecycle -------------------------------------------------------

    def faults(self, active: Iterable[str], breaks: Iterable[str]) -> None:
        """Note which faults are injected from now on."""
        body = {
            "trial": self.trial_id,
            "active": sorted(map(str, active)),
            "breaks": sorted(map(str, breaks)),
            "time": system.wall_clock(),
            "clock": system.clock(),
        }
        self.note(shard.FAULTS, body)

    def event(
        self, name: str, details: object, *, inside: tuple[str, dict[str, object]] | None
    ) -> None:
        """
        Write a user event, or, with *inside* as key and body, a lifecycle
        record that holds the details.
        """
        if self.mode == OFF or not self._is_recorded:
            return
        try:
            encoded = self._encoder.encode(details, name)
            if inside is None:
                text = f"{{{json_text(name)}: {encoded.text or '{}'}}}\n"
            else:
                text = line_with_details(inside[0], inside[1], "details", encoded.text)
            with self._lock:
                session = self._opened()
                if encoded.truncated:
                    session.counters.bump(TRUNCATED_CELL)
                if inside is None and not self._limits.allow_a_record():
                    session.counters.bump(DROPPED_CELL)
                else:
                    session.write([*encoded.diagnostics, text])
        except Exception as error:
            warn_once(f"event {name!r} is not recorded: {bounded_repr(error)}")

    def note(self, key: str, body: Mapping[str, object]) -> None:
        """Write a record that is no hit."""
        if self.mode == OFF or self.run_dir is None:
            return
        try:
            with self._lock:
                self._opened().write([line(key, body)])
        except Exception as error:
            warn_once(f"{key} is not recorded: {bounded_repr(error)}")

    # -- end of the process, and its children ------------------------------

    def at_exit(self) -> None:
        """Write what is only in memory, and make ready for finalisers, which cannot import."""
        if self._uncounted:
            self._count_again()
        with self._lock:
            self._write_exit()
        if self.run_dir is not None and self.mode != OFF:
            load_json()
            load_hashing()

    def _write_exit(self) -> None:
        if self._session is not None and self.run_dir is not None:
            self._guide.flush()
            self._session.write_exit()

    def before_fork(self) -> None:
        """Keep other threads out while the process is copied."""
        self.sinks.before_fork()
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Let them in again."""
        self._lock.release()
        self.sinks.after_fork()

    def after_fork_in_child(self) -> None:
        """A child counts from zero, into a shard of its own, for the trial it was born in."""
        self._lock = PatientLock(self.hit)
        if self._session is not None:
            self._session.drop()
        self._bases += self._stack
        self._stack = []
        self._begun = {}
        self._past = {}
        self._uncounted = []
        if self._raising_thread is not None:
            # The thread that runs the test is the parent's.
            self._raising_thread = 0
        self.sinks.after_fork_in_child()
        self._start_anew()


def _id_of(invariant: object) -> str | None:
    """The id, also of who passes an Invariant where its id is wanted."""
    if invariant is None or isinstance(invariant, str):
        return invariant
    return str(getattr(invariant, "id", invariant))


def _hit_body(slot: Slot, hit: Hit, fallback: str | None) -> dict[str, object]:
    body: dict[str, object] = {
        "slot": slot.number,
        "id": hit.message,
        "condition": hit.condition,
        "count": hit.count,
        "time": hit.time,
        "clock": hit.clock,
        "trial": hit.trial,
        "seed": hit.seed,
        "nth": hit.nth,
    }
    if hit.captured is not None:
        body["source"] = hit.captured.source
        body["values"] = hit.captured.values
    if fallback is not None:
        body["details_repr"] = fallback
    return body


recorder = Recorder(os.environ)
told_by(lambda text: recorder.sinks.tell_trouble(text))

os.register_at_fork(
    before=lambda: recorder.before_fork(),
    after_in_parent=lambda: recorder.after_fork_in_parent(),
    after_in_child=lambda: recorder.after_fork_in_child(),
)
atexit.register(lambda: recorder.at_exit())
