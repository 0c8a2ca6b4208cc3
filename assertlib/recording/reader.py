"""
Reads what processes left in a run directory.

A torn last line is what a killed process leaves, and is skipped; any other line that
cannot be parsed is an error with file and line.  The prefix of a line identifies the
record: hits are parsed on demand, for what the counters lack.
"""

from __future__ import annotations

import json
import os

from ..errors import DataError
from ..inputs import (
    LongLineError,
    line_of,
    lines_in,
    open_found,
    parse_json,
    read_found,
)
from . import shard
from .counter_file import LARGEST_COUNTER_FILE, CounterFile
from .counters import CELL_BYTES, IN_MEMORY
from .records import Record, Shard
from .rundir import RUN_FILE, shard_paths
from .shard_parser import ASSERT, GUIDANCE, DetailsReading, Reading
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from ..inputs import Loads
    from .shard_parser import Takers


class UnreadableRunError(DataError):
    """A file of a run is not what it should be; the text names file, line and remedy."""


class JsonFile(dict[str, object]):
    """The JSON object in a file, with the place of its keys."""

    def __init__(self, path: str, data: bytes, value: Record) -> None:
        super().__init__(value)
        self._path = path
        self._data = data

    def error(self, key: str, problem: str) -> UnreadableRunError:
        """The error that the value of *key* is wrong."""
        line = line_of(self._data, key)
        return UnreadableRunError(f"{self._path}:{line}: {key!r} {problem}; {_REMEDY}")


def read_run_file(run_dir: str) -> JsonFile | None:
    """
    The run's description; None when nobody wrote one.

    Raises:
        UnreadableRunError: It is there but is no JSON object.
    """
    return read_json_object(os.path.join(run_dir, RUN_FILE))


