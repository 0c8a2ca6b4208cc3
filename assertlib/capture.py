"""
What a false condition looked like: its source, and the values of its names.

Everything here runs only after an assertion has come out false.  Nothing is
called and no property is read: values come from plain names, from attributes
that stand in an instance's ``__dict__`` or slots, and from constant subscripts
of builtin containers.
"""

from __future__ import annotations

from .model import Location
from .recording.hits import Captured
from .recording.reprs import bounded_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from types import CodeType, FrameType

_SOURCE_LIMIT = 500
_VALUES_LIMIT = 20
_MISSING = object()


class Caller:
    """The code that called an assertion."""

    __slots__ = ("_capture", "_frame", "_root")

    def __init__(self, frame: FrameType, root: str, *, capture: bool = True) -> None:
        self._frame = frame
        self._root = root
        self._capture = capture

    def location(self) -> Location:
        """File (relative to the project if it is inside), function and line."""
        return location_of(self._frame, self._root)

    def captured(self) -> Captured | None:
        """Condition and values; None when the source is not at hand."""
        if not self._capture:
            return None
        try:
            return _captured(self._frame)
        except Exception:
            # Source that changed on disk, exotic frames: the hit counts without it.
            return None


def location_of(frame: FrameType, root: str) -> Location:
    """Where *frame* stands now."""
    code = frame.f_code
    class_name, _, function = code.co_qualname.rpartition(".")
    if class_name.endswith("<locals>"):
        class_name = ""
    file = code.co_filename
    if file.startswith(root + "/"):
        file = file[len(root) + 1 :]
    return Location(file, function, class_name.rpartition(".")[2], frame.f_lineno or 0)


def _captured(frame: FrameType) -> Captured | None:
    import ast

    text = _call_source(frame)
    if text is None:
        return None
    expression = ast.parse(f"({text}\n)", mode="eval").body
    if not isinstance(expression, ast.Call):
        return None
    conditions = _conditions(expression)
    if not conditions:
        return None
    source = ", ".join(ast.unparse(condition) for condition in conditions)
    values: dict[str, str] = {}
    for condition in conditions:
        _collect(condition, frame, values, _bound_inside(condition))
    return Captured(source[:_SOURCE_LIMIT], values)


def _call_source(frame: FrameType) -> str | None:
    position = _position(frame.f_code, frame.f_lasti)
    if position is None:
        return None
    import linecache

    first, last, start, end = position
    lines = [
        linecache.getline(frame.f_code.co_filename, number) for number in range(first, last + 1)
    ]
    if not all(lines):
        return None
    encoded = [line.encode() for line in lines]
    encoded[-1] = encoded[-1][:end]
    encoded[0] = encoded[0][start:]
    return b"".join(encoded).decode()


def _position(code: CodeType, instruction: int) -> tuple[int, int, int, int] | None:
    from itertools import islice

    found = next(islice(code.co_positions(), instruction // 2, None), None)
    if found is None:
        return None
    first, last, start, end = found
    if first is None or last is None or start is None or end is None:
        return None
    return first, last, start, end


def _conditions(call: ast.Call) -> list[ast.expr]:
    """The arguments that are the condition: one, or both sides of a comparison."""
    import ast

    if isinstance(call.func, ast.Attribute | ast.Name):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
    else:
        name = ""
    count = 2 if name.split("_")[-1] in ("than", "to") or name == "always_if" else 1
    conditions = call.args[:count]
    wanted = ("condition", "left", "right", "antecedent", "consequent", "named_bools")
    conditions += [keyword.value for keyword in call.keywords if keyword.arg in wanted]
    return [
        condition.body if isinstance(condition, ast.Lambda) else condition
        for condition in conditions
        if not isinstance(condition, ast.Constant | ast.Starred)
    ]


def _bound_inside(condition: ast.expr) -> frozenset[str]:
    """Names of the condition's own: what they held is gone, whatever is outside has that name."""
    import ast

    names = {
        part.id
        for part in ast.walk(condition)
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
    }
    return frozenset(
        names | {part.arg for part in ast.walk(condition) if isinstance(part, ast.arg)}
    )


def _collect(
    node: ast.AST, frame: FrameType, values: dict[str, str], hidden: frozenset[str]
) -> None:
    import ast

    if len(values) >= _VALUES_LIMIT:
        return
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        value = _value(node, frame) if _root_of(node) not in hidden else _MISSING
        if value is not _MISSING:
            if not _is_code(value):
                values[ast.unparse(node)] = bounded_repr(value)
            return
    for part in ast.iter_child_nodes(node):
        _collect(part, frame, values, hidden)


def _root_of(node: ast.expr) -> str | None:
    import ast

    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_code(value: object) -> bool:
    from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

    return isinstance(value, ModuleType | FunctionType | BuiltinFunctionType | MethodType | type)


def _value(node: ast.expr, frame: FrameType) -> object:
    import ast

    if isinstance(node, ast.Name):
        if node.id in frame.f_locals:
            return frame.f_locals[node.id]
        return frame.f_globals.get(node.id, _MISSING)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, frame)
        return _MISSING if owner is _MISSING else _plain_attribute(owner, node.attr)
    if isinstance(node, ast.Subscript):
        owner = _value(node.value, frame)
        return _MISSING if owner is _MISSING else _plain_item(owner, node.slice)
    return _MISSING


def _plain_attribute(owner: object, name: str) -> object:
    from types import MemberDescriptorType

    for cls in type(owner).__mro__:
        found = vars(cls).get(name, _MISSING)
        if isinstance(found, MemberDescriptorType):
            try:
                return found.__get__(owner, type(owner))
            except AttributeError:
                return _MISSING
        if found is not _MISSING and hasattr(type(found), "__get__"):
            return _MISSING
    try:
        attributes = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return _MISSING
    return attributes.get(name, _MISSING) if type(attributes) is dict else _MISSING


def _plain_item(owner: object, key: ast.expr) -> object:
    import ast

    if not isinstance(key, ast.Constant) or type(owner) not in (dict, list, tuple):
        return _MISSING
    try:
        return owner[key.value]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return _MISSING
