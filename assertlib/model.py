"""
The vocabulary of assertlib as plain data: kinds, locations, sites and wire records.

Every module of the SDK may import this one, and it imports next to nothing, so that ``import assertlib``
stays cheap enough for production stores.
"""

from __future__ import annotations

from .errors import quoted

# Type checkers take a constant of this name for true; `typing` itself need not be imported.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

PROTOCOL_VERSION: Final = "1.1.0"
"""Version of the Antithesis wire format that the SDK writes and reads."""


# Plain classes throughout: `enum` and `dataclasses` would have to be imported.
class Kind:
    """
    The claim that an assertion makes about its condition.

    Attributes:
        name: The name in code, catalog and reports.
        display_type: The name on the wire.
        assert_type: How the wire format judges hits: ``always``, ``sometimes`` or ``reachability``.
        must_hit: Whether never being evaluated is a failure.
        code: The number in a counter file.
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
        """Whether one false hit is a violation (all hits of an `unreachable` are false)."""
        return self is not SOMETIMES

    def __repr__(self) -> str:
        return f"<Kind {self.name}>"

    # Kinds are compared by identity, so unpickling returns the existing object.
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return kind_named, (self.name,)


# The codes stand in counter files, which later versions read: they never change.  Each pair of
# assert type and must_hit occurs once, since records of other SDKs are recognized by it if their
# display type is unknown.
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
    Return the kind with that *name*.

    Raises:
        KeyError: No kind has that name.
    """
    return _BY_NAME[name]


def kind_coded(code: int) -> Kind | None:
    """Return the kind with that number in a counter file, if any."""
    return _BY_CODE.get(code)


def kind_displayed(display_type: str) -> Kind | None:
    """Return the kind with the ``display_type`` of a wire record, if any."""
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
"""The place of a hit whose caller is not available."""


class Site:
    """
    The location of an assertion, found by reading the source.

    Attributes:
        kind: The claim of the assertion.
        message: Name of the assertion, unique in a target.
        invariant: Id of the invariant that it protects, with ``#clause`` if it cites one; empty
            if the source names one other than by a literal, None if it names none.
        file: Path relative to the project, with ``/``.
        qualname: Enclosing function; ``<module>`` at module level.
        line: First line of the call, from 1.
        column: First column of the call, from 1.
        condition: Source text of the condition.
        fingerprint: Hash of the condition that does not change when the code is moved or
            reformatted, or when local variables are renamed.
        origin: Message of the derived assertion that this one is part of, or its own.
        form: Name of the function that is called, such as ``always_greater_than``.
        owner: Name of the class that contains the function; empty for none.
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
        # Runs of earlier versions have no form: then it is the plain call of the kind.
        self.form = form or kind.name
        self.owner = owner

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON; `site_from_dict` reads it back."""
        data: dict[str, object] = {name: getattr(self, name) for name in sorted(self.__slots__)}
        data["kind"] = self.kind.name
        return data

    def renamed(self, now: Callable[[str], str]) -> Site:
        """Return a copy whose message and origin are mapped by *now*, from old names to new."""
        names = {"message": now(self.message), "origin": now(self.origin)}
        return site_from_dict({**self.as_dict(), **names})

    def protecting(self, invariant: str) -> Site:
        """Return a copy that cites the *invariant* that the catalog assigns to it."""
        return site_from_dict({**self.as_dict(), "invariant": invariant})

    @property
    def is_python(self) -> bool:
        """Whether it is in Python, and so cites its invariant itself, not in the catalog."""
        return self.file.endswith((".py", ".pyi"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Site) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.kind.name, self.message, self.file, self.line, self.column))

    def __repr__(self) -> str:
        return f"<Site {self.kind.name} {self.message!r} {self.file}:{self.line}>"


MOST_LINES = 1 << 31
"""Line numbers in records are below it; others are damage."""


