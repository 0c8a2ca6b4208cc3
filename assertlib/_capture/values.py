"""
Evaluates expressions without running any code of the store.

Names, attributes that are stored in an object, its slots or its class, and constant subscripts of
builtin containers are looked up.  Values are compared only where Python's own code does the
comparison.  Everything else is unknown.

Imported after an assertion has evaluated to false, never before.
"""

from __future__ import annotations

import ast
import builtins
import operator
from itertools import pairwise
from types import MemberDescriptorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import FrameType
    from typing import Any

ELEMENTS_LIMIT = 10_000
"""Elements examined for one condition, in `all`, `any` and ``in`` together."""

# A missing attribute, or a name whose value existed only while the condition was evaluated.
_GONE = object()
_PLAIN = (int, str, float, bytes, bool, type(None))
# Classes whose special methods are C code of the interpreter.
_NATIVE = (*_PLAIN, object)
_CONTAINERS = (list, tuple, set, frozenset, dict)

_RELATIONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


class Unknown(Exception):  # noqa: N818 (not an error)
    """A value cannot be determined without code of the store, or only in too many steps."""


class Names:
    """
    The scope of a condition: the variables of its frame, and those of loops inside it.

    Args:
        frame: The frame in which the condition was evaluated.
        inner: Names bound inside the condition, which hide those of the frame.
    """

    def __init__(self, frame: FrameType, inner: Mapping[str, object] | None = None) -> None:
        self._frame = frame
        self._inner = inner or {}

    def within(self, inner: Mapping[str, object]) -> Names:
        """The scope with the names *inner* bound as well."""
        return Names(self._frame, {**self._inner, **inner})

    def without(self, names: Iterable[str]) -> Names:
        """The scope in which *names* no longer have a value."""
        return self.within(dict.fromkeys(names, _GONE))

    def value(self, name: str) -> object:
        """
        The value of *name*.

        Raises:
            Unknown: It has no value here, or no longer has one.
        """
        # `f_locals` of a function includes what it uses of the functions around it.
        for scope in (self._inner, self._frame.f_locals, self._frame.f_globals):
            if name in scope:
                # An outer variable of the same name must not be shown instead.
                if scope[name] is _GONE:
                    break
                return scope[name]
        raise Unknown

    def mangled(self, name: str) -> str:
        """*name* as the compiler mangles it: a private name gets the prefix of its class."""
        if not name.startswith("__") or name.endswith("__"):
            return name
        # In a qualified name, ``<locals>`` follows a function, and any other name a class.
        parts = self._frame.f_code.co_qualname.split(".")
        classes = [one for one, inner in pairwise(parts) if "<locals>" not in (one, inner)]
        # Source: Python Language Reference, "Private name mangling".
        owner = classes[-1].lstrip("_") if classes else ""
        return f"_{owner}{name}" if owner else name

    def is_gone(self, name: str) -> bool:
        """Whether *name* was bound inside the condition."""
        return self._inner.get(name) is _GONE

    def is_builtin(self, node: ast.expr, names: tuple[str, ...]) -> bool:
        """Whether *node* refers to one of the builtins *names*, and is not shadowed."""
        if not isinstance(node, ast.Name) or node.id not in names:
            return False
        # A variable of that name hides the builtin.
        if any(node.id in each for each in (self._inner, self._frame.f_locals)):
            return False
        meant = self._frame.f_globals.get(node.id, self._frame.f_builtins.get(node.id))
        return meant is getattr(builtins, node.id)


class Element:
    """
    One element that an `all` or `any` iterates over.

    Attributes:
        place: An expression for the element, such as ``rows[1]``; empty if there is none.
        value: The element itself.
        key: Its key, if it comes from a dict.
    """

    def __init__(self, place: str, value: object, key: object = None) -> None:
        self.place = place
        self.value = value
        self.key = key


