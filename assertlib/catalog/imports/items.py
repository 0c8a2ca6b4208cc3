"""
What the readers of all formats produce: statements with their place, and the code they point at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ...errors import UsageError


class ImportedFileError(UsageError):
    """A file cannot be imported; the message names it and the reason."""


@dataclass(frozen=True)
class Anchor:
    """
    A reference from a document into the code.

    Attributes:
        text: The reference as it is written.
        line: Its line in the document, from 1.
        kind: ``file``, ``symbol`` or ``test``.
        file: The file that holds it, if a document consists of several; from the project's root.
    """

    text: str
    line: int
    kind: str
    file: str = ""


@dataclass
class Item:
    """
    One statement of a document.

    Attributes:
        statement: What must hold, in one paragraph.
        line: Its first line in the document, from 1.
        external_id: The id that the document gives it; empty for none.
        title: Its heading; empty for none.
        why: The reason that the document gives.
        file: The file that holds it, if a document consists of several; from the project's root.
    """

    statement: str
    line: int
    external_id: str = ""
    title: str = ""
    why: str = ""
    file: str = ""


@dataclass
class Document:
    """
    The content of a document.

    Attributes:
        items: Its statements, in order.
        anchors: Its references into the code, in order.
    """

    items: list[Item] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)


_NOT_IDS = (
    "UTF", "SHA", "CRC", "RFC", "ISO", "HTTP", "IPv", "MD", "AES", "CVE", "PR", "GH", "Python",
    "Go", "Java", "Windows", "Figure", "Fig", "Table", "Section", "Chapter", "Step", "Phase", "Part",
    "Lemma", "Theorem", "Version", "Appendix", "Level", "Tier", "Q", "H", "V", "Week", "Day", "Note",
)  # fmt: skip
_WORDS = "Invariant|INVARIANT|Rule|RULE|Property|Guarantee|Requirement|Axiom|Law|Promise"
ID = (
    rf"(?!(?:{'|'.join(_NOT_IDS)})[-_. ]?\d)"
    # Names of invariants in specifications need no number.
    r"(?:(?:INV|Inv)(?:[-_][A-Za-z0-9]+)+"
    rf"|(?:{_WORDS})[ #-]{{1,2}}\d+(?:\.\d+)*[a-z]?"
    r"|[A-Z][A-Za-z]{0,11}(?:[-_.][A-Z][A-Z0-9]*)*[-_.]?\d+(?:\.\d+)*[a-z]?)"
)
"""A handwritten id, such as INV-3, WAL_2, I1, SYS-LOG-12 or Rule 7."""

_PATH = r"(?:\.{0,2}/)?(?:[\w.@+-]+/)*[\w.@+-]+\.[A-Za-z]{1,5}"
_FILE = re.compile(
    rf"(?P<path>{_PATH})(?P<place>(?:[:#]L?\d+(?:[-:]L?\d+)?)|(?:::[\w.:\[\]-]+)|(?:#[\w.-]+))?\Z"
)
_TEST = re.compile(r"(?:[\w.]+(?:::|\.))?(?:Test\w+|test_\w+|\w+_test|\w+Test)(?:\(\))?\Z")
_SYMBOL = re.compile(r"\*?[A-Za-z_]\w*(?:(?:\.|::|#|->)[A-Za-z_]\w*)*!?(?:\(\))?\Z")
_SUFFIXES = frozenset(
    re.findall(
        r"\S+",
        """
        py pyi go rs c h cc cpp hpp java kt scala ts tsx js jsx mjs rb ex exs erl hs ml cs swift zig sh
        sql proto tla toml yaml yml json cfg ini md rst lua php pl v sv f90 jl clj nim d
        """,
    )
)


def anchor_in(text: str, line: int, *, is_named: bool, tests: bool = False) -> Anchor | None:
    """
    Return the reference that a piece of code in a document is.

    Args:
        text: Content of a code span or link.
        line: Its line.
        is_named: Whether the document says that it is a place, as in "enforced by"; a symbol is
            a reference only then.
        tests: Whether the document says that it is a test.
    """
    text = text.strip()
    found = _FILE.match(text)
    if found is not None and "://" not in text:
        suffix = found["path"].rpartition(".")[2].lower()
        # A name with a dot is a file only if it looks like source: `Store.get` does not.
        if suffix in _SUFFIXES and ("/" in text or found["place"] or is_named):
            return Anchor(text, line, "file")
    if is_named and _TEST.match(text):
        return Anchor(text, line, "test")
    if is_named and _SYMBOL.match(text) and len(text) > 1:
        return Anchor(text, line, "test" if tests else "symbol")
    return None


def one_paragraph(text: str) -> str:
    """Return *text* with its white space normalised."""
    return " ".join(text.split())
