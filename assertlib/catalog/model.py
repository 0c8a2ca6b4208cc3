"""
Invariants as the catalog holds them.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

KindName = Literal["always", "always_or_unreachable", "sometimes", "reachable", "unreachable"]
KebabName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
InvariantId = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*$")
]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

SCHEMA_VERSION = 1


class _Entry(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True
    )


class Source(_Entry):
    """Where the knowledge comes from."""

    ref: Prose
    """Document, paper, code or issue, under its exact name."""
    note: str = ""
    """Which part of it."""


class Incident(_Entry):
    """Where the invariant did not hold, or seemed not to."""

    ref: Prose
    """The issue or report."""
    title: Prose
    """What happened, in a few words."""
    status: Literal["confirmed", "suspected", "refuted"]
    """Refuted: it turned out to be a test's or a client's fault."""
    date: str = ""
    """When it was reported: ``2022-03-31``, ``2022-03`` or ``2022``."""
    how: str = ""
    """What shows it elsewhere, in words."""
    reproduce: tuple[Prose, ...] = Field(default=(), strict=False)
    """Seeded defects and tests of this project that show it, by name or by file."""

    @field_validator("date")
    @classmethod
    def _is_a_date(cls, value: str) -> str:
        if value and not _is_date(value):
            raise ValueError("no date; write it as 2022-03-31, 2022-03 or 2022")
        return value


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}(-\d{2}){0,2}", text):
        return False
    try:
        dt.date.fromisoformat(text + "-01" * (2 - text.count("-")))
    except ValueError:
        return False
    return True


class Assigned(_Entry):
    """An assertion in code that cannot name its invariant, such as one in another language."""

    message: Annotated[str, StringConstraints(min_length=1)]
    """Its message, to the letter."""
    invariant: Annotated[
        str,
        StringConstraints(
            pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*(#[a-z0-9]+(-[a-z0-9]+)*)?$"
        ),
    ]
    """The invariant that it protects, as ``area.name`` or ``area.name#clause``."""


class State(_Entry):
    """A state worth seeing: a bug hid there once, or would."""

    text: Prose
    """What is to be seen."""
    hid: tuple[Prose, ...] = Field(default=(), strict=False)
    """Incidents that nobody saw coming for want of it."""


class Invariant(_Entry):
    """One thing that must hold."""

    title: Prose
    """The invariant in one line."""
    kind: Literal["safety", "liveness"]
    """Whether something bad never happens, or something good finally does."""
    status: Literal["draft", "active", "retired"]
    """A draft is not enforced yet; a retired one no longer holds, and is kept as knowledge."""
    revision: Annotated[int, Field(ge=1)] = 1
    """Raised when the meaning changes."""
    statement: Prose
    """What must hold."""
    clauses: dict[KebabName, Prose] = Field(
        default_factory=dict, json_schema_extra={"additionalProperties": False}
    )
    """The separate promises of the statement, cited as ``id#clause``."""
    states: dict[KebabName, State] = Field(
        default_factory=dict, json_schema_extra={"additionalProperties": False}
    )
    """States in which it is put to the test, cited as ``id#state`` by a sometimes or reachable."""
    why: Prose
    """What breaks, and for whom, when it does not hold."""
    debug: str = ""
    """What to look at when it fails."""
    expects: tuple[KindName, ...] = Field(default=(), strict=False)
    """Kinds of assertions that are needed before it counts as exercised."""
    requires: tuple[str, ...] = Field(default=(), strict=False)
    """Features without which it does not apply."""
    assumes: tuple[str, ...] = Field(default=(), strict=False)
    """The fault model: what may be relied on, such as ``fsync-honest``."""
    owners: tuple[str, ...] = Field(default=(), strict=False)
    """Who answers for it."""
    source: tuple[Source, ...] = Field(default=(), strict=False)
    """Where the knowledge comes from."""
    incident: tuple[Incident, ...] = Field(default=(), strict=False)
    """Where it did not hold."""
    open_questions: tuple[str, ...] = Field(default=(), strict=False)
    """What nobody here knows for sure."""
    related: tuple[InvariantId, ...] = Field(default=(), strict=False)
    """What it stands on, or stands for."""
    replaced_by: InvariantId | None = None
    """The invariant that took the place of a retired one."""

    @model_validator(mode="after")
    def _active_entries_can_be_enforced(self) -> Invariant:
        if self.status == "active" and not self.expects:
            raise ValueError("an active invariant needs `expects`: which kinds of assertions?")
        if self.replaced_by is not None and self.status != "retired":
            raise ValueError("only a retired invariant can have `replaced_by`")
        both = self.clauses.keys() & self.states.keys()
        if both:
            raise ValueError(f"a clause and a state have one name: {', '.join(sorted(both))}")
        return self

    @property
    def promise(self) -> str:
        """All that is promised, and where, as reviews compare it."""
        lines = [self.wording]
        lines += ["(a draft)"] if self.status == "draft" else []
        for words, names in (("with", self.requires), ("under", self.assumes)):
            lines += [f"(only {words} {', '.join(sorted(names))})"] if names else []
        return "\n".join(lines)

    @property
    def wording(self) -> str:
        """Statement, clauses and states, a sentence or part a line."""
        parts = [*self.clauses.items(), *((name, it.text) for name, it in self.states.items())]
        lines = _sentences(self.statement)
        lines += [f"{name}: {' '.join(text.split())}" for name, text in sorted(parts)]
        return "\n".join(lines)


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?]) ", " ".join(text.split()))


def file_schema() -> dict[str, object]:
    """The JSON Schema of a catalog file, for editors and for ``catalog/schema.json``."""
    entry = Invariant.model_json_schema(ref_template="#/$defs/{model}")
    definitions = entry.pop("$defs", {})
    assigned = Assigned.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "assertlib catalog file",
        "description": "One table per invariant; the file's name is their area.",
        "type": "object",
        "properties": {
            "schema": {"const": SCHEMA_VERSION},
            "assertion": {"type": "array", "items": {"$ref": "#/$defs/Assigned"}},
        },
        "required": ["schema"],
        "patternProperties": {
            r"^(?!(?:schema|assertion)$)[a-z0-9]+(-[a-z0-9]+)*$": {"$ref": "#/$defs/Invariant"}
        },
        "additionalProperties": False,
        "$defs": {"Invariant": entry, "Assigned": assigned, **definitions},
    }
