"""
Output of Antithesis SDKs in a run: files that somebody gives us, and those that processes left
which `assertlib exec` had started.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from ..model import UsageError
from ..recording.foreign import Account, convert

OUTPUT_ENV = "ANTITHESIS_SDK_LOCAL_OUTPUT"
OUTPUTS = "antithesis"
"""Directory of a run where processes leave their output."""

_HASHED = 8


def ingest(files: Sequence[Path], run: Path) -> Iterator[Account]:
    """
    Take *files* into *run*, as shards; one that is there already is replaced by itself.

    Raises:
        UsageError: One of them cannot be read, or is no such output.
    """
    for path in files:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()[:_HASHED]
            stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.name.partition(".")[0]) or OUTPUTS
            yield convert(str(path), str(run), f"{stem}-{content}", loads=orjson.loads)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None


def new_output(directory: Path, command: Sequence[str], facts: Mapping[str, object]) -> Path:
    """
    A path for the output of this process, which nobody else has, and beside it what is known.

    It is reserved before the process starts: the SDK for Go empties the file that it is given.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{os.getpid()}-{os.urandom(4).hex()}.jsonl"
    known = {**facts, "time": time.time_ns(), "pid": os.getpid(), "command": list(command)}
    path.with_suffix(".json").write_text(json.dumps(known) + "\n", encoding="utf-8")
    return path


def take_outputs(run: Path) -> list[Account]:
    """What processes of *run* left in files of their own, as shards."""
    accounts = []
    for path in sorted((run / OUTPUTS).glob("*.jsonl")):
        facts = _facts(path.with_suffix(".json"))
        accounts.append(convert(str(path), str(run), path.stem, facts, orjson.loads))
    return accounts


def _facts(path: Path) -> dict[str, object]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
