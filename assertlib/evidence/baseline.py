"""
The baseline of a target: a committed file with the assertions that must stay satisfied.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .._text.utf8 import EncodingError
from ..catalog.config import Config, ConfigError
from ..catalog.files import read_as_is, write_whole

_NAME = "baseline"


@dataclass
class Baseline:
    """
    The committed list of assertions that must stay satisfied.

    Attributes:
        satisfied: Messages of assertions that were satisfied once.
        pending: Messages of states that were not satisfied yet when the baseline was created.
    """

    satisfied: frozenset[str]
    pending: frozenset[str] = frozenset()


def baseline_file(config: Config, target: str) -> Path:
    """
    Path of the baseline of *target* in *config*, next to the catalog.

    Raises:
        ConfigError: The target has no catalog of its own.
    """
    found = config.targets.get(target)
    own = config.own_catalog(found) if found is not None else None
    if own is None:
        raise ConfigError(
            f"target {target!r} has no catalog of its own in which to keep a baseline"
        )
    sharing = [name for name, each in config.targets.items() if config.own_catalog(each) == own]
    # Targets that share a catalog have a baseline each.  The first keeps the plain name, so a target
    # that is added later renames nothing.
    name = _NAME if sharing[0] == target else f"{_NAME}-{target}"
    return config.root / own / f"{name}.txt"


_PENDING = "? "
"""Prefix of a name that was not yet satisfied when the baseline was created."""


def read_baseline(path: Path) -> Baseline | None:
    """
    Read the baseline at *path*; None if the file does not exist.

    Raises:
        ConfigError: A line cannot be parsed.
    """
    if not path.exists():
        return None
    try:
        lines = read_as_is(path).splitlines()
    except EncodingError as error:
        raise ConfigError(f"{path}: {error}") from None
    satisfied: set[str] = set()
    pending: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        name = line.removeprefix(_PENDING)
        try:
            message = json.loads(name) if name.startswith('"') else name
        except ValueError:
            raise ConfigError(f"{path}:{number}:1: unterminated quote") from None
        (pending if line.startswith(_PENDING) else satisfied).add(message)
    return Baseline(frozenset(satisfied), frozenset(pending))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write *baseline* to the file at *path*, one message a line."""
    lines = [_line(message) for message in baseline.satisfied]
    lines += [_PENDING + _line(message) for message in baseline.pending]
    write_whole(path, "".join(line + "\n" for line in sorted(lines)))


def _line(message: str) -> str:
    # Quoted only where a line could not be read back, so that the file stays readable in reviews.
    is_plain = (
        message != ""
        and message.isprintable()
        and message.strip() == message
        and message[0] not in ('"', "?")
    )
    return message if is_plain else json.dumps(message)
