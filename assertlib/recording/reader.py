"""
Reads the shards in a run directory.

A killed process leaves a torn last line, which is skipped; any other line that cannot be parsed is
an error with file and line.  The prefix of a line identifies the record, so hits are parsed only on
demand, or if the counters are incomplete.
"""

from __future__ import annotations

import json
import os

from .._text.inputs import (
    LongLineError,
    line_of,
    lines_in,
    open_found,
    parse_json,
    read_found,
)
from ..errors import DataError
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

    from .._text.inputs import Loads
    from .shard_parser import Takers


class UnreadableRunError(DataError):
    """A file of a run is damaged or unreadable; the text names file, line and remedy."""


class JsonFile(dict[str, object]):
    """The JSON object in a file, with the lines of its keys."""

    def __init__(self, path: str, data: bytes, value: Record) -> None:
        super().__init__(value)
        self._path = path
        self._data = data

    def error(self, key: str, problem: str) -> UnreadableRunError:
        """An error for the value of *key*, with file and line; *problem* describes it."""
        line = line_of(self._data, key)
        return UnreadableRunError(f"{self._path}:{line}: {key!r} {problem}; {_REMEDY}")


def read_run_file(run_dir: str) -> JsonFile | None:
    """
    The description of the run in *run_dir*; None if there is none.

    Raises:
        UnreadableRunError: It cannot be read, or is not a JSON object.
    """
    return read_json_object(os.path.join(run_dir, RUN_FILE))


def read_json_object(path: str) -> JsonFile | None:
    """
    The JSON object in the file *path* of a run directory; None if there is no such file.

    Raises:
        UnreadableRunError: It cannot be read, or is not a JSON object.
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


_REMEDY = "remove the run or record it again"


def _line_in(error: ValueError) -> int:
    return error.lineno if isinstance(error, json.JSONDecodeError) else 1


def read_shards(run_dir: str) -> list[Shard]:
    """
    The shards in *run_dir*, sorted by name.

    Raises:
        UnreadableRunError: The directory cannot be read, or a shard holds a bad line that is not
            its torn last one.
    """
    return [read_shard(os.path.join(run_dir, name)) for name in shard_names(run_dir)]


def shard_names(run_dir: str) -> list[str]:
    """
    The names of the shards in *run_dir*, sorted.

    Raises:
        UnreadableRunError: The directory cannot be read.
    """
    # Counters alone are a shard, so deleting the lines hides no violation.
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
    Read one shard, except for its hits, which are read at the first access.

    Args:
        path: Path of the shard, without suffix.
        loads: A faster JSON parser; the standard one parses what it rejects.

    Raises:
        UnreadableRunError: A line that is not a torn last one cannot be read.
    """
    lines = path + shard.SUFFIX
    reading = Reading(Shard(os.path.basename(path), lambda: _details(lines).finish(counts)))
    declared, reading.shard.torn = _take_lines(lines, reading.takers(), _HITS, loads)
    # After the lines, so that the counters of a live process never lag behind them, which would
    # be damage.
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
    """Combine lines and counters; hits are parsed only if the counters are incomplete."""
    target = reading.shard
    target.damage = [] if counts is None else list(counts.damage)
    in_memory = damage == _IN_MEMORY
    # Only a header that promises counters makes their absence damage: foreign shards, for
    # example, make no promise.
    if counts is None and not in_memory and (damage or target.header.get("durable") is True):
        target.damage.append(damage or "its counters are missing")
    # Exact counters make the hits unnecessary, which are most of the file.
    is_counted = counts is not None and counts.durable and not counts.damage
    if counts is not None and is_counted:
        target.identities = [slot[:2] for slot in counts.slots]
    reading.finish(counts, None if is_counted else details(), declared, in_memory=in_memory)


