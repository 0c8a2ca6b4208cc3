"""
Scopes of modules, classes and functions: the bindings of each name, and those of them that may
reach a place where the name is used.
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
    """A name bound to a module, or to its *attribute* if that is not None."""

    module: str
    attribute: str | None


@dataclass(frozen=True)
class Definition:
    """A name bound to a function or class."""

    node: FunctionNode | ast.ClassDef


@dataclass(frozen=True)
class Assigned:
    """
    A name bound to a value or to a part of it.

    Attributes:
        value: The expression on the other side of the binding.
        form: How it is bound: ``=``, an update such as ``Add=``, ``for``, ``with`` and so on.
        position: Indexes that lead to the name inside nested patterns; empty for a plain name.
    """

    value: ast.expr
    form: str
    position: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the name has exactly this value."""
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
    The place of a binding.

    Attributes:
        at: Position from which the binding holds.
        branch: The innermost branch that contains it, which may be skipped.
        loops: The loops that contain it.
        is_anytime: Whether a function inside makes the binding, which may run at any time.
    """

    at: Position = START
    branch: Range = EVERYWHERE
    loops: tuple[Range, ...] = ()
    is_anytime: bool = False


# Compared by identity: field by field, a comparison would run in circles through the module.
@dataclass(eq=False)
class Scope:
    """
    A module, class or function, and the names it binds.

    Attributes:
        node: The node that opens the scope.
        name: Name of the class or function; empty for a module.
        parent: The scope that contains it; None for a module.
        module: The module that it is part of.
        bindings: The bindings of each name, in order of the source.
        places: The places of these bindings, in the same order.
        members: Instance attributes that methods of a class assign through ``self``.
        globals: Names that a ``global`` statement declares.
        nonlocals: Names that a ``nonlocal`` statement declares.
    """

    node: ScopeNode
    name: str
    parent: Scope | None
    module: Module
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    members: dict[str, list[tuple[Scope, ast.expr]]] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)

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
        """Name of the class that directly contains it; empty if none does."""
        return self.parent.name if self.parent is not None and self.parent.is_class else ""

    def enclosing_class(self) -> Scope | None:
        """Return the innermost class that contains this scope; None if none does."""
        scope: Scope | None = self
        while scope is not None and not scope.is_class:
            scope = scope.parent
        return scope

    def lookup(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """Return the scope that binds *name*, as seen from here, and its bindings; None if none does."""
        scope: Scope | None = self
        while scope is not None:
            # Names of a class body are visible in the body and not in its methods.  Source: Python
            # Language Reference, 4.2.2 "Resolution of names".
            visible = scope is self or not scope.is_class
            # Functions around may have a variable of that name as well.
            if visible and name in scope.globals:
                scope = self.module.scope
            if visible and name in scope.bindings:
                return scope, scope.bindings[name]
            scope = scope.parent
        return None

    def function_around(self, name: str) -> Scope:
        """Return the innermost function around that binds *name*; this scope if none does."""
        scope = self.parent
        while scope is not None and not (scope.is_function and name in scope.bindings):
            scope = scope.parent
        return scope or self

    def bind(self, name: str, binding: Binding, place: Place) -> None:
        """
        Add a binding.

        Args:
            name: The name; if it is declared global here, the module binds it.
            binding: What it is bound to.
            place: Where it is bound.
        """
        # Recorded where the name belongs, so that `lookup` finds it from any function.
        target = self.module.scope if name in self.globals else self
        target.bindings.setdefault(name, []).append(binding)
        target.places.setdefault(name, []).append(place)

    def reaching(self, name: ast.Name, user: Scope) -> list[Binding]:
        """
        Return the bindings of *name* in this scope that may reach its use in *user*, in order.

        Branches may be skipped and loops may repeat.  A function that is defined here runs at an
        unknown time, so every binding may reach a use inside it.
        """
        # Only a function has a known order: a module or class may be changed from anywhere.
        bindings, places = self.bindings[name.id], self.places[name.id]
        if not isinstance(self.node, FunctionNode) or not _runs_in_place(user, self):
            return bindings
        at = (name.lineno, name.col_offset)
        last = START
        found: list[int] = []
        # Backwards from the use, up to a binding that surely replaced all earlier ones.
        for number in sorted(range(len(places)), key=lambda each: places[each].at, reverse=True):
            place = places[number]
            if place.at <= at and not place.is_anytime:
                found.append(number)
                # A binding in a branch that also contains the use ran before the use.
                if not _is_update(bindings[number]) and _is_inside(at, place.branch):
                    last = place.at
                    break
        for number, place in enumerate(places):
            # A binding below the use reaches it in the next iteration of a loop around both, unless
            # the loop always binds the name again before the use.
            comes_around = any(_is_inside(at, loop) and last < loop[0] for loop in place.loops)
            if place.is_anytime or (place.at > at and comes_around):
                found.append(number)
        # In order of the source, since a fingerprint is made of the result.
        return [bindings[number] for number in sorted(found)]


def _is_update(binding: Binding) -> bool:
    """Whether the new value depends on the old one, as after ``+=``."""
    return isinstance(binding, Assigned) and binding.form.endswith("=") and binding.form != "="


def _is_inside(at: Position, where: Range) -> bool:
    return where[0] <= at <= where[1]


def _runs_in_place(user: Scope, owner: Scope) -> bool:
    """Whether only lambdas and comprehensions separate *user* from *owner*."""
    scope: Scope | None = user
    while scope is not None and scope is not owner:
        if not scope.is_anonymous:
            return False
        scope = scope.parent
    return scope is owner


@dataclass(eq=False)
class Module:
    """
    One source file.

    Attributes:
        file: Path as shown in findings.
        name: Dotted name, made of the whole path.
        package: Dotted name of the package that contains it.
        source: Its text.
        tree: Its syntax tree.
        scope: The scope of the module itself.
        scopes: The scope that each node opens.
        stars: Modules that it imports ``*`` from.
    """

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

    # Cached, because targets that share files share modules.
    @cached_property
    def uses(self) -> Uses:
        """
        The calls and the loaded names of the module.

        Raises:
            RecursionError: The source is nested too deeply.
        """
        uses = Uses([], [], set())
        self._add_uses(self.tree, self.scope, uses, is_annotation=False)
        return uses

    def _add_uses(self, node: ast.AST, scope: Scope, uses: Uses, *, is_annotation: bool) -> None:
        annotations = (getattr(node, "annotation", None), getattr(node, "returns", None))
        for child, place in children_in_scopes(node, scope, self.scopes):
            # Names in annotations only mention an assertion; calls in them are real calls.
            is_inside = is_annotation or child in annotations
            if isinstance(child, ast.Call):
                uses.calls.append((child, place))
            # A new name for an assertion is no use of it; the resolver follows the name.
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
        loads: Names and attributes that are read, except in annotations.
        named: Values that an assignment gives a name to.
    """

    calls: list[tuple[ast.Call, Scope]]
    loads: list[tuple[ast.Name | ast.Attribute, Scope]]
    named: set[ast.expr | None]


