"""
The one recorder of a process: counts every hit, writes the telling ones.

It must never raise into the store and never hold up one thread for another's
details: user code (details, sinks) runs outside its lock.

Anything may interrupt it between two lines: an exception out of a signal handler, a fork in one,
another assertion in one.  So what it does is made of steps that take effect at once, each with a
note that it was taken, and whoever comes next completes what was begun.

Over 500 lines, since all that the one lock protects is in one class: hits, trials, configuration,
forks and the end of the process.
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
from .guidance import Guide, worth_writing
from .limits import Limits, limits_of
from .loader import load_platform
from .lock import Lock
from .reprs import bounded_repr, redact, redacted_command
from .session import Session, Slot, id_of
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

    P = ParamSpec("P")
    T = TypeVar("T")

_TROUBLES_WRITTEN = 100
_MOST_PENDING = 1000
_PLAIN = frozenset((bool, int, float))


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
        # What it was born in, the innermost last.
        born_in = trials.from_environment(environ.get(trials.ENVIRONMENT))
        self._bases: list[trials.Trial] = [] if born_in is None else [born_in]
        self._stack: list[trials.Trial] = []
        self._begun: dict[str, int] = {}
        self._raising_thread: int | None = None
        self._pending: list[Evaluation] = []
        # Another one in each forked child: what its parent had begun is the parent's.
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
        """Call *function* under the lock, and then resume what had to wait for it."""
        pid = system.getpid()
        try:
            return self._lock.run(function, *args, **named)
        finally:
            if system.getpid() != pid:
                # A fork in the middle, in its child: cells that were published since are its
                # parent's.
                self._lock.run(fast_path.reset)
            if not self._lock.is_mine():
                if self._pending:
                    self._catch_up()
                emit()

    def _opened(self) -> Session:
        """The session, begun at its first use."""
        session = self._session
        if session is None:
            self._close_half_made()
            process, facts = self._process, self._facts()
            if self._process is not process:
                # A fork in the middle, in its child.
                return self._opened()
            session = Session(
                self.run_dir,
                facts,
                lambda: self.trial_id,
                self._limits.shard_bytes,
                self._platform,
                self._descriptors,
            )
            # One line: a child that is forked in the middle has no part in it.
            if self._process is process: self._session = session  # fmt: skip  # noqa: E701
            if self._session is not session:
                session.disown()
                return self._opened()
        if not session.is_ready:
            session.begin()
            for (kind, message), (invariant, location) in list(self._declared.items()):
                session.slot(kind, message, invariant, location)
            for trial in self._stack:
                if trial.owner != session.name:
                    self._write_begin(session, trial)
            session.is_ready = True
        return session

    def _close_half_made(self) -> None:
        """Close what a session opened whose making was interrupted: a locked shard seems alive."""
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
        """See `assertlib.configure`."""
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
            # Cells of the mode before would swallow the hits of this one.
            fast_path.reset()
            raise

    def _record_into(self, run_dir: str) -> None:
        self._write_exit()
        before = self._session
        # What hits the fast path counts until then is in the totals: it is emptied first.
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
        self._locked(self._declare, kind, message, invariant, location)

    def _declare(self, kind: Kind, message: str, invariant: str | None, location: Location) -> None:
        self._declared[kind, message] = (invariant, location)
        if self._session is not None:
            self._session.slot(kind, message, invariant, location)

    def declare_now(self, kind: Kind, message: str, where: Where) -> None:
        """Write the declaration of an assertion that may never be hit here."""
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
        Count a hit and write it if it is news.

        Returns:
            The record, None if none was needed.
        """
        clock = system.clock()
        it = Evaluation(kind, condition, message, details, invariant, where, clock, self._process)
        if self._lock.is_mine():
            # A signal handler or a finaliser, in the middle of a record: it must wait.
            it.leave_frame()
            self._pending.append(it)
            return None
        if self._pending:
            self._catch_up()
        try:
            self._advance(it)
        except BaseException as error:
            # What was begun is completed before the exception goes on.
            is_complete = self._complete(it)
            interrupts.reraise(error)
            if not is_complete:
                raise
        return it.hit

    def _advance(self, it: Evaluation) -> None:
        """Take the steps of an evaluation that are not taken yet."""
        if it.process is not self._process:
            # It was evaluated in the parent, and is counted there.
            return
        # One that is resumed resumes no others, which would nest without end.
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
        # From now on the fast path counts hits like this one by itself.
        if not it.nth and (it.condition or (it.count or 0) >= 10):
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
        # One line each: a child that is forked in the middle leaves it to its parent.
        if it.process is self._process: slot.mark(it.condition)  # fmt: skip  # noqa: E701
        if it.process is self._process: slot.count(it)  # fmt: skip  # noqa: E701
        if it.is_violation and not it.nth:
            numbers = self._violated.setdefault(self.trial_id, {})
            key = it.kind, it.message
            # One line: what interrupts comes before both or after both.
            numbers[key] = it.nth = numbers.get(key, 0) + 1
        it.trial = self._current
        it.slot = slot

    def _complete(self, it: Evaluation) -> bool:
        """Take the steps that an exception left out; one that it left uncounted is kept."""
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
        """Resume the evaluations that had to wait, or for which something was missing."""
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
                    # Those behind it lack the same descriptor or memory.
                    return
                self._pending.remove(it)

    def _wants(self, it: Evaluation) -> bool:
        """Whether a record of it is due."""
        if not self._is_due(it):
            return False
        # The first violation of a trial is what the trial is judged by.
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

    def ignore(self, kind: Kind, message: str, condition: bool) -> None:
        """With recording off, let hits like this one go nowhere, at no cost."""
        self._locked(self._ignore, kind, message, condition)

    def _ignore(self, kind: Kind, message: str, condition: bool) -> None:
        if self.mode == OFF:
            fast_path.publish(kind, message, condition, fast_path.SCRATCH)

    def _described(self, it: Evaluation) -> tuple[Hit, list[str]]:
        """The record of an evaluation, for which code of the store may run, and its lines."""
        captured = it.captured()
        # Taken first: code of the store that was interrupted does not run a second time.
        details, it.details = it.details, None
        encoded = self._encoder.encode(details, it.message)
        if encoded.truncated:
            self._locked(self._bump, TRUNCATED_CELL)
        hit = it.as_hit(encoded.text or encoded.fallback, captured)
        return hit, lines_of(it, hit, encoded) if self._is_recorded else []

    def _write_hit(self, it: Evaluation) -> None:
        # One session is asked and written to: a child that is forked in between has another.
        slot, session = it.slot, self._session
        if slot is not None and session is not None and session.owns(slot):
            session.write(it.lines, is_news=it.count == 1)

    def record_error(self, message: object, reason: str, where: Where) -> None:
        """An assertion could not be evaluated: recorded, never a pass, never raised."""
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
        """Note how close a rich assertion came."""
        # A `repr` of the store does not run under the lock.
        is_plain = all(value.__class__ in _PLAIN for value in data.values())
        plain = data if is_plain else self._plain(data)
        if plain is not None:
            note = self._guide.note
            self._locked(note, message, type, value, plain, where, maximize=maximize)

    def _plain(self, data: Mapping[str, object]) -> Mapping[str, object] | None:
        """*data* as JSON has it; None if it has no JSON."""
        text = self._encoder.encode(data, "guidance").text
        plain: Mapping[str, object] | None = None if text is None else load_json().loads(text)
        return plain

    def watermarks(self) -> dict[str, float]:
        """How near each rich assertion has come in this process; more is nearer."""
        return self._locked(self._guide.extremes)

    def warn_not_finite(self, message: str) -> None:
        """Say once that an operand which is not finite gives no guidance."""
        self._locked(self._guide.warn_not_finite, message)

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

    # -- explaining ------------------------------------------------------

    def explain(self, hit: Hit) -> str | None:
        """The full explanation of a violation, if the tools are installed."""
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
            self._locked(self._begin, trial)
        except BaseException as error:
            if interrupts.found_in(error) is not None:
                # The block is not entered, so nobody else will end it.
                self._locked(self._abandon, trial)
            interrupts.reraise(error)
            # No descriptors left, for one: the trial goes on unrecorded.
            warn_once(f"trial {trial.id!r} is not recorded: {bounded_repr(error)}")

    def _abandon(self, trial: trials.Trial) -> None:
        """End a trial whose beginning was interrupted, and may have been written."""
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
        """Close *trial* and what is still open inside it."""
        try:
            self._locked(self._end, trial)
        except BaseException as error:
            self._end_after_all(trial)
            interrupts.reraise(error)

    def _end_after_all(self, trial: trials.Trial) -> None:
        """End a trial whose end was interrupted, or failed: later hits are not its own."""
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
        """A forked child left the block: the trial is its parent's to end."""
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
        """Write a record that is no hit."""
        if self.mode == OFF or self.run_dir is None:
            return
        try:
            self._locked(self._write_now, [line(key, body)])
        except Exception as error:
            interrupts.reraise(error)
            warn_once(f"{key} is not recorded: {bounded_repr(error)}")

    # -- end of the process, and its children ------------------------------

    def at_exit(self) -> None:
        """Write what is only in memory, and make ready for finalisers, which cannot import."""
        for it in self._pending:
            # Whoever was to resume it will not come any more.
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
        """A child counts from zero, into a shard of its own, for the trial it was born in."""
        try:
            self._leave_parent()
        except BaseException:
            # Half of it done, the child would count into the shard of its parent.
            self._leave_parent()
            raise

    def _leave_parent(self) -> None:
        self._process = object()
        fast_path.disown()
        fast_path.reset()
        if self._session is not None:
            self._session.disown()
        # A session may be in the making, in the thread that forked: the files are the parent's.
        self._close_half_made()
        self._bases, self._stack = [*self._bases, *self._stack], []
        self._begun, self._past, self._pending, self._unreported = {}, {}, [], 0
        if self._raising_thread is not None:
            # The thread that runs the test is the parent's.
            self._raising_thread = 0
        self._start_anew()


recorder = Recorder(os.environ)
set_handler(lambda text: recorder.sinks.emit_error(text))

recorder._lock.hold_across_forks(lambda: recorder.after_fork_in_child())
# Hooks before a fork run in reverse order.  A thread that loads sinks takes the recorder's lock
# when it asserts, so the lock of the sinks is taken first.
loading.hold_across_forks(lambda: recorder.sinks.after_fork_in_child(), PATIENCE)
atexit.register(lambda: recorder.at_exit())
