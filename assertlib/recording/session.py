"""
The records of one process between forks and changes of run directory: one shard, its counters, and
the assertions met so far.

A fork and a new run directory each begin a new session, which counts from zero.
"""

from __future__ import annotations

import os
import sys
from collections import deque

from ..model import PROTOCOL_VERSION
from . import shard
from .counters import (
    DROPPED_CELL,
    ERROR_CELL,
    LOST_CELL,
    TRUNCATED_CELL,
    Counters,
    message_hash,
)
from .diagnostics import warn_later
from .encode import line
from .rundir import KNOWN, OUTPUTS, LiveShards, shard_name
from .settings import directory_mode
from .slots import Slot
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from ..model import Kind, Location
    from .loader import Platform

    Totals = tuple[list[int], list[int]]

VERSION: Final = "0.1.0"

_MOST_OWED = 100_000
"""Batches of lines that are kept in memory, at most, until they can be written."""

_END_BYTES, _SLOT_BYTES = 1024, 48
"""Bytes reserved for the last lines of a shard: a fixed part, and a part for each assertion."""


class Session:
    """
    A shard that is being written, or, without a run directory, just counters.

    An exception that interrupts one of its methods leaves it in a state from which the next call
    completes what was begun.

    Attributes:
        name: Name of the shard; empty if there is none.
        is_written: Whether a shard is open for records.
        is_ready: Whether the recorder has written known assertions and open trials into it.
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
            run_dir: The run directory; None to count only.  One that is unusable does not raise.
            facts: Facts about the process for the header of the shard.
            trial: Returns the id of the trial that currently receives the hits.
            most_bytes: Limit on the bytes of the lines; 0 means no limit.
            platform: Receives all records as well; None if there is none.
            descriptors: Holds the descriptors that it opens until it is dropped.
        """
        self._platform = platform
        self._descriptors = descriptors
        self._pid = system.getpid()
        self._trial = trial
        self.most_bytes = most_bytes
        self._is_full = self._is_announced = False
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
        """Write the header, which names this process, once the session is known to be its own."""
        if self._platform is not None and not self._is_announced:
            header = self._header()
            # Noted first: an interrupted attempt is repeated, and the platform expects one header.
            self._is_announced = True
            self._platform.write(header)
        self._put([])

    def _make_run_dir(self) -> None:
        if self._run_dir is None:
            return
        try:
            system.makedirs(self._run_dir, directory_mode())
        except OSError as error:
            self._warn_of(error)
        # A process of `assertlib exec` writes no shard, but keeps the file of its facts locked.
        outputs = os.path.join(self._run_dir, OUTPUTS)
        self._live = [LiveShards(self._run_dir, self.name), LiveShards(outputs, suffix=KNOWN)]

    def _open(self) -> None:
        """Open the shard; if descriptors or space run out, the next record tries again."""
        if self._run_dir is None or not self._wants_records:
            return
        try:
            system.makedirs(self._run_dir, directory_mode())
            path = os.path.join(self._run_dir, self.name) + shard.SUFFIX
            writer = shard.ShardWriter(path, self._descriptors, self._pid)
        except OSError as error:
            self._warn_of(error)
        else:
            # In front of everything kept so far: readers expect the header first.
            self._owed.appendleft(self._header())
            self._writer = writer

    def _warn_of(self, error: OSError) -> None:
        # In a child that was forked in between, refusing to create its parent's file is expected.
        if self._is_own:
            warn_later(f"cannot record into {self._run_dir}, so hits are only counted: {error}")

    @property
    def _is_own(self) -> bool:
        """Whether this process began it; false in a child that was forked inside a method."""
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
        Write whole lines at once and empty the list; lines that cannot be written are counted as
        lost, lines beyond the limit as dropped.

        Args:
            lines: The lines, with their ends; emptied in any case.
            is_news: Whether they declare an assertion or are its first true or false hit; an
                eighth of the shard is reserved for these.
            must: Whether readers need them to understand other lines; if they cannot be written,
                they are kept until there is space.
        """
        if self._platform is not None:
            # A copy, since the list is emptied below.
            self._platform.write(list(lines))
        if self.most_bytes and self._has_no_room(lines, is_news=is_news):
            self.counters.bump(DROPPED_CELL)
            lines.clear()
        # On a disk that fills up, records stop while there is room for the counters to grow and
        # for the last lines, since verdicts depend on those.
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
            # One line: whatever interrupts, the lines are in exactly one of the two lists.
            self._owed += (list(lines),); lines[:] = ()  # fmt: skip  # noqa: E702
        # New lines may hold a violation, so they precede those kept for want of space, but not
        # the header, which a shard without any bytes still lacks.
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
        """Write the lines that were kept for want of space; returns whether none are left."""
        while self._owed and (writer := self._writer) is not None:
            first = self._owed[0]
            kept = list(first)
            if not writer.has_space(self._needed(kept)) or not self._append(first):
                # A write that fails has emptied the list.
                first[:] = kept
                return False
            del self._owed[0]
        return not self._owed

    def _needed(self, lines: list[str]) -> int:
        """Bytes that *lines* take, with those reserved for the last lines and larger counters."""
        last = _END_BYTES + _SLOT_BYTES * len(self.slots)
        return sum(map(len, lines)) + last + self.counters.growth

    def limit(self, most_bytes: int) -> None:
        """Limit the lines to *most_bytes* from now on; 0 means no limit."""
        self.most_bytes = most_bytes
        self._is_full = False

    def _has_no_room(self, lines: list[str], *, is_news: bool) -> bool:
        """Whether the shard is full; when it becomes full, the counts so far are written."""
        if self._writer is None or not lines:
            return False
        # In JSON, a character takes at most twelve bytes: the two escapes of a surrogate pair.
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
        """The slot of *message* with *kind*; declared, with *invariant* and *location*, if new."""
        slot = self.slots.get((kind, message))
        if slot is None:
            number, first = self.counters.take_slot()
            slot = Slot(number, kind, message, invariant, location, first)
            # A signal handler may have declared it meanwhile: the first slot wins, and the other
            # stays all zeros, which readers accept.
            slot = self.slots.setdefault((kind, message), slot)
        # An interrupted attempt leaves its lines here as well; naming a slot may be repeated.
        if slot.declaration:
            self.counters.name_slot(slot.number, message_hash(message), kind.code)
            self.write(slot.declaration, is_news=True, must=True)
        return slot

    def owns(self, slot: Slot) -> bool:
        """Whether *slot* belongs to this session."""
        return self.slots.get((slot.kind, slot.message)) is slot

    def write_with_delta(self, lines: list[str]) -> None:
        """Write the counts since the last delta, for the open trial, followed by *lines*."""
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
            # The child of a fork in between: the parent writes both.
            return []
        totals = self.counters.totals()
        true, false = map(_difference, totals, self._counted)
        delta = {"trial": self._trial(), "true": true, "false": false}
        batch = [*([line(shard.DELTA, delta)] if true or false else []), *lines]
        if batch:
            # Writing empties the batch, which shows `_settle` that these totals are written, even
            # if the writer is interrupted right after.
            self._delta = totals, batch
        return batch

    def _settle(self) -> None:
        """Count from the last delta on if it was written, even by an interrupted writer."""
        delta = self._delta
        if delta is not None and not delta[1]:
            self._counted, self._delta = delta[0], None

    def others_alive(self) -> list[str]:
        """Names of the shards of this run whose processes are alive, except its own."""
        return [name for live in self._live for name in live.names()]

    def write_exit(self) -> None:
        """
        Write what is only in memory.

        Records may follow: finalisers assert until the interpreter is gone.
        """
        body: dict[str, object] = {
            "time": system.wall_clock(),
            "lost": self.counters.header(LOST_CELL),
            "troubles": self.counters.header(ERROR_CELL),
            "truncated": self.counters.header(TRUNCATED_CELL),
            "dropped": self.counters.header(DROPPED_CELL),
        }
        if self.counters.is_cut():
            warn_later(f"the counter file of {self.name} was truncated while it was being written")
        if not self.counters.durable:
            body["true"], body["false"] = self.counters.totals()
        # Past `write`, whose limits reserve the room for this line.
        self._put([line(shard.EXIT, body)])

    def drop(self) -> None:
        """Close all descriptors, without a warning."""
        # First, so that an interrupted call neither opens the shard again nor counts its lines as
        # lost.
        self._wants_records = False
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.counters.close()

    def disown(self) -> None:
        """Drop it in a forked child; a call that the fork interrupted has no effect there."""
        # Slots and counters are redirected in place, since such a call may hold them.
        for slot in list(self.slots.values()):
            slot.disown()
        self._counted, self._delta, self._platform = ([], []), None, None
        self.drop()
        self.counters.disown()


def id_of(invariant: object) -> str | None:
    """The id of *invariant*; an `Invariant` is accepted where its id is expected."""
    if invariant is None or isinstance(invariant, str):
        return invariant
    return str(getattr(invariant, "id", invariant))


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
    # Readers pad rows with zeros, so most deltas stay short.
    while values and values[-1] == 0:
        values.pop()
    return values
