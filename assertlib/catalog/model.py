"""
The data model of a catalog: invariants and what their entries consist of.
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
# Lowercase kebab-case: an id is also the file name of its page and part of a citation in code.
InvariantId = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*$")
]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

SCHEMA_VERSION = 1


class _Entry(BaseModel):
    # Unknown keys are errors: a misspelled key would otherwise silently keep its default.  Strict,
    # since TOML has types: a quoted number is a mistake.  Attribute docstrings become the
    # descriptions in the JSON Schema, which editors show.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True
    )


class Source(_Entry):
    """A source of the knowledge."""

    ref: Prose
    """Document, paper, code or issue, by its exact name."""
    note: str = ""
    """The relevant part of it."""
    digest: str = ""
    """
    Digest of the text that `assertlib catalog import` took from it; an entry whose text has another
    one was edited since, and is not overwritten.
    """


class Incident(_Entry):
    """A case in which the invariant did not hold, or seemed not to."""

    ref: Prose
    """The issue or report that describes it."""
    title: Prose
    """A short description."""
    status: Literal["confirmed", "suspected", "refuted"]
    """Refuted: the cause turned out to be a test or a client."""
    date: str = ""
    """Date of the report: ``2022-03-31``, ``2022-03`` or ``2022``."""
    how: str = ""
    """How it was reproduced outside this project, in prose."""
    # TOML arrays arrive as lists, which a strict tuple field would reject.
    reproduce: tuple[Prose, ...] = Field(default=(), strict=False)
    """Seeded defects and tests of this project that reproduce it, by name or by file."""

    @field_validator("date")
    @classmethod
    def _is_a_date(cls, value: str) -> str:
        if value and not _is_date(value):
            raise ValueError("not a date; write it as 2022-03-31, 2022-03 or 2022")
        return value


def _is_date(text: str) -> bool:
    # fromisoformat alone also accepts 20220331 and the week date 2022-W13-4.
    if not re.fullmatch(r"\d{4}(-\d{2}){0,2}", text):
        return False
    # Every month has a first day, and every year a first month.
    try:
        dt.date.fromisoformat(text + "-01" * (2 - text.count("-")))
    except ValueError:
        return False
    return True


class Assigned(_Entry):
    """An assertion in code that cannot name its invariant, such as code in another language."""

    message: Annotated[str, StringConstraints(min_length=1)]
    """The message, character for character."""
    invariant: Annotated[
        str,
        StringConstraints(
            pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*(#[a-z0-9]+(-[a-z0-9]+)*)?$"
        ),
    ]
    """The invariant it protects, as ``area.name`` or ``area.name#clause``."""


class State(_Entry):
    """A state worth reaching, because a bug has hidden in it or could."""

    text: Prose
    """A description of the state."""
    hid: tuple[Prose, ...] = Field(default=(), strict=False)
    """Incidents that went unnoticed because the state was never reached."""


