"""
From records to lines of JSON, whatever the details hold.

Source of the diagnostics 6001-6003 and of the spellings of numbers that JSON
does not have: the Antithesis Python SDK 0.4.0 on the wire, protocol 1.1.0.
"""

from __future__ import annotations

from . import interrupts
from .reprs import REDACTED, bounded_repr, is_redacted, redacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

DETAILS_LIMIT = 64 * 1024
"""Bytes of serialised details in a record; longer details are truncated and marked so."""

_HEAD = 1024
_DEPTH_LIMIT = 100
UNSERIALISABLE, NON_FINITE, UNSAFE_INTEGER, NON_FINITE_OPERAND = 6001, 6002, 6003, 6004
_UNSAFE = 2**53

_WARNINGS = {
    NON_FINITE: "non-finite numbers in the details of {!r} are written as strings",
    UNSAFE_INTEGER: (
        "integers beyond 2**53 in the details of {!r} are exact here, but readers that take"
        " JSON numbers for doubles will round them"
    ),
    NON_FINITE_OPERAND: "no guidance for {!r}: an operand is not finite",
}


_json: ModuleType | None = None


def load_json() -> ModuleType:
    """The module json, kept: a finaliser at interpreter exit can import nothing."""
    global _json
    if _json is None:
        import json

        _json = json
    return _json


def _dumps(value: object, default: Callable[[object], object] | None = None) -> str:
    text: str = load_json().dumps(value, default=default)
    return text


class Encoded:
    """
    Details ready to be written.

    Attributes:
        text: JSON, or None when there are no details.
        diagnostics: Whole lines to write before the record.
        fallback: The details as bounded ``repr`` when they have no JSON.
        truncated: Whether they were too long.
    """

    __slots__ = ("diagnostics", "fallback", "text", "truncated")

    def __init__(self) -> None:
        self.text: str | None = None
        self.diagnostics: list[str] = []
        self.fallback: str | None = None
        self.truncated = False


def json_text(text: str) -> str:
    """*text* as a JSON string."""
    return _dumps(text)


def line(key: str, body: object) -> str:
    """One record as a line; its prefix identifies its type."""
    return _dumps({key: body}) + "\n"


def line_with_details(key: str, body: dict[str, object], name: str, encoded: str | None) -> str:
    """Like `line`, with details that are JSON already under *name*."""
    if encoded is None:
        return line(key, body)
    head = _dumps(body)[:-1]
    return f"{{{_dumps(key)}: {head}, {_dumps(name)}: {encoded}}}}}\n"


class DetailsEncoder:
    """Turns details into JSON once per record; warns once per process and reason."""

    def __init__(self) -> None:
        self._warned: set[int] = set()

    def encode(self, details: object, context: str) -> Encoded:
        """Serialise *details*, calling them first if they are callable; never raises."""
        encoded = Encoded()
        if details is None:
            return encoded
        value = details
        try:
            value = _call(details)
            encoded.text = self._dump(value, context, encoded)
        except Exception as error:
            interrupts.reraise(error)
            encoded.diagnostics.append(_unserialisable(context, error))
            encoded.fallback = bounded_repr(value, _HEAD)
            return encoded
        if encoded.text is not None and len(encoded.text) > DETAILS_LIMIT:
            encoded.truncated = True
            encoded.text = _cut(encoded.text)
        return encoded

    def _dump(self, value: object, context: str, encoded: Encoded) -> str | None:
        from collections.abc import Mapping

        if value is None:
            return None
        if not isinstance(value, Mapping):
            value = {"value": value}
        seen: set[int] = set()
        text = _dumps(value, default=_mapping_as_dict)
        if len(text) <= DETAILS_LIMIT and _depth(text) > _DEPTH_LIMIT:
            raise ValueError(f"nested deeper than {_DEPTH_LIMIT} levels")
        if len(text) <= DETAILS_LIMIT and _may_hold_odd_numbers(text):
            # Reading the text back, not the data again: the caller's objects
            # are looked at once.
            plain = load_json().loads(
                text, parse_int=_int_noting(seen), parse_constant=_constant_noting(seen)
            )
            text = _dumps(plain)
        if redacts():
            text = _dumps(load_json().loads(text, object_hook=_without_redacted))
        for code in sorted(seen):
            encoded.diagnostics.extend(self.warning(code, context))
        return text

    def warning(self, code: int, context: str) -> list[str]:
        """The lines that warn of *code*: one the first time, none later."""
        if code in self._warned:
            return []
        self._warned.add(code)
        return [_diagnostic("antithesis_warning", code, _WARNINGS[code].format(context), context)]


def _without_redacted(mapping: dict[str, object]) -> dict[str, object]:
    return {key: REDACTED if is_redacted(key) else value for key, value in mapping.items()}


def _call(details: object) -> object:
    return details() if callable(details) else details


def _mapping_as_dict(value: object) -> dict[object, object]:
    from collections.abc import Mapping

    if isinstance(value, Mapping):
        return dict(value)
    msg = f"Object of type {type(value).__name__} is not JSON serializable"
    raise TypeError(msg)


def _may_hold_odd_numbers(text: str) -> bool:
    # A hit inside a string only costs the second reading, never a wrong answer.
    import re

    return re.search(r"\d{16}|NaN|Infinity", text) is not None


def _depth(text: str) -> int:
    """How deeply the JSON *text* nests; 0 where it cannot be too deep."""
    if text.count("[") + text.count("{") <= _DEPTH_LIMIT:
        return 0
    import re

    deepest = depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        deepest = max(deepest, depth)
    return deepest


def _int_noting(seen: set[int]) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if abs(value) >= _UNSAFE:
            seen.add(UNSAFE_INTEGER)
        return value

    return parse


def _constant_noting(seen: set[int]) -> Callable[[str], str]:
    def parse(name: str) -> str:
        seen.add(NON_FINITE)
        return name

    return parse


def _unserialisable(context: str, error: Exception) -> str:
    reason = bounded_repr(error)
    text = f"details of {context!r} cannot be written as JSON: {reason}"
    return _diagnostic("antithesis_error", UNSERIALISABLE, text, context)


def _diagnostic(key: str, code: int, text: str, context: str) -> str:
    return line(key, {"code": code, "message": text, "context": context})


def _cut(text: str) -> str:
    return _dumps({"assertlib_truncated": {"bytes": len(text), "head": text[:_HEAD]}})
