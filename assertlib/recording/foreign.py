"""
Converts the output of the Antithesis SDKs of any language to shards.

These SDKs write only the first hit of each outcome in each process, so the counts are lower bounds.
A file may hold the output of several processes, one after another; each begins with an
``antithesis_sdk`` record.

Over 500 lines, since each line of a file is accounted for in one place, from parsing to the shard.

Source: the wire format of the Antithesis SDKs, protocol 1.1.0.
"""

from __future__ import annotations

import json
import os
from collections import Counter

from .._text.inputs import LONGEST_LINE, open_found, open_named, parse_json
from .._text.utf8 import EncodingError, unmarked_lines
from ..errors import DataError
from ..model import (
    KINDS,
    MOST_LINES,
    NOWHERE,
    REACHABLE,
    UNREACHABLE,
    Kind,
    Location,
    assert_record,
    kind_displayed,
)
from . import shard
from .counters import FALSE_CELL, KIND_CELL, TRUE_CELL, Counters, message_hash, seen_bit
from .encode import DetailsEncoder, line, line_with_details
from .guidance import BOOLEAN, NUMERIC, closeness
from .limits import worth_writing
from .private import hidden_beside, opener
from .shard_parser import ASSERT, GUIDANCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from .._text.inputs import Loads
    from .fast_path import Pair
    from .records import Record

SDK = "antithesis_sdk"
_LIFECYCLE = ("antithesis_setup",)
_DIAGNOSTICS = ("antithesis_error", "antithesis_warning")

MOST_ASSERTIONS = 100_000
_MOST_NAMES = 1_000
"""Maximum number of names that are counted individually; others are counted together."""

MANY = "(others)"


class IngestStats:
    """
    Counts of the records of one file, by the way they were handled.

    Attributes:
        understood: Records that were converted or can be ignored, by type.
        events: User events, by name.
        unknown: Records with a key of the protocol that is not known, by key.
        unreadable: Number and reason for the first of the lines that cannot be used.
        unreadable_count: Number of all lines that cannot be used.
        is_torn: Whether the last line is incomplete, as left by a killed process.
        languages: Languages of the SDKs that wrote the file.
        shards: Names of the shards that were created.
        names: Kinds and messages of its assertions.
        failure: Why the file could not be converted, with its name; empty if it was.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.understood: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.unreadable: list[tuple[int, str]] = []
        self.unreadable_count = 0
        self.is_torn = False
        self.languages: list[str] = []
        self.shards: list[str] = []
        self.names: set[tuple[Kind, str]] = set()
        self.failure = ""
        self._reported = 0

    @property
    def total(self) -> int:
        """Number of lines in the file; each is counted above exactly once."""
        # An invariant: the tests compare it with the number of lines of any file.
        known = sum(self.understood.values()) + sum(self.events.values())
        return known + sum(self.unknown.values()) + self.unreadable_count + self.is_torn

    def cannot_read(self, number: int, reason: str) -> None:
        """Count line *number* as unreadable for *reason*."""
        self.unreadable_count += 1
        # All are counted, but a file of garbage must not become a list of its lines.
        if len(self.unreadable) < 10:
            self.unreadable.append((number, reason))

    def troubles(self) -> list[tuple[int, str]]:
        """Number and reason of the lines that became unreadable since the last call."""
        new, self._reported = self.unreadable[self._reported :], len(self.unreadable)
        return new


def _add(counter: Counter[str], name: str) -> None:
    # Names come from the file: without a bound, each line could add one.
    counter[name if name in counter or len(counter) < _MOST_NAMES else MANY] += 1


def convert(
    path: str,
    run_dir: str,
    name: str,
    facts: Mapping[str, object] | None = None,
    loads: Loads = json.loads,
    *,
    named: bool = False,
) -> IngestStats:
    """
    Convert the output of an SDK to shards of a run.

    Args:
        path: The file with the output.
        run_dir: The run directory that receives the shards.
        name: Prefix of their names; existing shards of these names are replaced.
        facts: Fields of their headers that are known; None or missing ones get defaults.
        loads: A faster JSON parser; the standard one parses what it rejects.
        named: Whether a user passed the file, which may then be a link.

    Raises:
        DataError: The file is a shard of assertlib itself, which needs no conversion, or is not
            UTF-8.
        OSError: The file cannot be read, or the run cannot be written.
    """
    stats = IngestStats(path)
    reading = _Reading(stats, run_dir, name, {**_unknown_facts(path), **(facts or {})})
    try:
        with (open_named if named else open_found)(path) as file:
            for number, text in enumerate(unmarked_lines(_lines(file)), 1):
                # Without a line feed, a last line counts if it is whole: it may be a violation.
                if not text.endswith(b"\n") and not _is_whole(text, loads):
                    stats.is_torn = True
                elif text.strip():
                    reading.take(number, text, loads)
                else:
                    stats.understood["empty line"] += 1
        reading.finish()
    except EncodingError as error:
        reading.undo()
        raise DataError(f"{path}: {error}") from None
    except BaseException:
        # Ctrl-C as well: a run must not keep part of a file as if it were the whole.
        reading.undo()
        raise
    return stats


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of *file*; one that is too long is replaced by a line that is not JSON."""
    # Instead of an error: one such line must not keep the rest from being converted.
    while text := file.readline(LONGEST_LINE):
        if len(text) < LONGEST_LINE or text.endswith(b"\n"):
            yield text
            continue
        while rest := file.readline(LONGEST_LINE):
            if rest.endswith(b"\n"):
                break
        yield b"(longer than %d bytes)\n" % LONGEST_LINE


