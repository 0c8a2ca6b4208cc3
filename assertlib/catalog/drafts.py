"""
Writes drafts of invariants into catalog files, for people to complete.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from .._text.utf8 import EncodingError
from ..errors import UsageError
from .config import is_toml
from .files import in_line_ends_of, read_as_is, write_whole
from .model import Invariant

_ID = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)\.([a-z0-9]+(?:-[a-z0-9]+)*)\Z")
_RESERVED = ("schema", "assertion", "renames")
# The first line makes editors that support Taplo's directives validate the file.
_HEADER = "#:schema ./schema.json\nschema = 1\n"


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
        before = read_as_is(path) or _HEADER
    except EncodingError as error:
        raise DraftError(f"{path}: {error}") from None
    drafted = f"{before.rstrip()}\n\n{_draft(name, title, statement, ref, note)}"
    after = in_line_ends_of(before, drafted)
    # A second table of the same name is invalid TOML, so this also protects existing entries.
    if not is_toml(before) or not is_toml(after):
        raise DraftError(f"{path}: is not TOML, or already has [{name}]; see `assertlib check`")
    root.mkdir(parents=True, exist_ok=True)
    write_whole(path, after)
    return path


def _draft(name: str, title: str, statement: str, ref: str, note: str) -> str:
    return f"""\
[{name}]
title = {_text(title or _TITLE)}
kind = "safety"
status = "draft" # "active" once an assertion names it
statement = {_text(statement or _STATEMENT)}
why = {_text(_WHY)}
debug = {_text(_DEBUG)}
expects = ["always"]
owners = []
[[{name}.source]]
ref = {_text(ref or REF)}
note = {_text(note)}
"""


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
