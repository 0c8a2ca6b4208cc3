"""
Turns the output of the Antithesis SDKs of any language into shards.

These SDKs write, for each process, the first hit of each outcome and nothing more, so what is
counted here is at least what happened.  A file may hold the output of several processes, one
behind the other: each begins with an ``antithesis_sdk`` record.

Source: the wire format of the Antithesis SDKs, protocol 1.1.0.
"""

from __future__ import annotations

import json
import os
from collections import Counter

from ..errors import DataError
from ..inputs import LONGEST_LINE, open_found, open_named, parse_json
from ..model import (
    KINDS,
    NOWHERE,
    REACHABLE,
    UNREACHABLE,
    Kind,
    Location,
    assert_record,
    kind_displayed,
)
from ..utf8 import EncodingError, unmarked_lines
from . import shard
from .counters import FALSE_CELL, KIND_CELL, TRUE_CELL, Counters, message_hash, seen_bit
from .encode import DetailsEncoder, line, line_with_details
from .guidance import BOOLEAN, NUMERIC, closeness, worth_writing
from .private import hidden_beside, opener
from .shard_parser import ASSERT, GUIDANCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from ..inputs import Loads
    from .fast_path import Pair
    from .records import Record

SDK = "antithesis_sdk"
_LIFECYCLE = ("antithesis_setup",)
_DIAGNOSTICS = ("antithesis_error", "antithesis_warning")

MOST_ASSERTIONS = 100_000
_MOST_NAMES = 1_000
"""Of what is counted by name; the rest is counted together."""

MANY = "(others)"


