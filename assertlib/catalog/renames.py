"""
Former messages of assertions, kept in ``renames.toml`` beside the catalog and committed.

A message is the identity of its assertion: without a record of the rename, evidence, witnesses and
reviews would stay with the old message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .._text.utf8 import REMEDY, EncodingError
from ..errors import UsageError
from ..model import origin_and_part
from .files import read_text, write_whole
from .findings import Finding
from .positions import nearest, positions
from .pydantic_messages import in_words_of_toml
from .toml import parse_toml

FILE = "renames.toml"
_HEADER = "# Former messages of assertions; written by `assertlib catalog rename`.\n"
_Message = Annotated[str, StringConstraints(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = Field(alias="schema")
    messages: dict[_Message, _Message] = Field(default_factory=dict)


class RenameError(UsageError):
    """A rename cannot be recorded; the text gives the reason."""


@dataclass
class Renames:
    """
    New messages by old ones.

    Attributes:
        messages: The new message of each old one, which may itself have been renamed since.
        places: File, line and column of each rename, by the old message.
        findings: Problems in the files.
    """

    messages: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def now(self, message: str) -> str:
        """Return the current name of *message*; parts of a derived assertion follow it."""
        # The whole message comes first: any message may end like the part of a derived assertion.
        if message in self.messages:
            return self._last(message)
        origin, part = origin_and_part(message)
        return self._last(origin) + part

    def _last(self, message: str) -> str:
        # Ends, since `read_renames` rejects circles and `add` drops what would close one.
        while message in self.messages:
            message = self.messages[message]
        return message

    def without(self, messages: Collection[str]) -> Renames:
        """Return the renames without those whose old name is one of *messages*, which are in use."""
        kept = {old: new for old, new in self.messages.items() if old not in messages}
        return Renames(kept)

    def add(self, other: Renames) -> None:
        """Add the renames of another file, *other*, unless they close a circle."""
        # The first file wins.  Each file is free of circles, two together need not be.
        self.places = other.places | self.places
        for old, new in other.messages.items():
            self.messages.setdefault(old, new)
            if _leads_back(self.messages, old):
                del self.messages[old]

    def before(self, message: str) -> Iterator[str]:
        """Yield *message* and all its former names."""
        yield message
        yield from (old for old in self.messages if self.now(old) == message)


def read_renames(path: Path, shown: str) -> Renames:
    """
    Read the renames in a file; problems become findings.

    Args:
        path: The file; if it does not exist, there are no renames.
        shown: Name of the file in findings.
    """
    try:
        text = read_text(path)
        data = parse_toml(text)
    except FileNotFoundError:
        return Renames()
    except EncodingError as error:
        return Renames(findings=[Finding(shown, 0, 0, "AL105", error.found, REMEDY)])
    except (OSError, ValueError) as error:
        return _wrong(shown, (0, 0), f"cannot be read: {getattr(error, 'strerror', None) or error}")
    places = positions(text)
    try:
        known = _File.model_validate(data).messages
    except ValidationError as error:
        # The first problem is enough: nothing in a damaged file is used.
        problem = error.errors()[0]
        text = f"{'.'.join(map(str, problem['loc']))}: {in_words_of_toml(problem['msg'])}"
        return _wrong(shown, nearest(places, problem["loc"]), text)
    # A message in a circle would have no current name.
    for old in known:
        if _leads_back(known, old):
            return _wrong(
                shown, nearest(places, ("messages", old)), f"{old!r} leads back to itself"
            )
    at = {old: (shown, *nearest(places, ("messages", old))) for old in known}
    return Renames(dict(known), at)


def _wrong(shown: str, at: tuple[int, int], text: str) -> Renames:
    hint = (
        "fix it; it must contain `schema = 1` and a table [messages] that maps old messages to"
        " new ones"
    )
    return Renames(findings=[Finding(shown, at[0], at[1], "AL105", text, hint)])


def _leads_back(messages: Mapping[str, str], start: str) -> bool:
    seen = {start}
    name = messages[start]
    while name in messages and name not in seen:
        seen.add(name)
        name = messages[name]
    return name in seen


def add_rename(root: Path, old: str, new: str) -> Path:
    """
    Record a rename in the catalog's ``renames.toml``, which is replaced atomically.

    Args:
        root: Directory of the catalog.
        old: The message that evidence was recorded under.
        new: The message that replaces it in code.

    Returns:
        The path of the file.

    Raises:
        RenameError: The file is damaged, both messages are equal, or *new* was itself renamed.
        OSError: The file cannot be written.
    """
    # Imported here, since only the commands that write a catalog need it.
    import tomli_w

    path = root / FILE
    known = read_renames(path, str(path))
    if known.findings:
        raise RenameError(str(known.findings[0]))
    if old == new:
        raise RenameError(f"{old!r} is both the old and the new message")
    messages = dict(known.messages)
    if known.now(new) == old:
        # The rename is reverted: with both entries, the names would form a circle.
        del messages[new]
    elif new in messages:
        # Evidence under *new* belongs to the assertion that was renamed.
        raise RenameError(f"{new!r} was itself renamed, to {known.now(new)!r}")
    messages[old] = new
    text = tomli_w.dumps({"schema": 1, "messages": dict(sorted(messages.items()))})
    write_whole(path, _HEADER + text)
    return path
