"""
The table of assertion forms: each function of the SDK once, with the ordinary assertions it makes.

The calls, the methods of `Invariant`, the scanner, the display of conditions and the wire format
read it.  A comparison is added by one row here and its export from `assertlib`.
"""

from __future__ import annotations

from .model import (
    ALWAYS,
    ALWAYS_OR_UNREACHABLE,
    REACHABLE,
    SOMETIMES,
    UNREACHABLE,
    Kind,
    antecedent_message,
    false_message,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol, overload

    Details = Mapping[str, object] | Callable[[], Mapping[str, object]]

    class ConditionMethod(Protocol):
        """A method of `Invariant` that asserts a condition."""

        def __call__(
            self, condition: object, message: str, details: Details | None = None, *, every: int = 1
        ) -> bool:
            """Evaluate the assertion; the parameters and the result are those of `always`."""

    class PointMethod(Protocol):
        """A method of `Invariant` that asserts whether a line is reached."""

        def __call__(self, message: str, details: Details | None = None) -> bool:
            """Record that this line was reached; see `reachable` and `unreachable`."""

    class ComparisonCall(Protocol):
        """A function that asserts how two operands compare."""

        def __call__(
            self,
            left: object,
            right: object,
            message: str,
            details: Details | None = None,
            *,
            invariant: str | None = None,
        ) -> bool:
            """
            Assert that *left* and *right* compare as the name of the function says.

            Args:
                left: The left operand.
                right: The right operand.
                message: The name of the assertion: a string literal used only at this call site.
                details: As for `always`; ``left`` and ``right`` are added to them.
                invariant: Id of the catalog entry that it cites, or None to cite no entry.
            """

    class ComparisonMethod(Protocol):
        """A method of `Invariant` that asserts how two operands compare."""

        def __call__(
            self, left: object, right: object, message: str, details: Details | None = None
        ) -> bool:
            """Evaluate the assertion; the parameters and the result are those of the function."""

    class PropositionsCall(Protocol):
        """A function that asserts how many of several propositions hold."""

        def __call__(
            self,
            named_bools: Mapping[str, object],
            message: str,
            details: Details | None = None,
            *,
            invariant: str | None = None,
        ) -> bool:
            """
            Assert that some, or all, of several propositions hold.

            Args:
                named_bools: The propositions by name: bools or objects with a truth value.
                message: The name of the assertion: a string literal used only at this call site.
                details: As for `always`; the propositions are added to them.
                invariant: Id of the catalog entry that it cites, or None to cite no entry.
            """

    class PropositionsMethod(Protocol):
        """A method of `Invariant` that asserts how many of several propositions hold."""

        def __call__(
            self, named_bools: Mapping[str, object], message: str, details: Details | None = None
        ) -> bool:
            """Evaluate the assertion; the parameters and the result are those of the function."""


class Part:
    """
    An ordinary assertion that a form makes.

    Attributes:
        kind: Its kind.
        name: Makes its message from the message in the call.
        conditions: The parameters that its condition consists of.
    """

    __slots__ = ("conditions", "kind", "name")

    def __init__(self, kind: Kind, name: Callable[[str], str], conditions: tuple[str, ...]) -> None:
        self.kind = kind
        self.name = name
        self.conditions = conditions


class Form:
    """
    A row of the table: one assertion function.

    Attributes:
        name: The name of the function, and of the method of `Invariant`.
        parts: The ordinary assertions that a call makes; empty if the arguments decide it.
        conditions: The parameters that are shown as its condition.
        parameters: Its positional parameters, in order.
        sign: What stands between its conditions where they are shown.
        relation: The relation it asserts, as a name of the module `operator`; for propositions,
            ``eq`` if all of them must hold and ``gt`` if some; empty for other forms.
        guidance: The type of guidance on the wire; None if it records none.
        maximize: Whether larger values of guidance are more extreme.
        about: What it asserts, as the rest of a sentence that starts with "Assert that".
        is_ours: Whether the SDKs of Antithesis lack it, although it makes one ordinary assertion.
    """

    shape = "derived"
    """The parameters it takes, which decide how it is counted; see `recording.fast_path`."""

    guidance: str | None = None
    maximize = False
    relation = ""
    is_ours = False

    def __init__(
        self, *parts: Part, parameters: tuple[str, ...], sign: str = ", ", about: str = ""
    ) -> None:
        self.name = ""
        self.parts = parts
        self.conditions = parameters
        self.parameters = (*parameters, "message", "details")
        self.sign = sign
        self.about = about

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def kind(self) -> Kind:
        """The kind of its first part, which has the message of the call."""
        return self.parts[0].kind

    def __repr__(self) -> str:
        return f"<Form {self.name}>"


def _same(message: str) -> str:
    return message


class Condition(Form):
    """A form that takes one condition."""

    shape = "condition"

    def __init__(self, kind: Kind, about: str) -> None:
        sides = ("condition",)
        super().__init__(Part(kind, _same, sides), parameters=sides, about=about)

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: object) -> ConditionMethod: ...


class Point(Form):
    """A form without a condition: whether its line is reached."""

    shape = "point"

    def __init__(self, kind: Kind, about: str) -> None:
        super().__init__(Part(kind, _same, ()), parameters=(), about=about)

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: object) -> PointMethod: ...


