"""
A hash of a condition that survives what does not change its meaning.

Formatting, moving and renaming local variables leave it alone; swapped
operands, another operator, another variable or another constant do not.  A
local variable is known by how it was first bound (which parameter, what it
was assigned), those bound alike by their order; only names that occur in the
condition are looked at.  A condition that is a name, as in
``ok = a > b; always(ok, …)``, is followed to what it was assigned, and
functions of the same module that it calls are part of it.
"""

from __future__ import annotations

import ast
import hashlib

from .modules import Assigned, FunctionNode, Parameter, Scope
from .references import Function, Resolver

_HELPER_DEPTH = 3


def fingerprint(
    operation: str, conditions: list[tuple[ast.expr, Scope]], resolver: Resolver
) -> str:
    """Sixteen hex digits for *operation* over the *conditions*, each in its scope."""
    shapes = [_Shape(scope, resolver).condition(node) for node, scope in conditions]
    text = "\n".join([operation, *shapes])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class _Shape:
    """Writes an expression so that only its meaning is left."""

    def __init__(self, scope: Scope, resolver: Resolver, depth: int = _HELPER_DEPTH) -> None:
        self._scope = scope
        self._resolver = resolver
        self._depth = depth
        self._locals: dict[str, str] = {}

    def condition(self, node: ast.expr) -> str:
        node = self._followed(node)
        if isinstance(node, ast.Lambda) and not node.args.args:
            node = node.body
        self._name_locals(node)
        return self._write(node)

    def _followed(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self._followed(value) for value in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ast.UnaryOp(node.op, self._followed(node.operand))
        if isinstance(node, ast.Name):
            found = self._scope.lookup(node.id)
            if found is not None and found[0].is_function and len(found[1]) == 1:
                only = found[1][0]
                if isinstance(only, Assigned) and only.form == "=" and only.position < 0:
                    return only.value
        return node

    def _name_locals(self, node: ast.AST) -> None:
        occurring: dict[str, tuple[int, str]] = {}
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id not in occurring:
                found = self._scope.lookup(part.id)
                if found is not None and found[0].is_function:
                    order = list(found[0].bindings).index(part.id)
                    occurring[part.id] = (order, self._origin(found[1][0], found[0]))
        seen: dict[str, int] = {}
        for name, (_, origin) in sorted(occurring.items(), key=lambda item: item[1][0]):
            seen[origin] = seen.get(origin, 0) + 1
            self._locals[name] = f"<{origin}#{seen[origin]}>"

    def _origin(self, binding: object, scope: Scope) -> str:
        if isinstance(binding, Parameter):
            return f"parameter {binding.index}"
        if isinstance(binding, Assigned):
            value = _Anonymous(scope).write(binding.value)
            return f"{binding.form} {binding.position} {value}"
        return type(binding).__name__

    def _write(self, node: object) -> str:
        if isinstance(node, ast.Name):
            return self._locals.get(node.id, node.id)
        if isinstance(node, ast.Call):
            return _written(node, self._write) + self._helper(node)
        return _written(node, self._write)

    def _helper(self, call: ast.Call) -> str:
        if self._depth == 0:
            return ""
        target = self._resolver.resolve(call.func, self._scope)
        if not isinstance(target, Function) or target.scope.module is not self._scope.module:
            return ""
        inner = _Shape(target.scope, self._resolver, self._depth - 1)
        return "{" + inner.body(target.node) + "}"

    def body(self, node: FunctionNode) -> str:
        statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
        for statement in statements:
            self._name_locals(statement)
        return ";".join(self._write(statement) for statement in statements)


class _Anonymous:
    """Like `_Shape`, with all local names alike."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def write(self, node: object) -> str:
        if isinstance(node, ast.Name):
            found = self._scope.lookup(node.id)
            return "_" if found is not None and found[0].is_function else node.id
        return _written(node, self.write)


_IGNORED = ("ctx", "type_comment", "kind", "type_params")


def _written(node: object, write: object) -> str:
    assert callable(write)
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={write(value)}"
            for name, value in ast.iter_fields(node)
            if name not in _IGNORED
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return "[" + ",".join(write(item) for item in node) + "]"
    return repr(node)
