"""
Render deterministic CommonMark pages, without dates, line numbers or runs.

Volatile data (line numbers, history, the commit at which a defect was last caught) is in `Live`,
for published sites only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jinja2

from .._text.utf8 import EncodingError, unmarked
from ..catalog.check import Checked, kinds_of
from ..catalog.files import files_in, write_whole
from ..catalog.history import Change
from ..catalog.loader import Entry
from ..catalog.model import Incident
from ..errors import UsageError
from ..evidence.text import in_markdown
from ..model import Site, invariant_and_clause

INDEX = "index.md"
_INDEX_TITLE = "# Invariants of "
_FIRST_SECTION = "\n## What must hold\n"
# An id in prose: not inside code or a link, and not part of a path, a longer name or a call.
_ID = re.compile(r"(?<![\w`\[(=./-])[a-z0-9]+(?:-[a-z0-9]+)*\.[a-z0-9]+(?:-[a-z0-9]+)*(?![\w`\]-])")


@dataclass(frozen=True)
class Live:
    """
    Additional data for the pages of a published site.

    Attributes:
        history: Changes of each invariant, by id, newest first.
        reproduced: The commit at which each seeded defect was last caught.
        knowledge: Who still knows each invariant, by id: the status and the reasons.
    """

    history: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    reproduced: Mapping[str, str] = field(default_factory=dict)
    knowledge: Mapping[str, tuple[str, Sequence[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """
    An invariant with its assertions and related invariants.

    Attributes:
        entry: The catalog entry.
        sites: The assertions that cite the invariant, sorted by message.
        kinds: Number of these assertions by kind.
        related: Invariants that refer to this one, or that this one refers to.
        elsewhere: Messages that the catalog assigns to the invariant, from code that is not
            scanned.
    """

    entry: Entry
    sites: list[Site]
    kinds: Mapping[str, int]
    related: list[Entry]
    elsewhere: list[str]

    @property
    def name(self) -> str:
        """File name of the page."""
        return page_name(self.entry)

    @property
    def states(self) -> dict[str, list[Site]]:
        """The assertions that look for each state, by name of the state."""
        return {
            name: [site for site in self.sites if _clause(site) == name]
            for name in self.entry.invariant.states
        }

    @property
    def gaps(self) -> list[str]:
        """Missing assertions of an active invariant."""
        known = self.entry.invariant
        # The kinds of assertions in code that is not scanned are unknown, so nothing is missing
        # for certain.
        if known.status != "active" or self.elsewhere:
            return []
        if not self.sites:
            return ["no assertion cites it"]
        cited = {_clause(site) for site in self.sites}
        return [
            *(f"no {kind}" for kind in known.expects if not self.kinds.get(kind)),
            *(f"no assertion cites clause {name}" for name in known.clauses if name not in cited),
        ]


def render_pages(
    checked: Checked, others: Sequence[Checked] = (), live: Live | None = None
) -> dict[str, str]:
    """
    Render the pages of all invariants of a target, and the index.

    Args:
        checked: The target whose catalog is rendered.
        others: Targets that share the catalog; their assertions count as well.
        live: Volatile data; None for pages that are committed.

    Returns:
        The text of each page, by file name.
    """
    entries = checked.catalog.entries
    environment = _environment(entries)
    sites = _all_sites([checked, *others])
    messages = {site.message for site in sites}
    links = _links(entries)
    pages = [
        _page(
            entry,
            sites,
            messages,
            [entries[id] for id in sorted(links[entry.id])],
            checked.catalog.assigned_to(entry.id, messages),
        )
        # Sorted, so that moving an entry within the catalog changes no page.
        for entry in sorted(entries.values(), key=lambda entry: entry.id)
    ]
    template = environment.get_template("invariant.md.jinja")
    # The name of the index cannot clash with a page, since every id contains a dot.
    rendered = {page.name: template.render(page=page, live=live) for page in pages}
    rendered[INDEX] = environment.get_template("index.md.jinja").render(
        target=checked.name,
        areas=_areas(pages),
        pages=pages,
        incidents=_incidents(pages),
        live=live,
    )
    return rendered


def _environment(entries: Mapping[str, Entry]) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("assertlib.docgen", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # A misspelt name in a template must fail instead of leaving a gap in every page.
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (Markdown, not HTML; texts are the catalog's own)
    )
    environment.filters["cell"] = _cell
    environment.filters["literal"] = in_markdown
    environment.filters["linked"] = partial(_linked, entries=entries)
    environment.globals["page_name"] = page_name
    environment.globals["clause_of"] = _clause
    return environment


def _all_sites(targets: Sequence[Checked]) -> list[Site]:
    # Targets may share sources; an assertion found in several of them is listed once.
    found = {
        (site.file, site.line, site.column, site.message): site
        for checked in targets
        for site in checked.scan.sites
    }
    return [found[key] for key in sorted(found)]


def _page(
    entry: Entry,
    sites: list[Site],
    messages: set[str],
    related: list[Entry],
    elsewhere: list[str],
) -> Page:
    mine = sites_of(entry, sites)
    return Page(entry, mine, kinds_of(mine, messages), related, elsewhere)


def _links(entries: Mapping[str, Entry]) -> dict[str, set[str]]:
    """Return the ids that each invariant is linked with by `related` or by its texts."""
    # In both directions: the invariant referred to is where the reference is easily missed.
    links: dict[str, set[str]] = defaultdict(set)
    for entry in entries.values():
        known = entry.invariant
        text = " ".join([known.statement, known.why, known.debug, *known.clauses.values()])
        for other in {*known.related, *_ID.findall(text)} & entries.keys() - {entry.id}:
            links[entry.id].add(other)
            links[other].add(entry.id)
    return links


def _areas(pages: Sequence[Page]) -> dict[str, list[Page]]:
    areas: dict[str, list[Page]] = {}
    for page in pages:
        areas.setdefault(page.entry.area, []).append(page)
    return dict(sorted(areas.items()))


def _incidents(pages: Sequence[Page]) -> dict[str, list[tuple[Incident, Page]]]:
    """Group incidents by reference, with the page of each invariant that they broke."""
    found: dict[str, list[tuple[Incident, Page]]] = defaultdict(list)
    for page in pages:
        for incident in page.entry.invariant.incident:
            found[incident.ref].append((incident, page))
    return dict(sorted(found.items(), key=lambda each: _by_number(each[0])))


def _by_number(ref: str) -> tuple[str, int]:
    # Issue 9 comes before issue 10.
    head, _, number = ref.rpartition("#")
    return (head, int(number)) if number.isdecimal() else (ref, 0)


def page_name(entry: Entry) -> str:
    """Return the file name of an invariant's page."""
    # Ids consist of kebab-case names and a dot, so they are valid file names and need no escapes.
    return f"{entry.id}.md"


