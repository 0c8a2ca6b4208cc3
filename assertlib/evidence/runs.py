"""
Run directories of a project: creation, description and lookup.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._text.inputs import LATEST, MOST_SLOTS, open_found
from ..catalog.check import Checked
from ..catalog.config import Config
from ..catalog.files import ignore_all
from ..errors import NoDataError, quoted
from ..model import Site, site_from_dict
from ..recording import private
from ..recording.foreign import IngestStats
from ..recording.reader import JsonFile, UnreadableRunError, read_json_object, read_run_file
from ..recording.records import Record
from ..recording.reprs import redacted_command
from ..recording.rundir import RUN_FILE
from ..recording.shard import COUNTS_SUFFIX, SUFFIX
from ..recording.tokens import is_token
from .foreign import take_outputs
from .revision import find_revision, known_revision, not_a_revision
from .text import counted

RUNS = Path(".assertlib") / "runs"
REPLAYS = "replays.json"
SCHEMA = 2


@dataclass(frozen=True)
class RunInfo:
    """
    The description of a run, without its hits.

    Attributes:
        full: Whether the run was meant to cover everything, so that absence is significant.
        commit: The revision that it was recorded from, in the format of `revision`.
        started: Start in nanoseconds since 1970, never before a run that existed already.
        scan: The assertions of its target at the start; None if the target was not scanned.
        out_of_reach: What assertions need that the run could not offer, by message.
        replays: Replay tokens of outcomes of assertions, or of errors, by message.
        caveats: Sentences that name the parts of the description that were ignored, and why.
    """

    id: str
    path: Path
    target: str | None
    full: bool
    commit: str | None
    command: tuple[str, ...]
    started: int = 0
    features: dict[str, bool] = field(default_factory=dict)
    scan: tuple[Site, ...] | None = None
    out_of_reach: dict[str, str] = field(default_factory=dict)
    replays: dict[str, str] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()


def new_run(config: Config) -> Path:
    """Create a run directory in the project, named after the time in UTC."""
    # Names are for people and need not be ordered: `started` in run.json is.
    now = time.time_ns()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9))
    # Parallel jobs start runs in the same second.
    path = config.root / RUNS / f"{stamp}-{now // 1000 % 10**6:06}-{os.urandom(2).hex()}"
    private.make_directory(path)
    # Recorded values do not belong into version control.
    ignore_all(config.root / RUNS.parts[0])
    return path


def describe_run(path: Path, checked: Checked, config: Config, command: list[str]) -> None:
    """
    Write ``run.json`` for a run that starts.

    The run counts as partial until `finish_run`, so that one that is killed proves no absence.

    Args:
        path: The run directory.
        checked: The target, with its scan and catalog.
        config: The configuration of the project.
        command: The command line, which is stored without its secrets.

    Raises:
        UnreadableRunError: The file cannot be written.
    """
    catalog = "\0".join(checked.catalog.text).encode("utf-8", "surrogatepass")
    body: Record = {
        "schema": SCHEMA,
        "run": path.name,
        # Near the beginning, since `started_at` reads the head of the file only.
        "started": _next_start(config),
        "command": redacted_command(command),
        "commit": find_revision(config.root),
        "config": None if config.file is None else str(config.file),
        "features": {},
        "target": checked.name,
        "full": False,
        "catalog": hashlib.sha256(catalog).hexdigest(),
        "scan": [site.as_dict() for site in checked.scan.sites],
    }
    _write(path, body)


def _next_start(config: Config) -> int:
    """The current time, or just after the newest run if the clock has been set back since."""
    # Bounded, or one damaged run far in the future would push all later ones out of range.
    newest = max(map(started_at, _run_directories(config)), default=0)
    return max(time.time_ns(), min(newest + 1, LATEST))


def started_at(path: Path) -> int:
    """
    Return when the run at *path* started, as `RunInfo.started`; 0 if unknown.

    A run without a description started with the first of its processes.
    """
    try:
        with open_found(path / RUN_FILE) as file:
            # Runs are sorted by this: parsing the scan of each, which may be large, takes too long.
            found = _STARTED.search(file.read(_HEAD))
        return int(found[1]) if found else 0
    except FileNotFoundError:
        # Shards without a readable start give 0, which must not become the minimum.
        return min(filter(None, map(_shard_start, path.glob(f"*{SUFFIX}"))), default=0)
    except OSError:
        return 0


_STARTED = re.compile(rb'"started": ([0-9]+)')
_SHARD_TIME = re.compile(rb'"assertlib_shard".*?"time": ([0-9]+)')
_HEAD = 4096


def _shard_start(path: Path) -> int:
    try:
        with open_found(path) as file:
            found = _SHARD_TIME.search(file.read(_HEAD))
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _run_directories(config: Config) -> list[Path]:
    return [path for path in (config.root / RUNS).glob("*") if path.is_dir()]


def runs_in_order(config: Config) -> list[Path]:
    """The directories of the project's runs, oldest first by their recorded start, not by name."""
    return sorted(_run_directories(config), key=lambda path: (started_at(path), path.name))


