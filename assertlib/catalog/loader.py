"""
Reads catalogs: one TOML file per area, one table per invariant.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from .._text.utf8 import REMEDY, EncodingError
from ..model import Site, invariant_and_clause
from .files import files_in, read_text
from .findings import UNREAD_CATALOG, Finding, did_you_mean
from .model import SCHEMA_VERSION, Assigned, Incident, Invariant, Source, State
from .positions import Path as KeyPath
from .positions import Position, nearest, positions
from .pydantic_messages import in_words_of_toml
from .renames import FILE as RENAMES
from .renames import Renames, read_renames
from .rules import RULES
from .toml import parse_toml

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_MOST_BYTES = 1_000_000
_NOT_AREAS = (RENAMES,)
_AREA_REMEDY = "name the file area.toml, in lowercase ASCII letters, digits and hyphens"


@dataclass(frozen=True)
class Entry:
    """
    An invariant with its id and its place in the catalog.

    Attributes:
        id: ``area.name``.
        invariant: The content of its table.
        file: Path of the catalog file as findings show it.
        line: Line of the table, from 1.
        is_left_out: Whether the target lacks a feature that the invariant requires.
    """

    id: str
    invariant: Invariant
    file: str
    line: int
    is_left_out: bool = False

    @property
    def area(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def counts(self) -> bool:
        """Whether it is active here; drafts and retired invariants are listed apart, in no count."""
        return self.invariant.status == "active" and not self.is_left_out


@dataclass(frozen=True)
class Assignment:
    """An invariant assigned to an assertion that cannot name it, and the place of the assignment."""

    invariant: str
    file: str
    line: int


@dataclass
class Catalog:
    """
    All invariants of the catalog roots of a target, and the problems in their files.

    Attributes:
        entries: The invariants by id.
        assigned: Assignments of assertions that cannot name their invariant, by message.
        findings: Problems in the files.
        text: Contents of all files, from which a hash of the catalog is made.
        renames: Former messages of assertions.
        broken: Ids of entries that are not valid.
        broken_areas: Areas of files that could not be read.
        is_missing: Whether one of the directories does not exist or could not be read.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    assigned: dict[str, Assignment] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    renames: Renames = field(default_factory=Renames)
    broken: set[str] = field(default_factory=set)
    broken_areas: set[str] = field(default_factory=set)
    is_missing: bool = False

    @property
    def unread(self) -> list[Finding]:
        """The findings about entries that could not be read, and are missing in `entries`."""
        return [each for each in self.findings if each.code in UNREAD_CATALOG]

    def knows(self, identifier: str) -> bool:
        """Return whether the invariant exists, or may exist in a file that could not be read."""
        # In doubt it does: the unread file is a finding already, its consequences would be noise.
        area = identifier.partition(".")[0]
        is_unread = self.is_missing or identifier in self.broken or area in self.broken_areas
        return is_unread or identifier in self.entries

    def find(self, name: str) -> Entry | None:
        """Return the entry with the id *name*, or else with that id elsewhere."""
        found = self.entries.get(name)
        entries = self.entries.values()
        return found or next((e for e in entries if name and e.invariant.external_id == name), None)

    def assigned_to(self, identifier: str, scanned: Collection[str]) -> list[str]:
        """Return the messages assigned to invariant *identifier* that are not among *scanned*."""
        return sorted(
            message
            for message, assigned in self.assigned.items()
            if invariant_and_clause(assigned.invariant)[0] == identifier and message not in scanned
        )

    def assign(self, site: Site) -> Site:
        """Return *site* with the invariant that the catalog assigns to it, if it names none itself."""
        # Buckets and halves are found by their origin, the message that the code contains.
        assigned = self.assigned.get(site.origin)
        # Python code can name its invariant; `check` reports such an assignment as AL119.
        if assigned is None or site.invariant is not None or site.is_python:
            return site
        return site.protecting(assigned.invariant)

    def __repr__(self) -> str:
        return f"<Catalog of {len(self.entries)} invariants>"


