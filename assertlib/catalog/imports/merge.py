"""
Brings the statements of a document into the catalog, and again after the document has changed.

A draft remembers the digest of the text that it was made of.  A later import changes an entry only
if its text is still the imported one; text that people edited is kept and reported.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ..._text.utf8 import EncodingError
from ..config import is_toml
from ..drafts import HEADER, draft, name_for, placeholders
from ..files import in_line_ends_of, read_as_is, write_whole
from ..loader import Catalog, Entry
from ..model import Source
from .items import ImportedFileError, Item, one_paragraph

_TITLE = 90
_ALIKE = 0.6
"""Similarity from which a statement counts as an edited form of another."""


@dataclass
class Outcome:
    """
    What an import did.

    Attributes:
        added: Ids of new drafts.
        updated: Ids of entries whose text follows the document again.
        unchanged: Ids of entries whose text was up to date.
        kept: Ids of entries that were edited here, while the document changed as well.
        gone: Ids of entries whose statement the document no longer has.
        elsewhere: External ids that an entry from elsewhere has already, each with that entry's id.
        repeated: External ids that the document gives several times.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    elsewhere: list[tuple[str, str]] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Draft:
    """A statement as an entry of the catalog would hold it."""

    title: str
    statement: str
    why: str
    external_id: str
    ref: str

    @property
    def digest(self) -> str:
        return _digest(self.title, self.statement, self.why)


@dataclass(frozen=True)
class _Change:
    """New values of an entry: the line, the id if it has none yet, and the *text* if that changed."""

    entry: Entry
    draft: _Draft
    source: int
    text: bool


def merge(
    catalog: Catalog, root: Path, area: str, file: str, items: Iterable[Item], *, dry: bool = False
) -> Outcome:
    """
    Add drafts for new statements, and update the entries of those that have changed.

    Args:
        catalog: The catalog, with all entries of the project.
        root: Its directory.
        area: The area of new drafts.
        file: The document, from the root of the project.
        items: Its statements.
        dry: Whether nothing is written.

    Raises:
        ImportedFileError: A catalog file is not TOML.
        OSError: A catalog file cannot be written.
    """
    outcome = Outcome()
    mine = {
        entry.id: place for entry in catalog.entries.values() if (place := _source(entry, file))
    }
    others = [entry for entry in catalog.entries.values() if entry.id not in mine]
    drafts = _distinct([_draft_of(item, file) for item in items], others, file, outcome)
    pairs = _matched(drafts, [(catalog.entries[name], at - 1) for name, at in mine.items()])
    changes: list[_Change] = []
    tables: list[str] = []
    taken = {entry.id.partition(".")[2] for entry in catalog.entries.values() if entry.area == area}
    for each, pair in zip(drafts, pairs, strict=True):
        if pair is not None:
            changes += _change(each, *pair, outcome)
            continue
        name = name_for(each.title, taken)
        taken.add(name)
        outcome.added.append(f"{area}.{name}")
        tables.append(
            draft(
                name, each.title, each.statement, each.ref, why=each.why,
                external_id=each.external_id, digest=each.digest,
            )
        )  # fmt: skip
    found = {entry.id for pair in pairs if pair is not None for entry in pair[:1]}
    outcome.gone = sorted(mine.keys() - found)
    if not dry:
        _write(root, area, tables, changes)
    return outcome


def _distinct(
    drafts: list[_Draft], others: list[Entry], file: str, outcome: Outcome
) -> list[_Draft]:
    """Drop statements that are there already, and qualify ids that mean something else there."""
    elsewhere = {
        entry.invariant.external_id: (entry.invariant.statement, entry.id)
        for entry in others
        if entry.invariant.external_id
    }
    here: dict[str, str] = {}
    kept: list[_Draft] = []
    for each in drafts:
        name = each.external_id
        # A summary repeats an id with its statement; another statement under it is another one.
        if name in here:
            outcome.repeated.append(name)
            if one_paragraph(each.statement) == one_paragraph(here[name]):
                continue
            numbered = (f"{name}#{number}" for number in itertools.count(2))
            each = replace(each, external_id=next(it for it in numbered if it not in here))
            here[each.external_id] = each.statement
        elif name in elsewhere:
            statement, other = elsewhere[name]
            outcome.elsewhere.append((name, other))
            here[name] = each.statement
            if _alike(each.statement, statement):
                continue
            place = _external_id(str(PurePosixPath(file).with_suffix("")))
            each = replace(each, external_id=f"{place}/{name}")
        elif name:
            here[name] = each.statement
        kept.append(each)
    return kept


def _alike(one: str, other: str) -> bool:
    matcher = difflib.SequenceMatcher(None, one_paragraph(one), one_paragraph(other))
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(bound() >= _ALIKE for bound in bounds)


def _draft_of(item: Item, file: str) -> _Draft:
    title = one_paragraph(item.title) or _shortened(item.statement)
    place = f"{item.file or file}:{item.line}"
    return _Draft(
        title,
        one_paragraph(item.statement),
        one_paragraph(item.why),
        _external_id(item.external_id),
        place,
    )


