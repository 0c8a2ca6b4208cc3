"""
Detects conditions that have become weaker, as far as the two texts show it.
"""

from __future__ import annotations

import ast

# Operators that hold whenever the key does, and in more cases.
_LOOSER: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.NotEq),
    ast.Lt: (ast.LtE, ast.NotEq),
    ast.Eq: (ast.GtE, ast.LtE),
    ast.Is: (ast.Eq,),
}


def weakening(old: str, new: str) -> str:
    """Describe how condition *new* is weaker than *old*; empty if it is not known to be."""
    try:
        before, after = (_expression(text) for text in (old, new))
    # The scan shortens long conditions, and those of Go and Rust are not Python.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return (
        _clauses_dropped(before, after)
        or _and_to_or(before, after)
        or _alternatives_added(before, after)
        or _looser_comparison(before, after)
    )


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _parts(node: ast.expr, joint: type[ast.boolop]) -> dict[str, str]:
    """The operands that *joint* joins: their syntax trees, for comparison, and their texts."""
    is_joined = isinstance(node, ast.BoolOp) and isinstance(node.op, joint)
    values = node.values if is_joined and isinstance(node, ast.BoolOp) else [node]
    return {ast.dump(value): ast.unparse(value) for value in values}


def _clauses_dropped(before: ast.expr, after: ast.expr) -> str:
    old, new = _parts(before, ast.And), _parts(after, ast.And)
    # A strict subset: if a clause was also added, the conditions cannot be ordered.
    if not new.keys() < old.keys():
        return ""
    listed = _listed(old, new)
    return f"{listed} {'were' if len(old) - len(new) > 1 else 'was'} dropped"


def _and_to_or(before: ast.expr, after: ast.expr) -> str:
    old, new = _parts(before, ast.And), _parts(after, ast.Or)
    return "`and` has become `or`" if len(old) > 1 and old.keys() == new.keys() else ""


def _alternatives_added(before: ast.expr, after: ast.expr) -> str:
    old, new = _parts(before, ast.Or), _parts(after, ast.Or)
    if not old.keys() < new.keys():
        return ""
    either = "any of " if len(new) - len(old) > 1 else ""
    return f"{either}{_listed(new, old)} alone is now sufficient"


def _looser_comparison(before: ast.expr, after: ast.expr) -> str:
    """Comparisons that accept more values than before, outside of negations."""
    old, new = _comparisons(before), _comparisons(after)
    # Nothing but operators may differ, or the comparisons would not correspond to each other.
    if len(old) != len(new) or _blank(before) != _blank(after):
        return ""
    changed = [
        (was, is_now)
        for one, other in zip(old, new, strict=True)
        for was, is_now in zip(one.ops, other.ops, strict=True)
        if type(was) is not type(is_now)
    ]
    # A single stricter operator leaves the conditions incomparable.
    if changed and all(type(is_now) in _LOOSER.get(type(was), ()) for was, is_now in changed):
        return "; ".join(f"`{_sign(was)}` has become `{_sign(is_now)}`" for was, is_now in changed)
    return ""


def _comparisons(node: ast.expr) -> list[ast.Compare]:
    """The comparisons joined by `and` and `or` only: if one gets looser, so does the whole."""
    if isinstance(node, ast.Compare):
        return [node]
    if isinstance(node, ast.BoolOp):
        return [each for value in node.values for each in _comparisons(value)]
    return []


def _blank(node: ast.expr) -> str:
    """*node* without the operators of its comparisons."""
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        return f"compare({', '.join(map(ast.dump, operands))})"
    if isinstance(node, ast.BoolOp):
        joined = ", ".join(map(_blank, node.values))
        return f"{type(node.op).__name__}({joined})"
    return ast.dump(node)


def _listed(of: dict[str, str], without: dict[str, str]) -> str:
    return ", ".join(f"`{text}`" for key, text in of.items() if key not in without)


def _sign(operator: ast.cmpop) -> str:
    compared = ast.Compare(ast.Name("a"), [operator], [ast.Name("b")])
    return ast.unparse(compared).removeprefix("a ").removesuffix(" b")