def entry_of(invariant: str | None, entries: Mapping[str, Entry]) -> Entry | None:
    """
    Find the catalog entry that an assertion cites.

    Args:
        invariant: The cited invariant, with or without a clause; None if there is no citation.
        entries: The entries of the catalog by id.

    Returns:
        The entry; None without a citation, or if no catalog has the invariant.
    """
    if invariant is None:
        return None
    return entries.get(invariant_and_clause(invariant)[0])


def load(roots: list[Path], base: Path, without: Collection[str] = ()) -> Catalog:
    """
    Read all catalog files of some directories; problems become findings.

    Args:
        roots: The directories; subdirectories are not searched.
        base: Directory that file names in findings are relative to.
        without: Features that the target lacks; invariants that require one are left out.
    """
    catalog = Catalog()
    for root in roots:
        _load_root(catalog, root, base)
    # References may lead from one root to another, so all are read before any is checked.
    _check_references(catalog)
    _check_external_ids(catalog)
    return leaving_out(catalog, without)


def leaving_out(catalog: Catalog, without: Collection[str]) -> Catalog:
    """Return *catalog* for a target that lacks the features *without*."""
    # Entries that are left out stay in the catalog: code and other entries may still name them.
    entries = {
        entry.id: entry
        if set(entry.invariant.requires).isdisjoint(without)
        else replace(entry, is_left_out=True)
        for entry in catalog.entries.values()
    }
    return replace(catalog, entries=entries)


def _check_external_ids(catalog: Catalog) -> None:
    first: dict[str, Entry] = {}
    for entry in catalog.entries.values():
        other = first.setdefault(entry.invariant.external_id, entry)
        if entry.invariant.external_id and other is not entry:
            text = (
                f"{entry.id}: external_id {entry.invariant.external_id!r} is also that of"
                f" {other.id}, at {other.file}:{other.line}"
            )
            remedy = RULES["AL123"].remedy
            catalog.findings.append(Finding(entry.file, entry.line, 1, "AL123", text, remedy))


def _load_root(catalog: Catalog, root: Path, base: Path) -> None:
    shown = _shown(root, base)
    if not root.is_dir():
        catalog.is_missing = True
        catalog.findings.append(
            Finding(
                shown, 0, 0, "AL105", "no such catalog directory",
                "create it, for example with `assertlib init`, or fix `catalog` in the configuration",
            )
        )  # fmt: skip
        return
    try:
        paths = [path for path in files_in(root, ".toml") if path.name not in _NOT_AREAS]
    except OSError as error:
        catalog.is_missing = True
        _find(catalog, shown, (0, 0), f"cannot be read: {error.strerror}", "fix its permissions")
        return
    if not paths:
        _find(catalog, shown, (0, 0), "contains no catalog files", "write one, named area.toml")
    for path in paths:
        _load_file(catalog, path, _shown(path, base))
    renames = read_renames(root / RENAMES, _shown(root / RENAMES, base))
    catalog.renames.add(renames)
    catalog.findings.extend(renames.findings)


