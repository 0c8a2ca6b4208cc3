"""
Modules, classes and functions as scopes: what each name is bound to, and which of it may reach
where the name is used.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
ScopeNode = ast.Module | ast.ClassDef | FunctionNode | ast.Lambda | Comprehension


@dataclass(frozen=True)
class Import:
    """A name bound to a module, or to what *attribute* of it is."""

    module: str
    attribute: str | None


@dataclass(frozen=True)
class Definition:
    """A name bound to a function or class."""

    node: FunctionNode | ast.ClassDef


@dataclass(frozen=True)
class Assigned:
    """A name bound to a value, by itself or as the item at *position* of a pattern."""

    value: ast.expr
    form: str
    position: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the name stands for the value itself."""
        return self.form == "=" and not self.position


@dataclass(frozen=True)
class Parameter:
    """A name bound by the caller."""

    index: int


Binding = Import | Definition | Assigned | Parameter

Position = tuple[int, int]
"""Line and column, as the parser counts them."""
Range = tuple[Position, Position]
START: Position = (0, 0)
EVERYWHERE: Range = (START, (sys.maxsize, 0))


@dataclass(frozen=True)
class Place:
    """
    Where a name is bound.

    Attributes:
        at: From where on it is.
        branch: The innermost branch around it, which is passed through or not.
        loops: The loops around it.
    """

    at: Position = START
    branch: Range = EVERYWHERE
    loops: tuple[Range, ...] = ()