def site_from_dict(data: Mapping[str, object]) -> Site:
    """
    Read a site that `Site.as_dict` wrote.

    Raises:
        KeyError: A field is missing, or the kind is unknown.
        ValueError: A field has the wrong type.
    """
    # A run directory may come from another machine, so each field is checked.

    def text(name: str) -> str:
        value = data[name]
        if not isinstance(value, str):
            msg = f"the {name} of an assertion must be a string, not {quoted(value)}"
            raise ValueError(msg)
        return value

    def number(name: str) -> int:
        value = data[name]
        # By type, since JSON's true would pass as an integer.
        if type(value) is not int or not 0 <= value < MOST_LINES:
            msg = f"the {name} of an assertion must be a non-negative integer, not {quoted(value)}"
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
        # Absent in runs that were recorded by earlier versions.
        form=text("form") if "form" in data else "",
        owner=text("owner") if "owner" in data else "",
    )


def invariant_and_clause(reference: str) -> tuple[str, str | None]:
    """Split ``wal.fsync-before-ack#dir-entry`` into the invariant's id and the clause."""
    identifier, _, clause = reference.partition("#")
    return identifier, clause or None


# Names of derived assertions.  Records on the wire, renames in the catalog and stored evidence
# contain them, so a changed suffix would lose the history of each such assertion.


def antecedent_message(message: str) -> str:
    """Return the name of the sometimes half of an ``always_if``."""
    return f"{message} [antecedent]"


def false_message(message: str) -> str:
    """Return the name of the half of a ``sometimes_both`` that has to be seen false."""
    return f"{message} [false]"


def bucket_message(message: str, bucket: str) -> str:
    """Return the name of one bucket of a ``sometimes_each``."""
    return f"{message} [bucket={bucket}]"


def bucket_of(value: object) -> str:
    """Return the bucket of *value*: the name of an enum's member, a string itself or a `repr`."""
    # The scanner names the buckets of a literal *expected* by this function too: both must agree.
    # A member of an enum is recognized by its class, without an import of `enum`.
    name = getattr(value, "name", None)
    if isinstance(name, str) and hasattr(type(value), "__members__"):
        return name
    return value if isinstance(value, str) else repr(value)


def origin_and_part(message: str) -> tuple[str, str]:
    """Split *message* into the assertion it derives from and a suffix, empty if it is its own."""
    # A name that consists of a suffix alone is an ordinary one.
    for suffix in (antecedent_message(""), false_message("")):
        if message.endswith(suffix) and message != suffix:
            return message.removesuffix(suffix), suffix
    # From the right, since the message may contain the mark itself.
    head, mark, rest = message.rpartition(" [bucket=")
    if head and rest.endswith("]"):
        return head, mark + rest
    return message, ""


OTHER_BUCKET = "other"


def claimed_kinds(kind: Kind, message: str, *, has_antecedent: bool) -> frozenset[str]:
    """
    Return the kinds of evidence that an assertion contributes to its invariant.

    Args:
        kind: The claim of the assertion.
        message: Name of the assertion.
        has_antecedent: Whether it is the main half of an ``always_if``.

    Returns:
        Names of kinds, as in ``expects`` of the catalog.  An ``always_if`` has to be put to the
        test, so it counts as an always too.  Its antecedent, and the bucket of values that were
        not expected, claim nothing.
    """
    if message.endswith((antecedent_message(""), bucket_message("", OTHER_BUCKET))):
        return frozenset()
    return frozenset({kind.name, ALWAYS.name} if has_antecedent else {kind.name})


def assert_record(
    kind: Kind, message: str, location: Location, *, hit: bool, condition: bool
) -> dict[str, object]:
    """
    Return the body of an ``antithesis_assert`` record, without details.

    Args:
        kind: The claim of the assertion.
        message: Name of the assertion; it is both id and message on the wire.
        location: The place of the assertion.
        hit: False for a declaration, True for an evaluation.
        condition: The outcome; False for a declaration.

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
