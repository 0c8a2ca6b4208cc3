"""
Builds the scopes of a source file: which scope binds which name, to what, and where.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .scopes import (
    EVERYWHERE,
    Assigned,
    Binding,
    Comprehension,
    Definition,
    FunctionNode,
    Import,
    Module,
    Parameter,
    Place,
    Position,
    Range,
    Scope,
    module_name,
    self_class,
)


def read_module(file: str, source: str, tree: ast.Module) -> Module:
    """
    Build the module of a file with its scopes.

    Args:
        file: Path as shown in findings.
        source: The text of the file.
        tree: The syntax tree of *source*.

    Raises:
        RecursionError: The source is nested too deeply.
    """
    name, package = module_name(file)
    module = Module(file, name, package, source, tree)
    binder = _Binder(module)
    binder.visit_body(tree, module.scope)
    binder.bind_nonlocals()
    return module


class _Binder(ast.NodeVisitor):
    """Builds the scopes of a module in one pass."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._scope = module.scope
        self._branch = EVERYWHERE
        self._loops: tuple[Range, ...] = ()
        self._subject: ast.expr = ast.Constant(None)
        self._nonlocals: list[tuple[Scope, str, Binding]] = []

    def visit_body(self, node: ast.AST, scope: Scope) -> None:
        outer, self._scope = self._scope, scope
        self._module.scopes[node] = scope
        # A function runs when it is called, so branches and loops around its definition are not
        # around its body.
        if isinstance(node, FunctionNode):
            around, self._branch, self._loops = (self._branch, self._loops), EVERYWHERE, ()
            self.generic_visit(node)
            self._branch, self._loops = around
        else:
            self.generic_visit(node)
        self._scope = outer

    def bind_nonlocals(self) -> None:
        """Bind names declared nonlocal where they belong, which may be bound further down."""
        for scope, name, binding in self._nonlocals:
            scope.function_around(name).bind(name, binding, Place(is_anytime=True))

    def _bind(self, name: str, binding: Binding, at: Position) -> None:
        if name in self._scope.nonlocals:
            self._nonlocals.append((self._scope, name, binding))
            return
        self._scope.bind(name, binding, Place(at, self._branch, self._loops))

    def _visit_branch(self, nodes: Sequence[ast.AST], loop: Range | None = None) -> None:
        """Visit statements that may be skipped, as a branch, or as the body of *loop*."""
        if not nodes:
            return
        around = self._branch, self._loops
        self._branch = (_start(nodes[0]), _end(nodes[-1]))
        if loop is not None:
            self._loops = (*self._loops, loop)
        for node in nodes:
            self.visit(node)
        self._branch, self._loops = around

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._visit_branch(node.body)
        self._visit_branch(node.orelse)

    def visit_While(self, node: ast.While) -> None:
        # The test belongs to the loop, since it is evaluated in each iteration.
        loop = (_start(node), _end(node.body[-1]))
        self.visit(node.test)
        self._visit_branch(node.body, loop)
        self._visit_branch(node.orelse)

    def _visit_try(self, node: ast.Try | ast.TryStar) -> None:
        # The body may stop anywhere, so it counts as a branch; `finally` always runs, so it does not.
        self._visit_branch(node.body)
        for handler in node.handlers:
            self._visit_branch([handler])
        self._visit_branch(node.orelse)
        for each in node.finalbody:
            self.visit(each)

    visit_Try = _visit_try  # noqa: N815
    visit_TryStar = _visit_try  # noqa: N815

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        # A capture in any pattern is bound to a part of the subject.
        around, self._subject = self._subject, node.subject
        for case in node.cases:
            within = [part for part in (case.pattern, case.guard, *case.body) if part is not None]
            self._visit_branch(within)
        self._subject = around

    def _enter(
        self, node: FunctionNode | ast.ClassDef | ast.Lambda | Comprehension, name: str
    ) -> Scope:
        return Scope(node, name, self._scope, self._module)

    def _visit_function(self, node: FunctionNode) -> None:
        self._bind(node.name, Definition(node), _start(node))
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
        # A function may change it at any time.  The second binding keeps the name from passing for
        # a constant of the module, which has exactly one.
        for name in node.names:
            self._module.scope.bind(name, Assigned(ast.Constant(None), "global"), Place())
            self._scope.globals.add(name)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self._scope.nonlocals.update(node.names)

    def _visit_capture(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name is not None:
            form = f"match {type(node).__name__}"
            self._bind(name, Assigned(self._subject, form), _start(node))
        self.generic_visit(node)

    visit_MatchAs = _visit_capture  # noqa: N815
    visit_MatchStar = _visit_capture  # noqa: N815
    visit_MatchMapping = _visit_capture  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        scope = self._enter(node, "<lambda>")
        _bind_parameters(scope, node.args)
        self.visit_body(node, scope)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bind(node.name, Definition(node), _start(node))
        self.visit_body(node, self._enter(node, node.name))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname is not None:
                self._bind(alias.asname, Import(alias.name, None), _start(node))
            else:
                # `import a.b` binds `a` alone.
                first = alias.name.partition(".")[0]
                self._bind(first, Import(first, None), _start(node))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node)
        for alias in node.names:
            if alias.name == "*":
                self._module.stars.append(module)
            else:
                self._bind(alias.asname or alias.name, Import(module, alias.name), _start(node))

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        # One dot is the package itself, each further dot one package up.
        parts = self._module.package.split(".") if self._module.package else []
        kept = parts[: len(parts) - (node.level - 1)]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def visit_Assign(self, node: ast.Assign) -> None:
        # Bound at the end: a name inside the value still has its earlier binding.
        for target in node.targets:
            self._bind_target(target, node.value, "=", _end(node))
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind_target(node.target, node.value, "=", _end(node))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._bind_target(node.target, node.value, f"{type(node.op).__name__}=", _end(node))
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        # A walrus in a comprehension binds in the scope around it.  Source: PEP 572.
        scope, inner = self._scope, self._scope
        while isinstance(scope.node, Comprehension) and scope.parent is not None:
            scope = scope.parent
        self._scope = scope
        self._bind_target(node.target, node.value, "=", _end(node))
        self._scope = inner
        self.generic_visit(node)

    def _visit_for(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        # The loop begins at its target: the iterable is evaluated once.  Without items the target
        # is never bound, so its binding is conditional like the body.
        loop = (_start(node.target), _end(node.body[-1]))
        around, self._branch = self._branch, loop
        self._bind_target(node.target, node.iter, "for", _start(node.target))
        self._branch = around
        self.visit(node.target)
        self._visit_branch(node.body, loop)
        self._visit_branch(node.orelse)

    visit_For = _visit_for  # noqa: N815
    visit_AsyncFor = _visit_for  # noqa: N815

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._bind_target(node.target, node.iter, "for", _start(node.target))
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            place = _end(node.optional_vars)
            self._bind_target(node.optional_vars, node.context_expr, "with", place)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            caught = Assigned(node.type or ast.Constant(None), "except")
            self._bind(node.name, caught, _start(node))
        self.generic_visit(node)

    def _bind_target(
        self,
        target: ast.expr,
        value: ast.expr,
        form: str,
        at: Position,
        position: tuple[int, ...] = (),
    ) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, Assigned(value, form, position), at)
        elif isinstance(target, ast.Tuple | ast.List):
            for index, item in enumerate(target.elts):
                self._bind_target(item, value, form, at, (*position, index))
        elif isinstance(target, ast.Starred):
            self._bind_target(target.value, value, form, at, position)
        elif isinstance(target, ast.Attribute) and _is_self(target.value, self._scope):
            owner = self._scope.enclosing_class()
            if owner is not None:
                owner.members.setdefault(target.attr, []).append((self._scope, value))


def _bind_parameters(scope: Scope, arguments: ast.arguments) -> None:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    for index, argument in enumerate(every):
        scope.bind(argument.arg, Parameter(index), Place())


def _start(node: ast.AST) -> Position:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _end(node: ast.AST) -> Position:
    return getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0)


def _is_self(node: ast.expr, scope: Scope) -> bool:
    return isinstance(node, ast.Name) and self_class(node, scope) is not None