@dataclass(eq=False)
class Scope:
    """
    A module, class or function, and the names it binds.

    Attributes:
        bindings: What each name is bound to, in order.
        places: Where each of these bindings stands.
        members: Instance attributes assigned through ``self`` in a class's methods.
    """

    node: ScopeNode
    name: str
    parent: Scope | None
    module: Module
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    members: dict[str, list[tuple[Scope, ast.expr]]] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)

    @property
    def is_function(self) -> bool:
        """Whether its names are local: functions, lambdas and comprehensions."""
        return not isinstance(self.node, ast.Module | ast.ClassDef)

    @property
    def is_anonymous(self) -> bool:
        return isinstance(self.node, ast.Lambda | Comprehension)

    @property
    def qualname(self) -> str:
        """Dotted name inside the module; ``<module>`` for the module itself."""
        names = []
        scope: Scope | None = self
        while scope is not None and scope.parent is not None:
            names.append(scope.name)
            scope = scope.parent
        return ".".join(reversed(names)) or "<module>"

    @property
    def owner(self) -> str:
        """Name of the class that it stands in directly; empty elsewhere."""
        return self.parent.name if self.parent is not None and self.parent.is_class else ""

    def enclosing_class(self) -> Scope | None:
        """The class whose method this scope is, or stands in."""
        scope: Scope | None = self
        while scope is not None and not scope.is_class:
            scope = scope.parent
        return scope

    def lookup(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """The scope that binds *name*, seen from here, and how."""
        scope: Scope | None = self
        while scope is not None:
            visible = scope is self or not scope.is_class
            if visible and name in scope.bindings:
                return scope, scope.bindings[name]
            scope = scope.parent
        return None

    def bind(self, name: str, binding: Binding, place: Place) -> None:
        target = self.module.scope if name in self.globals else self
        target.bindings.setdefault(name, []).append(binding)
        target.places.setdefault(name, []).append(place)

    def reaching(self, name: ast.Name, user: Scope) -> list[Binding]:
        """
        What the *name*, which this scope binds, may be where it stands in *user*, in order.

        Branches count as passed through or not, loops as going around again; what runs later, in
        a function of its own, may meet every binding.
        """
        bindings, places = self.bindings[name.id], self.places[name.id]
        if not isinstance(self.node, FunctionNode) or not _runs_in_place(user, self):
            return bindings
        at = (name.lineno, name.col_offset)
        last = START
        found: list[int] = []
        for number in sorted(range(len(places)), key=lambda each: places[each].at, reverse=True):
            place = places[number]
            if place.at <= at:
                found.append(number)
                if not _is_update(bindings[number]) and _is_inside(at, place.branch):
                    last = place.at
                    break
        for number, place in enumerate(places):
            comes_around = any(_is_inside(at, loop) and last < loop[0] for loop in place.loops)
            if place.at > at and comes_around:
                found.append(number)
        return [bindings[number] for number in sorted(found)]


def _is_update(binding: Binding) -> bool:
    """Whether the name keeps something of what it was, as after ``+=``."""
    return isinstance(binding, Assigned) and binding.form.endswith("=") and binding.form != "="


def _is_inside(at: Position, where: Range) -> bool:
    return where[0] <= at <= where[1]


def _runs_in_place(user: Scope, owner: Scope) -> bool:
    """Whether only lambdas and comprehensions lie between the two."""
    scope: Scope | None = user
    while scope is not None and scope is not owner:
        if not scope.is_anonymous:
            return False
        scope = scope.parent
    return scope is owner


@dataclass(eq=False)
class Module:
    """One source file."""

    file: str
    name: str
    package: str
    source: str
    tree: ast.Module
    scope: Scope = field(init=False)
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scope = Scope(self.tree, "", None, self)

    @cached_property
    def uses(self) -> Uses:
        """
        What the module calls and reads.

        Raises:
            RecursionError: It is nested too deeply.
        """
        uses = Uses([], [], set())
        self._add_uses(self.tree, self.scope, uses, is_annotation=False)
        return uses

    def _add_uses(self, node: ast.AST, scope: Scope, uses: Uses, *, is_annotation: bool) -> None:
        annotations = (getattr(node, "annotation", None), getattr(node, "returns", None))
        for child, place in children_in_scopes(node, scope, self.scopes):
            is_inside = is_annotation or child in annotations
            if isinstance(child, ast.Call):
                uses.calls.append((child, place))
            elif isinstance(child, ast.Assign | ast.AnnAssign):
                uses.named.add(_named_value(child))
            elif (
                isinstance(child, ast.Name | ast.Attribute)
                and isinstance(child.ctx, ast.Load)
                and not is_inside
            ):
                uses.loads.append((child, place))
            self._add_uses(child, place, uses, is_annotation=is_inside)


@dataclass(frozen=True)
class Uses:
    """
    Expressions of a module, each with the scope that it is evaluated in.

    Attributes:
        calls: In order of the source.
        loads: Names and attributes that are read, but for annotations.
        named: What assignments give a name to.
    """

    calls: list[tuple[ast.Call, Scope]]
    loads: list[tuple[ast.Name | ast.Attribute, Scope]]
    named: set[ast.expr | None]


def _named_value(node: ast.Assign | ast.AnnAssign) -> ast.expr | None:
    """What an assignment to plain names gives a name to."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return node.value if all(isinstance(each, ast.Name) for each in targets) else None


def module_name(file: str) -> tuple[str, str]:
    """
    Dotted name of the module in *file*, made of its whole path, and of the
    package that holds it.  Imports are matched with the end of such names.
    """
    parts = file.removesuffix(".py").strip("/").split("/")
    package = ".".join(parts[:-1])
    return (package if parts[-1] == "__init__" else ".".join(parts)), package


def children_in_scopes(
    node: ast.AST, scope: Scope, scopes: dict[ast.AST, Scope]
) -> Iterator[tuple[ast.AST, Scope]]:
    """The children of *node*, each with the scope that it is evaluated in."""
    inner = scopes.get(node, scope)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.arguments):
            for part in ast.iter_child_nodes(child):
                yield part, scope
        else:
            is_body = not isinstance(node, FunctionNode) or child in node.body
            yield child, inner if is_body else scope


def self_class(node: ast.Name, scope: Scope) -> Scope | None:
    """The class whose instance (or which itself) the name of a first parameter stands for."""
    found = scope.lookup(node.id)
    if found is None or not isinstance(found[0].node, FunctionNode):
        return None
    method, bindings = found
    first = isinstance(bindings[0], Parameter) and bindings[0].index == 0
    owner = method.parent
    return owner if first and owner is not None and owner.is_class else None
