"""
What assertions were called before: ``renames.toml`` beside the catalog, committed.

A message is an assertion's identity, so evidence, witnesses and reviews would stay behind with the
old one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..errors import UsageError
from ..model import origin_and_part
from ..utf8 import REMEDY, EncodingError
from .files import read_text, write_whole
from .findings import Finding
from .positions import nearest, positions
from .pydantic_messages import in_words_of_toml
from .toml import parse_toml

FILE = "renames.toml"
_HEADER = "# What assertions were called before; `assertlib catalog rename` writes it.\n"
_Message = Annotated[str, StringConstraints(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = Field(alias="schema")
    messages: dict[_Message, _Message] = Field(default_factory=dict)


class RenameError(UsageError):
    """A name cannot be given; the text says why."""


@dataclass
class Renames:
    """
    New messages by old ones.

    Attributes:
        places: File, line and column of each, by the old message.
        findings: What is wrong with the files.
    """

    messages: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def now(self, message: str) -> str:
        """What *message* is called today; parts of a derived assertion go with it."""
        if message in self.messages:
            return self._last(message)
        origin, part = origin_and_part(message)
        return self._last(origin) + part

    def _last(self, message: str) -> str:
        while message in self.messages:
            message = self.messages[message]
        return message

    def without(self, messages: Collection[str]) -> Renames:
        """These renames but for those of names that *messages* still, or again, hold."""
        kept = {old: new for old, new in self.messages.items() if old not in messages}
        return Renames(kept)

    def add(self, other: Renames) -> None:
        """Take in those of another file, where they do not lead in a circle."""
        self.places = other.places | self.places
        for old, new in other.messages.items():
            self.messages.setdefault(old, new)
            if _leads_back(self.messages, old):
                del self.messages[old]

    def before(self, message: str) -> Iterator[str]:
        """What *message* was called, itself included."""
        yield message
        yield from (old for old in self.messages if self.now(old) == message)


def read_renames(path: Path, shown: str) -> Renames:
    """
    The renames in the file at *path*, none if it is not there; what is wrong becomes findings.

    Args:
        shown: How findings name the file.
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
        problem = error.errors()[0]
        said = f"{'.'.join(map(str, problem['loc']))}: {in_words_of_toml(problem['msg'])}"
        return _wrong(shown, nearest(places, problem["loc"]), said)
    for old in known:
        if _leads_back(known, old):
            return _wrong(
                shown, nearest(places, ("messages", old)), f"{old!r} leads back to itself"
            )
    at = {old: (shown, *nearest(places, ("messages", old))) for old in known}
    return Renames(dict(known), at)


def _wrong(shown: str, at: tuple[int, int], text: str) -> Renames:
    hint = "mend it; it holds `schema = 1` and [messages] with old names and new ones"
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
    Write down that *old* is called *new*, in the catalog at *root*, whole or not at all; the file.

    Raises:
        RenameError: The file is broken, the two are one, or *new* was itself given up.
        OSError: The file cannot be written.
    """
    import tomli_w

    path = root / FILE
    known = read_renames(path, str(path))
    if known.findings:
        raise RenameError(str(known.findings[0]))
    if old == new:
        raise RenameError(f"{old!r} is the same name")
    messages = dict(known.messages)
    if known.now(new) == old:
        # It is called again as it was.
        del messages[new]
    elif new in messages:
        raise RenameError(f"{new!r} was itself given up, for {known.now(new)!r}")
    messages[old] = new
    text = tomli_w.dumps({"schema": 1, "messages": dict(sorted(messages.items()))})
    write_whole(path, _HEADER + text)
    return path