class Quantified:
    """
    An `all` or `any` and its outcome.

    Attributes:
        source: The expression that yields the elements.
        is_plain: Whether a single loop, not asynchronous, yields them.
        target: The loop variable; None if the elements themselves are tested.
        test: The expression that is tested for each element, likewise.
        filters: The conditions of the loop's ``if`` clauses.
        outcome: The value of the whole.
        count: Number of elements that were tested.
        deciding: The first element that decided the outcome; None if no single one did.
        inside: The scope in which that element was tested.
    """

    def __init__(self, argument: ast.expr, names: Names) -> None:
        self.source = argument
        self.target: ast.expr | None = None
        self.test: ast.expr | None = None
        self.filters: list[ast.expr] = []
        self.is_plain = True
        self.outcome = False
        self.count = 0
        self.deciding: Element | None = None
        self.inside = names
        if isinstance(argument, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            generator, *inner = argument.generators
            self.is_plain = not inner and not generator.is_async
            self.target, self.source = generator.target, generator.iter
            self.test, self.filters = argument.elt, generator.ifs

    @property
    def container(self) -> ast.expr:
        """The expression for the container: ``index`` if the source is ``index.values()``."""
        view = self.source.func if isinstance(self.source, ast.Call) else None
        return view.value if isinstance(view, ast.Attribute) else self.source


class Evaluator:
    """
    Evaluates parts of one condition.

    All its methods raise `Unknown` for a value that only code of the store could determine.
    """

    def __init__(self) -> None:
        self._left = ELEMENTS_LIMIT

    def value(self, node: ast.expr, names: Names) -> object:
        """
        The value of *node* in the scope *names*.

        Raises:
            Unknown: It is an expression that may run code of the store.
        """
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return names.value(names.mangled(node.id))
            case ast.Attribute():
                return _attribute(self.value(node.value, names), names.mangled(node.attr))
            case ast.Subscript(slice=ast.Constant(value=key)):
                return _item(self.value(node.value, names), key)
            # A negative literal.
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.UnaryOp(op=ast.Not()):
                return not self.truth(node.operand, names)
            case ast.BoolOp():
                return self._joined(node, names)
            case ast.Compare():
                return self._compared(node, names)
            case ast.Tuple():
                return tuple(self.value(each, names) for each in node.elts)
            # `all` and `any` are the only calls that are repeated.
            case ast.Call():
                return self.quantified(node, names).outcome
        raise Unknown

    def truth(self, node: ast.expr, names: Names) -> bool:
        """Whether *node* is true in the scope *names*."""
        return _truth(self.value(node, names))

    def _joined(self, node: ast.BoolOp, names: Names) -> object:
        decisive = isinstance(node.op, ast.Or)
        for operand in node.values[:-1]:
            value = self.value(operand, names)
            if _truth(value) is decisive:
                return value
        return self.value(node.values[-1], names)

    def _compared(self, node: ast.Compare, names: Names) -> bool:
        left = self.value(node.left, names)
        for relation, operand in zip(node.ops, node.comparators, strict=True):
            right = self.value(operand, names)
            if not self._holds(relation, left, right):
                return False
            left = right
        return True

    def _holds(self, relation: ast.cmpop, left: object, right: object) -> bool:
        # Identity runs no code, so it may be asked of any object.
        if isinstance(relation, ast.Is | ast.IsNot):
            return (left is right) is isinstance(relation, ast.Is)
        if isinstance(relation, ast.Eq | ast.NotEq) and _is_identity(left) and _is_identity(right):
            return (left is right) is isinstance(relation, ast.Eq)
        self._require_native(left)
        self._require_native(right)
        try:
            return _RELATIONS[type(relation)](left, right)
        # Such as ``1 < "a"``, in a part that the condition itself did not reach.
        except TypeError:
            raise Unknown from None

    def _require_native(self, value: object) -> None:
        """Reject a value whose comparison may run code of the store."""
        # Containers compare their elements; a nested container is rejected, since it is not plain.
        elements = self._taken(value) if type(value) in _CONTAINERS else [value]
        if type(value) is dict:
            elements += value.values()
        if not all(map(_is_plain, elements)):
            raise Unknown

    def quantified(self, call: ast.Call, names: Names) -> Quantified:
        """
        Evaluate *call*, an `all` or `any`.

        Raises:
            Unknown: It is another call, or a test may run code of the store.
        """
        if not names.is_builtin(call.func, ("all", "any")) or len(call.args) != 1:
            raise Unknown
        found = Quantified(call.args[0], names)
        if not found.is_plain:
            raise Unknown
        # Over no elements, `all` is true and `any` is false.
        found.outcome = of_all = names.is_builtin(call.func, ("all",))
        for element in self._elements(found.source, names):
            inside = names.within(_bindings(found.target, element.value))
            if not all(self.truth(each, inside) for each in found.filters):
                continue
            found.count += 1
            test = found.test
            outcome = _truth(element.value) if test is None else self.truth(test, inside)
            if outcome is not of_all:
                found.outcome, found.deciding, found.inside = outcome, element, inside
                break
        return found

    def _elements(self, node: ast.expr, names: Names) -> list[Element]:
        source = ast.unparse(node)
        match node:
            case ast.Tuple() | ast.List() | ast.Set():
                return [Element(_place_of(each), self.value(each, names)) for each in node.elts]
            case ast.Call(func=ast.Attribute(attr="keys" | "values" | "items" as view), args=[]):
                owner = self.value(node.func.value, names)  # type: ignore[attr-defined]
                # A subclass may compute its keys and values.
                if type(owner) is not dict:
                    raise Unknown
                keys = self._taken(owner)
                if view == "values":
                    name = source.removesuffix(".values()")
                    return [Element(_place(name, key), owner[key], key) for key in keys]
                if view == "items":
                    return [Element("", (key, owner[key]), key) for key in keys]
                return [Element("", key) for key in keys]
        elements = self._taken(self.value(node, names))
        if type(self.value(node, names)) in (list, tuple):
            return [Element(f"{source}[{at}]", each) for at, each in enumerate(elements)]
        return [Element("", each) for each in elements]

    def _taken(self, container: object) -> list[object]:
        """The elements of a builtin container, counted against the limit of the condition."""
        if type(container) not in _CONTAINERS:
            raise Unknown
        elements: list[object] = list(container)  # type: ignore[call-overload]
        self._left -= len(elements)
        if self._left < 0:
            raise Unknown
        return elements


def _place_of(node: ast.expr) -> str:
    return "" if isinstance(node, ast.Constant) else ast.unparse(node)


def _place(name: str, key: object) -> str:
    return f"{name}[{key!r}]" if _is_plain(key) else ""


def _bindings(target: ast.expr | None, element: object) -> dict[str, object]:
    """The names that the loop variable *target* binds for *element*."""
    match target:
        case None:
            return {}
        case ast.Name():
            return {target.id: element}
        case ast.Tuple() if type(element) in (list, tuple) and len(element) == len(target.elts):  # type: ignore[arg-type]
            pairs = zip(target.elts, element, strict=True)  # type: ignore[call-overload]
            return {name: value for each in pairs for name, value in _bindings(*each).items()}
    raise Unknown


def _truth(value: object) -> bool:
    if type(value) in (*_PLAIN, *_CONTAINERS):
        return bool(value)
    # An object that defines neither method is true.
    if _definer(value, "__bool__") is None and _definer(value, "__len__") is None:
        return True
    raise Unknown


def _is_plain(value: object) -> bool:
    """Whether *value* is a number, text or None, or of a subclass that inherits the comparisons."""
    if type(value) in _PLAIN:
        return True
    return is_a(value, _PLAIN) and all(
        _definer(value, name) in _NATIVE for name in ("__eq__", "__lt__", "__gt__", "__hash__")
    )


def _is_identity(value: object) -> bool:
    """Whether ``==`` compares *value* by identity."""
    return _definer(value, "__eq__") is object and _definer(value, "__ne__") is object


def is_a(value: object, classes: type | tuple[type, ...]) -> bool:
    """Like `isinstance`, which would run a ``__class__`` property of *value*."""
    return issubclass(type(value), classes)


def _definer(value: object, name: str) -> type | None:
    """The class from which *value* has the method *name*; None if no class defines it."""
    return next((cls for cls in type(value).__mro__ if name in vars(cls)), None)


def _attribute(owner: object, name: str) -> object:
    standing = _in_classes(type(owner), name)
    # A slot is read by C code; any other descriptor, such as a property, may run code of the store.
    if type(standing) is MemberDescriptorType:
        try:
            return standing.__get__(owner, type(owner))
        except AttributeError:
            raise Unknown from None
    if _definer(standing, "__get__") is not None:
        raise Unknown
    if is_a(owner, type):
        return _of_class(owner, name)  # type: ignore[arg-type]
    try:
        # Bypasses a `__getattribute__` of the class.
        attributes = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        attributes = {}
    if type(attributes) is dict and name in attributes:
        return attributes[name]
    if standing is _GONE:
        raise Unknown
    return standing


def _of_class(owner: type, name: str) -> object:
    members = vars(owner).get("_member_map_")
    if type(members) is dict and name in members:
        # In the namespace of an Enum, a descriptor may stand for a member, as for one called `name`.
        return members[name]
    standing = _in_classes(owner, name)
    if standing is _GONE or _definer(standing, "__get__") is not None:
        raise Unknown
    return standing


def _in_classes(cls: type, name: str) -> object:
    return next((vars(each)[name] for each in cls.__mro__ if name in vars(each)), _GONE)


def _item(owner: object, key: object) -> object:
    # The exact classes: a subclass may define `__getitem__` or `__missing__`.
    if type(owner) not in (dict, list, tuple):
        raise Unknown
    try:
        return owner[key]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        raise Unknown from None