def finish_run(
    path: Path, *, full: bool, out_of_reach: Mapping[str, str] | None = None
) -> list[IngestStats]:
    """
    Record whether the run was full, and ingest the output of its Antithesis SDKs.

    Args:
        path: The run directory.
        full: Whether the run was meant to cover everything, and did end as planned.
        out_of_reach: What assertions need that the run could not offer, by message: that they
            were not reached is no gap.

    Returns:
        The result for each file of output.

    Raises:
        UnreadableRunError: ``run.json`` is damaged or cannot be written.
    """
    body = read_run_file(str(path))
    if body is not None:
        limits = {"out_of_reach": dict(out_of_reach)} if out_of_reach else {}
        _write(path, {**body, "full": full, **limits})
    return take_outputs(path)


def _write(path: Path, body: Record) -> None:
    # Replaced as a whole: readers never see half a file, and a killed writer never leaves one.
    try:
        private.write(path / RUN_FILE, json.dumps(body) + "\n")
    except OSError as error:
        raise UnreadableRunError(
            f"{path / RUN_FILE}: cannot be written: {error.strerror}"
        ) from None


def read_info(path: Path) -> RunInfo:
    """
    Read the description of the run at *path*; a run without one is partial.

    Raises:
        UnreadableRunError: ``run.json`` is damaged or newer than this version of assertlib.
    """
    body = read_run_file(str(path))
    if body is None:
        started = started_at(path)
        return RunInfo(path.name, path, None, full=False, commit=None, command=(), started=started)
    # Before the fields, which another schema may define differently.
    if body.get("schema") != SCHEMA:
        raise body.error(
            "schema",
            f"is {quoted(body.get('schema'))}, but this version of assertlib reads {SCHEMA};"
            " update assertlib",
        )
    for name, (wanted, holds) in _FIELDS.items():
        if name in body and not holds(body[name]):
            raise body.error(name, f"must be {wanted}, not {quoted(body[name])}")
    known: dict[str, Any] = dict(body)
    # A strange commit or token is ignored with a caveat, while other wrong fields are errors:
    # neither takes part in a verdict.
    commit, replays, caveats = known.get("commit"), _replays(path), []
    if commit is not None and known_revision(commit) is None:
        caveats.append(f"Run {path.name}: {not_a_revision(commit)}.")
    bad = {message for message, token in replays.items() if not is_token(token)}
    if bad:
        caveats.append(
            f"Run {path.name}: {counted(len(bad), 'value')} of {REPLAYS} ignored: not a replay token."
        )
    return RunInfo(
        id=path.name,
        path=path,
        target=known.get("target"),
        full=known.get("full", False),
        commit=known_revision(commit),
        command=tuple(known.get("command", ())),
        started=known.get("started", 0),
        features=known.get("features", {}),
        scan=_scan(body),
        out_of_reach=known.get("out_of_reach", {}),
        replays={message: token for message, token in replays.items() if message not in bad},
        caveats=tuple(caveats),
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_optional_text(value: object) -> bool:
    return isinstance(value, str | None)


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "run": ("a string", _is_text),
    "started": (
        f"an integer from 0 to {LATEST}",
        # Not isinstance: true is an integer to Python.
        lambda value: type(value) is int and 0 <= value <= LATEST,
    ),
    "command": (
        "a list of strings",
        lambda value: isinstance(value, list) and all(map(_is_text, value)),
    ),
    "commit": ("a string or null", _is_optional_text),
    "features": (
        "an object whose values are true or false",
        lambda value: (
            isinstance(value, dict) and all(isinstance(each, bool) for each in value.values())
        ),
    ),
    "target": ("a string or null", _is_optional_text),
    "full": ("true or false", lambda value: isinstance(value, bool)),
    "scan": ("a list or null", lambda value: isinstance(value, list | None)),
    "out_of_reach": (
        "an object with string values",
        lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    ),
}
"""The optional fields of ``run.json``: a description of the valid values, and their check."""