def guidance_of(path: str) -> dict[str, Record]:
    """
    The last guidance record of each rich assertion, by message, in the lines at *path*.

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
    """
    Pass each record to its taker, except those with a prefix in *passed_over*.

    Returns:
        How many lines declare an assertion, and whether the last line is torn.
    """
    declared, is_torn = 0, False
    for number, text in _numbered_lines(path):
        # Counted without parsing, so that a missing declaration can be noticed cheaply.
        declared += text.startswith(_SLOT)
        # A line that is passed over must at least look whole, with no other record glued to it.
        # Anything else is parsed, so that damage is reported with its line.
        if (
            text.startswith(passed_over)
            and text.endswith(b"}}\n")
            and text.rfind(b'{"assertlib_') <= 0
        ):
            continue
        if text.endswith(b"\n"):
            _take_line(path, number, text, takers, loads)
        else:
            # Only the last line can lack its end.
            is_torn = True
    return declared, is_torn


def _numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines at *path* with their numbers, from 1; none if there is no such file."""
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
    # User events may have any body, so only those of known records are checked.
    if key in _KEYS and not isinstance(body, dict):
        raise TypeError(f"{key} is not an object")
    if key in takers:
        takers[key](body, number)


class Follower:
    """
    Reads a shard while its process writes it; each `read` takes the lines that were added.

    Attributes:
        shard: The contents so far.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self._lines = 0
        # Each line is read once, so both passes of `read_shard` take it at the same time.
        details = self._details = DetailsReading()
        self.shard = Shard(os.path.basename(path)[: -len(shard.SUFFIX)], lambda: details.details)
        self._reading = Reading(self.shard)
        self._takers = _both(self._reading.takers(), details.takers())
        self._declared = 0

    def read(self) -> None:
        """
        Take the lines that were added since the last call.

        Raises:
            UnreadableRunError: One of them cannot be read, or the file has become shorter.
        """
        try:
            with open_found(self._path) as file:
                self._read_new(file)
        except FileNotFoundError:
            # Counters alone are a shard; the lines may still appear.
            return
        except LongLineError as error:
            raise _bad_line(self._path, error.number, error) from None
        except OSError as error:
            raise UnreadableRunError(f"{self._path}: {error.strerror}; {_REMEDY}") from None

    def _read_new(self, file: IO[bytes]) -> None:
        # Whole lines are never taken back, so a shorter file was damaged or replaced.
        size = file.seek(0, os.SEEK_END)
        if size < self._offset:
            raise UnreadableRunError(
                f"{self._path}: truncated from {self._offset:,} to {size:,} bytes while it was"
                f" being read; {_REMEDY}"
            )
        if size == self._offset:
            return
        file.seek(self._offset)
        for text in lines_in(file, self._lines):
            if not text.endswith(b"\n"):
                # The reader may have met a write under way: the next call reads it again.
                return
            self._declared += text.startswith(_SLOT)
            self._lines += 1
            self._offset += len(text)
            _take_line(self._path, self._lines, text, self._takers)

    def count(self) -> None:
        """Take the current values of the counters."""
        path = self._path[: -len(shard.SUFFIX)] + shard.COUNTS_SUFFIX
        counts, damage = _counter_file(path)
        self._details.finish(counts)
        _join(self._reading, counts, damage, lambda: self._details, self._declared)


def _both(first: Takers, second: Takers) -> Takers:
    """The takers of both; a record that both want goes to *first*, then to *second*."""

    def twice(key: str) -> Callable[[Record, int], None]:
        def take(body: Record, line: int) -> None:
            first[key](body, line)
            second[key](body, line)

        return take

    return {**first, **second, **{key: twice(key) for key in first.keys() & second.keys()}}


# Prefixes, exactly as `encode.line` writes them.
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
    # The text of an error may quote values of the line, which can have megabytes.
    problem = f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
    return UnreadableRunError(
        f"{path}:{number}: cannot be read ({problem}); only the last line of"
        " a shard may be torn, so the file was changed: remove it or record the run again"
    )


_LONGEST_PROBLEM = 500


_BEGUN = 2 * CELL_BYTES
_IN_MEMORY = "its counts were in memory only"


def _counter_file(path: str) -> tuple[CounterFile | None, str]:
    """The counters at *path*, or the damage; neither if the file is missing or just begun."""
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
        # A process that has just begun has written at most the first two cells.
        has_begun = not any(data) or (len(data) > _BEGUN and not any(data[_BEGUN:]))
        return None, "" if has_begun else f"its counters cannot be read: {error}"
