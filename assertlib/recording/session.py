"""
What a process records between forks and changes of run directory: one shard, its counters, and
the assertions met so far.

A fork and a new run directory each begin a new session with counts from zero.
"""

from __future__ import annotations

import os
import sys
from collections import deque

from ..model import PROTOCOL_VERSION, Kind, Location, assert_record
from . import fast_path, shard
from .counters import (
    CELL_BYTES,
    DROPPED_CELL,
    ERROR_CELL,
    FALSE_CELL,
    KIND_CELL,
    LOST_CELL,
    SLOT_CELLS,
    TRUE_CELL,
    TRUNCATED_CELL,
    Counters,
    message_hash,
    seen_bit,
)
from .diagnostics import warn_later
from .encode import line
from .rundir import KNOWN, OUTPUTS, LiveShards, shard_name
from .settings import directory_mode
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from .evaluation import Evaluation
    from .fast_path import Cell, Pair
    from .loader import Platform

    Totals = tuple[list[int], list[int]]

VERSION: Final = "0.1.0"

_MOST_OWED = 100_000
"""How often lines are kept in memory until they can be written."""

_END_BYTES, _SLOT_BYTES = 1024, 48
"""What the last lines of a shard may take: so much, and so much more for each assertion."""


_NOBODYS = memoryview(bytearray(SLOT_CELLS * CELL_BYTES)).cast("Q")


class Slot:
    """
    An assertion that this process has met, and its counters.

    Attributes:
        declaration: The lines that declare it, until they are written.
    """

    __slots__ = (
        "cells",
        "declaration",
        "index",
        "invariant",
        "kind",
        "location",
        "message",
        "number",
    )

    def __init__(
        self,
        number: int,
        kind: Kind,
        message: str,
        invariant: str | None,
        location: Location,
        first: Pair,
    ) -> None:
        self.number = number
        self.kind = kind
        self.message = message
        self.invariant = invariant
        self.location = location
        self.cells, self.index = first
        self.declaration: list[str] = _declaration(self)

    def mark(self, condition: bool) -> None:
        """Note in the counter file that this outcome was seen; under the recorder's lock."""
        # Before the cell is read: a child that is forked in between must not write it back.
        bit = seen_bit(condition)
        self.cells[self.index + KIND_CELL] |= bit

    def count(self, evaluation: Evaluation) -> None:
        """Count an evaluation, once; under the recorder's lock."""
        column = TRUE_CELL if evaluation.condition else FALSE_CELL
        if evaluation.count is None:
            fast_path.add_noted(self, column, evaluation)

    def cell(self, condition: bool) -> Cell:
        """Where hits with this outcome are counted."""
        return fast_path.make_cell(
            self.cells, self.index + (TRUE_CELL if condition else FALSE_CELL)
        )

    def disown(self) -> None:
        """Count into memory of nobody from now on: the cells are the parent's, in a child."""
        self.cells, self.index = _NOBODYS, 0


