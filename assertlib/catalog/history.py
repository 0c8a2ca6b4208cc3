"""
The life of each invariant, as version control remembers it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from . import git
from .files import is_hidden
from .model import Invariant
from .toml import parse_toml


@dataclass(frozen=True)
class Change:
    """One step in the life of an entry: when, in which commit, and what it was."""

    date: str
    commit: str
    what: str


def history(root: Path, directories: Sequence[str]) -> dict[str, list[Change]]:
    """
    What became of each invariant in *directories* of the project at *root*, the newest first.

    Empty where there is no git, or no repository.
    """
    found: dict[str, list[Change]] = defaultdict(list)
    before: dict[str, Invariant] = {}
    for commit, short, date in _commits(root, directories):
        after = dict(_entries(root, commit, directories))
        for identifier in sorted(before.keys() | after.keys()):
            what = _difference(before.get(identifier), after.get(identifier))
            if what:
                found[identifier].insert(0, Change(date, short, what))
        before = after
    return dict(found)


def _commits(root: Path, directories: Sequence[str]) -> Iterator[list[str]]:
    """Those that touched a catalog, the oldest first: full name, short name, date."""
    printed = git.output(root, "log", "--reverse", "--format=%H %h %cs", "--", *directories) or b""
    yield from map(str.split, printed.decode().splitlines())


def _entries(
    root: Path, commit: str, directories: Sequence[str]
) -> Iterator[tuple[str, Invariant]]:
    """What the catalog held then; what nobody can read any more is passed over."""
    for directory in directories:
        place = f"{directory.rstrip('/')}/"
        listed = ("ls-tree", "-z", "--name-only", "--end-of-options", commit, "--", place)
        for name in (git.output(root, *listed) or b"").decode("utf-8", "replace").split("\0"):
            path = Path(name)
            if path.suffix == ".toml" and not is_hidden(path.name):
                text = git.file_at(root, commit, name) or b""
                yield from _read(path.stem, text.decode("utf-8", "replace"))


def _read(area: str, text: str) -> Iterator[tuple[str, Invariant]]:
    try:
        data = parse_toml(text.removeprefix("\ufeff"))
    except ValueError:
        return
    for name, table in data.items():
        try:
            yield f"{area}.{name}", Invariant.model_validate(_known_keys(table))
        except ValidationError:
            continue


def _known_keys(table: object) -> object:
    """*table* without keys that the schema of today does not have, or has otherwise."""
    if not isinstance(table, dict):
        return table
    kept = ("title", "kind", "status", "revision", "statement", "clauses", "why", "expects")
    return {key: table[key] for key in kept if key in table}


def _difference(before: Invariant | None, after: Invariant | None) -> str:
    if before is None or after is None:
        return "written down" if after is not None else "removed"
    said = []
    if before.status != after.status:
        said.append(f"{before.status} became {after.status}")
    if before.revision != after.revision:
        said.append(f"revision {before.revision} became {after.revision}")
    if before.wording != after.wording:
        said.append("the statement was reworded")
    return "; ".join(said)
