"""
What a process records between two changes of hands: one shard, its counters,
and the assertions met so far.

A fork and a new run directory each begin a new session with counts from zero.
"""

from __future__ import annotations

import os
import sys

from ..model import PROTOCOL_VERSION, Kind, Location, assert_record
from . import hot, shard
from .counters import (
    DROPPED_CELL,
    FALSE_CELL,
    KIND_CELL,
    LOST_CELL,
    TROUBLE_CELL,
    TRUE_CELL,
    TRUNCATED_CELL,
    Counters,
    message_hash,
    seen_bit,
)
from .encode import line
from .rundir import KNOWN, OUTPUTS, LiveShards, shard_name
from .system import system
from .troubles import warn_later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from .hot import Cell, Pair
    from .loader import Platform

VERSION: Final = "0.1.0"

_END_BYTES, _SLOT_BYTES = 1024, 48
"""What the last lines of a shard may take: so much, and so much more for each assertion."""


class Slot:
    """An assertion that this process has met, and its counters."""

    __slots__ = ("cells", "index", "invariant", "kind", "location", "message", "number")

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

    def mark(self, condition: bool) -> None:
        """Note in the counter file that this outcome was seen; under the recorder's lock."""
        self.cells[self.index + KIND_CELL] |= seen_bit(condition)

    def has_seen(self, condition: bool) -> bool:
        """Whether that was noted."""
        return bool(self.cells[self.index + KIND_CELL] & seen_bit(condition))

    def count(self, condition: bool) -> int:
        """Count one hit; returns how many there are now with this outcome."""
        return hot.add(self.cell(condition))

    def cell(self, condition: bool) -> Cell:
        """Where hits with this outcome are counted."""
        return hot.make_cell(self.cells, self.index + (TRUE_CELL if condition else FALSE_CELL))


class Session:
    """
    A shard that is being written, or, without a run directory, just counters.

    Attributes:
        name: Name of the shard; empty without one.
        is_written: Whether records go anywhere.
    """

    def __init__(
        self,
        run_dir: str | None,
        facts: Mapping[str, object],
        trial: Callable[[], str | None],
        most_bytes: int,
        platform: Platform | None,
    ) -> None:
        """
        Args:
            run_dir: Where to record; nothing that is wrong with it raises.
            facts: What the shard's header shall say of the process.
            trial: Tells the id of the trial that gets the hits now.
            most_bytes: How large its lines may get; 0 is without limit.
            platform: What takes the records, too.
        """
        self._platform = platform
        self._trial = trial
        self.most_bytes = most_bytes
        self._is_full = False
        self.slots: dict[tuple[Kind, str], Slot] = {}
        self.name = "" if run_dir is None else shard_name()
        self._wants_records = run_dir is not None
        self._writer: shard.ShardWriter | None = None
        self._live: list[LiveShards] = []
        self._told: tuple[list[int], list[int]] = ([], [])
        self._run_dir = run_dir
        self._facts = facts
        path = None if run_dir is None else os.path.join(run_dir, self.name)
        if run_dir is not None and path is not None:
            self._open(run_dir, path)
        self.counters = Counters(None if path is None else path + shard.COUNTS_SUFFIX)
        if self._writer is not None or platform is not None:
            self.write([_sdk_line(), self._header_line()])
        if path is not None and not self.counters.durable:
            warn_later(f"counts of {path} are kept in memory only: no space or no permission")

    def _open(self, run_dir: str, path: str) -> None:
        try:
            system.makedirs(run_dir)
            self._writer = shard.ShardWriter(path + shard.SUFFIX)
        except OSError as error:
            warn_later(f"cannot record into {run_dir}, hits are only counted: {error}")
        outputs = os.path.join(run_dir, OUTPUTS)
        self._live = [LiveShards(run_dir, self.name), LiveShards(outputs, suffix=KNOWN)]

    def _open_again(self) -> None:
        """What could not be opened, for want of descriptors or space, may be possible by now."""
        if self._run_dir is None:
            return
        self._open(self._run_dir, os.path.join(self._run_dir, self.name))
        if self._writer is not None:
            declared = [text for slot in self.slots.values() for text in _declaration(slot)]
            self._put([_sdk_line(), self._header_line(), *declared])

    def _header_line(self) -> str:
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
        return line(shard.HEADER, {**own, **self._facts})

    @property
    def is_written(self) -> bool:
        return self._writer is not None

    def write(self, lines: list[str], *, is_news: bool = False) -> None:
        """
        Write whole lines in one go; what cannot be written is counted as lost, what the limit
        does not allow as dropped.

        Args:
            is_news: Whether they declare an assertion or are its first true or false hit: for
                these an eighth of the shard is kept free.
        """
        if self._platform is not None:
            self._platform.write(lines)
        if self.most_bytes and self._has_no_room(lines, is_news=is_news):
            self.counters.bump(DROPPED_CELL)
        else:
            self._put(lines)

    def limit(self, most_bytes: int) -> None:
        """Let the lines get so large from now on; 0 is without limit."""
        self.most_bytes = most_bytes
        self._is_full = False

    def _put(self, lines: list[str]) -> None:
        if self._writer is None and self._wants_records:
            self._open_again()
        if self._writer is None:
            if self._wants_records:
                self.counters.bump(LOST_CELL)
        elif not self._writer.write(lines):
            self.counters.bump(LOST_CELL)
            warn_later(f"a record could not be written to {self._writer.path}: no space?")

    def _has_no_room(self, lines: list[str], *, is_news: bool) -> bool:
        """Whether the shard is full; before it gets so it tells what was counted till then."""
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
        self._put([*self.delta(), line(shard.LIMIT, body)])
        warn_later(
            f"{self._writer.path} has reached max_shard_bytes; hits are counted, and nothing more"
            " is written"
        )
        return True

    def add_slot(self, kind: Kind, message: str, invariant: str | None, location: Location) -> Slot:
        """Declare an assertion that is new."""
        hashed = message_hash(message)
        number, first = self.counters.add_slot(hashed, kind.code)
        slot = self.slots[kind, message] = Slot(number, kind, message, invariant, location, first)
        self.write(_declaration(slot), is_news=True)
        return slot

    def delta(self) -> list[str]:
        """What was counted since the last delta, as a line that gives it to the trial."""
        totals = self.counters.totals()
        true, false = map(_difference, totals, self._told)
        self._told = totals
        if not true and not false:
            return []
        return [line(shard.DELTA, {"trial": self._trial(), "true": true, "false": false})]

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
            "troubles": self.counters.header(TROUBLE_CELL),
            "truncated": self.counters.header(TRUNCATED_CELL),
            "dropped": self.counters.header(DROPPED_CELL),
        }
        if not self.counters.durable:
            body["true"], body["false"] = self.counters.totals()
        self._put([line(shard.EXIT, body)])

    def drop(self) -> None:
        """Give all descriptors back without a word, as in a forked child."""
        self._wants_records = False
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.counters.close()


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
