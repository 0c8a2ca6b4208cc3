"""
The words of assertlib as plain data: kinds, locations, sites and the records
of the wire.

Every module of the SDK may import this one, and it imports nothing, so that
``import assertlib`` stays cheap enough for production stores.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

PROTOCOL_VERSION: Final = "1.1.0"
"""Version of the Antithesis wire format that is written and read."""


class Kind:
    """
    What an assertion claims about its condition.

    Attributes:
        name: The word used in code, catalog and reports.
        display_type: The wire's name of the kind.
        assert_type: The wire's way to judge it.
        must_hit: Whether never being evaluated is a failure.
        code: Its number in a counter file.
    """

    __slots__ = ("assert_type", "code", "display_type", "must_hit", "name")

    def __init__(
        self, code: int, name: str, display_type: str, assert_type: str, *, must_hit: bool
    ) -> None:
        self.code = code
        self.name = name
        self.display_type = display_type
        self.assert_type = assert_type
        self.must_hit = must_hit

    @property
    def violated_by_false(self) -> bool:
        """Whether one false hit breaks it (for `unreachable`, every hit is false)."""
        return self is not SOMETIMES

    def __repr__(self) -> str:
        return f"<Kind {self.name}>"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return kind_named, (self.name,)


ALWAYS = Kind(1, "always", "Always", "always", must_hit=True)
ALWAYS_OR_UNREACHABLE = Kind(
    2, "always_or_unreachable", "AlwaysOrUnreachable", "always", must_hit=False
)
SOMETIMES = Kind(3, "sometimes", "Sometimes", "sometimes", must_hit=True)
REACHABLE = Kind(4, "reachable", "Reachable", "reachability", must_hit=True)
UNREACHABLE = Kind(5, "unreachable", "Unreachable", "reachability", must_hit=False)

KINDS = (ALWAYS, ALWAYS_OR_UNREACHABLE, SOMETIMES, REACHABLE, UNREACHABLE)
_BY_NAME = {kind.name: kind for kind in KINDS}
_BY_CODE = {kind.code: kind for kind in KINDS}
_BY_DISPLAY_TYPE = {kind.display_type: kind for kind in KINDS}


def kind_named(name: str) -> Kind:
    """
    The kind with that *name*.

    Raises:
        KeyError: There is no such kind.
    """
    return _BY_NAME[name]


def kind_coded(code: int) -> Kind | None:
    """The kind with that number in a counter file, if any."""
    return _BY_CODE.get(code)


def kind_displayed(display_type: str) -> Kind | None:
    """The kind of a wire record's ``display_type``, if any."""
    return _BY_DISPLAY_TYPE.get(display_type)


class Location:
    """A place in source code, with the field names of the wire."""

    __slots__ = ("begin_column", "begin_line", "class_name", "file", "function")

    def __init__(
        self, file: str, function: str, class_name: str, begin_line: int, begin_column: int = 0
    ) -> None:
        self.file = file
        self.function = function
        self.class_name = class_name
        self.begin_line = begin_line
        self.begin_column = begin_column

    @property
    def qualname(self) -> str:
        """Function name with its class, as in ``Wal.append``."""
        return f"{self.class_name}.{self.function}" if self.class_name else self.function

    def wire(self) -> dict[str, str | int]:
        """The ``location`` object of a wire record."""
        return {
            "file": self.file,
            "function": self.function,
            "class": self.class_name,
            "begin_line": self.begin_line,
            "begin_column": self.begin_column,
        }

    def __str__(self) -> str:
        return f"{self.file}:{self.begin_line}"

    def __repr__(self) -> str:
        return f"<Location {self} {self.qualname}>"


NOWHERE = Location("", "", "", 0)


