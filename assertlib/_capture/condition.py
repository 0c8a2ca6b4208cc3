"""
The source of a false condition, and the values of its parts.

Imported after an assertion has evaluated to false, never before.
"""

from __future__ import annotations

import ast
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

from ..forms import FORMS
from ..recording.hits import Captured
from ..recording.reprs import REDACTED, bounded_repr, is_redacted
from .loaded_source import ChangedError, call_source
from .values import Evaluator, Names, Quantified, Unknown, is_a

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SOURCE_LIMIT = 500
"""Characters of a condition that are shown."""

VALUES_LIMIT = 20
"""Values of a condition that are shown."""

CHANGED = "(not shown: the source has changed since the process loaded it)"
"""Shown for a condition whose file has changed since it was loaded."""

NOT_EVALUATED = "(not evaluated)"
"""Shown for a part whose evaluation would run code of the store."""

_ALONE = ", "
# The repr of functions and modules explains nothing.
_CODE = (ModuleType, FunctionType, BuiltinFunctionType, MethodType, type)
_Comprehension = ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp


def captured(frame: FrameType) -> Captured | None:
    """The condition and values of the call that *frame* is executing; None without source."""
    try:
        text = call_source(frame.f_code, frame.f_lasti)
    except ChangedError:
        # Code that did not run must not explain a violation.
        return Captured(CHANGED, {})
    if text is None:
        return None
    # In the file, parentheses around the call may be what lets it span lines.
    source = f"({text}\n)"
    call = ast.parse(source, mode="eval").body
    if not isinstance(call, ast.Call):
        return None
    conditions = _conditions(call)
    if not conditions:
        return None
    whole = [each.body if isinstance(each, ast.Lambda) else each for each in conditions]
    walker = _Walker(source, whole)
    for condition in conditions:
        walker.visit(condition, Names(frame))
    shown = _sign(call).join(map(walker.text, whole))
    return Captured(shown[:SOURCE_LIMIT], walker.values)


# -- the source ------------------------------------------------------------------


def _conditions(call: ast.Call) -> list[ast.expr]:
    """The arguments that are the condition: one, or both sides of a comparison."""
    form = FORMS.get(_name(call))
    # A bound assertion has a name of the store's, and takes its condition first.
    wanted = ("condition",) if form is None else form.conditions
    conditions = call.args[: len(wanted)]
    conditions += [keyword.value for keyword in call.keywords if keyword.arg in wanted]
    # A constant explains nothing, except as one side of a comparison.
    is_comparison = form is not None and form.shape == "comparison"
    idle = ast.Starred if is_comparison else ast.Constant | ast.Starred
    return [each for each in conditions if not isinstance(each, idle)]


