"""
Reads what processes left in a run directory.

A torn last line is what a killed process leaves, and is passed over; any other
line that cannot be read is an error that names the file and the line.  What a line
is, its first characters tell: hits are passed over until somebody wants to know
more of them than the counters say.
"""

from __future__ import annotations

import json
import os

from ..model import UsageError
from . import shard
from .counters import CounterFile
from .reading import ASSERT, GUIDANCE, DetailsReading, Reading
from .records import Record, Shard
from .rundir import RUN_FILE, shard_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Takers = Mapping[str, Callable[[Record], None]]
    Loads = Callable[[bytes], object]


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
            for name in os.listdir(run_dir)
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
    lines, counts = path + shard.SUFFIX, _counter_file(path + shard.COUNTS_SUFFIX)
    reading = Reading(Shard(os.path.basename(path), lambda: _details(lines).finish(counts)))
    if os.path.exists(lines):
        _take_lines(lines, reading.takers(), _HITS, loads)
        reading.shard.torn = _is_torn(lines)
    _join(reading, counts, lambda: _details(lines))
    return reading.shard


def _join(
    reading: Reading, counts: CounterFile | None, details: Callable[[], DetailsReading]
) -> None:
    """Join lines and counters; hits are looked at only where counters do not tell all."""
    is_counted = counts is not None and counts.durable and counts.is_whole
    if counts is not None and is_counted:
        reading.shard.identities = [slot[:2] for slot in counts.slots]
    reading.finish(counts, None if is_counted else details())


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
    if os.path.exists(path):
        _take_lines(path, reading.takers(), _OTHERS)
    return reading


def _take_lines(
    path: str, takers: Takers, passed_over: tuple[bytes, ...], loads: Loads = json.loads
) -> None:
    with open(path, "rb", buffering=_BUFFER) as file:
        for number, text in enumerate(file, 1):
            # What is passed over must at least look whole, with no other record glued to it.
            if (
                text.startswith(passed_over)
                and text.endswith(b"}}\n")
                and text.rfind(b'{"assertlib_') <= 0
            ):
                continue
            _take_line(path, number, text, takers, loads)


def _take_line(
    path: str, number: int, text: bytes, takers: Takers, loads: Loads = json.loads
) -> None:
    if not text.endswith(b"\n"):
        return
    try:
        _take_record(loads(text), takers)
    except _BAD as error:
        if loads is json.loads:
            raise _bad_line(path, number, error) from error
        # Faster readers know no large integers, nor half a surrogate.
        _take_line(path, number, text, takers)


_BUFFER = 1 << 16
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def _take_record(record: object, takers: Takers) -> None:
    if not isinstance(record, dict) or not record:
        raise ValueError("not a record")
    key, body = next(iter(record.items()))
    # A user event is none of our business, as long as it is one; there are few.
    if key in _KEYS and not isinstance(body, dict):
        raise TypeError(f"{key} is not an object")
    if key in takers:
        takers[key](body)


class Follower:
    """Reads a shard while its process writes it: at each `read`, what is new."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self._lines = 0
        details = self._details = DetailsReading()
        self.shard = Shard(os.path.basename(path)[: -len(shard.SUFFIX)], lambda: details.details)
        self._reading = Reading(self.shard)
        self._takers = {**self._reading.takers(), **details.takers()}

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
        for number, text in enumerate(lines, self._lines + 1):
            _take_line(self._path, number, text, self._takers)
        self._offset += len(whole)
        self._lines += len(lines)

    def count(self) -> None:
        """Take what the counters tell now."""
        counts = _counter_file(self._path[: -len(shard.SUFFIX)] + shard.COUNTS_SUFFIX)
        self._details.finish(counts)
        _join(self._reading, counts, lambda: self._details)


_HIT_KEYS = (ASSERT, GUIDANCE, shard.SLOT, shard.HIT)
_OTHER_KEYS = (
    shard.HEADER,
    shard.TRIAL,
    shard.DELTA,
    shard.FAULTS,
    shard.FEATURES,
    shard.TROUBLE,
    shard.PROOF,
    shard.LIMIT,
    shard.EXIT,
)
_KEYS = frozenset((*_HIT_KEYS, *_OTHER_KEYS))
_HITS, _OTHERS = (
    tuple(f'{{"{key}": '.encode() for key in keys) for keys in (_HIT_KEYS, _OTHER_KEYS)
)
_ALL_BUT_GUIDANCE = tuple(each for each in _HITS + _OTHERS if GUIDANCE.encode() not in each)


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
