"""
The recorder of a process: counts every hit, and writes a record of those that add information.

It never raises into the store, and no thread waits for the details of another: code of the store
(details, sinks) runs outside the lock.

Anything may interrupt it between two lines: an exception raised by a signal handler, or a fork or
another assertion in one.  Recording therefore consists of steps that take effect at once and leave
a note that they did; whichever call comes next completes the steps that were left out.

Over 500 lines, since everything that the one lock protects is in one class: hits, trials,
configuration, forks and the end of the process.
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import get_ident

from ..model import Kind, Location
from . import fast_path, interrupts, shard, trials
from .counters import DROPPED_CELL, ERROR_CELL, TRUNCATED_CELL, load_hashing
from .diagnostics import emit, set_handler, warn_once
from .encode import DetailsEncoder, json_text, line, line_with_details, load_json
from .evaluation import Evaluation, lines_of
from .guidance import Guide
from .limits import WRITTEN_FIRST, Limits, limits_of, worth_writing
from .loader import load_platform
from .lock import Lock
from .reprs import bounded_repr, redact, redacted_command
from .session import Session, id_of
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
    split_list,
    working_directory,
)
from .sinks import PATIENCE, Sinks, loading
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
    from typing import ParamSpec, TypeVar

    from .hits import Hit, Where
    from .loader import Explainer, Platform, Subscriber
    from .slots import Slot

    P = ParamSpec("P")
    T = TypeVar("T")

_TROUBLES_WRITTEN = 100
_MOST_PENDING = 1000
_PLAIN = frozenset((bool, int, float))


class Recorder:
    """
    Counts and records the hits of this process.

    Attributes:
        mode: ``record``, ``raise`` or ``off``.
        run_dir: Absolute path of the run directory; None if hits are only counted.
        sinks: Receive violations and first true hits, in addition to the shard.
        refusals: Assertions that could not be evaluated, since the last fork or new *run_dir*.
        root: Directory that file names in records are relative to.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._lock = Lock()
        self.mode = mode_of(environ)
        self.run_dir: str | None = absolute(environ.get(RUN_DIR_ENV) or None)
        if self.run_dir is not None:
            environ[RUN_DIR_ENV] = self.run_dir
        self.root = environ.get(ROOT_ENV) or working_directory()
        self.features = parse_features(environ.get(FEATURES_ENV, ""))
        redact(split_list(environ.get(REDACT_ENV, "")))
        self._limits = limits_of(environ)
        self.sinks = Sinks(sinks_of(environ))
        self._explainer: Explainer | None = None
        self._explainer_sought = False
        self._declared: dict[tuple[Kind, str], tuple[str | None, Location]] = {}
        # The trials that this process was started or forked in, the innermost last.
        born_in = trials.from_environment(environ.get(trials.ENVIRONMENT))
        self._bases: list[trials.Trial] = [] if born_in is None else [born_in]
        self._stack: list[trials.Trial] = []
        self._begun: dict[str, int] = {}
        self._raising_thread: int | None = None
        self._pending: list[Evaluation] = []
        # A forked child gets another one, which marks evaluations under way as its parent's.
        self._process = object()
        self._unreported = 0
        self._past: dict[tuple[Kind, str], tuple[str | None, int, int]] = {}
        self._start_anew()

    def _start_anew(self) -> None:
        fast_path.reset()
        encoder = DetailsEncoder()
        guide = Guide(encoder, self._write_now, whole=self._platform is not None)
        self._violated: dict[str | None, dict[tuple[Kind, str], int]] = {}
        self.refusals = 0
        self._encoder, self._guide = encoder, guide
        self._descriptors: list[int] = []
        self._session: Session | None = None

    def _locked(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call *function* under the lock, then resume the evaluations that were deferred."""
        pid = system.getpid()
        try:
            return self._lock.run(function, *args, **named)
        finally:
            if system.getpid() != pid:
                # The child of a fork inside *function*: a cell that was published after the fork
                # would count into the parent's memory.
                self._lock.run(fast_path.reset)
            if not self._lock.is_mine():
                if self._pending:
                    self._catch_up()
                emit()

    def _opened(self) -> Session:
        """The session, which is opened at its first use."""
        session = self._session
        if session is None:
            self._close_half_made()
            process, facts = self._process, self._facts()
            if self._process is not process:
                # The child of a fork in between: these facts are its parent's.
                return self._opened()
            session = Session(
                self.run_dir,
                facts,
                lambda: self.trial_id,
                self._limits.shard_bytes,
                self._platform,
                self._descriptors,
            )
            # One line: no fork can come between the test and the assignment.
            if self._process is process: self._session = session  # fmt: skip  # noqa: E701
            if self._session is not session:
                session.disown()
                return self._opened()
        if not session.is_ready:
            # An interrupted attempt is repeated, and skips what it has put into the shard.
            session.begin()
            for (kind, message), (invariant, location) in list(self._declared.items()):
                session.slot(kind, message, invariant, location)
            for trial in self._stack:
                if trial.owner != session.name:
                    self._write_begin(session, trial)
            session.is_ready = True
        return session

    def _close_half_made(self) -> None:
        """Close the files of a session left half open: a locked shard counts as alive."""
        while self._descriptors:
            system.close(self._descriptors[-1])
            del self._descriptors[-1]

    def _facts(self) -> dict[str, object]:
        from .checkout import find_commit

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
        """
        Implement `assertlib.configure`, which describes *mode*, *run_dir*, *features*, *sinks*,
        *redacted*, *max_records_per_second* and *max_shard_bytes*.

        Raises:
            ValueError: *mode* or a limit is invalid; nothing was changed.
        """
        if mode is not None and mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        limits = Limits(
            self._limits.records_per_second
            if max_records_per_second is None
            else max_records_per_second,
            self._limits.shard_bytes if max_shard_bytes is None else max_shard_bytes,
        )
        if redacted is not None:
            redact(redacted)
            os.environ[REDACT_ENV] = ",".join(redacted)
        if mode is not None:
            self._locked(self._set_mode, mode)
        if (max_records_per_second, max_shard_bytes) != (None, None):
            self._locked(self._limit, limits)
        if sinks is not None:
            self.sinks = Sinks(sinks, self.sinks.subscribers)
        if run_dir is not None:
            self._locked(self._record_into, os.path.abspath(os.fspath(run_dir)))
        if features is not None:
            self._locked(self._declare_features, features)

    def _set_mode(self, mode: str) -> None:
        try:
            self.mode = mode
            fast_path.reset()
        except BaseException:
            # Cells of the previous mode would swallow hits: those of mode off count nowhere.
            fast_path.reset()
            raise

    def _record_into(self, run_dir: str) -> None:
        self._write_exit()
        before = self._session
        # Emptied before the totals are taken, which would lack hits counted by it in between.
        fast_path.reset()
        self._past, self._session, self.run_dir = self._totals(), None, run_dir
        os.environ[RUN_DIR_ENV] = run_dir
        if before is not None:
            before.drop()
        self._start_anew()

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
        Restrict mode ``raise`` to the calling thread; elsewhere, violations are only recorded.

        Raising in a worker thread would kill it and block the threads that wait for its result.
        A test fails at its end for the violations of its other threads.
        """
        self._raising_thread = get_ident()

    @property
    def raises_here(self) -> bool:
        """Whether a violation in this thread raises."""
        return self.mode == RAISE and self._raising_thread in (None, get_ident())

    def subscribe(self, subscriber: Subscriber) -> None:
        """Pass *subscriber* every violation and first true hit of this process from now on."""
        self.sinks.subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop passing hits to *subscriber*."""
        self.sinks.subscribers.remove(subscriber)

    def explained_by(self, explainer: Explainer) -> None:
        """Explain violations with *explainer* instead of the one from the installed tools."""
        self._explainer, self._explainer_sought = explainer, True

    # -- assertions ------------------------------------------------------

    def declare(self, kind: Kind, message: str, invariant: str | None, where: Where) -> None:
        """Declare *message* (*kind*, *invariant*, *where* it is), written with the first record."""
        location = where.location()
        self._locked(self._declare, kind, message, invariant, location)

    def _declare(self, kind: Kind, message: str, invariant: str | None, location: Location) -> None:
        self._declared[kind, message] = (invariant, location)
        if self._session is not None:
            self._session.slot(kind, message, invariant, location)

    def declare_now(self, kind: Kind, message: str, where: Where) -> None:
        """Write the declaration of *message* (*kind*, *where* it is), even if it is never hit."""
        if self.mode != OFF:
            self._locked(self._slot, kind, message, None, where.location())

    def _slot(self, kind: Kind, message: str, invariant: str | None, location: Location) -> Slot:
        return self._opened().slot(kind, message, id_of(invariant), location)

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
        Count a hit of *message* (*kind*, *invariant*, *where* it is) that evaluated to *condition*,
        and return its record, with *details*; None if no record was due, or the hit is deferred.
        """
        clock = system.clock()
        it = Evaluation(kind, condition, message, details, invariant, where, clock, self._process)
        if self._lock.is_mine():
            # In a signal handler or finaliser that interrupted a record of this thread.  The hit
            # waits until the lock is free, since that record's steps are half taken.
            it.leave_frame()
            self._pending.append(it)
            return None
        if self._pending:
            self._catch_up()
        try:
            self._advance(it)
        except BaseException as error:
            # What was begun is completed before the exception propagates.
            is_complete = self._complete(it)
            interrupts.reraise(error)
            if not is_complete:
                raise
        return it.hit

    def _advance(self, it: Evaluation) -> None:
        """Take the steps of an evaluation that have not been taken yet."""
        if it.process is not self._process:
            # The parent of this process evaluated it, and counts it.
            return
        # A resumed evaluation must not resume others, which would recurse without bound.
        locked = self._lock.run if it.owner else self._locked
        if it.slot is None:
            locked(self._count, it)
        if it.count is None:
            return
        if it.is_wanted is None:
            it.is_wanted = self._wants(it)
        if it.is_wanted and it.hit is None:
            it.hit, it.lines = self._described(it)
        if it.lines:
            locked(self._write_hit, it)
        # From here on the fast path counts such hits.  Violations stay on this path, to be numbered
        # within their trial, and so do the first ten false hits, which all have records.
        if not it.nth and (it.condition or (it.count or 0) >= WRITTEN_FIRST):
            locked(self._publish, it)
        if it.hit is not None and not it.is_published and it.process is self._process:
            it.is_published = True
            self.sinks.publish(it.hit)

    def _count(self, it: Evaluation) -> None:
        if it.process is not self._process:
            return
        slot = self._opened().slots.get((it.kind, it.message))
        if slot is None or slot.declaration:
            slot = self._slot(it.kind, it.message, it.invariant, it.location)
        # One line each: a child that was forked before it leaves the step to its parent.
        if it.process is self._process: slot.mark(it.condition)  # fmt: skip  # noqa: E701
        if it.process is self._process: slot.count(it)  # fmt: skip  # noqa: E701
        if it.is_violation and not it.nth:
            numbers = self._violated.setdefault(self.trial_id, {})
            key = it.kind, it.message
            # One line: an interrupt comes before both assignments or after both.
            numbers[key] = it.nth = numbers.get(key, 0) + 1
        it.trial = self._current
        it.slot = slot

    def _complete(self, it: Evaluation) -> bool:
        """Take the steps that an exception left out; an uncounted evaluation is kept for later."""
        try:
            self._advance(it)
        except BaseException:
            if it.count is None and it not in self._pending and len(self._pending) < _MOST_PENDING:
                it.leave_frame()
                it.details = None
                self._pending.append(it)
            return False
        return True

    def _catch_up(self) -> None:
        """Resume the evaluations that were deferred, or lacked a descriptor or memory."""
        me = get_ident()
        for it in tuple(self._pending):
            try:
                if self._lock.run(it.claim, me):
                    self._advance(it)
                    self._pending.remove(it)
            except BaseException as error:
                it.release(me)
                interrupts.reraise(error)
                if isinstance(error, OSError | MemoryError):
                    # The evaluations behind it lack the same descriptor or memory.
                    return
                self._pending.remove(it)

    def _wants(self, it: Evaluation) -> bool:
        """Whether a record of it is due, and within the limit."""
        if not self._is_due(it):
            return False
        # Exempt from the limit: first outcomes, and the violation that its trial is judged by.
        is_first = it.count == 1 or it.nth == 1
        if is_first or self.raises_here or self._limits.allow_a_record():
            return True
        self._locked(self._bump, DROPPED_CELL)
        return False

    def _bump(self, cell: int) -> None:
        self._opened().counters.bump(cell)

    def _is_due(self, it: Evaluation) -> bool:
        assert it.count is not None
        if it.condition:
            return it.count == 1
        return it.nth == 1 or (it.nth > 0 and self.raises_here) or worth_writing(it.count)

    def _publish(self, it: Evaluation) -> None:
        slot, session = it.slot, self._session
        if slot is not None and session is not None and session.owns(slot) and self.mode != OFF:
            fast_path.publish(slot.kind, slot.message, it.condition, slot.cell(it.condition))

    def ignore(self, kind: Kind, message: str, condition: bool, mark: float | None = None) -> None:
        """
        With recording off, let the fast path drop hits of *kind*, *message* and *condition*, and
        guidance up to *mark*, if any.
        """
        self._locked(self._ignore, kind, message, condition, mark)

    def _ignore(self, kind: Kind, message: str, condition: bool, mark: float | None) -> None:
        if self.mode == OFF:
            fast_path.publish(kind, message, condition, fast_path.SCRATCH, mark)

    def _described(self, it: Evaluation) -> tuple[Hit, list[str]]:
        """The record of an evaluation and its lines; never locked, as it runs code of the store."""
        captured = it.captured()
        # Taken first, so that code of the store that was interrupted does not run again.
        details, it.details = it.details, None
        encoded = self._encoder.encode(details, it.message)
        if encoded.truncated:
            self._locked(self._bump, TRUNCATED_CELL)
        hit = it.as_hit(encoded.text or encoded.fallback, captured)
        return hit, lines_of(it, hit, encoded) if self._is_recorded else []

    def _write_hit(self, it: Evaluation) -> None:
        # The same session is tested and written to: a child forked in between has another one.
        slot, session = it.slot, self._session
        if slot is not None and session is not None and session.owns(slot):
            session.write(it.lines, is_news=it.count == 1)

    def record_error(self, message: object, reason: str, where: Where) -> None:
        """Record that *message*, at *where*, could not be evaluated, and the *reason*."""
        if self.mode == OFF:
            return
        try:
            location = where.location()
            self._locked(self._note_error, message, reason, location)
            warn_once(f"{location}: assertion {bounded_repr(message)}: {reason}")
        except Exception as error:  # the last line of defence of the store
            self._unreported += 1
            interrupts.reraise(error)
            warn_once("an assertion could neither be evaluated nor reported")

    def _note_error(self, message: object, reason: str, location: Location) -> None:
        session = self._opened()
        session.counters.bump(ERROR_CELL)
        self.refusals += 1
        if self.refusals > _TROUBLES_WRITTEN or not self._is_recorded:
            return
        body = {
            "message": message if isinstance(message, str) else bounded_repr(message),
            "reason": reason,
            "location": location.wire(),
            "time": system.wall_clock(),
            "trial": self.trial_id,
        }
        session.write([line(shard.ERROR, body)])

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
        """
        Note how close the rich assertion *message*, at *where*, came: *value*, computed from the
        operands *data*; *type* and *maximize* are those of `Watermark`.
        """
        # Other data is encoded first: a `repr` of the store must not run under the lock.
        is_plain = all(value.__class__ in _PLAIN for value in data.values())
        plain = data if is_plain else self._plain(data)
        if plain is not None:
            note = self._guide.note
            self._locked(note, message, type, value, plain, where, maximize=maximize)

    def _plain(self, data: Mapping[str, object]) -> Mapping[str, object] | None:
        """*data* as it is read back from JSON; None if it cannot be written as JSON."""
        text = self._encoder.encode(data, "guidance").text
        plain: Mapping[str, object] | None = None if text is None else load_json().loads(text)
        return plain

    def watermarks(self) -> dict[str, float]:
        """How close each rich assertion came in this process; larger is closer."""
        return self._locked(self._guide.extremes)

    def warn_not_finite(self, message: str) -> None:
        """Warn once that *message* has no guidance because an operand is not finite."""
        self._locked(self._guide.warn_not_finite, message)

    @property
    def _platform(self) -> Platform | None:
        return None if self.mode == OFF else load_platform()

    @property
    def _is_recorded(self) -> bool:
        """Whether records are written, to a shard or to the platform."""
        return self.run_dir is not None or self._platform is not None

    def _write_now(self, lines: list[str]) -> None:
        if self._is_recorded:
            self._opened().write(lines)

    def snapshot(self) -> list[tuple[Kind, str, str | None, int, int]]:
        """Kind, message, invariant, true and false hits by assertion, over all run directories."""
        return [(*name, *counted) for name, counted in self._locked(self._totals).items()]

    def _totals(self) -> dict[tuple[Kind, str], tuple[str | None, int, int]]:
        totals = dict(self._past)
        session = self._session
        if session is None:
            return totals
        true, false = session.counters.totals()
        for name, slot in session.slots.items():
            if slot.number < len(true):
                _, before_true, before_false = totals.get(name, (None, 0, 0))
                totals[name] = (
                    slot.invariant,
                    before_true + true[slot.number],
                    before_false + false[slot.number],
                )
        return totals

    def explain(self, hit: Hit) -> str | None:
        """The full explanation of a violation; None without the tools, or if it failed."""
        if not self._explainer_sought:
            from .loader import load_explainer

            self._explainer_sought = True
            self._explainer = load_explainer()
        try:
            return None if self._explainer is None else self._explainer(hit)
        except Exception as error:
            interrupts.reraise(error)
            warn_once(f"a violation could not be explained: {bounded_repr(error)}")
            return None

    # -- trials ----------------------------------------------------------

    @property
    def _current(self) -> trials.Trial | None:
        around = self._stack or self._bases
        return around[-1] if around else None

    @property
    def around(self) -> tuple[trials.Trial, ...]:
        """The open trials, the innermost last."""
        return (*self._bases, *self._stack)

    @property
    def shard_name(self) -> str:
        """Name of the shard that this process is writing; empty if it writes none."""
        return "" if self._session is None else self._session.name

    @property
    def trial_id(self) -> str | None:
        """Id of the trial that currently receives the hits."""
        return None if self._current is None else self._current.id

    def begin_trial(self, trial: trials.Trial) -> None:
        """Attribute hits to *trial* from now on; an id that was used before gets a number."""
        try:
            self._locked(self._begin, trial)
        except BaseException as error:
            if interrupts.found_in(error) is not None:
                # Python does not enter the block, so nothing else would end the trial.
                self._locked(self._abandon, trial)
            interrupts.reraise(error)
            # For want of descriptors, for example: the trial goes on unrecorded.
            warn_once(f"trial {trial.id!r} is not recorded: {bounded_repr(error)}")

    def _abandon(self, trial: trials.Trial) -> None:
        """End a trial that was interrupted as it began: its record may have been written."""
        if trial not in self._stack:
            self._stack.append(trial)
        trial.owner = self.shard_name
        self._end(trial)

    def _begin(self, trial: trials.Trial) -> None:
        if self.mode == OFF:
            return
        times = self._begun[trial.id] = self._begun.get(trial.id, 0) + 1
        if times > 1:
            trial.id = f"{trial.id} ({times})"
        trial.parent = self.trial_id
        if self.run_dir is not None:
            self._write_begin(self._opened(), trial)
        self._stack.append(trial)
        self._export_trial()

    def _write_begin(self, session: Session, trial: trials.Trial) -> None:
        body = {
            **trial.as_dict(),
            "owner": session.name,
            "state": "begin",
            "time": system.wall_clock(),
            "clock": system.clock(),
            "features": self.features,
        }
        session.write_with_delta([line(shard.TRIAL, body)])
        trial.owner = session.name

    def end_trial(self, trial: trials.Trial) -> None:
        """End *trial* and the trials that are still open inside it."""
        try:
            self._locked(self._end, trial)
        except BaseException as error:
            self._end_after_all(trial)
            interrupts.reraise(error)

    def _end_after_all(self, trial: trials.Trial) -> None:
        """End a trial whose end was interrupted or failed, so that it gets no later hits."""
        try:
            self._locked(self._end, trial)
        except Exception as error:
            if trial in self._stack:
                del self._stack[self._stack.index(trial) :]
            interrupts.reraise(error)
            warn_once(f"the end of trial {trial.id!r} is not recorded: {bounded_repr(error)}")

    def _end(self, trial: trials.Trial) -> None:
        if trial in self._stack:
            self._end_open_trial(trial)
        elif trial in self._bases:
            self._leave(trial)
        self._export_trial()

    def _leave(self, trial: trials.Trial) -> None:
        """Leave a trial in a forked child, which does not end it: that is up to its parent."""
        session = self._session
        if session is not None:
            session.write_with_delta([])
        del self._bases[self._bases.index(trial) :]
        body = {
            "id": trial.id,
            "state": "left",
            "around": self.trial_id,
            "time": system.wall_clock(),
        }
        self._write_now([line(shard.TRIAL, body)])

    def _end_open_trial(self, trial: trials.Trial) -> None:
        session = self._session
        if session is not None:
            self._guide.flush()
            session.write_with_delta(self._end_lines(session, trial))
        for ended in self._stack[self._stack.index(trial) :]:
            self._violated.pop(ended.id, None)
        del self._stack[self._stack.index(trial) :]

    def _end_lines(self, session: Session, trial: trials.Trial) -> list[str]:
        if not session.is_written or trial.owner != session.name:
            return []
        body = {
            "id": trial.id,
            "state": "end",
            "time": system.wall_clock(),
            "clock": system.clock(),
            "surviving_shards": session.others_alive(),
        }
        return [line(shard.TRIAL, body)]

    def _export_trial(self) -> None:
        if self._current is None:
            os.environ.pop(trials.ENVIRONMENT, None)
        else:
            os.environ[trials.ENVIRONMENT] = trials.to_environment(self._current)

    def faults(self, active: Iterable[str], breaks: Iterable[str]) -> None:
        """Record which faults are *active* from now on, and which assumptions that *breaks*."""
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
        """Write user event *name*, or lifecycle record *inside* (key, body), with its *details*."""
        if self.mode == OFF or not self._is_recorded:
            return
        try:
            encoded = self._encoder.encode(details, name)
            if inside is None:
                text = f"{{{json_text(name)}: {encoded.text or '{}'}}}\n"
            else:
                text = line_with_details(inside[0], inside[1], "details", encoded.text)
            if encoded.truncated:
                self._locked(self._bump, TRUNCATED_CELL)
            if inside is None and not self._limits.allow_a_record():
                self._locked(self._bump, DROPPED_CELL)
            else:
                self._locked(self._write_now, [*encoded.diagnostics, text])
        except Exception as error:
            interrupts.reraise(error)
            warn_once(f"event {name!r} is not recorded: {bounded_repr(error)}")

    def note(self, key: str, body: Mapping[str, object]) -> None:
        """Write a record of assertlib's own, other than a hit."""
        if self.mode == OFF or self.run_dir is None:
            return
        try:
            self._locked(self._write_now, [line(key, body)])
        except Exception as error:
            interrupts.reraise(error)
            warn_once(f"{key} is not recorded: {bounded_repr(error)}")

    # -- end of the process, and its children ------------------------------

    def at_exit(self) -> None:
        """Write what is only in memory, and import what finalisers need, which cannot import."""
        for it in self._pending:
            # A thread that claimed it may be gone by now.
            it.owner = 0
        self._catch_up()
        if self._unreported:
            self._locked(self._bump, ERROR_CELL)
        self._locked(self._write_exit)
        if self.run_dir is not None and self.mode != OFF:
            load_json()
            load_hashing()

    def _write_exit(self) -> None:
        if self._session is not None and self.run_dir is not None:
            self._guide.flush()
            self._session.write_exit()

    def after_fork_in_child(self) -> None:
        """Let a child count from zero, into its own shard, for the trial it was forked in."""
        try:
            self._leave_parent()
        except BaseException:
            # Left half done, the child would count into the shard of its parent.
            self._leave_parent()
            raise

    def _leave_parent(self) -> None:
        self._process = object()
        fast_path.disown()
        fast_path.reset()
        if self._session is not None:
            self._session.disown()
        # The thread that forked may have been opening a session: its files are the parent's.
        self._close_half_made()
        self._bases, self._stack = [*self._bases, *self._stack], []
        self._begun, self._past, self._pending, self._unreported = {}, {}, [], 0
        if self._raising_thread is not None:
            # The test runs in the parent: no thread of the child raises.
            self._raising_thread = 0
        self._start_anew()


recorder = Recorder(os.environ)
set_handler(lambda text: recorder.sinks.emit_error(text))

recorder._lock.hold_across_forks(lambda: recorder.after_fork_in_child())
# Lock order: sinks before recorder, since a thread that loads sinks takes the recorder's lock when
# it asserts.  Hooks that run before a fork are called in reverse order of registration.
loading.hold_across_forks(lambda: recorder.sinks.after_fork_in_child(), PATIENCE)
atexit.register(lambda: recorder.at_exit())
