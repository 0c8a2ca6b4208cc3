"""
Findings about messages that look the same but differ in their characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from unicodedata import is_normalized, normalize

from ..model import Site
from .findings import Finding
from .loader import Catalog
from .rules import RULES


@dataclass(frozen=True)
class _Spelling:
    """A message as it is written in one place."""

    message: str
    file: str
    line: int
    column: int

    @property
    def is_normal(self) -> bool:
        return is_normalized("NFC", self.message)

    def finding(self, code: str, text: str, remedy: str) -> Finding:
        return Finding(self.file, self.line, self.column, code, text, remedy)


def misspelt(catalog: Catalog, sites: Iterable[Site]) -> Iterator[Finding]:
    """Report messages of *catalog* or *sites* that are not in NFC, and different ones that look alike."""
    used = [*_in_code(sites), *_in_catalog(catalog)]
    for each in (*used, *_given_up(catalog)):
        if not each.is_normal:
            normal = normalize("NFC", each.message)
            text = f"the message {each.message!a} is not in Unicode normal form C (NFC)"
            yield each.finding("AL121", text, f"write it as {normal!r} ({normal!a})")
    # A message that is not in NFC has its remedy already; a second finding would repeat it.
    yield from _look_alikes(each for each in used if each.is_normal)


def _look_alikes(spellings: Iterable[_Spelling]) -> Iterator[Finding]:
    first: dict[str, _Spelling] = {}
    for each in spellings:
        # NFKC also unifies compatible characters, such as a no-break space and a space.
        other = first.setdefault(normalize("NFKC", each.message), each)
        if other.message != each.message:
            place = f"{other.file}:{other.line}"
            text = f"{each.message!a} looks like {other.message!a} at {place}"
            yield each.finding("AL122", text, RULES["AL122"].remedy)


def _in_code(sites: Iterable[Site]) -> Iterator[_Spelling]:
    for site in sites:
        # The parts of a derived assertion repeat its message, so a wrong form is reported once, as
        # that of the origin.  Buckets add text of their own.
        has_own_text = is_normalized("NFC", site.origin)
        message = site.message if has_own_text else site.origin
        yield _Spelling(message, site.file, site.line, site.column)


def _in_catalog(catalog: Catalog) -> Iterator[_Spelling]:
    for message, assigned in catalog.assigned.items():
        yield _Spelling(message, assigned.file, assigned.line, 1)
    renamed = catalog.renames.messages
    for old, new in renamed.items():
        # A name inside a chain is no longer used.
        if new not in renamed:
            yield _Spelling(new, *catalog.renames.places[old])


def _given_up(catalog: Catalog) -> Iterator[_Spelling]:
    """Old messages of renames, except those renamed to their own normal form."""
    for old, new in catalog.renames.messages.items():
        if normalize("NFC", old) != new:
            yield _Spelling(old, *catalog.renames.places[old])