def _shown(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()


def _load_file(catalog: Catalog, path: Path, shown: str) -> None:
    # Broken until it is parsed, so that no early return can forget to mark it.
    catalog.broken_areas.add(path.stem)
    if not path.is_file():
        _find(catalog, shown, (0, 0), "is not a regular file", "remove it, or fix the link")
        return
    # Positions and validation keep several objects per key, so the size is bounded before reading.
    if path.stat().st_size > _MOST_BYTES:
        text = f"is larger than {_MOST_BYTES:,} bytes"
        _find(catalog, shown, (0, 0), text, "if it is a catalog, split it into areas")
        return
    try:
        text = read_text(path)
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
        _find(catalog, shown, (0, 0), text, "fix its permissions")
        return
    except EncodingError as error:
        _find(catalog, shown, (0, 0), error.found, REMEDY)
        return
    try:
        data = parse_toml(text)
    except ValueError as error:
        # tomllib gives the place in its message only (before Python 3.14); an error at the end of
        # the document has none.
        position = re.search(r"line (\d+), column (\d+)", str(error))
        at_end = (text.count("\n") + 1, len(text) - text.rfind("\n"))
        place = (int(position[1]), int(position[2])) if position else at_end
        _find(catalog, shown, place, f"is not TOML: {error}", "fix the syntax")
        return
    catalog.broken_areas.discard(path.stem)
    catalog.text.append(text)
    _FileReader(catalog, shown, path.stem, positions(text)).read(data)


def _find(catalog: Catalog, file: str, at: Position, message: str, remedy: str) -> None:
    catalog.findings.append(Finding(file, at[0], at[1], "AL105", message, remedy))


class _FileReader:
    """Validates the tables of one file."""

    def __init__(
        self, catalog: Catalog, file: str, area: str, places: dict[KeyPath, Position]
    ) -> None:
        self._catalog = catalog
        self._file = file
        self._area = area
        self._places = places

    def read(self, data: dict[str, object]) -> None:
        if not _NAME.match(self._area):
            # Without a valid area no id is valid, so the entries are not looked at.
            self._find((), f"{self._area!r} is not a valid area name", _AREA_REMEDY)
            return
        version = data.pop("schema", None)
        # True == 1 in Python, and is another type in TOML.
        if version != SCHEMA_VERSION or isinstance(version, bool):
            shown = "missing" if version is None else f"{version!r}, not {SCHEMA_VERSION}"
            self._find(
                ("schema",),
                f"schema is {shown}",
                f"begin the file with `schema = {SCHEMA_VERSION}`",
            )
        assigned = data.pop("assertion", [])
        if not isinstance(assigned, list):
            self._find(
                ("assertion",),
                "'assertion' is not a list",
                "write [[assertion]], with message and invariant, for each assertion in code that"
                " cannot name its invariant",
            )
            assigned = []
        for number, table in enumerate(assigned):
            self._read_assigned(number, table)
        for name, table in data.items():
            self._read_table(name, table)

    def _read_assigned(self, number: int, table: object) -> None:
        where: KeyPath = ("assertion", number)
        try:
            found = Assigned.model_validate(table)
        except ValidationError as error:
            for problem in error.errors():
                self._report(
                    "assertion", "assertion", (number, *problem["loc"]), problem["type"],
                    problem["msg"],
                )  # fmt: skip
            return
        line = nearest(self._places, where)[0]
        other = self._catalog.assigned.get(found.message)
        if other is not None:
            text = f"{found.message!r} is already assigned at {other.file}:{other.line}"
            self._find(where, text, "remove one of them")
            return
        self._catalog.assigned[found.message] = Assignment(found.invariant, self._file, line)

    def _read_table(self, name: str, table: object) -> None:
        if not _NAME.match(name) or not isinstance(table, dict):
            self._find(
                (name,),
                f"{name!r} is not an invariant",
                "each top-level key except `schema` and `assertion` must be a table with a kebab-case name",
            )
            return
        # [wal.fsync] in wal.toml is an easy mistake, and would otherwise be reported once per key.
        if _holds_invariants(table):
            inner = next(iter(table))
            self._find(
                (name,),
                f"[{name}.{inner}] is an invariant inside another one",
                f"write [{inner}]; the name of the file is the area",
            )
            return
        identifier = f"{self._area}.{name}"
        try:
            invariant = Invariant.model_validate(table)
        except ValidationError as error:
            self._catalog.broken.add(identifier)
            for problem in error.errors():
                self._report(identifier, name, problem["loc"], problem["type"], problem["msg"])
            return
        line = nearest(self._places, (name,))[0]
        self._add(Entry(identifier, invariant, self._file, line))

    def _add(self, entry: Entry) -> None:
        other = self._catalog.entries.get(entry.id)
        # The first one stays in use; the finding stands at the second.
        if other is None:
            self._catalog.entries[entry.id] = entry
            return
        self._catalog.findings.append(
            Finding(
                self._file, entry.line, 1, "AL102",
                f"invariant {entry.id!r} is also in {other.file}:{other.line}",
                "ids must be unique across all catalogs: rename or remove one",
            )
        )  # fmt: skip

    def _report(self, identifier: str, name: str, where: KeyPath, kind: str, text: str) -> None:
        key = str(where[-1]) if where else ""
        inside = ".".join(part for part in where[:-1] if isinstance(part, str))
        owner = f"{identifier}: {inside}" if inside else identifier
        if kind == "extra_forbidden":
            hint = did_you_mean(key, _fields_at(where))
            message, remedy = f"{owner}: unknown key {key!r}", hint or "see `catalog schema`"
        elif kind == "missing":
            message, remedy = f"{owner}: {key!r} is missing", "add it"
        else:
            # pydantic marks a key that is not valid itself with "[key]"; the number of an
            # [[assertion]] means nothing to readers, who get its line.
            inner = where[1:] if where and isinstance(where[0], int) else where
            label = ".".join(str(part) for part in inner if part != "[key]")
            problem = in_words_of_toml(text)
            message = f"{identifier}: {label}: {problem}" if label else f"{identifier}: {problem}"
            remedy = "see `assertlib catalog schema`"
        self._find((name, *where), message, remedy)

    def _find(self, where: KeyPath, message: str, remedy: str) -> None:
        _find(self._catalog, self._file, nearest(self._places, where), message, remedy)


def _holds_invariants(table: dict[str, object]) -> bool:
    # Every key must be a table of an unknown name: [x.clauses] alone is an incomplete invariant.
    known = Invariant.model_fields
    return bool(table) and all(
        isinstance(value, dict) and key not in known for key, value in table.items()
    )


def _fields_at(where: KeyPath) -> list[str]:
    inner: dict[str, type[BaseModel]] = {"source": Source, "incident": Incident, "states": State}
    if isinstance(where[0], int):
        return list(Assigned.model_fields)
    model = inner.get(str(where[0]), Invariant) if len(where) > 1 else Invariant
    return list(model.model_fields)


def _check_references(catalog: Catalog) -> None:
    for entry in catalog.entries.values():
        for other in entry.invariant.related:
            if other not in catalog.entries and other not in catalog.broken:
                hint = (
                    did_you_mean(other, catalog.entries)
                    or "name an existing invariant, or remove the reference"
                )
                text = f"{entry.id}: `related` names {other!r}, which is not in any catalog"
                catalog.findings.append(Finding(entry.file, entry.line, 1, "AL105", text, hint))
        target = entry.invariant.replaced_by
        # An entry that is not valid has findings of its own, and must not also count as missing.
        if target is None or target in catalog.broken:
            continue
        if target not in catalog.entries:
            hint = did_you_mean(target, catalog.entries) or "name the invariant that replaces it"
            text = f"{entry.id}: `replaced_by` names {target!r}, which is not in any catalog"
            catalog.findings.append(Finding(entry.file, entry.line, 1, "AL105", text, hint))
        elif _leads_back(entry, catalog):
            text = f"{entry.id}: `replaced_by` leads back to {entry.id!r}"
            hint = "end the chain with an invariant that holds"
            catalog.findings.append(Finding(entry.file, entry.line, 1, "AL105", text, hint))


def _leads_back(entry: Entry, catalog: Catalog) -> bool:
    # A circle that *entry* only leads into is reported at its members; `seen` ends the walk there.
    seen: set[str] = set()
    target = entry.invariant.replaced_by
    while target is not None and target not in seen:
        if target == entry.id:
            return True
        seen.add(target)
        following = catalog.entries.get(target)
        target = None if following is None else following.invariant.replaced_by
    return False
