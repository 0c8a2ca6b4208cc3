"""
A hash of a condition that changes with its meaning and with nothing else.

Formatting, moving code and renaming local variables keep it; swapped operands, another operator,
another variable or another constant change it.  A local variable is identified by the bindings
that may reach its use (the position of a parameter, the value of an assignment), and variables
with equal bindings by their order.  A condition that is a name, as in
``ok = a > b; always(ok, …)``, is followed to its assignment.  Functions and properties of the
scanned code that it uses are part of it, and so are the values of constants.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable

from .references import Function, Resolver, is_property_of
from .scopes import Assigned, Binding, FunctionNode, Import, Parameter, Scope

_HELPER_DEPTH = 3
"""Functions that call each other and are followed."""
_FOLLOW_DEPTH = 10
"""Names, and operators around names, that a condition is followed through."""
_ORIGIN_DEPTH = 3
"""Assignments of local variables that are followed backwards."""


def fingerprint(
    operation: str, conditions: list[tuple[ast.expr, Scope]], resolver: Resolver
) -> str:
    """
    Return the fingerprint of an assertion as sixteen hex digits.

    Args:
        operation: The primitive, and which part of a derived assertion it is.
        conditions: The expressions it is made of, each with its scope.
        resolver: Follows names into the rest of the scanned code.
    """
    shapes = [_Shape(scope, resolver).condition(node) for node, scope in conditions]
    return digest_of("\n".join([operation, *shapes]))


def digest_of(text: str) -> str:
    """Return a digest of *text* as sixteen hex digits."""
    # The name of a bucket may contain surrogates, which UTF-8 cannot encode.
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class _Shape:
    """Writes an expression of one scope in a form that keeps its meaning only."""

    def __init__(self, scope: Scope, resolver: Resolver, depth: int = _HELPER_DEPTH) -> None:
        self._home = scope
        self._resolver = resolver
        self._depth = depth
        self._inner: dict[tuple[int, str], str] = {}

    def condition(self, node: ast.expr) -> str:
        node = self._followed(node, _FOLLOW_DEPTH)
        # `lambda: x` asserts x, only later.
        if isinstance(node, ast.Lambda) and not node.args.args:
            return self._write(node.body, self._home.module.scopes[node])
        if isinstance(node, ast.Name):
            return self._write(node, self._home) + self._body_of(node, self._home)
        return self._write(node, self._home)

    def _followed(self, node: ast.expr, depth: int) -> ast.expr:
        if depth == 0:
            return node
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self._followed(each, depth) for each in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ast.UnaryOp(node.op, self._followed(node.operand, depth))
        if isinstance(node, ast.Name):
            # Only a local name with a single possible value: others are compared as names, together
            # with all their bindings or their constant.
            found = self._home.lookup(node.id)
            reaching = found[0].reaching(node, self._home) if found else []
            if found is not None and found[0].is_function and len(reaching) == 1:
                (only,) = reaching
                if isinstance(only, Assigned) and only.is_plain:
                    return self._followed(only.value, depth - 1)
        return node

    def body(self, node: FunctionNode) -> str:
        """Write a whole function, without its name and its docstring."""
        # Parameters are left out: where they are used, their position identifies them.
        statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
        around = self._home.parent or self._home
        head = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
        written = [self._write(each, around) for each in head]
        written += [self._write(each, self._home) for each in statements]
        return ";".join(written)

    def _write(self, node: object, scope: Scope) -> str:
        if not isinstance(node, ast.AST):
            return _fields(node, lambda each: self._write(each, scope))
        scope = scope.module.scopes.get(node, scope)
        if isinstance(node, ast.Name):
            return self._name(node, scope)
        binds = _BINDS.get(type(node), "")
        bound = getattr(node, binds, None)
        name = self._name(_as_name(bound, node), scope) if bound else ""
        text = _fields(node, lambda each: self._write(each, scope), skip=binds)
        if isinstance(node, ast.Call):
            return text + self._body_of(node.func, scope)
        if isinstance(node, ast.Attribute):
            return text + self._attribute(node, scope)
        return name + text

    def _body_of(self, callee: ast.expr, scope: Scope) -> str:
        """Write what a function of the scanned code does, as a hash."""
        if self._depth == 0:
            return ""
        target = self._resolver.resolve(callee, scope)
        if not isinstance(target, Function):
            return ""
        # The remaining depth belongs to the key, since the hash depends on it.  Without the cache,
        # helpers that share helpers would be read exponentially often.
        key = target.node, self._depth
        known = self._resolver.bodies
        if key not in known:
            inner = _Shape(target.scope, self._resolver, self._depth - 1)
            known[key] = digest_of(inner.body(target.node))
        return "{" + known[key] + "}"

    def _attribute(self, node: ast.Attribute, scope: Scope) -> str:
        """Write what an attribute refers to: a constant of a class or module, or a property."""
        target = self._resolver.resolve(node, scope)
        is_property = isinstance(target, Function) and is_property_of(target)
        return self._constant(node, scope) + (self._body_of(node, scope) if is_property else "")

    def _name(self, name: ast.Name, scope: Scope) -> str:
        found = scope.lookup(name.id)
        if found is None or not found[0].is_function:
            return name.id + self._constant(name, scope)
        owner = found[0]
        level = _level(self._home, owner)
        if level < 0:
            # Bound inside the condition itself, as by a comprehension: only the order counts.
            key = (id(owner), name.id)
            return self._inner.setdefault(key, f"<inner {len(self._inner)}>")
        return f"<{level} {_origin(name, owner, scope)}>"

    def _constant(self, name: ast.Name | ast.Attribute, scope: Scope) -> str:
        """Write the value of a constant, since an assertion with another limit is another assertion."""
        node, _ = self._resolver.constant(name, scope)
        is_made_of_constants = all(isinstance(each, _CONSTANT) for each in ast.walk(node))
        return f"={ast.dump(node)}" if is_made_of_constants else ""


# Nodes of expressions whose value the source alone determines.
_CONSTANT = (
    ast.Constant,
    ast.UnaryOp,
    ast.unaryop,
    ast.BinOp,
    ast.operator,
    ast.Tuple,
    ast.List,
    ast.Set,
    ast.Dict,
    ast.expr_context,
)


_BINDS = {
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ExceptHandler: "name",
    ast.alias: "asname",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
}
"""The fields in which nodes keep a name that they bind as a plain string."""


def _as_name(name: str, node: ast.AST) -> ast.Name:
    return ast.copy_location(ast.Name(name), node)


def _level(home: Scope, owner: Scope) -> int:
    """The number of function scopes from *home* out to *owner*; -1 if *owner* does not contain it."""
    level = 0
    scope: Scope | None = home
    while scope is not None:
        if scope is owner:
            return level
        level += scope.is_function
        scope = scope.parent
    return -1


def _origin(name: ast.Name, owner: Scope, user: Scope) -> str:
    """The bindings that may reach *name*, and its number among names with an equal binding."""
    mine = [_bound(each, owner, _ORIGIN_DEPTH) for each in owner.reaching(name, user)]
    # The number keeps `a = read(); b = read()` apart.  It counts in order of first binding, which
    # renaming does not change.
    alike = 0
    for other, bindings in owner.bindings.items():
        if other == name.id:
            break
        alike += any(_bound(each, owner, _ORIGIN_DEPTH) in mine for each in bindings)
    return f"{' | '.join(mine)} #{alike}"


def _bound(binding: Binding, scope: Scope, depth: int) -> str:
    if isinstance(binding, Parameter):
        return f"parameter {binding.index}"
    if isinstance(binding, Assigned):
        return f"{binding.form} {binding.position} {_origin_text(binding.value, scope, depth)}"
    if isinstance(binding, Import):
        return f"import {binding.module} {binding.attribute}"
    return type(binding).__name__


def _origin_text(node: object, scope: Scope, depth: int) -> str:
    if isinstance(node, ast.AST):
        scope = scope.module.scopes.get(node, scope)
    if isinstance(node, ast.Name):
        found = scope.lookup(node.id)
        if found is None or not found[0].is_function:
            return node.id
        if depth == 0:
            return "_"
        reaching = found[0].reaching(node, scope)
        return " | ".join(_bound(each, found[0], depth - 1) for each in reaching)
    if isinstance(node, ast.arg):
        return "_"
    return _fields(node, lambda each: _origin_text(each, scope, depth))


# Fields without influence on the value.
_IGNORED = ("ctx", "type_comment", "kind", "type_params", "annotation", "returns")


def _fields(node: object, write: Callable[[object], str], skip: str = "") -> str:
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={write(value)}"
            for name, value in ast.iter_fields(node)
            if name not in _IGNORED and name != skip
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return "[" + ",".join(write(item) for item in node) + "]"
    return repr(node)
