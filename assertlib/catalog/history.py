"""
The history of each invariant, reconstructed from git.
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

_KEPT = (
    "title", "kind", "status", "revision", "statement", "clauses", "states", "why", "expects",
)  # fmt: skip
"""The keys that are required or compared, in any version of the schema."""


@dataclass(frozen=True)
class Change:
    """
    One change of an entry.

    Attributes:
        date: Date of the commit, as ``2026-03-04``.
        commit: Abbreviated name of the commit.
        what: Summary of the change.
    """

    date: str
    commit: str
    what: str


def history(root: Path, directories: Sequence[str]) -> dict[str, list[Change]]:
    """
    Return the changes of each invariant, by id and newest first.

    Args:
        root: Directory of the project.
        directories: Its catalog directories, relative to *root*.

    Returns:
        An empty dict without git, or outside a repository.
    """
    found: dict[str, list[Change]] = defaultdict(list)
    before: dict[str, Invariant] = {}
    # Oldest first, since a change is the difference from the commit before.
    for commit, short, date in _commits(root, directories):
        after = dict(_entries(root, commit, directories))
        for identifier in sorted(before.keys() | after.keys()):
            what = _difference(before.get(identifier), after.get(identifier))
            if what:
                found[identifier].insert(0, Change(date, short, what))
        before = after
    return dict(found)


def _commits(root: Path, directories: Sequence[str]) -> Iterator[list[str]]:
    """The commits that touched a catalog, oldest first: full name, short name, date."""
    printed = git.output(root, "log", "--reverse", "--format=%H %h %cs", "--", *directories) or b""
    yield from map(str.split, printed.decode().splitlines())


def _entries(
    root: Path, commit: str, directories: Sequence[str]
) -> Iterator[tuple[str, Invariant]]:
    """The entries of the catalog at *commit*; unreadable files and entries are skipped."""
    for directory in directories:
        # With the slash, ls-tree lists the content of the directory instead of the directory.
        place = f"{directory.rstrip('/')}/"
        # -z, since git quotes unusual characters in names otherwise.
        listed = ("ls-tree", "-z", "--name-only", "--end-of-options", commit, "--", place)
        for name in (git.output(root, *listed) or b"").decode("utf-8", "replace").split("\0"):
            path = Path(name)
            if path.suffix == ".toml" and not is_hidden(path.name):
                text = git.file_at(root, commit, name) or b""
                yield from _read(path.stem, text.decode("utf-8", "replace"))


def _read(area: str, text: str) -> Iterator[tuple[str, Invariant]]:
    # A past commit may hold anything; what is broken in it was fixed later, or is a finding now.
    try:
        data = parse_toml(text.removeprefix("\ufeff"))
    except ValueError:
        return
    for name, table in data.items():
        try:
            yield f"{area}.{name}", Invariant.model_validate(_known_keys(table))
        # An entry that was not valid yet had no promise to compare.
        except ValidationError:
            continue


def _known_keys(table: object) -> object:
    """Reduce *table* to the keys that matter here."""
    if not isinstance(table, dict):
        return table
    # Any other key may have had another form in the past, which would hide the whole entry.
    return {key: table[key] for key in _KEPT if key in table}


def _difference(before: Invariant | None, after: Invariant | None) -> str:
    if before is None or after is None:
        return "added" if after is not None else "removed"
    changes = []
    if before.status != after.status:
        changes.append(f"{before.status} became {after.status}")
    if before.revision != after.revision:
        changes.append(f"revision {before.revision} became {after.revision}")
    if before.wording != after.wording:
        changes.append("the statement was reworded")
    return "; ".join(changes)