class Invariant(_Entry):
    """A property that must hold."""

    title: Prose
    """The invariant in one line."""
    external_id: Annotated[
        str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9._~/#-]*)?$")
    ] = ""
    """Its id in another document or tool, such as ``INV-3`` or ``SYS.1``; unique in the catalog."""
    kind: Literal["safety", "liveness"]
    """Safety: something bad never happens.  Liveness: something good eventually happens."""
    status: Literal["draft", "active", "retired"]
    """A draft is not enforced yet; a retired invariant no longer holds and is kept as knowledge."""
    revision: Annotated[int, Field(ge=1)] = 1
    """Increased when the meaning changes."""
    statement: Prose
    """What must hold."""
    # JSON Schema applies the pattern of a key only to keys that match it; without
    # additionalProperties, editors would accept names that the loader rejects.
    clauses: dict[KebabName, Prose] = Field(
        default_factory=dict, json_schema_extra={"additionalProperties": False}
    )
    """The separate promises of the statement, cited as ``id#clause``."""
    states: dict[KebabName, State] = Field(
        default_factory=dict, json_schema_extra={"additionalProperties": False}
    )
    """States that put it to the test, cited as ``id#state`` by a sometimes or reachable."""
    why: Prose
    """What breaks, and for whom, if it does not hold."""
    debug: str = ""
    """Where to start looking when it is violated."""
    expects: tuple[KindName, ...] = Field(default=(), strict=False)
    """Kinds of assertions that must be satisfied before it counts as exercised."""
    requires: tuple[str, ...] = Field(default=(), strict=False)
    """Features without which it does not apply."""
    assumes: tuple[str, ...] = Field(default=(), strict=False)
    """Assumptions of the fault model that may be relied on, such as ``fsync-honest``."""
    owners: tuple[str, ...] = Field(default=(), strict=False)
    """The people or teams responsible for it."""
    source: tuple[Source, ...] = Field(default=(), strict=False)
    """Sources of the knowledge."""
    incident: tuple[Incident, ...] = Field(default=(), strict=False)
    """Cases in which it did not hold, or seemed not to."""
    open_questions: tuple[str, ...] = Field(default=(), strict=False)
    """Questions that are still open."""
    related: tuple[InvariantId, ...] = Field(default=(), strict=False)
    """Invariants that it depends on, or that depend on it."""
    replaced_by: InvariantId | None = None
    """The invariant that replaces a retired one."""

    @model_validator(mode="after")
    def _active_entries_can_be_enforced(self) -> Invariant:
        if self.status == "active" and not self.expects:
            raise ValueError(
                "an active invariant needs `expects`: the kinds of assertions it must have"
            )
        if self.replaced_by is not None and self.status != "retired":
            raise ValueError("only a retired invariant can have `replaced_by`")
        # Both are cited as `id#name`, so a shared name would be ambiguous.
        both = self.clauses.keys() & self.states.keys()
        if both:
            raise ValueError(f"a clause and a state share a name: {', '.join(sorted(both))}")
        return self

    @property
    def promise(self) -> str:
        """The full promise as reviews compare it: wording, status as a draft, and conditions."""
        # Status and conditions are part of it, since narrowing a promise weakens it as well.
        lines = [self.wording]
        lines += ["(a draft)"] if self.status == "draft" else []
        for words, names in (("with", self.requires), ("under", self.assumes)):
            lines += [f"(only {words} {', '.join(sorted(names))})"] if names else []
        return "\n".join(lines)

    @property
    def wording(self) -> str:
        """Statement, clauses and states, one sentence or part per line."""
        # Sorted, so that reordering the parts of an entry is not a change.
        parts = [*self.clauses.items(), *((name, it.text) for name, it in self.states.items())]
        lines = _sentences(self.statement)
        lines += [f"{name}: {' '.join(text.split())}" for name, text in sorted(parts)]
        return "\n".join(lines)


def _sentences(text: str) -> list[str]:
    # White space is normalised, so that rewrapping a statement is not a change.
    return re.split(r"(?<=[.!?]) ", " ".join(text.split()))


def file_schema() -> dict[str, object]:
    """Return the JSON Schema of a catalog file, for editors and for ``catalog/schema.json``."""
    entry = Invariant.model_json_schema(ref_template="#/$defs/{model}")
    definitions = entry.pop("$defs", {})
    assigned = Assigned.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "assertlib catalog file",
        "description": "One table per invariant; the file name is the area.",
        "type": "object",
        "properties": {
            "schema": {"const": SCHEMA_VERSION},
            "assertion": {"type": "array", "items": {"$ref": "#/$defs/Assigned"}},
        },
        "required": ["schema"],
        # The lookahead excludes the two keys above: a pattern applies to them as well, and they
        # would have to be invariants.
        "patternProperties": {
            r"^(?!(?:schema|assertion)$)[a-z0-9]+(-[a-z0-9]+)*$": {"$ref": "#/$defs/Invariant"}
        },
        "additionalProperties": False,
        "$defs": {"Invariant": entry, "Assigned": assigned, **definitions},
    }