def _named_value(node: ast.Assign | ast.AnnAssign) -> ast.expr | None:
    """The value of an assignment to plain names; None for any other target."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return node.value if all(isinstance(each, ast.Name) for each in targets) else None


def module_name(file: str) -> tuple[str, str]:
    """
    Return the dotted names of the module in *file* and of its package, made of the whole path.

    Imports are matched with the end of such names.
    """
    # The directory that imports start from, such as `src`, is unknown to a scan.
    parts = file.removesuffix(".py").strip("/").split("/")
    package = ".".join(parts[:-1])
    return (package if parts[-1] == "__init__" else ".".join(parts)), package


def children_in_scopes(
    node: ast.AST, scope: Scope, scopes: dict[ast.AST, Scope]
) -> Iterator[tuple[ast.AST, Scope]]:
    """
    Yield the children of a node with the scope that evaluates each of them.

    Args:
        node: The parent.
        scope: The scope that *node* itself is evaluated in.
        scopes: The scopes that nodes open.
    """
    # Decorators, defaults and annotations of a function are evaluated where it is defined.
    inner = scopes.get(node, scope)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.arguments):
            for part in ast.iter_child_nodes(child):
                yield part, scope
        else:
            is_body = not isinstance(node, FunctionNode) or child in node.body
            yield child, inner if is_body else scope


def self_class(node: ast.Name, scope: Scope) -> Scope | None:
    """Return the class that *node* in *scope* stands for as a first parameter; None if it does not."""
    found = scope.lookup(node.id)
    if found is None or not isinstance(found[0].node, FunctionNode):
        return None
    # By position: the name `self` is only a convention, and `cls` stands for the class as well.
    method, bindings = found
    owner = method.parent
    if owner is None or not owner.is_class or not isinstance(bindings[0], Parameter):
        return None
    return owner if node.id == _instance_of(found[0].node) else None


def is_static(method: FunctionNode) -> bool:
    """Whether *method* gets neither its instance nor its class as first argument."""
    # By text: the builtin is practically never renamed.
    return any(ast.unparse(each) == "staticmethod" for each in method.decorator_list)


def _instance_of(method: FunctionNode) -> str | None:
    """The parameter that is the instance or the class of *method*; None without one."""
    positional = [*method.args.posonlyargs, *method.args.args]
    return positional[0].arg if positional and not is_static(method) else None
