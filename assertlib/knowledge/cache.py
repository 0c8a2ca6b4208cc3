"""
Results that are kept in ``.assertlib/cache``, since computing them takes longer than a command may.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import orjson

from ..catalog.files import ignore_all, write_whole
from ..recording.session import VERSION

_read_only = ContextVar("read_only", default=False)
DIRECTORY = Path(".assertlib", "cache")


@contextmanager
def read_only() -> Iterator[None]:
    """Keep nothing inside the block."""
    token = _read_only.set(True)
    try:
        yield
    finally:
        _read_only.reset(token)


def kept(root: Path, name: str, key: str) -> Any:
    """
    Return a kept result.

    Args:
        root: Directory of the project.
        name: Name of the result.
        key: What it was computed from; another key makes it stale.

    Returns:
        Plain data, which may come from anybody who can write to the project; None if nothing is
        kept under this key.
    """
    with suppress(OSError, ValueError):
        data = orjson.loads((root / DIRECTORY / f"{name}.json").read_bytes())
        if isinstance(data, dict) and data.get("key") == f"{VERSION} {key}":
            return data.get("value")
    return None


def keep(root: Path, name: str, key: str, value: object) -> None:
    """
    Keep a result, in place of an earlier one of the same name.

    In a project that cannot be written to, the result is computed each time.

    Args:
        root: Directory of the project.
        name: Name of the result.
        key: What it was computed from.
        value: Plain data.
    """
    if _read_only.get():
        return
    place = root / DIRECTORY / f"{name}.json"
    with suppress(OSError, TypeError, ValueError):
        place.parent.mkdir(parents=True, exist_ok=True)
        ignore_all(place.parents[1])
        write_whole(place, orjson.dumps({"key": f"{VERSION} {key}", "value": value}).decode())


def digest(parts: Iterable[str]) -> str:
    """Return a digest of some texts, in their order."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        # With their lengths, so that no two lists of texts are alike.
        made.update(f"{len(data)}:".encode() + data)
    return made.hexdigest()


def state_of(run: Path) -> Iterable[str]:
    """Yield the names, sizes and times of the files in a run directory."""
    for path in sorted(run.iterdir()):
        state = path.stat()
        yield f"{path.name} {state.st_size} {state.st_mtime_ns}"
