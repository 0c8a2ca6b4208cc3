"""
What assertions were called before: ``renames.toml`` beside the catalog, committed.

A message is an assertion's identity, so evidence, witnesses and reviews would stay behind with the
old one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .findings import Finding
from .positions import nearest, positions
from .words import in_words_of_toml

FILE = "renames.toml"
_HEADER = "# What assertions were called before; `assertlib catalog rename` writes it.\n"
_Message = Annotated[str, StringConstraints(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = Field(alias="schema")
    messages: dict[_Message, _Message] = Field(default_factory=dict)


class RenameError(Exception):
    """A name cannot be given; the text says why."""


@dataclass
class Renames:
    """
    New messages by old ones.

    Attributes:
        findings: What is wrong with the files.
    """

    messages: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def now(self, message: str) -> str:
        """What *message* is called today; parts of a derived assertion go with it."""
        name, bracket, rest = message.partition(" [")
        while name in self.messages or message in self.messages:
            if message in self.messages:
                return self.now(self.messages[message])
            name = self.messages[name]
        return f"{name}{bracket}{rest}"

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
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        return Renames()
    except (OSError, ValueError) as error:
        return _wrong(shown, (0, 0), f"cannot be read: {error}")
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
    return Renames(dict(known))


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


def add_rename(path: Path, renames: Renames, old: str, new: str) -> None:
    """
    Write down that *old* is called *new*, in the file at *path*, whole or not at all.

    Raises:
        RenameError: The two are one.
        OSError: The file cannot be written.
    """
    import tomli_w

    if old == new:
        raise RenameError(f"{old!r} is the same name")
    messages = {**renames.messages, old: new}
    # What carries the name today has it for good, or again.
    messages.pop(new, None)
    text = tomli_w.dumps({"schema": 1, "messages": dict(sorted(messages.items()))})
    temporary = path.with_name(f".{FILE}.new")
    temporary.write_text(_HEADER + text, encoding="utf-8")
    temporary.replace(path)