class Comparison(Form):
    """
    A form that compares two operands.

    Guidance is the extreme of ``left - right``.  An always comes close to a violation as the gap
    between its operands closes, a sometimes to its goal as the gap opens.  Equality has no
    guidance: no extreme of a difference is next to zero from both sides.
    """

    shape = "comparison"

    def __init__(self, kind: Kind, relation: str, sign: str) -> None:
        sides = ("left", "right")
        how_often = "on every evaluation" if kind is ALWAYS else "at least once in a run"
        super().__init__(
            Part(kind, _same, sides),
            parameters=sides,
            sign=f" {sign} ",
            about=f"``left {sign} right`` {how_often}",
        )
        self.relation = relation
        self.is_ours = relation in ("eq", "ne")
        self.guidance = None if relation in ("eq", "ne") else "numeric"
        self.maximize = relation in ("lt", "le") if kind is ALWAYS else relation in ("gt", "ge")

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: object) -> ComparisonCall: ...
        @overload
        def __get__(self, instance: object, owner: object) -> ComparisonMethod: ...
        def __get__(self, instance: object, owner: object) -> object: ...


class Propositions(Form):
    """
    A form that takes several named propositions.

    Guidance is the number of them that hold at once: an always_some fails when none does, so its
    extreme is the fewest; a sometimes_all needs all of them, so its extreme is the most.
    """

    shape = "propositions"
    guidance = "boolean"

    def __init__(self, kind: Kind, relation: str, about: str) -> None:
        sides = ("named_bools",)
        super().__init__(Part(kind, _same, sides), parameters=sides, about=about)
        self.relation = relation
        self.maximize = kind is SOMETIMES

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: object) -> PropositionsCall: ...
        @overload
        def __get__(self, instance: object, owner: object) -> PropositionsMethod: ...
        def __get__(self, instance: object, owner: object) -> object: ...


class Plain:
    """
    The forms of the kinds themselves.

    `Invariant` inherits the names of these and of the rich forms, and has a method for each row.
    """

    __slots__ = ()

    always = Condition(ALWAYS, "a condition holds on every evaluation")
    always_or_unreachable = Condition(
        ALWAYS_OR_UNREACHABLE, "a condition holds on every evaluation, if there are any"
    )
    sometimes = Condition(SOMETIMES, "a condition holds at least once in a run")
    reachable = Point(REACHABLE, "this line is reached at least once in a run")
    unreachable = Point(UNREACHABLE, "this line is never reached")


class Rich:
    """The forms that also record how close they came."""

    __slots__ = ()

    always_some = Propositions(
        ALWAYS, "gt", "at least one of several propositions holds on every evaluation"
    )
    sometimes_all = Propositions(
        SOMETIMES, "eq", "several propositions hold at the same time at least once in a run"
    )
    always_equal_to = Comparison(ALWAYS, "eq", "==")
    always_greater_than = Comparison(ALWAYS, "gt", ">")
    always_greater_than_or_equal_to = Comparison(ALWAYS, "ge", ">=")
    always_less_than = Comparison(ALWAYS, "lt", "<")
    always_less_than_or_equal_to = Comparison(ALWAYS, "le", "<=")
    sometimes_equal_to = Comparison(SOMETIMES, "eq", "==")
    sometimes_greater_than = Comparison(SOMETIMES, "gt", ">")
    sometimes_greater_than_or_equal_to = Comparison(SOMETIMES, "ge", ">=")
    sometimes_less_than = Comparison(SOMETIMES, "lt", "<")
    sometimes_less_than_or_equal_to = Comparison(SOMETIMES, "le", "<=")


class Derived:
    """The forms that make several ordinary assertions, or take their outcome from elsewhere."""

    __slots__ = ()

    always_if = Form(
        Part(ALWAYS_OR_UNREACHABLE, _same, ("antecedent", "consequent")),
        Part(SOMETIMES, antecedent_message, ("antecedent",)),
        parameters=("antecedent", "consequent"),
        sign=" implies ",
        about="a consequent holds on every evaluation in which its antecedent does",
    )
    sometimes_both = Form(
        Part(SOMETIMES, _same, ("condition",)),
        Part(SOMETIMES, false_message, ("condition",)),
        parameters=("condition",),
        about="a condition is true at least once, and false at least once, in a run",
    )
    sometimes_each = Form(
        parameters=("value",),
        about="a value takes each of the expected values at least once in a run",
    )
    eventually = Form(
        Part(ALWAYS, _same, ("condition",)),
        parameters=("condition",),
        about="a condition becomes true in time once faults have stopped",
    )
    within = Form(
        Part(ALWAYS, _same, ("seconds",)),
        parameters=("seconds",),
        about="a block finishes in time and does not raise",
    )


def _rows(table: type) -> list[Form]:
    return [row for row in vars(table).values() if isinstance(row, Form)]


RICH: tuple[Form, ...] = tuple(_rows(Rich))
"""The rows of the rich forms."""

ORDINARY: tuple[Form, ...] = (*_rows(Plain), *RICH)
"""The rows of the forms that make one ordinary assertion, under its message."""

FORMS: dict[str, Form] = {row.name: row for row in (*ORDINARY, *_rows(Derived))}
"""Every row by its name."""
