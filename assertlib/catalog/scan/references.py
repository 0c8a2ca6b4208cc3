"""
Resolves what an expression refers to, as far as assertions are concerned: a primitive, an
Invariant, a bound assertion, a wrapper, a function, a class, a module.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ...forms import FORMS, ORDINARY
from .scopes import (
    Assigned,
    Binding,
    Definition,
    FunctionNode,
    Import,
    Module,
    Parameter,
    Scope,
    is_static,
    self_class,
)

PRIMITIVES = tuple(form.name for form in ORDINARY if not form.is_ours)
"""The assertion functions that every Antithesis SDK has as well."""

ASSERTIONS = frozenset([*FORMS, "assert_raw"])
DECLARES = "declare_"

# Modules that define or export the assertion functions, by their absolute names.  Code for the SDK
# of Antithesis is scanned as well, since it can be ported by changing the import.
HOMES = frozenset(
    [
        "assertlib",
        "assertlib.assertions",
        "assertlib._calls.derived",
        "assertlib._calls.primitives",
        "assertlib._calls.comparisons",
        "assertlib._calls.invariant",
        "antithesis.assertions",
    ]
)
_DEPTH = 20
"""Steps after which following a name is given up, since imports and assignments may be circular."""


@dataclass(frozen=True)
class Primitive:
    """An assertion function; *invariant* is the id of the Invariant that it is a method of, if any."""

    name: str
    invariant: Text | None = None


@dataclass(frozen=True)
class InvariantClass:
    """``assertlib.Invariant``."""


@dataclass(frozen=True)
class WrapperMark:
    """``assertlib.wrapper``."""


@dataclass(frozen=True)
class Text:
    """The string that an expression is; *value* is None if the source does not determine it."""

    value: str | None
    node: ast.expr


@dataclass(frozen=True)
class InvariantObject:
    """``Invariant("area.name")``; *owner* is the class if it is one of the scanned code."""

    id: Text
    owner: Class | None = None


@dataclass(frozen=True)
class Declare:
    """``Invariant.declare_always`` and its siblings; *name* is the primitive that is declared."""

    name: str
    invariant: Text


@dataclass(frozen=True, eq=False)
class Bound:
    """The result of ``declare_…``: an assertion whose message is fixed."""

    name: str
    invariant: Text
    message: Text
    call: ast.Call
    scope: Scope


@dataclass(frozen=True)
class Function:
    """A function of the scanned code; *bound* if its first argument is passed implicitly."""

    node: FunctionNode
    scope: Scope
    bound: bool = False


@dataclass(frozen=True)
class Class:
    """A class of the scanned code, or an *instance* of it."""

    scope: Scope
    instance: bool = False


@dataclass(frozen=True)
class ModuleName:
    """A module, scanned or not."""

    name: str


Reference = (
    Primitive
    | InvariantClass
    | WrapperMark
    | InvariantObject
    | Declare
    | Bound
    | Function
    | Class
    | ModuleName
)


class Resolver:
    """
    Follows names through scopes, imports and re-exports.

    Attributes:
        bodies: Hashes of functions by node and depth; a cache for fingerprints.
    """

    def __init__(self, modules: list[Module]) -> None:
        self._by_ending: dict[str, list[Module]] = {}
        for module in modules:
            for ending in endings(module.name):
                self._by_ending.setdefault(ending, []).append(module)
        # One object per declaration, however many names lead to it: `Bound` compares by identity.
        self._bound: dict[ast.Call, Bound] = {}
        self.bodies: dict[tuple[FunctionNode, int], str] = {}

    def module(self, name: str, importer: Module) -> Module | None:
        """Return the module that *importer* means by *name*: the nearest whose path ends with it."""
        # The import root is unknown, and several packages may have a module of the same name.
        found = self._by_ending.get(name, [])
        return max(found, key=lambda each: _shared(each.name, importer.name), default=None)

    def resolve(self, node: ast.expr, scope: Scope, depth: int = _DEPTH) -> Reference | None:
        """
        Return what an expression refers to.

        Args:
            node: The expression.
            scope: The scope that evaluates it.
            depth: Steps to follow at most.

        Returns:
            The reference; None if it is unknown, or irrelevant to assertions.
        """
        if depth == 0:
            return None
        if isinstance(node, ast.Name):
            return self._name(node.id, scope, depth - 1)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope, depth - 1)
        if isinstance(node, ast.Call):
            return self._call(node, scope, depth - 1)
        if isinstance(node, ast.NamedExpr):
            return self.resolve(node.value, scope, depth - 1)
        return None

    def text(self, node: ast.expr, scope: Scope, depth: int = _DEPTH) -> Text:
        """Return the string that *node* is in *scope*, after at most *depth* steps."""
        return Text(self._string(node, scope, depth), node)

    def constant(self, node: ast.expr, scope: Scope, depth: int = _DEPTH) -> tuple[ast.expr, Scope]:
        """
        Follow a name to its constant.

        Args:
            node: The expression.
            scope: The scope that evaluates it.
            depth: Steps to follow at most.

        Returns:
            *node*, or the value of the constant that it names, and the scope of that value.
        """
        for left in range(depth, 0, -1):
            found = self._assigned(node, scope, left)
            if found is None:
                break
            node, scope = found
        return node, scope

    def _assigned(self, node: ast.expr, scope: Scope, depth: int) -> tuple[ast.expr, Scope] | None:
        if isinstance(node, ast.Name):
            found = scope.lookup(node.id)
            return None if found is None else self._only_value(found[1], found[0], depth)
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value, scope, depth - 1)
            if isinstance(base, ModuleName):
                return self._assigned_in(base.name, node.attr, scope.module, depth)
            if isinstance(base, Class):
                return self._class_constant(base, node.attr, depth)
        return None

    def _only_value(
        self, bindings: list[Binding], owner: Scope, depth: int
    ) -> tuple[ast.expr, Scope] | None:
        # With a second binding, the value depends on when it is read.
        if len(bindings) != 1:
            return None
        only = bindings[0]
        if isinstance(only, Assigned) and only.is_plain:
            return only.value, owner
        if isinstance(only, Import) and only.attribute is not None:
            return self._assigned_in(only.module, only.attribute, owner.module, depth)
        return None

    def _class_constant(self, owner: Class, name: str, depth: int) -> tuple[ast.expr, Scope] | None:
        # Not looked up as a name: an attribute that the class lacks is none of the module around.
        for scope in self._lineage(owner.scope, depth):
            # What a method assigns through `self` depends on when it is read.
            if owner.instance and name in scope.members:
                return None
            if name in scope.bindings:
                return self._only_value(scope.bindings[name], scope, depth)
        return None

    def _lineage(self, owner: Scope, depth: int) -> list[Scope]:
        """Class *owner* and its bases of the scanned code, nearest first."""
        found: dict[Scope, None] = {}
        pending = [owner]
        while pending:
            scope = pending.pop(0)
            if scope not in found:
                found[scope] = None
                bases = self._bases(scope, depth)
                pending[:0] = [base.scope for base in bases if isinstance(base, Class)]
        return list(found)

    def _bases(self, owner: Scope, depth: int) -> list[Reference | None]:
        node, outer = owner.node, owner.parent
        assert isinstance(node, ast.ClassDef)
        assert outer is not None
        return [self.resolve(base, outer, max(0, depth - 1)) for base in node.bases]

    def _assigned_in(
        self, module: str, name: str, importer: Module, depth: int
    ) -> tuple[ast.expr, Scope] | None:
        found = self.module(module, importer)
        if found is None or depth == 0:
            return None
        return self._assigned(ast.Name(name), found.scope, depth - 1)

    def _string(self, node: ast.expr, scope: Scope, depth: int) -> str | None:
        if depth == 0:
            return None
        node, scope = self.constant(node, scope, depth)
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        # A placeholder is a FormattedValue, which is never a string here, so it makes all unknown.
        if isinstance(node, ast.JoinedStr):
            parts = [self._string(part, scope, depth - 1) for part in node.values]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            parts = [self._string(side, scope, depth - 1) for side in (node.left, node.right)]
        elif isinstance(node, ast.Attribute) and node.attr == "id":
            base = self.resolve(node.value, scope, depth - 1)
            return base.id.value if isinstance(base, InvariantObject) else None
        else:
            return None
        known = [part for part in parts if part is not None]
        return "".join(known) if len(known) == len(parts) else None

    def _name(self, name: str, scope: Scope, depth: int) -> Reference | None:
        found = scope.lookup(name)
        if found is None:
            return self._from_stars(name, scope.module, depth)
        owner, bindings = found
        # Of parameters, only `self` and `cls` are known; the caller decides the others.
        if isinstance(bindings[0], Parameter):
            return self._self(name, scope)
        # `try: from assertlib import always / except ImportError: …` still means always.
        references = (self._binding(each, owner, depth) for each in bindings)
        return next((each for each in references if each is not None), None)

    def _binding(self, binding: object, owner: Scope, depth: int) -> Reference | None:
        if isinstance(binding, Import):
            if binding.attribute is None:
                return ModuleName(binding.module)
            return self._member(binding.module, binding.attribute, owner.module, depth)
        if isinstance(binding, Definition):
            return self._definition(binding, owner)
        if isinstance(binding, Assigned) and binding.is_plain:
            return self.resolve(binding.value, owner, depth)
        return None

    def _definition(self, binding: Definition, owner: Scope) -> Reference:
        scope = owner.module.scopes[binding.node]
        if isinstance(binding.node, ast.ClassDef):
            return Class(scope)
        return Function(binding.node, scope)

    def _self(self, name: str, scope: Scope) -> Reference | None:
        owner = self_class(ast.Name(name), scope)
        return None if owner is None else Class(owner, instance=True)

    def _from_stars(self, name: str, module: Module, depth: int) -> Reference | None:
        for star in module.stars:
            # A name that is not found passes for a submodule, which a star does not import.
            found = self._member(star, name, module, depth)
            if found is not None and not isinstance(found, ModuleName):
                return found
        return None

    def _member(self, module: str, name: str, importer: Module, depth: int) -> Reference | None:
        if depth <= 0:
            return None
        # Before any scanned module: in a scan of assertlib itself, the names mean the same.
        if module in HOMES and _known(name) is not None:
            return _known(name)
        owner = self.module(module, importer)
        # `from . import name` in a package imports a submodule; the package binds `name` to that very
        # import, which would lead back here.
        is_own_submodule = owner is importer
        if owner is not None and not is_own_submodule and _holds(owner, name):
            return self._name(name, owner.scope, depth - 1)
        return ModuleName(f"{module}.{name}" if module else name)

    def _attribute(self, node: ast.Attribute, scope: Scope, depth: int) -> Reference | None:
        base = self.resolve(node.value, scope, depth)
        if isinstance(base, ModuleName):
            return self._member(base.name, node.attr, scope.module, depth)
        if isinstance(base, InvariantObject):
            # A subclass may override what it inherits.
            own = base.owner and self._class_member(base.owner, node.attr, depth)
            return own or _of_invariant(base, node.attr)
        if isinstance(base, Class):
            return self._class_member(base, node.attr, depth)
        return None

    def _class_member(self, owner: Class, name: str, depth: int) -> Reference | None:
        if depth <= 0:
            return None
        bindings = owner.scope.bindings.get(name)
        if bindings:
            found = self._binding(bindings[0], owner.scope, depth)
            return _as_member(found, owner) if isinstance(found, Function) else found
        # Only the first assignment to the attribute is followed.
        for scope, value in owner.scope.members.get(name, ()):
            return self.resolve(value, scope, depth)
        return self._inherited_member(owner, name, depth)

    def _inherited_member(self, owner: Class, name: str, depth: int) -> Reference | None:
        for parent in self._bases(owner.scope, depth):
            if isinstance(parent, Class):
                # Looked up in the base, but still through a class or an instance.
                inherited = Class(parent.scope, owner.instance)
                found = self._class_member(inherited, name, depth - 1)
                if found is not None:
                    return found
        return None

    def is_invariant(self, owner: Class, depth: int = _DEPTH) -> bool:
        """Return whether *owner* derives from ``assertlib.Invariant``, after at most *depth* steps."""
        return any(
            isinstance(base, InvariantClass)
            for scope in self._lineage(owner.scope, depth)
            for base in self._bases(scope, depth)
        )

    def _call(self, node: ast.Call, scope: Scope, depth: int) -> Reference | None:
        callee = self.resolve(node.func, scope, depth)
        if isinstance(callee, InvariantClass):
            return InvariantObject(self.text(_first(node, "id"), scope, depth))
        # Keyed by the call, which every name of the bound assertion leads back to.
        if isinstance(callee, Declare):
            if node not in self._bound:
                message = self.text(_first(node, "message"), scope, depth)
                self._bound[node] = Bound(callee.name, callee.invariant, message, node, scope)
            return self._bound[node]
        if isinstance(callee, Class) and not callee.instance:
            instance = Class(callee.scope, instance=True)
            # A subclass of Invariant takes an id as well.
            if self.is_invariant(callee, depth):
                return InvariantObject(self.text(_first(node, "id"), scope, depth), instance)
            return instance
        return None


def _holds(module: Module, name: str) -> bool:
    return name in module.scope.bindings or bool(module.stars)


def endings(dotted: str) -> list[str]:
    """Return the names that an import may use for module *dotted*: ``a.b.c``, ``b.c``, ``c``."""
    parts = dotted.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _shared(one: str, other: str) -> int:
    shared = 0
    for left, right in zip(one.split("."), other.split("."), strict=False):
        if left != right:
            break
        shared += 1
    return shared


def _as_member(function: Function, owner: Class) -> Function:
    """A method as accessed through a class or an instance, which may pass its first argument."""
    # By text: the builtin is practically never renamed.
    decorators = {ast.unparse(each) for each in function.node.decorator_list}
    given = "classmethod" in decorators or (owner.instance and not is_static(function.node))
    return Function(function.node, function.scope, bound=given)


def is_property_of(function: Function) -> bool:
    """Return whether reading an attribute calls *function*."""
    # By a part of the name, which cached_property contains as well.
    return any("property" in ast.unparse(each) for each in function.node.decorator_list)


def is_uncalled(function: Function) -> bool:
    """Return whether *function* as a condition most likely lacks its call."""
    # The primitives call a callable condition, so a local function that needs no arguments is a
    # condition like a lambda.  A method or a function of a module is more likely to lack its
    # parentheses.
    node = function.node
    if is_property_of(function):
        return False
    if isinstance(node, ast.AsyncFunctionDef):
        return True
    parent = function.scope.parent
    is_local = parent is not None and parent.is_function
    return not is_local or _needs_arguments(node.args) or _is_generator(node)


def _needs_arguments(formal: ast.arguments) -> bool:
    positional = len(formal.posonlyargs) + len(formal.args)
    return positional > len(formal.defaults) or None in formal.kw_defaults


def _is_generator(node: ast.FunctionDef) -> bool:
    pending: list[ast.AST] = [*node.body]
    while pending:
        part = pending.pop()
        if isinstance(part, ast.Yield | ast.YieldFrom):
            return True
        # Those inside are generators of their own.
        if not isinstance(part, FunctionNode | ast.Lambda):
            pending.extend(ast.iter_child_nodes(part))
    return False


def _first(node: ast.Call, name: str) -> ast.expr:
    if node.args and not isinstance(node.args[0], ast.Starred):
        return node.args[0]
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    # The place of the call, where a finding about the missing argument is reported.
    return ast.Constant(None, lineno=node.lineno, col_offset=node.col_offset)


def _known(name: str) -> Reference | None:
    if name in ASSERTIONS:
        return Primitive(name)
    if name == "Invariant":
        return InvariantClass()
    return WrapperMark() if name == "wrapper" else None


def _of_invariant(owner: InvariantObject, name: str) -> Reference | None:
    if name in ASSERTIONS:
        return Primitive(name, owner.id)
    if name.startswith(DECLARES) and name.removeprefix(DECLARES) in ASSERTIONS:
        return Declare(name.removeprefix(DECLARES), owner.id)
    return None
