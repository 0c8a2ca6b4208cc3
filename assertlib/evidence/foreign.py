"""
Output of Antithesis SDKs in a run: files that somebody gives us, and those that processes left
which `assertlib exec` had started.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from ..errors import DataError
from ..inputs import LATEST, TooLargeError, lines_in, open_found, open_named, parse_json
from ..recording import private
from ..recording.foreign import IngestStats, convert
from ..recording.reader import UnreadableRunError, read_json_object
from ..recording.reprs import redacted_command
from ..recording.rundir import KNOWN, OUTPUTS, LiveShards
from ..recording.shard import HEADER, SUFFIX
from ..recording.system import system
from ..recording.trials import from_dict

OUTPUT_ENV = "ANTITHESIS_SDK_LOCAL_OUTPUT"
_HASHED = 8
_PART = 1 << 20
_LARGEST = 1 << 30
"""Bytes of what a process left; an SDK writes the first hits of each assertion only."""


def ingest(files: Sequence[Path], run: Path) -> Iterator[IngestStats]:
    """
    Take *files* into *run*, as shards; one that is there already, or has grown, is replaced.

    Raises:
        DataError: One of them cannot be read, or is no such output.
    """
    for path in files:
        try:
            with _seekable(path) as source:
                facts = {**_facts_beside(path.with_suffix(KNOWN)), "content": _content(source)}
                name = _name(path, source, run)
                account = convert(str(source), str(run), name, facts, orjson.loads, named=True)
                account.path = str(path)
                yield account
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None


@contextmanager
def _seekable(path: Path) -> Iterator[Path]:
    """*path*, or a copy of what comes out of it, if it is a pipe."""
    if not path.is_fifo():
        # Readers refuse what is not a file, such as a device, which may never end.
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as copy, path.open("rb") as source:
        shutil.copyfileobj(source, copy)
        copy.flush()
        yield Path(copy.name)


def _name(path: Path, source: Path, run: Path) -> str:
    """
    What the shards of a file are called: the same, if it is the one that is there, or has grown.

    Two processes may leave files of the same name, one after the other, or of the same content.
    """
    if path.parent.resolve() == (run / OUTPUTS).resolve():
        return path.stem
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.name.partition(".")[0]) or OUTPUTS
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:_HASHED]
    for number in itertools.count(1):
        name = f"{stem}-{place}" + (f".{number}" if number > 1 else "")
        known = _content_of(run / f"{name}-1{SUFFIX}")
        if known is None or _content(source, known[0]) == known:
            return name
    raise AssertionError


def _content(path: Path, size: int | None = None) -> tuple[int, str]:
    """Length and hash of a file, or of its first *size* bytes."""
    whole = path.stat().st_size
    left = whole if size is None else size
    hashed = hashlib.sha256()
    with open_named(path) as file:
        while left and (part := file.read(min(left, _PART))):
            hashed.update(part)
            left -= len(part)
    return (whole if size is None else size), hashed.hexdigest()


def _content_of(shard: Path) -> tuple[int, str] | None:
    """What file a shard was made from; nothing if there is none."""
    try:
        with open_found(shard) as file:
            header = parse_json(next(iter(lines_in(file)), b""))
        size, hashed = header[HEADER]["content"]  # type: ignore[index]
        return int(size), str(hashed)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def new_output(directory: Path, command: Sequence[str], facts: Mapping[str, object]) -> Path:
    """
    A path for the output of this process, which nobody else has, and beside it what is known.

    It is reserved before the process starts: the SDK for Go empties the file that it is given.
    """
    private.make_directory(directory)
    path = directory / f"{os.getpid()}-{os.urandom(4).hex()}.jsonl"
    known = {
        **facts,
        "time": time.time_ns(),
        "clock": system.clock(),
        "clock_id": system.clock_id(),
        "pid": os.getpid(),
        "command": redacted_command(command),
    }
    # Whoever wants to know whether the process lives tries to lock this; it stays open in it.
    hidden = private.hidden_beside(path)
    fd = private.opener(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.write(fd, json.dumps(known).encode())
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.set_inheritable(fd, True)
    os.rename(hidden, path.with_suffix(KNOWN))
    return path


def take_outputs(run: Path) -> list[IngestStats]:
    """
    What processes of *run* left in files of their own, as shards.

    Raises:
        UnreadableRunError: Their directory is a link.
    """
    accounts = []
    if (run / OUTPUTS).is_symlink():
        raise UnreadableRunError(f"{run / OUTPUTS}: is a symbolic link; remove it from the run")
    for path in sorted((run / OUTPUTS).glob("*.jsonl")):
        try:
            if path.lstat().st_size > _LARGEST:
                raise TooLargeError(0, f"is larger than {_LARGEST:,} bytes")
            # By content: times of files follow a clock that may have been set back.
            content = _content(path)
            if _content_of(run / f"{path.stem}-1{SUFFIX}") == content:
                continue
            facts = {**_facts(path.with_suffix(KNOWN)), "content": content}
            accounts.append(convert(str(path), str(run), path.stem, facts, orjson.loads))
        except (DataError, OSError) as error:
            account = IngestStats(str(path))
            problem = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
            account.failure = problem
            account.cannot_read(0, problem)
            accounts.append(account)
    return accounts


def still_running(run: Path) -> list[int]:
    """Ids of the processes of *run* that `exec` started and that may go on writing."""
    alive = LiveShards(str(run / OUTPUTS), suffix=KNOWN).names()
    pids = (name.partition("-")[0] for name in alive)
    return sorted(int(pid) for pid in pids if pid.isdecimal())


def _is_time(value: object) -> bool:
    return type(value) is int and 0 <= value <= LATEST


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_FACTS: dict[str, Callable[[Any], bool]] = {
    "pid": _is_time,
    "time": _is_time,
    "clock": _is_time,
    "clock_id": _is_text,
    "command": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "commit": lambda value: isinstance(value, str | None),
    "run": _is_text,
    "features": lambda value: (
        isinstance(value, dict) and all(isinstance(each, bool) for each in value.values())
    ),
    "trial": lambda value: isinstance(value, dict | None),
}


def _facts_beside(path: Path) -> dict[str, object]:
    """What `new_output` wrote beside an output; nothing if the file is another's, or not there."""
    try:
        return _facts(path)
    except UnreadableRunError:
        return {}


def _facts(path: Path) -> dict[str, object]:
    """
    What `new_output` wrote beside an output of a run; nothing without such a file.

    Raises:
        UnreadableRunError: It holds anything else.
    """
    known = read_json_object(str(path))
    if known is None:
        return {}
    for name, holds in _FACTS.items():
        if name not in known or not holds(known[name]):
            raise known.error(name, f"is {repr(known.get(name))[:_SHOWN]}, which it cannot be")
    trial = known["trial"]
    if isinstance(trial, dict):
        try:
            from_dict(trial)
        except ValueError as error:
            raise known.error("trial", f"cannot be read: {error}") from None
    return {name: known[name] for name in _FACTS}


_SHOWN = 60