class Site:
    """
    Where an assertion stands, as found by reading the source.

    Attributes:
        kind: What it claims.
        message: Its name, unique in a target.
        invariant: Id of the invariant it protects, with ``#clause`` if it cites one;
            empty if the source names one, but not literally.
        file: Path relative to the project, with ``/``.
        qualname: Enclosing function, ``<module>`` outside of any.
        line: First line of the call, from 1.
        column: First column of the call, from 1.
        condition: Source text of the condition.
        fingerprint: Hash of the condition that survives moving, reformatting and
            renaming of local variables.
        origin: Message of the derived assertion that this one is part of, or its own.
        form: Name of the primitive that is called, as in ``always_greater_than``.
        owner: Name of the class that its function stands in, if it does.
    """

    __slots__ = (
        "column",
        "condition",
        "file",
        "fingerprint",
        "form",
        "invariant",
        "kind",
        "line",
        "message",
        "origin",
        "owner",
        "qualname",
    )

    def __init__(
        self,
        *,
        kind: Kind,
        message: str,
        file: str,
        qualname: str,
        line: int,
        column: int,
        invariant: str | None = None,
        condition: str = "",
        fingerprint: str = "",
        origin: str | None = None,
        form: str = "",
        owner: str = "",
    ) -> None:
        self.kind = kind
        self.message = message
        self.invariant = invariant
        self.file = file
        self.qualname = qualname
        self.line = line
        self.column = column
        self.condition = condition
        self.fingerprint = fingerprint
        self.origin = message if origin is None else origin
        self.form = form or kind.name
        self.owner = owner

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON; `site_from_dict` reads it back."""
        data: dict[str, object] = {name: getattr(self, name) for name in sorted(self.__slots__)}
        data["kind"] = self.kind.name
        return data

    def renamed(self, now: Callable[[str], str]) -> Site:
        """The same site under the names that *now* gives."""
        names = {"message": now(self.message), "origin": now(self.origin)}
        return site_from_dict({**self.as_dict(), **names})

    def protecting(self, invariant: str) -> Site:
        """The same site, with the invariant that it protects according to the catalog."""
        return site_from_dict({**self.as_dict(), "invariant": invariant})

    @property
    def is_python(self) -> bool:
        """Whether it could name its invariant itself."""
        return self.file.endswith((".py", ".pyi"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Site) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.kind.name, self.message, self.file, self.line, self.column))

    def __repr__(self) -> str:
        return f"<Site {self.kind.name} {self.message!r} {self.file}:{self.line}>"


_MOST_LINES = 1 << 31
_SHOWN = 60


def site_from_dict(data: Mapping[str, object]) -> Site:
    """
    Read what `Site.as_dict` wrote.

    Raises:
        KeyError: A field is missing.
        ValueError: A field has the wrong type.
    """

    def text(name: str) -> str:
        value = data[name]
        if not isinstance(value, str):
            msg = f"{name} of an assertion must be a string, not {repr(value)[:_SHOWN]}"
            raise ValueError(msg)
        return value

    def number(name: str) -> int:
        value = data[name]
        if type(value) is not int or not 0 <= value < _MOST_LINES:
            msg = f"{name} of an assertion must be an integer from 0, not {repr(value)[:_SHOWN]}"
            raise ValueError(msg)
        return value

    return Site(
        kind=kind_named(text("kind")),
        message=text("message"),
        invariant=None if data["invariant"] is None else text("invariant"),
        file=text("file"),
        qualname=text("qualname"),
        line=number("line"),
        column=number("column"),
        condition=text("condition"),
        fingerprint=text("fingerprint"),
        origin=text("origin"),
        # Runs that were recorded before there were these have none.
        form=text("form") if "form" in data else "",
        owner=text("owner") if "owner" in data else "",
    )


def invariant_and_clause(reference: str) -> tuple[str, str | None]:
    """Split ``wal.fsync-before-ack#dir-entry`` into the invariant's id and the clause."""
    identifier, _, clause = reference.partition("#")
    return identifier, clause or None


# Names of derived assertions; foreign readers see them as ordinary ones.


def antecedent_message(message: str) -> str:
    """Name of the sometimes half of an ``always_if``."""
    return f"{message} [antecedent]"


def false_message(message: str) -> str:
    """Name of the must-be-seen-false half of a ``sometimes_both``."""
    return f"{message} [false]"


def bucket_message(message: str, bucket: str) -> str:
    """Name of one bucket of a ``sometimes_each``."""
    return f"{message} [bucket={bucket}]"


def bucket_of(value: object) -> str:
    """Name of the bucket that *value* falls into: its text, or the name of an enum's member."""
    name = getattr(value, "name", None)
    if isinstance(name, str) and hasattr(type(value), "__members__"):
        return name
    return value if isinstance(value, str) else repr(value)


def origin_and_part(message: str) -> tuple[str, str]:
    """The assertion that a derived one belongs to, and the rest of its name; empty if it is none."""
    for suffix in (antecedent_message(""), false_message("")):
        if message.endswith(suffix) and message != suffix:
            return message.removesuffix(suffix), suffix
    head, mark, rest = message.rpartition(" [bucket=")
    if head and rest.endswith("]"):
        return head, mark + rest
    return message, ""


OTHER_BUCKET = "other"


def claimed_kinds(kind: Kind, message: str, *, has_antecedent: bool) -> frozenset[str]:
    """
    The kinds of evidence that an assertion gives its invariant.

    An ``always_if`` (*has_antecedent*) must be put to the test, so it is also an
    always; an antecedent, and the bucket for what was not expected, claim nothing.
    """
    if message.endswith((antecedent_message(""), bucket_message("", OTHER_BUCKET))):
        return frozenset()
    return frozenset({kind.name, ALWAYS.name} if has_antecedent else {kind.name})


def assert_record(
    kind: Kind, message: str, location: Location, *, hit: bool, condition: bool
) -> dict[str, object]:
    """
    Body of an ``antithesis_assert`` record, without details.

    Source: the assertion schema of the Antithesis fallback SDK, protocol 1.1.0.
    """
    return {
        "condition": condition,
        "must_hit": kind.must_hit,
        "hit": hit,
        "id": message,
        "message": message,
        "display_type": kind.display_type,
        "assert_type": kind.assert_type,
        "location": location.wire(),
    }
