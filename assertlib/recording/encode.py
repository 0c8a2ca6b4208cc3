"""
Serialises records as lines of JSON, whatever their details hold.

Source of the diagnostics 6001-6003 and of the spelling of numbers that JSON lacks: the Antithesis
Python SDK 0.4.0 on the wire, protocol 1.1.0.
"""

from __future__ import annotations

from . import interrupts
from .reprs import REDACTED, bounded_repr, is_redacted, redacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

DETAILS_LIMIT = 64 * 1024
"""Bytes of serialised details in a record; longer details are truncated and marked."""

_HEAD = 1024
_DEPTH_LIMIT = 100
UNSERIALISABLE, NON_FINITE, UNSAFE_INTEGER, NON_FINITE_OPERAND = 6001, 6002, 6003, 6004
_UNSAFE = 2**53

_WARNINGS = {
    NON_FINITE: "non-finite numbers in the details of {!r} are written as strings",
    UNSAFE_INTEGER: (
        "integers beyond 2**53 in the details of {!r} are exact here, but readers that parse"
        " JSON numbers as doubles will round them"
    ),
    NON_FINITE_OPERAND: "no guidance for {!r}: an operand is not finite",
}


_json: ModuleType | None = None


def load_json() -> ModuleType:
    """The module json, kept loaded: a finaliser at interpreter exit cannot import it."""
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
        text: JSON; None without details, or if they cannot be serialised.
        diagnostics: Whole lines to write before the record.
        fallback: Bounded ``repr`` of details that cannot be serialised; None otherwise.
        truncated: Whether they were longer than `DETAILS_LIMIT`.
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
    """
    One record as a line, with details that are serialised already.

    Args:
        key: Type of the record.
        body: Its other fields, at least one.
        name: Field that holds the details.
        encoded: The details as JSON; None to leave the field out.
    """
    if encoded is None:
        return line(key, body)
    # Spliced as text, so that large details are not parsed and serialised a second time.
    head = _dumps(body)[:-1]
    return f"{{{_dumps(key)}: {head}, {_dumps(name)}: {encoded}}}}}\n"


class DetailsEncoder:
    """Serialises details, and warns once per reason."""

    def __init__(self) -> None:
        self._warned: set[int] = set()

    def encode(self, details: object, context: str) -> Encoded:
        """Serialise *details*, or what they return if callable; failures become diagnostics."""
        encoded = Encoded()
        if details is None:
            return encoded
        value = details
        try:
            value = _call(details)
            encoded.text = self._dump(value, context, encoded)
        except Exception as error:
            # Code of the store ran in here: the exception may be a time limit of its own.
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
        # A longer text is cut by `encode`, so its numbers and its nesting do not matter.
        if len(text) <= DETAILS_LIMIT and _depth(text) > _DEPTH_LIMIT:
            raise ValueError(f"nested deeper than {_DEPTH_LIMIT} levels")
        if len(text) <= DETAILS_LIMIT and _may_hold_odd_numbers(text):
            # The text is read back instead of the data, whose objects may run code of the store
            # and are looked at only once.
            plain = load_json().loads(
                text, parse_int=_int_noting(seen), parse_constant=_constant_noting(seen)
            )
            text = _dumps(plain)
        if redacts():
            # Applied to the serialised text, which has all keys as strings, at any depth.
            text = _dumps(load_json().loads(text, object_hook=_without_redacted))
        for code in sorted(seen):
            encoded.diagnostics.extend(self.warning(code, context))
        return text

    def warning(self, code: int, context: str) -> list[str]:
        """The diagnostic *code* about *context* as a line; empty if it was given before."""
        if code in self._warned:
            return []
        # By code alone: a shard gets one such warning, whatever assertions follow.
        self._warned.add(code)
        return [_diagnostic("antithesis_warning", code, _WARNINGS[code].format(context), context)]


def _without_redacted(mapping: dict[str, object]) -> dict[str, object]:
    return {key: REDACTED if is_redacted(key) else value for key, value in mapping.items()}


def _call(details: object) -> object:
    return details() if callable(details) else details


def _mapping_as_dict(value: object) -> dict[object, object]:
    # `json` serialises dicts alone; a store may use mappings of its own.
    from collections.abc import Mapping

    if isinstance(value, Mapping):
        return dict(value)
    msg = f"Object of type {type(value).__name__} is not JSON serializable"
    raise TypeError(msg)


def _may_hold_odd_numbers(text: str) -> bool:
    # A match inside a string costs a second parse, but never gives a wrong answer.  2**53 has
    # sixteen digits.
    import re

    return re.search(r"\d{16}|NaN|Infinity", text) is not None


def _depth(text: str) -> int:
    """Nesting depth of the JSON *text*; 0 if it has too few brackets to exceed the limit."""
    if text.count("[") + text.count("{") <= _DEPTH_LIMIT:
        return 0
    import re

    # A scan of tokens instead of recursion, which the text itself could exhaust.
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
