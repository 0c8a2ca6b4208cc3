"""
Plain CommonMark pages, the same from the same input: no dates, no lines, no runs.
"""

from __future__ import annotations

from pathlib import Path

import jinja2

from ..catalog.check import Checked
from ..catalog.loader import Entry
from ..evidence.wording import in_markdown
from ..model import Site, invariant_and_clause

INDEX = "index.md"
_INDEX_TITLE = "# Invariants of "
_FIRST_SECTION = "\n## What must hold\n"


def render_pages(checked: Checked) -> dict[str, str]:
    """The pages of all invariants of a target, text by file name."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("assertlib.docgen", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (Markdown, not HTML; texts are the catalog's own)
    )
    environment.filters["cell"] = _cell
    environment.filters["literal"] = in_markdown
    entries = sorted(checked.catalog.entries.values(), key=lambda entry: entry.id)
    areas: dict[str, list[Entry]] = {}
    for entry in entries:
        areas.setdefault(entry.area, []).append(entry)
    sites = {entry.id: sites_of(entry, checked.scan.sites) for entry in entries}
    pages = {
        page_name(entry): environment.get_template("invariant.md.jinja").render(
            entry=entry, known=entry.invariant, sites=sites[entry.id], page_name=page_name
        )
        for entry in entries
    }
    pages[INDEX] = environment.get_template("index.md.jinja").render(
        areas=areas, sites=sites, page_name=page_name, target=checked.name
    )
    return pages


def page_name(entry: Entry) -> str:
    """File of an invariant's page."""
    return f"{entry.id}.md"


def sites_of(entry: Entry, sites: list[Site]) -> list[Site]:
    """The assertions that name *entry*, sorted by message."""
    mine = [
        site
        for site in sites
        if site.invariant is not None and invariant_and_clause(site.invariant)[0] == entry.id
    ]
    return sorted(mine, key=lambda site: (site.message, site.kind.name))


def _cell(text: str) -> str:
    # Texts of the catalog may use Markdown; names from the code may not.
    return " ".join(text.split()).replace("|", "\\|")


def write_pages(pages: dict[str, str], directory: Path) -> list[str]:
    """Make *directory* hold just *pages*; returns the names of those that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = differing_pages(pages, directory)
    for name in changed:
        path = directory / name
        if name in pages:
            path.write_text(pages[name], encoding="utf-8")
        else:
            path.unlink()
    return changed


def foreign_pages(directory: Path) -> list[str]:
    """Markdown files that we did not write: replacing or removing them would lose work."""
    present = sorted(directory.glob("*.md")) if directory.is_dir() else []
    return [path.name for path in present if not _is_ours(path)]


def _is_ours(path: Path) -> bool:
    text = path.read_bytes()
    if path.name == INDEX:
        return text.startswith(_INDEX_TITLE.encode())
    return text.startswith(f"# {path.stem}\n".encode()) and _FIRST_SECTION.encode() in text


def differing_pages(pages: dict[str, str], directory: Path) -> list[str]:
    """Names of the pages that are missing, different, or no longer wanted."""
    present = {path.name: path for path in directory.glob("*.md")} if directory.is_dir() else {}
    different = {
        name
        for name, text in pages.items()
        if name not in present or present[name].read_bytes() != text.encode()
    }
    return sorted(different | (present.keys() - pages.keys()))