def _name(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _sign(call: ast.Call) -> str:
    """The text between the conditions of *call* when they are shown, such as an operator."""
    form = FORMS.get(_name(call))
    return _ALONE if form is None else form.sign


# -- what is shown -----------------------------------------------------------------


class _Walker:
    """
    Walks through a condition and records the values of its parts.

    Attributes:
        values: Bounded ``repr`` by expression, in the order of the source.
    """

    def __init__(self, source: str, whole: list[ast.expr]) -> None:
        self.values: dict[str, str] = {}
        self._source = source
        self._whole = whole
        self._evaluator = Evaluator()
        self._reported: set[str] = set()

    def text(self, node: ast.expr) -> str:
        """The source of *node* in one line: as written if it has one, otherwise normalised."""
        written = ast.get_source_segment(self._source, node)
        return written if written and "\n" not in written else ast.unparse(node)

    def visit(self, node: ast.AST, names: Names) -> None:
        """Record *node* and its parts, with values from the scope *names*."""
        match node:
            case ast.Lambda():
                self.visit(node.body, names.without(_bound_in(node)))
            case ast.GeneratorExp() | ast.ListComp() | ast.SetComp() | ast.DictComp():
                self._comprehension(node, names)
            case ast.BoolOp():
                self._operands(node, names)
            case ast.Call():
                self._call(node, names)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                self._place(node, names)
            case _:
                self._parts(node, names)

    def _parts(self, node: ast.AST, names: Names) -> None:
        for part in ast.iter_child_nodes(node):
            self.visit(part, names)

    def _note(self, expression: str, value: str) -> None:
        if len(self.values) < VALUES_LIMIT:
            self.values.setdefault(expression, value)

    def _show(self, node: ast.expr, value: object) -> None:
        self._note(self.text(node), REDACTED if self._hides(node) else bounded_repr(value))

    def _hides(self, *nodes: ast.expr | None) -> bool:
        return any(is_redacted(word) for node in nodes if node for word in _words(node))

    def _place(self, node: ast.Name | ast.Attribute | ast.Subscript, names: Names) -> None:
        try:
            value = self._evaluator.value(node, names)
        except Unknown:
            if not isinstance(node, ast.Name):
                self._mark_unevaluated(node, names)
                self._parts(node, names)
        else:
            # A loop variable was reported together with its element.
            if not is_a(value, _CODE) and not (
                isinstance(node, ast.Name) and node.id in self._reported
            ):
                self._show(node, value)

    def _mark_unevaluated(self, node: ast.expr, names: Names) -> None:
        """Record that *node* was not evaluated, unless its names existed inside the condition only."""
        # The value of the whole condition is known: it is false.
        if node not in self._whole and not any(
            isinstance(part, ast.Name) and names.is_gone(part.id) for part in ast.walk(node)
        ):
            self._note(self.text(node), NOT_EVALUATED)

    def _operands(self, node: ast.BoolOp, names: Names) -> None:
        """Record which operands held, and thereby which one did not."""
        for operand in node.values:
            # Other operands are recorded by their values.
            if isinstance(operand, ast.Compare | ast.UnaryOp):
                try:
                    self._note(self.text(operand), repr(self._evaluator.truth(operand, names)))
                except Unknown:
                    pass
            self.visit(operand, names)

    def _comprehension(self, node: _Comprehension, names: Names) -> None:
        """Record the parts that are the same for all elements; none if these are redacted."""
        if self._hides(*(generator.target for generator in node.generators)):
            return
        # The first iterable alone is evaluated in the scope around the comprehension.
        self.visit(node.generators[0].iter, names)
        self._parts(node, names.without(_bound_in(node)))

    def _call(self, node: ast.Call, names: Names) -> None:
        try:
            self._quantified(self._evaluator.quantified(node, names), names)
        except Unknown:
            if names.is_builtin(node.func, ("all", "any")) and len(node.args) == 1:
                self._note(self._among(Quantified(node.args[0], names)), NOT_EVALUATED)
        else:
            return
        if isinstance(node.func, ast.Attribute):
            self._mark_unevaluated(node, names)
            self.visit(node.func.value, names)
        for part in (*node.args, *node.keywords):
            self.visit(part, names)

    def _quantified(self, found: Quantified, names: Names) -> None:
        """Record the element that decided an `all` or `any`."""
        among, element = self._among(found), found.deciding
        is_hidden = self._hides(found.target, found.source)
        if element is None:
            every = "all" if found.outcome else "none"
            self._note(among, f"{every} of {found.count}")
        elif is_hidden or is_redacted(element.key):
            self._note(among, REDACTED)
            # Neither is the container shown, which holds the element.
            return
        else:
            expression = f"{self._each(found)} = {element.place}" if element.place else among
            self._note(expression, bounded_repr(element.value))
            if found.test is not None and found.target is not None:
                self._reported |= _bound_in(found.target)
                self.visit(found.test, found.inside)
        if not is_hidden:
            self.visit(found.container, names)

    def _each(self, found: Quantified) -> str:
        return "an element" if found.target is None else self.text(found.target)

    def _among(self, found: Quantified) -> str:
        return f"{self._each(found)} in {self.text(found.source)}"


def _bound_in(node: ast.AST) -> set[str]:
    """The names that are bound inside *node*, whose values are gone by now."""
    # Loop variables and walrus targets are stored; parameters of a lambda are `ast.arg`.
    parts = list(ast.walk(node))
    return {part.arg for part in parts if isinstance(part, ast.arg)} | {
        part.id
        for part in parts
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
    }


def _words(node: ast.AST) -> Iterator[str]:
    """The names in an expression that may be redacted: variables, attributes and keys."""
    for part in ast.walk(node):
        match part:
            case ast.Name():
                yield part.id
            case ast.Attribute():
                yield part.attr
            case ast.Subscript(slice=ast.Constant(value=str() as key)):
                yield key
