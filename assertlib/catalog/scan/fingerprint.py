"""
A hash of a condition that survives what does not change its meaning.

Formatting, moving and renaming local variables leave it alone; swapped
operands, another operator, another variable or another constant do not.  A
local variable is known by how it was first bound (which parameter, what it
was assigned), and names that were bound alike by their order.  A condition
that is a name, as in ``ok = a > b; always(ok, …)``, is followed to what it was
assigned; functions of the same module that it calls are part of it, and so are the values of
constants of modules.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable

from .modules import Assigned, FunctionNode, Import, Parameter, Scope
from .references import Function, Resolver

_HELPER_DEPTH = 3
_FOLLOW_DEPTH = 10
_ORIGIN_DEPTH = 3


def fingerprint(
    operation: str, conditions: list[tuple[ast.expr, Scope]], resolver: Resolver
) -> str:
    """Sixteen hex digits for *operation* over the *conditions*, each in its scope."""
    shapes = [_Shape(scope, resolver).condition(node) for node, scope in conditions]
    text = "\n".join([operation, *shapes])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class _Shape:
    """Writes an expression of one scope so that only its meaning is left."""

    def __init__(self, scope: Scope, resolver: Resolver, depth: int = _HELPER_DEPTH) -> None:
        self._home = scope
        self._resolver = resolver
        self._depth = depth
        self._inner: dict[tuple[int, str], str] = {}

    def condition(self, node: ast.expr) -> str:
        node = self._followed(node, _FOLLOW_DEPTH)
        if isinstance(node, ast.Lambda) and not node.args.args:
            return self._write(node.body, self._home.module.scopes[node])
        return self._write(node, self._home)

    def _followed(self, node: ast.expr, depth: int) -> ast.expr:
        if depth == 0:
            return node
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self._followed(each, depth) for each in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ast.UnaryOp(node.op, self._followed(node.operand, depth))
        if isinstance(node, ast.Name):
            found = self._home.lookup(node.id)
            if found is not None and found[0].is_function and len(found[1]) == 1:
                only = found[1][0]
                if isinstance(only, Assigned) and only.is_plain:
                    return self._followed(only.value, depth - 1)
        return node

    def body(self, node: FunctionNode) -> str:
        """A whole function, without its name and its docstring."""
        statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
        defaults = [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
        written = [self._write(each, self._home) for each in (*defaults, *statements)]
        return ";".join(written)

    def _write(self, node: object, scope: Scope) -> str:
        if isinstance(node, ast.AST):
            scope = scope.module.scopes.get(node, scope)
        if isinstance(node, ast.Name):
            return self._name(node.id, scope)
        if isinstance(node, ast.arg):
            return self._name(node.arg, scope)
        if isinstance(node, FunctionNode):
            return f"def({self._name(node.name, scope)})" + _fields(
                node, lambda each: self._write(each, scope), skip=("name",)
            )
        if isinstance(node, ast.ExceptHandler | ast.alias):
            bound = node.name if isinstance(node, ast.ExceptHandler) else node.asname
            name = self._name(bound, scope) if bound else ""
            skip = ("name",) if isinstance(node, ast.ExceptHandler) else ("asname",)
            return name + _fields(node, lambda each: self._write(each, scope), skip=skip)
        text = _fields(node, lambda each: self._write(each, scope))
        return text + self._helper(node, scope) if isinstance(node, ast.Call) else text

    def _helper(self, call: ast.Call, scope: Scope) -> str:
        if self._depth == 0:
            return ""
        target = self._resolver.resolve(call.func, scope)
        if not isinstance(target, Function) or target.scope.module is not scope.module:
            return ""
        inner = _Shape(target.scope, self._resolver, self._depth - 1)
        return "{" + inner.body(target.node) + "}"

    def _name(self, name: str, scope: Scope) -> str:
        found = scope.lookup(name)
        if found is None or not found[0].is_function:
            return name + self._constant(name, scope)
        owner = found[0]
        level = _level(self._home, owner)
        if level < 0:
            # Bound inside the condition itself: only the order counts.
            key = (id(owner), name)
            return self._inner.setdefault(key, f"<inner {len(self._inner)}>")
        return f"<{level} {_origin(name, owner)}>"

    def _constant(self, name: str, scope: Scope) -> str:
        """What a constant of a module is, since a limit that is moved is another limit."""
        node, _ = self._resolver.constant(ast.Name(name), scope)
        is_made_of_constants = all(isinstance(each, _CONSTANT) for each in ast.walk(node))
        return f"={ast.dump(node)}" if is_made_of_constants else ""


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


def _level(home: Scope, owner: Scope) -> int:
    """How many functions out from *home* the scope *owner* is; -1 if it is not around it."""
    level = 0
    scope: Scope | None = home
    while scope is not None:
        if scope is owner:
            return level
        level += scope.is_function
        scope = scope.parent
    return -1


def _origin(name: str, scope: Scope) -> str:
    """How *name* was first bound, and its number among the names that were bound alike."""
    mine = _bound(name, scope, _ORIGIN_DEPTH)
    alike = 0
    for other in scope.bindings:
        if other == name:
            break
        alike += _bound(other, scope, _ORIGIN_DEPTH) == mine
    return f"{mine} #{alike}"


def _bound(name: str, scope: Scope, depth: int) -> str:
    binding = scope.bindings[name][0]
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
        return "_" if depth == 0 else _bound(node.id, found[0], depth - 1)
    if isinstance(node, ast.arg):
        return "_"
    return _fields(node, lambda each: _origin_text(each, scope, depth))


_IGNORED = ("ctx", "type_comment", "kind", "type_params", "annotation", "returns")


def _fields(node: object, write: Callable[[object], str], skip: tuple[str, ...] = ()) -> str:
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={write(value)}"
            for name, value in ast.iter_fields(node)
            if name not in _IGNORED and name not in skip
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return "[" + ",".join(write(item) for item in node) + "]"
    return repr(node)
