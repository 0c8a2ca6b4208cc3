"""
Maps calls to the assertions that they make, through wrappers and bound assertions.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from ...forms import FORMS
from .references import Bound, Function, Primitive, Reference, Resolver, Text, WrapperMark
from .scopes import FunctionNode, Parameter, Scope

Argument = tuple[ast.expr, Scope]

# The one assertion that is declared elsewhere.  Positional parameters only: arguments that are
# passed by keyword have their names in the call.
_RAW = (
    "condition",
    "message",
    "details",
    "loc_filename",
    "loc_function",
    "loc_class",
    "loc_begin_line",
    "loc_begin_column",
    "hit",
    "must_hit",
    "assert_type",
    "display_type",
    "assert_id",
)
_DEPTH = 10
"""Wrappers of wrappers that are looked through."""


def signature(primitive: str) -> tuple[str, ...]:
    """Return the names of the positional parameters of *primitive*."""
    return FORMS[primitive].parameters if primitive in FORMS else _RAW


@dataclass(frozen=True, eq=False)
class Assertion:
    """
    An assertion that a call makes, possibly through wrappers.

    Attributes:
        primitive: Name of the assertion function.
        invariant: The id of the Invariant that it is a method of; None if it is a function.
        message: The expression of the message; None if ``*`` or ``**`` hides it.
        arguments: Expression and scope by parameter name, without those that ``*`` or ``**`` hide.
        bound: The declaration, if a bound assertion is called.
        inside: Arguments that the caller of a wrapper gave for parameters used inside an argument,
            by the name of the latter.
    """

    primitive: str
    invariant: Text | None
    message: Argument | None
    arguments: dict[str, Argument]
    bound: Bound | None = None
    inside: dict[str, list[Argument]] = field(default_factory=dict)

    def given(self, name: str) -> list[Argument]:
        """Return argument *name* and what it uses of a wrapper's arguments; empty if it is not given."""
        if name not in self.arguments:
            return []
        return [self.arguments[name], *self.inside.get(name, ())]