def _is_whole(text: bytes, loads: Loads) -> bool:
    """Whether a last line without a line feed is complete JSON."""
    try:
        parse_json(text, loads)
    except ValueError:
        return False
    return True


def _unknown_facts(path: str) -> dict[str, object]:
    # The format has no times, so there is no clock to derive an order from.
    return {
        "time": max(0, os.stat(path).st_mtime_ns),
        "clock": None,
        "clock_id": "",
        "command": [],
        "commit": None,
        "features": {},
        "trial": None,
    }


class _Reading:
    """A pass over one file."""

    def __init__(
        self, stats: IngestStats, run_dir: str, name: str, facts: Mapping[str, object]
    ) -> None:
        self._stats = stats
        self._run_dir = run_dir
        self._name = name
        self._facts = facts
        self._process: _Process | None = None

    def take(self, number: int, text: bytes, loads: Loads) -> None:
        """Convert line *number*, whose bytes are *text*."""
        try:
            record = parse_json(text, loads)
        except ValueError as error:
            self._stats.cannot_read(number, f"not JSON: {error}")
            return
        if not isinstance(record, dict) or not record:
            self._stats.cannot_read(number, "not a record: it is not an object, or is empty")
            return
        key, body = next(iter(record.items()))
        if key == shard.HEADER:
            # Converted, it would lose its exact counts, and its trials.
            raise DataError(
                f"{self._stats.path}:{number}: this is an assertlib shard; copy it into a run"
                " directory, together with its counters"
            )
        self._take_record(str(key), body, number)

    def _take_record(self, key: str, body: object, number: int) -> None:
        stats = self._stats
        if key == SDK and isinstance(body, dict):
            stats.understood["SDK header"] += 1
            self._end_process()
            self._begin_process(body)
        elif key in (ASSERT, GUIDANCE) and isinstance(body, dict):
            # Without a header the language is unknown, but the assertions count.
            process = self._process or self._begin_process({})
            problem = process.take_assert(body) if key == ASSERT else process.take_guidance(body)
            if problem:
                stats.cannot_read(number, f"{key} {problem}")
        elif key in _LIFECYCLE:
            stats.understood["lifecycle record"] += 1
        elif key in _DIAGNOSTICS:
            stats.understood["diagnostic"] += 1
        elif key.startswith("antithesis_"):
            # Of a newer protocol, or malformed; any other key is a user event.
            _add(stats.unknown, key[:100])
        else:
            _add(stats.events, key[:100])

    def _begin_process(self, sdk: Record) -> _Process:
        # All of these come from the file and are shown in reports, so their lengths are bounded.
        language = sdk.get("language")
        known = language if isinstance(language, dict) else {}
        name = str(known.get("name") or "an unknown language")[:50]
        if name not in self._stats.languages:
            self._stats.languages.append(name)
        number = len(self._stats.shards) + 1
        source = {
            "language": name,
            "version": str(known.get("version") or "")[:200],
            "sdk_version": str(sdk.get("sdk_version") or "")[:50],
            "protocol_version": str(sdk.get("protocol_version") or "")[:50],
            "file": self._stats.path,
        }
        self._stats.shards.append(f"{self._name}-{number}")
        path = os.path.join(self._run_dir, self._stats.shards[-1])
        self._process = _Process(self._stats, path, source, self._facts)
        return self._process

    def _end_process(self) -> None:
        if self._process is not None:
            # Kept until it has finished, so that `undo` can discard it.
            self._process.finish()
            self._process = None

    def finish(self) -> None:
        """Finish the last shard, at the end of the file."""
        self._end_process()

    def undo(self) -> None:
        """Remove all shards of a file that could not be read to its end."""
        if self._process is not None:
            self._process.discard()
        for name in self._stats.shards:
            for suffix in (shard.SUFFIX, shard.COUNTS_SUFFIX):
                _unlink(os.path.join(self._run_dir, name + suffix))