def _external_id(text: str) -> str:
    """*text* as an external id, which has neither spaces nor control characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().strip()
    return re.sub(r"[^A-Za-z0-9._~/#-]+", "-", plain).lstrip("._~/#-").rstrip("-")


def _shortened(text: str) -> str:
    line = one_paragraph(text).rstrip(".")
    return line if len(line) <= _TITLE else line[: _TITLE - 1].rsplit(" ", 1)[0] + "…"


def _digest(title: str, statement: str, why: str) -> str:
    texts = [one_paragraph(text) for text in (title, statement, why)]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]


def _source(entry: Entry, file: str) -> int:
    """The number, from 1, of the source of *entry* that is the document; 0 for none."""
    sources = entry.invariant.source
    return next((at for at, each in enumerate(sources, 1) if _is_from(each, file)), 0)


def _is_from(source: Source, file: str) -> bool:
    # Without a digest, a person wrote it.
    place = source.ref.rpartition(":")[0]
    return bool(source.digest) and (place == file or place.startswith(f"{file}/"))


def _matched(
    drafts: list[_Draft], entries: list[tuple[Entry, int]]
) -> list[tuple[Entry, int] | None]:
    """For each draft the entry that an earlier import made of it, with the number of its source."""
    found: list[tuple[Entry, int] | None] = [None] * len(drafts)
    rest = list(entries)
    for same in (_has_same_id, _has_same_text, _has_same_title, _is_alike):
        for at, each in enumerate(drafts):
            if found[at] is not None:
                continue
            pairs = (pair for pair in rest if same(each, *pair))
            # Of several that are alike, the one whose line is nearest.
            pair = min(pairs, key=lambda pair: _distance(each, *pair), default=None)
            if pair is not None:
                found[at] = pair
                rest.remove(pair)
    return found


def _distance(each: _Draft, entry: Entry, source: int) -> int:
    places = (each.ref, entry.invariant.source[source].ref)
    lines = [place.rpartition(":")[2] for place in places]
    # A person may have rewritten the reference.
    return abs(int(lines[0]) - int(lines[1])) if lines[1].isdecimal() else 0


def _has_same_id(each: _Draft, entry: Entry, source: int) -> bool:
    return bool(each.external_id) and entry.invariant.external_id == each.external_id


def _has_same_text(each: _Draft, entry: Entry, source: int) -> bool:
    return entry.invariant.source[source].digest == each.digest


def _has_same_title(each: _Draft, entry: Entry, source: int) -> bool:
    return _may_be(each, entry) and entry.invariant.title == each.title


def _is_alike(each: _Draft, entry: Entry, source: int) -> bool:
    return _may_be(each, entry) and _alike(each.statement, entry.invariant.statement)


def _may_be(each: _Draft, entry: Entry) -> bool:
    # Two ids are two statements, however alike their texts are.
    return not each.external_id or entry.invariant.external_id in ("", each.external_id)


def _change(each: _Draft, entry: Entry, source: int, outcome: Outcome) -> list[_Change]:
    known = entry.invariant
    recorded = known.source[source]
    if recorded.digest == each.digest:
        outcome.unchanged.append(entry.id)
        moved = recorded.ref != each.ref or _is_named_now(each, entry)
        return [_Change(entry, each, source, text=False)] if moved else []
    # A placeholder stands where the document gave no reason.
    why = "" if "why" in placeholders(known) else known.why
    if recorded.digest != _digest(known.title, known.statement, why):
        outcome.kept.append(entry.id)
        return []
    outcome.updated.append(entry.id)
    return [_Change(entry, each, source, text=True)]


def _is_named_now(each: _Draft, entry: Entry) -> bool:
    return bool(each.external_id) and not entry.invariant.external_id


def _write(root: Path, area: str, tables: list[str], changes: list[_Change]) -> None:
    by_area: dict[str, list[_Change]] = {}
    for change in changes:
        by_area.setdefault(change.entry.area, []).append(change)
    for name in sorted({*by_area, *([area] if tables else [])}):
        path = root / f"{name}.toml"
        try:
            before = read_as_is(path) or HEADER
        except EncodingError as error:
            raise ImportedFileError(f"{path}: {error}") from None
        if not is_toml(before):
            raise ImportedFileError(f"{path}: is not TOML; see `assertlib check`")
        after = _changed(before, by_area.get(name, []))
        if name == area and tables:
            after = f"{after.rstrip()}\n\n" + "\n".join(tables)
        root.mkdir(parents=True, exist_ok=True)
        write_whole(path, in_line_ends_of(before, after))


def _changed(text: str, changes: list[_Change]) -> str:
    """The text of a catalog file after *changes*; comments and layout stay."""
    if not changes:
        return text
    # Imported here, since only this command needs it.
    import tomlkit

    document = tomlkit.parse(text)
    for change in changes:
        table = document[change.entry.id.partition(".")[2]]
        source = table["source"][change.source]
        source["ref"] = change.draft.ref
        if _is_named_now(change.draft, change.entry):
            table["external_id"] = change.draft.external_id
        if change.text:
            source["digest"] = change.draft.digest
            table["title"] = change.draft.title
            table["statement"] = change.draft.statement
            if change.draft.why:
                table["why"] = change.draft.why
    return tomlkit.dumps(document)