class IngestStats:
    """
    What became of the records of one file.

    Attributes:
        understood: How many there are, by what they are.
        events: User events by name.
        unknown: What looks like a record of the wire and is none that is known, by what it is.
        unreadable: Numbers of the first lines that cannot be used, with why.
        unreadable_count: How many there are.
        is_torn: Whether the last line is cut off, as a killed process leaves it.
        languages: Of the SDKs that wrote it.
        shards: Names of the shards that were made.
        names: Of the different assertions, with their kinds.
        failure: Why none of it could be taken, with the file; empty if some was.
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
        self._untold = 0

    @property
    def total(self) -> int:
        """All lines of the file; each is one of the things above."""
        known = sum(self.understood.values()) + sum(self.events.values())
        return known + sum(self.unknown.values()) + self.unreadable_count + self.is_torn

    def cannot_read(self, number: int, reason: str) -> None:
        """Note a line that cannot be used."""
        self.unreadable_count += 1
        if len(self.unreadable) < 10:
            self.unreadable.append((number, reason))

    def troubles(self) -> list[tuple[int, str]]:
        """What is new of these lines: number and reason."""
        new, self._untold = self.unreadable[self._untold :], len(self.unreadable)
        return new


def _add(counter: Counter[str], name: str) -> None:
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
    Turn the output at *path* into shards of the run in *run_dir*.

    Args:
        name: What their names begin with; shards of that name are replaced.
        facts: What is known of the processes, for the headers of their shards.
        loads: A faster reader of JSON; what it cannot read, the standard one is asked for.
        named: Whether a person named the file, which may then be a link.

    Raises:
        DataError: It is the shard of a process of assertlib, which needs no conversion, or it
            is not UTF-8.
        OSError: It cannot be read, or the run cannot be written.
    """
    account = IngestStats(path)
    reading = _Reading(account, run_dir, name, {**_unknown_facts(path), **(facts or {})})
    try:
        with (open_named if named else open_found)(path) as file:
            for number, text in enumerate(unmarked_lines(_lines(file)), 1):
                if not text.endswith(b"\n") and not _is_whole(text, loads):
                    account.is_torn = True
                elif text.strip():
                    reading.take(number, text, loads)
                else:
                    account.understood["empty line"] += 1
        reading.finish()
    except EncodingError as error:
        reading.undo()
        raise DataError(f"{path}: {error}") from None
    except BaseException:
        reading.undo()
        raise
    return account


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of *file*; of one that is too long, the beginning and its end of line."""
    while text := file.readline(LONGEST_LINE):
        if len(text) < LONGEST_LINE or text.endswith(b"\n"):
            yield text
            continue
        while rest := file.readline(LONGEST_LINE):
            if rest.endswith(b"\n"):
                break
        yield b"(longer than %d bytes)\n" % LONGEST_LINE


def _is_whole(text: bytes, loads: Loads) -> bool:
    """Whether a last line without an end is a record all the same."""
    try:
        parse_json(text, loads)
    except ValueError:
        return False
    return True


def _unknown_facts(path: str) -> dict[str, object]:
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
    """One pass over a file."""

    def __init__(
        self, account: IngestStats, run_dir: str, name: str, facts: Mapping[str, object]
    ) -> None:
        self._account = account
        self._run_dir = run_dir
        self._name = name
        self._facts = facts
        self._process: _Process | None = None

    def take(self, number: int, text: bytes, loads: Loads) -> None:
        """Take one line."""
        try:
            record = parse_json(text, loads)
        except ValueError as error:
            self._account.cannot_read(number, f"not JSON: {error}")
            return
        if not isinstance(record, dict) or not record:
            self._account.cannot_read(number, "no record: it is no object, or an empty one")
            return
        key, body = next(iter(record.items()))
        if key == shard.HEADER:
            raise DataError(
                f"{self._account.path}:{number}: this is a shard of assertlib; copy it into a run"
                " directory, together with its counters"
            )
        self._take_record(str(key), body, number)

    def _take_record(self, key: str, body: object, number: int) -> None:
        account = self._account
        if key == SDK and isinstance(body, dict):
            account.understood["SDK header"] += 1
            self._end_process()
            self._begin_process(body)
        elif key in (ASSERT, GUIDANCE) and isinstance(body, dict):
            process = self._process or self._begin_process({})
            problem = process.take_assert(body) if key == ASSERT else process.take_guidance(body)
            if problem:
                account.cannot_read(number, f"{key} {problem}")
        elif key in _LIFECYCLE:
            account.understood["lifecycle record"] += 1
        elif key in _DIAGNOSTICS:
            account.understood["diagnostic"] += 1
        elif key.startswith("antithesis_"):
            _add(account.unknown, key[:100])
        else:
            _add(account.events, key[:100])

    def _begin_process(self, sdk: Record) -> _Process:
        language = sdk.get("language")
        known = language if isinstance(language, dict) else {}
        name = str(known.get("name") or "an unknown language")[:50]
        if name not in self._account.languages:
            self._account.languages.append(name)
        number = len(self._account.shards) + 1
        source = {
            "language": name,
            "version": str(known.get("version") or "")[:200],
            "sdk_version": str(sdk.get("sdk_version") or "")[:50],
            "protocol_version": str(sdk.get("protocol_version") or "")[:50],
            "file": self._account.path,
        }
        self._account.shards.append(f"{self._name}-{number}")
        path = os.path.join(self._run_dir, self._account.shards[-1])
        self._process = _Process(self._account, path, source, self._facts)
        return self._process

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.finish()
            self._process = None

    def finish(self) -> None:
        """Take the end of the file."""
        self._end_process()

    def undo(self) -> None:
        """Leave nothing of a file that was not read to its end."""
        if self._process is not None:
            self._process.discard()
        for name in self._account.shards:
            for suffix in (shard.SUFFIX, shard.COUNTS_SUFFIX):
                _unlink(os.path.join(self._run_dir, name + suffix))


class _Assertion:
    """One that a process has declared or hit."""

    def __init__(self, number: int, pair: Pair) -> None:
        self.number = number
        self._cells, self._index = pair

    def count(self, condition: bool) -> int:
        """Count one hit; returns how many there are with this outcome."""
        self._cells[self._index + KIND_CELL] |= seen_bit(condition)
        cell = self._index + (TRUE_CELL if condition else FALSE_CELL)
        self._cells[cell] += 1
        return self._cells[cell]


class _Process:
    """The shard of one process, as it is made."""

    def __init__(
        self,
        account: IngestStats,
        path: str,
        source: Mapping[str, object],
        facts: Mapping[str, object],
    ) -> None:
        self._account = account
        self._path = path
        self._time = facts["time"]
        trial = facts["trial"]
        self._trial = trial if isinstance(trial, dict) else {}
        self._assertions: dict[tuple[Kind, str], _Assertion] = {}
        self._nearest: dict[str, tuple[float, str]] = {}
        self._encoder = DetailsEncoder()
        for suffix in (shard.SUFFIX, shard.COUNTS_SUFFIX):
            _unlink(path + suffix)
        self._counters = Counters(path + shard.COUNTS_SUFFIX, [], os.getpid())
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
        """Take a declaration or a hit; returns what is wrong with it."""
        kind = _kind(body)
        if kind is None:
            claimed = ", ".join(repr(body.get(key))[:50] for key in ("display_type", "assert_type"))
            return f"unknown claim: {claimed}"
        name, hit, condition = body.get("id"), body.get("hit"), body.get("condition")
        name = body.get("message") if name is None else name
        if (
            not isinstance(name, str)
            or not isinstance(hit, bool)
            or not isinstance(condition, bool)
        ):
            return "has no id, or its hit or condition is no truth"
        location = _location(body.get("location"))
        assertion = self._assertions.get((kind, name))
        if assertion is None:
            if len(self._account.names) >= MOST_ASSERTIONS and (
                (kind, name) not in self._account.names
            ):
                return f"is beyond the first {MOST_ASSERTIONS:,} assertions"
            assertion = self._declare(kind, name, location)
        self._account.understood["hit" if hit else "declaration"] += 1
        if hit:
            # Old SDKs report the condition of an unreachable that was reached as true.
            outcome = kind is REACHABLE or (condition and kind is not UNREACHABLE)
            self._take_hit(assertion, kind, name, location, outcome, body.get("details"))
        return ""

    def _declare(self, kind: Kind, name: str, location: Location) -> _Assertion:
        hashed = message_hash(name)
        number, pair = self._counters.take_slot()
        self._counters.name_slot(number, hashed, kind.code)
        assertion = self._assertions[kind, name] = _Assertion(number, pair)
        self._account.names.add((kind, name))
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
        encoded = self._encoder.encode(details, name)
        record = assert_record(kind, name, location, hit=True, condition=outcome)
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
        """Take how close an assertion came; returns what is wrong with it."""
        name, data, hit = body.get("id"), body.get("guidance_data"), body.get("hit")
        if not isinstance(name, str) or not isinstance(hit, bool):
            return "has no id, or its hit is no truth"
        self._account.understood["guidance record"] += 1
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
        """Give the shard its name."""
        for _, text in self._nearest.values():
            self._file.write(text)
        troubles = self._account.troubles()
        for number, reason in troubles:
            self._file.write(line(shard.ERROR, self._trouble(number, reason)))
        body = {"time": self._time, "lost": 0, "troubles": len(troubles), "truncated": 0}
        self._file.write(line(shard.EXIT, body))
        self.close()
        os.replace(self._hidden, self._path + shard.SUFFIX)

    def _trouble(self, number: int, reason: str) -> Record:
        file = os.path.basename(self._account.path)
        return {
            "message": "a record of an Antithesis SDK",
            "reason": reason,
            "location": Location(file, "", "", number).wire(),
            "time": self._time,
            "trial": self._trial.get("id"),
        }

    def close(self) -> None:
        """Give the descriptors back."""
        self._file.close()
        self._counters.close()

    def discard(self) -> None:
        """Leave nothing of the shard that has no name yet."""
        self.close()
        _unlink(self._hidden)


def _kind(body: Record) -> Kind | None:
    """Its kind: the display type, or else derived from assert type and must_hit."""
    displayed = kind_displayed(str(body.get("display_type")))
    if displayed is not None:
        return displayed
    judged = body.get("assert_type"), body.get("must_hit")
    return next((kind for kind in KINDS if (kind.assert_type, kind.must_hit) == judged), None)


def _unlink(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def _location(value: object) -> Location:
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
    return value if isinstance(value, int) and 0 <= value < _MOST_LINES else 0


_MOST_LINES = 1 << 31