def read_json_object(path: str) -> JsonFile | None:
    """
    The JSON object in the file at *path* of a run directory; None without such a file.

    Raises:
        UnreadableRunError: It cannot be read, or is no JSON object.
    """
    try:
        data = read_found(path)
        value = parse_json(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableRunError(f"{path}: {error.strerror}; {_REMEDY}") from None
    except ValueError as error:
        raise UnreadableRunError(f"{path}:{_line_in(error)}: {error}; {_REMEDY}") from None
    if not isinstance(value, dict):
        raise UnreadableRunError(f"{path}:1: not a JSON object; {_REMEDY}")
    return JsonFile(path, data, value)


_REMEDY = "remove the run or record it anew"


def _line_in(error: ValueError) -> int:
    return error.lineno if isinstance(error, json.JSONDecodeError) else 1


def read_shards(run_dir: str) -> list[Shard]:
    """
    The shards of a run, sorted by name.

    Raises:
        UnreadableRunError: One of them holds a bad line that is not its last.
    """
    return [read_shard(os.path.join(run_dir, name)) for name in shard_names(run_dir)]


def shard_names(run_dir: str) -> list[str]:
    """
    The names of the shards of a run, sorted.

    Raises:
        UnreadableRunError: There is no such directory.
    """
    try:
        names = {os.path.basename(path)[: -len(shard.SUFFIX)] for path in shard_paths(run_dir)}
        names |= {
            name[: -len(shard.COUNTS_SUFFIX)]
            for name in system.listdir(run_dir)
            if name.endswith(shard.COUNTS_SUFFIX)
        }
    except OSError as error:
        raise UnreadableRunError(f"{run_dir}: {error.strerror}") from error
    return sorted(names)


def read_shard(path: str, loads: Loads = json.loads) -> Shard:
    """
    Read one shard; *path* is without suffix.  Its hits are read when they are asked for.

    Args:
        loads: A faster reader of JSON; what it cannot read, the standard one is asked for.

    Raises:
        UnreadableRunError: A line that is not its last cannot be read.
    """
    lines = path + shard.SUFFIX
    reading = Reading(Shard(os.path.basename(path), lambda: _details(lines).finish(counts)))
    declared, reading.shard.torn = _take_lines(lines, reading.takers(), _HITS, loads)
    # Last, so that those of a living process are never behind its lines.
    counts, damage = _counter_file(path + shard.COUNTS_SUFFIX)
    _join(reading, counts, damage, lambda: _details(lines), declared)
    return reading.shard


def _join(
    reading: Reading,
    counts: CounterFile | None,
    damage: str,
    details: Callable[[], DetailsReading],
    declared: int,
) -> None:
    """Join lines and counters; hits are parsed only where counters are incomplete."""
    target = reading.shard
    target.damage = [] if counts is None else list(counts.damage)
    in_memory = damage == _IN_MEMORY
    if counts is None and not in_memory and (damage or target.header.get("durable") is True):
        target.damage.append(damage or "its counters are missing")
    is_counted = counts is not None and counts.durable and not counts.damage
    if counts is not None and is_counted:
        target.identities = [slot[:2] for slot in counts.slots]
    reading.finish(counts, None if is_counted else details(), declared, in_memory=in_memory)


def guidance_of(path: str) -> dict[str, Record]:
    """
    How close each rich assertion of the shard with the lines *path* came, by its message.

    Raises:
        UnreadableRunError: A line cannot be read.
    """
    reading = DetailsReading()
    _take_lines(path, {GUIDANCE: reading.takers()[GUIDANCE]}, _ALL_BUT_GUIDANCE)
    return reading.details.guidance


def _details(path: str) -> DetailsReading:
    reading = DetailsReading()
    _take_lines(path, reading.takers(), _OTHERS)
    return reading


def _take_lines(
    path: str, takers: Takers, passed_over: tuple[bytes, ...], loads: Loads = json.loads
) -> tuple[int, bool]:
    """Hand each record to its taker; how many declare an assertion, and whether the last is torn."""
    declared, is_torn = 0, False
    for number, text in _numbered_lines(path):
        declared += text.startswith(_SLOT)
        # What is passed over must at least look whole, with no other record glued to it.
        if (
            text.startswith(passed_over)
            and text.endswith(b"}}\n")
            and text.rfind(b'{"assertlib_') <= 0
        ):
            continue
        if text.endswith(b"\n"):
            _take_line(path, number, text, takers, loads)
        else:
            is_torn = True
    return declared, is_torn


def _numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a shard from 1; none without such a file: counters alone are a shard, too."""
    try:
        with open_found(path, _BUFFER) as file:
            yield from enumerate(lines_in(file), 1)
    except FileNotFoundError:
        return
    except LongLineError as error:
        raise _bad_line(path, error.number, error) from None
    except OSError as error:
        raise UnreadableRunError(f"{path}: {error.strerror}; {_REMEDY}") from None


def _take_line(
    path: str, number: int, text: bytes, takers: Takers, loads: Loads = json.loads
) -> None:
    try:
        _take_record(parse_json(text, loads), number, takers)
    except _BAD as error:
        raise _bad_line(path, number, error) from error


_BUFFER = 1 << 16
_BAD = (ValueError, KeyError, TypeError)


def _take_record(record: object, number: int, takers: Takers) -> None:
    if not isinstance(record, dict) or not record:
        raise ValueError("not a record")
    key, body = next(iter(record.items()))
    # A user event is none of our business, as long as it is one; there are few.
    if key in _KEYS and not isinstance(body, dict):
        raise TypeError(f"{key} is not an object")
    if key in takers:
        takers[key](body, number)


class Follower:
    """Reads a shard while its process writes it: at each `read`, what is new."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self._lines = 0
        details = self._details = DetailsReading()
        self.shard = Shard(os.path.basename(path)[: -len(shard.SUFFIX)], lambda: details.details)
        self._reading = Reading(self.shard)
        self._takers = _both(self._reading.takers(), details.takers())
        self._declared = 0

    def read(self) -> None:
        """
        Take the lines that were added.

        Raises:
            UnreadableRunError: One of them cannot be read.
        """
        try:
            with open_found(self._path) as file:
                self._read_new(file)
        except FileNotFoundError:
            # Counters alone are a shard, too.
            return
        except LongLineError as error:
            raise _bad_line(self._path, error.number, error) from None
        except OSError as error:
            raise UnreadableRunError(f"{self._path}: {error.strerror}; {_REMEDY}") from None

    def _read_new(self, file: IO[bytes]) -> None:
        size = file.seek(0, os.SEEK_END)
        if size < self._offset:
            raise UnreadableRunError(
                f"{self._path}: cut from {self._offset:,} to {size:,} bytes while it was read;"
                f" {_REMEDY}"
            )
        if size == self._offset:
            return
        file.seek(self._offset)
        for text in lines_in(file, self._lines):
            if not text.endswith(b"\n"):
                return
            self._declared += text.startswith(_SLOT)
            self._lines += 1
            self._offset += len(text)
            _take_line(self._path, self._lines, text, self._takers)

    def count(self) -> None:
        """Take the current counters."""
        path = self._path[: -len(shard.SUFFIX)] + shard.COUNTS_SUFFIX
        counts, damage = _counter_file(path)
        self._details.finish(counts)
        _join(self._reading, counts, damage, lambda: self._details, self._declared)


def _both(first: Takers, second: Takers) -> Takers:
    """What takes a record by each of two that want it."""

    def twice(key: str) -> Callable[[Record, int], None]:
        def take(body: Record, line: int) -> None:
            first[key](body, line)
            second[key](body, line)

        return take

    return {**first, **second, **{key: twice(key) for key in first.keys() & second.keys()}}


_SLOT = f'{{"{shard.SLOT}": '.encode()
_HIT_KEYS = (ASSERT, GUIDANCE, shard.SLOT, shard.HIT)
_OTHER_KEYS = (
    shard.HEADER,
    shard.TRIAL,
    shard.DELTA,
    shard.FAULTS,
    shard.FEATURES,
    shard.ERROR,
    shard.PROOF,
    shard.LIMIT,
    shard.EXIT,
)
_KEYS = frozenset((*_HIT_KEYS, *_OTHER_KEYS, shard.VIOLATION))
_HITS, _OTHERS = (
    tuple(f'{{"{key}": '.encode() for key in keys) for keys in (_HIT_KEYS, _OTHER_KEYS)
)
_ALL_BUT_GUIDANCE = tuple(each for each in _HITS + _OTHERS if GUIDANCE.encode() not in each)


def _bad_line(path: str, number: int, error: Exception) -> UnreadableRunError:
    problem = f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
    return UnreadableRunError(
        f"{path}:{number}: cannot be read ({problem}); only the last line of"
        " a shard may be torn, so the file was changed: remove it or record the run anew"
    )


_LONGEST_PROBLEM = 500


_BEGUN = 2 * CELL_BYTES
_IN_MEMORY = "its counts were in memory only"


def _counter_file(path: str) -> tuple[CounterFile | None, str]:
    """The counters at *path*, or why there are none; empty where their process had just begun."""
    try:
        data = read_found(path, LARGEST_COUNTER_FILE)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"its counters cannot be read: {error.strerror}"
    if data == IN_MEMORY:
        return None, _IN_MEMORY
    try:
        return CounterFile(data), ""
    except ValueError as error:
        # A process that has just begun has written its version and nothing else.
        has_begun = not any(data) or (len(data) > _BEGUN and not any(data[_BEGUN:]))
        return None, "" if has_begun else f"its counters cannot be read: {error}"
