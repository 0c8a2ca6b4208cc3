"""
Drafts of invariants, written into catalog files for people to fill in.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import UsageError
from ..utf8 import EncodingError
from .config import is_toml
from .files import in_line_ends_of, read_as_is, write_whole

_ID = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)\.([a-z0-9]+(?:-[a-z0-9]+)*)\Z")
_RESERVED = ("schema", "assertion", "renames")
_HEADER = "#:schema ./schema.json\nschema = 1\n"


class DraftError(UsageError):
    """A draft cannot be written; the text says why."""


def add_draft(
    root: Path, identifier: str, title: str, statement: str = "", ref: str = "", note: str = ""
) -> Path:
    """
    Append a draft of the invariant to its area's file in *root*, whole or not at all; the file.

    Args:
        statement: What must hold, as far as one knows.
        ref, note: Where it is known from.

    Raises:
        DraftError: It is no id, or the file is no catalog file.
        OSError: The file cannot be read or written.
    """
    found = _ID.match(identifier)
    if found is None:
        raise DraftError(f"{identifier!r} is no id; write area.kebab-name, in small letters")
    area, name = found.groups()
    if name in _RESERVED or area in _RESERVED:
        raise DraftError(f"{identifier!r}: the name is reserved; choose another")
    path = root / f"{area}.toml"
    try:
        before = read_as_is(path) or _HEADER
    except EncodingError as error:
        raise DraftError(f"{path}: {error}") from None
    drafted = f"{before.rstrip()}\n\n{_draft(name, title, statement, ref, note)}"
    after = in_line_ends_of(before, drafted)
    if not is_toml(before) or not is_toml(after):
        raise DraftError(f"{path}: is not TOML, or has [{name}] already; see `assertlib check`")
    root.mkdir(parents=True, exist_ok=True)
    write_whole(path, after)
    return path


def _draft(name: str, title: str, statement: str, ref: str, note: str) -> str:
    return f"""\
[{name}]
title = {_text(title or "What must hold, in one line")}
kind = "safety"
status = "draft" # "active" once an assertion names it
statement = {_text(statement or "What must hold, so that somebody else could check it.")}
why = "Who is hurt, and how, when it does not hold."
debug = "What to look at when it fails."
expects = ["always"]
owners = []
[[{name}.source]]
ref = {_text(ref or "where this is known from: a document, an issue, a review")}
note = {_text(note)}
"""


def _text(value: str) -> str:
    # JSON's strings are TOML's, but for DEL.
    shown = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps(shown, ensure_ascii=False).replace("\x7f", "\\u007f")
