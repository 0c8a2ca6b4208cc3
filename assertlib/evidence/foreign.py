"""
Ingestion of Antithesis SDK output into a run.

The files are named by the user, or were written by processes that `assertlib exec` started.
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

from .._text.inputs import LATEST, TooLargeError, lines_in, open_found, open_named, parse_json
from ..errors import DataError, quoted
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
"""Largest output of a process in bytes; SDKs write only the first hits of each assertion."""


def ingest(files: Sequence[Path], run: Path) -> Iterator[IngestStats]:
    """
    Convert files of SDK output to shards of a run.

    A file that was ingested before, and may have grown since, replaces its shards.

    Args:
        files: The files; pipes are read to their end.
        run: The run directory.

    Yields:
        The result for each file.

    Raises:
        DataError: A file cannot be read, or is not the output of an SDK.
    """
    for path in files:
        try:
            with _seekable(path) as source:
                facts = {**_facts_beside(path.with_suffix(KNOWN)), "content": _content(source)}
                name = _name(path, source, run)
                stats = convert(str(source), str(run), name, facts, orjson.loads, named=True)
                stats.path = str(path)
                yield stats
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None


@contextmanager
def _seekable(path: Path) -> Iterator[Path]:
    """*path* itself, or a copy of what a pipe delivers."""
    # A file is read several times, to hash it and to convert it; a pipe can be read once.
    if not path.is_fifo():
        # Readers reject everything else that is not a regular file, such as an endless device.
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as copy, path.open("rb") as source:
        shutil.copyfileobj(source, copy)
        copy.flush()
        yield Path(copy.name)


def _name(path: Path, source: Path, run: Path) -> str:
    """
    Choose the name of a file's shards, stable if the file was ingested before or has grown.

    Neither path nor content identify a file alone: two processes may write files of one name, one
    after the other, or of equal content.
    """
    if path.parent.resolve() == (run / OUTPUTS).resolve():
        return path.stem
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.name.partition(".")[0]) or OUTPUTS
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:_HASHED]
    # The same file iff the recorded content is a prefix of its content: SDKs append.
    for number in itertools.count(1):
        name = f"{stem}-{place}" + (f".{number}" if number > 1 else "")
        known = _content_of(run / f"{name}-1{SUFFIX}")
        if known is None or _content(source, known[0]) == known:
            return name
    raise AssertionError


def _content(path: Path, size: int | None = None) -> tuple[int, str]:
    """Size and SHA-256 of a file, or of its first *size* bytes."""
    whole = path.stat().st_size
    left = whole if size is None else size
    hashed = hashlib.sha256()
    with open_named(path) as file:
        while left and (part := file.read(min(left, _PART))):
            hashed.update(part)
            left -= len(part)
    return (whole if size is None else size), hashed.hexdigest()


def _content_of(shard: Path) -> tuple[int, str] | None:
    """Size and hash of the file that *shard* was made from; None if that is unknown."""
    try:
        with open_found(shard) as file:
            header = parse_json(next(iter(lines_in(file)), b""))
        size, hashed = header[HEADER]["content"]  # type: ignore[index]
        return int(size), str(hashed)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def new_output(directory: Path, command: Sequence[str], facts: Mapping[str, object]) -> Path:
    """
    Reserve a unique path for the SDK output of this process, with a file of facts beside it.

    The path is unique since the SDK for Go truncates the file that it is given.

    Args:
        directory: The directory for the outputs of the run.
        command: The command that this process is about to exec.
        facts: What else is recorded about the process.

    Returns:
        The path for the output, which does not exist yet.
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
    # The process is alive while this file is locked.  The descriptor is inheritable and never
    # closed, so that the lock survives exec and ends with the process.
    hidden = private.hidden_beside(path)
    fd = private.opener(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.write(fd, json.dumps(known).encode())
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.set_inheritable(fd, True)
    # Renamed once it is locked: under its final name it never looks like that of a dead process.
    os.rename(hidden, path.with_suffix(KNOWN))
    return path


def take_outputs(run: Path) -> list[IngestStats]:
    """
    Ingest the output files of processes in the run directory *run*.

    Files that have not changed since they were last ingested are skipped.

    Returns:
        The result for each new or changed file; a file that cannot be read is a failure in it.

    Raises:
        UnreadableRunError: The directory of the files is a symbolic link.
    """
    ingested = []
    # A stranger's link could lead to files outside of the run.
    if (run / OUTPUTS).is_symlink():
        raise UnreadableRunError(f"{run / OUTPUTS}: is a symbolic link; remove it from the run")
    for path in sorted((run / OUTPUTS).glob("*.jsonl")):
        try:
            if path.lstat().st_size > _LARGEST:
                raise TooLargeError(0, f"is larger than {_LARGEST:,} bytes")
            # Compared by content, as modification times follow a clock that may be set back.
            content = _content(path)
            if _content_of(run / f"{path.stem}-1{SUFFIX}") == content:
                continue
            facts = {**_facts(path.with_suffix(KNOWN)), "content": content}
            ingested.append(convert(str(path), str(run), path.stem, facts, orjson.loads))
        except (DataError, OSError) as error:
            # One damaged file must not keep the others out of the run, or go unreported.
            stats = IngestStats(str(path))
            problem = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
            stats.failure = problem
            stats.cannot_read(0, problem)
            ingested.append(stats)
    return ingested


def still_running(run: Path) -> list[int]:
    """Ids of the processes of *run* that `exec` started and that still run."""
    # The facts are locked, not the output: the SDK opens that itself.
    alive = LiveShards(str(run / OUTPUTS), suffix=KNOWN).names()
    pids = (name.partition("-")[0] for name in alive)
    return sorted(int(pid) for pid in pids if pid.isdecimal())


def _is_time(value: object) -> bool:
    # Not isinstance: true is an integer to Python.
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
    """The facts beside a file that the user names; empty without any, or if they are not ours."""
    # A JSON file of the same stem may be anything.
    try:
        return _facts(path)
    except UnreadableRunError:
        return {}


def _facts(path: Path) -> dict[str, object]:
    """
    Read the facts that `new_output` wrote beside an output of a run; empty without such a file.

    Raises:
        UnreadableRunError: The file contains anything else.
    """
    known = read_json_object(str(path))
    if known is None:
        return {}
    for name, holds in _FACTS.items():
        if name not in known or not holds(known[name]):
            raise known.error(name, f"has an invalid value: {quoted(known.get(name))}")
    # Checked here, with the line of the error; `convert` takes the trial as it is.
    trial = known["trial"]
    if isinstance(trial, dict):
        try:
            from_dict(trial)
        except ValueError as error:
            raise known.error("trial", f"cannot be read: {error}") from None
    return {name: known[name] for name in _FACTS}