class _Assertion:
    """An assertion that a process has declared or hit."""

    def __init__(self, number: int, pair: Pair) -> None:
        self.number = number
        self._cells, self._index = pair

    def count(self, condition: bool) -> int:
        """Count one hit; returns the number of hits with this outcome."""
        # Marked first, as by the recorder: a count of an outcome that was never seen is damage.
        self._cells[self._index + KIND_CELL] |= seen_bit(condition)
        cell = self._index + (TRUE_CELL if condition else FALSE_CELL)
        self._cells[cell] += 1
        return self._cells[cell]


class _Process:
    """The shard of one process, while it is being written."""

    def __init__(
        self,
        stats: IngestStats,
        path: str,
        source: Mapping[str, object],
        facts: Mapping[str, object],
    ) -> None:
        self._stats = stats
        self._path = path
        self._time = facts["time"]
        trial = facts["trial"]
        self._trial = trial if isinstance(trial, dict) else {}
        self._assertions: dict[tuple[Kind, str], _Assertion] = {}
        self._nearest: dict[str, tuple[float, str]] = {}
        self._encoder = DetailsEncoder()
        # Of an earlier conversion; counters are created exclusively.
        for suffix in (shard.SUFFIX, shard.COUNTS_SUFFIX):
            _unlink(path + suffix)
        self._counters = Counters(path + shard.COUNTS_SUFFIX, [], os.getpid())
        # The lines get their name once they are complete, so that they are never read half written.
        self._hidden = hidden_beside(path)
        self._file = open(  # noqa: SIM115
            self._hidden, "x", encoding="ascii", errors="backslashreplace", opener=opener
        )
        header = {
            "schema": shard.SCHEMA,
            "shard": os.path.basename(path),
            "source": source,
            **facts,
        }
        self._file.write(line(shard.HEADER, header))

    def take_assert(self, body: Record) -> str:
        """
        Convert a declaration or a hit.

        Args:
            body: Body of the record.

        Returns:
            What is wrong with it; empty if it could be used.
        """
        kind = _kind(body)
        if kind is None:
            claimed = ", ".join(repr(body.get(key))[:50] for key in ("display_type", "assert_type"))
            return f"unknown kind of assertion: {claimed}"
        name, hit, condition = body.get("id"), body.get("hit"), body.get("condition")
        name = body.get("message") if name is None else name
        if (
            not isinstance(name, str)
            or not isinstance(hit, bool)
            or not isinstance(condition, bool)
        ):
            return "has no id, or its hit or condition is neither true nor false"
        location = _location(body.get("location"))
        # A hit need not be declared before: some SDKs leave declarations to a catalog.
        assertion = self._assertions.get((kind, name))
        if assertion is None:
            if len(self._stats.names) >= MOST_ASSERTIONS and (
                (kind, name) not in self._stats.names
            ):
                # Below the bound of readers, which reject a run with more.
                return f"is beyond the first {MOST_ASSERTIONS:,} assertions"
            assertion = self._declare(kind, name, location)
        self._stats.understood["hit" if hit else "declaration"] += 1
        if hit:
            # Old SDKs report a true condition for an unreachable that was reached.
            outcome = kind is REACHABLE or (condition and kind is not UNREACHABLE)
            self._take_hit(assertion, kind, name, location, outcome, body.get("details"))
        return ""

    def _declare(self, kind: Kind, name: str, location: Location) -> _Assertion:
        hashed = message_hash(name)
        number, pair = self._counters.take_slot()
        self._counters.name_slot(number, hashed, kind.code)
        assertion = self._assertions[kind, name] = _Assertion(number, pair)
        self._stats.names.add((kind, name))
        slot = {
            "slot": number, "id": name, "kind": kind.name, "invariant": None,
            "hash": f"{hashed:016x}",
        }  # fmt: skip
        declared = assert_record(kind, name, location, hit=False, condition=False)
        self._file.write(line(ASSERT, declared) + line(shard.SLOT, slot))
        return assertion

    def _take_hit(
        self,
        assertion: _Assertion,
        kind: Kind,
        name: str,
        location: Location,
        outcome: bool,
        details: object,
    ) -> None:
        count = assertion.count(outcome)
        if not worth_writing(count):
            return
        # Encoded again, not copied: the bounds and redactions of our own details apply to these.
        encoded = self._encoder.encode(details, name)
        record = assert_record(kind, name, location, hit=True, condition=outcome)
        # The SDKs know no trials, so all violations of a process are numbered together.
        extra = {
            "slot": assertion.number,
            "id": name,
            "condition": outcome,
            "count": count,
            "time": self._time,
            "clock": None,
            "trial": self._trial.get("id"),
            "seed": self._trial.get("seed"),
            "nth": count if kind.violated_by_false and not outcome else 0,
        }
        self._file.write(line_with_details(ASSERT, record, "details", encoded.text))
        self._file.write(line(shard.VIOLATION if extra["nth"] else shard.HIT, extra))

    def take_guidance(self, body: Record) -> str:
        """Convert the guidance in *body*; returns what is wrong with it, empty if nothing."""
        name, data, hit = body.get("id"), body.get("guidance_data"), body.get("hit")
        if not isinstance(name, str) or not isinstance(hit, bool):
            return "has no id, or its hit is neither true nor false"
        self._stats.understood["guidance record"] += 1
        # Only the closest value is kept, and written at the end.
        if hit and isinstance(data, dict):
            maximize = bool(body.get("maximize"))
            value = closeness(data) * (1 if maximize else -1)
            known = self._nearest.get(name)
            if (known is None and len(self._nearest) < MOST_ASSERTIONS) or (
                known is not None and value > known[0]
            ):
                self._nearest[name] = value, self._guidance_line(name, body, data, maximize)
        return ""

    def _guidance_line(self, name: str, body: Record, data: Record, maximize: bool) -> str:
        body = {
            "guidance_type": BOOLEAN if body.get("guidance_type") == BOOLEAN else NUMERIC,
            "id": name,
            "message": name,
            "location": _location(body.get("location")).wire(),
            "maximize": maximize,
            "hit": True,
        }
        encoded = self._encoder.encode(data, name)
        return line_with_details(GUIDANCE, body, "guidance_data", encoded.text or "{}")

    def finish(self) -> None:
        """Write the last lines, and give the shard its name."""
        for _, text in self._nearest.values():
            self._file.write(text)
        troubles = self._stats.troubles()
        # In a shard each is an assertion that could not be evaluated, so the report shows it.
        for number, reason in troubles:
            self._file.write(line(shard.ERROR, self._trouble(number, reason)))
        body = {"time": self._time, "lost": 0, "troubles": len(troubles), "truncated": 0}
        self._file.write(line(shard.EXIT, body))
        self.close()
        os.replace(self._hidden, self._path + shard.SUFFIX)

    def _trouble(self, number: int, reason: str) -> Record:
        file = os.path.basename(self._stats.path)
        return {
            "message": "a record from an Antithesis SDK",
            "reason": reason,
            "location": Location(file, "", "", number).wire(),
            "time": self._time,
            "trial": self._trial.get("id"),
        }

    def close(self) -> None:
        """Close the descriptors."""
        self._file.close()
        self._counters.close()

    def discard(self) -> None:
        """Remove the lines, which have no name yet."""
        self.close()
        _unlink(self._hidden)


def _kind(body: Record) -> Kind | None:
    """The kind in a record: its display type, or the one with its assert type and must_hit."""
    # A kind that is new to us can still be judged if its pair is known.
    displayed = kind_displayed(str(body.get("display_type")))
    if displayed is not None:
        return displayed
    judged = body.get("assert_type"), body.get("must_hit")
    return next((kind for kind in KINDS if (kind.assert_type, kind.must_hit) == judged), None)


def _unlink(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def _location(value: object) -> Location:
    # Lenient, unlike the parser of our own shards: a location only serves display.
    if not isinstance(value, dict):
        return NOWHERE
    return Location(
        _text(value.get("file")),
        _text(value.get("function")),
        _text(value.get("class")),
        _number(value.get("begin_line")),
        _number(value.get("begin_column")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < MOST_LINES else 0
