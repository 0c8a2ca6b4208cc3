"""
Writes drafts of invariants into catalog files, for people to complete.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from .._text.utf8 import EncodingError
from ..errors import UsageError
from .config import is_toml
from .files import in_line_ends_of, read_as_is, write_whole
from .model import Invariant

AREA = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""The name of an area, which is that of its file."""
_ID = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)\.([a-z0-9]+(?:-[a-z0-9]+)*)\Z")
_NAME_WORDS = 5
_NAME_CHARACTERS = 60
# Words that a person would leave out of a name.
_FILLERS = frozenset(
    re.findall(
        r"\S+",
        """
        a an the is are be been was were of to in on at by for from with and or that this it its
        has have had must shall should will would may can any all each every when if as than then
        which who whose there their they we our you your does do did so such only
        """,
    )
)
_RESERVED = ("schema", "assertion", "renames")
# The first line makes editors that support Taplo's directives validate the file.
HEADER = "#:schema ./schema.json\nschema = 1\n"
"""The beginning of a catalog file."""


_TITLE = "What must hold, in one line"
_STATEMENT = "What must hold, stated precisely enough for somebody else to check it."
_WHY = "What breaks, and for whom, if it does not hold."
_DEBUG = "Where to start looking when it is violated."
REF = "the source of this knowledge: a document, an issue, a review"
"""The placeholder of a source, in drafts and in the template of ``assertlib init``."""


class DraftError(UsageError):
    """A draft cannot be written; the text gives the reason."""


def add_draft(
    root: Path, identifier: str, title: str, statement: str = "", ref: str = "", note: str = ""
) -> Path:
    """
    Append a draft to the catalog file of its area, which is replaced atomically.

    Args:
        root: Directory of the catalog; created if it does not exist.
        identifier: Id of the invariant, as ``area.kebab-name``.
        title: The invariant in one line; empty for a placeholder.
        statement: What must hold, as far as it is known; empty for a placeholder.
        ref: The source of the knowledge; empty for a placeholder.
        note: The relevant part of the source.

    Returns:
        The path of the file.

    Raises:
        DraftError: The id is not valid, or the file is not a catalog file.
        OSError: The file cannot be read or written.
    """
    found = _ID.match(identifier)
    if found is None:
        raise DraftError(
            f"{identifier!r} is not a valid id; write area.kebab-name, in lowercase letters"
        )
    area, name = found.groups()
    if name in _RESERVED or area in _RESERVED:
        raise DraftError(f"{identifier!r}: the name is reserved; choose another")
    path = root / f"{area}.toml"
    # Text is appended instead of written from data, which would lose comments and layout.
    try:
        before = read_as_is(path) or HEADER
    except EncodingError as error:
        raise DraftError(f"{path}: {error}") from None
    drafted = f"{before.rstrip()}\n\n{draft(name, title, statement, ref, note)}"
    after = in_line_ends_of(before, drafted)
    # A second table of the same name is invalid TOML, so this also protects existing entries.
    if not is_toml(before) or not is_toml(after):
        raise DraftError(f"{path}: is not TOML, or already has [{name}]; see `assertlib check`")
    root.mkdir(parents=True, exist_ok=True)
    write_whole(path, after)
    return path


def draft(
    name: str,
    title: str,
    statement: str,
    ref: str,
    note: str = "",
    *,
    why: str = "",
    external_id: str = "",
    digest: str = "",
) -> str:
    """
    Return the table of a draft.

    Args:
        name: Name of the table.
        title, statement, ref, why: Its texts; empty for a placeholder.
        note: A note on the source; may be empty.
        external_id: Its id elsewhere; empty for none.
        digest: Digest of the imported text; empty for a draft that was not imported.
    """
    lines = [
        f"[{name}]",
        f"title = {_text(title or _TITLE)}",
        *([f"external_id = {_text(external_id)}"] if external_id else []),
        'kind = "safety"',
        'status = "draft" # "active" once an assertion names it',
        f"statement = {_text(statement or _STATEMENT)}",
        f"why = {_text(why or _WHY)}",
        f"debug = {_text(_DEBUG)}",
        'expects = ["always"]',
        "owners = []",
        f"[[{name}.source]]",
        f"ref = {_text(ref or REF)}",
        *([f"note = {_text(note)}"] if note or not digest else []),
        *([f"digest = {_text(digest)}"] if digest else []),
    ]
    return "\n".join(lines) + "\n"


def name_for(text: str, taken: Collection[str]) -> str:
    """
    Return a kebab-case name for a statement: its first significant words.

    Args:
        text: A title or statement.
        taken: Names that are in use.
    """
    # Accents are dropped; text in other scripts leaves no letters.
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain.replace("'", ""))
    significant = [word for word in words if word not in _FILLERS] or words
    name = "-".join(significant[:_NAME_WORDS])[:_NAME_CHARACTERS].strip("-") or "rule"
    name = f"{name}-rule" if name in _RESERVED else name
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def placeholders(invariant: Invariant) -> list[str]:
    """Return the keys of *invariant* that still hold the text of the template."""
    keys = {"title": _TITLE, "statement": _STATEMENT, "why": _WHY, "debug": _DEBUG}
    found = [key for key, text in keys.items() if getattr(invariant, key).strip() == text]
    return found + ["source"] * any(each.ref == REF for each in invariant.source)


def _text(value: str) -> str:
    # A JSON string is a TOML string, except that TOML requires DEL to be escaped.  Surrogates, as
    # in undecodable file names, have no UTF-8 and are shown as escapes.
    shown = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps(shown, ensure_ascii=False).replace("\x7f", "\\u007f")