class Session:
    """
    A shard that is being written, or, without a run directory, just counters.

    An exception that interrupts any of its methods leaves it such that the next call completes
    what was begun.

    Attributes:
        name: Name of the shard; empty without one.
        is_written: Whether records go anywhere.
        is_ready: Whether the recorder has declared in it what is known; set by the recorder.
    """

    def __init__(
        self,
        run_dir: str | None,
        facts: Mapping[str, object],
        trial: Callable[[], str | None],
        most_bytes: int,
        platform: Platform | None,
        descriptors: list[int],
    ) -> None:
        """
        Args:
            run_dir: Where to record; nothing that is wrong with it raises.
            facts: What the shard's header records of the process.
            trial: Returns the id of the trial that gets the hits now.
            most_bytes: How large its lines may get; 0 is without limit.
            platform: What takes the records, too.
            descriptors: Where those that it opens are kept until it is dropped.
        """
        self._platform = platform
        self._descriptors = descriptors
        self._pid = system.getpid()
        self._trial = trial
        self.most_bytes = most_bytes
        self._is_full = False
        self.is_ready = False
        self.slots: dict[tuple[Kind, str], Slot] = {}
        self.name = "" if run_dir is None else shard_name()
        self._wants_records = run_dir is not None
        self._writer: shard.ShardWriter | None = None
        self._owed: deque[list[str]] = deque()
        self._live: list[LiveShards] = []
        self._counted: Totals = ([], [])
        self._delta: tuple[Totals, list[str]] | None = None
        self._run_dir = run_dir
        self._facts = facts
        path = None if run_dir is None else os.path.join(run_dir, self.name)
        self._make_run_dir()
        counts = None if path is None else path + shard.COUNTS_SUFFIX
        self.counters = Counters(counts, descriptors, self._pid)
        if path is not None and not self.counters.durable and self._is_own:
            warn_later(f"counts of {path} are kept in memory only: no space or no permission")

    def begin(self) -> None:
        """Write the header, which names this process: not before it is known whose session it is."""
        if self._platform is not None:
            self._platform.write(self._header())
        self._put([])

    def _make_run_dir(self) -> None:
        if self._run_dir is None:
            return
        try:
            system.makedirs(self._run_dir, directory_mode())
        except OSError as error:
            self._warn_of(error)
        outputs = os.path.join(self._run_dir, OUTPUTS)
        self._live = [LiveShards(self._run_dir, self.name), LiveShards(outputs, suffix=KNOWN)]

    def _open(self) -> None:
        """Open the shard; for want of descriptors or space that may be possible later only."""
        if self._run_dir is None or not self._wants_records:
            return
        try:
            system.makedirs(self._run_dir, directory_mode())
            path = os.path.join(self._run_dir, self.name) + shard.SUFFIX
            writer = shard.ShardWriter(path, self._descriptors, self._pid)
        except OSError as error:
            self._warn_of(error)
        else:
            self._owed.appendleft(self._header())
            self._writer = writer

    def _warn_of(self, error: OSError) -> None:
        if self._is_own:
            warn_later(f"cannot record into {self._run_dir}, hits are only counted: {error}")

    @property
    def _is_own(self) -> bool:
        """Whether this process began it; its forked child does not, in the middle of a method."""
        return self._pid == system.getpid()

    def _header(self) -> list[str]:
        own = {
            "schema": shard.SCHEMA,
            "shard": self.name,
            "pid": system.getpid(),
            "parent": system.getppid(),
            "python": sys.version.split()[0],
            "platform": sys.platform,
            "durable": self.counters.durable,
            "time": system.wall_clock(),
            "clock": system.clock(),
            "clock_id": system.clock_id(),
        }
        return [_sdk_line(), line(shard.HEADER, {**own, **self._facts})]

    @property
    def is_written(self) -> bool:
        return self._writer is not None

    def write(self, lines: list[str], *, is_news: bool = False, must: bool = False) -> None:
        """
        Write whole lines in one go and empty the list; what cannot be written is counted as
        lost, what the limit does not allow as dropped.

        Args:
            is_news: Whether they declare an assertion or are its first true or false hit: for
                these an eighth of the shard is kept free.
            must: Whether readers need them to understand the rest: if they cannot be written,
                they are kept until there is space.
        """
        if self._platform is not None:
            self._platform.write(list(lines))
        if self.most_bytes and self._has_no_room(lines, is_news=is_news):
            self.counters.bump(DROPPED_CELL)
            lines.clear()
        elif (
            not must
            and (writer := self._writer) is not None
            and not writer.has_space(self._needed(lines))
        ):
            self.counters.bump(LOST_CELL)
            warn_later(_no_space(writer))
            lines.clear()
        else:
            self._put(lines, must=must)

    def _put(self, lines: list[str], *, must: bool = False) -> None:
        if self._writer is None:
            self._open()
        if must and lines and len(self._owed) < _MOST_OWED:
            # One line: they are in one of the two lists, whatever interrupts.
            self._owed += (list(lines),); lines[:] = ()  # fmt: skip  # noqa: E702
        # A violation matters more than what was kept, but the header precedes all.
        writer = self._writer
        has_header = writer is not None and writer.size > 0
        is_whole = self._append(lines) if has_header else self._pay() and self._append(lines)
        if not (is_whole and self._pay()) and self._wants_records:
            self.counters.bump(LOST_CELL)
        lines[:] = ()

    def _append(self, lines: list[str]) -> bool:
        writer = self._writer
        if writer is None or not lines:
            return not lines
        is_whole = writer.write(lines)
        if not is_whole and self._wants_records:
            warn_later(_no_space(writer))
        return is_whole

    def _pay(self) -> bool:
        """Write what must not be lost, and was kept for want of space; whether all is written."""
        while self._owed and (writer := self._writer) is not None:
            first = self._owed[0]
            kept = list(first)
            if not writer.has_space(self._needed(kept)) or not self._append(first):
                first[:] = kept
                return False
            del self._owed[0]
        return not self._owed

    def _needed(self, lines: list[str]) -> int:
        """Bytes of *lines*, of the last lines, and of counters that grow: those decide verdicts."""
        last = _END_BYTES + _SLOT_BYTES * len(self.slots)
        return sum(map(len, lines)) + last + self.counters.growth

    def limit(self, most_bytes: int) -> None:
        """Let the lines get so large from now on; 0 is without limit."""
        self.most_bytes = most_bytes
        self._is_full = False

    def _has_no_room(self, lines: list[str], *, is_news: bool) -> bool:
        """Whether the shard is full; before that, the counts so far are written."""
        if self._writer is None or not lines:
            return False
        # A letter takes at most twelve bytes in JSON.
        end = _END_BYTES + _SLOT_BYTES * len(self.slots) + 12 * len(self._trial() or "")
        free = self.most_bytes - self._writer.size - sum(map(len, lines)) - end
        if is_news:
            return free < 0
        if self._is_full or free >= self.most_bytes // 8:
            return self._is_full
        self._is_full = True
        body = {"bytes": self.most_bytes, "time": system.wall_clock()}
        self._put_delta([line(shard.LIMIT, body)])
        warn_later(
            f"{self._writer.path} has reached max_shard_bytes; hits are counted, and nothing more"
            " is written"
        )
        return True

    def slot(self, kind: Kind, message: str, invariant: str | None, location: Location) -> Slot:
        """The counters of an assertion, which is declared if it is new."""
        slot = self.slots.get((kind, message))
        if slot is None:
            number, first = self.counters.take_slot()
            slot = Slot(number, kind, message, invariant, location, first)
            slot = self.slots.setdefault((kind, message), slot)
        if slot.declaration:
            self.counters.name_slot(slot.number, message_hash(message), kind.code)
            self.write(slot.declaration, is_news=True, must=True)
        return slot

    def owns(self, slot: Slot) -> bool:
        """Whether *slot* is one of this session's."""
        return self.slots.get((slot.kind, slot.message)) is slot

    def write_with_delta(self, lines: list[str]) -> None:
        """Write what was counted since the last delta, for the trial that is open, and *lines*."""
        batch = self._with_delta(lines)
        self.write(batch, must=True)
        self._settle()

    def _put_delta(self, lines: list[str]) -> None:
        batch = self._with_delta(lines)
        self._put(batch, must=True)
        self._settle()

    def _with_delta(self, lines: list[str]) -> list[str]:
        self._settle()
        if not self._is_own:
            # A fork in the middle, in its child: the parent writes both.
            return []
        totals = self.counters.totals()
        true, false = map(_difference, totals, self._counted)
        delta = {"trial": self._trial(), "true": true, "false": false}
        batch = [*([line(shard.DELTA, delta)] if true or false else []), *lines]
        if batch:
            self._delta = totals, batch
        return batch

    def _settle(self) -> None:
        """Count on from the last delta if it was written, though its writer was interrupted."""
        delta = self._delta
        if delta is not None and not delta[1]:
            self._counted, self._delta = delta[0], None

    def others_alive(self) -> list[str]:
        """Names of the shards of this run whose processes still run, without this one."""
        return [name for live in self._live for name in live.names()]

    def write_exit(self) -> None:
        """
        Write what is only in memory.

        Writing may go on after that: finalisers assert until the interpreter is gone.
        """
        body: dict[str, object] = {
            "time": system.wall_clock(),
            "lost": self.counters.header(LOST_CELL),
            "troubles": self.counters.header(ERROR_CELL),
            "truncated": self.counters.header(TRUNCATED_CELL),
            "dropped": self.counters.header(DROPPED_CELL),
        }
        if self.counters.is_cut():
            warn_later(f"the counter file of {self.name} was cut while it was written")
        if not self.counters.durable:
            body["true"], body["false"] = self.counters.totals()
        self._put([line(shard.EXIT, body)])

    def drop(self) -> None:
        """Give all descriptors back without a word."""
        self._wants_records = False
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.counters.close()

    def disown(self) -> None:
        """Drop it in a forked child; what was interrupted by the fork no longer counts in it."""
        for slot in list(self.slots.values()):
            slot.disown()
        self._counted, self._delta, self._platform = ([], []), None, None
        self.drop()
        self.counters.disown()


def id_of(invariant: object) -> str | None:
    """The id, also of who passes an Invariant where its id is wanted."""
    if invariant is None or isinstance(invariant, str):
        return invariant
    return str(getattr(invariant, "id", invariant))


def _declaration(slot: Slot) -> list[str]:
    body = {
        "slot": slot.number,
        "id": slot.message,
        "kind": slot.kind.name,
        "invariant": slot.invariant,
        "hash": f"{message_hash(slot.message):016x}",
    }
    declared = assert_record(slot.kind, slot.message, slot.location, hit=False, condition=False)
    return [line("antithesis_assert", declared), line(shard.SLOT, body)]


def _no_space(writer: shard.ShardWriter) -> str:
    return f"a record could not be written to {writer.path}: no space?"


def _sdk_line() -> str:
    body = {
        "language": {"name": "Python", "version": sys.version},
        "sdk_version": VERSION,
        "protocol_version": PROTOCOL_VERSION,
    }
    return line("antithesis_sdk", body)


def _difference(now: list[int], before: list[int]) -> list[int]:
    padded = before + [0] * (len(now) - len(before))
    values = [new - old for new, old in zip(now, padded, strict=True)]
    while values and values[-1] == 0:
        values.pop()
    return values