def _scan(body: JsonFile) -> tuple[Site, ...] | None:
    # Required, unlike the other fields: a lost scan would shrink the denominator silently.
    if "scan" not in body:
        raise body.error("scan", "is missing")
    scan = body["scan"]
    if not isinstance(scan, list):
        return None
    if len(scan) > MOST_SLOTS:
        raise body.error("scan", f"contains more than {MOST_SLOTS:,} assertions")
    try:
        return tuple(map(site_from_dict, scan))
    except KeyError as error:
        raise body.error("scan", f"contains an assertion without a valid {error}") from None
    except (ValueError, TypeError) as error:
        raise body.error("scan", f"contains an invalid assertion: {error}") from None


def write_replays(path: Path, replays: dict[str, str]) -> None:
    """Store the *replays*, tokens by message, of the run at *path*."""
    private.write(path / REPLAYS, json.dumps(replays, indent=1) + "\n")


def _replays(path: Path) -> dict[str, str]:
    body = read_json_object(str(path / REPLAYS))
    if body is None:
        return {}
    replays: dict[str, str] = {}
    for message, token in body.items():
        if not isinstance(token, str):
            raise body.error(message, f"must be a token, not {quoted(token)}")
        replays[message] = token
    return replays


def all_runs(config: Config) -> Iterator[RunInfo]:
    """Yield the descriptions of the project's runs, oldest first; unreadable runs are skipped."""
    for path in runs_in_order(config):
        with suppress(UnreadableRunError, OSError):
            yield read_info(path)


def find_runs(config: Config, names: list[str]) -> list[Path]:
    """
    Find the directories of runs.

    Args:
        config: The configuration of the project.
        names: For each run its id, the beginning or end of its id, or a path; empty for the newest
            run.

    Raises:
        NoDataError: A name matches no run or several runs, or the project has no runs.
    """
    directory = config.root / RUNS
    known = runs_in_order(config)
    if not names:
        if not known:
            raise NoDataError(
                f"no run in {directory}; record one with `assertlib run -- CMD` or"
                " `pytest --assertlib`"
            )
        return [known[-1]]
    return [_find_run(directory, known, name) for name in names]


def _looks_like_a_run(path: Path) -> bool:
    return (path / RUN_FILE).exists() or any(
        any(path.glob(f"*{suffix}")) for suffix in (SUFFIX, COUNTS_SUFFIX)
    )


def _find_run(directory: Path, known: list[Path], name: str) -> Path:
    # A path comes first: runs of other projects, or of downloaded artifacts, have no other name.
    if Path(name).is_dir():
        if Path(name).resolve() not in known and not _looks_like_a_run(Path(name)):
            # A mistyped path is not a run without evidence.
            raise NoDataError(f"{name} is not a run: it contains neither {RUN_FILE} nor shards")
        return Path(name)
    # An id may be the beginning of another one.
    exact = [path for path in known if path.name == name]
    if exact:
        return exact[0]
    # The end of an id is random, and shorter to type than the time at its beginning.
    matching = [path for path in known if path.name.startswith(name) or path.name.endswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise NoDataError(f"{name!r} matches several runs: {', '.join(p.name for p in matching)}")
    raise NoDataError(f"there is no run {name!r} in {directory}")