class Expander:
    """Finds the assertions that a call makes."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._templates: dict[FunctionNode, list[Assertion]] = {}

    def assertions(self, call: ast.Call, scope: Scope, depth: int = _DEPTH) -> list[Assertion]:
        """
        Return the assertions that a call makes, including those in wrappers.

        Args:
            call: Any call.
            scope: The scope that evaluates it.
            depth: How many wrappers of wrappers are looked through.
        """
        callee = self._resolver.resolve(call.func, scope)
        if isinstance(callee, Primitive):
            return [self._primitive(callee, call, scope)]
        if isinstance(callee, Bound):
            return [self._bound(callee, call, scope)]
        function = self._wrapper(callee)
        if function is None or depth == 0:
            return []
        actual = _actual(function, call, scope)
        return [
            self._filled(template, function, actual)
            for template in self._templates_of(function, depth - 1)
        ]

    def is_wrapper(self, reference: Reference | None) -> bool:
        """Return whether *reference* is a function marked ``@assertlib.wrapper``."""
        return self._wrapper(reference) is not None

    def is_parameter_of_wrapper(self, argument: Argument) -> bool:
        """Return whether *argument* is a parameter of a wrapper, so that its callers decide it."""
        owner = _parameter_owner(argument)
        return owner is not None and self._is_marked(owner)

    def _primitive(self, callee: Primitive, call: ast.Call, scope: Scope) -> Assertion:
        arguments = _named(call, signature(callee.name), scope)
        # assert_raw takes both, and records hits under the id.
        name = "assert_id" if "assert_id" in arguments else "message"
        return Assertion(callee.name, callee.invariant, arguments.get(name), arguments)

    def _bound(self, callee: Bound, call: ast.Call, scope: Scope) -> Assertion:
        # The message was given at the declaration, so the other arguments move up.
        names = [name for name in signature(callee.name) if name != "message"]
        return Assertion(
            callee.name,
            callee.invariant,
            (callee.message.node, callee.scope),
            _named(call, tuple(names), scope),
            callee,
        )

    def _wrapper(self, reference: Reference | None) -> Function | None:
        if isinstance(reference, Function) and self._is_marked(reference.scope):
            return reference
        return None

    def _is_marked(self, scope: Scope) -> bool:
        node = scope.node
        if not isinstance(node, FunctionNode) or scope.parent is None:
            return False
        # A decorator is evaluated outside of the function that it decorates.
        return any(
            isinstance(self._resolver.resolve(decorator, scope.parent), WrapperMark)
            for decorator in node.decorator_list
        )

    def _templates_of(self, function: Function, depth: int) -> list[Assertion]:
        if function.node not in self._templates:
            # Empty at first, which ends the recursion of wrappers that call each other.
            self._templates[function.node] = []
            # Only assertions whose message the caller gives: one with a literal message has its
            # site in the wrapper itself.
            self._templates[function.node] = [
                assertion
                for call in ast.walk(function.node)
                if isinstance(call, ast.Call)
                for assertion in self.assertions(call, function.scope, depth)
                if assertion.message is not None
                and _parameter_owner(assertion.message) is function.scope
            ]
        return self._templates[function.node]

    def _filled(
        self, template: Assertion, function: Function, actual: dict[str, Argument]
    ) -> Assertion:
        arguments: dict[str, Argument] = {}
        inside: dict[str, list[Argument]] = {}
        for name, argument in template.arguments.items():
            # None if the caller hides it behind `*` or `**`, or leaves it out.
            given = _given(argument, function.scope, actual)
            if given is None:
                continue
            arguments[name] = given
            inside[name] = _parameters_inside(given, function.scope, actual)
            # Arguments from an inner wrapper may be parameters of this one in turn.
            for earlier in template.inside.get(name, ()):
                replaced = _given(earlier, function.scope, actual)
                inside[name] += [] if replaced is None else [replaced]
        message = template.message and _given(template.message, function.scope, actual)
        return Assertion(template.primitive, template.invariant, message, arguments, inside=inside)


def _given(argument: Argument, scope: Scope, actual: dict[str, Argument]) -> Argument | None:
    node = argument[0]
    if _parameter_owner(argument) is scope and isinstance(node, ast.Name):
        return actual.get(node.id)
    return argument


def _parameters_inside(
    argument: Argument, scope: Scope, actual: dict[str, Argument]
) -> list[Argument]:
    # In order of the source and without repetition, since a fingerprint is made of the result.
    node, place = argument
    names = dict.fromkeys(
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and _parameter_owner((part, place)) is scope
    )
    return [actual[name] for name in names if name in actual]


def _parameter_owner(argument: Argument) -> Scope | None:
    node, scope = argument
    if not isinstance(node, ast.Name):
        return None
    found = scope.lookup(node.id)
    if found is None or not any(isinstance(each, Parameter) for each in found[1]):
        return None
    return found[0]


def _named(call: ast.Call, names: tuple[str, ...], scope: Scope) -> dict[str, Argument]:
    arguments: dict[str, Argument] = {}
    for name, value in zip(names, call.args, strict=False):
        # The length of what is unpacked is unknown, and so are the positions behind it.
        if isinstance(value, ast.Starred):
            break
        arguments[name] = (value, scope)
    for keyword in call.keywords:
        if keyword.arg is not None:
            arguments[keyword.arg] = (keyword.value, scope)
    return arguments


def _actual(function: Function, call: ast.Call, scope: Scope) -> dict[str, Argument]:
    formal = function.node.args
    names = [argument.arg for argument in (*formal.posonlyargs, *formal.args)]
    outer = function.scope.parent or function.scope
    arguments: dict[str, Argument] = {}
    # Defaults are evaluated where the function is defined.  The list is aligned to its end.
    if formal.defaults:
        for name, default in zip(names[-len(formal.defaults) :], formal.defaults, strict=True):
            arguments[name] = (default, outer)
    for argument, value in zip(formal.kwonlyargs, formal.kw_defaults, strict=True):
        if value is not None:
            arguments[argument.arg] = (value, outer)
    # `self` or `cls` is passed implicitly.
    positional = names[1:] if function.bound else names
    return {**arguments, **_named(call, tuple(positional), scope)}