def sites_of(entry: Entry, sites: list[Site]) -> list[Site]:
    """Return those of *sites* that cite *entry* or one of its clauses, sorted by message."""
    mine = [
        site
        for site in sites
        if site.invariant is not None and invariant_and_clause(site.invariant)[0] == entry.id
    ]
    return sorted(mine, key=lambda site: (site.message, site.kind.name))


def _clause(site: Site) -> str:
    return invariant_and_clause(site.invariant or "")[1] or ""


def _linked(text: str, entries: Mapping[str, Entry]) -> str:
    """Replace invariant ids in *text* with links to their pages."""

    # File names such as catalog.toml look like ids, so only those of the catalog become links.
    def link(found: re.Match[str]) -> str:
        entry = entries.get(found[0])
        return found[0] if entry is None else f"[{entry.id}]({page_name(entry)})"

    return _ID.sub(link, text)


def _cell(text: str) -> str:
    # Texts of the catalog may use Markdown, while names from code are escaped by `literal`.  A
    # line break or a pipe would end the cell.
    return " ".join(text.split()).replace("|", "\\|")


def write_pages(pages: dict[str, str], directory: Path) -> list[str]:
    """
    Write the pages that changed and remove obsolete ones.

    Args:
        pages: Text by file name.
        directory: Where to write; every other Markdown file in it is removed, so callers check
            for `foreign_pages` first.

    Returns:
        The names of changed and removed pages, sorted.
    """
    directory.mkdir(parents=True, exist_ok=True)
    changed = differing_pages(pages, directory)
    for name in changed:
        path = directory / name
        if name in pages:
            write_whole(path, pages[name])
        else:
            path.unlink()
    return changed


def foreign_pages(directory: Path) -> list[str]:
    """Return the names of Markdown files in *directory* that were not generated."""
    return [path.name for path in files_in(directory, ".md") if not _is_ours(path)]


def _is_ours(path: Path) -> bool:
    text = _read(path)
    if path.name == INDEX:
        return text.startswith(_INDEX_TITLE.encode())
    # A title alone is too weak: handwritten pages often begin with the name of their file.
    return text.startswith(f"# {path.stem}\n".encode()) and _FIRST_SECTION.encode() in text


def _read(path: Path) -> bytes:
    """
    Read a page, normalising line endings and removing a byte order mark.

    Raises:
        UsageError: The file is UTF-16 or UTF-32.
    """
    # Git on Windows may convert line endings; such a page is not stale.
    try:
        return unmarked(path.read_bytes()).replace(b"\r\n", b"\n")
    except EncodingError as error:
        raise UsageError(f"{path}: {error}") from None


def differing_pages(pages: dict[str, str], directory: Path) -> list[str]:
    """
    Compare *pages* with the files in *directory*.

    Returns:
        The names of pages that are missing, different or obsolete, sorted.

    Raises:
        UsageError: A file is UTF-16 or UTF-32.
    """
    present = {path.name: path for path in files_in(directory, ".md")}
    different = {
        name
        for name, text in pages.items()
        if name not in present or _read(present[name]) != text.encode()
    }
    return sorted(different | (present.keys() - pages.keys()))
