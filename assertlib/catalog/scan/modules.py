"""
Source files as modules with scopes: what each name is bound to, and where.
"""

from __future__ import annotations

import ast
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


@dataclass(eq=False)
class Scope:
    """
    A module, class or function, and the names it binds.

    Attributes:
        bindings: What each name is bound to, in order.
        members: Instance attributes assigned through ``self`` in a class's methods.
    """

    node: ScopeNode
    name: str
    parent: Scope | None
    module: Module
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
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

    def bind(self, name: str, binding: Binding) -> None:
        target = self.module.scope if name in self.globals else self
        target.bindings.setdefault(name, []).append(binding)


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
        _Binder(self).visit_body(self.tree, self.scope)

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


class _Binder(ast.NodeVisitor):
    """Builds the scopes of a module in one walk."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._scope = module.scope

    def visit_body(self, node: ast.AST, scope: Scope) -> None:
        outer, self._scope = self._scope, scope
        self._module.scopes[node] = scope
        self.generic_visit(node)
        self._scope = outer

    def _enter(
        self, node: FunctionNode | ast.ClassDef | ast.Lambda | Comprehension, name: str
    ) -> Scope:
        return Scope(node, name, self._scope, self._module)

    def _visit_function(self, node: FunctionNode) -> None:
        self._scope.bind(node.name, Definition(node))
        scope = self._enter(node, node.name)
        _bind_parameters(scope, node.args)
        self.visit_body(node, scope)

    visit_FunctionDef = _visit_function  # noqa: N815
    visit_AsyncFunctionDef = _visit_function  # noqa: N815

    def _visit_comprehension(self, node: Comprehension) -> None:
        self.visit_body(node, self._enter(node, "<comprehension>"))

    visit_ListComp = _visit_comprehension  # noqa: N815
    visit_SetComp = _visit_comprehension  # noqa: N815
    visit_DictComp = _visit_comprehension  # noqa: N815
    visit_GeneratorExp = _visit_comprehension  # noqa: N815

    def visit_Global(self, node: ast.Global) -> None:
        # Assigned from a function: whatever the module says of it is not all.
        for name in node.names:
            self._module.scope.bind(name, Assigned(ast.Constant(None), "global"))
            self._scope.globals.add(name)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name is not None:
            self._scope.bind(node.name, Assigned(ast.Constant(None), "match"))
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name is not None:
            self._scope.bind(node.name, Assigned(ast.Constant(None), "match"))

    def visit_Lambda(self, node: ast.Lambda) -> None:
        scope = self._enter(node, "<lambda>")
        _bind_parameters(scope, node.args)
        self.visit_body(node, scope)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scope.bind(node.name, Definition(node))
        self.visit_body(node, self._enter(node, node.name))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname is not None:
                self._scope.bind(alias.asname, Import(alias.name, None))
            else:
                first = alias.name.partition(".")[0]
                self._scope.bind(first, Import(first, None))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node)
        for alias in node.names:
            if alias.name == "*":
                self._module.stars.append(module)
            else:
                self._scope.bind(alias.asname or alias.name, Import(module, alias.name))

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._module.package.split(".") if self._module.package else []
        kept = parts[: len(parts) - (node.level - 1)]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind_target(target, node.value, "=")
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind_target(node.target, node.value, "=")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._bind_target(node.target, node.value, f"{type(node.op).__name__}=")
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        # A walrus in a comprehension binds outside of it.
        scope, inner = self._scope, self._scope
        while isinstance(scope.node, Comprehension) and scope.parent is not None:
            scope = scope.parent
        self._scope = scope
        self._bind_target(node.target, node.value, "=")
        self._scope = inner
        self.generic_visit(node)

    def _visit_for(self, node: ast.For | ast.AsyncFor) -> None:
        self._bind_target(node.target, node.iter, "for")
        self.generic_visit(node)

    visit_For = _visit_for  # noqa: N815
    visit_AsyncFor = _visit_for  # noqa: N815

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._bind_target(node.target, node.iter, "for")
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self._bind_target(node.optional_vars, node.context_expr, "with")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self._scope.bind(node.name, Assigned(node.type or ast.Constant(None), "except"))
        self.generic_visit(node)

    def _bind_target(
        self, target: ast.expr, value: ast.expr, form: str, position: tuple[int, ...] = ()
    ) -> None:
        if isinstance(target, ast.Name):
            self._scope.bind(target.id, Assigned(value, form, position))
        elif isinstance(target, ast.Tuple | ast.List):
            for index, item in enumerate(target.elts):
                self._bind_target(item, value, form, (*position, index))
        elif isinstance(target, ast.Starred):
            self._bind_target(target.value, value, form, position)
        elif isinstance(target, ast.Attribute) and _is_self(target.value, self._scope):
            owner = self._scope.enclosing_class()
            if owner is not None:
                owner.members.setdefault(target.attr, []).append((self._scope, value))


def _bind_parameters(scope: Scope, arguments: ast.arguments) -> None:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    for index, argument in enumerate(every):
        scope.bind(argument.arg, Parameter(index))


def _is_self(node: ast.expr, scope: Scope) -> bool:
    return isinstance(node, ast.Name) and self_class(node, scope) is not None


def self_class(node: ast.Name, scope: Scope) -> Scope | None:
    """The class whose instance (or which itself) the name of a first parameter stands for."""
    found = scope.lookup(node.id)
    if found is None or not isinstance(found[0].node, FunctionNode):
        return None
    method, bindings = found
    first = isinstance(bindings[0], Parameter) and bindings[0].index == 0
    owner = method.parent
    return owner if first and owner is not None and owner.is_class else None
